//! A candidate as connectivity checks work with it.

use crate::{CandidateType, ComponentId, Foundation, Priority, Transport, TransportAddress};

/// One candidate, local or remote (RFC 8445 §5.3). Its text is [`crate::CandidateLine`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Candidate {
    /// The component it is for.
    pub component: ComponentId,
    /// How it was found.
    pub kind: CandidateType,
    /// UDP, or TCP with its direction.
    pub transport: Transport,
    /// Where it can be reached.
    pub address: TransportAddress,
    /// Its rank among the candidates of its side.
    pub priority: Priority,
    /// What it has in common with others.
    pub foundation: Foundation,
    /// Base of a reflexive candidate, mapped address of a relayed one; hidden as `0.0.0.0:9` or `[::]:9`. For
    /// people only: no rule looks at it.
    pub related: Option<TransportAddress>,
}

impl Candidate {
    /// What PRIORITY says in a check sent from this local candidate: the priority that a peer-reflexive candidate
    /// learned from it will have.
    pub const fn peer_reflexive_priority(&self) -> Priority {
        // RFC 8445 §7.1.1: as for the candidate itself, but with the type preference of peer-reflexive ones.
        self.priority.with_type(CandidateType::PeerReflexive.type_preference(self.transport))
    }
}
