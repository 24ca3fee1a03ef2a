//! What is signalled once pairs are nominated (RFC 8839 §4.3.4, §4.4.1.2.2, §4.4.2).

use alloc::vec::Vec;

use super::{Destination, Media, RemoteCandidates, follows_rfc8445};
use crate::{CandidateLine, ComponentId, Parameters, Role, TransportAddress};

/// How the checks of a section ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// Its checklist is Completed with the pair of the default candidates.
    AsSignalled,
    /// Its checklist is Completed with another pair.
    OtherPair,
    /// Its checklist is Failed.
    Failed,
}

/// Whether an offer is needed once all checklists are Completed or Failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeededOffer {
    /// None.
    None,
    /// The next one that is made for another reason tells the selected pairs.
    WithNext,
    /// One now: it tells the selected pairs and removes what has failed.
    Now,
}

/// Whether an agent in this role has to make an offer, by the ends of all its sections (RFC 8839 §4.3.4).
pub fn needed_offer(
    role: Role,
    peer: &Parameters,
    sections: impl IntoIterator<Item = Conclusion>,
) -> NeededOffer {
    if role == Role::Controlled {
        return NeededOffer::None;
    }
    let of_section = |conclusion| match conclusion {
        Conclusion::AsSignalled => NeededOffer::None,
        // RFC 8839 §4.3.4: an RFC 5245 peer is told at once, one with `ice2` with the next offer.
        Conclusion::OtherPair if follows_rfc8445(peer) => NeededOffer::WithNext,
        // RFC 8839 §4.3.4: what has failed is removed, whatever the peer follows.
        Conclusion::OtherPair | Conclusion::Failed => NeededOffer::Now,
    };
    sections.into_iter().map(of_section).max().unwrap_or(NeededOffer::None)
}

/// A pair that is nominated, or valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// The local candidate of the pair; its component counts for both.
    pub local: CandidateLine,
    /// The address of the remote candidate.
    pub remote: TransportAddress,
}

/// How a section ended, by what both sides signalled and the pairs that were nominated, one for each component. No
/// pair: it has failed.
pub fn conclusion(ours: &Media, theirs: &Media, selected: &[Selected]) -> Conclusion {
    if selected.is_empty() {
        return Conclusion::Failed;
    }
    let matches = |pair: &Selected| {
        let component = pair.local.component();
        // RFC 8839 §4.2.1.2: above RTCP no line tells a default candidate, and there is nothing to compare with.
        if component > ComponentId::RTCP {
            return true;
        }
        ours.default_destination(component) == Some(Destination::from(&pair.local))
            && theirs.default_destination(component) == Some(Destination::from(pair.remote))
    };
    if selected.iter().all(matches) { Conclusion::AsSignalled } else { Conclusion::OtherPair }
}

impl Media {
    /// The section of an offer after the nomination: the local candidates of the nominated pairs as default
    /// destinations and as the only candidates, and for a controlling agent the remote ones in `remote-candidates`
    /// (RFC 8839 §4.4.1.2.2, §4.4.1.3). Without a pair the section stays as it is.
    #[must_use]
    pub fn concluded(self, role: Role, selected: &[Selected]) -> Self {
        let remote = selected.iter().map(|pair| (pair.local.component(), Destination::from(pair.remote)));
        // RFC 8839 §5.2: in no other case than this.
        let remote = if role == Role::Controlling { RemoteCandidates::new(remote) } else { None };
        let local = selected.iter().map(|pair| pair.local.clone()).collect();
        Self { remote_candidates: remote, ..self.narrowed(local) }
    }

    /// The section of an answer to an offer that has `remote-candidates`: the candidates of ours that are named there
    /// are the default destinations and the only ones (RFC 8839 §4.4.2). `valid` has the valid pairs of the section,
    /// with their local candidates as the peer sees them: one that no side has told before, as the peer finds it
    /// behind a NAT of ours, is told now. `None` while a pair of [`announced`] is not among them: see [`race`].
    #[must_use]
    pub fn answering(self, pairs: &[Announced], valid: &[Selected]) -> Option<Self> {
        let local = pairs.iter().map(|pair| Some(valid.iter().find(|one| pair.is(one))?.local.clone()));
        let local = local.collect::<Option<Vec<_>>>()?;
        // RFC 8839 §4.4.2: an answer has no remote candidates.
        Some(Self { remote_candidates: None, ..self.narrowed(local) })
    }

    /// The section with these candidates only, one a component, and their addresses as default destinations.
    fn narrowed(mut self, mut local: Vec<CandidateLine>) -> Self {
        local.sort_by_key(CandidateLine::component);
        local.dedup_by_key(|line| line.component());
        let of = |component| local.iter().find(|line| line.component() == component).map(Destination::from);
        if let Some(first) = of(ComponentId::RTP) {
            self.set_destinations(&first, of(ComponentId::RTCP).as_ref());
            self.candidates = local;
        }
        self
    }
}

/// A pair that the controlling agent has selected, as its offer tells it (RFC 8839 §4.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Announced {
    /// The component.
    pub component: ComponentId,
    /// A candidate of the answerer, from `remote-candidates`.
    pub local: TransportAddress,
    /// A candidate of the offerer, its default destination.
    pub remote: TransportAddress,
}

impl Announced {
    /// Whether it is this pair. Scopes mean nothing to the peer, which has told none.
    fn is(&self, pair: &Selected) -> bool {
        let local = pair.local.candidate().map(|candidate| candidate.address.with_scope(0));
        (pair.local.component(), local) == (self.component, Some(self.local.with_scope(0)))
            && pair.remote.with_scope(0) == self.remote.with_scope(0)
    }
}

/// The pairs that a section of an offer with `remote-candidates` tells, by component. `None` without the attribute,
/// or if it names a component that the offer has no address for.
pub fn announced(offer: &Media) -> Option<Vec<Announced>> {
    let of_component = |(component, local): (ComponentId, &Destination)| {
        let remote = told_destination(offer, component)?.transport_address()?;
        Some(Announced { component, local: local.transport_address()?, remote })
    };
    offer.remote_candidates.as_ref()?.iter().map(of_component).collect()
}

/// Where the offerer of `remote-candidates` has a component: at its default destination, and above RTCP, which no line
/// tells, at its only candidate, since an offer after nomination has no others (RFC 8839 §4.4.1.2.2).
fn told_destination(offer: &Media, component: ComponentId) -> Option<Destination> {
    if component <= ComponentId::RTCP {
        return offer.default_destination(component);
    }
    let mut own = offer.candidates.iter().filter(|line| line.component() == component);
    let only = own.next()?;
    own.next().is_none().then(|| Destination::from(only))
}

/// How far the answerer is with a pair of its checklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Frozen or Waiting.
    NotBegun,
    /// In-Progress.
    InProgress,
    /// Failed.
    Failed,
    /// In the valid list.
    Valid,
}

/// What the answerer does with an offer that has `remote-candidates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Race {
    /// All pairs are valid: answer.
    Won,
    /// Checks are on the way: look again when one has ended.
    Wait,
    /// Pairs have failed, or none can become valid any more: answer as if the offer had no `remote-candidates`, then
    /// restart.
    Lost,
}

/// Who won between the offer and the checks: [`Race::Won`] if all the pairs are valid, else by the checks of the pairs
/// with the same remote candidates (RFC 8839 §4.4.2). `checklist` has the pairs of the answerer's checklist.
///
/// The RFC does not say what follows where no check with that candidate is left, neither begun nor to come: the pair
/// cannot become valid, and waiting for it has no end. It counts as lost.
pub fn race(pairs: &[Announced], checklist: &[(Announced, Standing)]) -> Race {
    let of_pair = |pair: &Announced| {
        if checklist.iter().any(|(known, standing)| known == pair && *standing == Standing::Valid) {
            return Race::Won;
        }
        let same = |(known, _): &&(Announced, Standing)| {
            known.component == pair.component && known.remote == pair.remote
        };
        let any = |wanted| checklist.iter().filter(same).any(|(_, standing)| *standing == wanted);
        let to_come = any(Standing::NotBegun) && !any(Standing::Failed);
        if any(Standing::InProgress) || to_come { Race::Wait } else { Race::Lost }
    };
    pairs.iter().map(of_pair).max().unwrap_or(Race::Won)
}
