//! floe's agent.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use floe_agent::{
    Agent, AgentConfig, Answer, Ecn, Event, Handled, Interface, InterfaceFlags, Pacer, PathHandle, Received,
    Request,
    pair::{Candidate, CandidateLine, ComponentId, Role, SocketId, StreamId, TransportAddress},
    stun::Instant,
};

use crate::drive::{Clock, DATA_BYTES, Peer, address, host_at, port_of};

const STREAM: StreamId = StreamId(0);
const COMPONENT: ComponentId = ComponentId::RTP;
/// No check is longer.
const BUFFER_BYTES: usize = 548;

/// At the Ta that is its default, or at one of so many milliseconds.
pub(crate) struct Floe<const TA_MS: u64 = 0> {
    pub(crate) agent: Agent,
    pacer: Pacer,
    selected: bool,
    path: Option<PathHandle>,
}

pub(crate) struct Datagram {
    from: TransportAddress,
    to: TransportAddress,
    len: usize,
    buffer: [u8; BUFFER_BYTES],
}

impl Default for Datagram {
    fn default() -> Self {
        let nowhere = TransportAddress::from(address(0, 0));
        Self { from: nowhere, to: nowhere, len: 0, buffer: [0; BUFFER_BYTES] }
    }
}

impl Clock for Instant {
    fn origin() -> Self {
        Self::ORIGIN
    }

    fn after(self, time: Duration) -> Self {
        self.after(time)
    }

    fn since(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

thread_local! {
    /// What the operating system told of its interfaces, by side and number of hosts: a driver asks once for all agents.
    static INTERFACES: RefCell<BTreeMap<(usize, u8), &'static [Interface]>> = const { RefCell::new(BTreeMap::new()) };
}

fn interfaces(side: usize, hosts: u8) -> &'static [Interface] {
    INTERFACES.with_borrow_mut(|known| {
        *known.entry((side, hosts)).or_insert_with(|| {
            let interface = |host| Interface {
                name: format!("eth{host}").into(),
                index: u32::from(host) + 1,
                ip: address(side, host).ip(),
                prefix_len: 24,
                flags: InterfaceFlags::UP,
            };
            (0..hosts).map(interface).collect::<Vec<_>>().leak()
        })
    })
}

impl<const TA_MS: u64> Floe<TA_MS> {
    /// Lets it gather; its candidates.
    fn gather(&mut self, side: usize, hosts: u8) -> Vec<Candidate> {
        let (agent, now) = (&mut self.agent, Instant::ORIGIN);
        agent.gather(now);
        agent.handle_interfaces(now, interfaces(side, hosts));
        while let Some(request) = agent.poll_request() {
            let Request::BindUdp { id, local, .. } = request else { panic!("asks for {request:?}") };
            let host = (0..hosts).find(|host| address(side, *host).ip() == local.ip()).expect("an interface");
            let bound = Answer::Bound { socket: SocketId(host.into()), local: address(side, host).into() };
            agent.handle_answer(now, id, bound);
        }
        let mut candidates = Vec::with_capacity(hosts.into());
        while let Some(event) = agent.poll_event() {
            if let Event::LocalCandidate { candidate, .. } = event {
                candidates.push(candidate);
            }
        }
        candidates
    }

    fn meet(&mut self, other: &Agent, candidates: &[Candidate]) {
        let now = Instant::ORIGIN;
        self.agent.set_remote_parameters(now, other.local_parameters().clone()).expect("the first");
        for candidate in candidates {
            let _ = self
                .agent
                .add_remote_candidate(now, STREAM, &CandidateLine::from(candidate))
                .expect("the stream is there");
        }
        self.agent.remote_gathering_complete(now);
    }
}

impl<const TA_MS: u64> Peer for Floe<TA_MS> {
    const BYTES: usize = size_of::<Agent>();
    const NAME: &'static str = "floe";
    type Datagram = Datagram;
    type Instant = Instant;

    fn new(side: usize, hosts: u8, number: u64) -> Self {
        let mut seed = [0; 32];
        seed[0] = u8::from(side == 1);
        seed[8..16].copy_from_slice(&number.to_be_bytes());
        let role = if side == 0 { Role::Controlling } else { Role::Controlled };
        let mut config = AgentConfig::new(seed, role);
        // The default of 100 would cut off what the others have to do.
        config.checks.pair_limit = config.checks.pair_limit.max(usize::from(hosts) * usize::from(hosts));
        if TA_MS > 0 {
            config.checks.ta = Duration::from_millis(TA_MS);
        }
        let agent = Agent::new(config).expect("the configuration is good");
        Self { agent, pacer: Pacer::new(), selected: false, path: None }
    }

    fn introduce(pair: &mut [Self; 2], hosts: u8) {
        let [first, second] = pair;
        let (ours, theirs) = (first.gather(0, hosts), second.gather(1, hosts));
        first.meet(&second.agent, &theirs);
        second.meet(&first.agent, &ours);
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &mut Datagram) {
        let received = Received {
            socket: SocketId(host_at(datagram.to.port()).into()),
            local_ip: datagram.to.ip(),
            source: datagram.from,
            ecn: Ecn::NotCapable,
            payload: &mut datagram.buffer[..datagram.len],
        };
        let _ = self.agent.handle_datagram(now, received);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now, &mut self.pacer);
    }

    fn handle_events(&mut self, _now: Instant) {
        assert!(self.agent.poll_request().is_none(), "everything it needs it has");
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::Selected { .. } => self.selected = true,
                Event::PathChanged { stream, component } => {
                    self.path = self.agent.path(stream, component);
                }
                _ => {}
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant, datagram: &mut Datagram) -> bool {
        let Some(transmit) = self.agent.poll_transmit(&mut datagram.buffer[..]) else { return false };
        let host = u8::try_from(transmit.from.socket.0).expect("one of ours");
        datagram.from = TransportAddress::new(transmit.from.local_ip, port_of(host));
        (datagram.to, datagram.len) = (transmit.to, transmit.len);
        true
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn is_selected(&self) -> bool {
        self.selected
    }

    fn send(&mut self, now: Instant, payload: &[u8; DATA_BYTES]) -> bool {
        let frame = self.path.as_ref().map(|path| path.frame(now, payload.len()));
        std::hint::black_box(&frame);
        matches!(frame, Some(Ok(_)))
    }

    fn receive(&mut self, now: Instant, payload: &mut [u8; DATA_BYTES]) -> bool {
        let Some(path) = &self.path else { return false };
        let path = path.path();
        let received = Received {
            socket: path.from.socket,
            local_ip: path.from.local_ip,
            source: path.to,
            ecn: Ecn::NotCapable,
            payload,
        };
        matches!(
            self.agent.handle_datagram(now, received),
            Handled::Data { stream: STREAM, component: COMPONENT, .. }
        )
    }
}
