//! Local and remote candidates of a set.

use alloc::vec::Vec;
use core::net::IpAddr;

use floe_pair::{
    BaseId, Candidate, CandidateType, ComponentId, Foundation, Foundations, Priority, StreamId, Transport,
    TransportAddress,
};

use crate::lean::{place_of, push_lean};
use crate::packed::Packed;

/// Name of a local candidate within a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalId(pub u32);

/// Name of a remote candidate within a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RemoteId(pub u32);

/// Foundation of a pair: that of the local and that of the remote candidate (RFC 8445 §6.1.2.6), as numbers, because
/// they are compared for each pair of the set. The remote one stands first: so does it where pairs are formed, and what
/// is in order need not be sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FoundationKey {
    pub remote: u32,
    pub local: u32,
}

#[derive(Debug)]
pub(crate) struct Local {
    pub id: LocalId,
    pub stream: StreamId,
    pub candidate: Candidate,
    pub base: BaseId,
    pub foundation: u32,
    /// Its base will end, and another one is to take its place.
    pub replaced: bool,
}

impl Local {
    /// Known from an answer only: peer-reflexive.
    pub(crate) fn is_learned(&self) -> bool {
        self.candidate.kind == CandidateType::PeerReflexive
    }
}

#[derive(Debug)]
pub(crate) struct Remote {
    pub id: RemoteId,
    pub stream: StreamId,
    pub candidate: Candidate,
    pub foundation: u32,
    /// Known from a check only, not from signalling.
    pub learned: bool,
}

/// Where a candidate is that the peer has signalled and the policy denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub stream: StreamId,
    pub component: ComponentId,
    pub address: TransportAddress,
}

/// Both tables, in each of which ids rise.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub locals: Vec<Local>,
    pub remotes: Vec<Remote>,
    /// Remote candidates that no pair stands on.
    pub packed: Vec<Packed>,
    /// Of the signalled candidates that the policy denies by their type: their addresses.
    pub denied: Vec<Denied>,
    next: u32,
    /// Some base has, or has had, several local candidates.
    shared: bool,
    foundations: Foundations,
}

impl Candidates {
    fn next_id(&mut self) -> u32 {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        id
    }

    /// Where a local candidate stands among all.
    pub(crate) fn local_place(&self, id: LocalId) -> Option<usize> {
        place_of(&self.locals, id.0, |local| local.id.0)
    }

    /// Where a remote candidate stands among all.
    pub(crate) fn remote_place(&self, id: RemoteId) -> Option<usize> {
        place_of(&self.remotes, id.0, |remote| remote.id.0)
    }

    pub(crate) fn local(&self, id: LocalId) -> Option<&Local> {
        self.local_place(id).and_then(|index| self.locals.get(index))
    }

    pub(crate) fn remote(&self, id: RemoteId) -> Option<&Remote> {
        self.remote_place(id).and_then(|index| self.remotes.get(index))
    }

    pub(crate) fn remote_mut(&mut self, id: RemoteId) -> Option<&mut Remote> {
        self.remote_place(id).and_then(|index| self.remotes.get_mut(index))
    }

    /// Whether the policy denies the address under a type that the peer has signalled for it.
    #[inline]
    pub(crate) fn is_denied(
        &self,
        stream: StreamId,
        component: ComponentId,
        address: TransportAddress,
    ) -> bool {
        self.denied.iter().any(|denied| {
            denied.address == address && denied.stream == stream && denied.component == component
        })
    }

    pub(crate) fn remote_at(
        &self,
        stream: StreamId,
        component: ComponentId,
        address: TransportAddress,
    ) -> Option<&Remote> {
        self.remotes.iter().find(|remote| {
            remote.candidate.address == address
                && remote.stream == stream
                && remote.candidate.component == component
        })
    }

    /// The local candidate of this address, one of the given base before all others.
    pub(crate) fn local_at(
        &self,
        stream: StreamId,
        component: ComponentId,
        base: BaseId,
        address: TransportAddress,
    ) -> Option<&Local> {
        let matching = |local: &&Local| {
            local.candidate.address == address
                && local.stream == stream
                && local.candidate.component == component
        };
        self.locals
            .iter()
            .find(|local| local.base == base && matching(local))
            .or_else(|| self.locals.iter().find(matching))
    }

    /// The candidate that stands for a base when pairs are formed: of several the one of highest priority, which is
    /// the host or relayed one unless priorities are unusual. Candidates the peer has not been told stand for nothing.
    #[inline(never)]
    pub(crate) fn local_on(&self, base: BaseId) -> Option<&Local> {
        self.locals
            .iter()
            .filter(|local| local.base == base && local.candidate.kind != CandidateType::PeerReflexive)
            .max_by_key(|local| (local.candidate.priority, core::cmp::Reverse(local.id)))
    }

    /// Whether this one stands for its base, as [`local_on`](Self::local_on) has it.
    pub(crate) fn stands(&self, local: &Local) -> bool {
        local.candidate.kind != CandidateType::PeerReflexive
            && (!self.shared || self.local_on(local.base).is_some_and(|on| on.id == local.id))
    }

    /// Whether the address was learned from a check and is none of the hosts the peer has signalled: so looks a relay's
    /// address that was not signalled yet, or came too late to be. A relay is no private address; and a peer that has
    /// signalled no public address of its own is not known well enough to tell.
    pub(crate) fn is_unexplained(&self, id: RemoteId) -> bool {
        let Some(learned) = self.remote(id).filter(|remote| remote.learned) else { return false };
        let ip = learned.candidate.address.ip();
        let mut own = self
            .signalled()
            .filter(|(kind, _)| *kind != CandidateType::Relayed)
            .map(|(_, own)| own)
            .filter(|own| own.is_ipv4() == ip.is_ipv4() && !is_private(*own))
            .peekable();
        !is_private(ip) && own.peek().is_some() && own.all(|own| own != ip)
    }

    pub(crate) fn add_local(&mut self, stream: StreamId, candidate: Candidate, base: BaseId) -> LocalId {
        let id = self.next_id();
        let same = self.locals.iter().find(|local| local.candidate.foundation == candidate.foundation);
        let foundation = same.map_or(id, |local| local.foundation);
        let beside = self.locals.iter().find(|local| local.base == base);
        self.shared |= beside.is_some();
        let replaced = beside.is_some_and(|local| local.replaced);
        push_lean(&mut self.locals, Local { id: LocalId(id), stream, candidate, base, foundation, replaced });
        LocalId(id)
    }

    pub(crate) fn add_remote(&mut self, stream: StreamId, candidate: Candidate, learned: bool) -> RemoteId {
        let id = self.next_id();
        let foundation = self.remote_foundation(&candidate.foundation).unwrap_or(id);
        if self.remotes.capacity() == 0 {
            // Most peers have about as many candidates as we.
            self.remotes.reserve_exact(self.locals.len());
        }
        push_lean(&mut self.remotes, Remote { id: RemoteId(id), stream, candidate, foundation, learned });
        RemoteId(id)
    }

    /// The number of a foundation that some remote candidate has already.
    pub(crate) fn remote_foundation(&self, foundation: &Foundation) -> Option<u32> {
        self.remotes
            .iter()
            .find(|remote| remote.candidate.foundation == *foundation)
            .map(|remote| remote.foundation)
    }

    /// RFC 8445 §7.3.1.3: peer-reflexive remote candidate, its foundation unlike all others.
    pub(crate) fn learn_remote(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        transport: Transport,
        address: TransportAddress,
        priority: Priority,
    ) -> RemoteId {
        let candidate = self.peer_reflexive(component, transport, address, priority);
        self.add_remote(stream, candidate, true)
    }

    /// RFC 8445 §7.2.5.3.1: peer-reflexive local candidate.
    pub(crate) fn learn_local(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        base: BaseId,
        transport: Transport,
        address: TransportAddress,
        priority: Priority,
    ) -> LocalId {
        let candidate = self.peer_reflexive(component, transport, address, priority);
        self.add_local(stream, candidate, base)
    }

    pub(crate) fn unique_foundation(&mut self) -> Foundation {
        self.foundations.unique()
    }

    fn peer_reflexive(
        &mut self,
        component: ComponentId,
        transport: Transport,
        address: TransportAddress,
        priority: Priority,
    ) -> Candidate {
        let foundation = self.unique_foundation();
        let kind = CandidateType::PeerReflexive;
        Candidate { component, kind, transport, address, priority, foundation, related: None }
    }

    pub(crate) fn release_memory(&mut self) {
        self.locals.shrink_to_fit();
        self.remotes.shrink_to_fit();
        self.packed.shrink_to_fit();
        self.denied.shrink_to_fit();
    }
}

/// An address of a site's own (RFC 1918, RFC 4193) or of one link.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}
