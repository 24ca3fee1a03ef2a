//! What a gatherer reports.

use alloc::boxed::Box;
use core::net::IpAddr;

use floe_pair::{BaseId, Candidate, ComponentId, StreamId, TransportAddress};

use crate::{error::ServerError, interface::SkipReason, request::RequestFailure};

/// What a gatherer reports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A candidate is known, or is one of the generation that has begun ([`Config::relisted`](crate::Config::relisted)).
    Candidate {
        /// The data stream it is for.
        stream: StreamId,
        /// The candidate, with its component.
        candidate: Candidate,
        /// Its base: where checks for it leave from. A server-reflexive candidate shares it with its host
        /// candidate.
        base: BaseId,
    },
    /// A base is gone with its interface address or component, and its candidates with it (RFC 8445 §5.1.1.4).
    BaseGone {
        /// The base.
        base: BaseId,
    },
    /// An address of this host is not used.
    InterfaceSkipped {
        /// Name of the interface.
        name: Box<str>,
        /// The address.
        ip: IpAddr,
        /// Why.
        reason: SkipReason,
    },
    /// The driver could give no socket for a host candidate.
    HostFailed {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The address that was to be bound.
        local: TransportAddress,
        /// Why.
        failure: RequestFailure,
    },
    /// A server gave no candidate, or not for one address of this host. The other jobs go on.
    ServerFailed {
        /// Its place in [`Config::servers`](crate::Config::servers).
        server: usize,
        /// The address of this host it was asked from; `None`: it could not be asked at all.
        local: Option<IpAddr>,
        /// The address of the server that was asked.
        address: Option<TransportAddress>,
        /// Why.
        error: ServerError,
    },
    /// There would have been more. Binding jobs and allocations that are held back begin when others have failed
    /// or have no answer.
    LimitReached(Limit),
    /// The credentials of a TURN server with allocations are about to run out, as [`Server::until`](crate::Server::until) has
    /// it, or it does not take them any more. Said again after a minute at the soonest.
    /// [`Self::Turn`] says the latter of an allocation that is one of [`Gatherer::replaced`](crate::Gatherer::replaced) alone.
    CredentialsWanted {
        /// Its place in [`Config::servers`](crate::Config::servers).
        server: usize,
    },
    /// What an allocation reports after it was made.
    Turn(BaseId, floe_turn::Event),
    /// This many reports (skips and failures, never candidates) were lost because nobody read them.
    EventsLost(u32),
    /// [`Config::deadline`](crate::Config::deadline) has passed, and some of what was asked is not answered. What
    /// is known by now was reported before; more may come.
    DeadlinePassed,
    /// Every job has ended, [`Config::patience`](crate::Config::patience) is over or
    /// [`Gatherer::conclude`](crate::Gatherer::conclude) was called.
    Complete,
}

/// A limit of [`Limits`](crate::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Sockets for host candidates.
    Hosts,
    /// Binding jobs.
    Reflexive,
    /// Allocations.
    Relays,
    /// Candidates.
    Candidates,
}
