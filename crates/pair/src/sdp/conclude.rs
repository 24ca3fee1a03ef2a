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

/// The nominated pair of one component.
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

    /// The section of an answer to an offer that has `remote-candidates`, once every pair of [`announced`] is valid:
    /// these candidates of ours are the default destinations and the only ones (RFC 8839 §4.4.2).
    #[must_use]
    pub fn answering(self, pairs: &[Announced]) -> Self {
        let named = |pair: &Announced| {
            let is_named = |line: &&CandidateLine| {
                let there =
                    line.candidate().is_some_and(|c| c.address.with_scope(0) == pair.local.with_scope(0));
                line.component() == pair.component && there
            };
            self.candidates.iter().find(is_named).cloned()
        };
        let local = pairs.iter().filter_map(named).collect();
        // RFC 8839 §4.4.2: an answer has no remote candidates.
        Self { remote_candidates: None, ..self.narrowed(local) }
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

/// The pairs that a section of an offer with `remote-candidates` tells, by component. `None` without the attribute,
/// or if it names a component that the offer has no address for.
pub fn announced(offer: &Media) -> Option<Vec<Announced>> {
    let of_component = |(component, local): (ComponentId, &Destination)| {
        let remote = offer.default_destination(component)?.transport_address()?;
        Some(Announced { component, local: local.transport_address()?, remote })
    };
    offer.remote_candidates.as_ref()?.iter().map(of_component).collect()
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
    /// Pairs have failed: answer as if the offer had no `remote-candidates`, then restart.
    Lost,
}

/// Who won between the offer and the checks: [`Race::Won`] if all the pairs are valid, else by the checks of the pairs
/// with the same remote candidates (RFC 8839 §4.4.2). `checklist` has the pairs of the answerer's checklist.
pub fn race(pairs: &[Announced], checklist: &[(Announced, Standing)]) -> Race {
    let of_pair = |pair: &Announced| {
        if checklist.iter().any(|(known, standing)| known == pair && *standing == Standing::Valid) {
            return Race::Won;
        }
        let same = |(known, _): &&(Announced, Standing)| {
            known.component == pair.component && known.remote == pair.remote
        };
        let any = |wanted| checklist.iter().filter(same).any(|(_, standing)| *standing == wanted);
        if !any(Standing::InProgress) && any(Standing::Failed) { Race::Lost } else { Race::Wait }
    };
    pairs.iter().map(of_pair).max().unwrap_or(Race::Won)
}
