//! Which addresses of this host become candidates: pure rules over what the driver saw.

use alloc::{boxed::Box, vec::Vec};
use core::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    ops::BitOr,
};

#[cfg(test)]
mod tests;

/// Addresses that could be used and are looked at together in one [`judge`]; the rest of them is skipped with
/// [`SkipReason::Limit`]. Sixty-four is more than hosts have, and bounds the comparison of every address with every other.
pub const MAX_INTERFACES: usize = 64;

/// One address of one network interface, as the operating system reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name of the interface, for reports.
    pub name: Box<str>,
    /// Index of the interface; it is the scope of a link-local address.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits; 0 says that it is not known.
    pub prefix_len: u8,
    /// Facts about the interface and the address.
    pub flags: InterfaceFlags,
}

/// Facts about an interface and one of its addresses, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceFlags(u8);

impl InterfaceFlags {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// The interface is up and running.
    pub const UP: Self = Self(1);
    /// The interface is a loopback interface.
    pub const LOOPBACK: Self = Self(1 << 1);
    /// The interface has one peer at its other end (tunnels, modems).
    pub const POINT_TO_POINT: Self = Self(1 << 2);
    /// A temporary IPv6 address, changed from time to time against tracking (RFC 8981).
    pub const TEMPORARY: Self = Self(1 << 3);
    /// An IPv6 address that new communication should not use (RFC 4862).
    pub const DEPRECATED: Self = Self(1 << 4);
    /// An IPv6 address whose uniqueness is still being checked, or was refuted.
    pub const TENTATIVE: Self = Self(1 << 5);

    /// Whether every fact of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set with `other` in it when `condition` holds.
    #[must_use]
    pub const fn with(self, other: Self, condition: bool) -> Self {
        if condition { self.union(other) } else { self }
    }
}

impl BitOr for InterfaceFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

/// What the default rules leave to the user's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceRules {
    /// Take loopback addresses too.
    pub loopback: bool,
    /// Take link-local addresses too.
    pub link_local: bool,
}

/// Why an address does not become a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// The interface is down.
    Down,
    /// An address of a loopback interface, or one of 127.0.0.0/8 or `::1`.
    Loopback,
    /// A link-local address that was not asked for, or that would give away what a temporary address hides.
    LinkLocal,
    /// A deprecated address.
    Deprecated,
    /// An address not yet known to be unique on its link.
    Tentative,
    /// Unspecified, multicast or broadcast: not the address of one interface.
    NotUnicast,
    /// An IPv6 site-local address.
    SiteLocal,
    /// An IPv4-compatible IPv6 address.
    V4Compatible,
    /// An IPv4-mapped IPv6 address.
    V4Mapped,
    /// A stable address where a temporary one of the same interface and prefix exists.
    Traceable,
    /// Another address of the same interface and prefix was taken.
    SamePrefix,
    /// The address was listed before.
    Duplicate,
    /// More than [`MAX_INTERFACES`] could be used, and this one was not in use.
    Limit,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "interface is down",
            Self::Loopback => "loopback address",
            Self::LinkLocal => "link-local address",
            Self::Deprecated => "deprecated address",
            Self::Tentative => "tentative address",
            Self::NotUnicast => "not a unicast address",
            Self::SiteLocal => "site-local address",
            Self::V4Compatible => "ipv4-compatible address",
            Self::V4Mapped => "ipv4-mapped address",
            Self::Traceable => "a temporary address of the same prefix is used instead",
            Self::SamePrefix => "another address of the same prefix is used",
            Self::Duplicate => "listed twice",
            Self::Limit => "too many addresses",
        })
    }
}

/// Judges every address: `None` at its place takes it, a reason skips it. Result and input are equally long.
pub fn judge(interfaces: &[Interface], rules: InterfaceRules) -> Vec<Option<SkipReason>> {
    Verdicts::new(interfaces, rules, &|_| false).iter().map(|(_, verdict)| verdict).collect()
}

/// Each address with its verdict.
pub(crate) struct Verdicts<'a> {
    interfaces: &'a [Interface],
    /// Where there are no more than these.
    few: [Option<SkipReason>; MAX_INTERFACES],
    /// Of a longer list, which most hosts have not.
    many: Vec<Option<SkipReason>>,
}

impl<'a> Verdicts<'a> {
    /// Judges every address, where some are in use: those are preferred to their equals.
    pub(crate) fn new(
        interfaces: &'a [Interface],
        rules: InterfaceRules,
        in_use: &dyn Fn(&Interface) -> bool,
    ) -> Self {
        let mut verdicts = Self { interfaces, few: [None; MAX_INTERFACES], many: Vec::new() };
        if interfaces.len() > MAX_INTERFACES {
            verdicts.many.resize(interfaces.len(), None);
        }
        let all = if verdicts.many.is_empty() { &mut verdicts.few[..] } else { &mut verdicts.many };
        for (verdict, interface) in all.iter_mut().zip(interfaces) {
            *verdict = judge_alone(interface, rules);
        }
        keep_within_limit(interfaces, all, in_use);
        skip_duplicates(interfaces, all);
        keep_one_per_prefix(interfaces, all, in_use);
        hide_link_local(interfaces, all);
        verdicts
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a Interface, Option<SkipReason>)> {
        let all = if self.many.is_empty() { &self.few[..] } else { &self.many };
        self.interfaces.iter().zip(all).map(|(one, verdict)| (one, *verdict))
    }

    /// Those that no rule skips.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &'a Interface> {
        self.iter().filter(|(_, verdict)| verdict.is_none()).map(|(one, _)| one)
    }
}

/// The rules that need no other address.
fn judge_alone(interface: &Interface, rules: InterfaceRules) -> Option<SkipReason> {
    let flags = interface.flags;
    if !flags.contains(InterfaceFlags::UP) {
        return Some(SkipReason::Down);
    }
    if let Some(reason) = unfit(interface.ip) {
        return Some(reason);
    }
    // RFC 8445 §5.1.1.1: nothing from a loopback interface, whatever its address looks like.
    if !rules.loopback && (flags.contains(InterfaceFlags::LOOPBACK) || interface.ip.is_loopback()) {
        return Some(SkipReason::Loopback);
    }
    if !rules.link_local && is_link_local(interface.ip) {
        return Some(SkipReason::LinkLocal);
    }
    if flags.contains(InterfaceFlags::TENTATIVE) {
        return Some(SkipReason::Tentative);
    }
    flags.contains(InterfaceFlags::DEPRECATED).then_some(SkipReason::Deprecated)
}

/// Kinds of address that no rule of the user can bring back.
fn unfit(ip: IpAddr) -> Option<SkipReason> {
    if ip.is_unspecified() || ip.is_multicast() {
        return Some(SkipReason::NotUnicast);
    }
    let ip = match ip {
        IpAddr::V4(ip) => return ip.is_broadcast().then_some(SkipReason::NotUnicast),
        IpAddr::V6(ip) => ip,
    };
    // RFC 8445 §5.1.1.1: neither site-local nor IPv4-compatible IPv6 addresses; IPv4-mapped ones would be
    // the IPv4 address a second time.
    match ip.segments() {
        [0xfec0..=0xfeff, ..] => Some(SkipReason::SiteLocal),
        [0, 0, 0, 0, 0, 0xffff, ..] => Some(SkipReason::V4Mapped),
        [0, 0, 0, 0, 0, 0, ..] if !ip.is_loopback() => Some(SkipReason::V4Compatible),
        _ => None,
    }
}

/// 169.254.0.0/16 or `fe80::/10`.
pub(crate) const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The rules that compare addresses look at so many at most: at those that could be used, in use before others.
fn keep_within_limit(
    interfaces: &[Interface],
    verdicts: &mut [Option<SkipReason>],
    in_use: &dyn Fn(&Interface) -> bool,
) {
    let fit = verdicts.iter().zip(interfaces).filter(|(verdict, _)| verdict.is_none()).count();
    if fit <= MAX_INTERFACES {
        return;
    }
    let mut room = MAX_INTERFACES;
    let mut kept = Vec::with_capacity(interfaces.len());
    kept.resize(interfaces.len(), false);
    for used in [true, false] {
        let all = interfaces.iter().zip(verdicts.iter()).zip(&mut kept);
        let fit = all.filter(|((one, verdict), _)| verdict.is_none() && in_use(one) == used);
        for (_, kept) in fit.take(room) {
            (*kept, room) = (true, room.saturating_sub(1));
        }
    }
    for (verdict, _) in verdicts.iter_mut().zip(kept).filter(|(verdict, kept)| verdict.is_none() && !kept) {
        *verdict = Some(SkipReason::Limit);
    }
}

fn skip_duplicates(interfaces: &[Interface], verdicts: &mut [Option<SkipReason>]) {
    for (place, interface) in interfaces.iter().enumerate() {
        let Some((earlier, [verdict, ..])) = verdicts.split_at_mut_checked(place) else { return };
        // The same link-local address may live on every link.
        let same = |other: &Interface| {
            other.ip == interface.ip && (other.index == interface.index || !is_link_local(interface.ip))
        };
        let mut judged = interfaces.iter().zip(earlier);
        if verdict.is_none() && judged.any(|(other, verdict)| verdict.is_none() && same(other)) {
            *verdict = Some(SkipReason::Duplicate);
        }
    }
}

/// RFC 8445 §5.1.1.1: where an address that prevents tracking is gathered, no traceable one of the same
/// interface and prefix is. Among equals the one in use is kept, else the first listed: more of them are more pairs, not more
/// paths, and another one is no better.
fn keep_one_per_prefix(
    interfaces: &[Interface],
    verdicts: &mut [Option<SkipReason>],
    in_use: &dyn Fn(&Interface) -> bool,
) {
    let is_global = |(interface, verdict): (&Interface, &Option<SkipReason>)| {
        verdict.is_none() && is_global_v6(interface.ip)
    };
    if !interfaces.iter().zip(verdicts.iter()).any(is_global) {
        return;
    }
    let mut kept: Vec<&Interface> = Vec::new();
    for (temporary, used) in [(true, true), (true, false), (false, true), (false, false)] {
        for (interface, verdict) in interfaces.iter().zip(verdicts.iter_mut()) {
            let counts = verdict.is_none()
                && is_global_v6(interface.ip)
                && interface.flags.contains(InterfaceFlags::TEMPORARY) == temporary
                && in_use(interface) == used;
            if !counts {
                continue;
            }
            match kept.iter().find(|other| same_prefix(other, interface)) {
                None => kept.push(interface),
                Some(other) if !temporary && other.flags.contains(InterfaceFlags::TEMPORARY) => {
                    *verdict = Some(SkipReason::Traceable);
                }
                Some(_) => *verdict = Some(SkipReason::SamePrefix),
            }
        }
    }
}

/// RFC 8445 §5.1.1.1: beside a temporary address no IPv6 link-local one is gathered; its interface
/// identifier would lead to the same host.
fn hide_link_local(interfaces: &[Interface], verdicts: &mut [Option<SkipReason>]) {
    let hiding = interfaces.iter().zip(verdicts.iter()).any(|(interface, verdict)| {
        verdict.is_none() && interface.ip.is_ipv6() && interface.flags.contains(InterfaceFlags::TEMPORARY)
    });
    if !hiding {
        return;
    }
    for (interface, verdict) in interfaces.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_none()) {
        if interface.ip.is_ipv6() && is_link_local(interface.ip) {
            *verdict = Some(SkipReason::LinkLocal);
        }
    }
}

fn is_global_v6(ip: IpAddr) -> bool {
    ip.is_ipv6() && !is_link_local(ip) && !ip.is_loopback()
}

fn same_prefix(one: &Interface, other: &Interface) -> bool {
    let (IpAddr::V6(a), IpAddr::V6(b)) = (one.ip, other.ip) else { return false };
    let bits = prefix_bits(one.prefix_len).min(prefix_bits(other.prefix_len));
    let mask = u128::MAX.checked_shl(u32::from(128_u8.saturating_sub(bits))).unwrap_or(0);
    one.index == other.index && one.name == other.name && masked(a, mask) == masked(b, mask)
}

/// `DHCPv6` hands out /128s inside the /64 of the link: what identifies the network is at most 64 bits long.
fn prefix_bits(prefix_len: u8) -> u8 {
    match prefix_len {
        0 => 64,
        len => len.min(64),
    }
}

fn masked(ip: Ipv6Addr, mask: u128) -> u128 {
    ip.to_bits() & mask
}
