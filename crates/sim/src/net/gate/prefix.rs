//! Stateless translation of IPv6 prefixes (RFC 6296): one inner address is one outer address, ports stay.

use std::net::SocketAddr;

use crate::{
    net::{Content, Link, Packet, RealmId},
    server::Prefix,
};

/// What a prefix translator is made from. Its state is nothing: whoever knows an outer address reaches the inner one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixConfig {
    /// The address space outside.
    pub outer: RealmId,
    /// The network inside.
    pub inside: Prefix,
    /// The same network as it is known outside, of the same length. The bits behind the prefix stay: whether a
    /// checksum would change is nothing this network looks at.
    pub outside: Prefix,
    /// Whether ICMP errors pass.
    pub icmp: bool,
    /// Way to the inner address space.
    pub inner_link: Link,
    /// Way to the outer address space.
    pub outer_link: Link,
}

impl PrefixConfig {
    /// A translator in front of the public address space, with links that cost nothing.
    pub fn new(inside: Prefix, outside: Prefix) -> Self {
        Self {
            outer: RealmId::PUBLIC,
            inside,
            outside,
            icmp: true,
            inner_link: Link::default(),
            outer_link: Link::default(),
        }
    }

    pub(super) fn outbound(&self, packet: Packet) -> Result<Packet, Packet> {
        self.translate(packet, self.inside, self.outside, |packet| &mut packet.from, |about| &mut about.1)
    }

    pub(super) fn inbound(&self, packet: Packet) -> Result<Packet, Packet> {
        self.translate(packet, self.outside, self.inside, |packet| &mut packet.to, |about| &mut about.0)
    }

    /// Replaces the prefix of the inner host's address, in the datagram and in the one an ICMP error is about.
    fn translate(
        &self,
        mut packet: Packet,
        old: Prefix,
        new: Prefix,
        of_packet: impl Fn(&mut Packet) -> &mut SocketAddr,
        of_error: impl Fn(&mut (SocketAddr, SocketAddr)) -> &mut SocketAddr,
    ) -> Result<Packet, Packet> {
        let replaced = |address: SocketAddr| {
            old.contains(address.ip()).then(|| SocketAddr::new(new.with_host(address.ip()), address.port()))
        };
        let own = of_packet(&mut packet);
        let Some(address) = replaced(*own) else { return Err(packet) };
        *own = address;
        if let Content::Unreachable(error) = &mut packet.content {
            let about = of_error(&mut error.about);
            let Some(address) = replaced(*about).filter(|_| self.icmp) else { return Err(packet) };
            *about = address;
        }
        Ok(packet)
    }
}
