//! The client: one allocation over one 5-tuple.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::{ChannelNumber, Class, Instant, Message, Random};

use crate::allocation::Allocation;
use crate::auth::Challenge;
use crate::channel::{Bind, Channels};
use crate::config::ClientConfig;
use crate::credential::Credentials;
use crate::data::{
    DropReason, Incoming, Indication, canonical, canonical_ip, read_channel_data, read_indication,
    write_indication,
};
use crate::error::{ChannelError, CredentialsError, FollowError, PermissionError, RequestError, SendError};
use crate::event::Event;
use crate::permission::{Permissions, Permit};
use crate::request::{Asking, Attempts, Job, Requests, opening};

/// Events kept until they are polled: one for each permission and channel and some for the allocation, which an
/// owner that drains after each input never has waiting. When it is full a new [`Event::PeerUnreachable`] is
/// dropped; for any other event the oldest one makes room.
pub const MAX_EVENTS: usize = 160;
/// How long the release of an allocation is tried: three transmissions (0, 0.5 and 1.5 s), and a network that is gone does
/// not hold up the application.
pub(crate) const RELEASE_PATIENCE: Duration = Duration::from_secs(3);
/// How long a Refresh may have been unanswered that [`Client::keep`] waits for: up to then requests leave within 2 s of each
/// other, and ever more rarely afterwards (RFC 8489 §6.2.1).
const STALE_AFTER: Duration = Duration::from_secs(2);

/// Where the allocation stands.
///
/// ```text
///  Idle ──allocate──▶ Allocating ──success──▶ Open ──close, too long without renewal──▶ Releasing ──▶ Idle
///   ▲  ▲                │     │                └──437──▶ Idle
///   │  └──refused───────┘     └──300──▶ Redirected ──follow──▶ Allocating
///   └── (closed for good once `close` was called)
/// ```
#[derive(Debug)]
pub(crate) enum Phase {
    Idle,
    Allocating(Asking),
    Redirected(SocketAddr),
    Open(Allocation),
    /// The allocation is, or may be, to be deleted.
    Releasing {
        /// When to give up.
        until: Instant,
        /// When to send the next request for it; `None` while one is in flight or none is needed yet.
        ask_at: Option<Instant>,
    },
}

/// One allocation on a TURN server over one 5-tuple (RFC 8656), kept alive for as long as it is wanted.
///
/// The owner passes every datagram that comes from the server's address on the socket of this client to
/// [`handle_datagram`](Self::handle_datagram) and sends what [`poll_transmit`](Self::poll_transmit) writes to
/// [`server`](Self::server). It contains no socket, clock or random source.
///
/// A `now` before the latest one counts as the latest one.
#[derive(Debug)]
pub struct Client {
    pub(crate) config: ClientConfig,
    /// The latest instant seen.
    pub(crate) clock: Instant,
    /// When `handle_timeout` has something to do.
    pub(crate) deadline: Option<Instant>,
    pub(crate) phase: Phase,
    /// `close` was called.
    pub(crate) closed: bool,
    /// `allocate` was called while the previous allocation is being deleted.
    pub(crate) allocate_next: bool,
    /// The server has answered 401 since it last accepted our credentials.
    pub(crate) doubted: bool,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) permissions: Permissions,
    pub(crate) channels: Channels,
    pub(crate) requests: Requests,
    pub(crate) events: VecDeque<Event>,
    /// Servers that were asked, and when last (RFC 8489 §10).
    pub(crate) visited: Vec<(SocketAddr, Instant)>,
}

/// # Commands
impl Client {
    /// A client that does nothing yet.
    pub fn new(mut config: ClientConfig) -> Self {
        config.server = canonical(config.server);
        Self {
            config,
            clock: Instant::ORIGIN,
            deadline: None,
            phase: Phase::Idle,
            closed: false,
            allocate_next: false,
            doubted: false,
            challenge: None,
            permissions: Permissions::default(),
            channels: Channels::default(),
            requests: Requests::default(),
            events: VecDeque::new(),
            visited: Vec::new(),
        }
    }

    /// Asks for an allocation, with the next slot. The answer is [`Event::Allocated`],
    /// [`Event::AllocateFailed`] or [`Event::Redirected`].
    ///
    /// Does nothing while there is an allocation or one is being made, and after `close`. While what is left of a lost
    /// allocation is being deleted, it waits for that. After a failure it tries again: [`crate::AllocateError::retry`]
    /// says when that makes sense.
    pub fn allocate(&mut self, now: Instant) {
        self.tick(now);
        if self.closed {
            return;
        }
        match self.phase {
            Phase::Idle => self.begin(),
            Phase::Releasing { .. } => self.allocate_next = true,
            Phase::Allocating(_) | Phase::Redirected(_) | Phase::Open(_) => {}
        }
        self.update_deadline();
    }

    pub(crate) fn begin(&mut self) {
        self.allocate_next = false;
        // RFC 8489 §9.2.3.1: without a success so far, the first request carries no credentials.
        self.challenge = None;
        self.phase = Phase::Allocating(Asking::NEW);
    }

    /// Wants datagrams of this peer to be let through, from any of its ports, until [`forget`](Self::forget).
    ///
    /// The first request waits for a slot, renewals do not. It is answered by [`Event::PermissionGranted`] or
    /// [`Event::PermissionRefused`], also if that was known already. A peer that was refused is not asked for
    /// again before a back-off is over. While the allocation is being made the answer waits for it, and there
    /// is none if that fails.
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        self.tick(now);
        let peer = canonical_ip(peer);
        let answer = match &self.phase {
            Phase::Open(allocation) if !allocation.holds_family_of(&peer) => {
                Permit::Refused(PermissionError::FamilyNotHeld)
            }
            Phase::Open(_) | Phase::Allocating(_) => self.permissions.permit(self.clock, peer),
            _ => Permit::Refused(PermissionError::NoAllocation),
        };
        match answer {
            Permit::Asked => {}
            Permit::Granted => self.push_event(Event::PermissionGranted(peer)),
            Permit::Refused(error) => self.push_event(Event::PermissionRefused(peer, error)),
        }
        self.update_deadline();
    }

    /// Lets the permission for this peer, and any channel to it, run out.
    pub fn forget(&mut self, peer: IpAddr) {
        let peer = canonical_ip(peer);
        self.permissions.forget(peer);
        self.channels.release(|bound| bound.ip() == peer);
        self.update_deadline();
    }

    /// Lets the permissions for all other peers than these, and any channels to them, run out.
    pub fn forget_others(&mut self, keep: impl Fn(IpAddr) -> bool) {
        self.permissions.forget_others(&keep);
        self.channels.release(|bound| !keep(bound.ip()));
        self.update_deadline();
    }

    /// Wants a channel to this peer until [`unbind_channel`](Self::unbind_channel); it brings a permission with
    /// it. The answer is [`Event::ChannelBound`] or [`Event::ChannelRefused`], also if that was known already.
    ///
    /// The request needs no slot: it is made by the `handle_timeout` that is due at once.
    pub fn bind_channel(&mut self, now: Instant, peer: SocketAddr) {
        self.tick(now);
        let peer = canonical(peer);
        let answer = match &self.phase {
            Phase::Open(allocation) if !allocation.holds_family_of(&peer.ip()) => {
                Bind::Refused(ChannelError::FamilyNotHeld)
            }
            Phase::Open(_) => self.channels.bind(self.clock, peer),
            _ => Bind::Refused(ChannelError::NoAllocation),
        };
        match answer {
            Bind::Asked => {}
            Bind::Bound(number) => self.push_event(Event::ChannelBound(peer, number)),
            Bind::Refused(error) => self.push_event(Event::ChannelRefused(peer, error)),
        }
        self.update_deadline();
    }

    /// Lets the channel to this peer run out. Its permission is a matter of [`forget`](Self::forget).
    pub fn unbind_channel(&mut self, peer: SocketAddr) {
        let peer = canonical(peer);
        self.channels.release(|bound| bound == peer);
        self.update_deadline();
    }

    /// Lets the channels to all other peers than these run out; their permissions stay.
    pub fn unbind_other_channels(&mut self, keep: impl Fn(SocketAddr) -> bool) {
        self.channels.release(|bound| !keep(bound));
        self.update_deadline();
    }

    /// After [`Event::Redirected`]: asks the other server, with the same credentials and from the next slot on.
    /// From here on [`server`](Self::server) names it.
    ///
    /// # Errors
    ///
    /// No redirection is pending.
    pub fn follow(&mut self, now: Instant) -> Result<(), FollowError> {
        self.tick(now);
        let Phase::Redirected(server) = self.phase else { return Err(FollowError::NotRedirected) };
        self.config.server = server;
        self.challenge = None;
        self.phase = Phase::Allocating(Asking::NEW);
        self.update_deadline();
        Ok(())
    }

    /// Takes a new password of the same user, for the next request on. An allocation belongs to its user name
    /// (RFC 8656 §5), so that another user takes another client.
    ///
    /// # Errors
    ///
    /// There is no user, or the password is too long.
    pub fn set_password(&mut self, now: Instant, password: &[u8]) -> Result<(), CredentialsError> {
        let old = self.config.credentials.as_ref().ok_or(CredentialsError::EmptyUsername)?;
        let credentials = Credentials::new(old.username(), password)?;
        self.set_credentials(now, &credentials);
        Ok(())
    }

    /// [`set_password`](Self::set_password) with the password of these credentials, if they are of the same user. `false`
    /// if they are not, and nothing changes.
    pub fn set_credentials(&mut self, now: Instant, credentials: &Credentials) -> bool {
        self.tick(now);
        if self.config.credentials.as_ref().map(Credentials::username) != Some(credentials.username()) {
            return false;
        }
        self.challenge = self.challenge.as_ref().map(|challenge| challenge.with_password(credentials));
        self.config.credentials = Some(credentials.clone());
        self.doubted = false;
        // What the old password could not renew is tried again at once.
        if let Phase::Open(allocation) = &mut self.phase {
            allocation.lease.retry_at_once(self.clock);
        }
        self.permissions.retry_at_once(self.clock);
        self.channels.retry_at_once(self.clock);
        self.update_deadline();
        true
    }

    /// Whether the server has refused the credentials since it last accepted them, and no others have come.
    pub fn wants_credentials(&self) -> bool {
        self.doubted
    }

    /// From here on the allocation is renewed each `interval` if not sooner, as with [`ClientConfig::keep`], and once now: a
    /// NAT on the way may have forgotten its mapping meanwhile, and the sooner the server says so (437), the sooner another
    /// allocation can be asked for. A Refresh that has been unanswered for 2 s is nearly over: another one takes its place.
    ///
    /// The request is made by the `handle_timeout` that is due then.
    pub fn keep(&mut self, now: Instant, interval: Duration) {
        self.tick(now);
        self.config.keep = Some(interval);
        if let Phase::Open(allocation) = &mut self.phase {
            allocation.lease = allocation.lease.kept(self.clock, Some(interval));
            let is_refresh = |job: &Job| matches!(job, Job::Refresh);
            if self.requests.all_began_before(self.clock, STALE_AFTER, is_refresh) {
                self.requests.remove(is_refresh);
                allocation.lease.renew_at_once(self.clock);
            } else {
                allocation.lease.hasten(self.clock);
            }
        }
        self.update_deadline();
    }

    /// From the next renewal on the allocation is renewed as its lifetime asks for, whatever
    /// [`keep`](ClientConfig::keep) was.
    pub fn stop_keeping(&mut self) {
        self.config.keep = None;
    }

    /// Gives the allocation back (Refresh with a lifetime of zero, RFC 8656 §8), over loss and stale nonces, for
    /// at most 3 s. From here on no data passes. [`Event::Released`] follows once; the socket may be closed then.
    ///
    /// The request is made by the `handle_timeout` that is due at once.
    pub fn close(&mut self, now: Instant) {
        self.tick(now);
        if self.closed {
            return;
        }
        self.closed = true;
        match self.phase {
            // It is on its way already.
            Phase::Releasing { .. } => {}
            Phase::Open(_) => self.release(),
            Phase::Allocating(Asking::InFlight) if self.requests.any_sent() => self.abandon(),
            Phase::Idle | Phase::Redirected(_) | Phase::Allocating(_) => self.end(),
        }
        self.update_deadline();
    }
}

/// # Pacing
impl Client {
    /// Whether a request waits for one of the owner's slots: Allocate, or the first CreatePermission for a peer.
    pub fn wants_slot(&self) -> bool {
        match self.phase {
            Phase::Allocating(Asking::Waiting(_)) => true,
            Phase::Open(_) => self.permissions.wants_slot(),
            _ => false,
        }
    }

    /// Begins one waiting request; `false` if there was none. Each transmission then comes from
    /// [`poll_transmit`](Self::poll_transmit), retransmissions without further slots.
    pub fn take_slot(&mut self, now: Instant, rng: &mut Random) -> bool {
        self.tick(now);
        let taken = match self.phase {
            Phase::Allocating(Asking::Waiting(attempts)) => {
                self.phase = Phase::Allocating(Asking::InFlight);
                self.visit();
                let group = self.requests.new_group();
                self.start((Job::Allocate, attempts, group), rng);
                true
            }
            Phase::Open(_) => match self.permissions.take_waiting() {
                Some((peer, attempts)) => {
                    let group = self.requests.new_group();
                    let job = Job::Permit { peers: Vec::from([peer]), renewal: false };
                    if !self.start((job, attempts, group), rng) {
                        self.permit_failed(&[peer], RequestError::TimedOut);
                    }
                    true
                }
                None => false,
            },
            _ => false,
        };
        self.update_deadline();
        taken
    }
}

/// # Inputs
impl Client {
    /// A datagram from the server's address on this client's socket. Data of peers is found in place; it costs
    /// no allocation and no timer is looked at.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8], rng: &mut Random) -> Incoming {
        self.tick(now);
        // RFC 8656 §12: the first byte decides.
        match datagram.first() {
            Some(64..=79) if self.is_open() => {
                read_channel_data(datagram, self.clock, &self.channels, &self.permissions)
            }
            Some(64..=79) => Incoming::Dropped(DropReason::NoAllocation),
            Some(0..=3) => self.handle_stun(datagram, rng),
            _ => Incoming::Dropped(DropReason::NotTurn),
        }
    }

    fn handle_stun(&mut self, datagram: &[u8], rng: &mut Random) -> Incoming {
        let Ok(message) = Message::parse(datagram) else { return Incoming::Dropped(DropReason::Malformed) };
        match message.class() {
            Class::Request => Incoming::Dropped(DropReason::Unexpected),
            Class::Indication if !self.is_open() => Incoming::Dropped(DropReason::NoAllocation),
            Class::Indication => match read_indication(&message, self.clock, &self.permissions) {
                Ok(Indication::Data { peer, payload }) => Incoming::Data { peer, payload },
                Ok(Indication::Icmp { peer, icmp }) => {
                    // RFC 8656 §11.6: passed on as what it is, an unauthenticated hint about one peer.
                    self.push_event(Event::PeerUnreachable { peer, kind: icmp.kind, code: icmp.code });
                    Incoming::Taken
                }
                Err(reason) => Incoming::Dropped(reason),
            },
            Class::Success | Class::Error => self.handle_response(&message, rng),
        }
    }
}

/// # Outputs
impl Client {
    /// Writes the next request to send to [`server`](Self::server); `None` if there is none.
    ///
    /// A request that does not fit counts as sent and lost: [`crate::MAX_REQUEST_BYTES`] are always enough.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.requests.poll_transmit(&self.config, buffer)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): nothing is due before, something is then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }
}

/// # Data
impl Client {
    /// Writes a Send indication that carries `payload` to `peer`; returns its length. RFC 8656 §11.1: only under
    /// a permission that the server has confirmed.
    ///
    /// # Errors
    ///
    /// There is no allocation or no permission, or the indication does not fit.
    pub fn send_indication(
        &self,
        now: Instant,
        peer: SocketAddr,
        payload: &[u8],
        buffer: &mut [u8],
        rng: &mut Random,
    ) -> Result<usize, SendError> {
        let Phase::Open(allocation) = &self.phase else { return Err(SendError::NoAllocation) };
        let now = self.clock.max(now);
        if !allocation.lease.is_live(now) {
            return Err(SendError::NoAllocation);
        }
        let peer = canonical(peer);
        if !self.permissions.allows(peer.ip(), now) {
            return Err(SendError::NoPermission);
        }
        write_indication(rng.transaction_id(), peer, payload, buffer)
    }

    /// Until when the server lets datagrams of `peer` through; `None` if it does not.
    pub fn permission(&self, peer: IpAddr) -> Option<Instant> {
        let Phase::Open(allocation) = &self.phase else { return None };
        let until = self.permissions.until(canonical_ip(peer), self.clock)?;
        Some(until.min(allocation.lease.until()))
    }

    /// The channel to `peer` and until when data may be sent on it: as long as binding, permission and
    /// allocation all last. `None` if it is not bound.
    pub fn channel(&self, peer: SocketAddr) -> Option<(ChannelNumber, Instant)> {
        let peer = canonical(peer);
        let permitted = self.permission(peer.ip())?;
        let (number, until) = self.channels.bound(peer, self.clock)?;
        Some((number, until.min(permitted)))
    }
}

/// # Getters
impl Client {
    /// The server this client talks to.
    pub const fn server(&self) -> SocketAddr {
        self.config.server
    }

    /// Whether there is an allocation.
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// Whether the allocation is being renewed, or is to be now: the server has not said yet whether it still knows it.
    pub fn is_renewing(&self) -> bool {
        matches!(&self.phase, Phase::Open(allocation) if allocation.lease.is_renewing(self.clock))
    }

    /// Whether `close` was called and nothing is left to be done.
    pub const fn is_released(&self) -> bool {
        self.closed && matches!(self.phase, Phase::Idle)
    }

    /// The relayed transport addresses: none without an allocation, two of a dual one.
    pub fn relayed(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let addresses = match &self.phase {
            Phase::Open(allocation) => [Some(allocation.relayed), allocation.second],
            _ => [None, None],
        };
        addresses.into_iter().flatten()
    }

    /// The address and port the server sees us at.
    pub const fn mapped(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Open(allocation) => allocation.mapped,
            _ => None,
        }
    }

    /// Until when the allocation lasts unless it is renewed.
    pub const fn expires(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Open(allocation) => Some(allocation.lease.until()),
            _ => None,
        }
    }
}

impl Client {
    pub(crate) fn tick(&mut self, now: Instant) {
        self.clock = self.clock.max(now);
    }

    pub(crate) fn push_event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            if matches!(event, Event::PeerUnreachable { .. }) {
                return;
            }
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Begins a transaction with the challenge of now. Without room it fails later like an unanswered one.
    pub(crate) fn start(&mut self, job: (Job, Attempts, u32), rng: &mut Random) -> bool {
        let opening = opening(self.clock, &self.config, &job.0, rng);
        self.requests.start(opening, job, self.challenge.clone())
    }
}
