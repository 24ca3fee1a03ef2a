//! One agent, and a test in the place of its driver, its peer and the network.

use std::time::Duration;

use floe_agent::{
    Agent, AgentConfig, Answer as Reply, Dscp, Event, Handled, Interface, InterfaceFlags, Pacer, Received,
    Request, TransmitKind,
    pair::{
        Candidate, CandidateLine, CandidateType, ComponentId, Foundation, IceOptions, LocalPreference,
        Parameters, Place, Priority, Role, SocketId, StreamId, Transport, TransportAddress,
    },
    stun::{Instant, Message, TransactionId, binding::BindingRequest},
};

use super::{
    RTP, STREAM, address, at,
    message::{
        Answer, Ask, NEXT_PWD, NEXT_UFRAG, OUR_PWD, OUR_UFRAG, ReadAnswer, THEIR_PWD, THEIR_UFRAG, answer,
        read_answer,
    },
};

/// The host address of an agent that has one.
pub const HOST: &str = "10.0.0.1";

/// The first port that is handed out; the next socket gets the next.
const FIRST_PORT: u16 = 1000;

/// A datagram of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// The socket, and its address, it left from.
    pub from: Place,
    /// Where it went.
    pub to: TransportAddress,
    /// What the agent said it was for.
    pub kind: TransmitKind,
    /// How the agent wants it marked.
    pub dscp: Dscp,
    /// The whole of it.
    pub bytes: Vec<u8>,
}

impl Sent {
    /// Whether it is a request that the peer would answer.
    pub fn is_request(&self) -> bool {
        matches!(self.kind, TransmitKind::Check | TransmitKind::Consent)
    }

    /// The datagram as a message.
    #[track_caller]
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("a STUN message")
    }

    /// Its transaction.
    #[track_caller]
    pub fn id(&self) -> TransactionId {
        self.message().transaction_id()
    }

    /// The request that it is.
    #[track_caller]
    pub fn request(&self) -> BindingRequest<'_> {
        BindingRequest::decode(&self.message()).expect("well-formed")
    }
}

/// What became of a datagram that was handed to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The agent used it.
    Taken,
    /// It was data.
    Data(StreamId, ComponentId, Vec<u8>),
    /// It belonged to nobody here.
    NotOurs,
    /// It was of no use.
    Dropped(floe_agent::DropReason),
}

/// One agent under the hand of a test.
pub struct Bench {
    /// The agent.
    pub agent: Agent,
    /// The time.
    pub now: Instant,
    /// The pace of its process.
    pub pacer: Pacer,
    /// What it has told so far.
    pub events: Vec<(Instant, Event)>,
    /// Data that was held and has been handed out.
    pub data: Vec<(StreamId, ComponentId, Vec<u8>)>,
    /// Its open sockets.
    pub sockets: Vec<(SocketId, TransportAddress)>,
    opened: u16,
    ids: u32,
}

/// Parameters of the peer that a test plays: an agent of RFC 8445 whose Ta is 5 ms.
pub fn remote_parameters() -> Parameters {
    let options = IceOptions::from_tags(["ice2"]).expect("a tag");
    let (ufrag, pwd) = (THEIR_UFRAG.parse().expect("ice-chars"), THEIR_PWD.parse().expect("ice-chars"));
    Parameters { pacing: Some(Duration::from_millis(5)), ..Parameters::new(ufrag, pwd, options) }
}

/// Parameters of the same peer after it has restarted.
pub fn next_parameters() -> Parameters {
    let (ufrag, pwd) = (NEXT_UFRAG.parse().expect("ice-chars"), NEXT_PWD.parse().expect("ice-chars"));
    Parameters { ufrag, pwd, ..remote_parameters() }
}

/// The consent requests among what was sent.
pub fn consents(sent: &[Sent]) -> impl Iterator<Item = &Sent> {
    sent.iter().filter(|sent| sent.kind == TransmitKind::Consent)
}

/// A host candidate; the higher its index, the lower its priority. Each index is a foundation of its own.
pub fn host_candidate(component: ComponentId, index: u16, at: TransportAddress) -> Candidate {
    let preference = CandidateType::Host.type_preference(Transport::Udp);
    Candidate {
        component,
        kind: CandidateType::Host,
        transport: Transport::Udp,
        address: at,
        priority: Priority::compute(preference, LocalPreference::new(u16::MAX - index), component),
        foundation: Foundation::from_bytes(format!("h{index}").as_bytes()).expect("ice-chars"),
        related: None,
    }
}

impl Bench {
    /// One host address, the peer's parameters known, no candidate of the peer yet.
    pub fn new(role: Role) -> Self {
        let mut bench = Self::bare(role, &[HOST], |_| {});
        bench.meet();
        bench
    }

    /// An agent with these host addresses, gathered; nothing is known of the peer.
    pub fn bare(role: Role, hosts: &[&str], change: impl FnOnce(&mut AgentConfig)) -> Self {
        let mut config = AgentConfig::new([7; 32], role);
        let credentials = (OUR_UFRAG.parse().expect("ice-chars"), OUR_PWD.parse().expect("ice-chars"));
        config.credentials = Some(credentials);
        change(&mut config);
        let mut bench = Self::with(config);
        bench.gather(hosts);
        bench
    }

    /// An agent that has been told nothing.
    #[track_caller]
    pub fn with(config: AgentConfig) -> Self {
        Self {
            agent: Agent::new(config).expect("a good configuration"),
            now: at(0),
            pacer: Pacer::new(),
            events: Vec::new(),
            data: Vec::new(),
            sockets: Vec::new(),
            opened: 0,
            ids: 0,
        }
    }

    /// Tells the agent these addresses of its host, each an interface, and has it gather. Returns what it sends.
    pub fn gather(&mut self, hosts: &[&str]) -> Vec<Sent> {
        let interfaces: Vec<Interface> = (1..)
            .zip(hosts)
            .map(|(index, ip)| Interface {
                name: format!("eth{index}").into(),
                index,
                ip: ip.parse().expect("an IP address"),
                prefix_len: 24,
                flags: InterfaceFlags::UP,
            })
            .collect();
        self.agent.handle_interfaces(self.now, &interfaces);
        self.agent.gather(self.now);
        self.drain()
    }

    /// Tells the agent the parameters of the peer that the test plays.
    pub fn meet(&mut self) {
        self.agent.set_remote_parameters(self.now, remote_parameters()).expect("in time");
    }

    /// Tells the agent a candidate of the peer.
    pub fn add_remote(&mut self, index: u16, to: &str) {
        self.add_candidate(STREAM, &host_candidate(RTP, index, address(to)));
    }

    /// Tells the agent a candidate of the peer.
    pub fn add_candidate(&mut self, stream: StreamId, candidate: &Candidate) {
        let line = CandidateLine::from(candidate);
        let _ = self.agent.add_remote_candidate(self.now, stream, &line).expect("in time");
    }

    /// The socket and address of the n-th socket that is open.
    pub fn place(&self, index: usize) -> Place {
        let (socket, at) = self.sockets[index];
        Place { socket, local_ip: at.ip() }
    }

    /// The n-th socket's address.
    pub fn local(&self, index: usize) -> TransportAddress {
        self.sockets[index].1
    }

    /// Everything that waits to be sent; requests are answered, events and held data put aside.
    pub fn drain(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            while let Some(transmit) = self.agent.poll_transmit(&mut buffer) {
                let bytes = buffer[..transmit.len].to_vec();
                let (from, to, kind, dscp) = (transmit.from, transmit.to, transmit.kind, transmit.dscp);
                sent.push(Sent { at: self.now, from, to, kind, dscp, bytes });
            }
            let mut asked = false;
            while let Some(request) = self.agent.poll_request() {
                asked = true;
                self.serve(&request);
            }
            while let Some(event) = self.agent.poll_event() {
                self.events.push((self.now, event));
            }
            while let Some((stream, component, len)) = self.agent.poll_data(&mut buffer) {
                self.data.push((stream, component, buffer[..len].to_vec()));
            }
            if !asked {
                return sent;
            }
        }
    }

    fn serve(&mut self, request: &Request) {
        match request {
            Request::BindUdp { id, local, .. } => {
                let socket = SocketId(u32::from(self.opened));
                let bound = TransportAddress::new(local.ip(), FIRST_PORT + self.opened);
                self.opened += 1;
                self.sockets.push((socket, bound));
                self.agent.handle_answer(self.now, *id, Reply::Bound { socket, local: bound });
            }
            Request::Close { socket } => self.sockets.retain(|(open, _)| open != socket),
            other => panic!("nobody answers {other:?} here"),
        }
    }

    /// Hands the agent a datagram that arrived at the n-th socket. What it sends then waits for [`Bench::drain`].
    pub fn receive(&mut self, index: usize, source: TransportAddress, bytes: &[u8]) -> Arrival {
        let place = self.place(index);
        self.receive_at(place, source, bytes)
    }

    /// Hands the agent a datagram that arrived at this place.
    pub fn receive_at(&mut self, place: Place, source: TransportAddress, bytes: &[u8]) -> Arrival {
        let mut payload = bytes.to_vec();
        let received = Received {
            socket: place.socket,
            local_ip: place.local_ip,
            source,
            ecn: floe_agent::Ecn::default(),
            payload: &mut payload,
        };
        match self.agent.handle_datagram(self.now, received) {
            Handled::Taken => Arrival::Taken,
            Handled::Data { stream, component, payload } => {
                Arrival::Data(stream, component, payload.to_vec())
            }
            Handled::NotOurs(_) => Arrival::NotOurs,
            Handled::Dropped(reason) => Arrival::Dropped(reason),
        }
    }

    /// An id nobody has used.
    pub fn new_id(&mut self) -> TransactionId {
        self.ids += 1;
        let mut id = [0xA5; 12];
        id[..4].copy_from_slice(&self.ids.to_be_bytes());
        TransactionId(id)
    }

    /// Asks the agent at its first socket; the answer, and all else that it sends.
    pub fn ask(&mut self, source: TransportAddress, ask: &Ask) -> (Option<ReadAnswer>, Vec<Sent>) {
        let id = self.new_id();
        let _ = self.receive(0, source, &ask.bytes(id));
        let mut sent = self.drain();
        let place = sent.iter().position(|sent| sent.kind == TransmitKind::Response && sent.id() == id);
        let found = place.map(|place| {
            let found = sent.remove(place);
            assert_eq!((found.from, found.to), (self.place(0), source), "back where the request came from");
            read_answer(&found.bytes)
        });
        (found, sent)
    }

    /// Lets time pass; everything that is sent meanwhile.
    pub fn wait(&mut self, time: Duration) -> Vec<Sent> {
        self.wait_until(self.now.after(time), |_| false)
    }

    /// Lets time pass until something that is sent is the right thing, which comes last.
    pub fn wait_until(&mut self, end: Instant, mut done: impl FnMut(&Sent) -> bool) -> Vec<Sent> {
        let mut sent = self.drain();
        while !sent.iter().any(&mut done) {
            let Some(next) = self.agent.poll_timeout().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.agent.handle_timeout(self.now, &mut self.pacer);
            sent.extend(self.drain());
            if sent.iter().any(&mut done) {
                return sent;
            }
        }
        if !sent.iter().any(&mut done) {
            self.now = self.now.max(end);
        }
        sent
    }

    /// Lets time pass. Requests for which `wanted` says so are answered well, at once; everything that is sent.
    pub fn converse(&mut self, time: Duration, mut wanted: impl FnMut(&Sent) -> bool) -> Vec<Sent> {
        let end = self.now.after(time);
        let mut sent = self.drain();
        let mut looked_at = 0;
        loop {
            while let Some(request) = sent.get(looked_at).cloned() {
                looked_at += 1;
                if request.is_request() && wanted(&request) {
                    self.succeed(&request);
                    sent.extend(self.drain());
                }
            }
            let Some(next) = self.agent.poll_timeout().filter(|next| *next <= end) else {
                self.now = self.now.max(end);
                return sent;
            };
            self.now = self.now.max(next);
            self.agent.handle_timeout(self.now, &mut self.pacer);
            sent.extend(self.drain());
        }
    }

    /// Makes the pair of the first socket and this address the selected one of the first component; which socket
    /// that is.
    #[track_caller]
    pub fn select(&mut self, to: &str) -> Place {
        self.add_remote(0, to);
        let check = self.next_check();
        self.succeed(&check);
        if self.agent.role() == Role::Controlling {
            let nomination = self.next_check();
            assert!(nomination.request().use_candidate, "{nomination:?}");
            self.succeed(&nomination);
        } else {
            let (answer, _) = self.ask(address(to), &Ask::nominating());
            assert_eq!(answer.expect("an answer").code, None);
        }
        self.drain();
        let selected = self.agent.selected(STREAM, RTP).expect("a selected pair");
        assert_eq!(selected.remote, address(to));
        check.from
    }

    /// What states it has told of, in order.
    pub fn states(&self) -> Vec<floe_agent::State> {
        let state = |(_, event): &(Instant, Event)| match event {
            Event::State(state) => Some(*state),
            _ => None,
        };
        self.events.iter().filter_map(state).collect()
    }

    /// When an event first came.
    pub fn first(&self, wanted: impl Fn(&Event) -> bool) -> Option<Instant> {
        self.events.iter().find(|(_, event)| wanted(event)).map(|(at, _)| *at)
    }

    /// The next check that begins, within a second.
    #[track_caller]
    pub fn next_check(&mut self) -> Sent {
        let end = self.now.after(Duration::from_secs(1));
        let sent = self.wait_until(end, |sent| sent.kind == TransmitKind::Check);
        sent.into_iter().rfind(|sent| sent.kind == TransmitKind::Check).expect("a check within a second")
    }

    /// Answers a check of the agent well.
    #[track_caller]
    pub fn succeed(&mut self, check: &Sent) {
        let (_, mapped) =
            *self.sockets.iter().find(|(socket, _)| *socket == check.from.socket).expect("open");
        let bytes = answer(check.id(), Answer::Success(mapped), Some(THEIR_PWD));
        assert_eq!(self.receive_at(check.from, check.to, &bytes), Arrival::Taken);
    }

    /// Answers a check of the agent with an error.
    #[track_caller]
    pub fn refuse(&mut self, check: &Sent, code: u16) {
        let bytes = answer(check.id(), Answer::Error(code), Some(THEIR_PWD));
        assert_eq!(self.receive_at(check.from, check.to, &bytes), Arrival::Taken);
    }

    /// Sends data of the first component.
    ///
    /// # Errors
    /// What the agent says.
    pub fn send(&mut self, payload: &[u8]) -> Result<TransportAddress, floe_agent::SendError> {
        self.send_of(STREAM, RTP, payload)
    }

    /// Sends data of a component; where it goes.
    ///
    /// # Errors
    /// What the agent says.
    pub fn send_of(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        payload: &[u8],
    ) -> Result<TransportAddress, floe_agent::SendError> {
        let mut buffer = [0; 2048];
        self.agent.send(self.now, stream, component, payload, &mut buffer).map(|transmit| transmit.to)
    }

    /// Everything of the agent that can be seen from outside and that a peer may influence.
    pub fn snapshot(&self) -> String {
        let pairs: Vec<_> = self.agent.pairs().collect();
        let path = self.agent.path(STREAM, RTP);
        format!("{:?} {:?} {pairs:?} {path:?}", self.agent.role(), self.agent.state())
    }
}
