//! What the trace of a session says about the transactions of its agents.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use floe_agent::Event;
use floe_pair::CandidateType;
use floe_stun::{
    AttributeType, Class, Instant, Message, Method, TransactionId,
    attribute::{ErrorCode, Lifetime, XorRelayedAddress},
};

use super::{GateKind, Scenario, build::server_address, outcome::Part};
use crate::net::{Content, Dependence, Entry, Fate, RealmId, Trickle};

/// One transaction of an agent.
#[derive(Debug)]
pub(super) struct Deal {
    pub(super) side: usize,
    pub(super) method: Method,
    /// The socket it left from, and where it was sent.
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// It was a check by way of a relay, of either side.
    pub(super) relayed: bool,
    pub(super) to_server: bool,
    pub(super) nominates: bool,
    pub(super) begun: Instant,
    /// Transmissions of the request that reached the public address space, and all that was lost.
    pub(super) tries: Vec<Try>,
    /// When the other end first answered it with success, whatever became of the answer.
    pub(super) accepted: Option<Instant>,
    /// When a success response reached the sender.
    pub(super) done: Option<Instant>,
}

/// A transmission on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Try {
    pub(super) at: Instant,
    /// Of the answer, not of the request.
    pub(super) answer: bool,
    /// The answer says no: what asked has to try again, in its new role (RFC 8445 §7.2.5.1).
    pub(super) refusal: bool,
    /// A link has lost it.
    pub(super) lost: bool,
    /// From where and to where it crossed the public address space; `None`: it was lost elsewhere.
    crossing: Option<(SocketAddr, SocketAddr)>,
}

impl Deal {
    /// From where and to where a request of it crossed the public address space.
    pub(super) fn crossing(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.tries.iter().filter(|one| !one.answer).find_map(|one| one.crossing)
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = &Try> {
        self.tries.iter().filter(|one| one.lost)
    }
}

/// What can be known of a session from outside.
pub(super) struct Evidence<'a> {
    scenario: &'a Scenario,
    deals: BTreeMap<TransactionId, Deal>,
    /// Relayed candidates that were told.
    relays: BTreeSet<SocketAddr>,
    /// Which component a socket of an agent serves.
    parts: BTreeMap<SocketAddr, Part>,
    /// When something first crossed the public address space from here to there.
    openings: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    /// When each side had said that it has all its candidates: what comes later is of no use (RFC 8838 §14).
    gathered: [Instant; 2],
    /// When each side that does not trickle has told what it had.
    told: [Instant; 2],
    /// When each side restarted last: what was before is of no more use to it.
    restarted: [Instant; 2],
    /// User names of checks before the last restart of either side, and of those of the other side.
    past: BTreeSet<Vec<u8>>,
    /// Sockets whose allocation was given back (RFC 8656 §7) or lost, and when.
    given_back: Vec<(SocketAddr, Instant)>,
}

/// What it takes to be the first to send to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Its own address.
    Open,
    /// Its reflexive address.
    Known,
    /// That, and that it has sent something from there to any port of the sender's address before.
    InvitedHost,
    /// That, and that it has sent something from there to the sender's address and port before.
    Invited,
}

impl<'a> Evidence<'a> {
    pub(super) fn collect(
        scenario: &'a Scenario,
        steps: &[Entry],
        events: &[(Instant, usize, Event)],
    ) -> Self {
        let mut parts = BTreeMap::new();
        let mut own: [Vec<IpAddr>; 2] = Default::default();
        let mut relays = BTreeMap::new();
        let mut gathered = [Instant::from_nanos(u64::MAX); 2];
        let (mut told, mut restarted) = (gathered, [Instant::ORIGIN; 2]);
        for (at, side, event) in events {
            let set = |of: &mut [Instant; 2], at: Instant| {
                of.iter_mut().skip(*side).take(1).for_each(|place| *place = at);
            };
            let first = |of: &mut [Instant; 2]| {
                of.iter_mut().skip(*side).take(1).for_each(|place| *place = (*place).min(*at));
            };
            match event {
                Event::GatheringComplete { .. } => {
                    set(&mut gathered, *at);
                    first(&mut told);
                }
                Event::GatheringDeadline if scenario.trickle_of(*side) == Trickle::Half => {
                    first(&mut told);
                }
                Event::Restarted { .. } => {
                    set(&mut gathered, Instant::from_nanos(u64::MAX));
                    set(&mut told, Instant::from_nanos(u64::MAX));
                    set(&mut restarted, *at);
                }
                _ => {}
            }
            let Event::LocalCandidate { stream, candidate, .. } = event else { continue };
            let part = (*stream, candidate.component);
            if candidate.kind == CandidateType::Host {
                parts.insert(candidate.address.socket_addr(), part);
                own.get_mut(*side).into_iter().for_each(|ips| ips.push(candidate.address.ip()));
            } else if candidate.kind == CandidateType::Relayed {
                relays.insert(candidate.address.socket_addr(), part);
            }
        }
        // A relay-only agent tells no host candidate: its own addresses are where its questions leave from.
        let openings = BTreeMap::new();
        let (deals, past) = (BTreeMap::new(), BTreeSet::new());
        let mut evidence = Self {
            scenario,
            deals,
            relays: relays.keys().copied().collect(),
            parts,
            openings,
            gathered,
            told,
            restarted,
            past,
            given_back: Vec::new(),
        };
        for step in steps {
            evidence.note(step, &own, &relays);
        }
        // A restart asks STUN servers again; allocations and permissions stay.
        evidence.deals.retain(|_, deal| {
            let since = restarted.get(deal.side).copied().unwrap_or_default();
            !deal.to_server || deal.method != Method::BINDING || deal.done.is_none_or(|at| at >= since)
        });
        // What was given back before is no allocation any more.
        let since = evidence.since();
        let Self { deals, given_back, .. } = &mut evidence;
        deals.retain(|_, deal| {
            let gone =
                |(from, at): &(SocketAddr, Instant)| *from == deal.from && deal.begun <= *at && *at < since;
            !deal.to_server || deal.method == Method::BINDING || !given_back.iter().any(gone)
        });
        evidence
    }

    /// Whether an address is that of a relay that no candidate told of.
    pub(super) fn is_untold_relay(&self, address: SocketAddr) -> bool {
        self.is_server(address.ip()) && !self.relays.contains(&address)
    }

    /// When the last generation began.
    pub(super) fn since(&self) -> Instant {
        self.restarted.into_iter().max().unwrap_or_default()
    }

    /// Whether a check belongs to a generation before the last one.
    fn is_past(&mut self, at: Instant, request: &Message<'_>) -> bool {
        // Questions to STUN servers have none.
        let Some(name) = request.raw(AttributeType::USERNAME) else { return false };
        if at < self.since() {
            self.past.insert(name.to_vec());
            // The other side's checks of that generation are of it as well, should the first leave as it ends.
            let colon = name.iter().position(|byte| *byte == b':').unwrap_or(name.len());
            let (to, from) = name.split_at(colon);
            self.past.insert([from.get(1..).unwrap_or_default(), b":", to].concat());
        }
        self.past.contains(name)
    }

    fn note(&mut self, step: &Entry, own: &[Vec<IpAddr>; 2], relays: &BTreeMap<SocketAddr, Part>) {
        let Content::Datagram(bytes) = &step.content else { return };
        // What is lost between two gates has left the first one all the same.
        let crosses = step.realm == RealmId::PUBLIC && matches!(step.fate, Fate::Sent | Fate::Lost);
        if crosses {
            self.openings.entry((step.from, step.to)).or_insert(step.at);
        }
        let Some((message, wrapped)) = innermost(bytes) else { return };
        let id = message.transaction_id();
        let side_of = |ip: IpAddr| own.iter().position(|ips| ips.contains(&ip));
        if message.class() == Class::Request
            && !self.deals.contains_key(&id)
            && let Some(side) = side_of(step.from.ip())
        {
            if message.method() == Method::BINDING && self.is_past(step.at, &message) {
                return;
            }
            if message.method() == Method::REFRESH && message.get() == Ok(Some(Lifetime(0))) {
                self.given_back.push((step.from, step.at));
            }
            let relayed = wrapped || (self.is_server(step.to.ip()) && !self.is_listening(step.to));
            self.deals.insert(
                id,
                Deal {
                    side,
                    method: message.method(),
                    from: step.from,
                    to: step.to,
                    relayed,
                    to_server: !wrapped && self.is_listening(step.to),
                    nominates: message.raw(AttributeType::USE_CANDIDATE).is_some(),
                    begun: step.at,
                    tries: Vec::new(),
                    accepted: None,
                    done: None,
                },
            );
        }
        let Some(deal) = self.deals.get_mut(&id) else { return };
        let (answer, lost) = (message.class() != Class::Request, step.fate == Fate::Lost);
        if lost || crosses && !answer {
            let crossing = crosses.then_some((step.from, step.to));
            let refusal = message.class() == Class::Error;
            deal.tries.push(Try { at: step.at, answer, refusal, lost, crossing });
        }
        // RFC 8656 §5: to the server the mapping that it came from has no allocation, or another one.
        let is_mismatch = |error: ErrorCode<'_>| error.code() == ErrorCode::ALLOCATION_MISMATCH;
        let mismatched = matches!(message.get(), Ok(Some(error)) if is_mismatch(error));
        if mismatched && step.fate == Fate::Delivered && step.to == deal.from {
            self.given_back.push((deal.from, step.at));
        }
        if message.class() != Class::Success {
            return;
        }
        deal.accepted.get_or_insert(step.at);
        if step.fate == Fate::Delivered && step.to == deal.from {
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

    pub(super) fn all(&self) -> impl Iterator<Item = &Deal> {
        self.deals.values()
    }

    /// Transactions of a component, those of sockets that never got one included.
    pub(super) fn of(&self, part: Part) -> impl Iterator<Item = &Deal> {
        self.all().filter(move |deal| self.parts.get(&deal.from).is_none_or(|known| *known == part))
    }

    pub(super) fn gathered(&self, side: usize) -> Instant {
        self.gathered.get(side).copied().unwrap_or_default()
    }

    pub(super) fn told(&self, side: usize) -> Instant {
        self.told.get(side).copied().unwrap_or_default()
    }

    /// Whether a transmission comes through the gates of the other side, or would have if it had not been lost.
    pub(super) fn is_real(&self, deal: &Deal, one: &Try) -> bool {
        // Servers have no gates; an answer goes back the way that its request has opened; what goes by way of a relay is
        // sent when the permission is there.
        if deal.to_server || deal.relayed || one.answer {
            return true;
        }
        let Some((from, to)) = one.crossing else { return true };
        // It arrives that much later, at the earliest.
        let arrives = one.at.after(self.scenario.weather.delay);
        let other = 1_usize.saturating_sub(deal.side);
        let opened = |peer: SocketAddr| self.openings.get(&(to, peer)).is_some_and(|at| *at <= arrives);
        match self.access(other) {
            Access::Open | Access::Known => true,
            Access::InvitedHost => {
                let ports = (to, SocketAddr::new(from.ip(), 0))..=(to, SocketAddr::new(from.ip(), u16::MAX));
                self.openings.range(ports).any(|(_, at)| *at <= arrives)
            }
            Access::Invited => opened(from),
        }
    }

    /// The gates of a side, the innermost first.
    fn gates(&self, side: usize) -> impl Iterator<Item = GateKind> {
        let first = self.scenario.sides.get(side).and_then(|side| side.interfaces.first()?.gate);
        let gate = |index: Option<usize>| self.scenario.gates.get(index?);
        core::iter::successors(gate(first), move |inner| gate(inner.outer)).map(|gate| gate.kind)
    }

    /// Whether what a side sends to one comes from where what it sends to another does.
    pub(super) fn is_predictable(&self, side: usize) -> bool {
        self.gates(side).all(|gate| match gate {
            GateKind::Nat { mapping, .. } => mapping == Dependence::EndpointIndependent,
            _ => true,
        })
    }

    /// What the gates of a side want of whoever comes first.
    pub(super) fn access(&self, side: usize) -> Access {
        let of = |gate| match gate {
            GateKind::Nat { filtering: Dependence::EndpointIndependent, .. } | GateKind::Prefix => {
                Access::Known
            }
            GateKind::Nat { filtering: Dependence::AddressDependent, .. }
            | GateKind::Nat64 { filtering: Dependence::AddressDependent | Dependence::EndpointIndependent }
            | GateKind::Firewall {
                filtering: Dependence::AddressDependent | Dependence::EndpointIndependent,
                ..
            } => Access::InvitedHost,
            _ => Access::Invited,
        };
        self.gates(side).map(of).max().unwrap_or(Access::Open)
    }
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
