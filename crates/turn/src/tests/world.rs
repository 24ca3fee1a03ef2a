//! Client, server and the wire between them, on a virtual clock.

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::vec::Vec;

use floe_stun::{Instant, Random};

use super::server::{PASSWORD, Server, USERNAME};
use crate::{Client, ClientConfig, Credentials, Event, Incoming, MAX_REQUEST_BYTES};

/// One way.
const DELAY: Duration = Duration::from_millis(20);

enum Packet {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) client: Client,
    pub(crate) server: Server,
    pub(crate) rng: Random,
    /// Decides on losses, apart from what the client draws.
    chance: Random,
    /// Datagrams of a hundred that are lost, each way.
    pub(crate) loss_percent: u64,
    pub(crate) slots: bool,
    /// Whether anything arrives.
    pub(crate) connected: bool,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) incoming: Vec<Incoming>,
    pub(crate) sent: usize,
    wire: BTreeMap<(Instant, u64), Packet>,
    serial: u64,
    buffer: Box<[u8; MAX_REQUEST_BYTES]>,
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new(USERNAME, PASSWORD).unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Server::new(), |_| {})
    }

    pub(crate) fn with(server: Server, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = ClientConfig::new(server.address, Some(credentials()));
        change(&mut config);
        Self {
            now: Instant::from_millis(1_000),
            client: Client::new(config),
            server,
            rng: Random::from_seed([1; 32]),
            chance: Random::from_seed([2; 32]),
            loss_percent: 0,
            slots: true,
            connected: true,
            events: Vec::new(),
            incoming: Vec::new(),
            sent: 0,
            wire: BTreeMap::new(),
            serial: 0,
            buffer: Box::new([0; MAX_REQUEST_BYTES]),
        }
    }

    /// A world with an allocation.
    pub(crate) fn open() -> Self {
        Self::new().opened()
    }

    pub(crate) fn opened(mut self) -> Self {
        self.client.allocate(self.now);
        self.run(Duration::from_secs(1));
        assert!(self.client.is_open(), "{:?}", self.events);
        self
    }

    pub(crate) fn permitted(mut self, peer: &str) -> Self {
        self.client.permit(self.now, ip(peer));
        self.run(Duration::from_secs(1));
        assert!(self.client.permission(ip(peer)).is_some(), "{:?}", self.events);
        self
    }

    pub(crate) fn bound(mut self, peer: &str) -> Self {
        self.client.bind_channel(self.now, addr(peer));
        self.run(Duration::from_secs(1));
        assert!(self.client.channel(addr(peer)).is_some(), "{:?}", self.events);
        self
    }

    /// Lets this much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.drain();
        loop {
            let timer = self.client.poll_timeout();
            let packet = self.wire.keys().next().map(|(at, _)| *at);
            let Some(next) = [timer, packet].into_iter().flatten().min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            // Input goes before timers at equal instants.
            if packet == Some(next) {
                let (_, packet) = self.wire.pop_first().unwrap();
                self.deliver(packet);
            } else {
                self.client.handle_timeout(self.now, &mut self.rng);
                let after = self.client.poll_timeout();
                assert!(after.is_none_or(|after| after > self.now), "the timer does not move at {timer:?}");
            }
            self.drain();
        }
        self.now = end;
        self.server.expire(end);
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::ToServer(datagram) => {
                if let Some(answer) = self.server.handle(self.now, &datagram) {
                    self.post(Packet::ToClient(answer));
                }
            }
            Packet::ToClient(datagram) => {
                let incoming = self.client.handle_datagram(self.now, &datagram, &mut self.rng);
                self.incoming.push(incoming);
            }
        }
    }

    /// Takes every output; slots are given at once unless they are held back.
    pub(crate) fn drain(&mut self) {
        loop {
            while let Some(len) = self.client.poll_transmit(&mut *self.buffer) {
                self.sent += 1;
                let datagram = self.buffer[..len].into();
                self.post(Packet::ToServer(datagram));
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push((self.now, event));
            }
            if !(self.slots && self.client.wants_slot()) {
                break;
            }
            assert!(self.client.take_slot(self.now, &mut self.rng));
        }
    }

    fn post(&mut self, packet: Packet) {
        if !self.connected || self.chance.below(100) < self.loss_percent {
            return;
        }
        self.serial += 1;
        self.wire.insert((self.now.after(DELAY), self.serial), packet);
    }

    /// Hands the client a datagram at once.
    pub(crate) fn inject(&mut self, datagram: &[u8]) -> Incoming {
        let incoming = self.client.handle_datagram(self.now, datagram, &mut self.rng);
        self.drain();
        incoming
    }

    pub(crate) fn has(&self, event: &Event) -> bool {
        self.events.iter().any(|(_, seen)| seen == event)
    }

    pub(crate) fn last(&self) -> Event {
        self.events.last().expect("an event").1
    }
}
