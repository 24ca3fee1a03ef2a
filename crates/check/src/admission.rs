//! Bases, and which peers they are open for.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use floe_pair::{BaseId, ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::event::{Event, Limit};
use crate::lean::push_lean;
use crate::limits::PEERS_PER_BASE;
use crate::pairs::{Failure, Pair, PairId, PairTable, Traits};
use crate::state::PairState;

/// Whom a base can send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everybody.
    Open,
    /// Only peers it was opened for: an allocation with its permissions (RFC 8445 §7.2.1).
    PerPeer,
}

/// How long an admission may stay unanswered before its pairs fail: as long as a check may (RFC 8489 §6.2.1).
const ADMISSION_TIMEOUT: Duration = Duration::from_millis(39_500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Not told to the owner yet.
    Wanted,
    Asked,
    Admitted,
    Refused,
}

/// What becomes of a peer that has to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    /// It is asked for, or was admitted.
    Open,
    Refused,
    /// The base has no place for another peer.
    Full,
}

#[derive(Debug)]
struct Peer {
    ip: IpAddr,
    answer: Answer,
    wanted_at: Instant,
}

#[derive(Debug)]
struct Base {
    id: BaseId,
    admission: Admission,
    /// Pairs with peer-reflexive candidates were freed on it, or would have been.
    freed: bool,
    owner: Option<(StreamId, ComponentId)>,
    peers: Vec<Peer>,
}

/// The bases of a set.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    list: Vec<Base>,
    /// Admissions not told to the owner yet.
    wanted: u32,
    /// There are such, or ones that the owner has not answered yet.
    unanswered: bool,
    /// Some base has to be opened for its peers.
    gated: bool,
    /// So it is, or has been, or some base has gone.
    varied: bool,
}

impl Bases {
    #[inline]
    fn get(&self, id: BaseId) -> Option<&Base> {
        self.position(id).and_then(|index| self.list.get(index))
    }

    fn get_mut(&mut self, id: BaseId) -> Option<&mut Base> {
        self.position(id).and_then(|index| self.list.get_mut(index))
    }

    #[inline]
    fn position(&self, id: BaseId) -> Option<usize> {
        // An owner that numbers its bases one after the other finds each where its number says, as long as none has gone.
        let first = self.list.first()?.id;
        let index = usize::try_from(id.0.wrapping_sub(first.0)).ok()?;
        if self.list.get(index).is_some_and(|base| base.id == id) {
            return Some(index);
        }
        self.list.iter().position(|base| base.id == id)
    }

    pub(crate) fn contains(&self, id: BaseId) -> bool {
        self.get(id).is_some()
    }

    /// Stream and component of the candidates on this base.
    pub(crate) fn owner(&self, id: BaseId) -> Option<(StreamId, ComponentId)> {
        self.get(id)?.owner
    }

    pub(crate) fn add(&mut self, id: BaseId, admission: Admission) {
        if !self.contains(id) {
            self.gated |= admission == Admission::PerPeer;
            self.varied |= self.gated;
            push_lean(&mut self.list, Base { id, admission, freed: false, owner: None, peers: Vec::new() });
        }
    }

    pub(crate) fn remove(&mut self, id: BaseId) {
        self.list.retain(|base| base.id != id);
        self.varied = true;
        self.gated = self.list.iter().any(|base| base.admission == Admission::PerPeer);
        self.count_wanted();
    }

    /// The bases of this component serve none any more; they are returned.
    pub(crate) fn disown(&mut self, owner: (StreamId, ComponentId)) -> Vec<BaseId> {
        let mut disowned = Vec::new();
        for base in self.list.iter_mut().filter(|base| base.owner == Some(owner)) {
            (base.owner, base.peers, base.freed) = (None, Vec::new(), false);
            disowned.push(base.id);
        }
        self.count_wanted();
        disowned
    }

    pub(crate) fn set_owner(&mut self, id: BaseId, owner: (StreamId, ComponentId)) {
        if let Some(base) = self.get_mut(id) {
            base.owner.get_or_insert(owner);
        }
    }

    /// What a data stream does not need is freed for the first time.
    pub(crate) fn free(&mut self, stream: StreamId) {
        for base in self.list.iter_mut().filter(|base| base.owner.is_some_and(|(of, _)| of == stream)) {
            base.freed = true;
        }
    }

    /// A pair of the base with a peer-reflexive candidate is freed.
    pub(crate) fn free_one(&mut self, id: BaseId) {
        if let Some(base) = self.get_mut(id) {
            base.freed = true;
        }
    }

    /// Whether what was learned may have had a pair on this base that was freed.
    pub(crate) fn is_freed(&self, id: BaseId) -> bool {
        self.get(id).is_some_and(|base| base.freed)
    }

    /// Whether a base is open for the peer at an address; `None` if there is no such base.
    #[inline]
    pub(crate) fn is_admitted(&self, id: BaseId, to: TransportAddress) -> Option<bool> {
        let base = self.get(id)?;
        if base.admission == Admission::Open {
            return Some(true);
        }
        let admitted = |known: &Peer| known.answer == Answer::Admitted && known.ip == to.ip();
        Some(base.peers.iter().any(admitted))
    }

    /// The same of a base that was there once.
    #[inline]
    pub(crate) fn still_admits(&self, id: BaseId, to: TransportAddress) -> Option<bool> {
        if self.varied {
            return self.is_admitted(id, to);
        }
        debug_assert_eq!(self.is_admitted(id, to), Some(true), "all bases are there, and open for everybody");
        Some(true)
    }

    /// Whether the peer was asked for, or admitted.
    fn holds(&self, id: BaseId, peer: IpAddr) -> bool {
        let held = |known: &Peer| known.ip == peer && known.answer != Answer::Refused;
        self.get(id).is_some_and(|base| base.peers.iter().any(held))
    }

    /// Whether any base has to be opened for its peers.
    pub(crate) fn is_any_gated(&self) -> bool {
        self.gated
    }

    /// Notes that the peer has to be admitted. Where the base has no place for it, the oldest of those goes that were
    /// answered and that no pair `needs` any more.
    fn want(&mut self, now: Instant, id: BaseId, ip: IpAddr, needs: impl Fn(IpAddr) -> bool) -> Outlook {
        let Some(base) = self.get_mut(id) else { return Outlook::Refused };
        if let Some(peer) = base.peers.iter().find(|peer| peer.ip == ip) {
            return if peer.answer == Answer::Refused { Outlook::Refused } else { Outlook::Open };
        }
        if base.peers.len() >= PEERS_PER_BASE {
            // RFC 8445 §7.2.1: a permission is created for a check. Nothing renews those of pairs that have left, and where
            // one is needed again it is asked for again.
            let answered = |peer: &Peer| matches!(peer.answer, Answer::Admitted | Answer::Refused);
            let idle = base.peers.iter().position(|peer| answered(peer) && !needs(peer.ip));
            let Some(idle) = idle else { return Outlook::Full };
            base.peers.remove(idle);
        }
        base.peers.push(Peer { ip, answer: Answer::Wanted, wanted_at: now });
        self.wanted = self.wanted.saturating_add(1);
        self.unanswered = true;
        Outlook::Open
    }

    /// Whether the base is open for the peer is known no more. What was refused stays so.
    pub(crate) fn forget_peer(&mut self, id: BaseId, ip: IpAddr) {
        let Some(base) = self.get_mut(id) else { return };
        base.peers.retain(|peer| peer.ip != ip || peer.answer == Answer::Refused);
        self.count_wanted();
    }

    fn answer(&mut self, now: Instant, id: BaseId, ip: IpAddr, answer: Answer) {
        let Some(base) = self.get_mut(id) else { return };
        if let Some(peer) = base.peers.iter_mut().find(|peer| peer.ip == ip) {
            peer.answer = answer;
        } else if base.peers.len() < PEERS_PER_BASE {
            base.peers.push(Peer { ip, answer, wanted_at: now });
        }
        self.count_wanted();
    }

    fn count_wanted(&mut self) {
        let wanted = self.pending().filter(|(_, peer)| peer.answer == Answer::Wanted).count();
        self.wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let unanswered = self.pending().next().is_some();
        self.unanswered = unanswered;
    }

    /// Whether there is an admission to tell the owner of.
    pub(crate) fn is_any_wanted(&self) -> bool {
        self.wanted > 0
    }

    /// The next admission to tell the owner of. A level: it cannot be lost in a full queue.
    pub(crate) fn poll_wanted(&mut self) -> Option<Event> {
        if self.wanted == 0 {
            return None;
        }
        self.wanted = self.wanted.saturating_sub(1);
        self.list.iter_mut().find_map(|base| {
            let peer = base.peers.iter_mut().find(|peer| peer.answer == Answer::Wanted)?;
            peer.answer = Answer::Asked;
            Some(Event::AdmissionWanted { base: base.id, peer: peer.ip })
        })
    }

    /// Nobody waits for what was not answered yet.
    pub(crate) fn forget_pending(&mut self) {
        for base in &mut self.list {
            base.peers.retain(|peer| matches!(peer.answer, Answer::Admitted | Answer::Refused));
        }
        (self.wanted, self.unanswered) = (0, false);
    }

    fn pending(&self) -> impl Iterator<Item = (BaseId, &Peer)> {
        self.list.iter().flat_map(|base| {
            let open = |peer: &&Peer| matches!(peer.answer, Answer::Wanted | Answer::Asked);
            base.peers.iter().filter(open).map(|peer| (base.id, peer))
        })
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.unanswered {
            return None;
        }
        self.pending().map(|(_, peer)| peer.wanted_at.after(ADMISSION_TIMEOUT)).min()
    }

    fn overdue(&self, now: Instant) -> Option<(BaseId, IpAddr)> {
        self.pending()
            .find(|(_, peer)| peer.wanted_at.after(ADMISSION_TIMEOUT) <= now)
            .map(|(base, peer)| (base, peer.ip))
    }
}

impl ChecklistSet {
    /// Adds a base. Known ones are left as they are.
    pub fn add_base(&mut self, base: BaseId, admission: Admission) {
        self.bases.add(base, admission);
    }

    /// Makes room for so many bases, each with a candidate, that are about to be added.
    pub fn expect_bases(&mut self, more: usize) {
        if more > 1 {
            self.bases.list.reserve_exact(more);
            self.candidates.locals.reserve_exact(more);
        }
    }

    /// Removes a base with its candidates; its pairs fail.
    pub fn remove_base(&mut self, now: Instant, base: BaseId) {
        let now = self.advance(now);
        self.bases.remove(base);
        self.fail_where(Failure::BaseRemoved, |pair| pair.base == base);
        self.early.retain(|early| early.base != base);
        self.spent.retain(|(spent, _)| *spent != base);
        // What stood on it, or on one that went before, and can be seen no more.
        let (pairs, bases) = (&self.pairs, &self.bases);
        self.candidates
            .locals
            .retain(|local| bases.contains(local.base) || pairs.iter().any(|pair| pair.stands_on(local.id)));
        self.settle(now);
    }

    /// The base is open for this peer from now on: answer to [`Event::AdmissionWanted`], or unasked.
    pub fn admit(&mut self, now: Instant, base: BaseId, peer: IpAddr) {
        let now = self.advance(now);
        self.bases.answer(now, base, peer, Answer::Admitted);
        for pair in self.pairs.change(|pair| pair.base == base && pair.to.ip() == peer) {
            pair.admitted = true;
        }
        self.unsettled = true;
    }

    /// The base cannot be opened for this peer: its pairs fail.
    pub fn refuse(&mut self, now: Instant, base: BaseId, peer: IpAddr) {
        let now = self.advance(now);
        self.refuse_peer(now, base, peer);
        self.settle(now);
    }

    fn refuse_peer(&mut self, now: Instant, base: BaseId, peer: IpAddr) {
        self.bases.answer(now, base, peer, Answer::Refused);
        self.fail_where(Failure::NotAdmitted, |pair| pair.base == base && pair.to.ip() == peer);
    }

    /// Admissions nobody answered count as refused: no session hangs on an owner that forgot.
    pub(crate) fn run_admissions(&mut self, now: Instant) {
        while let Some((base, peer)) = self.bases.overdue(now) {
            self.refuse_peer(now, base, peer);
        }
    }

    /// Asks for what the Waiting pairs need. Those that cannot have it fail.
    pub(crate) fn want_admissions(&mut self, now: Instant) {
        while let Some((id, outlook)) = self.find_unwelcome(now) {
            let Some(Pair { base, to, stream, .. }) = self.pairs.get(id) else { return };
            let (base, to, stream) = (*base, *to, *stream);
            if outlook == Outlook::Full {
                self.events.push(Event::LimitReached { limit: Limit::Peers, stream, remote: to });
            }
            self.fail_where(Failure::NotAdmitted, |pair| pair.base == base && pair.to == to);
        }
    }

    /// The first Waiting pair whose peer cannot be admitted, once those before it were asked for.
    fn find_unwelcome(&mut self, now: Instant) -> Option<(PairId, Outlook)> {
        let (bases, pairs) = (&mut self.bases, &self.pairs);
        let shut = pairs.likely(Traits::SHUT);
        let mut shut = shut.filter(|pair| !pair.admitted && pair.state == PairState::Waiting);
        shut.find_map(|pair| {
            match bases.want(now, pair.base, pair.to.ip(), |ip| leads_to(pairs, pair.base, ip)) {
                Outlook::Open => None,
                outlook => Some((pair.id, outlook)),
            }
        })
    }

    /// Whether a pair in a checklist goes from this base to this peer. The permission of an allocation is renewed while
    /// one does.
    pub fn is_peer_listed(&self, base: BaseId, peer: IpAddr) -> bool {
        leads_to(&self.pairs, base, peer)
    }

    /// Whether a peer still has its place on this base: a pair in a checklist leads to it, or it was asked for or admitted
    /// and has not had to make room for another since. An owner that has no place for the peer of an
    /// [`Event::AdmissionWanted`] gives up those of which this is not so.
    pub fn is_peer_held(&self, base: BaseId, peer: IpAddr) -> bool {
        self.is_peer_listed(base, peer) || (!self.retired && self.bases.holds(base, peer))
    }
}

fn leads_to(pairs: &PairTable, base: BaseId, peer: IpAddr) -> bool {
    pairs.iter().any(|pair| pair.listed && pair.base == base && pair.to.ip() == peer)
}
