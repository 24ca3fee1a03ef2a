//! Whole sessions as values: what the network is like, who is in it, what happens, and what is to come of it.
//!
//! A [`Scenario`] can be written down (serde) and read back. A run is a scenario and a seed: [`Scenario::run`] builds
//! the network, connects two agents, sends data, closes them, and holds everything against the
//! [invariants](crate::invariants). Equal scenarios and seeds give equal runs, to the last byte.
//!
//! ```
//! use floe_sim::{expectation::NatKind, scenario::Scenario};
//!
//! let scenario = Scenario::between(NatKind::EimApdf, NatKind::EimEif);
//! let outcome = scenario.run(7).map_err(|failure| failure.to_string())?;
//! assert!(outcome.connected && outcome.direct);
//! assert_eq!(scenario.run(7).map(|again| again.hash).ok(), Some(outcome.hash));
//! # Ok::<(), String>(())
//! ```

mod build;
mod evidence;
mod excuse;
mod life;
mod outcome;
mod run;

use core::time::Duration;

use floe_pair::Role;
use serde::{Deserialize, Serialize};

pub use outcome::{Cause, Excuse, Failure, Outcome, Story};

use crate::{
    expectation::{NatKind, direct_is_possible, is_connectable},
    net::{Dependence, Intrusion, Link, Ports, Probability, Refresh, Trickle, Way, micros},
};

/// A session and the world around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The two agents and their hosts.
    pub sides: [Side; 2],
    /// Gates; interfaces and other gates name them by their place in this list.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// STUN and TURN servers in the public address space; sides name them by their place in this list.
    #[serde(default)]
    pub servers: Vec<Mood>,
    /// What every datagram goes through that crosses the public address space.
    #[serde(default)]
    pub weather: Way,
    /// How the two sides hear of each other.
    #[serde(default)]
    pub signalling: Signalling,
    /// Data streams of the session, 1 to 64.
    #[serde(default = "one")]
    pub streams: u16,
    /// Components of each data stream, 1 to 256.
    #[serde(default = "one")]
    pub components: u16,
    /// Third parties in the public address space.
    #[serde(default)]
    pub intruders: Vec<PublicIntruder>,
    /// What changes while the session runs.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What the session is like after it has begun; `None`: it is over as soon as it is at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// What is possible.
    pub expect: Expect,
    /// Virtual time by which both agents have come to an end.
    #[serde(with = "micros", default = "two_minutes")]
    pub limit: Duration,
}

const fn one() -> u16 {
    1
}

const fn two_minutes() -> Duration {
    Duration::from_secs(120)
}

/// A session that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Life {
    /// For how long data is sent, from the start of the session. After that the network is calm until all is at rest.
    #[serde(with = "micros")]
    pub lasts: Duration,
    /// How often both sides send a datagram on each component, wherever they may.
    #[serde(with = "micros")]
    pub every: Duration,
}

/// One agent and its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "independent settings, each with its name")]
pub struct Side {
    /// The role it begins with.
    pub role: Role,
    /// Interfaces of its host, each with one address.
    pub interfaces: Vec<Interface>,
    /// Servers it asks for its reflexive address.
    #[serde(default)]
    pub stun: Vec<usize>,
    /// Servers it asks for relays.
    #[serde(default)]
    pub turn: Vec<usize>,
    /// Whether it uses relayed candidates only.
    #[serde(default)]
    pub relay_only: bool,
    /// How it tells its candidates; `None`: as [`Signalling::trickle`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trickle: Option<Trickle>,
    /// Whether it is lite (RFC 8445 §2.5).
    #[serde(default, skip_serializing_if = "is_off")]
    pub lite: bool,
    /// Whether it offers `renomination2`.
    #[serde(default, skip_serializing_if = "is_off")]
    pub renomination: bool,
    /// Whether it asks for no consent while it sends nothing (RFC 7675 §5.1).
    #[serde(default, skip_serializing_if = "is_off")]
    pub suspend: bool,
    /// Its proposal for Ta.
    #[serde(with = "micros", default = "five_milliseconds")]
    pub ta: Duration,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it like this")]
const fn is_off(setting: &bool) -> bool {
    !*setting
}

const fn five_milliseconds() -> Duration {
    Duration::from_millis(5)
}

impl Side {
    /// One IPv4 interface in the public address space or behind a gate, Ta 5 ms, no servers.
    pub fn new(role: Role, gate: Option<usize>) -> Self {
        Self {
            role,
            interfaces: vec![Interface::new(gate)],
            stun: Vec::new(),
            turn: Vec::new(),
            relay_only: false,
            trickle: None,
            lite: false,
            renomination: false,
            suspend: false,
            ta: five_milliseconds(),
        }
    }
}

/// An interface of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The gate it is behind; `None`: it is in the public address space.
    #[serde(default)]
    pub gate: Option<usize>,
    /// Whether its address is an IPv6 one.
    #[serde(default)]
    pub ipv6: bool,
    /// A network of its own, which nothing leads to but the other side's interface with the same number.
    #[serde(default)]
    pub island: Option<u8>,
    /// The way to the address space it is in.
    #[serde(default)]
    pub link: Link,
}

impl Interface {
    /// An IPv4 interface with a link that costs nothing.
    pub fn new(gate: Option<usize>) -> Self {
        Self { gate, ipv6: false, island: None, link: Link::default() }
    }
}

/// A gate and the network behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The gate before it; `None`: it leads into the public address space.
    #[serde(default)]
    pub outer: Option<usize>,
    /// A gate listed before, whose inner network this one leads out of as well: a second way, for other addresses.
    #[serde(default)]
    pub beside: Option<usize>,
    /// What it does.
    pub kind: GateKind,
}

/// What a gate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum GateKind {
    /// Translates addresses of IPv4 (RFC 4787).
    Nat {
        /// When two flows share an outer port.
        mapping: Dependence,
        /// Who may come in.
        filtering: Dependence,
        /// Which outer ports are given out.
        #[serde(default)]
        ports: Ports,
        /// Whether inner hosts meet by their outer addresses.
        #[serde(default)]
        hairpinning: bool,
        /// How long a mapping lives.
        #[serde(with = "micros", default = "two_minutes")]
        lifetime: Duration,
        /// Which datagrams keep it alive.
        #[serde(default)]
        refresh: Refresh,
    },
    /// Translates between IPv6 inside and IPv4 outside, by the well-known prefix, with endpoint-independent mapping
    /// (RFC 6146).
    Nat64 {
        /// Who may come in.
        filtering: Dependence,
    },
    /// Translates prefixes of IPv6 without state (RFC 6296).
    Prefix,
    /// Lets in what answers (RFC 6092). The addresses behind it are public ones, of both families.
    Firewall {
        /// Who may come in.
        filtering: Dependence,
        /// Whether ICMP errors pass.
        #[serde(default = "yes")]
        icmp: bool,
    },
    /// Lets no UDP through.
    UdpBlocked,
}

const fn yes() -> bool {
    true
}

/// How a server behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mood {
    /// As the RFCs say.
    #[default]
    Strict,
    /// It answers nothing.
    Dead,
    /// Its answers leave two seconds late.
    Slow,
    /// Its answers are noise.
    Garbage,
}

/// How the two sides hear of each other: every message after the same time, none lost, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signalling {
    /// How long a message takes.
    #[serde(with = "micros")]
    pub delay: Duration,
    /// How long after the first side the second begins.
    #[serde(with = "micros")]
    pub answer: Duration,
    /// Whether candidates are told as they are found; otherwise all in one, with the parameters.
    pub trickle: bool,
}

impl Default for Signalling {
    fn default() -> Self {
        Self { delay: Duration::from_millis(20), answer: Duration::ZERO, trickle: true }
    }
}

/// A third party in the public address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicIntruder {
    /// What it does.
    pub intrusion: Intrusion,
    /// How often.
    pub chance: Probability,
    /// How long after it saw the datagram.
    #[serde(with = "micros")]
    pub delay: Duration,
}

/// Something that changes while the session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When, from the start of the session.
    #[serde(with = "micros")]
    pub at: Duration,
    /// What.
    pub event: Happening,
}

/// What may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Happening {
    /// A gate forgets its state; a translator takes another outer address.
    Rebind {
        /// Which gate.
        gate: usize,
    },
    /// The weather changes.
    Weather(Way),
    /// A server changes its mood.
    Server {
        /// Which server.
        server: usize,
        /// Its new mood.
        mood: Mood,
    },
    /// A side restarts ICE (RFC 8445 §9).
    Restart {
        /// Which side.
        side: usize,
    },
}

/// What is possible in a scenario, as far as somebody knows without having asked an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The two can exchange datagrams.
    pub connect: bool,
    /// They can do so without a relay.
    pub direct: bool,
}

impl Scenario {
    /// Two hosts behind NATs of these kinds, one strict server for STUN and TURN that both use, 20 ms between any two
    /// public addresses, no loss; what is expected of it is what the [table](crate::expectation) says.
    pub fn between(a: NatKind, b: NatKind) -> Self {
        let mut scenario = Self {
            sides: [Side::new(Role::Controlling, None), Side::new(Role::Controlled, None)],
            gates: Vec::new(),
            servers: vec![Mood::Strict],
            weather: Way { delay: Duration::from_millis(20), ..Way::default() },
            signalling: Signalling::default(),
            streams: 1,
            components: 1,
            intruders: Vec::new(),
            changes: Vec::new(),
            life: None,
            expect: Expect { connect: is_connectable(a, b, true), direct: direct_is_possible(a, b) },
            limit: two_minutes(),
        };
        for (side, kind) in scenario.sides.iter_mut().zip([a, b]) {
            let gate = match (kind, kind.behaviour()) {
                (NatKind::None, _) => None,
                (_, Some((mapping, filtering))) => Some(GateKind::nat(mapping, filtering)),
                (_, None) => Some(GateKind::UdpBlocked),
            };
            if let Some(kind) = gate {
                side.interfaces = vec![Interface::new(Some(scenario.gates.len()))];
                scenario.gates.push(Gate { outer: None, beside: None, kind });
            }
            (side.stun, side.turn) = (vec![0], vec![0]);
        }
        scenario
    }
}

impl Scenario {
    /// How a side tells its candidates.
    pub fn trickle_of(&self, side: usize) -> Trickle {
        let usual = if self.signalling.trickle { Trickle::Full } else { Trickle::None };
        self.sides.get(side).and_then(|side| side.trickle).unwrap_or(usual)
    }

    /// Whether a side suspends consent.
    pub(crate) fn suspends(&self, side: usize) -> bool {
        self.sides.get(side).is_some_and(|side| side.suspend)
    }

    /// Whether the selected pair may move without a restart.
    pub(crate) fn renominates(&self) -> bool {
        self.sides.iter().all(|side| side.renomination)
    }

    /// Whether every datagram arrives that a gate lets pass.
    pub(crate) fn is_lossless(&self) -> bool {
        let restarts = |change: &Change| matches!(change.event, Happening::Restart { .. });
        let mut links = self.sides.iter().flat_map(|side| &side.interfaces).map(|interface| interface.link);
        self.weather.loss == Probability::NEVER
            && self.changes.iter().all(restarts)
            && links.all(|link| (link.up.loss, link.down.loss) == (Probability::NEVER, Probability::NEVER))
    }
}

impl GateKind {
    /// A NAT with random ports and mappings of two minutes that only outgoing datagrams refresh.
    pub const fn nat(mapping: Dependence, filtering: Dependence) -> Self {
        Self::Nat {
            mapping,
            filtering,
            ports: Ports::Random,
            hairpinning: false,
            lifetime: two_minutes(),
            refresh: Refresh::Outbound,
        }
    }
}

#[cfg(test)]
mod tests;
