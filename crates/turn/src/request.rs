//! Requests in flight: what each is for, how it is written and when a second one is sent beside it.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::attribute::{
    AdditionalAddressFamily, AddressFamily, Lifetime, RequestedAddressFamily, RequestedTransport,
    XorPeerAddress,
};
use floe_stun::{
    ChannelNumber, Class, Instant, MessageWriter, Method, Random, Schedule, Transaction, TransactionId,
};

use crate::auth::{Challenge, MAX_ALGORITHMS_BYTES};
use crate::channel::MAX_CHANNELS;
use crate::config::{ClientConfig, Families};
use crate::permission::{MAX_BATCH, MAX_PERMISSIONS};

/// Requests in flight: two for the allocation, for each permission and for each channel. The tables behind them
/// are bounded, so it is not reached; a request that found no room would count as unanswered.
pub const MAX_REQUESTS: usize = 2 * (1 + MAX_PERMISSIONS + MAX_CHANNELS);
/// Bytes that any request fits into: the longest user name, realm, nonce and algorithms with a full batch of
/// IPv6 peers and both integrity and header. Real ones have 100 to 400.
pub const MAX_REQUEST_BYTES: usize =
    20 + 512 + 768 + 768 + (4 + MAX_ALGORITHMS_BYTES) + 8 + MAX_BATCH * 24 + 36;
/// How many 438 in a row one request may meet. The RFC sets no limit, a server in a loop would need one.
pub(crate) const MAX_STALE: u8 = 3;
/// How many 401 one request may answer: the first asks for credentials, a second one may name another realm.
pub(crate) const MAX_CHALLENGES: u8 = 2;
/// After this many RTOs without an answer a renewal gets a second request beside it.
const RTOS_ALONE: u32 = 3;

/// What a request has been through, over all its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) stale: u8,
    pub(crate) challenges: u8,
    /// Answers after which it was repeated after a pause.
    pub(crate) pauses: u8,
}

impl Attempts {
    pub(crate) const NEW: Self = Self { stale: 0, challenges: 0, pauses: 0 };
}

/// Where something that is asked for the first time stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// For its turn: a slot, or the next call that brings random values.
    Waiting(Attempts),
    /// For the pause before another try to end.
    Paused(Instant, Attempts),
    /// For the answer.
    InFlight,
}

impl Asking {
    pub(crate) const NEW: Self = Self::Waiting(Attempts::NEW);
}

/// What a request is for.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Allocate,
    Refresh,
    /// Refresh with a lifetime of zero.
    Release,
    Permit {
        peers: Vec<IpAddr>,
        renewal: bool,
    },
    Bind {
        peer: SocketAddr,
        number: ChannelNumber,
        renewal: bool,
    },
}

impl Job {
    const fn method(&self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh | Self::Release => Method::REFRESH,
            Self::Permit { .. } => Method::CREATE_PERMISSION,
            Self::Bind { .. } => Method::CHANNEL_BIND,
        }
    }

    /// Whether it renews what the server has granted.
    pub(crate) const fn is_renewal(&self) -> bool {
        matches!(self, Self::Refresh | Self::Permit { renewal: true, .. } | Self::Bind { renewal: true, .. })
    }
}

/// One transaction.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) job: Job,
    /// Requests beside each other for the same job share it.
    pub(crate) group: u32,
    pub(crate) attempts: Attempts,
    pub(crate) transaction: Transaction,
    /// What it is signed with, fixed so that a retransmission is the same byte for byte.
    pub(crate) challenge: Option<Challenge>,
    /// An answer came that was not signed with our key.
    pub(crate) violated: bool,
    /// When to send a second one beside it.
    beside_at: Option<Instant>,
}

impl Request {
    fn encode(&self, config: &ClientConfig, buffer: &mut [u8]) -> Option<usize> {
        let id = self.transaction.id();
        let mut writer = MessageWriter::new(buffer, Class::Request, self.job.method(), id).ok()?;
        self.put_job(config, &mut writer)?;
        match (&self.challenge, &config.credentials) {
            (Some(challenge), Some(credentials)) => challenge.sign(writer, credentials),
            _ => Some(writer.finish()),
        }
    }

    fn put_job(&self, config: &ClientConfig, writer: &mut MessageWriter<'_>) -> Option<()> {
        match &self.job {
            Job::Allocate => {
                // RFC 8656 §7.1: always there, UDP towards the peers.
                writer.put(&RequestedTransport::UDP).ok()?;
                // RFC 8656 §7.1: one of the two family attributes or none; the additional family is IPv6.
                match config.families {
                    Families::V4 => {}
                    Families::V6 => writer.put(&RequestedAddressFamily(AddressFamily::Ipv6)).ok()?,
                    Families::Dual => writer.put(&AdditionalAddressFamily(AddressFamily::Ipv6)).ok()?,
                }
                put_lifetime(config, writer)
            }
            // RFC 8656 §8.1: without a family it renews every address of the allocation.
            Job::Refresh => put_lifetime(config, writer),
            Job::Release => writer.put(&Lifetime(0)).ok(),
            Job::Permit { peers, .. } => {
                // RFC 8656 §10.1: the port is ignored.
                peers.iter().try_for_each(|peer| writer.put(&XorPeerAddress(SocketAddr::new(*peer, 0))).ok())
            }
            Job::Bind { peer, number, .. } => {
                writer.put(number).ok()?;
                writer.put(&XorPeerAddress(*peer)).ok()
            }
        }
    }
}

fn put_lifetime(config: &ClientConfig, writer: &mut MessageWriter<'_>) -> Option<()> {
    match config.lifetime {
        // Zero would delete the allocation; that is not what a wish for a lifetime can mean.
        Some(seconds) if seconds > 0 => writer.put(&Lifetime(seconds)).ok(),
        _ => Some(()),
    }
}

/// Everything in flight.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    list: Vec<Request>,
    next_group: u32,
}

impl Requests {
    /// A group for a new job.
    pub(crate) fn new_group(&mut self) -> u32 {
        self.next_group = self.next_group.wrapping_add(1);
        self.next_group
    }

    /// Begins a transaction; it is to be sent at once. `false` if there is no room.
    pub(crate) fn start(
        &mut self,
        (now, id, rto): (Instant, TransactionId, Duration),
        (job, attempts, group): (Job, Attempts, u32),
        challenge: Option<Challenge>,
    ) -> bool {
        if self.list.len() >= MAX_REQUESTS {
            return false;
        }
        // Two of a group are enough, also when one of them is repeated with another nonce.
        let alone = !self.has_group(group);
        let beside_at = (alone && job.is_renewal()).then(|| now.after(rto.saturating_mul(RTOS_ALONE)));
        let transaction = Transaction::new(now, id, Schedule { rto, ..Schedule::default() });
        let request = Request { job, group, attempts, transaction, challenge, violated: false, beside_at };
        self.list.push(request);
        true
    }

    /// RFC 8489 §6.3: a response belongs to the request with its id and method.
    pub(crate) fn find(&self, id: TransactionId, method: Method) -> Option<&Request> {
        self.list.iter().find(|request| request.transaction.id() == id && request.job.method() == method)
    }

    pub(crate) fn mark_violated(&mut self, id: TransactionId) {
        for request in self.list.iter_mut().filter(|request| request.transaction.id() == id) {
            request.violated = true;
        }
    }

    pub(crate) fn take(&mut self, id: TransactionId) -> Option<Request> {
        let index = self.list.iter().position(|request| request.transaction.id() == id)?;
        Some(self.take_at(index))
    }

    fn take_at(&mut self, index: usize) -> Request {
        let request = self.list.remove(index);
        if self.list.is_empty() {
            // For hours there is nothing in flight: the memory goes back meanwhile.
            self.list = Vec::new();
        }
        request
    }

    /// Takes one that has run out of time.
    pub(crate) fn take_timed_out(&mut self) -> Option<Request> {
        let index = self.list.iter().position(|request| request.transaction.is_timed_out())?;
        Some(self.take_at(index))
    }

    /// Whether the job of this group has another request in flight.
    pub(crate) fn has_group(&self, group: u32) -> bool {
        self.list.iter().any(|request| request.group == group)
    }

    pub(crate) fn remove_group(&mut self, group: u32) {
        self.list.retain(|request| request.group != group);
    }

    /// Whether a request of this kind is in flight.
    pub(crate) fn any(&self, which: impl Fn(&Job) -> bool) -> bool {
        self.list.iter().any(|request| which(&request.job))
    }

    /// Whether there are some of this kind, and each of them began so long before `now`.
    pub(crate) fn all_began_before(
        &self,
        now: Instant,
        age: Duration,
        which: impl Fn(&Job) -> bool + Copy,
    ) -> bool {
        let of_kind = self.list.iter().filter(|request| which(&request.job));
        self.any(which) && of_kind.map(|request| request.transaction.started()).all(|at| now.since(at) >= age)
    }

    /// Whether any of them has left.
    pub(crate) fn any_sent(&self) -> bool {
        self.list.iter().any(|request| request.transaction.sent() > 0)
    }

    /// Keeps only those of this kind, and does not send them again; their answers still count.
    pub(crate) fn retain_silently(&mut self, which: impl Fn(&Job) -> bool) {
        self.list.retain_mut(|request| {
            request.transaction.cancel_retransmission();
            which(&request.job)
        });
    }

    pub(crate) fn remove(&mut self, which: impl Fn(&Job) -> bool) {
        self.list.retain(|request| !which(&request.job));
    }

    pub(crate) fn clear(&mut self) {
        self.list = Vec::new();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for request in &mut self.list {
            request.transaction.handle_timeout(now);
        }
    }

    /// The job of a renewal that has been unanswered for so long that a second request shall go out beside it.
    pub(crate) fn take_lonely(&mut self, now: Instant) -> Option<(Job, Attempts, u32)> {
        let request = self.list.iter_mut().find(|request| request.beside_at.is_some_and(|at| at <= now))?;
        request.beside_at = None;
        Some((request.job.clone(), request.attempts, request.group))
    }

    pub(crate) fn poll_transmit(&mut self, config: &ClientConfig, buffer: &mut [u8]) -> Option<usize> {
        self.list.iter_mut().find_map(|request| {
            request.transaction.take_transmission().then(|| request.encode(config, buffer)).flatten()
        })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timers = |request: &Request| [request.transaction.poll_timeout(), request.beside_at];
        self.list.iter().flat_map(timers).flatten().min()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.list.capacity()
    }
}

/// A random transaction id and what else a transaction for `job` begins with.
pub(crate) fn opening(
    now: Instant,
    config: &ClientConfig,
    job: &Job,
    rng: &mut Random,
) -> (Instant, TransactionId, Duration) {
    // RFC 8489 §6.2.1: an RTO under 500 ms needs reasons that this client has not.
    let usual = Schedule::default().rto;
    // RFC 8445 §14.3: a longer one is for the time of gathering. What is asked of an open allocation, or of one that is given
    // back, is not asked beside other candidates.
    let rto = if matches!(job, Job::Allocate) { config.rto.max(usual) } else { usual };
    (now, rng.transaction_id(), rto)
}
