//! Remote candidates that no pair stands on any more, in little memory. They stay for the life of the generation, since a
//! base of ours that is added after nomination is paired with them.

use alloc::vec::Vec;
use core::net::IpAddr;

use floe_pair::{Candidate, CandidateType, ComponentId, Priority, StreamId, Transport, TransportAddress};

use crate::candidates::{Candidates, Remote, RemoteId};

/// What checks need of a remote candidate. The text of its foundation goes, and with it nothing but its grouping with
/// candidates that are signalled later; related addresses are for people.
#[derive(Debug)]
pub(crate) struct Packed {
    id: RemoteId,
    foundation: u32,
    priority: Priority,
    address: TransportAddress,
    stream: StreamId,
    component: ComponentId,
    kind: CandidateType,
    transport: Transport,
    learned: bool,
}

impl Packed {
    fn is_of(&self, stream: StreamId, component: ComponentId) -> bool {
        self.stream == stream && self.component == component
    }
}

impl Candidates {
    /// Packs the remote candidates that are idle.
    pub(crate) fn pack(&mut self, idle: impl Fn(&Remote) -> bool) {
        let idle = self.remotes.extract_if(.., |remote| idle(remote));
        self.packed.extend(idle.map(|remote| Packed {
            id: remote.id,
            foundation: remote.foundation,
            priority: remote.candidate.priority,
            address: remote.candidate.address,
            stream: remote.stream,
            component: remote.candidate.component,
            kind: remote.candidate.kind,
            transport: remote.candidate.transport,
            learned: remote.learned,
        }));
    }

    /// Makes the candidates of a component what they were: all, or the one of this address.
    pub(crate) fn unpack(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        only: Option<TransportAddress>,
    ) {
        if self.packed.is_empty() {
            return;
        }
        let wanted = |packed: &mut Packed| {
            packed.is_of(stream, component) && only.is_none_or(|address| packed.address == address)
        };
        let own: Vec<Packed> = self.packed.extract_if(.., wanted).collect();
        if own.is_empty() {
            return;
        }
        for packed in own {
            let Packed { id, foundation, priority, address, kind, transport, learned, .. } = packed;
            let candidate = Candidate {
                component,
                kind,
                transport,
                address,
                priority,
                foundation: self.unique_foundation(),
                related: None,
            };
            self.remotes.push(Remote { id, stream, candidate, foundation, learned });
        }
        self.remotes.sort_unstable_by_key(|remote| remote.id);
    }

    /// Type of the packed candidate at this address.
    pub(crate) fn packed_at(
        &self,
        stream: StreamId,
        component: ComponentId,
        address: TransportAddress,
    ) -> Option<CandidateType> {
        let found = |packed: &&Packed| packed.address == address && packed.is_of(stream, component);
        self.packed.iter().find(found).map(|packed| packed.kind)
    }

    /// Type of the remote candidate at this address, packed or not.
    pub(crate) fn kind_at(
        &self,
        stream: StreamId,
        component: ComponentId,
        address: TransportAddress,
    ) -> Option<CandidateType> {
        let known = self.remote_at(stream, component, address).map(|remote| remote.candidate.kind);
        known.or_else(|| self.packed_at(stream, component, address))
    }

    /// The highest component that a remote candidate of the stream is for.
    pub(crate) fn highest_component(&self, stream: StreamId) -> Option<ComponentId> {
        let open = self.remotes.iter().map(|remote| (remote.stream, remote.candidate.component));
        let packed = self.packed.iter().map(|packed| (packed.stream, packed.component));
        open.chain(packed).filter(|(of, _)| *of == stream).map(|(_, component)| component).max()
    }

    /// Type and address of all candidates that the peer has signalled.
    pub(crate) fn signalled(&self) -> impl Iterator<Item = (CandidateType, IpAddr)> {
        let open = self.remotes.iter().filter(|remote| !remote.learned);
        let packed = self.packed.iter().filter(|packed| !packed.learned);
        open.map(|remote| (remote.candidate.kind, remote.candidate.address.ip()))
            .chain(packed.map(|packed| (packed.kind, packed.address.ip())))
    }

    /// Takes out the oldest candidate that is remembered only in case it is of use again: the packed ones and those that
    /// are `idle`. Of signalled ones, where they may go, the oldest has its turn after all learned ones.
    pub(crate) fn forget_oldest(
        &mut self,
        idle: impl Fn(&Remote) -> bool,
        only_learned: bool,
    ) -> Option<TransportAddress> {
        let idle = self.remotes.iter().filter(|remote| idle(remote));
        let idle = idle.map(|remote| (!remote.learned, remote.id));
        let packed = self.packed.iter().filter(|packed| packed.learned || !only_learned);
        let (_, id) = idle.chain(packed.map(|packed| (!packed.learned, packed.id))).min()?;
        if let Some(place) = self.packed.iter().position(|packed| packed.id == id) {
            return Some(self.packed.remove(place).address);
        }
        let place = self.remotes.iter().position(|remote| remote.id == id)?;
        Some(self.remotes.remove(place).candidate.address)
    }

    pub(crate) fn forget_packed(&mut self, stream: StreamId, component: ComponentId) {
        self.packed.retain(|packed| !packed.is_of(stream, component));
    }

    pub(crate) fn forget_all_packed(&mut self) {
        self.packed = Vec::new();
    }

    /// How many remote candidates there are.
    pub(crate) fn count_remotes(&self) -> usize {
        self.remotes.len().saturating_add(self.packed.len())
    }

    /// How many of them were never signalled.
    pub(crate) fn count_learned(&self) -> usize {
        let learned = self.remotes.iter().filter(|remote| remote.learned).count();
        let packed = self.packed.iter().filter(|packed| packed.learned).count();
        learned.saturating_add(packed)
    }
}
