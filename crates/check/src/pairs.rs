//! Candidate pairs and the table of all pairs of a set.

use alloc::boxed::Box;
use core::cmp::Reverse;
use core::time::Duration;

use floe_pair::{
    BaseId, CandidateType, ComponentId, PairPriority, Priority, Role, StreamId, TransportAddress,
};
use floe_stun::Instant;

use crate::candidates::{FoundationKey, Local, LocalId, Remote, RemoteId};
use crate::consent::Consent;
use crate::forming::is_relayed;
use crate::freeze::Freezable;
use crate::limits::FRESH_LIMIT;
pub(crate) use crate::marks::Traits;
use crate::policy::{TypeRanks, Wish};
use crate::state::{PairEvent, PairState};
pub(crate) use crate::table::PairTable;

/// Name of a candidate pair, never given twice in one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// Why a pair failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// No answer to any transmission (RFC 8445 §7.2.5.2.3).
    TimedOut,
    /// Answers came, and none had the right integrity (RFC 8489 §9.1.4).
    IntegrityViolated,
    /// The answer came from another address, or to another base, than the request went (RFC 8445 §7.2.5.2.1).
    NotSymmetric,
    /// The peer answered with this error code (RFC 8445 §7.2.5.2.4).
    Refused(u16),
    /// The answer could not be understood (RFC 8489 §6.3.3, §6.3.4).
    BadResponse,
    /// The base is gone.
    BaseRemoved,
    /// The base was not opened for this peer.
    NotAdmitted,
    /// Consent ended: no answer for 30 s (RFC 7675 §5.1).
    ConsentExpired,
    /// The peer took its consent back with a 403 (RFC 7675 §5.2).
    Revoked,
    /// The candidate that the peer has signalled for this address is one that the policy denies.
    Denied,
}

/// What only a pair in the valid list has.
#[derive(Debug)]
pub(crate) struct Valid {
    /// The local candidate the peer saw (RFC 8445 §7.2.5.3.2).
    pub local: LocalId,
    pub local_priority: Priority,
    pub priority: PairPriority,
    /// The pair whose check proved this one; nominations repeat that check.
    pub producer: PairId,
    /// The check of yet another pair has shown it as well.
    pub shown: bool,
    pub nominated: bool,
    /// Answers in a row that came much faster than those of the selected pair.
    pub faster: u8,
    /// Left for its silence: so many answers are wanted before it is gone back to.
    pub doubt: u8,
    pub since: Instant,
    pub consent: Option<Consent>,
    /// Where there is no consent, or it rests: when the next keepalive goes.
    pub keepalive: Option<Instant>,
}

impl Valid {
    /// An entry of the valid list: the local candidate that the peer saw, with its priority, and how the pair is kept up.
    pub(crate) fn new(
        now: Instant,
        (local, local_priority): (LocalId, Priority),
        priority: PairPriority,
        producer: PairId,
        (consent, keepalive): (Option<Consent>, Option<Instant>),
    ) -> Self {
        Self {
            local,
            local_priority,
            priority,
            producer,
            shown: false,
            nominated: false,
            faster: 0,
            doubt: 0,
            since: now,
            consent,
            keepalive,
        }
    }

    /// RFC 7675 §5.1: any authenticated answer from the address extends consent.
    pub(crate) fn renew(&mut self, now: Instant) {
        if let Some(consent) = &mut self.consent {
            consent.renew(now);
        }
    }
}

/// Pinned, rank, lasting, direct, priority: the greater is nominated.
pub(crate) type Worth = (bool, i32, bool, bool, PairPriority);

/// One candidate pair. Its local candidate is a base: reflexive ones are replaced when pairs are formed.
///
/// In this order, so that what is nothing at first stands together, and is written at once: many pairs are made at once,
/// and few of them are ever checked.
#[derive(Debug)]
#[repr(C)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and read at its own rule")]
pub(crate) struct Pair {
    pub id: PairId,
    pub base: BaseId,
    pub local: LocalId,
    pub remote: RemoteId,
    pub foundation: FoundationKey,
    pub priority: PairPriority,
    pub local_priority: Priority,
    pub remote_priority: Priority,
    /// What PRIORITY says in its checks.
    pub check_priority: Priority,
    /// Rank by the types of its candidates.
    pub type_rank: i32,
    pub to: TransportAddress,
    pub order: u16,
    pub stream: StreamId,
    pub component: ComponentId,
    /// A relay carries it, ours or the peer's.
    pub relayed: bool,
    /// The base is open for the peer.
    pub admitted: bool,
    /// Formed after its component had a selected pair.
    pub late: bool,
    /// In the checklist, while its component has, or has had, a selected pair.
    pub beside: bool,
    /// Its base will end, and another one is to take its place.
    pub replaced: bool,
    /// In the checklist. After the nomination of another pair it has left it, or stays for as long as something keeps it.
    pub listed: bool,
    pub state: PairState,
    /// Apart, so that the many pairs that are not valid stay small.
    pub valid: Option<Box<Valid>>,
    pub first_check: Option<Instant>,
    pub last_start: Option<Instant>,
    /// When an unanswered check is followed by a fresh one.
    pub fresh_at: Option<Instant>,
    /// When the peer's latest request came over it.
    pub last_request: Option<Instant>,
    pub requests_sent: u32,
    pub responses_received: u32,
    pub requests_received: u32,
    pub fresh_used: u8,
    /// In the triggered-check queue.
    pub queued: bool,
    /// Something authenticated has come from the remote address to this base.
    pub heard: bool,
    /// The latest transaction began after that.
    pub started_heard: bool,
    /// We nominate this pair: its next or present check carries USE-CANDIDATE.
    pub nominating: bool,
    /// A nomination of it has failed; it is not nominated again.
    pub nomination_failed: bool,
    /// The peer nominated it before it was valid.
    pub peer_nominated: bool,
    /// Left for a pair of its kind that answers much faster.
    pub slow: bool,
    /// Kept beside the selected pair.
    pub standby: bool,
    /// It was selected, or the peer nominated it, and its component has moved to another.
    pub left: bool,
    /// The peer has sent a request over it; if it was left, since then.
    pub asked: bool,
    /// Consent on it has ended: the credentials of this generation are spent for it (RFC 7675 §5.1).
    pub revoked: bool,
    /// What the application wants of it.
    pub wish: Wish,
    /// RTO of the latest check.
    pub rto: Duration,
    pub failure: Option<Failure>,
    pub rtt: Option<Duration>,
}

/// What new pairs of a remote candidate have from elsewhere than from the two candidates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Place of their checklist in the set.
    pub order: u16,
    /// That checklist was freed.
    pub freed: bool,
    /// Their component has, or has had, a selected pair.
    pub late: bool,
    /// Nothing that the peer has signalled explains the remote candidate, which may be a relay's.
    pub unexplained: bool,
    pub role: Role,
    pub ranks: TypeRanks,
    /// Pairs that the set may have.
    pub limit: usize,
}

/// What the new pairs of a remote candidate with local ones of one type have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    /// Type of the local candidates.
    pub near: CandidateType,
    order: u16,
    stream: StreamId,
    component: ComponentId,
    late: bool,
    relayed: bool,
    role: Role,
    to: TransportAddress,
    remote: RemoteId,
    remote_priority: Priority,
    foundation: u32,
    type_rank: i32,
}

impl Common {
    pub(crate) fn of(near: CandidateType, far: &Remote, place: &Place) -> Self {
        let candidate = &far.candidate;
        Self {
            near,
            order: place.order,
            stream: far.stream,
            component: candidate.component,
            late: place.late,
            relayed: place.unexplained || near == CandidateType::Relayed || is_relayed(candidate),
            role: place.role,
            to: candidate.address,
            remote: far.id,
            remote_priority: candidate.priority,
            foundation: far.foundation,
            type_rank: place.ranks.of_pair(near, candidate.kind),
        }
    }
}

impl Pair {
    /// The Frozen pair of two candidates that go together.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "one place makes pairs, many at once, and each where it is to stand"
    )]
    pub(crate) fn new(id: PairId, near: &Local, admitted: bool, common: &Common) -> Self {
        let (local_priority, remote_priority) = (near.candidate.priority, common.remote_priority);
        Self {
            id,
            base: near.base,
            local: near.id,
            remote: common.remote,
            foundation: FoundationKey { remote: common.foundation, local: near.foundation },
            priority: PairPriority::new(common.role, local_priority, remote_priority),
            local_priority,
            remote_priority,
            check_priority: near.candidate.peer_reflexive_priority(),
            type_rank: common.type_rank,
            to: common.to,
            order: common.order,
            stream: common.stream,
            component: common.component,
            relayed: common.relayed,
            admitted,
            late: common.late,
            beside: common.late,
            listed: true,
            state: PairState::Frozen,
            requests_sent: 0,
            valid: None,
            first_check: None,
            last_start: None,
            fresh_at: None,
            last_request: None,
            responses_received: 0,
            requests_received: 0,
            fresh_used: 0,
            queued: false,
            heard: false,
            started_heard: false,
            nominating: false,
            nomination_failed: false,
            peer_nominated: false,
            slow: false,
            standby: false,
            replaced: near.replaced,
            left: false,
            asked: false,
            revoked: false,
            wish: Wish::default(),
            failure: None,
            rto: Duration::ZERO,
            rtt: None,
        }
    }

    /// Moves along one of the arrows. Any other move is a mistake of this crate and changes nothing.
    pub(crate) fn step(&mut self, event: PairEvent) {
        match self.state.on(event) {
            Ok(state) => self.state = state,
            Err(invalid) => debug_assert!(false, "{invalid}"),
        }
    }

    /// Order of what is nominated. A relay's address that was learned from a check has a priority above its type's
    /// (RFC 8838 §11 4.A), and is a relay all the same once it is known to be one.
    pub(crate) fn worth(&self) -> Worth {
        self.worth_at(self.priority)
    }

    /// [`worth`](Self::worth) as an entry of the valid list, whose priority may be another.
    pub(crate) fn worth_at(&self, priority: PairPriority) -> Worth {
        (self.wish.pinned, self.preference(), !self.replaced, !self.relayed, priority)
    }

    /// What the policy and the application hold of it.
    pub(crate) fn preference(&self) -> i32 {
        self.type_rank.saturating_add(self.wish.rank)
    }

    pub(crate) fn is_of(&self, stream: StreamId, component: ComponentId) -> bool {
        self.stream == stream && self.component == component
    }

    /// Whether this local candidate is that of the pair, or the one that the peer sees.
    pub(crate) fn stands_on(&self, local: LocalId) -> bool {
        self.local == local || self.valid.as_ref().is_some_and(|valid| valid.local == local)
    }

    /// Whether it is valid by the checks of that pair.
    pub(crate) fn is_proved_by(&self, producer: PairId) -> bool {
        self.valid.as_ref().is_some_and(|valid| valid.producer == producer)
    }

    /// Whether another transaction may follow the ones there were.
    pub(crate) fn may_start_again(&self) -> bool {
        self.first_check.is_none() || self.fresh_used < FRESH_LIMIT
    }

    /// Recomputes what depends on the role (RFC 8445 §7.3.1.1).
    pub(crate) fn set_role(&mut self, role: Role) {
        self.priority = PairPriority::new(role, self.local_priority, self.remote_priority);
        if let Some(valid) = &mut self.valid {
            valid.priority = PairPriority::new(role, valid.local_priority, self.remote_priority);
        }
    }

    /// RFC 8445 §8.1.2: out of the queue; a check under way is cancelled and its answer still counts.
    pub(crate) fn cease(&mut self) {
        (self.queued, self.nominating, self.peer_nominated, self.fresh_at) = (false, false, false, None);
    }

    /// Its component has moved to another.
    pub(crate) fn leave(&mut self) {
        (self.left, self.asked) = (true, false);
    }

    /// The pair is lost for good or until the peer checks it again.
    pub(crate) fn discard(&mut self, failure: Failure) {
        self.step(PairEvent::Discard);
        self.valid = None;
        self.nominating = false;
        self.peer_nominated = false;
        self.wish.kept = false;
        self.left = false;
        self.fresh_at = None;
        self.failure = Some(failure);
    }
}

impl Freezable for Pair {
    type Foundation = FoundationKey;
    /// Checklist, component, then priority (RFC 8445 §6.1.2.6).
    type Rank = (u16, ComponentId, Reverse<PairPriority>, PairId);
    /// RFC 8445 §6.1.4.2 step 3: the highest priority; among equals the lowest component.
    type Turn = (Reverse<PairPriority>, ComponentId, PairId);

    fn foundation(&self) -> FoundationKey {
        self.foundation
    }

    fn rank(&self) -> Self::Rank {
        (self.order, self.component, Reverse(self.priority), self.id)
    }

    fn turn(&self) -> Self::Turn {
        (Reverse(self.priority), self.component, self.id)
    }

    fn order(&self) -> u16 {
        self.order
    }

    fn state(&self) -> PairState {
        self.state
    }

    fn is_listed(&self) -> bool {
        self.listed
    }

    fn is_beside(&self) -> bool {
        self.beside
    }

    fn is_ordinary(&self) -> bool {
        self.listed && self.state == PairState::Waiting && !self.queued && !self.nominating
    }

    fn is_ready(&self) -> bool {
        self.admitted && self.state == PairState::Waiting && !self.revoked
    }

    fn step(&mut self, event: PairEvent) {
        Self::step(self, event);
    }
}
