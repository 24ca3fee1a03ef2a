//! Transport address: what a candidate is made of and what a datagram goes to.

use core::fmt;
use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::str::FromStr;

/// IP address and port and, for an IPv6 link-local address, the scope it belongs to.
///
/// Two texts of one place are one value: an IPv4-mapped IPv6 address becomes IPv4, flow labels are dropped, and a
/// scope is kept only where it changes the meaning (`fe80::/10`). IPv4 sorts before IPv6, then by address and port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportAddress {
    family: Family,
    /// IPv4 stands here in its mapped form, so that both families share the 24 bytes of the whole value.
    octets: [u8; 16],
    port: u16,
    scope: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    V4,
    V6,
}

impl TransportAddress {
    /// Address of `ip` and `port`, without a scope.
    pub const fn new(ip: IpAddr, port: u16) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4, port),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self::v4(v4, port),
                None => Self { family: Family::V6, octets: v6.octets(), port, scope: 0 },
            },
        }
    }

    const fn v4(ip: Ipv4Addr, port: u16) -> Self {
        Self { family: Family::V4, octets: ip.to_ipv6_mapped().octets(), port, scope: 0 }
    }

    /// The same address in the scope (interface index) `scope`; other than link-local addresses have none and stay
    /// as they are. 0 takes the scope away.
    #[must_use]
    pub const fn with_scope(mut self, scope: u32) -> Self {
        self.scope = if self.is_link_local() { scope } else { 0 };
        self
    }

    /// The same address with another port.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What is signalled in place of a related address that stays hidden: the unspecified address of the same
    /// family with port 9 (RFC 8839 §5.1).
    #[must_use]
    pub const fn concealed(self) -> Self {
        match self.family {
            Family::V4 => Self::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9),
            Family::V6 => Self::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 9),
        }
    }

    /// The IP address.
    #[inline]
    pub const fn ip(self) -> IpAddr {
        let [.., a, b, c, d] = self.octets;
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(self.octets))),
        }
    }

    /// The port.
    #[inline]
    pub const fn port(self) -> u16 {
        self.port
    }

    /// The last four octets of the IP address, as a short key for tables.
    #[inline]
    pub const fn low_bits(self) -> u32 {
        let [.., a, b, c, d] = self.octets;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The scope (interface index) of a link-local address; 0 where there is none or it is not known.
    pub const fn scope(self) -> u32 {
        self.scope
    }

    /// The same place in the form sockets take.
    pub const fn socket_addr(self) -> SocketAddr {
        match self.ip() {
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, self.scope)),
            ip @ IpAddr::V4(_) => SocketAddr::new(ip, self.port),
        }
    }

    /// Whether the address is IPv4.
    pub const fn is_ipv4(self) -> bool {
        matches!(self.family, Family::V4)
    }

    /// Whether the address is IPv6.
    pub const fn is_ipv6(self) -> bool {
        matches!(self.family, Family::V6)
    }

    /// Whether both addresses are of one address family.
    pub const fn same_family(self, other: Self) -> bool {
        self.is_ipv4() == other.is_ipv4()
    }

    /// Whether the address is IPv6 link-local (`fe80::/10`). 169.254.0.0/16 is not meant: the rules of ICE for
    /// link-local addresses speak of IPv6 only.
    pub const fn is_link_local(self) -> bool {
        let [first, second, ..] = self.octets;
        matches!(self.family, Family::V6) && first == 0xFE && second & 0xC0 == 0x80
    }

    /// Whether the address is loopback: 127.0.0.0/8 or `::1`.
    pub const fn is_loopback(self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        }
    }

    /// Whether the address is `0.0.0.0` or `::`.
    pub const fn is_unspecified(self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => ip.is_unspecified(),
            IpAddr::V6(ip) => ip.is_unspecified(),
        }
    }

    /// Whether one host can be meant: neither unspecified nor multicast nor the IPv4 broadcast address.
    pub const fn is_unicast(self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
            IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
        }
    }
}

impl From<SocketAddr> for TransportAddress {
    fn from(address: SocketAddr) -> Self {
        let scope = if let SocketAddr::V6(v6) = address { v6.scope_id() } else { 0 };
        Self::new(address.ip(), address.port()).with_scope(scope)
    }
}

impl From<TransportAddress> for SocketAddr {
    fn from(address: TransportAddress) -> Self {
        address.socket_addr()
    }
}

/// `192.0.2.1:5000`, `[2001:db8::1]:5000`, `[fe80::1%2]:5000`.
impl FromStr for TransportAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.socket_addr(), f)
    }
}

impl fmt::Debug for TransportAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
