//! What happened: datagrams, answers of the driver, time.

use core::time::Duration;

use floe_check::{ChecklistSet, Outcome, Urgency};
use floe_gather::{Answer, RequestId};
use floe_pair::{BaseId, Place, TransportAddress};
use floe_stun::{
    Class, Instant, Message,
    classify::{DatagramClass, Source, classify},
};
use floe_turn::Incoming;

use crate::{
    agent::{Agent, Life},
    config::Demultiplexing,
    early::Held,
    io::{DropReason, Handled, Received},
    pacer::Pacer,
};

impl Agent {
    /// A datagram arrived. The wire is never an error: it is taken, handed back or dropped with a reason.
    #[inline]
    pub fn handle_datagram<'a>(&mut self, now: Instant, received: Received<'a>) -> Handled<'a> {
        let now = self.advance(now);
        let base = match self.gatherer.only_base() {
            // Most agents have one socket, and nearly all that arrives there is data.
            Some((place, base)) if received.is_at(place) => base,
            _ => {
                let place = received.place();
                if let Some(relay) = self.gatherer.relay_at(place, received.source) {
                    return self.handle_from_relay(now, relay, received.payload);
                }
                let Some(base) = self.gatherer.base_at(place) else {
                    return Handled::NotOurs(received.payload);
                };
                base
            }
        };
        let Received { source, payload, .. } = received;
        if self.life != Life::Open {
            return Handled::Dropped(DropReason::Closed);
        }
        self.handle_on_base(now, base, source, payload)
    }

    /// The driver's answer to a request; at most one counts.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        let now = self.advance(now);
        self.gatherer.handle_answer(now, id, answer);
        self.stale = true;
    }

    /// Does what is due at `now`, and starts at most one transaction, in a slot of `pacer`.
    pub fn handle_timeout(&mut self, now: Instant, pacer: &mut Pacer) {
        let now = self.advance(now);
        self.catch_up();
        if self.life == Life::Open {
            // Before the checks, which may free what nothing else stands on at the same instant.
            self.drop_earlier(now);
            self.note_sent(now);
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let Self { checks, generations, random, .. } = self;
            if is_due(checks.poll_timeout()) || is_due(generations.poll_timeout()) {
                checks.handle_timeout(now, random);
                for earlier in &mut generations.earlier {
                    earlier.checks.handle_timeout(now, random);
                }
                // What follows from it for the allocations is due now as well.
                self.pump(now);
            }
        }
        self.gatherer.handle_timeout(now, &mut self.random);
        self.run_slot(now, pacer);
        self.pump(now);
    }

    /// A datagram from a TURN server on its allocation's own socket.
    fn handle_from_relay<'a>(&mut self, now: Instant, relay: BaseId, datagram: &'a mut [u8]) -> Handled<'a> {
        let Some(client) = self.gatherer.relay_mut(relay).map(|relay| &mut relay.client) else {
            return Handled::NotOurs(datagram);
        };
        match client.handle_datagram(now, datagram, &mut self.random) {
            Incoming::Taken => {
                self.pump(now);
                Handled::Taken
            }
            Incoming::Dropped(_) => Handled::Dropped(DropReason::Relay),
            Incoming::Data { peer, payload } => {
                if self.life != Life::Open {
                    return Handled::Dropped(DropReason::Closed);
                }
                // RFC 8445 §7.3.1.2: on a relayed candidate the source is the peer, not the server.
                let source = TransportAddress::from(peer);
                match datagram.get_mut(payload) {
                    Some(payload) => self.handle_on_base(now, relay, source, payload),
                    None => Handled::Dropped(DropReason::Malformed),
                }
            }
        }
    }

    #[inline]
    fn handle_on_base<'a>(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        match classify(payload, Source::Other) {
            DatagramClass::Stun => self.handle_message(now, base, source, payload),
            DatagramClass::Unknown if self.demultiplexing == Demultiplexing::Rfc7983 => {
                Handled::Dropped(DropReason::UnknownClass)
            }
            // Bytes 64 to 79 are channel data only from a TURN server (RFC 9443 §3): here they are QUIC.
            _ => self.handle_data(base, source, payload),
        }
    }

    /// Apart from what data takes, which comes a thousand times as often.
    #[inline(never)]
    fn handle_message<'a>(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        let outcome = Message::parse(payload).map(|message| self.handle_stun(now, base, source, &message));
        match outcome {
            Ok(Outcome::Taken) => Handled::Taken,
            Ok(Outcome::NotOurs) => Handled::NotOurs(payload),
            Ok(Outcome::Dropped(reason)) => Handled::Dropped(dropped(reason)),
            Err(_) if self.demultiplexing == Demultiplexing::AnyData => {
                self.handle_data(base, source, payload)
            }
            Err(_) => Handled::Dropped(DropReason::Malformed),
        }
    }

    fn handle_stun(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> Outcome {
        let mut outcome = self.check(now, base, source, message);
        self.ledger.on_received(message, outcome);
        if outcome == Outcome::NotOurs {
            let place = self.gatherer.place_of(base);
            if !place.is_some_and(|place| self.gatherer.handle_message(now, place, source, message)) {
                return outcome;
            }
            outcome = Outcome::Taken;
        }
        self.pump(now);
        outcome
    }

    /// A message of connectivity checks, for the generation it belongs to.
    fn check(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> Outcome {
        let Self { checks, generations, random, .. } = self;
        match message.class() {
            Class::Request => {
                let named = generations.named(checks, message);
                named.handle_request(now, base, source, message)
            }
            Class::Indication => checks.handle_indication(now, base, message),
            Class::Success | Class::Error => {
                let outcome = checks.handle_response(now, base, source, message, random);
                // Most agents never restart.
                if outcome != Outcome::NotOurs || generations.earlier.is_empty() {
                    return outcome;
                }
                self.check_earlier(now, base, source, message)
            }
        }
    }

    /// An answer that is none to the generation in force.
    #[inline(never)]
    fn check_earlier(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> Outcome {
        let Self { generations, random, .. } = self;
        let mut outcome = Outcome::NotOurs;
        for earlier in generations.earlier.iter_mut().rev() {
            if outcome != Outcome::NotOurs {
                break;
            }
            outcome = earlier.checks.handle_response(now, base, source, message, random);
        }
        outcome
    }

    #[inline]
    fn handle_data<'a>(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        if let Some((stream, component)) = self.valid(base, source) {
            return Handled::Data { stream, component, payload };
        }
        self.hold_data(base, source, payload)
    }

    /// Data before its pair is valid.
    #[cold]
    fn hold_data<'a>(
        &mut self,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        // Who has shown the password may send before our own check is answered; nobody else may (T37). Between two lite
        // agents there is no check, and it is the candidate that is waited for.
        let Some((stream, component)) = self.may_become_valid(base, source) else {
            return Handled::Dropped(DropReason::NoValidPair);
        };
        let part = self.component_mut(stream, component);
        match part.map(|part| part.early.hold(base, source, payload)) {
            Some(Held::Kept) => Handled::Taken,
            Some(Held::TooLong) | None => Handled::Dropped(DropReason::NoValidPair),
        }
    }

    /// Whether data from `source` at this place belongs to a valid pair of this agent.
    pub(crate) fn accepts_data(&self, place: Place, source: TransportAddress) -> bool {
        self.gatherer.base_at(place).is_some_and(|base| self.valid(base, source).is_some())
    }

    /// Whether data from `source` at this place would be held until its pair is valid.
    pub(crate) fn holds_data(&self, place: Place, source: TransportAddress) -> bool {
        self.gatherer.base_at(place).is_some_and(|base| self.may_become_valid(base, source).is_some())
    }

    /// Starts one transaction if one is wanted, Ta has passed and the process has a free slot.
    fn run_slot(&mut self, now: Instant, pacer: &mut Pacer) {
        if self.slot_deadline().is_none_or(|wanted| now < wanted) {
            return;
        }
        let slot = self.slots.reserved.unwrap_or_else(|| pacer.reserve(now));
        self.slots.reserved = pacer.start(now, slot).err();
        if self.slots.reserved.is_some() {
            return;
        }
        if !self.take_slot(now) {
            // The first of the ordinary checks may have found that all of them need permissions: those come first.
            self.pump(now);
            self.take_slot(now);
        }
        // Also where nothing could start after all: the next call must not find the same.
        self.slots.last = Some(now);
    }

    /// When the next transaction may start, if one is wanted.
    #[inline]
    pub(crate) fn slot_deadline(&self) -> Option<Instant> {
        if !self.wants_slot() {
            return None;
        }
        // RFC 8445 §14.2: one new transaction each Ta; if nothing was sent in the last Ta the next goes at once.
        let own = self.slots.last.map_or(Instant::ORIGIN, |last| last.after(self.ta_in_force()));
        Some(self.slots.reserved.unwrap_or(own).max(own))
    }

    #[inline]
    pub(crate) fn wants_slot(&self) -> bool {
        self.urgency().is_some() || self.gatherer.wants_slot()
    }

    /// Ta in force (RFC 8445 §14.2): that of the generation that makes checks.
    fn ta_in_force(&self) -> Duration {
        let own = self.checks.ta_in_force();
        self.generations.standing().map_or(own, |earlier| own.max(earlier.checks.ta_in_force()))
    }

    #[inline]
    fn urgency(&self) -> Option<Urgency> {
        if self.life != Life::Open {
            return None;
        }
        let standing = || self.generations.standing()?.checks.wants_slot();
        self.checks.wants_slot().or_else(standing)
    }

    /// A nomination goes first, then the triggered-check queues, then gathering and ordinary checks by turns. A nomination
    /// that is made again stands there only in each second slot, else among the ordinary checks.
    fn take_slot(&mut self, now: Instant) -> bool {
        let (checks, gathering) = (self.urgency(), self.gatherer.wants_slot());
        let to_gathering = match checks {
            None => true,
            Some(Urgency::Ordinary) => gathering && !self.slots.gathering_had_the_last,
            Some(_) => false,
        };
        if matches!(checks, None | Some(Urgency::Ordinary)) {
            self.slots.gathering_had_the_last = to_gathering;
        }
        if to_gathering {
            self.gatherer.take_slot(now, &mut self.random)
        } else {
            let Self { checks, generations, random, .. } = self;
            let standing = generations.standing_mut().map(|earlier| &mut earlier.checks);
            let wants = |checks: &&mut ChecklistSet| checks.wants_slot().is_some();
            let first = core::iter::once(checks).chain(standing).find(wants);
            first.is_some_and(|checks| checks.take_slot(now, random))
        }
    }
}

fn dropped(reason: floe_check::DropReason) -> DropReason {
    match reason {
        floe_check::DropReason::Fingerprint | floe_check::DropReason::Integrity => {
            DropReason::Unauthenticated
        }
        _ => DropReason::Unexpected,
    }
}
