//! The candidates found so far.

use alloc::vec::Vec;
use core::{cmp::Reverse, net::IpAddr};

use floe_pair::{
    BaseId, Candidate, CandidateType, ComponentId, Few, Foundations, LocalAddress, LocalPreferences,
    Priority, StreamId, Transport, TransportAddress,
};

/// What was found and where: all that a candidate is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) stream: StreamId,
    pub(crate) component: ComponentId,
    pub(crate) kind: CandidateType,
    pub(crate) address: TransportAddress,
    pub(crate) base: BaseId,
    /// IP address of the base: of a relayed candidate its own (RFC 8445 §5.1.1.2).
    pub(crate) base_ip: IpAddr,
    /// The address of this host that stands behind it.
    pub(crate) local: TransportAddress,
    /// The address by which the server was reached.
    pub(crate) server: Option<TransportAddress>,
    /// Tells candidates of one type and local address apart.
    pub(crate) source: u8,
    pub(crate) related: Option<TransportAddress>,
}

/// What became of something found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is a candidate.
    New,
    /// The same address and base are one already.
    Redundant,
    /// The table, or the range of preferences, is full.
    Full,
}

#[derive(Debug)]
struct Entry {
    stream: StreamId,
    candidate: Candidate,
    base: BaseId,
    reported: bool,
    /// Some generation knows it.
    known: bool,
    /// It is left to the generations that know it.
    withheld: bool,
}

/// The candidates found so far. Which of them were reported is kept here, so that no report is ever lost.
#[derive(Debug)]
pub(crate) struct CandidateTable {
    entries: Few<Entry>,
    unreported: usize,
    limit: usize,
    foundations: Foundations,
    preferences: Option<LocalPreferences>,
}

impl CandidateTable {
    pub(crate) fn new(limit: usize) -> Self {
        let foundations = Foundations::new();
        Self { entries: Few::new(), unreported: 0, limit, foundations, preferences: None }
    }

    /// From now on there may be so many.
    pub(crate) fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Makes room for that many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
        self.foundations.reserve(more);
    }

    /// Ranks further addresses of this host; those known when gathering begins are ranked together.
    pub(crate) fn rank(&mut self, addresses: impl ExactSizeIterator<Item = TransportAddress>) {
        if let Some(preferences) = &mut self.preferences {
            for address in addresses {
                // Without a rank its candidates are counted as beyond the limit.
                preferences.insert(address);
            }
        } else if addresses.len() > 0 {
            let locals = addresses.map(|address| LocalAddress { address, reliable: true });
            self.preferences = Some(LocalPreferences::new(locals));
        }
    }

    /// An address of this host is gone.
    pub(crate) fn unrank(&mut self, address: TransportAddress) {
        if let Some(preferences) = &mut self.preferences {
            preferences.remove(address);
        }
    }

    pub(crate) fn add(&mut self, found: &Found) -> Added {
        // RFC 8445 §5.1.3: redundant is what has the address and the base of another. RFC 8838 §9: once
        // candidates are sent one by one, the later one goes whatever its priority.
        if self
            .entries
            .iter()
            .any(|entry| entry.base == found.base && entry.candidate.address == found.address)
        {
            return Added::Redundant;
        }
        let Some(priority) = self.priority_of(found).filter(|_| !self.is_full()) else {
            return Added::Full;
        };
        let candidate = Candidate {
            component: found.component,
            kind: found.kind,
            transport: Transport::Udp,
            address: found.address,
            priority,
            foundation: self.foundations.foundation_of(
                found.kind,
                found.base_ip,
                found.server.map(TransportAddress::ip),
                Transport::Udp,
            ),
            related: found.related,
        };
        self.entries.push(Entry {
            stream: found.stream,
            candidate,
            base: found.base,
            reported: false,
            known: false,
            withheld: false,
        });
        self.unreported = self.unreported.saturating_add(1);
        Added::New
    }

    /// Whether another candidate of its component, for the generation in force, has the priority that this one would have.
    pub(crate) fn is_numbered(&self, found: &Found) -> bool {
        let priority = self.priority_of(found);
        self.entries.iter().filter(|entry| !entry.withheld).any(|entry| {
            (entry.stream, entry.candidate.component) == (found.stream, found.component)
                && Some(entry.candidate.priority) == priority
        })
    }

    /// `None` where the range of preferences is full.
    fn priority_of(&self, found: &Found) -> Option<Priority> {
        let preferences = self.preferences.as_ref()?;
        let preference = preferences.get(found.local, found.kind, Transport::Udp, found.source)?;
        let of_type = found.kind.type_preference(Transport::Udp);
        Some(Priority::compute(of_type, preference, found.component))
    }

    /// Whether no other one is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.limit && self.iter(false).count() >= self.limit
    }

    /// How many of them the owner does not know.
    #[inline]
    pub(crate) fn unreported(&self) -> usize {
        self.unreported
    }

    /// Whether the owner knows all of them.
    #[inline]
    pub(crate) fn is_reported(&self) -> bool {
        self.unreported == 0
    }

    /// Whether a host candidate has this address.
    pub(crate) fn is_host(&self, address: TransportAddress) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.candidate.kind == CandidateType::Host && entry.candidate.address == address)
    }

    /// Takes the candidates of a base away; says whether one of them had been reported.
    pub(crate) fn remove_base(&mut self, base: BaseId) -> bool {
        let known = self.entries.iter().any(|entry| entry.base == base && entry.known);
        self.entries.retain(|entry| entry.base != base);
        self.count_unreported();
        known
    }

    /// The candidates of a base are left to the generations that know them.
    pub(crate) fn withhold(&mut self, base: BaseId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.base == base) {
            (entry.withheld, entry.reported) = (true, true);
        }
        self.count_unreported();
    }

    /// The candidates of some bases are for all generations again, the best to be told first.
    pub(crate) fn tell_again(&mut self, of: impl Fn(BaseId) -> bool) {
        let told = |entry: &Entry| entry.withheld && of(entry.base);
        if !self.entries.iter().any(told) {
            return;
        }
        let entries = core::mem::take(&mut self.entries);
        let (mut again, mut others): (Vec<_>, Vec<_>) = entries.into_iter().partition(told);
        again.sort_by_key(|entry| Reverse(entry.candidate.priority));
        others.extend(again.into_iter().map(|entry| Entry { withheld: false, reported: false, ..entry }));
        self.entries = Few::Many(others);
        self.count_unreported();
    }

    /// The candidates of a base are for all generations again, and the one in force knows those that some generation knows.
    pub(crate) fn bring_back(&mut self, base: BaseId) {
        for entry in self.entries.iter_mut().filter(|entry| entry.base == base && entry.withheld) {
            (entry.withheld, entry.reported) = (false, entry.known);
        }
        self.count_unreported();
    }

    fn count_unreported(&mut self) {
        self.unreported = self.entries.iter().filter(|entry| !entry.reported).count();
    }

    /// Takes the server-reflexive candidates of a base away whose addresses are gone.
    pub(crate) fn remove_mappings(&mut self, base: BaseId, gone: impl Fn(TransportAddress) -> bool) {
        self.entries.retain(|entry| {
            entry.base != base
                || entry.candidate.kind != CandidateType::ServerReflexive
                || !gone(entry.candidate.address)
        });
        self.count_unreported();
    }

    /// The next candidate that was not reported.
    pub(crate) fn report(&mut self) -> Option<(StreamId, Candidate, BaseId)> {
        if self.unreported == 0 {
            return None;
        }
        let entry = self.entries.iter_mut().find(|entry| !entry.reported)?;
        (entry.reported, entry.known) = (true, true);
        self.unreported = self.unreported.saturating_sub(1);
        Some((entry.stream, entry.candidate.clone(), entry.base))
    }

    /// Those for the generation in force, or those that are withheld from it.
    pub(crate) fn iter(&self, withheld: bool) -> impl Iterator<Item = (StreamId, &Candidate, BaseId)> {
        let of_them = self.entries.iter().filter(move |entry| entry.withheld == withheld);
        of_them.map(|entry| (entry.stream, &entry.candidate, entry.base))
    }
}
