//! What an agent tells its user.

use alloc::{boxed::Box, collections::VecDeque};
use core::net::IpAddr;

use floe_pair::{Candidate, ComponentId, Role, StreamId, TransportAddress};

/// Events that wait to be read; a user that reads none for long loses the oldest and is told how many.
pub(crate) const MOST_EVENTS: usize = 1024;

/// What an agent tells its user. Data is no event: see [`Handled::Data`](crate::Handled::Data).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A candidate to send to the peer; never after [`Event::EndOfCandidates`] of its data stream, unless a component was
    /// added to it since ([`Agent::add_component`](crate::Agent::add_component)): one that is found then is used here
    /// nevertheless, but may not be signalled (RFC 8838 §13).
    LocalCandidate {
        /// The data stream it is for.
        stream: StreamId,
        /// The candidate.
        candidate: Candidate,
        /// The generation it is for: [`Agent::parameters_of`](crate::Agent::parameters_of) has its user fragment.
        generation: u32,
    },
    /// No more local candidates will come for this data stream in this generation: what to tell the peer as its end of
    /// candidates (RFC 8838 §13, RFC 8840 §4.4). Told once for each stream and generation, and again after a
    /// component was added to the stream ([`Agent::add_component`](crate::Agent::add_component)).
    EndOfCandidates {
        /// The data stream.
        stream: StreamId,
        /// The generation: [`Agent::parameters_of`](crate::Agent::parameters_of) has its user fragment.
        generation: u32,
    },
    /// Gathering is complete for every data stream there is, after [`Event::EndOfCandidates`] of each. Comes again where
    /// the agent has gathered again.
    GatheringComplete {
        /// The generation: [`Agent::parameters_of`](crate::Agent::parameters_of) has its user fragment.
        generation: u32,
    },
    /// ICE was restarted, by [`Agent::restart`](crate::Agent::restart) or because the peer did (RFC 8445 §9):
    /// [`Agent::local_parameters`](crate::Agent::local_parameters) are new and to be told to the peer, before the
    /// candidates, which come again. Data goes on over the old pairs until new ones are selected.
    Restarted {
        /// The new generation.
        generation: u32,
    },
    /// A restart was given up: this earlier generation is the current one again.
    RolledBack {
        /// The generation that is in force again.
        generation: u32,
    },
    /// The [`deadline`](floe_gather::Config::deadline) of gathering has passed, and some server has not answered yet.
    /// Who signals all candidates in one message does so now; others need not care.
    GatheringDeadline,
    /// The state of a data stream changed to this one ([`Agent::stream_state`](crate::Agent::stream_state)); also of the
    /// only one there is. One that fails while others live is told of by this event alone. Nothing is told of the streams
    /// of a closed agent.
    StreamState {
        /// The data stream.
        stream: StreamId,
        /// Its state; never [`State::Closed`].
        state: State,
    },
    /// The state of the agent changed to this one. Data streams that have failed do not count while others live
    /// (RFC 8445 §6.1.3): [`Event::StreamState`] tells of them.
    State(State),
    /// The agent has failed, after [`Event::State`] said so: what may be shown to anybody
    /// ([`Report::for_peer`](crate::Report::for_peer)). [`Agent::report`](crate::Agent::report) has the rest.
    Failed(Box<crate::Report>),
    /// A pair of a component became valid. Told for each pair; with the first data may flow, before nomination (RFC 8445
    /// §12.1).
    PairValid {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// A pair was selected for a component (RFC 8445 §8.1.1). Between two lite agents each choice is told, also while it is
    /// [provisional](crate::Agent::is_provisional).
    Selected {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The local candidate of the valid pair.
        local: Candidate,
        /// Its remote candidate.
        remote: Candidate,
    },
    /// The component's data goes over another pair than before, without a restart: told after [`Event::Selected`].
    Moved {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// Why.
        reason: floe_check::MoveReason,
    },
    /// A restart ([`Agent::restart`](crate::Agent::restart)) would bring a better pair, or one at all: without
    /// `renomination2` nothing else moves a selected pair (RFC 8445 §8.1.1). Told once for each reason, component and
    /// generation; [`RestartReason::Lost`](floe_check::RestartReason::Lost) once for each loss.
    RestartSuggested {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// Why.
        reason: floe_check::RestartReason,
    },
    /// [`Agent::path`](crate::Agent::path) has another answer now.
    PathChanged {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// The peer no longer consents to be sent to (RFC 7675 §5.1).
    ConsentLost {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// A role conflict was settled by changing to this role (RFC 8445 §7.3.1.1).
    RoleSwitched(Role),
    /// A server gave no candidate, or not from one address of this host.
    ServerFailed {
        /// Its place in the list of servers.
        server: usize,
        /// The address of this host it was asked from; `None`: it could not be asked at all.
        local: Option<IpAddr>,
        /// The address of the server.
        address: Option<TransportAddress>,
        /// Why.
        error: floe_gather::ServerError,
    },
    /// An address of this host is not used.
    InterfaceSkipped {
        /// Name of the interface.
        name: Box<str>,
        /// The address.
        ip: IpAddr,
        /// Why.
        reason: floe_gather::SkipReason,
    },
    /// The driver could give no socket on an address of this host.
    HostFailed {
        /// The address.
        local: TransportAddress,
        /// Why.
        failure: floe_gather::RequestFailure,
    },
    /// An allocation ended on the server's side (RFC 8656 §5); its candidate is gone.
    RelayLost {
        /// Why.
        reason: floe_turn::LostReason,
    },
    /// The peer was seen at an address that it has not signalled (RFC 8445 §7.3.1.3).
    RemoteLearned {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The address, without a zone: what it is compared with has none.
        address: TransportAddress,
    },
    /// The credentials of a TURN server are about to run out, as [`Server::until`](floe_gather::Server::until) has it, or it no
    /// longer takes them: [`Agent::set_credentials`](crate::Agent::set_credentials)
    /// gives others.
    CredentialsWanted {
        /// Its number among the configured ones.
        server: usize,
    },
    /// A limit of the checks was met, and the least of what there was went: it has this remote address.
    CheckLimit {
        /// Which limit.
        limit: floe_check::Limit,
        /// The data stream.
        stream: StreamId,
        /// Remote address of what went.
        remote: TransportAddress,
    },
    /// A limit of gathering was met: there would have been more.
    GatherLimit(floe_gather::Limit),
    /// This many events were lost because nobody read them.
    EventsLost(u32),
    /// The agent has given everything back. The last event.
    Closed,
}

/// State of an agent, over all its components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nothing to check yet.
    New,
    /// Checks are being made.
    Checking,
    /// Each component has a valid pair.
    Connected,
    /// Each component has a selected pair.
    Completed,
    /// The peer has not been heard for a while; the pair is kept. Or consent has ended (RFC 7675 §5.1), as
    /// [`Event::ConsentLost`] tells: then nothing is sent until there is another pair: by a restart, or with
    /// renomination by a nomination of the peer or a new base.
    Disconnected,
    /// No pair can become valid any more.
    Failed,
    /// [`Agent::close`](crate::Agent::close) was called.
    Closed,
}

/// Events in order, bounded.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: VecDeque<Event>,
    lost: u32,
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        if self.waiting.len() >= MOST_EVENTS {
            self.waiting.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.waiting.push_back(event);
    }

    /// Makes room for that many more at once: events are large, and to move them costs more than to make them.
    #[cold]
    pub(crate) fn expect(&mut self, more: usize) {
        self.waiting.reserve(more);
    }

    /// Whether there is nothing to tell.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.lost == 0
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        // The gap is before everything that is still here.
        if self.lost > 0 {
            return Some(Event::EventsLost(core::mem::take(&mut self.lost)));
        }
        self.waiting.pop_front()
    }

    /// Gives the memory back where nothing waits. An agent that is connected has nothing to say for hours, and events are
    /// large.
    #[inline]
    pub(crate) fn release_memory(&mut self) {
        if self.waiting.is_empty() && self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_go_and_are_counted() {
        let mut events = Events::default();
        for _ in 0..MOST_EVENTS {
            events.push(Event::GatheringComplete { generation: 0 });
        }
        events.push(Event::Closed);
        events.push(Event::Closed);
        assert!(matches!(events.pop(), Some(Event::EventsLost(2))));
        let rest = core::iter::from_fn(|| events.pop()).count();
        assert_eq!(rest, MOST_EVENTS);
    }
}
