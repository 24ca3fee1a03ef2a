//! What agents ask of the driver: sockets and names.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use floe_agent::AgentKey;
use floe_gather::{Answer, Request, RequestFailure, RequestId};
use floe_pair::{Place, TransportAddress};
use tokio::sync::Semaphore;

use super::Driver;
use crate::{
    shared::{Shared, State},
    socket::Socket,
};

/// Longest look-up of a name. A dead resolver needs 5 s a try by default; gathering does not wait longer than one.
const LOOKUP: Duration = Duration::from_secs(5);
/// Look-ups at a time in the process: each blocks a thread of the runtime. Further ones wait their turn within
/// their own time.
const MOST_LOOKUPS: usize = 16;
/// Addresses of a name that are handed on.
const MOST_ADDRESSES: usize = 16;

static LOOKUPS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MOST_LOOKUPS));

impl Driver {
    /// Meets a request; says whether it was answered already.
    pub(super) fn request(&mut self, state: &mut State, key: AgentKey, request: Request) -> bool {
        let now = self.shared.clock.now();
        let (id, answer) = match request {
            Request::BindUdp { id, local, shareable } => (id, self.bind(state, key, local, shareable)),
            Request::Resolve { id, name, port } => {
                self.resolve(key, id, name, port);
                return false;
            }
            Request::Close { socket } => {
                // One that all agents share stays. The hub passes on what nobody uses any more.
                if self.sockets.get(&socket).is_some_and(|entry| entry.owner.is_some()) {
                    self.remove_socket(state, socket);
                }
                return false;
            }
            other => match other.id() {
                Some(id) => (id, Answer::Failed(RequestFailure::Unsupported)),
                None => return false,
            },
        };
        state.hub.handle_answer(now, key, id, answer);
        true
    }

    fn bind(&mut self, state: &mut State, key: AgentKey, local: TransportAddress, shareable: bool) -> Answer {
        if shareable && !self.common.is_empty() {
            let Some((socket, found)) = state.serving(&self.common, local.ip()) else {
                return Answer::Failed(RequestFailure::AddressNotAvailable);
            };
            // A peer tells two components of an agent apart by their ports alone: the second has its own.
            let place = Place { socket, local_ip: local.ip() };
            if state.hub.agent(key).is_some_and(|agent| !agent.is_at(place)) {
                let local = TransportAddress::new(local.ip(), found.local().port()).with_scope(local.scope());
                return Answer::Bound { socket, local };
            }
        }
        match Socket::bind(local) {
            Ok(socket) => {
                let local = socket.local();
                let socket = self.add_socket(state, socket, Some(key));
                Answer::Bound { socket, local }
            }
            Err(error) => Answer::Failed(failure(&error)),
        }
    }

    fn resolve(&self, key: AgentKey, id: RequestId, name: Box<str>, port: u16) {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(async move {
            let answer = match tokio::time::timeout(LOOKUP, lookup(&name, port)).await {
                Ok(answer) => answer,
                Err(_) => Answer::Failed(RequestFailure::TimedOut),
            };
            answer_late(&shared, key, id, answer);
        });
    }
}

async fn lookup(name: &str, port: u16) -> Answer {
    let Ok(_permit) = LOOKUPS.acquire().await else {
        return Answer::Failed(RequestFailure::Other);
    };
    match tokio::net::lookup_host((name, port)).await {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = vec![];
            for ip in found.map(|address| address.ip().to_canonical()) {
                if !addresses.contains(&ip) && addresses.len() < MOST_ADDRESSES {
                    addresses.push(ip);
                }
            }
            if addresses.is_empty() {
                return Answer::Failed(RequestFailure::NotFound);
            }
            Answer::Resolved(addresses)
        }
        // The resolver's own errors have no kind: the name was not found, or nobody could be asked.
        Err(error) => match failure(&error) {
            RequestFailure::Other => Answer::Failed(RequestFailure::NotFound),
            failure => Answer::Failed(failure),
        },
    }
}

fn answer_late(shared: &Shared, key: AgentKey, id: RequestId, answer: Answer) {
    let mut state = shared.state();
    let now = shared.clock.now();
    state.hub.handle_answer(now, key, id, answer);
    drop(state);
    shared.wake.notify_one();
}

fn failure(error: &io::Error) -> RequestFailure {
    match error.kind() {
        io::ErrorKind::AddrInUse => RequestFailure::AddressInUse,
        io::ErrorKind::AddrNotAvailable => RequestFailure::AddressNotAvailable,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => RequestFailure::Unreachable,
        io::ErrorKind::ConnectionRefused => RequestFailure::Refused,
        io::ErrorKind::NotFound => RequestFailure::NotFound,
        io::ErrorKind::PermissionDenied => RequestFailure::PermissionDenied,
        io::ErrorKind::TimedOut => RequestFailure::TimedOut,
        io::ErrorKind::Unsupported => RequestFailure::Unsupported,
        io::ErrorKind::OutOfMemory | io::ErrorKind::QuotaExceeded => RequestFailure::Exhausted,
        // EMFILE and ENFILE have no kind of their own.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => RequestFailure::Exhausted,
        _ => RequestFailure::Other,
    }
}
