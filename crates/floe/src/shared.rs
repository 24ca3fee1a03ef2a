//! What the driver task and all handles of an endpoint share.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use floe_agent::{AgentKey, Hub};
use floe_gather::Interface;
use floe_pair::{SocketId, Ufrag};
use floe_stun::Instant;
use tokio::sync::{Notify, watch};

use crate::{clock::Clock, interfaces::ListInterfaces, session::Session, socket::Socket};

/// A list of interfaces is used for another agent without asking again for so long: making many agents
/// at once lists once.
const LIST_IS_FRESH: Duration = Duration::from_secs(1);

/// What the driver task and all handles of an endpoint share.
///
/// The lock is held for a call into the core and non-blocking system calls, never over an await and never
/// while code of the application runs.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Wakes the driver.
    pub(crate) wake: Arc<Notify>,
    pub(crate) ended: watch::Sender<bool>,
    lister: Arc<dyn ListInterfaces>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) hub: Hub,
    /// Every agent that has something left to do, closing ones too.
    pub(crate) sessions: BTreeMap<AgentKey, Arc<Session>>,
    /// User fragments of these agents: a check that arrives on a shared socket is told by them.
    pub(crate) ufrags: BTreeSet<Box<str>>,
    pub(crate) sockets: BTreeMap<SocketId, Arc<Socket>>,
    pub(crate) counts: EndpointStats,
    pub(crate) life: Life,
    /// Agents that were told something since the driver looked.
    pub(crate) commanded: BTreeSet<AgentKey>,
    interfaces: Interfaces,
}

/// What an endpoint has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EndpointStats {
    /// Agents now, those that are closing included.
    pub agents: usize,
    /// Sockets now.
    pub sockets: usize,
    /// Datagrams that belonged to no agent.
    pub unclaimed: u64,
    /// Datagrams that an agent had no use for.
    pub dropped: u64,
    /// Datagrams of the protocols that the kernel refused to send: facts about their paths, not errors.
    pub send_failures: u64,
    /// Receive calls that failed.
    pub receive_failures: u64,
    /// Datagrams of the protocols that were lost because the kernel took none for long.
    pub backlog_dropped: u64,
}

/// How far the endpoint's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    /// No new agents; the driver ends with the last.
    Closing,
    /// There is no driver.
    Ended,
}

#[derive(Default)]
struct Interfaces {
    list: Vec<Interface>,
    listed_at: Option<Instant>,
    is_listing: bool,
    /// They are to be listed once more: what is being listed may be older than what somebody wants to know.
    again: bool,
    /// How many times listing was begun, and which of them was the last to end.
    begun: u64,
    ended: u64,
    /// Agents that gather as soon as the list is there.
    waiting: BTreeSet<AgentKey>,
    /// Agents that were restarted, each with [`Self::begun`] of then: they wait for a list that is newer.
    restarted: BTreeMap<AgentKey, u64>,
}

impl Shared {
    pub(crate) fn new(runtime: tokio::runtime::Handle, lister: Arc<dyn ListInterfaces>) -> Self {
        Self {
            clock: Clock::new(),
            runtime,
            wake: Arc::new(Notify::new()),
            ended: watch::Sender::new(false),
            lister,
            state: Mutex::new(State {
                hub: Hub::new(),
                sessions: BTreeMap::new(),
                ufrags: BTreeSet::new(),
                sockets: BTreeMap::new(),
                counts: EndpointStats::default(),
                life: Life::Open,
                commanded: BTreeSet::new(),
                interfaces: Interfaces::default(),
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in the core panics; if something did, the other agents go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command on an agent and sees to it that the driver does what follows.
    pub(crate) fn command<T>(&self, key: AgentKey, command: impl FnOnce(&mut State, Instant) -> T) -> T {
        let done = {
            let mut state = self.state();
            // Read under the lock, so that the agents see time go forward only.
            let now = self.clock.now();
            state.commanded.insert(key);
            command(&mut state, now)
        };
        self.wake.notify_one();
        done
    }

    /// Closes an agent: data stops now, the rest is the driver's.
    pub(crate) fn close(&self, key: AgentKey) {
        {
            let mut state = self.state();
            if let Some(session) = state.sessions.get(&key) {
                session.close();
            }
            let now = self.clock.now();
            if let Some(agent) = state.hub.agent_mut(key) {
                agent.close(now);
            }
        }
        self.wake.notify_one();
    }

    /// Lists the interfaces in a task of its own.
    pub(crate) fn list_soon(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        // What goes wrong is for nobody: agents keep the addresses they know.
        self.runtime.spawn(async move { shared.list_interfaces().await.ok() });
    }

    /// Lists the interfaces, however fresh the list is, and tells all agents; goes on where nobody waits for it.
    pub(crate) async fn list_now(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let listed = self.runtime.spawn(async move { shared.list_interfaces().await });
        listed.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Lists the interfaces and tells all agents if there are others than before, or at least those that wait.
    pub(crate) async fn list_interfaces(self: &Arc<Self>) -> io::Result<()> {
        let lister = Arc::clone(&self.lister);
        let number = {
            let interfaces = &mut self.state().interfaces;
            interfaces.begun = interfaces.begun.saturating_add(1);
            interfaces.begun
        };
        // Code of the application may run in there: on a thread that may block, and panic.
        let done = self.runtime.spawn_blocking(move || lister.list()).await;
        let list = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        let mut state = self.state();
        let now = self.clock.now();
        let result = state.interfaces_listed(now, number, list);
        let again = std::mem::take(&mut state.interfaces.again);
        state.interfaces.is_listing = again;
        drop(state);
        self.wake.notify_one();
        if again {
            self.list_soon();
        }
        result
    }
}

impl State {
    /// Gives a new agent the list of interfaces, now or when it is there; says whether to list them again.
    #[must_use]
    pub(crate) fn gather(&mut self, now: Instant, key: AgentKey) -> bool {
        let interfaces = &mut self.interfaces;
        let is_fresh = interfaces.listed_at.is_some_and(|at| now.since(at) < LIST_IS_FRESH);
        if let Some(agent) = self.hub.agent_mut(key) {
            agent.gather(now);
            if is_fresh {
                agent.handle_interfaces(now, &interfaces.list);
                return false;
            }
        }
        interfaces.waiting.insert(key);
        !std::mem::replace(&mut interfaces.is_listing, true)
    }

    /// Tells an agent that was restarted the interfaces there are from now on, however fresh the list is (RFC 8445 §9: what
    /// a restart gathers is what there is now; a network changes in steps); says whether to list them. While they are
    /// being listed, that is done once more afterwards. `anew`: a generation has begun, which no list that is under way is
    /// for; otherwise one that it waits for already will do.
    #[must_use]
    pub(crate) fn gather_again(&mut self, key: AgentKey, anew: bool) -> bool {
        let interfaces = &mut self.interfaces;
        let begun = interfaces.begun;
        let after = interfaces.restarted.entry(key).or_insert(begun);
        if anew {
            *after = begun;
        }
        let is_listing = std::mem::replace(&mut interfaces.is_listing, true);
        interfaces.again |= is_listing;
        !is_listing
    }

    fn interfaces_listed(
        &mut self,
        now: Instant,
        number: u64,
        list: io::Result<Vec<Interface>>,
    ) -> io::Result<()> {
        let interfaces = &mut self.interfaces;
        let mut tell = std::mem::take(&mut interfaces.waiting);
        interfaces.restarted.retain(|key, begun| {
            let waits = number <= *begun;
            if !waits {
                tell.insert(*key);
            }
            waits
        });
        let result = list.map(|list| {
            // One that was begun before may end later, and is older.
            if interfaces.ended < number {
                (interfaces.ended, interfaces.listed_at) = (number, Some(now));
                if interfaces.list != list {
                    interfaces.list = list;
                    tell.extend(self.sessions.keys());
                }
            }
        });
        // RFC 8838 §13: who waits for a newer list would be complete with this one.
        tell.retain(|key| !interfaces.restarted.contains_key(key));
        for key in tell {
            if let Some(agent) = self.hub.agent_mut(key) {
                agent.handle_interfaces(now, &interfaces.list);
            }
        }
        result
    }

    /// Whether another agent than this one uses a user fragment.
    pub(crate) fn is_ufrag_taken(&self, ufrag: &Ufrag, except: Option<AgentKey>) -> bool {
        let mut others = self.sessions.keys().filter(|key| Some(**key) != except);
        others.any(|key| self.hub.agent(*key).is_some_and(|agent| agent.local_parameters().ufrag == *ufrag))
    }

    /// The socket that others share and that serves this address of the host.
    pub(crate) fn serving(&self, shared: &[SocketId], ip: IpAddr) -> Option<(SocketId, &Arc<Socket>)> {
        let mut sockets = shared.iter().filter_map(|id| Some((*id, self.sockets.get(id)?)));
        sockets.find(|(_, socket)| socket.serves(ip))
    }
}
