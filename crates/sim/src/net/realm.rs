//! Address spaces: the internet, and one behind each gate.

use core::fmt;
use std::{collections::BTreeMap, net::IpAddr};

use super::{Node, Way};
use crate::server::Prefix;

/// An address space. Equal addresses in two of them have nothing to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) usize);

impl RealmId {
    /// The one that is there from the start and has no gate before it.
    pub const PUBLIC: Self = Self(0);
}

impl fmt::Display for RealmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("public"),
            number => write!(f, "inner {number}"),
        }
    }
}

/// A node's connection to an address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attachment {
    pub(super) node: Node,
    /// Which of the network's links.
    pub(super) link: usize,
}

/// Who has which address in one address space, and where everything else goes.
#[derive(Debug, Default)]
pub(super) struct Realm {
    /// What every datagram goes through that crosses the address space.
    pub(super) weather: Way,
    attached: BTreeMap<IpAddr, Attachment>,
    /// Gates and what is behind them, the narrowest range first.
    routes: Vec<(Prefix, Attachment)>,
}

impl Realm {
    /// Attaches a node; `false` if the address is taken.
    pub(super) fn attach(&mut self, ip: IpAddr, attachment: Attachment) -> bool {
        let free = !self.attached.contains_key(&ip);
        if free {
            self.attached.insert(ip, attachment);
        }
        free
    }

    pub(super) fn is_free(&self, ip: IpAddr) -> bool {
        !self.attached.contains_key(&ip)
    }

    /// Gives an address back.
    pub(super) fn detach(&mut self, ip: IpAddr) -> Option<Attachment> {
        self.attached.remove(&ip)
    }

    /// Everything in `range` that nobody here has goes to this node.
    pub(super) fn add_route(&mut self, range: Prefix, attachment: Attachment) {
        let place = self.routes.partition_point(|(known, _)| known.bits() >= range.bits());
        self.routes.insert(place, (range, attachment));
    }

    /// The links of all that is attached here.
    pub(super) fn links(&self) -> impl Iterator<Item = usize> {
        self.attached
            .values()
            .chain(self.routes.iter().map(|(_, attachment)| attachment))
            .map(|found| found.link)
    }

    /// By what `node` sends here with source address `from`: its own address, or as the way to it for everybody here.
    pub(super) fn sender(&self, node: Node, from: IpAddr) -> Option<Attachment> {
        let of_node = |attachment: &Attachment| attachment.node == node;
        let own = self.attached.get(&from).copied().filter(of_node);
        own.or_else(|| {
            let fits =
                |(range, attachment): &&(Prefix, Attachment)| of_node(attachment) && range.contains(from);
            self.routes.iter().find(fits).map(|(_, attachment)| *attachment)
        })
    }

    /// Where a datagram for this address goes next.
    pub(super) fn route(&self, to: IpAddr) -> Option<Attachment> {
        let routed = || self.routes.iter().find(|(range, _)| range.contains(to)).map(|(_, next)| *next);
        self.attached.get(&to).copied().or_else(routed)
    }
}
