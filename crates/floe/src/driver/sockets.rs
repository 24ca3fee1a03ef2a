//! The sockets of an endpoint: who wants to be read, what waits to be sent, who rests.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use floe_agent::{AgentKey, Transmit};
use floe_pair::SocketId;
use tokio::sync::Notify;

use super::{Driver, MOST_FAILURES, REST};
use crate::{
    shared::{EndpointStats, State},
    socket::{Datagram, Socket},
};

/// Datagrams of the protocols that wait for one socket. What an agent retransmits in half a second is less; older
/// ones are worth less than newer ones.
const MOST_WAITING: usize = 64;

/// The sockets that can be read or written: only they are looked at, however many there are.
pub(crate) struct Ready {
    sockets: Mutex<Vec<SocketId>>,
    wake: Arc<Notify>,
}

impl Ready {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self { sockets: Mutex::default(), wake }
    }

    /// Takes the ready ones; what was given, empty, takes their place, so that neither list is made again.
    pub(super) fn take(&self, mut list: Vec<SocketId>) -> Vec<SocketId> {
        list.clear();
        std::mem::replace(&mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner), list)
    }
}

/// Puts a socket among the ready ones.
pub(super) struct SocketWaker {
    id: SocketId,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl SocketWaker {
    /// Its turn has come: from now on it can be woken again.
    pub(super) fn taken(&self) {
        self.is_queued.store(false, Ordering::Release);
    }
}

impl Wake for SocketWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.ready.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
            self.ready.wake.notify_one();
        }
    }
}

/// What the driver knows of one socket.
pub(super) struct Entry {
    pub(super) socket: Arc<Socket>,
    /// Whose it is; `None` where all share it.
    pub(super) owner: Option<AgentKey>,
    pub(super) waker: Arc<SocketWaker>,
    /// The kernel takes none of these yet.
    waiting: VecDeque<Kept>,
    /// Receive calls that failed in a row.
    failures: u32,
}

/// A datagram of the protocols, in the driver's buffer.
pub(super) struct Packet<'a> {
    transmit: &'a Transmit,
    bytes: &'a [u8],
}

/// The same, with its own bytes.
struct Kept {
    transmit: Transmit,
    bytes: Box<[u8]>,
}

impl<'a> Packet<'a> {
    pub(super) fn new(transmit: &'a Transmit, buffer: &'a [u8]) -> Self {
        Self { transmit, bytes: buffer.get(..transmit.len).unwrap_or_default() }
    }

    pub(super) fn datagram(&self) -> Datagram<'a> {
        Datagram {
            source: self.transmit.from.local_ip,
            to: self.transmit.to,
            dscp: self.transmit.dscp,
            ecn: self.transmit.ecn,
            header: &[],
            payload: self.bytes,
            segment_bytes: None,
        }
    }
}

impl Entry {
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.waker))
    }

    /// Sends, or keeps it until the kernel takes it: a full buffer is no loss.
    pub(super) fn send(&mut self, packet: &Packet<'_>, counts: &mut EndpointStats) {
        if self.waiting.is_empty() {
            match self.socket.try_send(&packet.datagram()) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A fact about that path: its checks will not be answered, and that is how the agent learns.
                Err(_) => {
                    counts.send_failures = counts.send_failures.saturating_add(1);
                    return;
                }
            }
        }
        if self.waiting.len() >= MOST_WAITING {
            self.waiting.pop_front();
            counts.backlog_dropped = counts.backlog_dropped.saturating_add(1);
        }
        self.waiting.push_back(Kept { transmit: *packet.transmit, bytes: packet.bytes.into() });
        // Looks whether it became writable meanwhile, and asks to be told when not.
        self.flush(counts);
    }

    /// Sends what waits, as far as the kernel takes it.
    pub(super) fn flush(&mut self, counts: &mut EndpointStats) {
        let waker = self.waker();
        let mut cx = Context::from_waker(&waker);
        while let Some(kept) = self.waiting.front() {
            if self.socket.poll_writable(&mut cx).is_pending() {
                return;
            }
            let packet = Packet { transmit: &kept.transmit, bytes: &kept.bytes };
            match self.socket.try_send(&packet.datagram()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => counts.send_failures = counts.send_failures.saturating_add(1),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }
}

impl Driver {
    /// Takes a socket in and has it read.
    pub(super) fn add_socket(
        &mut self,
        state: &mut State,
        socket: Socket,
        owner: Option<AgentKey>,
    ) -> SocketId {
        let id = self.free_id();
        let socket = Arc::new(socket);
        state.sockets.insert(id, Arc::clone(&socket));
        let waker =
            Arc::new(SocketWaker { id, is_queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        // It is read once, so that it is known whom to tell of what comes.
        waker.wake_by_ref();
        self.sockets.insert(id, Entry { socket, owner, waker, waiting: VecDeque::new(), failures: 0 });
        id
    }

    pub(super) fn remove_socket(&mut self, state: &mut State, id: SocketId) {
        state.sockets.remove(&id);
        self.sockets.remove(&id);
        self.resting.retain(|(_, resting)| *resting != id);
    }

    /// An id that no socket has. Sockets are few against the four thousand million ids.
    fn free_id(&mut self) -> SocketId {
        while self.sockets.contains_key(&SocketId(self.next_socket)) {
            self.next_socket = self.next_socket.wrapping_add(1);
        }
        let id = SocketId(self.next_socket);
        self.next_socket = self.next_socket.wrapping_add(1);
        id
    }

    pub(super) fn flush(&mut self, id: SocketId) {
        if let Some(entry) = self.sockets.get_mut(&id)
            && !entry.waiting.is_empty()
        {
            entry.flush(&mut self.shared.state().counts);
        }
    }

    pub(super) fn note_success(&mut self, id: SocketId) {
        if let Some(entry) = self.sockets.get_mut(&id) {
            entry.failures = 0;
        }
    }

    /// Counts a receive call that failed; says whether the socket rests now.
    pub(super) fn note_failure(&mut self, id: SocketId) -> bool {
        let counts = &mut self.shared.state().counts;
        counts.receive_failures = counts.receive_failures.saturating_add(1);
        let Some(entry) = self.sockets.get_mut(&id) else { return true };
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < MOST_FAILURES {
            return false;
        }
        self.resting.push((self.shared.clock.now().after(REST), id));
        true
    }

    /// Has the sockets read whose rest is over.
    pub(super) fn end_rests(&mut self) {
        if self.resting.is_empty() {
            return;
        }
        let now = self.shared.clock.now();
        let sockets = &self.sockets;
        self.resting.retain(|(until, id)| {
            let is_over = *until <= now;
            if let Some(entry) = sockets.get(id).filter(|_| is_over) {
                entry.waker.wake_by_ref();
            }
            !is_over
        });
    }
}
