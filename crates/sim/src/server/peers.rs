//! Where a TURN server may send to.
//!
//! A relay that forwards to anywhere is a way into the network it stands in. The default here is that every
//! special-purpose range is denied, and that an IPv6 address is judged by every IPv4 address it can stand for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range of addresses: those that agree with `base` in the first `bits` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    base: IpAddr,
    bits: u8,
}

impl Prefix {
    /// The ranges of RFC 5737 and RFC 3849, which belong to nobody: where simulated networks have their public
    /// addresses.
    pub const DOCUMENTATION: [Self; 4] = [
        Self::v4([192, 0, 2, 0], 24),
        Self::v4([198, 51, 100, 0], 24),
        Self::v4([203, 0, 113, 0], 24),
        Self::v6([0x2001, 0xdb8, 0], 32),
    ];

    /// `None` if `bits` is more than the family has (32 or 128).
    pub const fn new(base: IpAddr, bits: u8) -> Option<Self> {
        let most = if base.is_ipv4() { 32 } else { 128 };
        if bits <= most { Some(Self { base, bits }) } else { None }
    }

    /// Whether `ip` lies in the range; families never match each other.
    pub fn contains(self, ip: IpAddr) -> bool {
        let differing = match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => u128::from(base.to_bits() ^ ip.to_bits()) << 96,
            (IpAddr::V6(base), IpAddr::V6(ip)) => base.to_bits() ^ ip.to_bits(),
            _ => return false,
        };
        differing.leading_zeros() >= u32::from(self.bits)
    }

    /// Every address of one family.
    pub const fn everything(ipv4: bool) -> Self {
        let base = if ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        Self { base, bits: 0 }
    }

    /// How many bits the addresses of the range agree in.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// Whether the range is one of IPv4 addresses.
    pub const fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }

    /// The address of the range that agrees with `ip` in all bits behind the prefix; `ip` itself if it is of the other
    /// family.
    #[must_use]
    pub fn with_host(self, ip: IpAddr) -> IpAddr {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let host = u32::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                Ipv4Addr::from_bits(base.to_bits() & !host | ip.to_bits() & host).into()
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let host = u128::MAX.checked_shr(u32::from(self.bits)).unwrap_or(0);
                Ipv6Addr::from_bits(base.to_bits() & !host | ip.to_bits() & host).into()
            }
            _ => ip,
        }
    }

    const fn v4(octets: [u8; 4], bits: u8) -> Self {
        let [a, b, c, d] = octets;
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    const fn v6(first: [u16; 3], bits: u8) -> Self {
        let [a, b, c] = first;
        Self { base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), bits }
    }
}

/// The IANA special-purpose registries, multicast, and the transition prefixes that carry an IPv4 address. Of IPv6
/// only `2000::/3` is global unicast: everything outside it is special, NAT64, mapped and link-local ranges included.
const SPECIAL_PURPOSE: [Prefix; 27] = [
    Prefix::v4([0, 0, 0, 0], 8),
    Prefix::v4([10, 0, 0, 0], 8),
    Prefix::v4([100, 64, 0, 0], 10),
    Prefix::v4([127, 0, 0, 0], 8),
    Prefix::v4([169, 254, 0, 0], 16),
    Prefix::v4([172, 16, 0, 0], 12),
    Prefix::v4([192, 0, 0, 0], 24),
    Prefix::v4([192, 0, 2, 0], 24),
    Prefix::v4([192, 31, 196, 0], 24),
    Prefix::v4([192, 52, 193, 0], 24),
    Prefix::v4([192, 88, 99, 0], 24),
    Prefix::v4([192, 168, 0, 0], 16),
    Prefix::v4([192, 175, 48, 0], 24),
    Prefix::v4([198, 18, 0, 0], 15),
    Prefix::v4([198, 51, 100, 0], 24),
    Prefix::v4([203, 0, 113, 0], 24),
    Prefix::v4([224, 0, 0, 0], 4),
    Prefix::v4([240, 0, 0, 0], 4),
    Prefix::v6([0, 0, 0], 3),
    Prefix::v6([0x4000, 0, 0], 2),
    Prefix::v6([0x8000, 0, 0], 1),
    // Teredo, benchmarking, ORCHID and the other protocol assignments.
    Prefix::v6([0x2001, 0, 0], 23),
    Prefix::v6([0x2001, 0xdb8, 0], 32),
    Prefix::v6([0x2002, 0, 0], 16),
    Prefix::v6([0x2620, 0x4f, 0x8000], 48),
    Prefix::v6([0x3ffe, 0, 0], 16),
    Prefix::v6([0x3fff, 0, 0], 20),
];

const LOOPBACK: [Prefix; 2] =
    [Prefix::v4([127, 0, 0, 0], 8), Prefix { base: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 }];

/// Which peers data may be relayed to and permissions be given for. The default denies every special-purpose range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPolicy {
    /// 127.0.0.0/8 and `::1` are peers like others, in these spellings only. For tests and demonstrations.
    pub allow_loopback: bool,
    /// Ranges that are allowed although they are special-purpose.
    pub allow: Vec<Prefix>,
    /// Ranges that are denied on top; they win over the ranges allowed.
    pub deny: Vec<Prefix>,
}

impl PeerPolicy {
    /// Whether `ip` may be a peer. An IPv6 address that holds IPv4 addresses is allowed only if every one of them
    /// is, and it is itself.
    pub fn permits(&self, ip: IpAddr) -> bool {
        self.permits_reading(ip)
            && match ip {
                IpAddr::V4(_) => true,
                IpAddr::V6(ip) if self.allow_loopback && ip == Ipv6Addr::LOCALHOST => true,
                IpAddr::V6(ip) => embedded(ip).all(|held| self.permits_reading(held.into())),
            }
    }

    fn permits_reading(&self, ip: IpAddr) -> bool {
        let within = |ranges: &[Prefix]| ranges.iter().any(|range| range.contains(ip));
        if within(&self.deny) {
            return false;
        }
        let excepted = within(&self.allow) || (self.allow_loopback && within(&LOOPBACK));
        excepted || !within(&SPECIAL_PURPOSE)
    }
}

/// The IPv4 addresses an IPv6 address can stand for.
fn embedded(ip: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = ip.segments();
    let joined = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    let last = || joined(s6, s7);
    let none = None;
    match (s0, s1) {
        // v4-compatible, v4-mapped and v4-translated (RFC 4291 §2.5.5, RFC 2765).
        (0, 0) if s2 == 0 && s3 == 0 => [last(), none],
        // NAT64, local-use (RFC 8215): its length is not known, so both the /96 and the /48 form of RFC 6052 count.
        (0x64, 0xff9b) if s2 == 1 => [last(), joined(s3, s4 << 8 | s5 >> 8)],
        (0x64, 0xff9b) => [last(), none],
        // 6to4 (RFC 3056).
        (0x2002, high) => [joined(high, s2), none],
        // Teredo: the server, and the client in its complement (RFC 4380).
        (0x2001, 0) => [joined(s2, s3), joined(!s6, !s7)],
        // ISATAP interface identifiers (RFC 5214) under any prefix.
        _ if s5 == 0x5efe && matches!(s4, 0 | 0x200) => [last(), none],
        _ => [none, none],
    }
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests;
