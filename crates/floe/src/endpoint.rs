//! Where agents live: sockets, clock, driver.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use floe_agent::{AgentKey, ForkError};
use floe_pair::TransportAddress;

use crate::{
    config::Config,
    driver::Driver,
    error::{AgentError, EndpointError},
    handle::Agent,
    interfaces::{ListInterfaces, SystemInterfaces},
    session::Session,
    shared::{EndpointStats, Life, Shared},
    socket::Socket,
};

/// Tries at a user fragment that no agent of the endpoint has. One in 2^48 is taken by each that lives.
const MOST_DRAWS: usize = 4;

/// Where agents live: their sockets, their clock and the one task that drives them all.
///
/// Cheap to clone. The task ends when the last handle on the endpoint, its agents and their connections is gone
/// and every agent has given back what it had.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = floe::Endpoint::new().await?;
/// let agent = endpoint.agent(floe::Config::controlling())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

/// Lives as long as any handle.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
}

/// Settings of an [`Endpoint`].
#[must_use]
pub struct Builder {
    shared: Vec<SocketAddr>,
    lister: Arc<dyn ListInterfaces>,
}

impl Builder {
    /// Has all agents share one UDP port at this address; port 0 lets the system choose. For both families call
    /// it twice, with `0.0.0.0` and `[::]`: an IPv6 socket takes no IPv4 here. Without any, each agent has a
    /// socket of its own on every interface.
    ///
    /// Allocations have sockets of their own in any case, and so has each component of an agent after its first.
    pub fn shared(mut self, address: SocketAddr) -> Self {
        self.shared.push(address);
        self
    }

    /// Asks this for the addresses of the host, in place of the operating system.
    pub fn interfaces(mut self, lister: impl ListInterfaces + 'static) -> Self {
        self.lister = Arc::new(lister);
        self
    }

    /// Opens the shared sockets, looks at the interfaces and starts the driver.
    ///
    /// # Errors
    /// [`EndpointError`].
    ///
    /// # Panics
    /// In a tokio runtime without I/O.
    pub async fn build(self) -> Result<Endpoint, EndpointError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| EndpointError::NoRuntime)?;
        let mut sockets = vec![];
        for address in self.shared {
            let socket = Socket::bind(TransportAddress::from(address))
                .map_err(|error| EndpointError::Bind { address, error })?;
            sockets.push(socket);
        }
        let addresses = sockets.iter().map(|socket| socket.local().socket_addr()).collect();
        let shared = Arc::new(Shared::new(runtime.clone(), self.lister));
        // Where nothing can be said of them yet, the first agent has them listed again.
        let _ = shared.list_interfaces().await;
        let driver = Driver::new(&shared, sockets);
        runtime.spawn(driver.run());
        Ok(Endpoint { inner: Arc::new(Inner { shared, addresses }) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint whose agents have sockets of their own, one for each address of the host.
    ///
    /// # Errors
    /// [`EndpointError::NoRuntime`].
    ///
    /// # Panics
    /// In a tokio runtime without I/O.
    pub async fn new() -> Result<Self, EndpointError> {
        Self::builder().build().await
    }

    /// An endpoint whose agents share one UDP port; see [`Builder::shared`].
    ///
    /// # Errors
    /// [`EndpointError`].
    ///
    /// # Panics
    /// In a tokio runtime without I/O.
    pub async fn shared(address: SocketAddr) -> Result<Self, EndpointError> {
        Self::builder().shared(address).build().await
    }

    /// An endpoint with other settings.
    pub fn builder() -> Builder {
        Builder { shared: vec![], lister: Arc::new(SystemInterfaces) }
    }

    /// The addresses of the shared sockets, in the order of [`Builder::shared`].
    pub fn shared_addresses(&self) -> &[SocketAddr] {
        &self.inner.addresses
    }

    /// Makes an agent, which begins to gather candidates.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn agent(&self, config: Config) -> Result<Agent, AgentError> {
        let shared = &self.inner.shared;
        let mut config = config.agent;
        config.gathering.relisted = true;
        let streams = config.streams.clone();
        let is_drawn = config.credentials.is_none();
        for _ in 0..MOST_DRAWS {
            // RFC 8445 §5.3, RFC 7675 §5.1: whoever could guess the seed could speak for the agent.
            getrandom::fill(&mut config.seed.0).map_err(AgentError::Randomness)?;
            let agent = floe_agent::Agent::new(config.clone()).map_err(AgentError::Config)?;
            let local = agent.local_parameters().clone();
            let session = Arc::new(Session::new(local.ufrag.as_str(), &streams));
            match insert(shared, agent, &session, is_drawn)? {
                Some((key, wants_list)) => {
                    if wants_list {
                        shared.list_soon();
                    }
                    shared.wake.notify_one();
                    return Ok(Agent::new(Arc::clone(&self.inner), key, local, session));
                }
                None if is_drawn => {}
                None => break,
            }
        }
        Err(AgentError::UfragInUse)
    }

    /// Lists the addresses of this host now, and tells every agent which ones have come and which have gone. To be called
    /// when the platform says that its network has changed; nothing here watches for that. Otherwise the addresses are
    /// listed when an agent is made, forked or restarted.
    ///
    /// What is gone is used no more. What has come becomes candidates, which are told as events unless the end of
    /// candidates was told before (RFC 8838 §13), and pairs: the peer learns of them by checks. An agent that has its
    /// selected pairs moves to a better new address by itself with [`Config::renomination`] only. Without, it checks host
    /// candidates that would be better, and [`Event::RestartSuggested`](crate::Event::RestartSuggested) tells of those that
    /// work; [`Agent::restart`] moves to them, and asks servers from the new addresses (RFC 8445 §8.1.1).
    ///
    /// # Errors
    /// What [`ListInterfaces::list`] says, or that it panicked or the runtime has ended: agents keep the addresses they
    /// know.
    ///
    /// # Cancel safety
    /// The agents are told all the same.
    pub async fn refresh_interfaces(&self) -> io::Result<()> {
        self.inner.shared.list_now().await
    }

    /// What the endpoint has seen.
    pub fn stats(&self) -> EndpointStats {
        let state = self.inner.shared.state();
        EndpointStats { agents: state.sessions.len(), sockets: state.sockets.len(), ..state.counts }
    }

    /// Closes every agent and makes no new ones. Returns at once; [`Endpoint::closed`] waits for the rest.
    pub fn close(&self) {
        let shared = &self.inner.shared;
        let keys: Vec<_> = {
            let mut state = shared.state();
            if state.life == Life::Open {
                state.life = Life::Closing;
            }
            state.sessions.keys().copied().collect()
        };
        for key in keys {
            shared.close(key);
        }
        shared.wake.notify_one();
    }

    /// Waits until the endpoint was closed and everything was given back, at most some 3 s after
    /// [`Endpoint::close`].
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn closed(&self) {
        // The sender lives in `shared`: it cannot be gone.
        let _ = self.inner.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("shared_addresses", &self.shared_addresses())
            .field("stats", &self.stats())
            .finish()
    }
}

impl Inner {
    /// Makes another agent with the parameters and sockets of one there is.
    pub(crate) fn fork(self: &Arc<Self>, of: AgentKey) -> Result<Agent, AgentError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(AgentError::Randomness)?;
        let shared = &self.shared;
        let (key, local, session, wants_list) = {
            let mut state = shared.state();
            if state.life != Life::Open {
                return Err(AgentError::Closed);
            }
            let now = shared.clock.now();
            let key = state.hub.fork(now, of, seed).map_err(|error| match error {
                ForkError::Config(error) => AgentError::Config(error),
                _ => AgentError::Closed,
            })?;
            let agent = state.hub.agent(key).ok_or(AgentError::Closed)?;
            let local = agent.local_parameters().clone();
            let streams: Vec<_> = agent.components().map(|(stream, id)| (stream, vec![id])).collect();
            let session = Arc::new(Session::new(local.ufrag.as_str(), &streams));
            state.sessions.insert(key, Arc::clone(&session));
            (key, local, session, state.gather(now, key))
        };
        if wants_list {
            shared.list_soon();
        }
        shared.wake.notify_one();
        Ok(Agent::new(Arc::clone(self), key, local, session))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // No agent has a handle any more either: those that are left are closing.
        let mut state = self.shared.state();
        if state.life == Life::Open {
            state.life = Life::Closing;
        }
        drop(state);
        self.shared.wake.notify_one();
    }
}

/// Takes an agent in, unless its user fragment is taken; says whether the interfaces are to be listed.
fn insert(
    shared: &Shared,
    agent: floe_agent::Agent,
    session: &Arc<Session>,
    is_drawn: bool,
) -> Result<Option<(AgentKey, bool)>, AgentError> {
    let mut state = shared.state();
    if state.life != Life::Open {
        return Err(AgentError::Closed);
    }
    // One that an agent was restarted with; what is drawn meets none in 2^48.
    let is_taken = !is_drawn && state.is_ufrag_taken(&agent.local_parameters().ufrag, None);
    if is_taken || !state.ufrags.insert(session.ufrag.clone()) {
        return Ok(None);
    }
    let key = state.hub.insert(agent);
    state.sessions.insert(key, Arc::clone(session));
    let wants_list = state.gather(shared.clock.now(), key);
    Ok(Some((key, wants_list)))
}
