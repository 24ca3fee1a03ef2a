//! The addresses of this host over time: those candidates come from, those that are in use still, and those that are gone.

use alloc::vec::Vec;

use floe_pair::{BaseId, TransportAddress};
use floe_stun::Instant;

use crate::{
    gatherer::Gatherer,
    host::{Ask, Host},
    interface::{Interface, SkipReason, Verdicts},
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
    /// The next list says what it is for; until then what it has is for the generations before.
    Unlisted,
    /// The rules skip it now: what it has stays, and nothing new is begun.
    Skipped,
    /// A generation has begun since (RFC 8445 §9): what it has is for those before alone, kept alive as before.
    Left,
}

/// An address of this host that candidates come from, or came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub(crate) id: LocalId,
    /// With port 0.
    pub(crate) address: TransportAddress,
    pub(crate) purpose: Use,
    /// What it was for before the last generation began, which may be taken back.
    before: Use,
    /// The offer that this agent was forked for names it, and nothing has been listed since that has another use for it:
    /// gathered from as long as it is there, whatever the rules say, until another generation begins.
    offered: bool,
}

impl Local {
    /// Whether what it has is withheld from the generation in force.
    pub(crate) const fn is_withheld(&self) -> bool {
        matches!(self.purpose, Use::Unlisted | Use::Left)
    }

    /// A generation begins. The rules are asked anew where the addresses are to be listed for it.
    fn renew(&mut self, relisted: bool) {
        self.before = if self.offered && self.purpose == Use::Gathered { Use::Skipped } else { self.purpose };
        self.purpose = match self.purpose {
            Use::Unlisted => Use::Unlisted,
            Use::Gathered | Use::Skipped if relisted => Use::Unlisted,
            Use::Gathered if !self.offered => Use::Gathered,
            Use::Gathered | Use::Skipped | Use::Left => Use::Left,
        };
        self.offered = false;
    }

    /// The generation that began last is taken back; says whether what it has is for the one before again.
    const fn roll_back(&mut self) -> bool {
        self.purpose = match (self.before, self.purpose) {
            // That one was told nothing of it either.
            (Use::Left | Use::Unlisted, _) | (_, Use::Gathered | Use::Skipped) => return false,
            (before, Use::Unlisted) => before,
            (_, Use::Left) => Use::Skipped,
        };
        true
    }
}

/// As the address of a candidate, with port 0.
pub(crate) fn address_of(interface: &Interface) -> TransportAddress {
    TransportAddress::new(interface.ip, 0).with_scope(interface.index)
}

/// Whether an address in use that is skipped for this reason is there: others are merely better, or it is checked once more
/// whether it is unique on its link (RFC 4862 §5.4), as when the link was down for a moment.
const fn is_there(reason: SkipReason) -> bool {
    matches!(
        reason,
        SkipReason::Deprecated
            | SkipReason::Tentative
            | SkipReason::SamePrefix
            | SkipReason::Traceable
            | SkipReason::LinkLocal
            | SkipReason::Limit
    )
}

impl Gatherer {
    /// Compares the addresses known with those there are now.
    pub(crate) fn update_locals(&mut self, verdicts: &Verdicts<'_>) {
        let accepted = || verdicts.accepted().map(address_of);
        let is_skipped = |local: &Local| {
            let of_it = verdicts.iter().filter(|(one, _)| address_of(one) == local.address);
            of_it.filter_map(|(_, verdict)| verdict).any(is_there)
        };
        let mut again = Vec::new();
        for local in self.locals.clone() {
            let is_accepted = accepted().any(|address| address == local.address);
            let is_skipped = !is_accepted && is_skipped(&local);
            if is_accepted || (is_skipped && local.offered) {
                if local.is_withheld() {
                    again.extend(self.bases_of(local.id));
                }
                self.change(local.id, |local| {
                    (local.purpose, local.offered) = (Use::Gathered, !is_accepted);
                });
            } else if is_skipped && self.has_bases(local.id) {
                self.skip(local);
            } else {
                self.drop_local(local);
            }
        }
        // What a generation that has begun meanwhile was not told is told now.
        self.tell_again(&again);
        let (known, count) = (self.locals.len(), verdicts.accepted().count());
        self.locals.reserve(count.saturating_sub(known));
        for address in accepted() {
            let earlier = self.locals.get(..known).unwrap_or_default();
            if earlier.iter().all(|local| local.address != address) {
                self.add_local(address, Use::Gathered, false);
            }
        }
        let new = self.locals.get(known..).unwrap_or_default();
        self.table.rank(new.iter().map(|local| local.address));
        self.ask_succeeding();
    }

    /// Addresses that the rules skipped when this generation began are kept for those before: once no generation uses a
    /// base of one, it goes with all it has. So do allocations of users that have no credentials any more.
    pub fn release_left(&mut self, now: Instant, in_use: impl Fn(BaseId) -> bool) {
        self.release_locals(now, Use::Left, &in_use);
        self.release_replaced(in_use);
    }

    /// An address that the rules skip by now goes with all it has where no base of it is in use: whoever gathers for long
    /// sees a new temporary address each day (RFC 8981), and what the older ones have costs sockets, requests and allocations.
    pub fn release_skipped(&mut self, now: Instant, in_use: impl Fn(BaseId) -> bool) {
        self.release_locals(now, Use::Skipped, in_use);
    }

    fn release_locals(&mut self, now: Instant, purpose: Use, in_use: impl Fn(BaseId) -> bool) {
        self.advance(now);
        let of_it: Vec<_> = self.locals.iter().filter(|local| local.purpose == purpose).copied().collect();
        for local in of_it {
            if !self.bases_of(local.id).into_iter().any(&in_use) {
                self.drop_local(local);
            }
        }
        self.settle();
    }

    /// RFC 8445 §9: what is gathered for a new generation is what the rules say now, of the addresses there are now. Those
    /// they skip keep what earlier generations use; which others there are the next list says, where one comes.
    pub(crate) fn renew_locals(&mut self) {
        let relisted = self.config.relisted;
        self.locals.iter_mut().for_each(|local| local.renew(relisted));
        for local in self.locals.clone().into_iter().filter(Local::is_withheld) {
            self.withhold(local.id);
        }
    }

    /// The generation that began last is taken back: what it withheld is for the one before, which knows it.
    pub(crate) fn bring_locals_back(&mut self) {
        let mut back = Vec::new();
        for local in self.locals.iter_mut() {
            if local.roll_back() {
                back.push(local.id);
            }
        }
        for id in back {
            for base in self.bases_of(id) {
                self.table.bring_back(base);
            }
        }
    }

    /// What the generation in force was not told of these bases is told now, but for allocations that will end.
    fn tell_again(&mut self, bases: &[BaseId]) {
        let replaced: Vec<_> = self.replaced().collect();
        self.table.tell_again(|base| bases.contains(&base) && !replaced.contains(&base));
    }

    /// Nobody has listed the addresses: what was known of them counts.
    pub(crate) fn gather_unlisted(&mut self) {
        let unlisted = |local: &&Local| local.purpose == Use::Unlisted;
        let unlisted: Vec<_> = self.locals.iter().filter(unlisted).copied().collect();
        if unlisted.is_empty() {
            return;
        }
        let mut again = Vec::new();
        for local in unlisted {
            if local.before == Use::Skipped {
                self.skip(local);
            } else {
                self.change(local.id, |local| local.purpose = Use::Gathered);
                again.extend(self.bases_of(local.id));
            }
        }
        self.tell_again(&again);
        self.fill();
    }

    /// Addresses that the offer of another agent names, whose sockets this one takes over: it gathers from those that are
    /// there, also where the rules of RFC 8445 §5.1.1.1 skip one by now, once the interfaces are told.
    pub fn take_over(&mut self, addresses: impl Iterator<Item = TransportAddress>) {
        for address in addresses.map(|address| address.with_port(0)) {
            if !self.is_local(address) {
                self.add_local(address, Use::Unlisted, true);
            }
        }
        self.table.rank(self.locals.iter().map(|local| local.address));
    }

    /// What an address that the rules skip has is for the generations that know it.
    fn skip(&mut self, local: Local) {
        match local.purpose {
            Use::Gathered => self.change(local.id, |local| local.purpose = Use::Skipped),
            Use::Unlisted => {
                self.change(local.id, |local| local.purpose = Use::Left);
                self.leave(local.id);
            }
            Use::Skipped | Use::Left => {}
        }
    }

    /// What an address has is for earlier generations alone. What it was still asked for is nobody's, and nothing is waited
    /// for.
    pub(crate) fn leave_all(&mut self) {
        for local in self.left() {
            self.leave(local.id);
        }
    }

    fn leave(&mut self, id: LocalId) {
        self.withhold(id);
        self.drop_asked(id);
        for (_, job) in self.reflexive.iter_mut().filter(|(key, _)| key.local == id) {
            job.trust();
        }
        for entry in self.relays.values_mut().filter(|entry| entry.key.local == id) {
            entry.doubtful = false;
        }
    }

    fn withhold(&mut self, id: LocalId) {
        for base in self.bases_of(id) {
            self.table.withhold(base);
        }
    }

    fn left(&self) -> Vec<Local> {
        self.locals.iter().filter(|local| local.purpose == Use::Left).copied().collect()
    }

    /// Ends what an address was asked for and has not given. RFC 8445 §5.1.1.4: what it has given is kept alive, as those
    /// generations may not have concluded.
    fn drop_asked(&mut self, local: LocalId) {
        self.reflexive.retain(|key, job| key.local != local || job.is_done());
        let jobs = &self.reflexive;
        self.transactions.retain(|_, key| jobs.contains_key(key));
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

    /// Whether candidates are gathered from this address.
    pub(crate) fn gathers_from(&self, interface: &Interface) -> bool {
        let is_it = |local: &&Local| local.address == address_of(interface);
        let local = self.locals.iter().find(is_it);
        local.is_some_and(|local| !matches!(local.purpose, Use::Skipped | Use::Left))
    }

    /// Whether candidates are gathered from an address, or may be once the interfaces are listed.
    pub(crate) fn may_be_gathered(&self, id: LocalId) -> bool {
        let may = |local: &Local| matches!(local.purpose, Use::Gathered | Use::Unlisted);
        self.locals.iter().any(|local| local.id == id && may(local))
    }

    /// Whether what is found on an address is not for the generation in force.
    pub(crate) fn is_withheld(&self, address: TransportAddress) -> bool {
        self.locals.iter().any(|local| local.is_withheld() && local.address == address.with_port(0))
    }

    fn add_local(&mut self, address: TransportAddress, purpose: Use, offered: bool) {
        let id = LocalId(self.number());
        self.locals.push(Local { id, address, purpose, before: purpose, offered });
    }

    fn change(&mut self, id: LocalId, change: impl Fn(&mut Local)) {
        self.locals.iter_mut().filter(|local| local.id == id).for_each(change);
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
