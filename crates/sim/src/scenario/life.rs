//! A session that lasts: what is sent meanwhile, and whether it arrives.

use core::time::Duration;
use std::collections::BTreeMap;

use floe_stun::Instant;

use super::{
    Scenario,
    outcome::Part,
    run::{QUIET_MOVES, Run},
};
use crate::{
    invariants::{Breach, Invariant},
    net::Network,
};

/// How long it takes in a calm until consent that is asked for has been given, or has ended: the longest interval between
/// two requests (RFC 7675 §5.1), and a round trip.
const CONSENTED: Duration = Duration::from_secs(7);
/// How long data takes at most where nothing is lost: what came before its pair was valid has been held until then.
const ARRIVAL: Duration = Duration::from_secs(3);
/// How often a side that sleeps is woken: over more than the last interval before the end of consent.
const WAKES: usize = 3;
/// What comes before the number of a datagram: no protocol that anybody speaks.
const MARK: u8 = 0x81;

/// Application data of a session that lasts.
#[derive(Debug, Default)]
pub(super) struct Talk {
    last: u32,
    /// What may not be lost and has not arrived: who sent it, on which component, when.
    under_way: BTreeMap<u32, (usize, Part, Instant)>,
    /// Datagrams that an agent did not take.
    pub(super) refused: u32,
}

impl Scenario {
    /// How often, and until when, data is sent.
    pub(super) fn talks(&self) -> impl Iterator<Item = Instant> + use<> {
        let life = self.life.filter(|life| life.every > Duration::ZERO);
        life.into_iter().flat_map(|life| {
            let next = move |at: &Instant| Some(at.after(life.every));
            let end = Instant::ORIGIN.after(life.lasts);
            core::iter::successors(next(&Instant::ORIGIN), next).take_while(move |at| *at <= end)
        })
    }
}

impl Run<'_> {
    /// Both sides send a datagram on each component. Where nothing loses datagrams, each has to be taken and to arrive
    /// from the time on at which both sides had a pair for every component, whatever restarts and moves there are.
    pub(super) fn talk(&mut self) -> Option<()> {
        self.listen();
        let now = self.world.network.now();
        let begun = self.world.network.watch.as_ref()?.sides.iter().all(|side| side.selected_at.is_some());
        let sure = begun && self.scenario.is_lossless();
        for (side, id) in self.world.agents.into_iter().enumerate() {
            for part @ (stream, component) in self.parts() {
                self.talk.last = self.talk.last.wrapping_add(1);
                let [a, b, c, d] = self.talk.last.to_be_bytes();
                let sent = self.world.network.send(id, stream, component, &[MARK, a, b, c, d]).is_ok();
                self.talk.refused = self.talk.refused.saturating_add(u32::from(!sent));
                if sure && sent {
                    self.talk.under_way.insert(self.talk.last, (side, part, now));
                } else if sure && self.may_send(now, side, part) {
                    self.break_it(
                        Some(side),
                        Invariant::Agree,
                        Breach::DataLost { stream, component, sent: now, refused: true },
                    );
                }
            }
        }
        self.miss(now)
    }

    /// Whether data of a component has to be taken: consent lasts, and only where it may rest may it have ended.
    fn may_send(&self, now: Instant, side: usize, part: Part) -> bool {
        let watch = self.world.network.watch.as_ref();
        !self.scenario.suspends(side)
            || watch.and_then(|watch| watch.sides.get(side)).is_some_and(|side| side.has_consent(now, part))
    }

    /// The end of it: what is under way arrives, and from now on the network loses nothing, so that both come to rest.
    pub(super) fn end_talk(&mut self) -> Option<()> {
        let lasts = self.scenario.life.map(|life| Instant::ORIGIN.after(life.lasts)).unwrap_or_default();
        let until = self.world.network.now().max(lasts).after(ARRIVAL);
        self.run_to(until)?;
        self.listen();
        self.miss(until)?;
        self.world.network.set_calm(true);
        // A side that asks for nothing would not hear that the peer has left its pair.
        self.wake();
        Some(())
    }

    /// Until when both are given time to settle, in the calm after the end. What was left because losses made it silent
    /// has only now the answers it needs to be gone back to.
    pub(super) fn earliest_rest(&self) -> Instant {
        let settling = if self.scenario.renominates() { QUIET_MOVES } else { CONSENTED };
        let life = self.scenario.life.map(|life| life.lasts.saturating_add(ARRIVAL).saturating_add(settling));
        life.map_or(Instant::ORIGIN, |after| Instant::ORIGIN.after(after))
    }

    /// A side that has suspended consent regains it, so that it can be asked to send something.
    pub(super) fn wake(&mut self) {
        let sleepers = (0..2).filter(|side| self.scenario.suspends(*side));
        let sleepers: Vec<_> = sleepers.filter_map(|side| self.world.agents.get(side).copied()).collect();
        // Consent may rest and last for some seconds more: what is sent then need not bring it back.
        for _ in 0..if sleepers.is_empty() { 0 } else { WAKES } {
            for id in &sleepers {
                for (stream, component) in self.parts() {
                    // Refused where consent has rested for long: that the agent knows this is what counts.
                    let _ = self.world.network.send(*id, stream, component, b"\x81");
                }
            }
            self.world.network.run_for(ARRIVAL);
        }
    }

    /// Takes what has arrived.
    fn listen(&mut self) {
        for id in self.world.agents {
            for number in heard(&mut self.world.network, id) {
                self.talk.under_way.remove(&number);
            }
        }
    }

    /// What should have arrived long ago is lost.
    fn miss(&mut self, now: Instant) -> Option<()> {
        let late = self.talk.under_way.values().find(|(.., at)| now.since(*at) >= ARRIVAL).copied();
        if let Some((side, (stream, component), sent)) = late {
            let breach = Breach::DataLost { stream, component, sent, refused: false };
            self.break_it(Some(side), Invariant::Agree, breach);
        }
        if self.violation().is_some() { None } else { Some(()) }
    }
}

/// The numbers of the datagrams that have reached an agent.
fn heard(network: &mut Network, id: crate::net::AgentId) -> Vec<u32> {
    let numbers = network.take_data(id).into_iter().filter_map(|arrived| match *arrived.payload {
        [MARK, a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    });
    numbers.collect()
}
