//! Answers to our checks (RFC 8445 §7.2.5, RFC 8489 §9.1.4).

use alloc::boxed::Box;

use floe_pair::{BaseId, Role, TieBreaker, TransportAddress};
use floe_stun::attribute::ErrorCode;
use floe_stun::binding::BindingResponse;
use floe_stun::{Instant, Message, Method, Random, TransactionId};

use crate::ChecklistSet;
use crate::checklist::order_of;
use crate::consent::Consent;
use crate::event::{DropReason, Event, Outcome};
use crate::pairs::{Failure, Pair, PairId, Valid};
use crate::reflexive::Seen;
use crate::role::Refused;
use crate::state::{PairEvent, PairState};
use crate::transactions::Ended;

/// What an authenticated answer says.
enum Answer {
    Success(TransportAddress),
    Error(u16),
    Malformed,
}

/// What an answer may have changed.
#[derive(Clone, Copy)]
enum Change {
    Anything,
    /// The pair whose check was answered has become valid.
    Joined(PairId),
    /// No more than measurements and consent of the pair whose check was answered: it was valid by its checks before.
    Renewed(PairId),
}

impl Answer {
    fn of(message: &Message<'_>) -> Self {
        let Ok(response) = BindingResponse::decode(message) else { return Self::Malformed };
        // RFC 8489 §6.3.3, §6.3.4: what must be understood and is not fails the transaction.
        if response.unknown_required {
            return Self::Malformed;
        }
        match (message.class(), response.mapped, response.error) {
            (floe_stun::Class::Success, Some(mapped), _) => Self::Success(mapped.into()),
            (floe_stun::Class::Error, _, Some(error)) => Self::Error(error.code()),
            _ => Self::Malformed,
        }
    }
}

impl ChecklistSet {
    /// A Binding response that arrived on `base` from `source`. [`Outcome::NotOurs`] if no transaction of this set has
    /// its id. Nothing changes before FINGERPRINT and message integrity are verified, here.
    pub fn handle_response(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
        rng: &mut Random,
    ) -> Outcome {
        let now = self.advance(now);
        // RFC 4007 §6: the base tells the zone, so that the addresses of RFC 8445 §7.2.5.2.1 are compared without it.
        let source = source.with_scope(0);
        if !message.class().is_response() || message.method() != Method::BINDING {
            return Outcome::Dropped(DropReason::NotBinding);
        }
        let id = message.transaction_id();
        let check = self.transactions.place_of(id).is_some();
        let consent = if check { None } else { self.find_consent(id) };
        if !check && consent.is_none() {
            return Outcome::NotOurs;
        }
        let Some(peer) = &self.peer else { return Outcome::NotOurs };
        if message.verify_fingerprint().is_err() {
            return Outcome::Dropped(DropReason::Fingerprint);
        }
        // RFC 8489 §9.1.4: the algorithm we sent, our key, or it was never received: the transaction goes on.
        if message.verify_sha1(&peer.key).is_err() {
            if let Some(check) = self.transactions.get_mut(id) {
                check.violated = true;
            }
            return Outcome::Dropped(DropReason::Integrity);
        }
        self.catch_up();
        // RFC 7675 §5.1: an answer after the end of consent revives nothing. The timer may not have been run yet.
        if self.deadline <= now {
            self.expire_consents(now);
        }
        let answer = Answer::of(message);
        let mut change = Change::Anything;
        let outcome = if let Some(place) = self.transactions.place_of(id)
            && let Some(check) = self.transactions.take(now, place)
        {
            change = self.check_answered(now, &check, (base, source), &answer, rng);
            Outcome::Taken
        } else if let Some((pair, open)) = consent.filter(|_| self.is_consent_open(now, id)) {
            self.consent_answered(now, pair, id, (base, source), &answer);
            if let Answer::Error(ErrorCode::ROLE_CONFLICT) = &answer {
                self.role_refused(open.tenure, rng);
            }
            Outcome::Taken
        } else {
            Outcome::Dropped(DropReason::Late)
        };
        self.settle_answer(now, change);
        outcome
    }

    /// Brings what follows from an answer up to date. Most of them come when a better pair is valid already, and those to
    /// triggered checks when the pair itself is.
    fn settle_answer(&mut self, now: Instant, change: Change) {
        self.pairs.refresh();
        let changes_levels = match change {
            Change::Anything => true,
            // With the time that has come something else may have changed.
            _ if self.deadline <= now => true,
            Change::Joined(id) => self.pairs.has_risen() || !self.is_outdone(id),
            Change::Renewed(id) => self.renews_level(id),
        };
        if changes_levels {
            self.settle(now);
            return;
        }
        if matches!(change, Change::Joined(_)) {
            self.pairs.take_reordered();
        }
        self.settle_check(now);
    }

    /// Whether a level may follow from it that the consent of a pair was renewed: when the peer counts as gone does, from that
    /// of the selected pair. How long data may be sent, before selection too, is no level: it is looked at again.
    fn renews_level(&mut self, id: PairId) -> bool {
        let Some(pair) = self.pairs.get(id) else { return true };
        let Some(of) = self.component(pair.stream, pair.component) else { return true };
        let (selected, sending) = (of.selected == Some(id), of.sending() == Some(id));
        self.rerouted |= sending;
        selected
    }

    /// Whether no level follows from it that a pair has become valid: another pair of its component was
    /// and is better, and whether that is nominated does not depend on this one.
    fn is_outdone(&self, id: PairId) -> bool {
        let Some(pair) = self.pairs.get(id) else { return false };
        // With an earlier answer it might have proved another pair, which is nominated or selected.
        let Some(valid) = pair.valid.as_deref().filter(|_| pair.responses_received == 1) else {
            return false;
        };
        let Some(of) = self.component(pair.stream, pair.component) else { return false };
        let best = of
            .best
            .and_then(|best| self.pairs.get(best))
            .and_then(|best| Some((best, best.valid.as_deref()?)));
        best.is_some_and(|(best, other)| order_of(best, other) > order_of(pair, valid))
            && !(pair.nominating || self.free_later)
            && (self.standing.role == Role::Controlling || self.rests_above(of, pair, valid))
    }

    fn check_answered(
        &mut self,
        now: Instant,
        check: &Ended,
        arrived: (BaseId, TransportAddress),
        answer: &Answer,
        rng: &mut Random,
    ) -> Change {
        // RFC 8445 §7.2.5.2.1: from where the request went, to where it came from.
        let symmetric = arrived == (check.base, check.to);
        let success = symmetric && matches!(answer, Answer::Success(_));
        let rtt = check.rtt.filter(|_| success);
        if !self.pairs.note_response(check.pair, symmetric, rtt) {
            return Change::Anything;
        }
        if !symmetric {
            self.check_failed(check, Failure::NotSymmetric);
            return Change::Anything;
        }
        match answer {
            Answer::Success(mapped) => return self.check_succeeded(now, check, *mapped, rng),
            Answer::Error(ErrorCode::ROLE_CONFLICT) => self.role_conflict(check, rng),
            // RFC 7675 §5.2: consent is taken back at once.
            Answer::Error(ErrorCode::FORBIDDEN) => self.revoke(check.pair, Failure::Revoked),
            Answer::Error(code) => self.check_failed(check, Failure::Refused(*code)),
            Answer::Malformed => self.check_failed(check, Failure::BadResponse),
        }
        Change::Anything
    }

    /// RFC 8445 §7.2.5.1.
    fn role_conflict(&mut self, check: &Ended, rng: &mut Random) {
        // Judged by the role the request carried: a late one finds the role changed, perhaps back again, and changes
        // nothing.
        if self.role_refused(check.tenure, rng) == Refused::Spent {
            self.check_failed(check, Failure::Refused(ErrorCode::ROLE_CONFLICT));
            return;
        }
        let Some(pair) = self.pairs.get(check.pair) else { return };
        if pair.state != PairState::InProgress || check.cancelled {
            return;
        }
        // The request was refused for its role; the check is made again with the one we have now.
        if pair.may_start_again() {
            self.enqueue(check.pair);
        } else {
            self.check_failed(check, Failure::Refused(ErrorCode::ROLE_CONFLICT));
        }
    }

    fn role_refused(&mut self, tenure: u32, rng: &mut Random) -> Refused {
        let refused = self.standing.refused(tenure, || TieBreaker(rng.u64()));
        if refused == Refused::Yielded {
            self.follow_role();
        }
        refused
    }

    /// RFC 8445 §7.2.5.3.
    fn check_succeeded(
        &mut self,
        now: Instant,
        check: &Ended,
        mapped: TransportAddress,
        rng: &mut Random,
    ) -> Change {
        let id = check.pair;
        // RFC 8445 §7.2.5.3.1: a mapped address that is new is a peer-reflexive candidate of the PRIORITY we sent.
        let Some(local) = self.local_seen(id, mapped, check.priority) else { return Change::Anything };
        let target = self.valid_target(check, local.base);
        let begin = self.begin_upkeep(now, rng);
        let Some(pair) = self.pairs.get_mut(id) else { return Change::Anything };
        let (foundation, stream, component) = (pair.foundation, pair.stream, pair.component);
        let (listed, promised) = (pair.listed, pair.peer_nominated);
        // An answer to an earlier, ordinary check of a pair whose nomination is under way leaves that as it is.
        let superseded = pair.nominating && !check.use_candidate && pair.state != PairState::Succeeded;
        let change = match &pair.valid {
            _ if target != id => Change::Anything,
            None => Change::Joined(id),
            Some(valid) if valid.producer != id => Change::Anything,
            Some(_) if superseded || pair.state == PairState::Succeeded => Change::Renewed(id),
            Some(_) => Change::Anything,
        };
        if !superseded {
            pair.step(PairEvent::Succeed);
            (pair.failure, pair.fresh_at) = (None, None);
        }
        let joins = match &mut pair.valid {
            // Without another search.
            Some(valid) if target == id => {
                valid.renew(now);
                false
            }
            _ => true,
        };
        let queued = pair.queued && !superseded;
        if !superseded {
            self.transactions.cancel(id);
        }
        if queued {
            self.dequeue(id);
        }
        if joins {
            self.make_valid(now, id, target, local, begin);
        }
        // RFC 8445 §7.2.5.3.3: over the whole set.
        self.pairs.thaw(foundation);
        // A success says that the peer was controlled and has accepted the nomination, whatever our role is by now;
        // but for one of the peer that we have accepted meanwhile.
        let of = self.component(stream, component);
        let (concluded, nominator) =
            of.map_or((false, None), |component| (component.concluded, component.nominator));
        // An answer to an earlier nomination request, after a later one was accepted, tells nothing new.
        let confirmed = of.map_or(0, |component| component.moves.confirmed);
        let ours = check.use_candidate
            && listed
            && check.value.is_none_or(|value| value > confirmed)
            && (check.tenure == self.standing.tenure || nominator.is_none());
        let nominated = ours || promised;
        if nominated {
            if let Some(component) = self.component_mut(stream, component).filter(|_| ours) {
                component.moves.confirmed = check.value.unwrap_or(component.moves.confirmed);
            }
            self.set_nominated(id, ours);
        }
        // Before that no pair is selected that another could be better than.
        if concluded || nominated {
            self.suggest_restart(target);
        }
        change
    }

    /// RFC 8445 §7.2.5.3.2: the pair whose local candidate is the mapped address. Where that is the base of another
    /// pair to the same place, that pair is valid instead of the one that was checked.
    fn valid_target(&self, check: &Ended, base: BaseId) -> PairId {
        if base == check.base {
            return check.pair;
        }
        let other = self.pairs.find(base, check.to).filter(|other| !other.revoked && other.listed);
        other.map_or(check.pair, |other| other.id)
    }

    /// `begin` tells how a pair that is not valid yet is kept up.
    fn make_valid(
        &mut self,
        now: Instant,
        producer: PairId,
        target: PairId,
        local: Seen,
        begin: impl FnOnce() -> (Option<Consent>, Option<Instant>),
    ) {
        let role = self.standing.role;
        if producer != target {
            self.transactions.cancel(target);
            self.dequeue(target);
        }
        let Some(pair) = self.pairs.get_mut(target) else { return };
        if producer != target && pair.state != PairState::Succeeded {
            pair.step(PairEvent::Succeed);
            pair.fresh_at = None;
        }
        if let Some(valid) = &mut pair.valid {
            valid.shown |= producer != target && producer != valid.producer;
            valid.renew(now);
            return;
        }
        let priority = pair.priority;
        pair.valid = Some(Box::new(Valid::new(now, (local.id, local.priority), priority, producer, begin())));
        pair.set_role(role);
        let Pair { stream, component, .. } = *pair;
        self.events.push(Event::PairValid { stream, component, pair: target });
        // Its nomination may have failed, or its consent ended, before: that was another entry of the valid list.
        if let Some(pair) = self.pairs.get_mut(producer) {
            pair.nomination_failed = false;
            // The check of a pair that has proved another one has left nothing of its own to be kept.
            pair.wish.kept &= pair.valid.is_some();
        }
    }

    /// RFC 8445 §7.2.5.2. The failure of a check that was cancelled says nothing.
    pub(crate) fn check_failed(&mut self, check: &Ended, failure: Failure) {
        if check.cancelled {
            return;
        }
        let (id, renominates) = (check.pair, self.is_renominating());
        let nominated = |pair: &Pair| pair.valid.as_ref().is_some_and(|valid| valid.nominated);
        let confirmed = self.nominee(id).is_some_and(nominated);
        let Some(pair) = self.pairs.get_mut(id).filter(|pair| pair.state == PairState::InProgress) else {
            return;
        };
        if confirmed {
            // Nominated already and only confirmed: what is selected ends with its consent.
            pair.step(PairEvent::Succeed);
            pair.fresh_at = None;
            self.nomination_failed(id);
            return;
        }
        pair.step(PairEvent::Fail);
        (pair.failure, pair.fresh_at) = (Some(failure), None);
        // RFC 8445 §7.2.5.3.4, §7.3.1.5: a failed nomination takes the pair off the valid list. The peer was told that we
        // have accepted it: with renomination it holds until another is accepted, and counts when the pair comes true.
        let nominated = pair.peer_nominated || check.use_candidate;
        pair.peer_nominated &= renominates;
        let proved = self.pairs.proved_by(id).map(|pair| pair.id);
        if let Some(pair) = proved.and_then(|id| self.pairs.get_mut(id)).filter(|_| nominated) {
            (pair.valid, pair.wish.kept) = (None, false);
        }
        if let Some(pair) = self.pairs.get_mut(id).filter(|pair| pair.valid.is_none()) {
            pair.wish.kept = false;
        }
        if check.use_candidate {
            self.nomination_failed(id);
        }
    }

    fn consent_answered(
        &mut self,
        now: Instant,
        id: PairId,
        transaction: TransactionId,
        arrived: (BaseId, TransportAddress),
        answer: &Answer,
    ) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        pair.responses_received = pair.responses_received.saturating_add(1);
        // RFC 7675 §5.1: only from the peer's address, to where the request left from.
        if arrived != (pair.base, pair.to) {
            return;
        }
        let Some(valid) = pair.valid.as_mut() else { return };
        let Some(consent) = &mut valid.consent else { return };
        let open = consent.find(transaction);
        consent.close(transaction);
        match answer {
            Answer::Success(_) => {
                consent.renew(now);
                valid.doubt = valid.doubt.saturating_sub(1);
                let measured = open.map(|open| now.since(open.sent));
                pair.rtt = measured.or(pair.rtt);
                let (stream, component, tenure) = (pair.stream, pair.component, self.standing.tenure);
                if let Some(rtt) = measured {
                    self.compare_rtt(id, rtt);
                }
                if let Some(component) = self.component_mut(stream, component) {
                    component.settled |= open.is_some_and(|open| open.tenure == tenure);
                }
            }
            // RFC 7675 §5.2: an authenticated 403 takes consent back at once.
            Answer::Error(ErrorCode::FORBIDDEN) => self.revoke(id, Failure::Revoked),
            // Any other answer is no consent, and no reason to end it before its time.
            Answer::Error(_) | Answer::Malformed => {}
        }
    }
}
