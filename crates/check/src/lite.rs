//! Lite agents (RFC 8445 §2.5, §6.1.1, §6.2, §7.3.2, §8.2).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;

use floe_pair::{ComponentId, PairPriority, Role, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::event::Event;
use crate::pairs::{Pair, PairId, Valid};
use crate::state::{PairEvent, PairState};

impl ChecklistSet {
    /// No check begins here: we are lite, or the generation was replaced.
    pub(crate) fn is_passive(&self) -> bool {
        self.local.lite || self.retired
    }

    pub(crate) fn are_both_lite(&self) -> bool {
        self.local.lite && self.peer.as_ref().is_some_and(|peer| peer.parameters.lite)
    }

    /// Whether [`are_both_lite`](Self::are_both_lite) holds, or can turn out to.
    pub(crate) fn may_both_be_lite(&self) -> bool {
        self.local.lite && !self.retired && self.peer.as_ref().is_none_or(|peer| peer.parameters.lite)
    }

    /// RFC 8445 §6.1.1: of a full and a lite agent the full one controls, whoever began, and no conflict changes that.
    /// Between equals the roles stay as they were given.
    pub(crate) fn determine_role(&mut self) {
        let Some(peer) = &self.peer else { return };
        let role = match (self.local.lite, peer.parameters.lite) {
            (true, false) => Role::Controlled,
            (false, true) => Role::Controlling,
            (true, true) | (false, false) => return,
        };
        if self.standing.fix(role) {
            self.follow_role();
        }
    }

    /// RFC 8445 §7.3.2: a pair of a lite agent is valid because the peer has nominated it.
    #[inline(never)]
    pub(crate) fn make_valid_unchecked(&mut self, now: Instant, id: PairId) {
        let role = self.standing.role;
        let keepalive = Some(now.after(self.config.keepalive));
        let Some(pair) = self.pairs.get_mut(id).filter(|pair| pair.valid.is_none()) else { return };
        pair.step(PairEvent::Succeed);
        // RFC 7675 §5.1: consent is for full agents. §11 of RFC 8445: keepalives are for all.
        let upkeep = (None, keepalive);
        pair.valid =
            Some(Box::new(Valid::new(now, (pair.local, pair.local_priority), pair.priority, id, upkeep)));
        pair.set_role(role);
        let Pair { stream, component, .. } = *pair;
        self.events.push(Event::PairValid { stream, component, pair: id });
    }

    /// RFC 8445 §12.1.1: a lite agent sends data when the valid list has a pair for each component of the stream.
    /// What joins a stream that sends already does not stop it.
    pub(crate) fn is_sending_allowed(&self, stream: StreamId) -> bool {
        if !self.local.lite {
            return true;
        }
        let Some(checklist) = self.checklist(stream) else { return false };
        checklist
            .components
            .iter()
            .filter(|component| checklist.counts(component) && !component.later)
            .all(|component| self.pairs.valid(stream, component.id).next().is_some())
    }

    /// RFC 8445 §8.2, both agents lite: each component gets a pair without checks. Of several one is chosen, as long as
    /// the updated exchange has not decided.
    pub(crate) fn settle_lite(&mut self, now: Instant) {
        if !self.are_both_lite() || self.retired {
            return;
        }
        let open: Vec<_> = self
            .streams
            .iter()
            .flat_map(|list| list.components.iter().map(move |component| (list, component)))
            .filter(|(_, component)| !component.concluded)
            .map(|(list, component)| {
                (list.stream, component.id, !list.expects_candidates(now, self.patience_of(list)))
            })
            .collect();
        for (stream, component, complete) in open {
            // What has lost its base, or was denied, is none of them.
            let fit = |pair: &Pair| pair.listed && pair.state != PairState::Failed;
            let own = || self.pairs.iter().filter(|pair| pair.is_of(stream, component) && fit(pair));
            let local = |pair: &Pair| Some(self.candidates.local(pair.local)?.candidate.address.ip());
            let ranked = own().filter_map(|pair| Some((preference(local(pair)?, pair), pair.id)));
            let Some((_, best)) = ranked.max() else { continue };
            let count = own().count();
            self.use_unchecked(now, stream, component, best);
            if complete && count == 1 {
                self.set_nominated(best, true);
            }
        }
    }

    /// Makes this pair the only valid one of its component.
    fn use_unchecked(&mut self, now: Instant, stream: StreamId, component: ComponentId, id: PairId) {
        let others = |pair: &Pair| pair.valid.is_some() && pair.is_of(stream, component) && pair.id != id;
        for pair in self.pairs.change(others) {
            (pair.valid, pair.wish.kept) = (None, false);
        }
        self.make_valid_unchecked(now, id);
        if let Some(component) = self.component_mut(stream, component) {
            component.selected = Some(id);
        }
    }

    /// Whether the selected pair of a component still has to be agreed upon: both agents are lite and there are several
    /// pairs. The controlling agent then sends an updated list of candidates that leaves one (RFC 8445 §8.2), and both
    /// call [`reconcile`](Self::reconcile). Data may be sent meanwhile.
    pub fn is_provisional(&self, stream: StreamId, component: ComponentId) -> bool {
        let found = self.component(stream, component);
        self.are_both_lite() && found.is_some_and(|found| found.selected.is_some() && !found.concluded)
    }

    /// Both agents are lite, and the updated exchange has left this pair of addresses for the component (RFC 8445 §8.2).
    /// False if there is no such pair, or if nothing was to be agreed upon.
    pub fn reconcile(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        local: TransportAddress,
        remote: TransportAddress,
    ) -> bool {
        let now = self.advance(now);
        // What was signalled has no zone.
        let (local, remote) = (local.with_scope(0), remote.with_scope(0));
        if !self.is_provisional(stream, component) {
            return false;
        }
        let mut left = self.pairs.iter().filter(|pair| pair.state != PairState::Failed);
        let chosen = left.find(|pair| {
            let near = self.candidates.local(pair.local).map(|near| near.candidate.address.with_scope(0));
            pair.is_of(stream, component) && near == Some(local) && pair.to == remote
        });
        let Some(id) = chosen.map(|pair| pair.id) else { return false };
        self.use_unchecked(now, stream, component, id);
        self.set_nominated(id, true);
        self.settle(now);
        true
    }
}

/// How a pair of two lite agents compares, the greater preferred: the rules 2, 5, 6, 8 of RFC 6724 §6, as far as both
/// addresses tell, then the priority, which is the same number on both sides.
fn preference(local: IpAddr, pair: &Pair) -> (bool, bool, u8, Reverse<u8>, PairPriority) {
    let remote = pair.to.ip();
    let ((precedence, label), (_, own_label)) = (policy_of(remote), policy_of(local));
    (
        scope_of(local) == scope_of(remote),
        label == own_label,
        precedence,
        Reverse(scope_of(remote)),
        pair.priority,
    )
}

/// Precedence and label of the default table of RFC 6724 §2.1.
fn policy_of(ip: IpAddr) -> (u8, u8) {
    let IpAddr::V6(ip) = ip else { return (35, 4) };
    let [first, second, ..] = ip.segments();
    match (first, second) {
        _ if ip.is_loopback() => (50, 0),
        (0x2002, _) => (30, 2),
        (0x2001, 0) => (5, 5),
        (0x3FFE, _) => (1, 12),
        _ if first & 0xFE00 == 0xFC00 => (3, 13),
        _ if first & 0xFFC0 == 0xFEC0 => (1, 11),
        _ => (40, 1),
    }
}

/// RFC 6724 §3.1, §3.2: 2 for link-local and loopback, 5 for site-local, 14 for global.
fn scope_of(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() => 2,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unicast_link_local() => 2,
        IpAddr::V6(ip) if ip.segments().first().is_some_and(|first| first & 0xFFC0 == 0xFEC0) => 5,
        _ => 14,
    }
}
