//! The server against a hand-driven client, on virtual time.

mod allocations;
mod authentication;
mod binding;
mod faults;
mod flood;
mod relaying;

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use floe_stun::{
    Algorithm, Attribute, ChannelNumber, Class, Instant, IntegrityKey, Message, MessageWriter, Method,
    PasswordAlgorithm, TransactionId, WriteError,
    attribute::{
        Data, ErrorCode, Nonce, PasswordAlgorithmAttribute, PasswordAlgorithms, Realm, RequestedTransport,
        Userhash, Username, XorPeerAddress, XorRelayedAddress,
    },
    userhash,
};

use super::*;

const USER: &str = "ada";
const PASSWORD: &str = "correct horse";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn listen() -> SocketAddr {
    address("198.51.100.1:3478")
}

/// A peer that the tests' configuration allows.
fn peer() -> SocketAddr {
    address("203.0.113.9:4000")
}

fn client() -> SocketAddr {
    address("192.0.2.10:50000")
}

/// Two users, relays of both families, documentation prefixes allowed as peers.
fn config() -> ServerConfig {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut config = ServerConfig::new(vec![listen()], vec![ip("198.51.100.1"), ip("2001:db8::1")]);
    config.peers.allow =
        vec![Prefix::new(ip("203.0.113.0"), 24).unwrap(), Prefix::new(ip("2001:db8::"), 32).unwrap()];
    config.with_user(USER, PASSWORD).with_user("eve", "other words")
}

/// A server, its clock, and a driver that opens whatever relay it asks for.
struct Bench {
    server: Server,
    now: Instant,
    opening: bool,
    next_port: u16,
    asked: Vec<ServerRequest>,
    sent: Vec<ServerTransmit>,
}

impl Bench {
    fn new(config: ServerConfig) -> Self {
        let server = Server::new(config, [42; 32]);
        let now = Instant::from_millis(1_000);
        Self { server, now, opening: true, next_port: 50_001, asked: Vec::new(), sent: Vec::new() }
    }

    fn wait(&mut self, wait: Duration) {
        let until = self.now.after(wait);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.server.handle_timeout(at);
            self.drain();
            assert_ne!(self.server.poll_timeout(), Some(at), "a timer that fired is still set");
        }
        self.now = until;
        self.server.handle_timeout(until);
        self.drain();
    }

    fn wait_secs(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    fn drain(&mut self) {
        loop {
            self.sent.extend(std::iter::from_fn(|| self.server.poll_transmit()));
            let Some(request) = self.server.poll_request() else { return };
            self.asked.push(request);
            if let (ServerRequest::OpenRelay { id, ip, port }, true) = (request, self.opening) {
                let port = port.unwrap_or(self.next_port);
                self.next_port = self.next_port.wrapping_add(1);
                self.server.handle_relay_opened(self.now, id, Ok(SocketAddr::new(ip, port)));
            }
        }
    }

    /// Sends `bytes` from `source` to the server and returns everything it sent by then.
    fn send(&mut self, source: SocketAddr, bytes: &[u8]) -> Vec<ServerTransmit> {
        self.server.handle_datagram(self.now, listen(), source, bytes);
        self.drain();
        std::mem::take(&mut self.sent)
    }

    /// A datagram from a peer to a relayed address.
    fn hear_peer(&mut self, relay: SocketAddr, source: SocketAddr, bytes: &[u8]) -> Vec<ServerTransmit> {
        self.server.handle_relayed(self.now, relay, source, bytes);
        self.drain();
        std::mem::take(&mut self.sent)
    }

    /// The one answer to a request.
    #[track_caller]
    fn ask(&mut self, source: SocketAddr, bytes: &[u8]) -> Answer {
        let sent = self.send(source, bytes);
        let [ServerTransmit { from, to, bytes: answer }] = sent.as_slice() else {
            panic!("one answer expected, got {sent:?}")
        };
        assert_eq!((*from, *to), (listen(), source));
        let answer = Answer(answer.clone());
        let request = Message::parse(bytes).unwrap();
        assert_eq!(answer.message().transaction_id(), request.transaction_id());
        assert_eq!(answer.message().method(), request.method());
        answer
    }

    fn relays_closed(&self) -> Vec<SocketAddr> {
        let closed = |request: &ServerRequest| match request {
            ServerRequest::CloseRelay { address } => Some(*address),
            ServerRequest::OpenRelay { .. } => None,
        };
        self.asked.iter().filter_map(closed).collect()
    }
}

/// An answer of the server.
#[derive(Debug, PartialEq)]
struct Answer(Vec<u8>);

impl Answer {
    #[track_caller]
    fn message(&self) -> Message<'_> {
        Message::parse(&self.0).unwrap()
    }

    #[track_caller]
    fn get<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        self.message().get::<A>().unwrap()
    }

    #[track_caller]
    fn code(&self) -> u16 {
        assert_eq!(self.message().class(), Class::Error, "an error expected");
        self.get::<ErrorCode<'_>>().unwrap().code()
    }

    #[track_caller]
    fn assert_success(&self) -> &Self {
        let code = self.get::<ErrorCode<'_>>().map(|error| error.code());
        assert_eq!((self.message().class(), code), (Class::Success, None));
        self
    }

    fn relayed(&self) -> Vec<SocketAddr> {
        let message = self.message();
        let decode = |raw: floe_stun::RawAttribute<'_>| {
            raw.decode::<XorRelayedAddress>(message.transaction_id()).ok().map(|relayed| relayed.0)
        };
        message.attributes().filter_map(decode).collect()
    }
}

/// How a client uses the credentials it has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Style {
    /// MD5 key, SHA-1 integrity.
    Classic,
    /// Algorithms echoed, SHA-256 chosen.
    Negotiated,
    /// As `Negotiated`, with USERHASH in place of USERNAME.
    Anonymous,
}

/// A client that knows a password.
struct Client {
    address: SocketAddr,
    name: &'static str,
    password: &'static str,
    style: Style,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    next_id: u8,
}

impl Client {
    fn new() -> Self {
        Self {
            address: client(),
            name: USER,
            password: PASSWORD,
            style: Style::Classic,
            realm: Vec::new(),
            nonce: Vec::new(),
            next_id: 1,
        }
    }

    /// A client that has heard its 401.
    fn challenged(bench: &mut Bench) -> Self {
        let mut client = Self::new();
        client.hear_challenge(bench);
        client
    }

    fn hear_challenge(&mut self, bench: &mut Bench) {
        let bytes = self.plain(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
        let answer = bench.ask(self.address, &bytes);
        assert_eq!(answer.code(), 401);
        self.learn(&answer);
    }

    fn learn(&mut self, answer: &Answer) {
        self.realm = answer.get::<Realm<'_>>().unwrap().as_bytes().to_vec();
        self.nonce = answer.get::<Nonce<'_>>().unwrap().as_bytes().to_vec();
    }

    fn id(&mut self) -> TransactionId {
        self.next_id = self.next_id.wrapping_add(1);
        TransactionId([self.next_id; 12])
    }

    fn key(&self) -> IntegrityKey {
        let (name, password) = (self.name.as_bytes(), self.password.as_bytes());
        match self.style {
            Style::Classic => IntegrityKey::long_term_md5(name, &self.realm, password),
            _ => IntegrityKey::long_term_sha256(name, &self.realm, password),
        }
    }

    fn plain(
        &mut self,
        method: Method,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, method, self.id()).unwrap();
        fill(&mut writer).unwrap();
        let len = writer.finish();
        buffer.truncate(len);
        buffer
    }

    fn signed(
        &mut self,
        method: Method,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let id = self.id();
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, method, id).unwrap();
        fill(&mut writer).unwrap();
        if self.style == Style::Anonymous {
            writer.put(&Userhash(userhash(self.name.as_bytes(), &self.realm))).unwrap();
        } else {
            writer.put(&Username::new(self.name.as_bytes()).unwrap()).unwrap();
        }
        writer.put(&Realm::new(&self.realm).unwrap()).unwrap();
        writer.put(&Nonce::new(&self.nonce).unwrap()).unwrap();
        let algorithm = if self.style == Style::Classic {
            Algorithm::Sha1
        } else {
            writer.put(&PasswordAlgorithms::SHA256_AND_MD5).unwrap();
            writer.put(&PasswordAlgorithmAttribute::new(PasswordAlgorithm::Sha256)).unwrap();
            Algorithm::Sha256
        };
        let len = writer.sign(&self.key(), algorithm).unwrap().finish();
        buffer.truncate(len);
        buffer
    }

    /// Sends a signed request and checks that the answer is signed.
    #[track_caller]
    fn ask(
        &mut self,
        bench: &mut Bench,
        method: Method,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) -> Answer {
        let bytes = self.signed(method, fill);
        let answer = bench.ask(self.address, &bytes);
        if !matches!(answer.get::<ErrorCode<'_>>().map(|error| error.code()), Some(401 | 438)) {
            let algorithm = if self.style == Style::Classic { Algorithm::Sha1 } else { Algorithm::Sha256 };
            assert_eq!(answer.message().verify_integrity(&self.key()), Ok(algorithm));
        }
        answer
    }

    #[track_caller]
    fn allocate(&mut self, bench: &mut Bench) -> Answer {
        self.ask(bench, Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP))
    }

    /// An allocation, by its relayed address.
    #[track_caller]
    fn allocated(&mut self, bench: &mut Bench) -> SocketAddr {
        let answer = self.allocate(bench);
        answer.assert_success();
        answer.relayed()[0]
    }

    #[track_caller]
    fn permit(&mut self, bench: &mut Bench, peer: SocketAddr) -> Answer {
        self.ask(bench, Method::CREATE_PERMISSION, |writer| writer.put(&XorPeerAddress(peer)))
    }

    #[track_caller]
    fn bind(&mut self, bench: &mut Bench, number: u16, peer: SocketAddr) -> Answer {
        let number = ChannelNumber::new(number).unwrap();
        self.ask(bench, Method::CHANNEL_BIND, |writer| {
            writer.put(&number)?;
            writer.put(&XorPeerAddress(peer))
        })
    }

    fn indication(&mut self, peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let mut writer = MessageWriter::new(&mut buffer, Class::Indication, Method::SEND, self.id()).unwrap();
        writer.put(&XorPeerAddress(peer)).unwrap();
        writer.put(&Data(payload)).unwrap();
        let len = writer.finish();
        buffer.truncate(len);
        buffer
    }
}
