//! The one task that drives all agents of an endpoint.

use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    sync::Arc,
    task::Context,
    time::Duration,
};

use floe_agent::{AgentKey, Ecn, Event, Handled, Received};
use floe_pair::SocketId;
use floe_stun::Instant;
use quinn_udp::RecvMeta;

use crate::{
    clock::Timer,
    component::Route,
    shared::{Life, Shared, State},
    socket::{Socket, datagrams},
};

mod requests;
mod sockets;

pub(crate) use self::sockets::Ready;
use self::sockets::{Entry, Packet};

/// Buffers of one receive call. The kernel puts up to 64 datagrams of a sender into each.
const BATCH: usize = 16;
/// A buffer holds whatever the kernel puts together.
const BUFFER_BYTES: usize = 1 << 16;
/// Receive calls on one socket before the others have their turn.
const MOST_BATCHES: usize = 4;
/// Receive calls that fail in a row before the socket rests: an error that does not go away must not take the
/// processor.
const MOST_FAILURES: u32 = 8;
/// How long it rests.
const REST: Duration = Duration::from_millis(100);

pub(crate) struct Driver {
    shared: Arc<Shared>,
    ready: Arc<Ready>,
    /// The ready sockets of the last turn, kept for its memory.
    turns: Vec<SocketId>,
    sockets: BTreeMap<SocketId, Entry>,
    /// Those that all agents share.
    common: Vec<SocketId>,
    next_socket: u32,
    /// Sockets that rest after errors, with the end of the rest.
    resting: Vec<(Instant, SocketId)>,
    timer: Timer,
    receive_buffer: Vec<u8>,
    send_buffer: Vec<u8>,
}

/// What to do after a turn.
enum Next {
    /// There is more to do now; others first.
    Again,
    Wait(Option<Instant>),
    End,
}

impl Driver {
    /// A driver with these shared sockets. To be made in its runtime.
    pub(crate) fn new(shared: &Arc<Shared>, common: Vec<Socket>) -> Self {
        let timer = Timer::new(shared.clock);
        let ready = Arc::new(Ready::new(Arc::clone(&shared.wake)));
        let mut driver = Self {
            shared: Arc::clone(shared),
            ready,
            turns: vec![],
            sockets: BTreeMap::new(),
            common: vec![],
            next_socket: 0,
            resting: vec![],
            timer,
            receive_buffer: vec![0; BATCH * BUFFER_BYTES],
            send_buffer: vec![0; BUFFER_BYTES],
        };
        let mut state = shared.state();
        for socket in common {
            let id = driver.add_socket(&mut state, socket, None);
            state.hub.share(id);
            driver.common.push(id);
        }
        drop(state);
        driver
    }

    /// Drives until the endpoint is closed and the last agent has given everything back.
    pub(crate) async fn run(mut self) {
        let wake = Arc::clone(&self.shared.wake);
        loop {
            match self.turn() {
                Next::End => return,
                Next::Again => tokio::task::yield_now().await,
                Next::Wait(deadline) => {
                    self.timer.arm(deadline);
                    tokio::select! {
                        () = wake.notified() => {}
                        () = self.timer.wait() => {}
                    }
                }
            }
        }
    }

    /// Receives, does what is due and sends: everything that can be done without waiting.
    fn turn(&mut self) -> Next {
        self.end_rests();
        let mut more = false;
        let ready = self.ready.take(std::mem::take(&mut self.turns));
        for id in &ready {
            more |= self.receive(*id);
            self.flush(*id);
        }
        self.turns = ready;
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        // What commands have led to comes first: outputs are drained after every input.
        self.drain(&mut state);
        state.hub.handle_timeout(shared.clock.now());
        self.drain(&mut state);
        if state.life != Life::Open && state.sessions.is_empty() {
            return Next::End;
        }
        let deadline = state.hub.poll_timeout();
        let rest = self.resting.iter().map(|(until, _)| *until).min();
        if more { Next::Again } else { Next::Wait(deadline.into_iter().chain(rest).min()) }
    }

    /// Reads a socket; says whether it may have more.
    fn receive(&mut self, id: SocketId) -> bool {
        let Some(entry) = self.sockets.get(&id) else { return false };
        entry.waker.taken();
        let (socket, waker) = (Arc::clone(&entry.socket), entry.waker());
        let mut cx = Context::from_waker(&waker);
        for _ in 0..MOST_BATCHES {
            let mut metas = [RecvMeta::default(); BATCH];
            let mut buffers = self.receive_buffer.chunks_exact_mut(BUFFER_BYTES);
            let mut slices: [_; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
            let received = match socket.poll_recv(&mut cx, &mut slices, &mut metas) {
                std::task::Poll::Pending => return false,
                std::task::Poll::Ready(received) => received,
            };
            match received {
                Ok(count) => {
                    self.note_success(id);
                    self.deliver(id, &socket, metas.get(..count).unwrap_or_default());
                }
                Err(_) => {
                    if self.note_failure(id) {
                        return false;
                    }
                }
            }
        }
        waker.wake();
        true
    }

    /// Hands what is in the receive buffer to the agents, and what they say to it to the kernel.
    fn deliver(&mut self, id: SocketId, socket: &Socket, metas: &[RecvMeta]) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let now = shared.clock.now();
        for (buffer, meta) in self.receive_buffer.chunks_exact_mut(BUFFER_BYTES).zip(metas) {
            let bound = socket.local();
            let local_ip = if bound.is_unspecified() { meta.dst_ip } else { Some(bound.ip()) };
            // Without the address it was sent to nobody can tell which candidate it came to.
            let Some(local_ip) = local_ip.map(|ip| ip.to_canonical()) else { continue };
            let ecn = Ecn::from_bits(meta.ecn.map_or(0, |ecn| ecn as u8));
            for payload in datagrams(buffer, meta) {
                let received = Received { socket: id, local_ip, source: meta.addr.into(), ecn, payload };
                state.handle(now, received);
            }
        }
        self.drain(&mut state);
    }

    /// Carries out all that the agents want, until they want nothing more.
    fn drain(&mut self, state: &mut State) {
        loop {
            while let Some((_, transmit)) = state.hub.poll_transmit(&mut self.send_buffer) {
                let packet = Packet::new(&transmit, &self.send_buffer);
                if let Some(entry) = self.sockets.get_mut(&transmit.from.socket) {
                    entry.send(&packet, &mut state.counts);
                }
            }
            let mut answered = false;
            while let Some((key, request)) = state.hub.poll_request() {
                answered |= self.request(state, key, request);
            }
            while let Some((key, event)) = state.hub.poll_event() {
                self.event(state, key, event);
            }
            while let Some((key, stream, component, len)) = state.hub.poll_data(&mut self.send_buffer) {
                let component =
                    state.sessions.get(&key).and_then(|session| session.component(stream, component));
                if let (Some(component), Some(payload)) = (component, self.send_buffer.get(..len)) {
                    component.push(payload, Ecn::NotCapable);
                }
            }
            if !answered {
                break;
            }
        }
        // What commands have changed without an event.
        for key in std::mem::take(&mut state.commanded) {
            if let Some(session) = state.sessions.get(&key) {
                session.note_change();
            }
        }
    }

    fn event(&mut self, state: &mut State, key: AgentKey, event: Event) {
        let Some(session) = state.sessions.get(&key).map(Arc::clone) else { return };
        if let Event::PathChanged { stream, component } = event
            && let Some(shared) = session.component(stream, component)
        {
            let path = state.hub.agent(key).and_then(|agent| agent.path(stream, component));
            let route = path.and_then(|path| {
                let socket = Arc::clone(state.sockets.get(&path.path().from.socket)?);
                Some(Route { path, socket })
            });
            shared.set_route(route);
        }
        let is_last = matches!(event, Event::Closed);
        let ufrag = match &event {
            Event::LocalCandidate { generation, .. } => {
                let agent = state.hub.agent(key);
                agent.and_then(|agent| Some(agent.parameters_of(*generation)?.ufrag.clone()))
            }
            _ => None,
        };
        session.push(event, ufrag.as_ref());
        if is_last {
            state.hub.remove(key);
            self.forget(state, key);
            session.end();
        }
    }

    /// The agent is gone: its sockets too, even if it forgot one.
    fn forget(&mut self, state: &mut State, key: AgentKey) {
        if let Some(session) = state.sessions.remove(&key)
            && state.sessions.values().all(|other| other.ufrag != session.ufrag)
        {
            state.ufrags.remove(&session.ufrag);
        }
        // Those that a fork still uses are closed when it asks for that.
        let own = self.sockets.iter().filter(|(_, entry)| entry.owner == Some(key)).map(|(id, _)| *id);
        let own: Vec<_> = own.filter(|id| !state.hub.is_in_use(*id)).collect();
        for id in own {
            self.remove_socket(state, id);
        }
    }

    /// The runtime ends and nothing can be waited for: every allocation is given back with one datagram.
    fn abandon(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let state = &mut *state;
        state.life = Life::Ended;
        let now = shared.clock.now();
        for key in state.sessions.keys() {
            if let Some(agent) = state.hub.agent_mut(*key) {
                agent.close(now);
            }
        }
        for _ in 0..2 {
            while let Some((_, transmit)) = state.hub.poll_transmit(&mut self.send_buffer) {
                let packet = Packet::new(&transmit, &self.send_buffer);
                if let Some(entry) = self.sockets.get(&transmit.from.socket) {
                    // Whether it leaves or not, there is no second chance.
                    let _: io::Result<()> = entry.socket.send_now(&packet.datagram());
                }
            }
            // What closing wants may be due only now.
            state.hub.handle_timeout(now);
        }
        for session in std::mem::take(&mut state.sessions).values() {
            session.end();
        }
        state.sockets.clear();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.abandon();
        self.shared.ended.send_replace(true);
    }
}

impl State {
    /// A datagram arrived.
    fn handle(&mut self, now: Instant, received: Received<'_>) {
        let ecn = received.ecn;
        match self.hub.handle_datagram(now, received) {
            (_, Handled::Taken) => {}
            (Some(key), Handled::Data { stream, component, payload }) => {
                let session = self.sessions.get(&key);
                if let Some(component) = session.and_then(|session| session.component(stream, component)) {
                    component.push(payload, ecn);
                }
            }
            (_, Handled::Dropped(_)) => self.counts.dropped = self.counts.dropped.saturating_add(1),
            (_, Handled::NotOurs(_) | Handled::Data { .. }) => {
                self.counts.unclaimed = self.counts.unclaimed.saturating_add(1);
            }
        }
    }
}
