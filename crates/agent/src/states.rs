//! The states of data streams and components, over all generations.

use floe_pair::{ComponentId, StreamId};

use crate::{
    agent::{Agent, Component, Life},
    event::{Event, State},
};

/// Whether data of a component can be sent, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ComponentState {
    /// Not yet: no pair is valid, or with a lite agent not one for each component of the stream (RFC 8445 §12.1.1).
    Connecting,
    /// Data can be sent (RFC 8445 §12.1), by the generation in force or by an earlier one. Consent that has ended at rest
    /// ([`ConsentConfig::suspend`](floe_check::ConsentConfig::suspend)) is asked for again by sending.
    Connected,
    /// Consent has ended (RFC 7675 §5.1). A restart leads out of it.
    ConsentLost,
    /// Its data stream has failed (RFC 8445 §7.2.5.4), be it for another component: nothing is sent for any of it. Or it
    /// joined a running stream and came to nothing, and the others go on. A restart leads out of it.
    Failed,
    /// The peer has no such component (RFC 8445 §6.1.2.2), as far as it has told.
    Absent,
    /// [`Agent::close`] was called.
    Closed,
}

impl Agent {
    /// The state of a data stream; `None` where there is no such stream. Of several generations the one in force counts,
    /// as in [`Agent::state`]; while it has no pairs of its own, what carries data does.
    pub fn stream_state(&self, stream: StreamId) -> Option<State> {
        let state = self.checks.stream_state(stream)?;
        if self.life != Life::Open {
            return Some(State::Closed);
        }
        Some(self.fold(state, |component| component.stream == stream))
    }

    /// Whether data of a component can be sent; `None` where there is no such component. Where no generation has a pair
    /// that carries data, the one in force tells why; whether the peer has the component, the newest one that it has told
    /// its parameters of.
    pub fn component_state(&self, stream: StreamId, component: ComponentId) -> Option<ComponentState> {
        self.component(stream, component)?;
        if self.life != Life::Open {
            return Some(ComponentState::Closed);
        }
        if self.route(stream, component).is_some() {
            return Some(ComponentState::Connected);
        }
        let told = self.all_checks().find(|checks| checks.remote_parameters().is_some());
        let failed = || self.checks.has_failed(stream, component);
        Some(if told.unwrap_or(&self.checks).is_absent(stream, component) {
            ComponentState::Absent
        } else if self.checks.is_consent_lost(stream, component) {
            ComponentState::ConsentLost
        } else if !self.stale && failed() {
            ComponentState::Failed
        } else {
            // Also where something was told that has yet to be acted upon: it may be the candidate that works.
            ComponentState::Connecting
        })
    }

    /// The state of some components as the user sees it. A generation without pairs has that of what carries data,
    /// where a component does not count that the peer has not, or had not before.
    pub(crate) fn fold(&self, state: floe_check::State, of: impl Fn(&Component) -> bool) -> State {
        match shown(state) {
            State::New | State::Checking if self.generations.had_peer() => {
                let heard = |component: &Component| self.is_heard(component.stream, component.id);
                // RFC 8445 §6.1.2.2: what the peer had not is not missed before it is known whether it has it now.
                let absent =
                    |part: &Component| self.all_checks().any(|checks| checks.is_absent(part.stream, part.id));
                let mut counted = self.components.iter().filter(|part| of(part) && !absent(part));
                if counted.all(heard) { State::Connected } else { State::Checking }
            }
            state => state,
        }
    }

    /// A data stream whose state is another than was told. `state` is that of the agent.
    pub(crate) fn stream_news(&mut self, state: State) -> Option<Event> {
        if self.life != Life::Open {
            return None;
        }
        let (stream, state) = match self.components.as_slice() {
            // What is usual, without a search.
            [only] => (only.told != state).then_some((only.stream, state)),
            all => {
                let mut before = None;
                let mut firsts = all.iter().filter(|part| before.replace(part.stream) != Some(part.stream));
                firsts.find_map(|part| {
                    let state = self.stream_state(part.stream)?;
                    (part.told != state).then_some((part.stream, state))
                })
            }
        }?;
        for part in self.components.iter_mut().filter(|part| part.stream == stream) {
            part.told = state;
        }
        Some(Event::StreamState { stream, state })
    }
}

/// The state of checks in the user's words.
pub(crate) const fn shown(state: floe_check::State) -> State {
    match state {
        floe_check::State::New => State::New,
        floe_check::State::Checking => State::Checking,
        floe_check::State::Connected => State::Connected,
        floe_check::State::Completed => State::Completed,
        floe_check::State::Disconnected => State::Disconnected,
        floe_check::State::Failed => State::Failed,
    }
}
