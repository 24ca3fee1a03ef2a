//! Why a lossy session came to less than what was possible: from the trace alone.
//!
//! The way to a connection is a chain of steps, each with transactions that make it. A session is excused if, for one
//! step that was needed, the trace shows a loss and no transaction that got through in time.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use floe_agent::Event;
use floe_pair::{CandidateType, ComponentId, StreamId};
use floe_stun::{
    AttributeType, Class, Instant, Message, Method, TransactionId, attribute::XorRelayedAddress,
};

use super::{Excuse, GateKind, Scenario, build::server_address, outcome::Part};
use crate::net::{Content, Dependence, Entry, Fate};

/// Slots after which a step that was ready has begun: as many as an agent waits before it nominates what it has.
const SLOTS: u32 = 20;

/// One transaction of an agent.
#[derive(Debug)]
struct Deal {
    side: usize,
    method: Method,
    /// The socket it left from.
    from: SocketAddr,
    /// It was a check by way of a relay, of either side.
    relayed: bool,
    to_server: bool,
    nominates: bool,
    begun: Instant,
    /// When transmissions of the request or the answer were lost.
    lost: Vec<Instant>,
    /// When a success response reached the sender.
    done: Option<Instant>,
}

/// What can be known of a session from outside.
struct Evidence<'a> {
    scenario: &'a Scenario,
    deals: BTreeMap<TransactionId, Deal>,
    /// Which component a socket of an agent serves.
    parts: BTreeMap<SocketAddr, Part>,
    /// When each side had said that it has all its candidates: what comes later is of no use (RFC 8838 §14).
    gathered: [Instant; 2],
}

/// The excuse of a session that is not connected, or connected by a relay, if there is one.
pub(super) fn find(
    scenario: &Scenario,
    steps: &[Entry],
    events: &[(Instant, usize, Event)],
    connected: bool,
) -> Option<Excuse> {
    let evidence = Evidence::collect(scenario, steps, events);
    let parts = (0..scenario.streams).flat_map(|stream| {
        (1..=scenario.components)
            .filter_map(ComponentId::new)
            .map(move |component| (StreamId(stream), component))
    });
    if let Some((_, side, _)) = events.iter().find(|(.., event)| matches!(event, Event::ConsentLost { .. })) {
        // That it was not given up early has been watched.
        return Some(Excuse::Consent(*side));
    }
    if connected {
        // One component that had to take the relay is enough.
        return parts.into_iter().find_map(|part| evidence.why_not_direct(part));
    }
    let missing = |part: &Part| {
        let selected = |side: usize| {
            events.iter().any(|(_, of, event)| {
                *of == side
                    && matches!(event, Event::Selected { stream, component, .. } if (*stream, *component) == *part)
            })
        };
        !selected(0) || !selected(1)
    };
    parts.into_iter().filter(missing).find_map(|part| evidence.why_not_connected(part))
}

impl<'a> Evidence<'a> {
    fn collect(scenario: &'a Scenario, steps: &[Entry], events: &[(Instant, usize, Event)]) -> Self {
        let mut parts = BTreeMap::new();
        let mut own: [Vec<IpAddr>; 2] = Default::default();
        let mut relays = BTreeMap::new();
        let mut gathered = [Instant::from_nanos(u64::MAX); 2];
        for (at, side, event) in events {
            if matches!(event, Event::GatheringComplete) {
                gathered.iter_mut().skip(*side).take(1).for_each(|end| *end = *at);
            }
            let Event::LocalCandidate { stream, candidate } = event else { continue };
            let part = (*stream, candidate.component);
            if candidate.kind == CandidateType::Host {
                parts.insert(candidate.address.socket_addr(), part);
                own.get_mut(*side).into_iter().for_each(|ips| ips.push(candidate.address.ip()));
            } else if candidate.kind == CandidateType::Relayed {
                relays.insert(candidate.address.socket_addr(), part);
            }
        }
        // A relay-only agent tells no host candidate: its own addresses are where its questions leave from.
        let mut evidence = Self { scenario, deals: BTreeMap::new(), parts, gathered };
        for step in steps {
            evidence.note(step, &own, &relays);
        }
        evidence
    }

    fn note(&mut self, step: &Entry, own: &[Vec<IpAddr>; 2], relays: &BTreeMap<SocketAddr, Part>) {
        let Content::Datagram(bytes) = &step.content else { return };
        let Some((message, wrapped)) = innermost(bytes) else { return };
        let id = message.transaction_id();
        let side_of = |ip: IpAddr| own.iter().position(|ips| ips.contains(&ip));
        if message.class() == Class::Request
            && !self.deals.contains_key(&id)
            && let Some(side) = side_of(step.from.ip())
        {
            let relayed = wrapped || (self.is_server(step.to.ip()) && !self.is_listening(step.to));
            self.deals.insert(
                id,
                Deal {
                    side,
                    method: message.method(),
                    from: step.from,
                    relayed,
                    to_server: !wrapped && self.is_listening(step.to),
                    nominates: message.raw(AttributeType::USE_CANDIDATE).is_some(),
                    begun: step.at,
                    lost: Vec::new(),
                    done: None,
                },
            );
        }
        let Some(deal) = self.deals.get_mut(&id) else { return };
        if step.fate == Fate::Lost {
            deal.lost.push(step.at);
        }
        let home = step.fate == Fate::Delivered && step.to == deal.from;
        if home && message.class() == Class::Success {
            deal.done.get_or_insert(step.at);
            if let (Method::ALLOCATE, Ok(Some(XorRelayedAddress(relay)))) =
                (deal.method, message.get::<XorRelayedAddress>())
                && let Some(part) = relays.get(&relay)
            {
                self.parts.insert(deal.from, *part);
            }
        }
    }

    fn is_server(&self, ip: IpAddr) -> bool {
        (0..self.scenario.servers.len())
            .any(|index| [false, true].iter().any(|six| server_address(index, *six).ip() == ip))
    }

    fn is_listening(&self, address: SocketAddr) -> bool {
        (0..self.scenario.servers.len())
            .any(|index| [false, true].iter().any(|six| server_address(index, *six) == address))
    }

    /// Transactions of a component, those of sockets that never got one included.
    fn of(&self, part: Part) -> impl Iterator<Item = &Deal> {
        self.deals.values().filter(move |deal| self.parts.get(&deal.from).is_none_or(|known| *known == part))
    }

    /// Why the component is on a relay.
    fn why_not_direct(&self, part: Part) -> Option<Excuse> {
        let nominated =
            self.of(part).filter(|deal| deal.relayed && deal.nominates).map(|deal| deal.begun).min()?;
        self.direct_broken(part, nominated)
    }

    fn why_not_connected(&self, part: Part) -> Option<Excuse> {
        let end = Instant::from_nanos(u64::MAX);
        for side in [0, 1] {
            let own = || self.of(part).filter(move |deal| deal.side == side && is_check(deal));
            if is_broken(own(), end) {
                return Some(Excuse::Checks(side));
            }
            if is_broken(own().filter(|deal| deal.nominates), end) {
                return Some(Excuse::Nomination(side));
            }
        }
        let direct = if self.scenario.expect.direct { Some(self.direct_broken(part, end)?) } else { None };
        // Every relay there could have been has to be out of the question as well.
        let mut relay = None;
        for (side, _) in (0..).zip(&self.scenario.sides).filter(|(_, side)| !side.turn.is_empty()) {
            relay = Some(self.relay_broken(part, side, end)?);
        }
        direct.or(relay)
    }

    /// The step of the direct way that was not made before `end`.
    fn direct_broken(&self, part: Part, end: Instant) -> Option<Excuse> {
        let in_time = Instant::from_nanos(
            end.as_nanos().saturating_sub(u64::try_from(self.slack().as_nanos()).unwrap_or(u64::MAX)),
        );
        let reflexive = |side: usize| {
            let asked = self.of(part).filter(move |deal| {
                deal.side == side
                    && deal.to_server
                    && matches!(deal.method, Method::BINDING | Method::ALLOCATE)
            });
            // An Allocate tells the reflexive address of another socket, which is of no use here.
            is_broken(asked.filter(|deal| deal.method == Method::BINDING), in_time.min(self.gathered(side)))
        };
        // To reach the other side first, a side needs what its gates want.
        let needs = |from: usize, to: usize| match self.access(to) {
            Access::Open => vec![],
            Access::Known => vec![to],
            Access::Invited => {
                let mut needed = vec![to];
                needed.extend(Some(from).filter(|from| self.access(*from) != Access::Open));
                needed
            }
        };
        let blocked = |from, to| needs(from, to).into_iter().find(|side| reflexive(*side));
        if let (Some(side), Some(_)) = (blocked(0, 1), blocked(1, 0)) {
            return Some(Excuse::Reflexive(side));
        }
        let tries = || self.of(part).filter(|deal| is_check(deal) && !deal.relayed);
        let lost = tries().any(|deal| deal.lost.iter().any(|at| *at < end));
        (0..2)
            .find(|side| {
                let done = |deal: &Deal| deal.side == *side && deal.done.is_some_and(|at| at < end);
                lost && !tries().any(done)
            })
            .map(Excuse::Checks)
    }

    fn gathered(&self, side: usize) -> Instant {
        self.gathered.get(side).copied().unwrap_or_default()
    }

    fn relay_broken(&self, part: Part, side: usize, end: Instant) -> Option<Excuse> {
        let asked = |method| self.of(part).filter(move |deal| deal.side == side && deal.method == method);
        if is_broken(asked(Method::ALLOCATE), end.min(self.gathered(side)))
            || is_broken(asked(Method::CREATE_PERMISSION), end)
        {
            return Some(Excuse::Relay(side));
        }
        let checks =
            |of: usize| self.of(part).filter(move |deal| deal.side == of && is_check(deal) && deal.relayed);
        [0, 1].into_iter().find(|of| is_broken(checks(*of), end)).map(Excuse::Checks)
    }

    /// What a step before the checks leaves them: signalling, two round trips, and a turn among all that wants a slot.
    fn slack(&self) -> Duration {
        let links = |side: &super::Side| {
            let delays = side
                .interfaces
                .iter()
                .map(|interface| interface.link.up.delay.max(interface.link.down.delay));
            delays.max().unwrap_or_default()
        };
        let weather = &self.scenario.weather;
        let [a, b] = &self.scenario.sides;
        let one_way =
            [weather.delay, weather.jitter, weather.hold, links(a), links(b)].into_iter().sum::<Duration>();
        let ta = a.ta.max(b.ta);
        self.scenario
            .signalling
            .delay
            .saturating_add(one_way.saturating_mul(4))
            .saturating_add(ta.saturating_mul(SLOTS))
    }

    /// What the gates of a side want of whoever comes first.
    fn access(&self, side: usize) -> Access {
        let mut strictest = Access::Open;
        let mut next = self.scenario.sides.get(side).and_then(|side| side.interfaces.first()?.gate);
        while let Some(gate) = next.and_then(|index| self.scenario.gates.get(index)) {
            let access = match gate.kind {
                GateKind::Nat { filtering: Dependence::EndpointIndependent, .. } | GateKind::Prefix => {
                    Access::Known
                }
                _ => Access::Invited,
            };
            strictest = strictest.max(access);
            next = gate.outer;
        }
        strictest
    }
}

/// What it takes to be the first to send to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    /// Its own address.
    Open,
    /// Its reflexive address.
    Known,
    /// That, and that it has sent something there before.
    Invited,
}

fn is_check(deal: &Deal) -> bool {
    deal.method == Method::BINDING && !deal.to_server
}

/// Something was lost before `end`, and nothing got through.
fn is_broken<'a>(deals: impl Iterator<Item = &'a Deal>, end: Instant) -> bool {
    let mut lost = false;
    for deal in deals {
        if deal.done.is_some_and(|at| at < end) {
            return false;
        }
        lost |= deal.lost.iter().any(|at| *at < end);
    }
    lost
}

/// The message that agents exchange, without what a relay needs; whether there was something round it.
fn innermost(bytes: &[u8]) -> Option<(Message<'_>, bool)> {
    if let [0x40..=0x4f, _, _, _, inner @ ..] = bytes {
        return Some((Message::parse(inner).ok()?, true));
    }
    let message = Message::parse(bytes).ok()?;
    match message.method() {
        Method::SEND | Method::DATA => Some((Message::parse(message.raw(AttributeType::DATA)?).ok()?, true)),
        _ => Some((message, false)),
    }
}
