//! Requests of the peer (RFC 8445 §7.3, RFC 8489 §9.1.3).

use alloc::vec::Vec;

use floe_pair::{
    BaseId, CandidateType, ComponentId, Priority, Role, StreamId, TieBreaker, TransportAddress, Ufrag,
};
use floe_stun::attribute::ErrorCode;
use floe_stun::binding::{BindingRequest, Claim};
use floe_stun::{Algorithm, AttributeType, Class, Instant, IntegrityError, IntegrityKey, Message, Method};

use crate::ChecklistSet;
use crate::checklist::Component;
use crate::event::{DropReason, Outcome};
use crate::limits::{EARLY_CHECK_LIMIT, UNKNOWN_LISTED};
use crate::outbox::{Answer, Body};
use crate::pairs::{Failure, Pair, PairId};
use crate::renominate::Nominates;
use crate::role::RoleVerdict;
use crate::set::Early;
use crate::state::{PairEvent, PairState};

/// Why a request is not answered with success.
struct Refusal {
    body: Body,
    algorithm: Option<Algorithm>,
}

/// An authenticated request, as far as the rules look at it.
struct Accepted {
    algorithm: Algorithm,
    priority: Priority,
    /// The pair it came over, if there is one.
    pair: Option<PairId>,
    ufrag: Option<Ufrag>,
    /// USE-CANDIDATE that counts.
    nominate: Option<Nominates>,
}

impl ChecklistSet {
    /// A Binding request that arrived on `base` from `source`; on a relay, `source` is the peer as the TURN server saw
    /// it. Nothing changes before FINGERPRINT and message integrity are verified, here.
    pub fn handle_request(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> Outcome {
        let now = self.advance(now);
        if message.class() != Class::Request || message.method() != Method::BINDING {
            return Outcome::Dropped(DropReason::NotBinding);
        }
        if !self.bases.contains(base) {
            return Outcome::Dropped(DropReason::UnknownBase);
        }
        // RFC 8445 §7.3: FINGERPRINT must be used. Without it this may be anything that looks like STUN.
        if message.verify_fingerprint().is_err() {
            return Outcome::Dropped(DropReason::Fingerprint);
        }
        // RFC 4007 §6: the base tells the zone, which the peer's own text and mapped addresses do not have.
        let (back, source) = (source, source.with_scope(0));
        if self.denies(base, source) {
            return Outcome::Dropped(DropReason::Denied);
        }
        self.catch_up();
        let answered = match self.judge_request(base, source, message) {
            Err(refusal) => Err(refusal),
            Ok(accepted) => self.act_on(base, source, accepted),
        };
        let (body, algorithm) = match &answered {
            Ok(algorithm) => (Body::Success, Some(*algorithm)),
            Err(refusal) => (refusal.body, refusal.algorithm),
        };
        let answer = Answer { base, to: back, id: message.transaction_id(), algorithm, body };
        let queued = self.outbox.push_answer(answer);
        // Not for what was refused unauthenticated: nothing has changed, and it costs no more than its answer.
        if algorithm.is_some() {
            self.settle_request(now);
        }
        match (queued, answered) {
            (false, _) => Outcome::Dropped(DropReason::Overload),
            (true, Ok(_)) => Outcome::Taken,
            (true, Err(_)) => Outcome::Dropped(DropReason::Refused),
        }
    }

    /// A Binding indication: a keepalive of the peer (RFC 8445 §11). It changes nothing.
    pub fn handle_indication(&mut self, now: Instant, base: BaseId, message: &Message<'_>) -> Outcome {
        self.advance(now);
        if message.class() != Class::Indication || message.method() != Method::BINDING {
            return Outcome::Dropped(DropReason::NotBinding);
        }
        if !self.bases.contains(base) {
            return Outcome::Dropped(DropReason::UnknownBase);
        }
        if message.has_fingerprint() && message.verify_fingerprint().is_err() {
            return Outcome::Dropped(DropReason::Fingerprint);
        }
        // RFC 8489 §6.3.2: discarded where something in it must be understood and is not.
        if message.unknown_required().next().is_some() {
            return Outcome::Dropped(DropReason::UnknownAttribute);
        }
        Outcome::Taken
    }

    /// RFC 8489 §9.1.3 in its order, then §6.3.1, then the role. Only the last may change something.
    fn judge_request(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> Result<Accepted, Refusal> {
        let refuse = |code, algorithm| Err(Refusal { body: Body::Error(code), algorithm });
        let decoded = BindingRequest::decode(message);
        let username = match &decoded {
            Ok(request) => request.username,
            Err(_) => message.raw(AttributeType::USERNAME),
        };
        let Some(username) = username.filter(|_| message.has_integrity()) else {
            return refuse(ErrorCode::BAD_REQUEST, None);
        };
        let Some((theirs, is_of_peer)) = self.their_fragment(username) else {
            return refuse(ErrorCode::UNAUTHENTICATED, None);
        };
        let verified = match message.integrity_algorithm() {
            Some(Algorithm::Sha256) => self.verify_sha256(message),
            _ => message.verify_sha1(&self.local_key).map(|()| Algorithm::Sha1),
        };
        let Ok(algorithm) = verified else {
            return refuse(ErrorCode::UNAUTHENTICATED, None);
        };
        let is_understood = decoded.as_ref().is_ok_and(|request| !request.unknown_required);
        if !is_understood && let Some(body) = name_unknown(message) {
            return Err(Refusal { body, algorithm: Some(algorithm) });
        }
        let Ok(request) = decoded else {
            return refuse(ErrorCode::BAD_REQUEST, Some(algorithm));
        };
        // RFC 8445 §7.1.1: PRIORITY is always there. RFC 8839 §5.1: 1 to 2^31 - 1; a pair could not be ordered by
        // anything else.
        let Some(priority) = request.priority.and_then(Priority::new) else {
            return refuse(ErrorCode::BAD_REQUEST, Some(algorithm));
        };
        let pair = self.pairs.find(base, source).map(|pair| pair.id);
        // A fragment has to be kept for a check that can be acted upon only later. In the steady state there is none,
        // and nothing is allocated.
        let ufrag = if pair.is_some() && is_of_peer { None } else { Ufrag::from_bytes(theirs).ok() };
        if !self.settle_role(request.claim) {
            return refuse(ErrorCode::ROLE_CONFLICT, Some(algorithm));
        }
        // RFC 8445 §7.1.2: from a controlled agent, and to a controlling one, USE-CANDIDATE means nothing; agents
        // that send it all the same are answered.
        let by = match request.claim {
            Some(Claim::Controlled(_)) => None,
            Some(Claim::Controlling(value)) => Some(TieBreaker(value)),
            None => Some(TieBreaker(0)),
        };
        let (value, legacy) = (request.nomination, request.legacy_nomination);
        let nominate = by.map(|by| Nominates { by, value, legacy });
        let nominate = nominate.filter(|_| request.use_candidate && self.standing.role == Role::Controlled);
        Ok(Accepted { algorithm, priority, pair, ufrag, nominate })
    }

    /// Our key, for a peer that uses MESSAGE-INTEGRITY-SHA256. Hardly any does, so that it is not kept.
    pub(crate) fn local_integrity_key(&self) -> IntegrityKey {
        IntegrityKey::new(self.local.pwd.expose().as_bytes())
    }

    #[cold]
    fn verify_sha256(&self, message: &Message<'_>) -> Result<Algorithm, IntegrityError> {
        message.verify_integrity(&self.local_integrity_key())
    }

    /// RFC 8445 §7.3: two values with a colon between, the first of them ours. Returns the second, and whether it is the
    /// peer's as it was signalled.
    fn their_fragment<'a>(&self, username: &'a [u8]) -> Option<(&'a [u8], bool)> {
        let rest = username.strip_prefix(self.local.ufrag.as_bytes())?.strip_prefix(b":")?;
        let is_of_peer = self.is_of_peer(rest);
        (is_of_peer || !has_colon(rest)).then_some((rest, is_of_peer))
    }

    /// Whether this is the fragment of the peer, as it was signalled. There is no colon in it.
    fn is_of_peer(&self, fragment: &[u8]) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.parameters.ufrag.as_bytes() == fragment)
    }

    /// RFC 8445 §7.3.1.1. False if the answer is 487.
    fn settle_role(&mut self, claim: Option<Claim>) -> bool {
        let claimed = match claim {
            Some(Claim::Controlling(value)) => (Role::Controlling, TieBreaker(value)),
            Some(Claim::Controlled(value)) => (Role::Controlled, TieBreaker(value)),
            None => return true,
        };
        if self.local.lite && claimed.0 == Role::Controlling && self.standing.fix(Role::Controlled) {
            // RFC 8445 §6.1.1: who sends checks to a lite agent is full, and controls.
            self.follow_role();
        }
        match self.standing.hear(claimed) {
            RoleVerdict::NoConflict => true,
            RoleVerdict::Answer487 => false,
            RoleVerdict::SwitchTo(_) => {
                self.follow_role();
                true
            }
        }
    }

    /// The role has changed: all pair priorities follow (RFC 8445 §7.3.1.1). Nominations of ours under way are void; one of
    /// the peer holds, since the peer may have been told that it was accepted.
    pub(crate) fn follow_role(&mut self) {
        let role = self.standing.role;
        let mut void = Vec::new();
        for pair in self.pairs.change(|_| true) {
            pair.set_role(role);
            if pair.nominating && pair.state == PairState::InProgress {
                void.push(pair.id);
            }
            (pair.nominating, pair.nomination_failed) = (false, false);
        }
        // What was nominated under the old role is nominated no more; the pair is checked like any other.
        for id in void {
            self.enqueue(id);
        }
        for component in self.streams.iter_mut().flat_map(|checklist| &mut checklist.components) {
            (component.nomination, component.hold, component.moves.reason) = (None, None, None);
            (component.confirmed, component.settled) = (false, false);
        }
    }

    /// What follows an authenticated request: RFC 8445 §7.3.1.3 to §7.3.1.5. An error is the answer to a nomination
    /// that cannot be accepted.
    fn act_on(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        request: Accepted,
    ) -> Result<Algorithm, Refusal> {
        let Accepted { algorithm, priority, pair, nominate, .. } = request;
        self.peer_began.get_or_insert(self.now);
        let accepted = match &request.ufrag {
            None if pair.is_some() => self.learn_from(base, source, pair, priority, nominate, false),
            _ => self.act_on_other(base, source, request),
        };
        if accepted {
            return Ok(algorithm);
        }
        // RFC 8445 §7.3.1.5: a nomination that is not accepted is refused.
        let given_up = self.has_given_up(base, source, pair);
        let code = if given_up { ErrorCode::FORBIDDEN } else { ErrorCode::BAD_REQUEST };
        Err(Refusal { body: Body::Error(code), algorithm: Some(algorithm) })
    }

    /// What follows a request that came over no pair there is, or has another fragment than was signalled. False if it
    /// nominates and cannot be obeyed.
    #[cold]
    fn act_on_other(&mut self, base: BaseId, source: TransportAddress, request: Accepted) -> bool {
        let Accepted { priority, pair, ufrag, nominate, .. } = request;
        let ready = self.bases.owner(base).is_some() && self.peer.is_some();
        match ufrag {
            // RFC 8445 §9: a generation that was replaced keeps the pairs that it has. Its peer may still move to another one
            // (renomination draft §3.1), and is told that it is not kept available.
            _ if self.retired && pair.is_none() => nominate.is_none(),
            // RFC 8445 §7.3: answered at once; the remaining steps follow when the peer's parameters are known.
            Some(ufrag) if !ready => {
                self.remember(Early { base, source, ufrag, priority, nominate });
                true
            }
            // A fragment no parameters were signalled for (forking): no check can be sent back.
            Some(ufrag) if self.peer.as_ref().is_some_and(|peer| peer.parameters.ufrag != ufrag) => {
                nominate.is_none()
            }
            // A fragment that is none at all can be that of no agent.
            None if pair.is_none() => nominate.is_none(),
            // The pair of an address on which consent was lost, and that had to make room since.
            _ if pair.is_none() && self.has_given_up(base, source, None) => false,
            _ => self.learn_from(base, source, pair, priority, nominate, false),
        }
    }

    /// Whether consent on the pair has ended here, or it may be checked no more, and the peer can move to another one.
    /// Renomination draft §3.1: only what is kept available is answered with success. RFC 7675 §5.2: 403 tells the peer
    /// at once, so that it leaves the pair that we cannot send on any more.
    fn has_given_up(&self, base: BaseId, source: TransportAddress, pair: Option<PairId>) -> bool {
        !self.retired && self.is_renominating() && self.is_given_up(base, source, pair)
    }

    #[inline(never)]
    fn is_given_up(&self, base: BaseId, source: TransportAddress, pair: Option<PairId>) -> bool {
        let gone = |pair: &Pair| {
            let ended = matches!(pair.failure, Some(Failure::ConsentExpired | Failure::Revoked));
            (pair.revoked && ended) || is_dead(pair)
        };
        let spent = || self.spent.contains(&(base, source));
        let pair = pair.and_then(|id| self.pairs.get(id));
        pair.map_or_else(spent, gone)
    }

    /// Keeps a check that came before the peer's parameters.
    #[cold]
    fn remember(&mut self, early: Early) {
        let known =
            self.early.iter_mut().find(|known| known.base == early.base && known.source == early.source);
        if let Some(known) = known {
            let nominate = early.nominate.or(known.nominate);
            *known = Early { nominate, ..early };
        } else if self.early.len() < EARLY_CHECK_LIMIT {
            self.early.push(early);
        }
    }

    /// Acts on the checks that came too early, as far as that can be done now.
    pub(crate) fn replay_early(&mut self) {
        if self.early.is_empty() {
            return;
        }
        let Some(peer) = &self.peer else { return };
        let fragment = peer.parameters.ufrag.clone();
        let mut index = 0;
        while let Some(early) = self.early.get(index) {
            if self.bases.owner(early.base).is_none() {
                index = index.saturating_add(1);
                continue;
            }
            let early = self.early.remove(index);
            if early.ufrag == fragment {
                let nominate = early.nominate.filter(|_| self.standing.role == Role::Controlled);
                let pair = self.pairs.find(early.base, early.source).map(|pair| pair.id);
                self.learn_from(early.base, early.source, pair, early.priority, nominate, true);
            }
        }
        if self.early.is_empty() {
            self.early = Vec::new();
        }
    }

    /// RFC 8445 §7.3.1.3 to §7.3.1.5 for a check from `source` on `base`, whose pair is `known` if there is one. False if it
    /// nominates and cannot be obeyed.
    fn learn_from(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        known: Option<PairId>,
        priority: Priority,
        nominate: Option<Nominates>,
        early: bool,
    ) -> bool {
        let Some((stream, component)) = self.bases.owner(base) else { return nominate.is_none() };
        let judge = |nominate: Nominates| {
            let is_acceptable = self.judge_nomination(stream, component, known, nominate, early)?;
            Some((nominate, is_acceptable))
        };
        let judged = nominate.and_then(judge);
        let (nominates, acceptable) = (judged.is_some(), judged.filter(|judged| judged.1));
        let closed = self.is_closed(stream, component);
        let bereft = self.is_renominating() && self.has_nowhere_to_move(stream, component);
        let id = match known {
            Some(id) => id,
            // RFC 8445 §11: after ICE has concluded a check is answered and leads to nothing.
            None if (closed || self.is_stale(base, stream, component, source)) && acceptable.is_none() => {
                return !nominates;
            }
            None => match self.pair_for(base, source, stream, component, priority) {
                Some(id) => id,
                None => return !nominates,
            },
        };
        let Some(pair) = self.pairs.note_request(id, self.now) else { return !nominates };
        let (revoked, listed) = (pair.revoked || is_dead(pair), pair.listed);
        if bereft && !(revoked || listed) {
            self.pairs.list_again(id);
        }
        if self.has_given_up(base, source, Some(id)) || (nominates && (revoked || acceptable.is_none())) {
            return false;
        }
        if self.is_passive() {
            // A lite agent takes the peer's word; of a generation that was replaced nothing is nominated.
            if acceptable.is_some() && !self.retired {
                self.make_valid_unchecked(self.now, id);
            }
        } else if !closed || acceptable.is_some() {
            self.trigger(id);
        }
        if let Some((nominates, _)) = acceptable.filter(|_| !self.retired) {
            self.accept_value(stream, component, nominates);
            self.note_nomination(id, nominates.by);
        }
        true
    }

    /// Whether a nomination for what may be a pair can be accepted. `None`: it is a check like any other, since it is not
    /// newer than what was accepted (renomination draft §3.3). Apart, for few checks nominate.
    #[inline(never)]
    fn judge_nomination(
        &self,
        stream: StreamId,
        component: ComponentId,
        known: Option<PairId>,
        nominate: Nominates,
        early: bool,
    ) -> Option<bool> {
        let newer = self.is_newer(stream, component, nominate, early);
        let accepts = || {
            !self.is_vetoed(stream, component, known)
                && (newer == Some(true) || self.accepts_nomination(stream, component, known, nominate.by))
        };
        (newer != Some(false)).then(accepts)
    }

    /// Whether a check that does not nominate leads to nothing any more: a pair is selected, and stays so, or there are as
    /// many pairs beside it as may be.
    fn is_closed(&self, stream: StreamId, component: ComponentId) -> bool {
        let Some(found) = self.component(stream, component) else { return true };
        let may_grow = || self.is_renominating() && self.has_room_beside(stream, component);
        self.retired || (found.concluded && !may_grow())
    }

    /// Whether there are fewer pairs to move to than may be.
    #[inline(never)]
    fn has_room_beside(&self, stream: StreamId, component: ComponentId) -> bool {
        let live = self.pairs.valid(stream, component).filter(|(pair, _)| pair.listed).count();
        live < crate::limits::BESIDE_LIMIT
    }

    /// Whether what the peer still has may be all that is left, or all there is to move to.
    #[inline(never)]
    fn has_nowhere_to_move(&self, stream: StreamId, component: ComponentId) -> bool {
        self.is_bereft(stream, component) || self.is_alone(stream, component)
    }

    /// Whether consent on the selected pair was lost, and another may be nominated in its place.
    fn is_bereft(&self, stream: StreamId, component: ComponentId) -> bool {
        let lost = |of: &Component| of.concluded && of.selected.is_none();
        !self.retired && self.is_renominating() && self.component(stream, component).is_some_and(lost)
    }

    /// Whether we are to move away from the selected pair when it is lost, and no other pair is kept to move to: those that
    /// were have ended meanwhile, and what was left for them is better than nothing.
    fn is_alone(&self, stream: StreamId, component: ComponentId) -> bool {
        let moves =
            self.is_renominating() && self.standing.role == Role::Controlling && self.config.standby > 0;
        if !moves || self.retired {
            return false;
        }
        let Some(selected) = self.component(stream, component).and_then(|of| of.selected) else {
            return false;
        };
        // One that is there because its checks have proved the selected pair is no other way.
        let may_do = |pair: &Pair| pair.valid.is_some() || !pair.state.is_settled();
        let beside = |pair: &Pair| pair.listed && pair.id != selected && may_do(pair);
        !self.pairs.iter().any(|pair| pair.is_of(stream, component) && beside(pair))
    }

    /// After what was not selected has been freed: whether this address of the peer was known before. If there is no pair
    /// with it any more, it was not worth keeping, and each agent would keep it only because the other does.
    #[cold]
    fn is_stale(
        &self,
        base: BaseId,
        stream: StreamId,
        component: ComponentId,
        source: TransportAddress,
    ) -> bool {
        // Until then a pair that is not there was never there: it is the first check from that address on this base.
        self.is_freed(stream)
            && self.component(stream, component).is_none_or(|found| found.concluded)
            && !self.is_bereft(stream, component)
            && match self.candidates.kind_at(stream, component, source) {
                // RFC 8445 §7.3.1.3: what was learned is paired with a base that is new by its check alone.
                Some(CandidateType::PeerReflexive) => self.bases.is_freed(base),
                known => known.is_some(),
            }
    }

    /// Whether the application vetoes the pair that a nomination of this one is about, and it is not the selected one.
    fn is_vetoed(&self, stream: StreamId, component: ComponentId, pair: Option<PairId>) -> bool {
        let selected = self.component(stream, component).and_then(|component| component.selected);
        let about = pair.and_then(|id| self.nominee(id).or_else(|| self.pairs.get(id)));
        about.is_some_and(|pair| selected != Some(pair.id) && pair.wish.vetoed)
    }

    /// The pair of a base and a source that have none yet (RFC 8445 §7.3.1.3, §7.3.1.4). Once for each pair at most.
    #[cold]
    fn pair_for(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        stream: StreamId,
        component: ComponentId,
        priority: Priority,
    ) -> Option<PairId> {
        if self.spent.contains(&(base, source)) {
            return None;
        }
        let (local, transport) = self.transport_of(base)?;
        let remote = self.remote_seen(stream, component, transport, source, priority)?;
        self.insert_pair(local, remote)
    }

    /// RFC 8445 §7.3.1.4, one arm per bullet.
    fn trigger(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get(id) else { return };
        if pair.revoked || pair.nominating || !pair.may_start_again() {
            return;
        }
        match pair.state {
            PairState::Succeeded if self.retired || self.nominee(id).is_some() => {}
            // What its check has proved was another pair, and that is valid no more: the way itself has answered.
            PairState::Succeeded => {
                if let Some(pair) = self.pairs.get_mut(id) {
                    pair.step(PairEvent::Discard);
                }
                self.enqueue(id);
            }
            // The peer's request shows that the way is open now: our check may have met a closed door. One that began
            // with the door known to be open has its fresh successor set already, and repeated requests do not make
            // it come sooner: two agents would drive each other.
            PairState::InProgress if pair.started_heard && pair.fresh_at.is_some() => {}
            PairState::InProgress | PairState::Waiting | PairState::Frozen | PairState::Failed => {
                self.enqueue(id);
            }
        }
    }
}

/// Asked of fragments that were not signalled, or not yet.
#[cold]
fn has_colon(fragment: &[u8]) -> bool {
    fragment.contains(&b':')
}

/// RFC 8489 §6.3.1: the answer to a request with attributes that must be understood and are not, if it has any.
#[cold]
fn name_unknown(message: &Message<'_>) -> Option<Body> {
    let mut unknown = message.unknown_required();
    let first = unknown.next()?;
    let mut types = [first; UNKNOWN_LISTED];
    let mut count = 1_u8;
    for (place, kind) in types.iter_mut().skip(1).zip(unknown) {
        *place = kind;
        count = count.saturating_add(1);
    }
    Some(Body::Unknown { types, count })
}

/// Whether the pair has failed and may be checked no more, so that it never comes true.
fn is_dead(pair: &Pair) -> bool {
    pair.state == PairState::Failed && !pair.may_start_again()
}
