//! Consent (RFC 7675) and keepalives (RFC 8445 §11).

use core::time::Duration;

use floe_pair::{ComponentId, StreamId};
use floe_stun::{Instant, Random, TransactionId};

use crate::ChecklistSet;
use crate::config::ConsentConfig;
use crate::limits::OPEN_CONSENT_LIMIT;
use crate::outbox::Outgoing;
use crate::pairs::{Failure, Pair, PairId, Traits, Valid};

/// A consent request whose answer may still come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenConsent {
    pub id: TransactionId,
    pub tenure: u32,
    pub sent: Instant,
}

/// The id in a place that no request has. No generator gives it out in the life of the universe.
const FREE: OpenConsent = OpenConsent { id: TransactionId([0; 12]), tenure: 0, sent: Instant::ORIGIN };

/// How consent on a pair is kept up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upkeep {
    /// A request each interval, since then.
    Kept(Instant),
    /// The application has sent nothing for an interval: no request, as long as consent lasts anyway.
    Idle,
    /// As before, until after the end of consent: nothing may be sent now, and nothing is asked for.
    Dormant,
    /// The application wants to send again, since then, and consent has ended or is about to: a request each interval,
    /// until one is answered.
    Regaining(Instant),
}

/// How often it is looked whether the application has sent something past the agent, in the last seconds before consent
/// ends: so often that a request can still be answered in time, and so rarely that a silence costs a few looks.
const GLANCE: Duration = Duration::from_secs(1);

/// Consent on one valid pair. It begins with the answer that made the pair valid (RFC 7675 §5).
#[derive(Debug)]
pub(crate) struct Consent {
    last_answer: Instant,
    next: Instant,
    open: [OpenConsent; OPEN_CONSENT_LIMIT],
    place: u8,
    upkeep: Upkeep,
    /// When the latest request was sent; the interval is kept also where requests were suspended.
    asked: Instant,
    /// The application has sent something since.
    wanted: bool,
}

impl Consent {
    fn new(now: Instant, next: Instant) -> Self {
        Self {
            last_answer: now,
            next,
            open: [FREE; OPEN_CONSENT_LIMIT],
            place: 0,
            upkeep: Upkeep::Kept(now),
            asked: now,
            wanted: true,
        }
    }

    /// RFC 7675 §5.1: consent ends 30 s after the last authenticated answer; nothing else counts.
    pub(crate) fn deadline(&self) -> Instant {
        self.last_answer.after(ConsentConfig::EXPIRY)
    }

    /// When consent that is kept up is lost for good: nobody has answered for 30 s, while we asked.
    fn lost_at(&self) -> Option<Instant> {
        match self.upkeep {
            Upkeep::Kept(_) => Some(self.deadline()),
            // RFC 7675 §5.1: consent need not be maintained where nothing is sent; it is regained afterwards.
            Upkeep::Idle | Upkeep::Dormant => None,
            Upkeep::Regaining(since) => Some(since.after(ConsentConfig::EXPIRY)),
        }
    }

    /// Whether nothing has been answered for so long, although it was asked.
    pub(crate) fn is_silent(&self, now: Instant, silence: Duration) -> bool {
        self.dead_at(silence).is_some_and(|at| at <= now)
    }

    /// When the peer counts as gone; `None` while it is not asked.
    pub(crate) fn dead_at(&self, liveness: Duration) -> Option<Instant> {
        match self.upkeep {
            Upkeep::Kept(since) | Upkeep::Regaining(since) => {
                Some(self.last_answer.max(since).after(liveness))
            }
            Upkeep::Idle | Upkeep::Dormant => None,
        }
    }

    /// When a request is due, or the decision on one.
    pub(crate) fn next_request(&self) -> Instant {
        self.next
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        match self.upkeep {
            Upkeep::Dormant => None,
            _ => Some(self.lost_at().map_or(self.next, |lost_at| self.next.min(lost_at))),
        }
    }

    pub(crate) fn renew(&mut self, now: Instant) {
        self.last_answer = now;
        if matches!(self.upkeep, Upkeep::Regaining(_)) {
            self.upkeep = Upkeep::Kept(now);
        }
    }

    /// Whether the request that is due is left out, since the application sends nothing.
    fn suspend(&mut self, now: Instant, config: ConsentConfig) -> bool {
        // RFC 7675 §5.1: consent that was asked for and not given is lost. Only one that was given last may rest.
        let unanswered = self.last_answer < self.asked || matches!(self.upkeep, Upkeep::Regaining(_));
        if !config.suspend || self.wanted || unanswered {
            return false;
        }
        let (last_chance, end) = (self.last_chance(config), self.deadline());
        if now < end {
            let glance = now.after(GLANCE).max(last_chance).min(end);
            (self.upkeep, self.next) = (Upkeep::Idle, glance);
        } else {
            (self.upkeep, self.next) = (Upkeep::Dormant, Instant::from_nanos(u64::MAX));
            // RFC 7675 §5.1: at expiry the open transactions are dropped; only an answer to a new request counts.
            self.open = [FREE; OPEN_CONSENT_LIMIT];
        }
        true
    }

    /// One interval before consent ends: what is sent until then keeps it without a gap.
    fn last_chance(&self, config: ConsentConfig) -> Instant {
        self.last_answer.after(ConsentConfig::EXPIRY.saturating_sub(longest(config)))
    }

    /// The application sends: requests go on, the first as soon as the interval allows. Whether they had rested.
    fn resume(&mut self, now: Instant, config: ConsentConfig) -> bool {
        self.wanted = true;
        let rested = matches!(self.upkeep, Upkeep::Idle | Upkeep::Dormant);
        if rested {
            let in_time = self.upkeep == Upkeep::Idle && now < self.last_chance(config);
            self.upkeep = if in_time { Upkeep::Kept(now) } else { Upkeep::Regaining(now) };
            self.next = now.max(self.asked.after(shortest(config)));
        }
        rested
    }

    /// RFC 7675 §5.1: a new transaction id each time, sent once. An answer to an earlier one counts as well.
    fn begin(&mut self, now: Instant, config: ConsentConfig, tenure: u32, rng: &mut Random) -> TransactionId {
        let id = rng.transaction_id();
        if let Some(open) = self.open.get_mut(usize::from(self.place)) {
            *open = OpenConsent { id, tenure, sent: now };
        }
        self.place = self.place.wrapping_add(1);
        if usize::from(self.place) >= OPEN_CONSENT_LIMIT {
            self.place = 0;
        }
        (self.asked, self.wanted) = (now, false);
        // From start to start, so that slow answers do not stretch it.
        self.next = now.after(interval(&config, rng));
        id
    }

    pub(crate) fn find(&self, id: TransactionId) -> Option<OpenConsent> {
        self.open.iter().find(|open| open.id == id && id != FREE.id).copied()
    }

    /// RFC 7675 §5.1: what comes after consent has ended counts only if it was asked for after that.
    fn is_in_time(&self, now: Instant, open: OpenConsent) -> bool {
        now < self.deadline() || self.deadline() <= open.sent
    }

    pub(crate) fn close(&mut self, id: TransactionId) {
        for open in self.open.iter_mut().filter(|open| open.id == id) {
            *open = FREE;
        }
    }
}

/// RFC 7675 §5.1: each interval is drawn from 0.8 to 1.2 times the mean, so that sessions do not fall into step.
fn interval(config: &ConsentConfig, rng: &mut Random) -> Duration {
    // In nanoseconds, which the longest mean fits into by far: `Duration` would take many steps for each of these.
    let mean = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
    let fifth = mean / 5;
    let above = rng.below(fifth.saturating_mul(2).saturating_add(1));
    Duration::from_nanos(mean.saturating_sub(fifth).saturating_add(above))
}

fn shortest(config: ConsentConfig) -> Duration {
    config.interval.saturating_sub(config.interval.checked_div(5).unwrap_or_default())
}

pub(crate) fn longest(config: ConsentConfig) -> Duration {
    config.interval.saturating_add(config.interval.checked_div(5).unwrap_or_default())
}

impl ChecklistSet {
    /// What a pair has from the moment it is valid, for one that is not yet.
    pub(crate) fn begin_upkeep(
        &self,
        now: Instant,
        rng: &mut Random,
    ) -> impl FnOnce() -> (Option<Consent>, Option<Instant>) + use<> {
        let request = self.config.consent.as_ref().map(|config| now.after(interval(config, rng)));
        let keepalive = self.config.keepalive;
        move || match request {
            Some(next) => (Some(Consent::new(now, next)), None),
            None => (None, Some(now.after(keepalive))),
        }
    }

    /// The application has sent data of this component: where consent is suspended otherwise
    /// ([`ConsentConfig::suspend`]), requests go on, the first at once if the last was 4 s before. Data may be sent until
    /// consent ends, 30 s after the last answer, and from then on when a request has been answered. May be told as coarsely
    /// as once for each [`poll_timeout`](Self::poll_timeout).
    pub fn data_sent(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let Some(config) = self.config.consent.filter(|config| config.suspend) else { return };
        let now = self.advance(now);
        let selected = self.component(stream, component).and_then(|component| component.selected);
        let Some(valid) = selected.and_then(|id| self.pairs.get_mut(id)?.valid.as_mut()) else { return };
        let Some(consent) = &mut valid.consent else { return };
        if consent.resume(now, config) {
            // RFC 7675 §4: where requests are sent, there are no keepalives.
            valid.keepalive = None;
            self.settle(now);
        }
    }

    /// Only on the selected pair consent may rest: on one that was left it is asked for again, so that it is known whether
    /// the pair can be gone back to.
    pub(crate) fn wake_consent(&mut self, left: Option<PairId>) {
        let Some(config) = self.config.consent else { return };
        let now = self.now;
        let Some(valid) = left.and_then(|id| self.pairs.get_mut(id)?.valid.as_mut()) else { return };
        if let Some(consent) = &mut valid.consent {
            consent.resume(now, config);
            // RFC 7675 §4: where requests are sent, there are no keepalives.
            valid.keepalive = None;
        }
    }

    /// The pair and the request that a consent answer belongs to.
    pub(crate) fn find_consent(&self, id: TransactionId) -> Option<(PairId, OpenConsent)> {
        self.pairs.likely(Traits::VALID).find_map(|pair| {
            let open = pair.valid.as_ref()?.consent.as_ref()?.find(id)?;
            Some((pair.id, open))
        })
    }

    /// Whether an answer to a consent request still counts.
    pub(crate) fn is_consent_open(&self, now: Instant, id: TransactionId) -> bool {
        self.find_consent(id).is_some_and(|(pair, open)| {
            let valid = self.pairs.get(pair).and_then(|pair| pair.valid.as_ref());
            valid
                .and_then(|valid| valid.consent.as_ref())
                .is_some_and(|consent| consent.is_in_time(now, open))
        })
    }

    /// Requests that are due, and consents that have ended.
    pub(crate) fn run_consent(&mut self, now: Instant, rng: &mut Random) {
        self.expire_consents(now);
        self.trim_before_consent(now);
        let (role, tenure) = (self.standing.role, self.standing.tenure);
        let (config, keepalive) = (self.config.consent, self.config.keepalive);
        let (known, open) = (self.peer.is_some(), self.open_limit());
        let streams = &self.streams;
        let selected = |pair: &Pair| {
            let list = streams.iter().find(|checklist| checklist.stream == pair.stream);
            list.and_then(|list| list.component(pair.component)?.selected) == Some(pair.id)
        };
        for pair in self.pairs.change(|pair| pair.listed && known && pair.valid.is_some()) {
            // Standby pairs are there for the moment at which they are needed: they are kept up in any case.
            let may_suspend = config.is_some_and(|config| config.suspend) && selected(pair);
            let Pair { id: pair_id, valid: Some(valid), requests_sent, .. } = pair else { continue };
            let Valid { consent, keepalive: next, .. } = &mut **valid;
            if let (Some(consent), Some(config)) = (consent, config)
                && consent.next <= now
            {
                if may_suspend && consent.suspend(now, config) {
                    // RFC 7675 §5.1: the mappings on the way are kept by other means; RFC 8445 §11: from Tr after the
                    // last request on.
                    *next = Some(next.unwrap_or_else(|| consent.asked.after(keepalive)).max(now));
                } else {
                    let id = consent.begin(now, config, tenure, rng);
                    *requests_sent = requests_sent.saturating_add(1);
                    self.outbox.push(Outgoing::Consent { pair: *pair_id, id, role }, open);
                }
            }
            // RFC 8445 §11: a Binding indication each Tr. Data is sent past this crate: what was sent meanwhile is
            // not known here, and one indication more does no harm.
            if next.is_some_and(|at| at <= now) {
                *next = Some(now.after(keepalive));
                // RFC 8489 §5: random also where nobody answers.
                self.outbox.push(Outgoing::Keepalive { pair: *pair_id, id: rng.transaction_id() }, open);
            }
        }
        // Pairs that have left the checklist get no keepalives.
        let kept_alive = |pair: &Pair| pair.valid.as_ref().is_some_and(|valid| valid.keepalive.is_some());
        for pair in self.pairs.change(|pair| !pair.listed && kept_alive(pair)) {
            if let Some(valid) = &mut pair.valid {
                valid.keepalive = None;
            }
        }
    }

    /// RFC 7675 §5.1: at expiry nothing may be sent any more, the open transactions are forgotten, and the
    /// credentials of this generation are never used on the pair again.
    pub(crate) fn expire_consents(&mut self, now: Instant) {
        while let Some(pair) = self.pairs.find_due(now, |pair| consent_over(pair, now)) {
            let (id, kept) = (pair.id, pair.listed);
            self.revoke(id, Failure::ConsentExpired);
            // What was not asked for is not lost: the peer may nominate the pair, and it is checked again.
            if let Some(pair) = self.pairs.get_mut(id) {
                pair.revoked = kept;
            }
        }
    }

    /// Ends consent on a pair for good.
    pub(crate) fn revoke(&mut self, id: PairId, failure: Failure) {
        self.nomination_failed(id);
        self.dequeue(id);
        self.transactions.retain(|check| check.pair != id);
        if let Some(pair) = self.pairs.get_mut(id) {
            pair.discard(failure);
            pair.revoked = true;
        }
    }
}

fn consent_over(pair: &Pair, now: Instant) -> bool {
    let consent = pair.valid.as_ref().and_then(|valid| valid.consent.as_ref());
    consent.is_some_and(|consent| {
        let over = if pair.listed { consent.lost_at() } else { Some(consent.deadline()) };
        over.is_some_and(|over| over <= now)
    })
}
