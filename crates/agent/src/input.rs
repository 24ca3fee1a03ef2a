//! What happened: datagrams, answers of the driver, time.

use floe_check::Urgency;
use floe_gather::{Answer, RequestId};
use floe_pair::{BaseId, TransportAddress};
use floe_stun::{
    Class, Instant, Message,
    classify::{DatagramClass, Source, classify},
};
use floe_turn::Incoming;

use crate::{
    agent::{Agent, Life},
    config::Demultiplexing,
    io::{DropReason, Handled, Received},
    pacer::Pacer,
};

impl Agent {
    /// A datagram arrived. The wire is never an error: it is taken, handed back or dropped with a reason.
    pub fn handle_datagram<'a>(&mut self, now: Instant, received: Received<'a>) -> Handled<'a> {
        let now = self.advance(now);
        let place = received.place();
        if let Some(relay) = self.gatherer.relay_at(place, received.source) {
            return self.handle_from_relay(now, relay, received.payload);
        }
        let Some(base) = self.gatherer.base_at(place) else { return Handled::NotOurs(received.payload) };
        if self.life != Life::Open {
            return Handled::Dropped(DropReason::Closed);
        }
        self.handle_on_base(now, base, received.source, received.payload)
    }

    /// The driver's answer to a request; at most one counts.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        let now = self.advance(now);
        self.gatherer.handle_answer(now, id, answer);
        self.pump(now);
    }

    /// Does what is due at `now`, and starts at most one transaction, in a slot of `pacer`.
    pub fn handle_timeout(&mut self, now: Instant, pacer: &mut Pacer) {
        let now = self.advance(now);
        if self.life == Life::Open {
            self.checks.handle_timeout(now, &mut self.random);
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

    fn handle_on_base<'a>(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        match classify(payload, Source::Other) {
            DatagramClass::Stun => match Message::parse(payload) {
                Ok(_) => self.handle_stun(now, base, source, payload),
                Err(_) if self.demultiplexing == Demultiplexing::AnyData => {
                    self.handle_data(base, source, payload)
                }
                Err(_) => Handled::Dropped(DropReason::Malformed),
            },
            DatagramClass::Unknown if self.demultiplexing == Demultiplexing::Rfc7983 => {
                Handled::Dropped(DropReason::UnknownClass)
            }
            // Bytes 64 to 79 are channel data only from a TURN server (RFC 9443 §3): here they are QUIC.
            _ => self.handle_data(base, source, payload),
        }
    }

    fn handle_stun<'a>(
        &mut self,
        now: Instant,
        base: BaseId,
        source: TransportAddress,
        payload: &'a mut [u8],
    ) -> Handled<'a> {
        let Ok(message) = Message::parse(payload) else { return Handled::Dropped(DropReason::Malformed) };
        let random = &mut self.random;
        let outcome = match message.class() {
            Class::Request => self.checks.handle_request(now, base, source, &message, random),
            Class::Indication => self.checks.handle_indication(now, base, &message),
            Class::Success | Class::Error => self.checks.handle_response(now, base, source, &message, random),
        };
        let outcome = match (outcome, self.gatherer.place_of(base)) {
            (floe_check::Outcome::NotOurs, Some(place))
                if self.gatherer.handle_message(now, place, source, &message) =>
            {
                floe_check::Outcome::Taken
            }
            (outcome, _) => outcome,
        };
        self.pump(now);
        match outcome {
            floe_check::Outcome::Taken => Handled::Taken,
            floe_check::Outcome::NotOurs => Handled::NotOurs(payload),
            floe_check::Outcome::Dropped(reason) => Handled::Dropped(dropped(reason)),
        }
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
        // Who has shown the password may send before our own check is answered; nobody else may (T37).
        let Some((stream, component)) = self.checks.is_authenticated(base, source) else {
            return Handled::Dropped(DropReason::NoValidPair);
        };
        match self.component_mut(stream, component) {
            Some(component) => {
                component.early.hold(base, source, payload);
                Handled::Taken
            }
            None => Handled::Dropped(DropReason::NoValidPair),
        }
    }

    /// Starts one transaction if one is wanted, Ta has passed and the process has a free slot.
    fn run_slot(&mut self, now: Instant, pacer: &mut Pacer) {
        let Some(wanted) = self.slot_deadline() else {
            self.slots.reserved = None;
            return;
        };
        if now < wanted {
            return;
        }
        if self.slots.reserved.is_none() {
            let slot = pacer.reserve(now);
            if now < slot {
                self.slots.reserved = Some(slot);
                return;
            }
        }
        self.slots.reserved = None;
        if self.take_slot(now) {
            self.slots.last = Some(now);
        }
    }

    /// When the next transaction may start, if one is wanted.
    pub(crate) fn slot_deadline(&self) -> Option<Instant> {
        let checks = self.life == Life::Open && self.checks.wants_slot().is_some();
        if !checks && !self.gatherer.wants_slot() {
            return None;
        }
        // RFC 8445 §14.2: one new transaction each Ta; if nothing was sent in the last Ta the next goes at once.
        let own = self.slots.last.map_or(Instant::ORIGIN, |last| last.after(self.checks.ta_in_force()));
        Some(self.slots.reserved.unwrap_or(own).max(own))
    }

    /// A nomination goes first, then the triggered-check queues, then gathering and ordinary checks by turns.
    fn take_slot(&mut self, now: Instant) -> bool {
        let checks = if self.life == Life::Open { self.checks.wants_slot() } else { None };
        let gathering = self.gatherer.wants_slot();
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
            self.checks.take_slot(now, &mut self.random)
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
