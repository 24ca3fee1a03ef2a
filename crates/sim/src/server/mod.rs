//! A STUN and TURN server over UDP (RFC 8489, RFC 8656) as a state machine without sockets.
//!
//! The driver (the simulator, or a loop over real sockets) feeds it datagrams and drains its outputs, in this order,
//! until each is `None`: [`Server::poll_transmit`], [`Server::poll_request`], [`Server::poll_timeout`]. A relayed
//! transport address is asked for by [`ServerRequest::OpenRelay`], answered by [`Server::handle_relay_opened`], and
//! given back by [`ServerRequest::CloseRelay`].
//!
//! What it serves: Binding; Allocate (both families, dual allocations, EVEN-PORT without reservation), Refresh,
//! CreatePermission, ChannelBind, Send and Data indications, ChannelData, ICMP errors of peers. It never keeps
//! anything for a request that is not authenticated, and by default relays to no special-purpose address
//! ([`PeerPolicy`]). It can be told to misbehave ([`Faults`]).
//!
//! ```
//! use floe_sim::server::{Server, ServerConfig};
//! use floe_stun::{Class, Instant, Message, MessageWriter, Method, TransactionId};
//!
//! let listen = "127.0.0.1:3478".parse()?;
//! let mut server = Server::new(ServerConfig::new(vec![listen], vec![]), [7; 32]);
//! let mut buffer = [0; 64];
//! let request = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([1; 12]))?;
//! let len = request.finish();
//!
//! server.handle_datagram(Instant::ORIGIN, listen, "127.0.0.1:50000".parse()?, &buffer[..len]);
//! let answer = server.poll_transmit().ok_or("a Binding request is answered")?;
//! assert_eq!(Message::parse(&answer.bytes)?.class(), Class::Success);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocate;
mod allocation;
mod auth;
mod config;
mod faults;
mod limiter;
mod manage;
mod nonce;
mod peers;
mod relay;
mod reply;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use floe_stun::{
    AttributeType, Class, Instant, Message, Method, Random,
    attribute::{AlternateServer, ErrorCode, Icmp, UnknownAttributes, XorMappedAddress},
};

pub use config::{Lifetimes, Limits, Security, ServerConfig, User};
pub use faults::{Fault, FaultKind, Faults};
pub use peers::{PeerPolicy, Prefix};

use allocate::Opening;
use allocation::{Allocation, FiveTuple};
use auth::{Authenticator, Refusal};
use limiter::Limiter;
use reply::{Remembered, ReplyTo};

/// Datagrams waiting to be sent or delayed by a fault; a full queue drops the newest, as a socket would.
pub const MAX_QUEUED_DATAGRAMS: usize = 8192;
/// Types listed in UNKNOWN-ATTRIBUTES at most; a client that sends more learns of the others next time.
const MAX_UNKNOWN_LISTED: usize = 16;
/// Attributes the codec knows and this server does not serve. Being comprehension-required they are as good as
/// unknown: RFC 8656 §7.2 (DONT-FRAGMENT), RFC 5780 §7 (CHANGE-REQUEST, PADDING, RESPONSE-PORT), RFC 6062,
/// RFC 7635.
const NOT_SERVED: [AttributeType; 6] = [
    AttributeType::DONT_FRAGMENT,
    AttributeType::CHANGE_REQUEST,
    AttributeType::PADDING,
    AttributeType::RESPONSE_PORT,
    AttributeType::CONNECTION_ID,
    AttributeType::ACCESS_TOKEN,
];

/// One datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServerTransmit {
    /// A listening address or a relayed transport address.
    pub from: SocketAddr,
    /// A client or a peer.
    pub to: SocketAddr,
    /// The whole payload.
    pub bytes: Vec<u8>,
}

/// Names one [`ServerRequest::OpenRelay`] until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelayRequestId(pub u64);

/// Something the driver is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ServerRequest {
    /// Open a UDP socket on `ip` and answer with [`Server::handle_relay_opened`]. No answer within 5 s counts as
    /// failure; a later one is answered with [`ServerRequest::CloseRelay`].
    OpenRelay {
        /// To be repeated in the answer.
        id: RelayRequestId,
        /// One of the configured relay addresses.
        ip: IpAddr,
        /// This port and no other (EVEN-PORT); `None`: any.
        port: Option<u16>,
    },
    /// Close a socket opened before; nothing that arrives there is wanted any more.
    CloseRelay {
        /// Its address.
        address: SocketAddr,
    },
}

/// What happened so far, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Arrived at a listening address.
    pub received: u64,
    /// Neither a STUN message nor ChannelData, or a wrong FINGERPRINT.
    pub malformed: u64,
    /// Answers sent, errors included.
    pub answered: u64,
    /// Error answers.
    pub refused: u64,
    /// Not answered because their source had had its share ([`Limits::unauthenticated_per_second`]).
    pub rate_limited: u64,
    /// Relayed from clients to peers.
    pub to_peers: u64,
    /// Relayed from peers to clients.
    pub to_clients: u64,
    /// Dropped for want of a permission, in either direction.
    pub not_permitted: u64,
    /// Peers refused by [`PeerPolicy`], in requests and in data.
    pub peers_denied: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
}

/// What is due at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A relayed address of this allocation ends.
    Expiry(FiveTuple),
    /// The driver took too long to open a relayed address.
    Opening(FiveTuple),
}

/// The server. See the [module](self) for how it is driven.
#[derive(Debug)]
pub struct Server {
    now: Instant,
    random: Random,
    auth: Authenticator,
    limiter: Limiter,
    listen: Vec<SocketAddr>,
    relay_ips: Vec<IpAddr>,
    software: Option<Vec<u8>>,
    peers: PeerPolicy,
    lifetimes: Lifetimes,
    limits: Limits,
    faults: Faults,
    allocations: BTreeMap<FiveTuple, Allocation>,
    relays: BTreeMap<SocketAddr, FiveTuple>,
    openings: BTreeMap<FiveTuple, Opening>,
    asked: BTreeMap<RelayRequestId, FiveTuple>,
    next_request: u64,
    remembered: Remembered,
    timers: BTreeSet<(Instant, Timer)>,
    delayed: BTreeMap<(Instant, u64), ServerTransmit>,
    next_delayed: u64,
    transmits: VecDeque<ServerTransmit>,
    /// Bounded by the tables: one entry for each relayed address asked for or given up.
    requests: VecDeque<ServerRequest>,
    counters: Counters,
}

impl Server {
    /// A server with no allocations. Equal configurations, seeds and inputs give equal outputs.
    pub fn new(config: ServerConfig, seed: [u8; 32]) -> Self {
        let mut random = Random::from_seed(seed);
        Self {
            now: Instant::ORIGIN,
            auth: Authenticator::new(&config, &mut random),
            limiter: Limiter::new(config.limits.unauthenticated_per_second, &mut random),
            random,
            listen: config.listen.into_iter().map(canonical).collect(),
            relay_ips: config.relay_ips,
            software: config.software.map(String::into_bytes),
            peers: config.peers,
            lifetimes: config.lifetimes,
            limits: config.limits,
            faults: config.faults,
            allocations: BTreeMap::new(),
            relays: BTreeMap::new(),
            openings: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_request: 0,
            remembered: Remembered::default(),
            timers: BTreeSet::new(),
            delayed: BTreeMap::new(),
            next_delayed: 0,
            transmits: VecDeque::new(),
            requests: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Replaces the faults in force.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// A datagram that arrived at the listening address `local`.
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, bytes: &[u8]) {
        self.advance(now);
        self.counters.received = self.counters.received.saturating_add(1);
        let tuple = FiveTuple { client: canonical(source), server: canonical(local) };
        // RFC 8656 §12: the first byte decides; what is neither is dropped.
        match bytes.first() {
            Some(0..=3) if tuple.client.port() != 0 => self.on_stun(tuple, bytes),
            Some(0x40..=0x4F) => {
                if !self.faults.silent(Method::SEND) {
                    self.on_channel_data(tuple, bytes);
                }
            }
            _ => self.counters.malformed = self.counters.malformed.saturating_add(1),
        }
    }

    /// A datagram that arrived at the relayed transport address `relay`.
    pub fn handle_relayed(&mut self, now: Instant, relay: SocketAddr, source: SocketAddr, bytes: &[u8]) {
        self.advance(now);
        if !self.faults.silent(Method::DATA) {
            self.relay_to_client(canonical(relay), canonical(source), bytes);
        }
    }

    /// An ICMP error about a datagram sent from `relay` to `peer`: type and code as in the ICMP header, `data` the
    /// next-hop MTU where the error carries one, else 0 (RFC 8656 §11.5). Types that say nothing about reachability
    /// are dropped.
    pub fn handle_icmp(
        &mut self,
        now: Instant,
        relay: SocketAddr,
        peer: SocketAddr,
        (kind, code, data): (u8, u8, u32),
    ) {
        self.advance(now);
        let (relay, peer) = (canonical(relay), canonical(peer));
        let told = if peer.is_ipv4() { matches!(kind, 3 | 11) } else { matches!(kind, 1..=3) };
        if told && !self.faults.silent(Method::DATA) {
            self.icmp_to_client(relay, peer, Icmp { kind, code, data });
        }
    }

    /// The answer to [`ServerRequest::OpenRelay`]: the address of the socket, or that there is none.
    pub fn handle_relay_opened(&mut self, now: Instant, id: RelayRequestId, result: Result<SocketAddr, ()>) {
        self.advance(now);
        self.on_relay_opened(id, result);
    }

    /// Does what is due. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let now = self.now;
        self.run_timers(|at| at <= now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<ServerTransmit> {
        self.transmits.pop_front()
    }

    /// The next thing to do for the server.
    pub fn poll_request(&mut self) -> Option<ServerRequest> {
        self.requests.pop_front()
    }

    /// When [`Server::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        timer.into_iter().chain(delayed).min()
    }

    /// From here on this is the password of a user, known before or not; without one the user is not known any more, and
    /// what was allocated to it ends with its lifetime.
    pub fn set_user(&mut self, name: &str, password: Option<&str>) {
        self.auth.set_user(name.as_bytes(), password.map(str::as_bytes));
    }

    /// Allocations held now.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// The relayed transport addresses in use.
    pub fn relayed_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.relays.keys().copied()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Moves the clock; what was due before `now` is done first, so that an input never meets something that has
    /// already ended. An earlier `now` counts as the last one.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        self.run_timers(|at| at < now);
    }

    fn run_timers(&mut self, due: impl Fn(Instant) -> bool) {
        while let Some((_, timer)) = self.timers.first().copied().filter(|(at, _)| due(*at)) {
            self.timers.pop_first();
            match timer {
                Timer::Expiry(tuple) => self.expire(tuple),
                Timer::Opening(tuple) => self.give_up_opening(tuple),
            }
        }
        while let Some(entry) = self.delayed.first_entry().filter(|entry| due(entry.key().0)) {
            let transmit = entry.remove();
            self.send(transmit);
        }
    }

    fn on_stun(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return;
        };
        if message.has_fingerprint() && message.verify_fingerprint().is_err() {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return;
        }
        if self.faults.silent(message.method()) {
            return;
        }
        // RFC 8489 §6.3: a method or class that is not served is dropped without a word.
        match (message.class(), message.method()) {
            (Class::Request, Method::BINDING) => self.on_binding(&ReplyTo::new(tuple, &message), &message),
            (
                Class::Request,
                Method::ALLOCATE | Method::REFRESH | Method::CREATE_PERMISSION | Method::CHANNEL_BIND,
            ) if !self.relay_ips.is_empty() => {
                self.on_turn_request(ReplyTo::new(tuple, &message), &message);
            }
            (Class::Indication, Method::SEND) if not_understood(&message).is_empty() => {
                self.on_send(tuple, &message);
            }
            _ => {}
        }
    }

    fn on_binding(&mut self, to: &ReplyTo, message: &Message<'_>) {
        if !self.admit(to) || self.misbehave(to) {
            return;
        }
        let unknown = not_understood(message);
        if !unknown.is_empty() {
            self.refuse_unknown(to, &unknown);
            return;
        }
        let mapped = self.mapped_to_tell(to);
        self.succeed(to, |writer| writer.put(&XorMappedAddress(mapped)));
    }

    fn on_turn_request(&mut self, mut to: ReplyTo, message: &Message<'_>) {
        let authenticated = match self.auth.authenticate(self.now, to.tuple, message) {
            Ok(authenticated) => authenticated,
            Err(refusal) => {
                self.refuse_unauthenticated(&to, refusal);
                return;
            }
        };
        to.signature = Some(authenticated.signature);
        if let Some(bytes) = self.remembered.find(self.now, &to) {
            self.respond(&to, bytes);
        } else if self.openings.get(&to.tuple).is_some_and(|opening| opening.is_for(&to)) {
            // Its answer is on the way.
        } else if !authenticated.fresh {
            self.challenge(&to, ErrorCode::STALE_NONCE);
        } else if !self.misbehave(&to) {
            self.serve(&to, message);
        }
    }

    fn serve(&mut self, to: &ReplyTo, message: &Message<'_>) {
        let unknown = not_understood(message);
        match to.method {
            _ if !unknown.is_empty() => self.refuse_unknown(to, &unknown),
            Method::ALLOCATE => self.on_allocate(to, message),
            Method::REFRESH => self.on_refresh(to, message),
            Method::CREATE_PERMISSION => self.on_create_permission(to, message),
            Method::CHANNEL_BIND => self.on_channel_bind(to, message),
            _ => {}
        }
    }

    fn refuse_unauthenticated(&mut self, to: &ReplyTo, refusal: Refusal) {
        if !self.admit(to) {
            return;
        }
        match refusal {
            Refusal::Unauthenticated => self.challenge(to, ErrorCode::UNAUTHENTICATED),
            Refusal::BadRequest => self.refuse(to, ErrorCode::BAD_REQUEST),
        }
    }

    /// RFC 8489 §6.3.1: 420 lists what was not understood.
    fn refuse_unknown(&mut self, to: &ReplyTo, unknown: &[AttributeType]) {
        self.refuse_with(to, ErrorCode::UNKNOWN_ATTRIBUTE, |writer| {
            writer.put(&UnknownAttributes::new(unknown))
        });
    }

    /// Answers as a fault says, if one does.
    fn misbehave(&mut self, to: &ReplyTo) -> bool {
        let fault = self.faults.take(to.method, |kind| {
            matches!(kind, FaultKind::Error(_) | FaultKind::Redirect(_)).then_some(kind)
        });
        match fault {
            Some(FaultKind::Error(code @ (ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE))) => {
                self.challenge(to, code);
            }
            Some(FaultKind::Error(code)) => self.refuse(to, code),
            Some(FaultKind::Redirect(alternate)) => {
                self.refuse_with(to, ErrorCode::TRY_ALTERNATE, |writer| {
                    writer.put(&AlternateServer(alternate))
                });
            }
            _ => return false,
        }
        true
    }

    fn admit(&mut self, to: &ReplyTo) -> bool {
        let admitted = self.limiter.admit(self.now, to.tuple.client.ip());
        if !admitted {
            self.counters.rate_limited = self.counters.rate_limited.saturating_add(1);
        }
        admitted
    }

    fn send(&mut self, transmit: ServerTransmit) {
        if self.transmits.len() < MAX_QUEUED_DATAGRAMS {
            self.transmits.push_back(transmit);
        } else {
            self.counters.overflowed = self.counters.overflowed.saturating_add(1);
        }
    }

    fn send_later(&mut self, at: Instant, transmit: ServerTransmit) {
        if self.delayed.len() < MAX_QUEUED_DATAGRAMS {
            self.delayed.insert((at, self.next_delayed), transmit);
            self.next_delayed = self.next_delayed.wrapping_add(1);
        } else {
            self.counters.overflowed = self.counters.overflowed.saturating_add(1);
        }
    }
}

/// Comprehension-required attributes that are unknown or not served.
fn not_understood(message: &Message<'_>) -> Vec<AttributeType> {
    let not_served =
        message.attributes().map(|attribute| attribute.kind).filter(|kind| NOT_SERVED.contains(kind));
    message.unknown_required().chain(not_served).take(MAX_UNKNOWN_LISTED).collect()
}

/// A v4-mapped address as the IPv4 address it is; flow labels and scopes dropped.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests;
