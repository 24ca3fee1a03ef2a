//! A host with a gatherer on a virtual clock: its driver, its network and its NAT.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};
use core::{net::IpAddr, time::Duration};

use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, Place, SocketId, StreamId, TransportAddress};
use floe_stun::{Instant, Message, Random};
use floe_turn::Credentials;

use super::script::{PASSWORD, Script, USER};
use crate::{
    Answer, Config, Event, Gatherer, Interface, InterfaceFlags, Policy, Request, RequestFailure, Server,
    ServerError,
};

pub(super) const STREAM: StreamId = StreamId(0);
pub(super) const RTP: (StreamId, ComponentId) = (STREAM, ComponentId::RTP);
pub(super) const RTCP: (StreamId, ComponentId) = (STREAM, ComponentId::RTCP);
const TA: Duration = Duration::from_millis(5);

/// A datagram that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: u64,
    pub(super) from: TransportAddress,
    pub(super) to: TransportAddress,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Lab {
    pub(super) gatherer: Gatherer,
    pub(super) now: Instant,
    pub(super) rng: Random,
    pub(super) servers: BTreeMap<TransportAddress, Script>,
    /// Public address of each local one behind a NAT.
    pub(super) nat: fn(TransportAddress) -> TransportAddress,
    pub(super) names: BTreeMap<&'static str, Result<Vec<IpAddr>, RequestFailure>>,
    /// What binding on an address fails with.
    pub(super) unbindable: BTreeMap<IpAddr, RequestFailure>,
    /// Where binding has no answer.
    pub(super) unanswered: BTreeSet<IpAddr>,
    pub(super) rtt: Duration,
    pub(super) sent: Vec<Sent>,
    pub(super) requests: Vec<Request>,
    pub(super) events: Vec<(u64, Event)>,
    /// Open sockets and where they are bound.
    pub(super) sockets: BTreeMap<SocketId, TransportAddress>,
    next_socket: u32,
    arriving: Vec<(Instant, Place, TransportAddress, Vec<u8>)>,
    slot_at: Instant,
}

pub(super) fn at(text: &str) -> TransportAddress {
    text.parse().expect("a literal")
}

pub(super) fn interface(ip: &str) -> Interface {
    let ip: IpAddr = ip.parse().expect("a literal");
    let flags = InterfaceFlags::UP.with(InterfaceFlags::LOOPBACK, ip.is_loopback());
    let name: &str = if ip.is_loopback() { "lo" } else { "eth0" };
    Interface { name: name.into(), index: 2, ip, prefix_len: if ip.is_ipv4() { 24 } else { 64 }, flags }
}

/// A configuration with these servers; TURN servers get credentials.
pub(super) fn config(urls: &[&str]) -> Config {
    let credentials = Credentials::new(USER, PASSWORD).expect("short");
    let servers = urls.iter().map(|url| {
        let url: floe_turn::uri::Uri = url.parse().expect("a literal");
        let credentials = url.is_turn().then(|| credentials.clone());
        Server::new(url, credentials)
    });
    Config { servers: servers.collect(), ..Config::default() }
}

impl Lab {
    pub(super) fn new(config: Config) -> Self {
        Self {
            gatherer: Gatherer::new(config).expect("a good configuration"),
            now: Instant::from_millis(1_000),
            rng: Random::from_seed([3; 32]),
            servers: BTreeMap::new(),
            nat: |local| local,
            names: BTreeMap::new(),
            unbindable: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            rtt: Duration::from_millis(20),
            sent: vec![],
            requests: vec![],
            events: vec![],
            sockets: BTreeMap::new(),
            next_socket: 0,
            arriving: vec![],
            slot_at: Instant::ORIGIN,
        }
    }

    pub(super) fn server(mut self, address: &str, script: Script) -> Self {
        self.servers.insert(at(address), script);
        self
    }

    /// A NAT that maps 10.0.0.x to 203.0.113.x with another port.
    pub(super) fn behind_nat(mut self) -> Self {
        self.nat = |local| match local.ip() {
            IpAddr::V4(ip) => {
                let [_, _, _, last] = ip.octets();
                TransportAddress::new([203, 0, 113, last].into(), local.port() + 10_000)
            }
            IpAddr::V6(_) => local,
        };
        self
    }

    pub(super) fn start(&mut self, ips: &[&str]) -> &mut Self {
        self.start_for(ips, &[RTP])
    }

    pub(super) fn start_for(&mut self, ips: &[&str], components: &[(StreamId, ComponentId)]) -> &mut Self {
        self.interfaces(ips);
        self.gatherer.start(self.now, components);
        self.drain();
        self
    }

    pub(super) fn interfaces(&mut self, ips: &[&str]) {
        let list: Vec<_> = ips.iter().map(|ip| interface(ip)).collect();
        self.gatherer.handle_interfaces(self.now, &list);
        self.drain();
    }

    pub(super) fn close(&mut self) {
        self.gatherer.close(self.now);
        self.drain();
    }

    /// Milliseconds since the start of the lab.
    pub(super) fn elapsed(&self) -> u64 {
        self.now.as_millis() - 1_000
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.now.after(time);
        let (mut last_poll, mut polls) = (Instant::ORIGIN, 0);
        loop {
            let slot = self.gatherer.wants_slot().then_some(self.slot_at.max(self.now));
            let arrival = self.arriving.iter().map(|(at, ..)| *at).min();
            let timer = self.gatherer.poll_timeout();
            let next = [slot, arrival, timer].into_iter().flatten().min().filter(|next| *next <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                self.arrive();
            } else if slot == Some(next) {
                assert!(self.gatherer.take_slot(self.now, &mut self.rng), "a slot was wanted");
                self.slot_at = self.now.after(TA);
            } else {
                self.gatherer.handle_timeout(self.now, &mut self.rng);
                // One thing may lead to another at the same instant, but not for ever.
                polls = if last_poll == next { polls + 1 } else { 1 };
                last_poll = next;
                assert!(polls < 8, "a poll at {next:?} does something");
            }
            self.drain();
        }
        self.now = end;
        self
    }

    fn arrive(&mut self) {
        let first = self.arriving.iter().map(|(at, ..)| *at).min();
        let index = self.arriving.iter().position(|(at, ..)| Some(*at) == first).expect("one is there");
        let (_, place, source, bytes) = self.arriving.remove(index);
        self.deliver(place, source, &bytes);
    }

    /// Gives a datagram to the gatherer as its owner does; whether it was taken.
    pub(super) fn deliver(&mut self, place: Place, source: TransportAddress, bytes: &[u8]) -> bool {
        if let Some(base) = self.gatherer.relay_at(place, source) {
            let relay = self.gatherer.relay_mut(base).expect("it was found");
            let _ = relay.client.handle_datagram(self.now, bytes, &mut self.rng);
            return true;
        }
        let message = Message::parse(bytes).expect("a message");
        self.gatherer.handle_message(self.now, place, source, &message)
    }

    /// Takes all outputs, in the order that is written down, and answers requests at once.
    pub(super) fn drain(&mut self) {
        loop {
            let mut buffer = [0; 1_500];
            while let Some(transmit) = self.gatherer.poll_transmit(&mut buffer) {
                self.send(transmit.place, transmit.to, &buffer[..transmit.len]);
            }
            let mut answers = vec![];
            while let Some(request) = self.gatherer.poll_request() {
                answers.extend(self.serve(&request));
                self.requests.push(request);
            }
            while let Some(event) = self.gatherer.poll_event() {
                self.events.push((self.elapsed(), event));
            }
            if answers.is_empty() {
                break;
            }
            for (id, answer) in answers {
                self.gatherer.handle_answer(self.now, id, answer);
            }
        }
    }

    fn send(&mut self, place: Place, to: TransportAddress, bytes: &[u8]) {
        let local = *self.sockets.get(&place.socket).expect("sent from an open socket");
        assert_eq!(local.ip(), place.local_ip);
        self.sent.push(Sent { at: self.elapsed(), from: local, to, bytes: bytes.to_vec() });
        let message = Message::parse(bytes).expect("a message");
        let source = (self.nat)(local);
        if let Some(script) = self.servers.get_mut(&to) {
            for answer in script(&message, source) {
                self.arriving.push((self.now.after(self.rtt), place, to, answer));
            }
        }
    }

    fn serve(&mut self, request: &Request) -> Option<(crate::RequestId, Answer)> {
        match request {
            Request::BindUdp { local, .. } if self.unanswered.contains(&local.ip()) => None,
            Request::BindUdp { id, local, .. } => {
                if let Some(failure) = self.unbindable.get(&local.ip()) {
                    return Some((*id, Answer::Failed(*failure)));
                }
                self.next_socket += 1;
                let socket = SocketId(self.next_socket);
                let local = local.with_port(40_000 + u16::try_from(self.next_socket).expect("few"));
                self.sockets.insert(socket, local);
                Some((*id, Answer::Bound { socket, local }))
            }
            Request::Resolve { id, name, .. } => {
                let known = self.names.get(&**name)?;
                Some((*id, known.clone().map_or_else(Answer::Failed, Answer::Resolved)))
            }
            Request::Close { socket } => {
                assert!(self.sockets.remove(socket).is_some(), "closed once");
                None
            }
            other => panic!("{other:?} is not asked for yet"),
        }
    }

    /// The candidates reported, with the time of their report.
    pub(super) fn found(&self) -> Vec<(u64, Candidate, BaseId)> {
        let found = self.events.iter().filter_map(|(at, event)| match event {
            Event::Candidate { candidate, base, .. } => Some((*at, candidate.clone(), *base)),
            _ => None,
        });
        found.collect()
    }

    pub(super) fn of(&self, kind: CandidateType) -> Vec<Candidate> {
        self.found()
            .into_iter()
            .map(|(_, candidate, _)| candidate)
            .filter(|found| found.kind == kind)
            .collect()
    }

    pub(super) fn completed_at(&self) -> Vec<u64> {
        self.events.iter().filter(|(_, event)| matches!(event, Event::Complete)).map(|(at, _)| *at).collect()
    }

    /// When it was said that the deadline has passed.
    pub(super) fn late_at(&self) -> Vec<u64> {
        let late = self.events.iter().filter(|(_, event)| matches!(event, Event::DeadlinePassed));
        late.map(|(at, _)| *at).collect()
    }

    pub(super) fn failures(&self) -> Vec<(usize, ServerError)> {
        let failures = self.events.iter().filter_map(|(_, event)| match event {
            Event::ServerFailed { server, error, .. } => Some((*server, error.clone())),
            _ => None,
        });
        failures.collect()
    }

    pub(super) fn sent_to(&self, server: &str) -> usize {
        self.sent.iter().filter(|sent| sent.to == at(server)).count()
    }
}

pub(super) fn relay_only(urls: &[&str]) -> Config {
    Config { policy: Policy::RelayOnly, ..config(urls) }
}

/// A boxed script, for tables.
pub(super) fn boxed(script: impl FnMut(&Message<'_>, TransportAddress) -> Vec<Vec<u8>> + 'static) -> Script {
    Box::new(script)
}
