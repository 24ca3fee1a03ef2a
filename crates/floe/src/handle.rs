//! A handle on one agent of an endpoint.

use std::{fmt, sync::Arc, time::Duration};

use floe_agent::{
    Added, AgentKey, ApiError, ComponentState, Event, PairId, Renomination, Report, State, Usage,
};
use floe_check::{PairReport, SelectedPair};
use floe_pair::{CandidateLine, ComponentId, Parameters, Pwd, Role, StreamId, TransportAddress, Ufrag};

use crate::{
    connection::Connection,
    credentials::{self, Preparation},
    endpoint::Inner,
    error::{AgentError, ConnectError, CredentialsChangeError},
    session::{LocalCandidate, Session},
    shared::{self, Shared},
};

/// A handle on one agent of an [`Endpoint`](crate::Endpoint).
///
/// Exchange [`Agent::local_parameters`] and the local candidates with the peer, and data flows through the
/// [`Connection`] of each component. The agent closes with [`Agent::close`], or when this handle and all its
/// connections are dropped; both return at once, and the endpoint gives back in the background what the agent had.
///
/// All methods may be called from any task, also while another waits for an event. No lock is held while code of
/// the application runs.
pub struct Agent {
    pub(crate) handle: Arc<Handle>,
    local: Parameters,
}

/// Lives as long as any handle on the agent or its connections.
pub(crate) struct Handle {
    inner: Arc<Inner>,
    key: AgentKey,
    session: Arc<Session>,
}

impl Handle {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn key(&self) -> AgentKey {
        self.key
    }

    /// Looks at the agent; `None` when it has ended.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&floe_agent::Agent) -> T) -> Option<T> {
        self.shared().state().hub.agent(self.key).map(look)
    }

    /// The selected pair; a closing agent has none, though it may still know it.
    pub(crate) fn selected(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.look(|agent| agent.selected(stream, component).filter(|_| agent.state() != State::Closed))
            .flatten()
    }

    pub(crate) fn close(&self) {
        self.shared().close(self.key);
    }

    /// Waits until `look` finds something.
    pub(crate) async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        self.session.until(look).await
    }

    /// Whether every component that counts can send, or why that will not be; `None` while it may come to that.
    fn connected(&self) -> Option<Result<(), ConnectError>> {
        use ComponentState::{Absent, Closed, Connected, ConsentLost, Failed};
        let states = |agent: &floe_agent::Agent| -> Vec<_> {
            agent.components().filter_map(|(stream, id)| agent.component_state(stream, id)).collect()
        };
        let states = self.look(states).unwrap_or(vec![Closed]);
        if states.contains(&Closed) {
            Some(Err(ConnectError::Closed))
        } else if states.contains(&Failed) {
            Some(Err(ConnectError::Failed))
        } else if states.contains(&ConsentLost) {
            Some(Err(ConnectError::ConsentLost))
        } else {
            states.iter().all(|state| matches!(state, Connected | Absent)).then_some(Ok(()))
        }
    }

    fn command<T>(
        &self,
        command: impl FnOnce(&mut floe_agent::Agent, floe_stun::Instant) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.command_if(|_| Ok(()), command)
    }

    /// The same where all agents of the endpoint together allow it; nothing comes between the question and the command.
    fn command_if<T>(
        &self,
        allowed: impl FnOnce(&shared::State) -> Result<(), ApiError>,
        command: impl FnOnce(&mut floe_agent::Agent, floe_stun::Instant) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let (result, list) = self.shared().command(self.key, |state, now| {
            allowed(state)?;
            let agent = state.hub.agent_mut(self.key).ok_or(ApiError::Closed)?;
            let before = agent.generation();
            let result = command(agent, now);
            let generation = agent.generation();
            if generation != before {
                self.session.renew(generation, |of| agent.parameters_of(of).is_some());
            }
            // A restart, also one that follows the peer's, gathers from the interfaces there are now.
            let list = before < generation && state.gather_again(self.key, true);
            Ok((result, list))
        })?;
        if list {
            self.shared().list_soon();
        }
        result
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Agent {
    pub(crate) fn new(inner: Arc<Inner>, key: AgentKey, local: Parameters, session: Arc<Session>) -> Self {
        Self { handle: Arc::new(Handle { inner, key, session }), local }
    }

    /// What to tell the peer: user fragment, password, ice-options, the proposal for Ta (RFC 8839 §5). A restart makes
    /// them others.
    pub fn local_parameters(&self) -> Parameters {
        self.handle.look(|agent| agent.local_parameters().clone()).unwrap_or_else(|| self.local.clone())
    }

    /// The same of one generation, while it lives: events name generations by number.
    pub fn parameters_of(&self, generation: u32) -> Option<Parameters> {
        self.handle.look(|agent| agent.parameters_of(generation).cloned()).flatten()
    }

    /// What the peer has told of the generation in force, once it has.
    pub fn remote_parameters(&self) -> Option<Parameters> {
        self.handle.look(|agent| agent.remote_parameters().cloned()).flatten()
    }

    /// The components, in the order in which they were added; none after the agent has ended.
    pub fn components(&self) -> Vec<(StreamId, ComponentId)> {
        self.handle.look(|agent| agent.components().collect()).unwrap_or_default()
    }

    /// Number of the generation in force: 0, and one more for each restart.
    pub fn generation(&self) -> u32 {
        self.handle.look(floe_agent::Agent::generation).unwrap_or_default()
    }

    /// Restarts ICE (RFC 8445 §9) and returns the new parameters, to be told to the peer; the candidates come again as
    /// events. Data goes on over the old pairs until new ones are selected, and while the peer does not answer.
    /// Interfaces are listed again first: the candidates are those of the addresses that are there by then, or, where they
    /// cannot be listed, of those known.
    ///
    /// Where a restart is unanswered already its parameters are returned, and the interfaces are listed too; an address that
    /// has come once [`Agent::gathered`] had returned is not told, and the peer learns of it by checks (RFC 8838 §13). Where
    /// the offer has not left yet, [`Agent::rollback`] and another restart make one with all addresses there are.
    ///
    /// Before the peer's first parameters have come this replaces the first offer, and the answer to the one it replaced
    /// is not to be handed in ([`floe_agent::Agent::restart`]).
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn restart(&self) -> Result<Parameters, ApiError> {
        let (local, again) = self.handle.command(|agent, now| {
            let again = agent.is_restarting();
            agent.restart(now)?;
            Ok((agent.local_parameters().clone(), again))
        })?;
        if again && self.handle.shared().state().gather_again(self.handle.key, false) {
            self.handle.shared().list_soon();
        }
        Ok(local)
    }

    /// The same with credentials of the application, which must be as hard to guess as those drawn.
    ///
    /// # Errors
    /// [`ApiError::SameCredentials`] where one of both is like before, [`ApiError::UfragTooLong`],
    /// [`ApiError::UfragInUse`] where another agent of the endpoint has the user fragment, [`ApiError::RestartPending`]
    /// while another restart is unanswered, [`ApiError::Closed`].
    pub fn restart_with(&self, ufrag: Ufrag, pwd: Pwd) -> Result<Parameters, ApiError> {
        let handle = &self.handle;
        let wanted = ufrag.clone();
        let is_free = |state: &shared::State| {
            let taken = state.is_ufrag_taken(&wanted, Some(handle.key));
            if taken { Err(ApiError::UfragInUse) } else { Ok(()) }
        };
        handle.command_if(is_free, |agent, now| {
            agent.restart_with(now, ufrag, pwd)?;
            Ok(agent.local_parameters().clone())
        })
    }

    /// Whether a restart of this agent is not answered yet.
    pub fn is_restarting(&self) -> bool {
        self.handle.look(floe_agent::Agent::is_restarting).unwrap_or_default()
    }

    /// Gives up a restart that the peer has not taken ([`floe_agent::Agent::rollback`]).
    ///
    /// # Errors
    /// [`ApiError::NoRestart`] where no restart waits for its answer, [`ApiError::Closed`].
    pub fn rollback(&self) -> Result<(), ApiError> {
        self.handle.command(floe_agent::Agent::rollback)
    }

    /// What the peer told (RFC 8839 §5). Candidates of the peer may be added before it. Other parameters than before
    /// answer a restart of this agent, or are one of the peer, which this agent follows: [`Event::Restarted`] says so,
    /// and [`Agent::local_parameters`] are the answer.
    ///
    /// # Errors
    /// [`ApiError::ParametersChanged`] and [`ApiError::OldGeneration`] for what is no restart, [`ApiError::Closed`].
    pub fn set_remote_parameters(&self, parameters: Parameters) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.set_remote_parameters(now, parameters))
    }

    /// A candidate of the peer for the first data stream there is, parsed from its text (RFC 8839 §5.1).
    ///
    /// # Errors
    /// [`ApiError`] where the call does not fit the agent. A candidate of no use is no error: see [`Added`].
    pub fn add_remote_candidate(&self, line: &CandidateLine) -> Result<Added, ApiError> {
        self.add_remote_candidate_to(self.handle.session.first().stream, line)
    }

    /// A candidate of the peer for any data stream.
    ///
    /// # Errors
    /// As [`Agent::add_remote_candidate`], and [`ApiError::NoSuchStream`].
    pub fn add_remote_candidate_to(&self, stream: StreamId, line: &CandidateLine) -> Result<Added, ApiError> {
        self.handle.command(|agent, now| agent.add_remote_candidate(now, stream, line))
    }

    /// The peer has no more candidates for any data stream (RFC 8838 §14).
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn remote_gathering_complete(&self) -> Result<(), ApiError> {
        self.remote_gathering_complete_of(None).map(drop)
    }

    /// The same for the generation with this user fragment of the peer; `None` means the newest.
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn remote_gathering_complete_of(&self, ufrag: Option<&Ufrag>) -> Result<Added, ApiError> {
        self.handle.command(|agent, now| agent.remote_gathering_complete_of(now, ufrag))
    }

    /// The peer has no more candidates for one data stream, in the generation with this user fragment; `None` means the
    /// newest.
    ///
    /// # Errors
    /// [`ApiError::NoSuchStream`], [`ApiError::Closed`].
    pub fn remote_stream_complete(&self, stream: StreamId, ufrag: Option<&Ufrag>) -> Result<Added, ApiError> {
        self.handle.command(|agent, now| agent.remote_stream_complete(now, stream, ufrag))
    }

    /// Adds a component, and its data stream if it is the first there. Returns its connection. No restart is needed
    /// ([`floe_agent::Agent::add_component`]).
    ///
    /// # Errors
    /// [`ApiError::ComponentGap`] where the component before it is not there, [`ApiError::TooManyStreams`],
    /// [`ApiError::Closed`].
    pub fn add_component(&self, stream: StreamId, component: ComponentId) -> Result<Connection, ApiError> {
        let session = &self.handle.session;
        self.handle.command(|agent, now| {
            agent.add_component(now, stream, component)?;
            session.add(stream, component, agent.is_gathering());
            Ok(())
        })?;
        self.connection_of(stream, component).ok_or(ApiError::Closed)
    }

    /// Removes a component with its sockets, allocations and connections: for RTCP that is multiplexed.
    ///
    /// # Errors
    /// [`ApiError::NoSuchComponent`], [`ApiError::LastComponent`] where the agent has no other,
    /// [`ApiError::ComponentGap`] where it is not the last of its data stream, [`ApiError::Closed`].
    pub fn remove_component(&self, stream: StreamId, component: ComponentId) -> Result<(), ApiError> {
        let session = &self.handle.session;
        self.handle.command(|agent, now| {
            agent.remove_component(now, stream, component)?;
            session.remove(|of, id| of == stream && id == component);
            Ok(())
        })
    }

    /// Removes a data stream with all its components: for streams that are bundled or rejected.
    ///
    /// # Errors
    /// [`ApiError::NoSuchStream`], [`ApiError::LastComponent`], [`ApiError::Closed`].
    pub fn remove_stream(&self, stream: StreamId) -> Result<(), ApiError> {
        let session = &self.handle.session;
        self.handle.command(|agent, now| {
            agent.remove_stream(now, stream)?;
            session.remove(|of, _| of == stream);
            Ok(())
        })
    }

    /// Makes another agent for a further answer to the offer of this one: with the same parameters and the same host
    /// candidates, and an allocation of its own ([`floe_agent::Agent::fork`]).
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn fork(&self) -> Result<Self, AgentError> {
        self.handle.inner.fork(self.handle.key)
    }

    /// Prefers a pair to those of lower rank ([`floe_agent::Agent::rank`]). Ids of pairs are in [`Agent::pairs`].
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn rank(&self, pair: PairId, rank: i32) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.rank(now, pair, rank))
    }

    /// Never nominates a pair, or takes that back ([`floe_agent::Agent::veto`]).
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn veto(&self, pair: PairId, vetoed: bool) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.veto(now, pair, vetoed))
    }

    /// Stays on a pair as long as it lives, or takes that back ([`floe_agent::Agent::pin`]).
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn pin(&self, pair: PairId, pinned: bool) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.pin(now, pair, pinned))
    }

    /// Keeps a valid pair though it is not selected, or takes that back ([`floe_agent::Agent::keep`]).
    ///
    /// # Errors
    /// [`ApiError::TooManyKept`], [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn keep(&self, pair: PairId, kept: bool) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.keep(now, pair, kept))
    }

    /// Takes another user name and password for a TURN server, by its number among those of the configuration, for all that it
    /// is asked for from now on ([`floe_agent::Agent::set_credentials`]). Where it is known how long they last,
    /// [`Event::CredentialsWanted`] asks for others a minute before that.
    ///
    /// # Errors
    /// [`CredentialsChangeError`]; it never shows the password.
    pub fn set_credentials(
        &self,
        server: usize,
        username: &str,
        password: &str,
        lifetime: Option<Duration>,
    ) -> Result<(), CredentialsChangeError> {
        self.set_credentials_prepared(server, username, password, lifetime, Preparation::OpaqueString)
    }

    /// As [`Agent::set_credentials`], for a server that prepares user names and passwords in another way.
    ///
    /// # Errors
    /// [`CredentialsChangeError`]; it never shows the password.
    pub fn set_credentials_prepared(
        &self,
        server: usize,
        username: &str,
        password: &str,
        lifetime: Option<Duration>,
        preparation: Preparation,
    ) -> Result<(), CredentialsChangeError> {
        let credentials = credentials::prepare(username, password, preparation)
            .map_err(CredentialsChangeError::Preparation)?;
        let set = |agent: &mut floe_agent::Agent, now: floe_stun::Instant| {
            agent.set_credentials(now, server, &credentials, lifetime.map(|lifetime| now.after(lifetime)))
        };
        self.handle.command(set).map_err(CredentialsChangeError::Agent)
    }

    /// Nominates a pair ([`floe_agent::Agent::nominate`]).
    ///
    /// # Errors
    /// [`ApiError::Nominate`] where the rules do not allow it, [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn nominate(&self, pair: PairId) -> Result<(), ApiError> {
        self.handle.command(|agent, now| agent.nominate(now, pair))
    }

    /// Whether the choice of a component's pair is provisional, because both agents are lite and have not agreed yet
    /// ([`floe_agent::Agent::is_provisional`]).
    pub fn is_provisional(&self, stream: StreamId, component: ComponentId) -> bool {
        self.handle.look(|agent| agent.is_provisional(stream, component)).unwrap_or_default()
    }

    /// Two lite agents have agreed on a pair for a component, by an updated exchange of candidates
    /// ([`floe_agent::Agent::reconcile`]): this is its local and its remote address. False where there is no such pair,
    /// or nothing to agree upon.
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn reconcile(
        &self,
        stream: StreamId,
        component: ComponentId,
        local: TransportAddress,
        remote: TransportAddress,
    ) -> Result<bool, ApiError> {
        self.handle.command(|agent, now| agent.reconcile(now, stream, component, local, remote))
    }

    /// The next event; `None` after [`Event::Closed`]. Up to [`EVENT_QUEUE`](crate::EVENT_QUEUE) wait; then the
    /// oldest go and [`Event::EventsLost`] says how many. States are also there to be looked at.
    ///
    /// # Cancel safety
    /// No event is lost.
    pub async fn event(&self) -> Option<Event> {
        self.handle.session.event().await
    }

    /// Waits until gathering is complete, but no longer than its deadline (5 s by default), and returns the local
    /// candidates of the generation in force known by then: for signalling that does not trickle.
    /// [`Event::LocalCandidate`] has each as soon as it is known, and [`Event::GatheringComplete`] tells whether more
    /// may come.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn gathered(&self) -> Vec<LocalCandidate> {
        self.handle.session.gathered().await
    }

    /// Waits until every component can send data, and returns the connection of the first. Components that the peer does
    /// not have are not waited for, nor those that are removed meanwhile. It is asked how things stand, not what they have
    /// been: after consent was lost this says so, and after a restart it waits for the new pairs, unless the ones before
    /// still carry data.
    ///
    /// # Errors
    /// [`ConnectError::Failed`] as soon as one data stream has failed, or a component that joined a running one has come to
    /// nothing; [`ConnectError::ConsentLost`] as soon as one component has lost its path; the connections of the others
    /// ([`Agent::connection_of`]) work on.
    /// [`ConnectError::Closed`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn connected(&self) -> Result<Connection, ConnectError> {
        self.handle.until(|| self.handle.connected()).await?;
        Ok(self.connection())
    }

    /// The connection of the first component of the first data stream there is; it need not be connected yet.
    pub fn connection(&self) -> Connection {
        Connection::new(Arc::clone(&self.handle), self.handle.session.first())
    }

    /// The connection of any component; `None` where the agent has no such component.
    pub fn connection_of(&self, stream: StreamId, component: ComponentId) -> Option<Connection> {
        let component = self.handle.session.component(stream, component)?;
        Some(Connection::new(Arc::clone(&self.handle), component))
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.handle.look(floe_agent::Agent::state).unwrap_or(State::Closed)
    }

    /// The state of a data stream; `None` where there is no such stream, and after the agent has ended. One that has
    /// failed shows in [`Agent::state`] only when all have ([`floe_agent::Agent::stream_state`]).
    pub fn stream_state(&self, stream: StreamId) -> Option<State> {
        self.handle.look(|agent| agent.stream_state(stream)).flatten()
    }

    /// Whether data of a component can be sent, and if not, why; `None` where there is no such component, and after the
    /// agent has ended.
    pub fn component_state(&self, stream: StreamId, component: ComponentId) -> Option<ComponentState> {
        self.handle.look(|agent| agent.component_state(stream, component)).flatten()
    }

    /// The role now; `None` after the agent has ended.
    pub fn role(&self) -> Option<Role> {
        self.handle.look(floe_agent::Agent::role)
    }

    /// The selected pair of a component (RFC 8445 §8.1.1).
    pub fn selected(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.handle.selected(stream, component)
    }

    /// All pairs with their states and counts.
    pub fn pairs(&self) -> Vec<PairReport> {
        self.handle.look(|agent| agent.pairs().collect()).unwrap_or_default()
    }

    /// Which form of renomination both agents have agreed upon ([`floe_agent::Agent::renomination`]).
    pub fn renomination(&self) -> Renomination {
        self.handle.look(floe_agent::Agent::renomination).unwrap_or_default()
    }

    /// How full the tables of the checks are; `None` after the agent has ended.
    pub fn usage(&self) -> Option<Usage> {
        self.handle.look(floe_agent::Agent::usage)
    }

    /// What the agent has done so far, and what was in the way; `None` after the agent has ended.
    pub fn report(&self) -> Option<Report> {
        self.handle.look(floe_agent::Agent::report)
    }

    /// Closes the agent: no data goes either way after this call. Returns at once; allocations are given back
    /// and sockets closed in the background, which [`Agent::closed`] waits for.
    pub fn close(&self) {
        self.handle.close();
    }

    /// Waits until the agent was closed and has given everything back, at most some 3 s after the call.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn closed(&self) {
        self.handle.session.ended().await;
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("key", &self.handle.key)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
