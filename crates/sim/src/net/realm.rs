//! Address spaces: the internet, and one behind each NAT.

use std::{collections::BTreeMap, net::IpAddr};

use super::{Link, Node};

/// An address space. Equal addresses in two of them have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) usize);

impl RealmId {
    /// The one that is there from the start and has no NAT before it.
    pub const PUBLIC: Self = Self(0);
}

/// A node's connection to an address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attachment {
    pub(super) node: Node,
    pub(super) link: Link,
}

/// Who has which address in one address space, and where everything else goes.
#[derive(Debug, Default)]
pub(super) struct Realm {
    attached: BTreeMap<IpAddr, Attachment>,
    /// The NAT that leads out.
    gateway: Option<Attachment>,
}

impl Realm {
    /// The empty address space behind a NAT.
    pub(super) fn behind(gateway: Attachment) -> Self {
        Self { attached: BTreeMap::new(), gateway: Some(gateway) }
    }

    /// Attaches a node; `false` if the address is taken.
    pub(super) fn attach(&mut self, ip: IpAddr, attachment: Attachment) -> bool {
        let free = !self.attached.contains_key(&ip);
        if free {
            self.attached.insert(ip, attachment);
        }
        free
    }

    /// Who has this address here.
    fn owner(&self, ip: IpAddr) -> Option<Attachment> {
        self.attached.get(&ip).copied()
    }

    /// By what `node` sends here with source address `from`: its own address, or as the way out for everybody.
    pub(super) fn sender(&self, node: Node, from: IpAddr) -> Option<Attachment> {
        let of_node = |attachment: &Attachment| attachment.node == node;
        self.owner(from).filter(of_node).or(self.gateway.filter(of_node))
    }

    /// Where a datagram for this address goes next.
    pub(super) fn route(&self, to: IpAddr) -> Option<Attachment> {
        self.owner(to).or(self.gateway)
    }
}
