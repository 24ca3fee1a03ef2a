//! The addresses of this host over time: those candidates come from, those that are in use still, and those that are gone.

use alloc::vec::Vec;

use floe_pair::{BaseId, TransportAddress};
use floe_stun::Instant;

use crate::{
    gatherer::Gatherer,
    host::{Ask, Host},
    interface::{Interface, SkipReason, verdicts},
};

/// Names an address of this host for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalId(pub(crate) u32);

/// What an address of this host is for. The rules of RFC 8445 §5.1.1.1 are about what is gathered; only what is gone is freed
/// (§5.1.1.4), and RFC 4862 §5.5.4 has a deprecated address serve the communication that began with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Candidates are gathered from it.
    Gathered,
    /// The rules skip it now: what it has stays, and nothing new is begun.
    Skipped,
    /// A generation has begun since (RFC 8445 §9): what it has is for those before alone.
    Left,
}

/// An address of this host that candidates come from, or came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) id: LocalId,
    /// With port 0.
    pub(crate) address: TransportAddress,
    pub(crate) purpose: Use,
}

/// As the address of a candidate, with port 0.
pub(crate) fn address_of(interface: &Interface) -> TransportAddress {
    TransportAddress::new(interface.ip, 0).with_scope(interface.index)
}

/// Whether an address skipped for this reason is there and works: others are merely better. A tentative one is not
/// assigned to its interface (RFC 4862 §5.4).
const fn is_there(reason: SkipReason) -> bool {
    matches!(
        reason,
        SkipReason::Deprecated | SkipReason::SamePrefix | SkipReason::Traceable | SkipReason::LinkLocal
    )
}

impl Gatherer {
    /// Compares the addresses known with those there are now.
    pub(crate) fn update_locals(&mut self, interfaces: &[Interface]) {
        let verdicts = verdicts(interfaces, self.config.rules());
        let accepted =
            || verdicts.clone().filter(|(_, verdict)| verdict.is_none()).map(|(one, _)| address_of(one));
        let is_skipped = |local: &Local| {
            let of_it = verdicts.clone().filter(|(one, _)| address_of(one) == local.address);
            of_it.filter_map(|(_, verdict)| verdict).any(is_there)
        };
        for local in self.locals.clone() {
            if accepted().any(|address| address == local.address) {
                self.gather_from(local);
            } else if is_skipped(&local) && self.has_bases(local.id) {
                if local.purpose == Use::Gathered {
                    self.set_purpose(local.id, Use::Skipped);
                }
            } else {
                self.drop_local(local);
            }
        }
        let (known, count) = (self.locals.len(), accepted().count());
        self.locals.reserve(count.saturating_sub(known));
        for address in accepted() {
            let earlier = self.locals.get(..known).unwrap_or_default();
            if earlier.iter().all(|local| local.address != address) {
                let id = LocalId(self.number());
                self.locals.push(Local { id, address, purpose: Use::Gathered });
            }
        }
        let new = self.locals.get(known..).unwrap_or_default();
        self.table.rank(new.iter().map(|local| local.address));
    }

    /// Addresses that the rules skipped when this generation began are kept for those before: once no generation uses a
    /// base of one, it goes with all it has.
    pub fn release_left(&mut self, now: Instant, in_use: impl Fn(BaseId) -> bool) {
        self.advance(now);
        for local in self.left() {
            if !self.bases_of(local.id).into_iter().any(&in_use) {
                self.drop_local(local);
            }
        }
        self.settle();
    }

    /// RFC 8445 §9: what is gathered for a new generation is what the rules say now. Addresses they skip keep what earlier
    /// generations use; what they were still asked for is nobody's.
    pub(crate) fn leave_skipped(&mut self) {
        let left = |local: &&mut Local| local.purpose == Use::Skipped;
        self.locals.iter_mut().filter(left).for_each(|local| local.purpose = Use::Left);
        for local in self.left() {
            for base in self.bases_of(local.id) {
                self.table.withhold(base);
            }
            self.drop_asked(local.id);
        }
    }

    fn left(&self) -> Vec<Local> {
        self.locals.iter().filter(|local| local.purpose == Use::Left).copied().collect()
    }

    /// Ends what an address was asked for and has not given.
    fn drop_asked(&mut self, local: LocalId) {
        self.reflexive.retain(|key, _| key.local != local);
        self.transactions.retain(|_, key| key.local != local);
        let jobs = self.relay_jobs.iter();
        let asking: Vec<_> =
            jobs.filter(|(key, job)| key.local == local && !job.is_done()).map(|(key, _)| *key).collect();
        for key in asking {
            self.end_attempts(key, None);
            self.relay_jobs.remove(&key);
        }
        let hosts = self.asked.iter().filter_map(|(id, ask)| match ask {
            Ask::Host(key) if key.local == local => Some((*id, *key)),
            _ => None,
        });
        for (id, key) in hosts.collect::<Vec<_>>() {
            self.asked.remove(&id);
            self.out.withdraw(id);
            self.hosts.remove(&key);
        }
    }

    /// Whether candidates are gathered from an address.
    pub(crate) fn is_gathered(&self, id: LocalId) -> bool {
        self.locals.iter().any(|local| local.id == id && local.purpose == Use::Gathered)
    }

    /// The rules take the address. What a generation that has begun meanwhile was not told is told now.
    fn gather_from(&mut self, local: Local) {
        if local.purpose == Use::Left {
            for base in self.bases_of(local.id) {
                self.table.tell_again(base);
            }
        }
        self.set_purpose(local.id, Use::Gathered);
    }

    fn set_purpose(&mut self, id: LocalId, purpose: Use) {
        self.locals.iter_mut().filter(|local| local.id == id).for_each(|local| local.purpose = purpose);
    }

    fn drop_local(&mut self, gone: Local) {
        self.locals.retain(|known| known.id != gone.id);
        self.table.unrank(gone.address);
        self.drop_jobs(|key| key.local == gone.id);
    }

    fn has_bases(&self, local: LocalId) -> bool {
        !self.bases_of(local).is_empty()
    }

    /// The bases of candidates that stand on an address.
    fn bases_of(&self, local: LocalId) -> Vec<BaseId> {
        let hosts = self.hosts.iter().filter_map(|(key, host)| match host {
            Host::Bound { base, .. } if key.local == local => Some(*base),
            _ => None,
        });
        hosts.chain(self.open_relays_of(local)).collect()
    }
}
