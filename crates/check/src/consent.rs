//! Consent (RFC 7675) and keepalives (RFC 8445 §11).

use core::time::Duration;

use floe_stun::{Instant, Random, TransactionId};

use crate::ChecklistSet;
use crate::config::ConsentConfig;
use crate::limits::OPEN_CONSENT_LIMIT;
use crate::outbox::Outgoing;
use crate::pairs::{Failure, Pair, PairId, Valid};

/// A consent request whose answer may still come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenConsent {
    pub id: TransactionId,
    pub sent: Instant,
    pub tenure: u32,
}

/// Consent on one valid pair. It begins with the answer that made the pair valid (RFC 7675 §5).
#[derive(Debug)]
pub(crate) struct Consent {
    last_answer: Instant,
    next: Instant,
    open: [Option<OpenConsent>; OPEN_CONSENT_LIMIT],
    place: usize,
}

impl Consent {
    fn new(now: Instant, config: ConsentConfig, rng: &mut Random) -> Self {
        let next = now.after(interval(config, rng));
        Self { last_answer: now, next, open: [None; OPEN_CONSENT_LIMIT], place: 0 }
    }

    /// When the last authenticated answer came.
    pub(crate) fn last_answer(&self) -> Instant {
        self.last_answer
    }

    /// RFC 7675 §5.1: consent ends 30 s after the last authenticated answer; nothing else counts.
    pub(crate) fn deadline(&self) -> Instant {
        self.last_answer.after(ConsentConfig::EXPIRY)
    }

    pub(crate) fn next_timeout(&self) -> Instant {
        self.next.min(self.deadline())
    }

    pub(crate) fn renew(&mut self, now: Instant) {
        self.last_answer = now;
    }

    /// RFC 7675 §5.1: a new transaction id each time, sent once. An answer to an earlier one counts as well.
    fn begin(&mut self, now: Instant, config: ConsentConfig, tenure: u32, rng: &mut Random) -> TransactionId {
        let id = rng.transaction_id();
        if let Some(open) = self.open.get_mut(self.place) {
            *open = Some(OpenConsent { id, sent: now, tenure });
        }
        self.place = self.place.saturating_add(1).checked_rem(OPEN_CONSENT_LIMIT).unwrap_or(0);
        // From start to start, so that slow answers do not stretch it.
        self.next = now.after(interval(config, rng));
        id
    }

    pub(crate) fn find(&self, id: TransactionId) -> Option<OpenConsent> {
        self.open.iter().flatten().find(|open| open.id == id).copied()
    }

    pub(crate) fn close(&mut self, id: TransactionId) {
        for open in self.open.iter_mut().filter(|open| open.is_some_and(|open| open.id == id)) {
            *open = None;
        }
    }
}

/// RFC 7675 §5.1: each interval is drawn from 0.8 to 1.2 times the mean, so that sessions do not fall into step.
fn interval(config: ConsentConfig, rng: &mut Random) -> Duration {
    let fifth = config.interval.checked_div(5).unwrap_or_default();
    rng.duration_between(config.interval.saturating_sub(fifth), config.interval.saturating_add(fifth))
}

impl ChecklistSet {
    /// What a pair has from the moment it is valid.
    pub(crate) fn new_consent(&self, now: Instant, rng: &mut Random) -> (Option<Consent>, Option<Instant>) {
        match self.config.consent {
            Some(config) => (Some(Consent::new(now, config, rng)), None),
            None => (None, Some(now.after(self.config.keepalive))),
        }
    }

    /// Consent is kept on pairs that carry data or may come to: the selected one, and before selection all valid
    /// ones, since any of them may be the best. What was not selected runs out.
    pub(crate) fn keeps_consent(&self, pair: &Pair) -> bool {
        pair.listed && self.peer.is_some()
    }

    /// The pair and the request that a consent answer belongs to.
    pub(crate) fn find_consent(&self, id: TransactionId) -> Option<(PairId, OpenConsent)> {
        self.pairs.iter().find_map(|pair| {
            let open = pair.valid.as_ref()?.consent.as_ref()?.find(id)?;
            Some((pair.id, open))
        })
    }

    /// Requests that are due, and consents that have ended.
    pub(crate) fn run_consent(&mut self, now: Instant, rng: &mut Random) {
        self.expire_consents(now);
        let (role, tenure) = (self.standing.role, self.standing.tenure);
        let (config, keepalive) = (self.config.consent, self.config.keepalive);
        let known = self.peer.is_some();
        for pair in self.pairs.iter_mut().filter(|pair| pair.listed && known) {
            let Pair { id: pair_id, valid: Some(valid), requests_sent, .. } = pair else { continue };
            let Valid { consent, keepalive: next, .. } = &mut **valid;
            if let (Some(consent), Some(config)) = (consent, config)
                && consent.next <= now
            {
                let id = consent.begin(now, config, tenure, rng);
                *requests_sent = requests_sent.saturating_add(1);
                self.outbox.push(Outgoing::Consent { pair: *pair_id, id, role });
            }
            // RFC 8445 §11: a Binding indication each Tr. Data is sent past this crate: what was sent meanwhile is
            // not known here, and one indication more does no harm.
            if next.is_some_and(|at| at <= now) {
                *next = Some(now.after(keepalive));
                self.outbox.push(Outgoing::Keepalive(*pair_id));
            }
        }
        // Pairs that have left the checklist get no keepalives.
        for valid in self.pairs.iter_mut().filter(|pair| !pair.listed).filter_map(|pair| pair.valid.as_mut())
        {
            valid.keepalive = None;
        }
    }

    /// RFC 7675 §5.1: at expiry nothing may be sent any more, the open transactions are forgotten, and the
    /// credentials of this generation are never used on the pair again.
    pub(crate) fn expire_consents(&mut self, now: Instant) {
        while let Some(id) = self.pairs.iter().find(|pair| consent_over(pair, now)).map(|pair| pair.id) {
            self.revoke(id, Failure::ConsentExpired);
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
    consent.is_some_and(|consent| consent.deadline() <= now)
}
