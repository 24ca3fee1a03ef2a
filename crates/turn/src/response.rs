//! Responses: whether one is believed (RFC 8489 §9.2.5) and what follows from it.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::attribute::{ErrorCode, Lifetime};
use floe_stun::{AttributeType, ChannelNumber, Class, Instant, Message, Random};

use crate::allocation::{Grant, alternate_server, usable_lifetime};
use crate::auth::{Challenge, lacks_announced_algorithms};
use crate::client::{Client, Phase};
use crate::data::{DropReason, Incoming};
use crate::error::{AllocateError, LostReason, PermissionError, RequestError};
use crate::event::Event;
use crate::refresh::{Lease, MAX_SERVER_ERRORS, is_about_peer, is_passing, pause};
use crate::request::{Asking, Attempts, Job, MAX_CHALLENGES, MAX_STALE, Request};

/// RFC 8489 §10: how long a server that was asked is not to be asked again because of a redirection.
const REVISIT_AFTER: Duration = Duration::from_secs(300);
/// Servers that one search for an allocation goes to by redirection.
const MAX_REDIRECTS: usize = 4;
/// Pause before an allocation is asked for again after a server error: with it four repetitions end within 5 s.
const ALLOCATE_PAUSE: Duration = Duration::from_millis(1_250);
/// Pause before a release is tried again that was answered with 401: short, as there are only 3 s for all.
const RELEASE_PAUSE: Duration = Duration::from_secs(1);

/// What a response is, once it is known whose it is.
enum Verdict {
    /// As if it had never come.
    Discard(DropReason),
    /// 401.
    Challenged,
    /// 438.
    Stale,
    Success,
    Failed(RequestError),
}

/// Judges a response to `request`. RFC 8489 §9.2.5.
fn judge(request: &Request, message: &Message<'_>) -> Verdict {
    let code = match (message.class(), message.get::<ErrorCode<'_>>()) {
        (Class::Success, _) => None,
        (_, Ok(Some(error))) => Some(error.code()),
        (_, _) => Some(0),
    };
    match code {
        // These bring what is needed to authenticate, and are not authenticated themselves.
        Some(ErrorCode::UNAUTHENTICATED) => return Verdict::Challenged,
        Some(ErrorCode::STALE_NONCE) => return Verdict::Stale,
        _ => {}
    }
    // RFC 8489 §9.2.5: someone took the list of algorithms away.
    if lacks_announced_algorithms(message) {
        return Verdict::Discard(DropReason::Unauthenticated);
    }
    // A request without credentials leaves nothing to check an answer with, a 400 included. To any other, what
    // is not signed with our key has never come, and a 400 is no exception.
    if request.challenge.as_ref().is_some_and(|challenge| !challenge.verify(message)) {
        return Verdict::Discard(DropReason::Unauthenticated);
    }
    // RFC 8489 §6.3.3, §6.3.4: not understood, hence failed.
    if message.unknown_required().next().is_some() {
        return Verdict::Failed(RequestError::Malformed);
    }
    match code {
        None => Verdict::Success,
        // RFC 8489 §6.3.4: an error without (readable) ERROR-CODE is a failure.
        Some(0) => Verdict::Failed(RequestError::Malformed),
        Some(code) => Verdict::Failed(RequestError::Refused { code }),
    }
}

impl Client {
    pub(crate) fn handle_response(&mut self, message: &Message<'_>, rng: &mut Random) -> Incoming {
        let id = message.transaction_id();
        let Some(request) = self.requests.find(id, message.method()) else {
            return Incoming::Dropped(DropReason::UnknownTransaction);
        };
        let verdict = judge(request, message);
        if let Verdict::Discard(reason) = verdict {
            // RFC 8489 §9.2.5: the request goes on, and remembers it for the end.
            self.requests.mark_violated(id);
            return Incoming::Dropped(reason);
        }
        let Some(request) = self.requests.take(id) else {
            return Incoming::Dropped(DropReason::UnknownTransaction);
        };
        match verdict {
            Verdict::Challenged => self.challenged(request, message, rng),
            Verdict::Stale => self.stale(request, message, rng),
            Verdict::Success => self.succeeded(request, message),
            Verdict::Failed(error) => self.fail(request, error, Some(message)),
            Verdict::Discard(_) => {}
        }
        self.update_deadline();
        Incoming::Taken
    }

    /// 401 (RFC 8489 §9.2.5).
    fn challenged(&mut self, request: Request, message: &Message<'_>, rng: &mut Random) {
        let Some(credentials) = &self.config.credentials else {
            return self.fail(request, RequestError::CredentialsNeeded, None);
        };
        let mut attempts = request.attempts;
        let learns = match &request.challenge {
            None => true,
            // RFC 8489 §9.2.5: a retry has to change something, and the realm is all that can change here. A
            // server that is only asked for an allocation may do so; one that granted it may not.
            Some(sent) => {
                matches!(request.job, Job::Allocate)
                    && message.raw(AttributeType::REALM).is_some_and(|realm| realm != sent.realm())
            }
        };
        if learns && attempts.challenges < MAX_CHALLENGES {
            attempts.challenges = attempts.challenges.saturating_add(1);
            return match Challenge::learn(message, credentials) {
                Ok(challenge) => {
                    self.challenge = Some(challenge);
                    self.again(request, attempts, rng);
                }
                Err(error) => self.fail(request, error, None),
            };
        }
        if matches!(request.job, Job::Allocate) {
            return self.fail(request, RequestError::Unauthenticated, None);
        }
        // These credentials were good for the allocation. Either they have run out, or the server says 401 where
        // it means 438. This request has failed; what is asked later is asked with the nonce of this answer.
        if let Some(Ok(challenge)) = self.challenge.as_ref().map(|held| held.renew(message)) {
            self.challenge = Some(challenge);
        }
        if matches!(request.job, Job::Release) {
            return self.release_again(self.clock.after(RELEASE_PAUSE));
        }
        // What was signed as somebody else, or with another password, says nothing of those there are now.
        let sent = request.challenge.as_ref();
        let is_current =
            self.challenge.as_ref().zip(sent).is_some_and(|(held, sent)| held.is_signed_as(sent));
        if is_current && !self.doubted {
            self.doubted = true;
            self.push_event(Event::CredentialsWanted);
        }
        self.fail(request, RequestError::Unauthenticated, None);
    }

    /// 438 (RFC 8489 §9.2.5): again at once with the new nonce. Data is not touched by it: permissions and
    /// channels stay what they are.
    fn stale(&mut self, request: Request, message: &Message<'_>, rng: &mut Random) {
        let mut attempts = request.attempts;
        attempts.stale = attempts.stale.saturating_add(1);
        if attempts.stale > MAX_STALE {
            return self.fail(request, RequestError::StaleNonce, None);
        }
        let Some(sent) = &request.challenge else {
            // No nonce was sent that could be stale.
            return self.fail(request, RequestError::Malformed, None);
        };
        match self.challenge.as_ref().unwrap_or(sent).renew(message) {
            Ok(challenge) => {
                self.challenge = Some(challenge);
                self.again(request, attempts, rng);
            }
            Err(error) => self.fail(request, error, None),
        }
    }

    /// The same job in a new transaction: at once, or with the next slot if it is paced.
    fn again(&mut self, request: Request, attempts: Attempts, rng: &mut Random) {
        let waiting = Asking::Waiting(attempts);
        match &request.job {
            Job::Allocate => match &mut self.phase {
                Phase::Allocating(asking) => *asking = waiting,
                // It was given up meanwhile, and this answer says that nothing was granted.
                _ => self.settle_release(),
            },
            Job::Permit { peers, renewal: false } => {
                for peer in peers {
                    self.permissions.ask_again(*peer, waiting);
                }
            }
            _ => {
                self.start((request.job, attempts, request.group), rng);
            }
        }
    }

    fn succeeded(&mut self, request: Request, message: &Message<'_>) {
        self.requests.remove_group(request.group);
        if request.challenge.is_some() {
            self.doubted = false;
        }
        let started = request.transaction.started();
        match request.job {
            Job::Allocate => self.allocated(message, started),
            Job::Refresh => self.refreshed(message, started),
            Job::Release => self.end(),
            Job::Permit { peers, .. } => {
                for peer in peers {
                    self.permitted(peer, started);
                }
            }
            Job::Bind { peer, number, .. } => {
                if self.channels.grant(self.clock, started, number) {
                    self.push_event(Event::ChannelBound(peer, number));
                }
                // RFC 8656 §12.1: it installs or renews the permission too.
                if self.channels.wants(peer.ip()) {
                    self.permissions.admit(peer.ip());
                }
                self.permitted(peer.ip(), started);
            }
        }
    }

    fn permitted(&mut self, peer: IpAddr, started: Instant) {
        if self.permissions.grant(self.clock, started, peer) {
            self.push_event(Event::PermissionGranted(peer));
        }
    }

    fn allocated(&mut self, message: &Message<'_>, started: Instant) {
        if !matches!(self.phase, Phase::Allocating(_)) {
            // It was given up meanwhile. A release that overtook it met nothing; this is what to release.
            return self.release_again(self.clock);
        }
        match Grant::read(message, self.config.families, self.config.server) {
            Ok(grant) => {
                let mut allocation = grant.into_allocation(self.clock, started);
                allocation.lease = allocation.lease.kept(self.clock, self.config.keep);
                self.phase = Phase::Open(allocation);
                self.push_event(Event::Allocated {
                    relayed: grant.relayed,
                    second: grant.second,
                    mapped: grant.mapped,
                    lifetime: grant.lifetime,
                });
                if let Some((family, code)) = grant.refused {
                    self.push_event(Event::FamilyRefused { family, code });
                }
                // Peers that were wanted before it was known which families there would be.
                while let Some(peer) = self.permissions.remove_first(|peer| !allocation.holds_family_of(peer))
                {
                    self.push_event(Event::PermissionRefused(peer, PermissionError::FamilyNotHeld));
                }
            }
            Err(error) => {
                // RFC 8656 §7.3: what cannot be used is deleted.
                self.push_event(Event::AllocateFailed(error));
                self.release();
            }
        }
    }

    fn refreshed(&mut self, message: &Message<'_>, started: Instant) {
        let Ok(Some(Lifetime(seconds))) = message.get::<Lifetime>() else {
            return self.renewal_failed(RequestError::Malformed);
        };
        match (usable_lifetime(seconds), &mut self.phase) {
            (Some(lifetime), Phase::Open(allocation)) => {
                let lease = Lease::granted(self.clock, started, lifetime);
                allocation.lease = lease.kept(self.clock, self.config.keep);
                allocation.last_error = None;
            }
            (None, Phase::Open(_)) => self.lose(LostReason::UnusableLifetime(seconds)),
            _ => {}
        }
    }

    /// A request ended without success; `message` is the answer, if there was one that counts.
    pub(crate) fn fail(&mut self, request: Request, error: RequestError, message: Option<&Message<'_>>) {
        let unanswered = matches!(error, RequestError::TimedOut | RequestError::IntegrityViolated);
        if unanswered && self.requests.has_group(request.group) {
            // The one beside it may still be answered.
            return;
        }
        self.requests.remove_group(request.group);
        let code = if let RequestError::Refused { code } = error { code } else { 0 };
        match request.job {
            Job::Allocate => self.allocate_failed(request.attempts, error, message),
            Job::Release => self.settle_release(),
            // RFC 8656 §5, §8.3: the server does not know the allocation.
            _ if code == ErrorCode::ALLOCATION_MISMATCH => self.lose(LostReason::Mismatch),
            Job::Refresh => self.renewal_failed(error),
            // A batch is refused for any one of its peers; what is wrong with the server is so for all of them.
            Job::Permit { peers, .. } if peers.len() > 1 && is_about_peer(code) => {
                self.permissions.split(self.clock, &peers);
            }
            Job::Permit { peers, renewal: false } if may_pass(error, request.attempts) => {
                let asking = self.paused(error, request.attempts);
                for peer in peers {
                    self.permissions.ask_again(peer, asking);
                }
            }
            Job::Permit { peers, .. } => self.permit_failed(&peers, error),
            Job::Bind { number, renewal: false, .. } if may_pass(error, request.attempts) => {
                let asking = self.paused(error, request.attempts);
                self.channels.ask_again(number, asking);
            }
            // RFC 8656 §12.3 would give up the whole allocation for an unexpected 400. It may as well be about this
            // one peer, so that is left to the owner, who sees the code in the event.
            Job::Bind { peer, number, .. } => self.bind_failed(peer, number, error),
        }
    }

    fn paused(&self, error: RequestError, mut attempts: Attempts) -> Asking {
        let until = self.clock.after(pause(error, attempts.pauses));
        attempts.pauses = attempts.pauses.saturating_add(1);
        attempts.stale = 0;
        Asking::Paused(until, attempts)
    }

    pub(crate) fn renewal_failed(&mut self, error: RequestError) {
        if let Phase::Open(allocation) = &mut self.phase {
            allocation.lease.fail(self.clock, error);
            allocation.last_error = Some(error);
        }
    }

    pub(crate) fn permit_failed(&mut self, peers: &[IpAddr], error: RequestError) {
        for peer in peers {
            if let Some(refused) = self.permissions.fail(self.clock, *peer, error) {
                self.push_event(Event::PermissionRefused(*peer, refused));
            }
        }
    }

    pub(crate) fn bind_failed(&mut self, peer: SocketAddr, number: ChannelNumber, error: RequestError) {
        if let Some(refused) = self.channels.fail(self.clock, number, error) {
            self.push_event(Event::ChannelRefused(peer, refused));
        }
    }

    /// RFC 8656 §7.4.
    fn allocate_failed(&mut self, attempts: Attempts, error: RequestError, message: Option<&Message<'_>>) {
        if !matches!(self.phase, Phase::Allocating(_)) {
            return self.settle_release();
        }
        let code = if let RequestError::Refused { code } = error { code } else { 0 };
        let failure = match code {
            ErrorCode::TRY_ALTERNATE => {
                match message.and_then(|message| alternate_server(message, self.config.server)) {
                    None => AllocateError::RedirectedNowhere,
                    Some(to) if self.was_visited(to) => AllocateError::RedirectLoop(to),
                    Some(_) if self.visited.len() > MAX_REDIRECTS => AllocateError::RedirectedTooOften,
                    Some(to) => {
                        self.phase = Phase::Redirected(to);
                        return self.push_event(Event::Redirected(to));
                    }
                }
            }
            ErrorCode::ALLOCATION_MISMATCH => AllocateError::Mismatch,
            ErrorCode::ALLOCATION_QUOTA_REACHED => AllocateError::QuotaReached,
            ErrorCode::INSUFFICIENT_CAPACITY => AllocateError::InsufficientCapacity,
            500..=599 if attempts.pauses < MAX_SERVER_ERRORS => {
                let pauses = attempts.pauses.saturating_add(1);
                let until = self.clock.after(ALLOCATE_PAUSE);
                self.phase = Phase::Allocating(Asking::Paused(until, Attempts { pauses, ..attempts }));
                return;
            }
            _ => AllocateError::Request(error),
        };
        self.push_event(Event::AllocateFailed(failure));
        self.end();
    }

    /// One of the requests of a release has come to its end; the release has, if it was the last.
    fn settle_release(&mut self) {
        let Phase::Releasing { ask_at: None, .. } = self.phase else { return };
        if !self.requests.any(|job| matches!(job, Job::Allocate | Job::Release)) {
            self.end();
        }
    }

    fn release_again(&mut self, at: Instant) {
        if let Phase::Releasing { ask_at, .. } = &mut self.phase {
            *ask_at = Some(at);
        }
    }

    /// Remembers that the server is asked now.
    pub(crate) fn visit(&mut self) {
        let (server, now) = (self.config.server, self.clock);
        self.visited.retain(|(visited, at)| *visited != server && now.since(*at) < REVISIT_AFTER);
        self.visited.push((server, now));
    }

    fn was_visited(&self, server: SocketAddr) -> bool {
        self.visited.iter().any(|(visited, at)| *visited == server && self.clock.since(*at) < REVISIT_AFTER)
    }
}

/// Whether a first request that failed so is to be repeated after a pause instead of being refused.
fn may_pass(error: RequestError, attempts: Attempts) -> bool {
    let passing = match error {
        RequestError::Refused { code } => is_passing(code),
        RequestError::Unauthenticated | RequestError::StaleNonce => true,
        _ => false,
    };
    passing && attempts.pauses < MAX_SERVER_ERRORS
}
