//! The addresses of this host.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

pub use floe_gather::{Interface, InterfaceFlags};
use getifaddrs::InterfaceFlags as SystemFlags;

/// Lists the addresses of this host. [`SystemInterfaces`] asks the operating system; a host that forbids
/// that, or knows better, gives its own to [`Builder::interfaces`](crate::Builder::interfaces).
pub trait ListInterfaces: Send + Sync {
    /// All addresses there are now, usable or not: the agent chooses. May block; it runs on a thread for that.
    ///
    /// # Errors
    /// When nothing can be said about the addresses; agents then keep those they know.
    fn list(&self) -> io::Result<Vec<Interface>>;
}

impl<L: ListInterfaces + ?Sized> ListInterfaces for Arc<L> {
    fn list(&self) -> io::Result<Vec<Interface>> {
        (**self).list()
    }
}

/// The addresses as the operating system lists them.
///
/// Where it refuses (Android since version 11), the addresses it would send from are found by connecting
/// UDP sockets, which sends nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemInterfaces;

impl ListInterfaces for SystemInterfaces {
    fn list(&self) -> io::Result<Vec<Interface>> {
        let listed = match getifaddrs::getifaddrs() {
            Ok(listed) => listed.filter_map(|interface| from_system(&interface)).collect(),
            Err(_) => vec![],
        };
        let mut interfaces: Vec<_> = if listed.is_empty() { probe() } else { listed };
        mark(&mut interfaces, &address_flags());
        Ok(interfaces)
    }
}

fn from_system(interface: &getifaddrs::Interface) -> Option<Interface> {
    let ip = interface.address.ip_addr()?;
    let has = |flag| interface.flags.contains(flag);
    Some(Interface {
        name: interface.name.as_str().into(),
        index: interface.index.unwrap_or(0),
        ip,
        prefix_len: interface.address.netmask().map_or(0, prefix_len),
        // Not RUNNING: tunnels that work often show no carrier.
        flags: InterfaceFlags::NONE
            .with(InterfaceFlags::UP, has(SystemFlags::UP))
            .with(InterfaceFlags::LOOPBACK, has(SystemFlags::LOOPBACK))
            .with(InterfaceFlags::POINT_TO_POINT, has(SystemFlags::POINTTOPOINT)),
    })
}

fn prefix_len(netmask: IpAddr) -> u8 {
    let ones = match netmask {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    u8::try_from(ones).unwrap_or(0)
}

/// The source addresses the routes choose for destinations that stand for the rest of the world.
fn probe() -> Vec<Interface> {
    // RFC 5737 §3, RFC 3849: addresses for documentation. Connecting a UDP socket only looks up the route.
    let v4 = (Ipv4Addr::UNSPECIFIED.into(), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let v6 = (Ipv6Addr::UNSPECIFIED.into(), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
    [v4, v6].into_iter().filter_map(|(any, far)| source_towards(any, far).ok()).collect()
}

fn source_towards(any: IpAddr, far: IpAddr) -> io::Result<Interface> {
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(SocketAddr::new(far, 9))?;
    let ip = socket.local_addr()?.ip();
    Ok(Interface { name: "default".into(), index: 0, ip, prefix_len: 0, flags: InterfaceFlags::UP })
}

fn mark(interfaces: &mut [Interface], marks: &[(Ipv6Addr, u32, InterfaceFlags)]) {
    for interface in interfaces {
        let found =
            marks.iter().find(|(ip, index, _)| interface.ip == IpAddr::V6(*ip) && interface.index == *index);
        if let Some((_, _, flags)) = found {
            interface.flags = interface.flags.union(*flags);
        }
    }
}

/// What Linux says of each IPv6 address beyond `getifaddrs`. Nothing where it may not be read.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn address_flags() -> Vec<(Ipv6Addr, u32, InterfaceFlags)> {
    std::fs::read_to_string("/proc/net/if_inet6")
        .map(|table| table.lines().filter_map(parse_address_flags).collect())
        .unwrap_or_default()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn address_flags() -> Vec<(Ipv6Addr, u32, InterfaceFlags)> {
    vec![]
}

/// One line of `/proc/net/if_inet6`: address, index, prefix length, scope, flags (all hexadecimal), name.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn parse_address_flags(line: &str) -> Option<(Ipv6Addr, u32, InterfaceFlags)> {
    // Values of linux/if_addr.h.
    const TEMPORARY: u8 = 0x01;
    const DUPLICATE: u8 = 0x08;
    const DEPRECATED: u8 = 0x20;
    const TENTATIVE: u8 = 0x40;
    const OPTIMISTIC: u8 = 0x04;
    let mut words = line.split_ascii_whitespace();
    let ip = u128::from_str_radix(words.next()?, 16).ok()?;
    let index = u32::from_str_radix(words.next()?, 16).ok()?;
    let flags = u8::from_str_radix(words.nth(2)?, 16).ok()?;
    // RFC 4429: an optimistic address may be used while its uniqueness is still being checked.
    let tentative = flags & DUPLICATE != 0 || flags & (TENTATIVE | OPTIMISTIC) == TENTATIVE;
    let marks = InterfaceFlags::NONE
        .with(InterfaceFlags::TEMPORARY, flags & TEMPORARY != 0)
        .with(InterfaceFlags::DEPRECATED, flags & DEPRECATED != 0)
        .with(InterfaceFlags::TENTATIVE, tentative);
    Some((Ipv6Addr::from(ip), index, marks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_lists_loopback() {
        let interfaces = SystemInterfaces.list().unwrap();
        let loopback = interfaces.iter().find(|interface| interface.ip == Ipv4Addr::LOCALHOST).unwrap();
        assert!(loopback.flags.contains(InterfaceFlags::LOOPBACK | InterfaceFlags::UP));
        assert_eq!(loopback.prefix_len, 8);
        assert_ne!(loopback.index, 0);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn p30_address_flags_are_read() {
        #[track_caller]
        fn check(flags: &str, expected: InterfaceFlags) {
            let line = format!("20010db8000000000000000000000001 0a 40 00 {flags}     eth0");
            let parsed = parse_address_flags(&line).unwrap();
            assert_eq!(parsed, ("2001:db8::1".parse().unwrap(), 10, expected));
        }
        check("80", InterfaceFlags::NONE);
        check("01", InterfaceFlags::TEMPORARY);
        check("21", InterfaceFlags::TEMPORARY | InterfaceFlags::DEPRECATED);
        check("c0", InterfaceFlags::TENTATIVE);
        check("44", InterfaceFlags::NONE);
        check("4c", InterfaceFlags::TENTATIVE);
        for broken in ["", "20010db8", "zz 01 40 20 80 lo", "00 01 40 20 800 lo"] {
            assert_eq!(parse_address_flags(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn marks_go_to_the_address_on_its_interface() {
        let interface = |index| Interface {
            name: "eth0".into(),
            index,
            ip: "fe80::1".parse().unwrap(),
            prefix_len: 64,
            flags: InterfaceFlags::UP,
        };
        let mut interfaces = [interface(1), interface(2)];
        mark(&mut interfaces, &[("fe80::1".parse().unwrap(), 2, InterfaceFlags::DEPRECATED)]);
        let [first, second] = interfaces.map(|interface| interface.flags);
        assert_eq!(first, InterfaceFlags::UP);
        assert_eq!(second, InterfaceFlags::UP | InterfaceFlags::DEPRECATED);
    }

    #[test]
    fn netmasks_become_prefix_lengths() {
        let len = |mask: &str| prefix_len(mask.parse().unwrap());
        assert_eq!(
            [len("255.255.255.255"), len("255.255.240.0"), len("0.0.0.0"), len("ffff:ffff::"), len("::")],
            [32, 20, 0, 32, 0]
        );
    }
}
