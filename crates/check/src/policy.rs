//! Which pairs are checked and preferred: policy as data, and as commands.
//!
//! A policy orders what the rules allow. It cannot make a second nomination, send data where consent is missing, or
//! begin a check without a slot.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

use floe_pair::{BaseId, CandidateType, ComponentId, Role, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::candidates::Denied;
use crate::event::{Event, MoveReason};
use crate::limits::{DENIED_LIMIT, KEPT_LIMIT};
use crate::pairs::{Failure, Pair, PairId};
use crate::timing::Timing;

/// A policy for pairs, fixed when the set is made. The default allows everything and prefers nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairPolicy {
    /// Rules for remote addresses: the first that fits decides, and where none does the address is allowed. To a denied
    /// address nothing is sent, and what comes from it is dropped. An address that is denied under one of its types is
    /// denied under all, in whatever order the peer signals them.
    pub remotes: Vec<RemoteRule>,
    /// Rank of a pair by the types of its candidates.
    pub ranks: TypeRanks,
    /// For how long a nomination may wait for a better pair, from the first valid one of its component. `None`: as long
    /// as the measured round-trip times call for.
    pub max_wait: Option<Duration>,
}

/// A rule for remote addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRule {
    /// Addresses it is for.
    pub prefix: AddressPrefix,
    /// Ports it is for.
    pub ports: RangeInclusive<u16>,
    /// Type of candidate it is for, as far as the peer has signalled it; `None` for all.
    pub kind: Option<CandidateType>,
    /// What is done.
    pub verdict: Verdict,
}

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Pairs are made with it.
    Allow,
    /// It is treated as if it did not exist.
    Deny,
}

impl RemoteRule {
    /// Denies all addresses of a prefix, whatever the port and type.
    pub const fn deny(prefix: AddressPrefix) -> Self {
        Self { prefix, ports: 0..=u16::MAX, kind: None, verdict: Verdict::Deny }
    }

    /// Allows all addresses of a prefix, whatever the port and type.
    pub const fn allow(prefix: AddressPrefix) -> Self {
        Self { prefix, ports: 0..=u16::MAX, kind: None, verdict: Verdict::Allow }
    }

    fn fits(&self, address: TransportAddress, kind: CandidateType) -> bool {
        self.prefix.contains(address.ip())
            && self.ports.contains(&address.port())
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

/// The addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressPrefix {
    ip: IpAddr,
    bits: u8,
}

impl AddressPrefix {
    /// The addresses of the family of `ip` that have its first `bits` bits; more bits than an address has count as all.
    pub const fn new(ip: IpAddr, bits: u8) -> Self {
        Self { ip, bits }
    }

    /// Whether the address is among them.
    pub fn contains(self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(prefix), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.bits.into())).unwrap_or(0);
                (prefix.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (IpAddr::V6(prefix), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.bits.into())).unwrap_or(0);
                (prefix.to_bits() ^ ip.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

/// Rank of a candidate by its type. A pair has the sum of both its candidates' ranks; the higher is preferred, before
/// direct is preferred to relayed and before the priority of the RFC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TypeRanks {
    /// Of host candidates.
    pub host: i16,
    /// Of server-reflexive candidates.
    pub server_reflexive: i16,
    /// Of peer-reflexive candidates.
    pub peer_reflexive: i16,
    /// Of relayed candidates.
    pub relayed: i16,
}

impl TypeRanks {
    fn of(self, kind: CandidateType) -> i32 {
        i32::from(match kind {
            CandidateType::Host => self.host,
            CandidateType::ServerReflexive => self.server_reflexive,
            CandidateType::PeerReflexive => self.peer_reflexive,
            CandidateType::Relayed => self.relayed,
        })
    }

    pub(crate) fn of_pair(self, local: CandidateType, remote: CandidateType) -> i32 {
        self.of(local).saturating_add(self.of(remote))
    }
}

impl PairPolicy {
    pub(crate) fn allows(&self, address: TransportAddress, kind: CandidateType) -> bool {
        let rule = self.remotes.iter().find(|rule| rule.fits(address, kind));
        rule.is_none_or(|rule| rule.verdict == Verdict::Allow)
    }

    /// What the measured times call for, within `max_wait`. `since`: when the pair that would be nominated became valid.
    pub(crate) fn bound(&self, timing: Timing, since: Instant, now: Instant) -> Timing {
        match (timing, self.max_wait.map(|wait| since.after(wait))) {
            (Timing::Hold(_), Some(latest)) if latest <= now => Timing::Now,
            (Timing::Hold(until), Some(latest)) => Timing::Hold(until.min(latest)),
            (timing, _) => timing,
        }
    }
}

/// What the application has said about a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub rank: i32,
    pub vetoed: bool,
    pub pinned: bool,
    pub kept: bool,
}

/// Why a pair is not nominated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NominateError {
    /// There is no such pair.
    UnknownPair,
    /// The peer controls, or the set was retired.
    NotControlling,
    /// The pair is not valid, or the application vetoes it.
    NotValid,
    /// A nomination in the component is under way: it was sent, or this pair was commanded to be nominated already.
    UnderWay,
    /// The component has a selected pair and renomination was not negotiated (RFC 8445 §8.1.1).
    AlreadyNominated,
}

impl fmt::Display for NominateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPair => "there is no such pair",
            Self::NotControlling => "this agent does not nominate",
            Self::NotValid => "the pair is not valid or is vetoed",
            Self::UnderWay => "another nomination is under way",
            Self::AlreadyNominated => "a pair was nominated and renomination was not negotiated",
        })
    }
}

impl core::error::Error for NominateError {}

/// Why a pair is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeepError {
    /// There is no such pair.
    UnknownPair,
    /// [`KEPT_LIMIT`] other pairs of its component are kept.
    TooMany,
}

impl fmt::Display for KeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPair => f.write_str("there is no such pair"),
            Self::TooMany => {
                write!(f, "{KEPT_LIMIT} other pairs of the component are kept, which is the most")
            }
        }
    }
}

impl core::error::Error for KeepError {}

impl ChecklistSet {
    /// The policy denies a candidate that the peer has signalled. Where its rules go by type, a check from there may come
    /// before it or after it and would be taken for one of a peer-reflexive candidate.
    pub(crate) fn deny(&mut self, stream: StreamId, component: ComponentId, address: TransportAddress) {
        self.events.push(Event::RemoteDenied { stream, component, address });
        // What is denied under each type need not be remembered.
        let types = [
            CandidateType::Host,
            CandidateType::ServerReflexive,
            CandidateType::PeerReflexive,
            CandidateType::Relayed,
        ];
        if !types.into_iter().any(|kind| self.config.policy.allows(address, kind))
            || self.candidates.is_denied(stream, component, address)
        {
            return;
        }
        let denied = Denied { stream, component, address };
        if self.candidates.denied.len() < self.limit_of(DENIED_LIMIT) {
            self.candidates.denied.push(denied);
        }
        self.fail_where(Failure::Denied, |pair| pair.is_of(stream, component) && pair.to == address);
        self.unsettled = true;
    }

    /// Whether the policy denies what comes from this address, as far as its type is known.
    pub(crate) fn denies(&self, base: BaseId, source: TransportAddress) -> bool {
        !self.config.policy.remotes.is_empty() && self.denies_by_rule(base, source)
    }

    #[inline(never)]
    fn denies_by_rule(&self, base: BaseId, source: TransportAddress) -> bool {
        let owner = self.bases.owner(base);
        let denied = |(stream, component)| self.candidates.is_denied(stream, component, source);
        let known = owner.and_then(|(stream, component)| self.candidates.kind_at(stream, component, source));
        owner.is_some_and(denied)
            || !self.config.policy.allows(source, known.unwrap_or(CandidateType::PeerReflexive))
    }

    /// Ranks a pair: the higher is nominated before all others, whatever their types and priorities; 0 at first. False
    /// where there is no such pair, here and in the commands that follow.
    pub fn rank(&mut self, now: Instant, pair: PairId, rank: i32) -> bool {
        self.wish(now, pair, |wish| wish.rank = rank)
    }

    /// Vetoes a pair, or takes the veto back. A vetoed pair is checked and answered as before; it is not nominated, no
    /// nomination of it is accepted, and before one is selected no data goes over it. A nomination of it that was sent
    /// already holds, since the peer may have accepted it.
    pub fn veto(&mut self, now: Instant, pair: PairId, vetoed: bool) -> bool {
        self.wish(now, pair, |wish| wish.vetoed = vetoed)
    }

    /// Pins a pair, or lets it loose: while it is valid it is nominated before all others, and not left for a better one.
    pub fn pin(&mut self, now: Instant, pair: PairId, pinned: bool) -> bool {
        self.wish(now, pair, |wish| wish.pinned = pinned)
    }

    /// Keeps a valid pair beside the selected one, in addition to the standby pairs and for as long as its consent
    /// lasts, or no longer. Without renomination it has to be told before another pair is selected: after that the pair
    /// has left the checklist, and runs out. One that is still checked is kept if it comes true; one that has failed is
    /// not kept, and is kept no more should it come true later.
    ///
    /// # Errors
    /// What stands against it; nothing has changed then.
    pub fn keep(&mut self, now: Instant, pair: PairId, kept: bool) -> Result<(), KeepError> {
        let found = self.pairs.get(pair).ok_or(KeepError::UnknownPair)?;
        let own = |other: &&Pair| other.is_of(found.stream, found.component) && other.id != pair;
        // RFC 7675 §5.1: of a pair that has ended no consent is asked. The peer may yet check it, and it come true.
        let kept = kept && (found.valid.is_some() || !found.state.is_settled());
        let others = self.pairs.iter().filter(own).filter(|other| other.wish.kept);
        if kept && others.count() >= KEPT_LIMIT {
            return Err(KeepError::TooMany);
        }
        self.wish(now, pair, |wish| wish.kept = kept);
        Ok(())
    }

    fn wish(&mut self, now: Instant, pair: PairId, change: impl FnOnce(&mut Wish)) -> bool {
        let now = self.advance(now);
        let Some(found) = self.pairs.get_mut(pair) else { return false };
        let before = found.wish;
        change(&mut found.wish);
        let kept_only = Wish { kept: before.kept, ..found.wish } == before;
        let (stream, component) = (found.stream, found.component);
        self.pairs.reorder();
        self.ranked = true;
        if !kept_only {
            self.reconsider_nomination(stream, component);
        }
        self.suggest_preferred(stream, component);
        self.suggest_where_vetoed(stream, component);
        self.settle(now);
        true
    }

    /// A base will end, as an allocation does whose user has no credentials any more, and another one is to take its place: of
    /// the pairs that the application and the policy hold equal, those that stand on it are the last to be nominated, are left
    /// for any other, and are not kept for standby. Without renomination a restart is suggested once another pair is there.
    pub fn replace_base(&mut self, now: Instant, base: BaseId) {
        let now = self.advance(now);
        let Some((stream, component)) = self.bases.owner(base) else { return };
        for local in self.candidates.locals.iter_mut().filter(|local| local.base == base) {
            local.replaced = true;
        }
        for pair in self.pairs.change(|pair| pair.base == base) {
            pair.replaced = true;
        }
        self.reconsider_nomination(stream, component);
        self.suggest_preferred(stream, component);
        self.settle(now);
    }

    /// A base that was [replaced](Self::replace_base) is about to end. Where it still carries data, because it is the peer that
    /// nominates and it has not moved, a restart is suggested.
    pub fn base_ends(&mut self, now: Instant, base: BaseId) {
        let now = self.advance(now);
        let Some((stream, component)) = self.bases.owner(base) else { return };
        self.suggest_where_replaced(stream, component, base);
        self.settle(now);
    }

    /// What is held of the pairs of a component has changed.
    fn suggest_preferred(&mut self, stream: StreamId, component: ComponentId) {
        // The pair may be the one that should be left, or the one that should be used.
        let own = |other: &&Pair| other.is_of(stream, component) && other.listed && other.valid.is_some();
        let preferred = self.pairs.iter().filter(own).max_by_key(|other| (!other.wish.vetoed, other.worth()));
        if let Some(preferred) = preferred.map(|pair| pair.id) {
            self.suggest_restart(preferred);
        }
    }

    /// The id that the next pair will have.
    pub fn next_pair_id(&self) -> PairId {
        self.pairs.next()
    }

    /// Pairs that are made from now on have this id or higher ones, so that ids of other sets name none of them.
    pub fn continue_pair_ids(&mut self, from: PairId) {
        self.pairs.continue_from(from);
    }

    /// Nominates a valid pair in the next slot, without waiting for a better one, and in place of one whose nomination was
    /// decided but not sent yet.
    ///
    /// # Errors
    /// What stands against it; nothing has changed then.
    pub fn nominate(&mut self, now: Instant, pair: PairId) -> Result<(), NominateError> {
        let now = self.advance(now);
        let found = self.pairs.get(pair).ok_or(NominateError::UnknownPair)?;
        if self.standing.role != Role::Controlling || self.peer.is_none() || self.is_passive() {
            return Err(NominateError::NotControlling);
        }
        let valid = found.valid.as_ref().filter(|_| found.listed && !found.wish.vetoed);
        let producer = valid.map(|valid| valid.producer).ok_or(NominateError::NotValid)?;
        let (stream, component) = (found.stream, found.component);
        let fit = self.pairs.can_nominate(found);
        let renominates = self.is_renominating();
        let of = self.component(stream, component).ok_or(NominateError::UnknownPair)?;
        let said = |id| id == producer && of.commanded == Some(pair);
        if of.nomination.is_some_and(|id| said(id) || self.is_nomination_sent(id)) {
            return Err(NominateError::UnderWay);
        }
        let stays = of.concluded && of.selected == Some(pair);
        if of.concluded && !stays && !renominates {
            return Err(NominateError::AlreadyNominated);
        }
        if !stays && !fit {
            return Err(NominateError::NotValid);
        }
        self.take_back_nomination(stream, component);
        let of = self.component_mut(stream, component).ok_or(NominateError::UnknownPair)?;
        of.commanded = Some(pair);
        if !stays {
            (of.nomination, of.hold, of.moves.reason) = (Some(producer), None, Some(MoveReason::Policy));
            if let Some(pair) = self.pairs.get_mut(producer) {
                pair.nominating = true;
            }
        }
        self.settle(now);
        Ok(())
    }
}
