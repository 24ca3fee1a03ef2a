//! The generations of one agent (RFC 8445 §9): the one in force, and earlier ones that still carry data.
//!
//! ```text
//!            restart()                     the peer's new parameters          selected, then 3 s
//!  in force ───────────▶ earlier, standing ──────────────────────▶ earlier, retired ───────────▶ gone
//!     ▲                        │ rollback()
//!     └────────────────────────┘
//! ```
//! While a restart is unanswered the generation before it goes on as if nothing had happened. Once it is answered
//! that generation is *retired*: it keeps its best pairs with their consent and answers the peer, and makes no checks.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use floe_check::{ChecklistSet, PairReport, Route};
use floe_pair::{BaseId, Candidate, ComponentId, Parameters, Place, StreamId, TransportAddress, Ufrag};
use floe_stun::{AttributeType, Instant, Message};

use crate::agent::Agent;

/// Generations kept beside the one in force: the one that carries data, one that was answered before it had a pair,
/// and one that waits for an answer, with one to spare. When full, `Generations::shelve` says
/// which one goes.
const MOST_EARLIER: usize = 4;
/// User fragments of the peer's past that are known as such: signalling does not delay a candidate by more restarts.
const MOST_PAST: usize = 8;
/// Candidates kept whose generation is not known yet: as many as an agent with many interfaces trickles before its
/// parameters arrive. The oldest goes.
pub(crate) const MOST_HELD: usize = 128;
/// RFC 8445 §8.3: how long the old pairs are kept once the new ones are selected. The peer may select later, and
/// data on the old pair may still be under way.
const LINGER: Duration = Duration::from_secs(3);

/// All generations but the checks of the one in force, which the agent has.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    /// Number of the generation in force.
    pub(crate) number: u32,
    /// The number given last.
    pub(crate) last: u32,
    /// Data streams whose end of candidates was told in this generation (RFC 8838 §13).
    pub(crate) ended: Ended,
    /// Earlier generations, the oldest first. Only the last one may be standing.
    pub(crate) earlier: Vec<Earlier>,
    /// When the earlier generations go.
    over_at: Option<Instant>,
    /// User fragments the peer had before its present one.
    past: VecDeque<Ufrag>,
    held: VecDeque<Held>,
    /// The user fragments of this agent, or those of its peer, have changed since somebody asked.
    pub(crate) renamed: bool,
}

/// A generation before the one in force.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) number: u32,
    pub(crate) checks: ChecklistSet,
    pub(crate) ended: Ended,
    pub(crate) phase: Phase,
}

/// What an earlier generation still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything: the restart that came after it is unanswered.
    Standing,
    /// It carries data until the new generation does.
    Retired,
}

/// Something the peer has signalled for a generation whose parameters are not known yet.
#[derive(Debug)]
struct Held {
    ufrag: Ufrag,
    what: Early,
}

/// What may come before the parameters it belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Early {
    /// A candidate.
    Candidate(StreamId, Candidate),
    /// A candidate of no use, of this component.
    Component(StreamId, ComponentId),
    /// The end of candidates, of one data stream or of all.
    End(Option<StreamId>),
}

/// Which generation a user fragment of the peer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// The one in force.
    InForce,
    /// The one in force or the one before an unanswered restart: neither has a peer yet.
    Either,
    /// The one before an unanswered restart.
    Standing,
    /// One of the past (RFC 8838 §9).
    Past,
    /// None that is known yet.
    Unknown,
}

/// Data streams whose end of candidates was told. The one that most agents have takes no memory of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    first: Option<StreamId>,
    others: Vec<StreamId>,
}

impl Ended {
    pub(crate) fn has(&self, stream: StreamId) -> bool {
        self.first == Some(stream) || self.others.contains(&stream)
    }

    pub(crate) fn add(&mut self, stream: StreamId) {
        if self.first.is_none() {
            self.first = Some(stream);
        } else if !self.has(stream) {
            self.others.push(stream);
        }
    }

    pub(crate) fn remove(&mut self, stream: StreamId) {
        self.first.take_if(|ended| *ended == stream);
        self.others.retain(|ended| *ended != stream);
    }
}

impl Generations {
    /// The generation before a restart that is not answered yet.
    #[inline]
    pub(crate) fn standing(&self) -> Option<&Earlier> {
        // Most agents never restart.
        if self.earlier.is_empty() { None } else { self.last_standing() }
    }

    #[inline(never)]
    fn last_standing(&self) -> Option<&Earlier> {
        self.earlier.last().filter(|earlier| earlier.phase == Phase::Standing)
    }

    pub(crate) fn standing_mut(&mut self) -> Option<&mut Earlier> {
        self.earlier.last_mut().filter(|earlier| earlier.phase == Phase::Standing)
    }

    /// A generation is not in force any more. Where there is no room one without a pair goes, else the latest whose pairs
    /// were not nominated (data is on the first of those), else the oldest.
    pub(crate) fn shelve(&mut self, earlier: Earlier) {
        if self.earlier.len() >= MOST_EARLIER {
            let useless = self.earlier.iter().position(|earlier| !earlier.has_pair());
            let spare = || self.earlier.iter().rposition(|earlier| !earlier.has_nominated());
            let index = useless.or_else(spare).unwrap_or(0);
            self.earlier.remove(index);
        }
        self.earlier.push(earlier);
        self.over_at = None;
    }

    /// The restart after the last generation was answered: that generation makes no checks any more.
    pub(crate) fn retire(&mut self, now: Instant) {
        let Some(standing) = self.standing_mut() else { return };
        standing.phase = Phase::Retired;
        standing.checks.retire(now);
        standing.ended = Ended::default();
    }

    /// The peer has left this user fragment behind.
    pub(crate) fn leave(&mut self, ufrag: Ufrag) {
        if self.past.len() >= MOST_PAST {
            self.past.pop_front();
        }
        self.held.retain(|held| held.ufrag != ufrag);
        self.past.push_back(ufrag);
    }

    pub(crate) fn is_past(&self, ufrag: &Ufrag) -> bool {
        self.past.contains(ufrag)
    }

    /// Keeps what belongs to parameters that may still come.
    pub(crate) fn hold(&mut self, ufrag: Ufrag, what: Early) {
        if self.held.len() >= MOST_HELD {
            self.held.pop_front();
        }
        self.held.push_back(Held { ufrag, what });
    }

    /// The user fragment of what was held last.
    pub(crate) fn last_held(&self) -> Option<&Ufrag> {
        self.held.back().map(|held| &held.ufrag)
    }

    /// Everything that was held for these parameters, in its order.
    pub(crate) fn take_held(&mut self, ufrag: &Ufrag) -> Vec<Early> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let held = core::mem::take(&mut self.held);
        let (own, others) = held.into_iter().partition::<VecDeque<_>, _>(|held| held.ufrag == *ufrag);
        self.held = others;
        own.into_iter().map(|held| held.what).collect()
    }

    /// The component is gone: nothing is held for it.
    pub(crate) fn forget(&mut self, stream: StreamId, component: ComponentId) {
        self.held.retain(|held| match &held.what {
            Early::Candidate(of, candidate) => *of != stream || candidate.component != component,
            Early::Component(of, noted) => *of != stream || *noted != component,
            Early::End(_) => true,
        });
    }

    /// The data stream is gone: one of this id that comes later has not ended, on neither side.
    pub(crate) fn forget_stream(&mut self, stream: StreamId) {
        self.held.retain(|held| !matches!(held.what, Early::End(Some(of)) if of == stream));
        self.ended.remove(stream);
        for earlier in &mut self.earlier {
            earlier.ended.remove(stream);
        }
    }

    /// What follows once the earlier generations are replaced: they go, a little later. Returns whether one has gone,
    /// which is at once where it has no pair left.
    pub(crate) fn settle(&mut self, now: Instant, replaced: bool) -> bool {
        let count = self.earlier.len();
        self.earlier.retain(|earlier| earlier.phase == Phase::Standing || earlier.has_pair());
        if self.earlier.is_empty() || self.standing().is_some() {
            self.over_at = None;
        } else if replaced && self.over_at.is_none() {
            self.over_at = Some(now.after(LINGER));
        }
        let gone = self.earlier.len() != count;
        self.renamed |= gone;
        gone
    }

    /// Whether there is something before the generation in force that a peer was known for.
    pub(crate) fn had_peer(&self) -> bool {
        self.earlier.iter().any(|earlier| earlier.checks.remote_parameters().is_some())
    }

    /// Whether the time of the earlier generations is over.
    pub(crate) fn are_over(&self, now: Instant) -> bool {
        self.over_at.is_some_and(|at| at <= now)
    }

    /// Lets the earlier generations go.
    pub(crate) fn clear(&mut self) {
        self.renamed |= !self.earlier.is_empty();
        (self.earlier, self.over_at) = (Vec::new(), None);
    }

    /// The generation whose local user fragment stands in a USERNAME (RFC 8445 §7.3); where there is none, the one in
    /// force, which refuses it.
    #[inline]
    pub(crate) fn named<'a>(
        &'a mut self,
        in_force: &'a mut ChecklistSet,
        message: &Message<'_>,
    ) -> &'a mut ChecklistSet {
        // Most agents never restart.
        if self.earlier.is_empty() { in_force } else { self.named_of_all(in_force, message) }
    }

    #[inline(never)]
    fn named_of_all<'a>(
        &'a mut self,
        in_force: &'a mut ChecklistSet,
        message: &Message<'_>,
    ) -> &'a mut ChecklistSet {
        let username = message.raw(AttributeType::USERNAME);
        let named = |checks: &ChecklistSet| {
            let own = checks.local_parameters().ufrag.as_bytes();
            username.and_then(|name| name.strip_prefix(own)).is_some_and(|rest| rest.starts_with(b":"))
        };
        if named(in_force) {
            return in_force;
        }
        let earlier = self.earlier.iter_mut().find(|earlier| named(&earlier.checks));
        earlier.map_or(in_force, |earlier| &mut earlier.checks)
    }

    /// When something is due in an earlier generation.
    #[inline]
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.earlier.is_empty() { None } else { self.next_due() }
    }

    fn next_due(&self) -> Option<Instant> {
        let checks = self.earlier.iter().filter_map(|earlier| earlier.checks.poll_timeout());
        checks.chain(self.over_at).min()
    }
}

impl Earlier {
    /// Whether any of its pairs can carry data.
    pub(crate) fn has_pair(&self) -> bool {
        self.checks.pairs().any(|pair| pair.valid)
    }

    /// Whether any of its pairs can carry data on which both sides have agreed.
    fn has_nominated(&self) -> bool {
        let agreed = |pair: &PairReport| self.checks.has_nominated(pair.stream, pair.component);
        self.checks.pairs().any(|pair| pair.valid && agreed(&pair))
    }

    /// Where a component's data goes, while this generation carries it (RFC 8445 §12.1).
    pub(crate) fn route(&self, stream: StreamId, component: ComponentId) -> Option<Route> {
        self.checks.route(stream, component)
    }
}

impl Agent {
    /// Number of the generation in force: 0, and one more for each restart.
    pub fn generation(&self) -> u32 {
        self.generations.number
    }

    /// What to tell the peer of a generation, while it lives. That of the one in force is
    /// [`Agent::local_parameters`].
    pub fn parameters_of(&self, generation: u32) -> Option<&Parameters> {
        Some(self.checks_in(generation)?.local_parameters())
    }

    /// Whether a restart of this agent is not answered yet.
    pub fn is_restarting(&self) -> bool {
        self.generations.standing().is_some()
    }

    /// The user fragments that requests of peers may name, ours and the peer's, of each generation.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let earlier = self.generations.earlier.iter().map(|earlier| &earlier.checks);
        core::iter::once(&self.checks).chain(earlier).map(|checks| {
            let peer = checks.remote_parameters().map(|parameters| parameters.ufrag.as_str());
            (checks.local_parameters().ufrag.as_str(), peer)
        })
    }

    /// Whether the user fragments, ours or the peer's, have changed since this was asked.
    pub(crate) fn take_renamed(&mut self) -> bool {
        core::mem::take(&mut self.generations.renamed)
    }

    /// Where the pairs of all generations lead, and from where: in order.
    pub(crate) fn talks(&self) -> Vec<(Place, TransportAddress)> {
        let pairs = self.all_checks().flat_map(ChecklistSet::pairs);
        let talk = |pair: PairReport| Some((self.place_of(pair.base)?, pair.remote.address));
        let mut talks: Vec<_> = pairs.filter_map(talk).collect();
        talks.sort_unstable();
        talks
    }

    /// Every generation, the one in force first and then the latest.
    pub(crate) fn all_checks(&self) -> impl Iterator<Item = &ChecklistSet> {
        let earlier = self.generations.earlier.iter().rev().map(|earlier| &earlier.checks);
        core::iter::once(&self.checks).chain(earlier)
    }

    /// The same, to be changed.
    pub(crate) fn all_checks_mut(&mut self) -> impl Iterator<Item = &mut ChecklistSet> {
        let earlier = self.generations.earlier.iter_mut().rev().map(|earlier| &mut earlier.checks);
        core::iter::once(&mut self.checks).chain(earlier)
    }

    /// The generations that make checks: the one in force, and the one before an unanswered restart.
    pub(crate) fn live_checks_mut(&mut self) -> impl Iterator<Item = &mut ChecklistSet> {
        let standing = self.generations.standing_mut().map(|earlier| &mut earlier.checks);
        core::iter::once(&mut self.checks).chain(standing)
    }

    /// The checks of a generation.
    pub(crate) fn checks_in(&self, generation: u32) -> Option<&ChecklistSet> {
        if generation == self.generations.number {
            return Some(&self.checks);
        }
        let earlier = self.generations.earlier.iter().find(|earlier| earlier.number == generation)?;
        Some(&earlier.checks)
    }

    /// Which generation the peer means by a user fragment. Without one it means the newest it has told of.
    pub(crate) fn belongs(&self, ufrag: Option<&Ufrag>) -> Belongs {
        let is = |checks: &ChecklistSet, of: &Ufrag| {
            checks.remote_parameters().is_some_and(|parameters| parameters.ufrag == *of)
        };
        let has_peer = |checks: &ChecklistSet| checks.remote_parameters().is_some();
        let standing = self.generations.standing().map(|earlier| &earlier.checks);
        match ufrag {
            None if !has_peer(&self.checks) && standing.is_some_and(has_peer) => Belongs::Standing,
            // Of a peer that has told nothing yet, what comes is for the offer that it will answer: this one, or the one
            // before where the restart is taken back.
            None if !has_peer(&self.checks) && standing.is_some() => Belongs::Either,
            None => Belongs::InForce,
            Some(of) if is(&self.checks, of) => Belongs::InForce,
            Some(of) if standing.is_some_and(|checks| is(checks, of)) => Belongs::Standing,
            Some(of) if self.generations.is_past(of) => Belongs::Past,
            Some(_) => Belongs::Unknown,
        }
    }

    /// The checks that what is signalled may be for as well.
    pub(crate) fn checks_beside(&mut self, belongs: Belongs) -> Option<&mut ChecklistSet> {
        let standing = self.generations.standing_mut().filter(|_| belongs == Belongs::Either)?;
        Some(&mut standing.checks)
    }

    /// The checks that a signalled candidate goes to.
    pub(crate) fn checks_of(&mut self, belongs: Belongs) -> Option<&mut ChecklistSet> {
        match belongs {
            Belongs::InForce | Belongs::Either => Some(&mut self.checks),
            Belongs::Standing => self.generations.standing_mut().map(|earlier| &mut earlier.checks),
            Belongs::Past | Belongs::Unknown => None,
        }
    }

    /// Where a component sends. RFC 8445 §12.1: as long as the checklist of its data stream is Running, the selected
    /// pair is the previous one, unless that is no good any more. A new pair that is valid and not selected carries
    /// nothing meanwhile: the peer may not know it to be valid yet, and would have to hold what comes.
    #[inline]
    pub(crate) fn route(&self, stream: StreamId, component: ComponentId) -> Option<Route> {
        if self.generations.earlier.is_empty() {
            return self.checks.route(stream, component);
        }
        self.route_of_any(stream, component)
    }

    /// The same where there are earlier generations.
    fn route_of_any(&self, stream: StreamId, component: ComponentId) -> Option<Route> {
        if !self.checks.is_running(stream)
            && let Some(selected) = self.checks.selected_route(stream, component)
        {
            return Some(selected);
        }
        let silent = |earlier: &&Earlier| {
            earlier.checks.component_state(stream, component) == Some(floe_check::State::Disconnected)
        };
        let route = |earlier: &Earlier| earlier.route(stream, component);
        self.previous(stream, component)
            .filter(|earlier| !silent(earlier))
            .filter_map(route)
            // Consent that rested until it ended (RFC 7675 §5.1) makes a pair no good without its peer being silent.
            .find(|route| self.now < route.valid_until)
            .or_else(|| self.checks.route(stream, component))
            .or_else(|| self.previous(stream, component).find_map(route))
    }

    /// The earlier generations in the order in which a component's data goes on over their pairs. RFC 8445 §12.1: the previous
    /// selected pair is one that was nominated, the latest of them. Without one, what was first to be valid: data goes over
    /// it already, and no later one has been agreed upon.
    fn previous(&self, stream: StreamId, component: ComponentId) -> impl Iterator<Item = &Earlier> {
        let nominated = move |earlier: &&Earlier| earlier.checks.has_nominated(stream, component);
        let all = self.generations.earlier.iter();
        all.clone().rev().filter(nominated).chain(all.filter(move |earlier| !nominated(earlier)))
    }

    /// What follows once the generation in force carries the data of all components. Returns whether an earlier one has gone.
    pub(crate) fn settle_generations(&mut self, now: Instant) -> bool {
        let replaced = self.is_replaced();
        self.generations.settle(now, replaced)
    }

    /// Whether nothing needs the earlier generations: what they carry has a selected pair of the one in force, or is no more
    /// part of its data stream. One that has come to nothing there (RFC 8445 §6.1.3: the others are Completed without it)
    /// has its data on the previous pair, for as long as consent on that lasts.
    fn is_replaced(&self) -> bool {
        self.checks.state() == floe_check::State::Completed
            && self.components.iter().all(|part| {
                let (stream, id) = (part.stream, part.id);
                self.checks.selected_route(stream, id).is_some()
                    || self.checks.is_absent(stream, id)
                    || self.generations.earlier.iter().all(|earlier| earlier.route(stream, id).is_none())
            })
    }

    /// Lets the channels run out that no generation has its data on: those of pairs that were left by a move, and of
    /// generations that are gone. RFC 8656 §12: a binding that is not refreshed ends by itself; until then what the peer
    /// still sends there is taken, and a pair that is gone back to has its channel at once.
    pub(crate) fn forget_channels(&mut self) {
        let Self { checks, generations, gatherer, .. } = self;
        let sets =
            || core::iter::once(&*checks).chain(generations.earlier.iter().map(|earlier| &earlier.checks));
        gatherer.forget_channels(|base, peer| {
            let carries =
                |pair: &PairReport| pair.selected && pair.base == base && pair.remote.address == peer;
            sets().any(|set| set.pairs().any(|pair| carries(&pair)))
        });
    }

    /// Whether a component has a pair whose peer is heard.
    pub(crate) fn is_heard(&self, stream: StreamId, component: ComponentId) -> bool {
        self.all_checks().any(|checks| {
            checks.route(stream, component).is_some()
                && checks.component_state(stream, component) != Some(floe_check::State::Disconnected)
        })
    }

    /// Whether data from `source` is accepted on `base`, and for which component.
    #[inline]
    pub(crate) fn valid(&self, base: BaseId, source: TransportAddress) -> Option<(StreamId, ComponentId)> {
        self.checks.is_valid(base, source).or_else(|| {
            self.generations.earlier.iter().rev().find_map(|earlier| earlier.checks.is_valid(base, source))
        })
    }

    /// Whether data from `source` may come to be accepted on `base`, and for which component: somebody who knows a password of
    /// this agent is there, or it is lite, as its peer is, and asks nobody for one.
    pub(crate) fn may_become_valid(
        &self,
        base: BaseId,
        source: TransportAddress,
    ) -> Option<(StreamId, ComponentId)> {
        self.all_checks().find_map(|checks| checks.may_become_valid(base, source))
    }
}

#[cfg(test)]
mod tests;
