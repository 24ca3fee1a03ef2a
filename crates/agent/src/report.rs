//! What happened, to be read when it did not work: servers, interfaces, pairs, counts, and the verdicts that
//! follow from them.
//!
//! A [`Report`] is a value, made when [`Agent::report`](crate::Agent::report) is called; in between only counters
//! are kept. What is freed when a session settles is folded into them before.

mod ledger;
mod record;
mod show;
mod verdict;

use alloc::{boxed::Box, format, vec::Vec};
use core::net::IpAddr;

use floe_check::Failure;
use floe_gather::{RequestFailure, ServerError, SkipReason};
use floe_pair::{CandidateType, ComponentId, Role, StreamId, TransportAddress};
use floe_stun::Instant;
use floe_turn::uri::{Host, Uri};

pub(crate) use ledger::Ledger;
pub use record::{Icmp, PairRecord, PairSummary, PairTiming};
pub use verdict::{Side, Verdict};

use crate::{commands::Ignored, event::State};

/// Failures kept of one server. A server is asked from each address of this host; eight tell what is wrong with it,
/// further ones are counted.
pub const MOST_SERVER_FAILURES: usize = 8;
/// Sockets that could not be had which are listed; of more the first tell enough.
pub const MOST_HOST_FAILURES: usize = 16;
/// Different error codes, by direction and authentication, that are counted: more than agents use. Others are
/// left out.
pub const MOST_CODES: usize = 16;
/// Components listed that lost their pair.
pub const MOST_LOSSES: usize = 16;
/// Pairs listed in a full report; those of highest age stay, further ones are counted. Ten times the usual limit.
pub const MOST_PAIRS: usize = 1024;
/// ICMP errors kept in a full report.
pub const MOST_ICMP: usize = 64;

/// What an agent has done so far, and with what success. See the [module](crate::report) and [`Report::verdicts`].
///
/// Pairs, components, losses and error answers are those of the generation in force; as long as a restart is unanswered,
/// those of the one before, which carries the data. What is gathered and counted is the agent's, over all generations.
///
/// It names addresses of this host and answers of hosts that a peer named: [`Report::for_peer`] is what others may
/// see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Report {
    /// When it was made: the latest instant that the agent knew.
    pub at: Instant,
    /// State of the agent.
    #[cfg_attr(feature = "serde", serde(serialize_with = "show::serialize_shown"))]
    pub state: State,
    /// Its role.
    pub role: Role,
    /// Whether the peer's user fragment and password were given.
    pub remote_parameters: bool,
    /// The servers, in the order of the configuration.
    pub servers: Vec<ServerReport>,
    /// Failures of servers beyond [`MOST_SERVER_FAILURES`] of one.
    pub server_failures_left_out: u32,
    /// Each address of this host, used or not.
    pub interfaces: Vec<InterfaceReport>,
    /// Addresses on which the driver could give no socket, at most [`MOST_HOST_FAILURES`].
    pub host_failures: Vec<HostFailure>,
    /// Candidates of this agent, all there ever were.
    pub local: CandidateCounts,
    /// Candidates that the peer signalled and that are of use.
    pub remote: CandidateCounts,
    /// Addresses at which the peer was seen and that it had not signalled (RFC 8445 §7.3.1.3).
    pub remote_learned: u32,
    /// Candidates that the peer signalled and that are of no use, by reason.
    pub ignored: Vec<Count<Ignored>>,
    /// How far the components have come.
    pub components: ComponentCounts,
    /// Components that had a pair and lost it, at most [`MOST_LOSSES`].
    pub losses: Vec<Loss>,
    /// Pairs by state. Those freed after nomination count as what they were then.
    pub pairs: PairSummary,
    /// Every pair, by age; empty unless [`AgentConfig::full_report`](crate::AgentConfig::full_report) is set.
    pub pair_list: Vec<PairRecord>,
    /// Pairs that a full report has no room for.
    pub pairs_left_out: u32,
    /// Messages of connectivity checks and consent.
    pub totals: Totals,
    /// Those of the generation that the report is about.
    #[cfg_attr(feature = "serde", serde(skip))]
    own: Totals,
    /// Error answers, by code; at most [`MOST_CODES`].
    pub errors: Vec<ErrorCount>,
    /// What limits have cut.
    pub cuts: Vec<Count<Cut>>,
    /// How often the role changed (RFC 8445 §7.3.1.1).
    pub role_switches: u32,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServerReport {
    /// The URL, as configured.
    pub url: Box<str>,
    /// Whether it was to relay.
    pub turn: bool,
    /// When it was first asked.
    pub asked: Option<Instant>,
    /// When it first told a mapped address.
    pub mapped: Option<Instant>,
    /// When it first granted an allocation.
    pub relayed: Option<Instant>,
    /// What went wrong, at most [`MOST_SERVER_FAILURES`].
    pub failures: Vec<ServerFailure>,
}

/// One failure of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServerFailure {
    /// The address of this host it was asked from; `None`: it could not be asked, or that is hidden.
    pub local: Option<IpAddr>,
    /// The address of the server, if there is one and it is not hidden.
    pub address: Option<TransportAddress>,
    /// Why.
    #[cfg_attr(feature = "serde", serde(serialize_with = "show::serialize_text"))]
    pub error: ServerError,
    /// When it happened last.
    pub at: Instant,
    /// How often.
    pub times: u32,
}

/// One address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InterfaceReport {
    /// Name of the interface; empty where it is hidden.
    pub name: Box<str>,
    /// The address; `None` where it is hidden.
    pub ip: Option<IpAddr>,
    /// Why it is not used; `None`: it is.
    #[cfg_attr(feature = "serde", serde(serialize_with = "show::serialize_option"))]
    pub skipped: Option<SkipReason>,
}

/// An address of this host on which there was no socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HostFailure {
    /// The address; `None` where it is hidden.
    pub local: Option<TransportAddress>,
    /// What the driver said.
    #[cfg_attr(feature = "serde", serde(serialize_with = "show::serialize_text"))]
    pub failure: RequestFailure,
}

/// Candidates by type and family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CandidateCounts {
    /// Host candidates.
    pub host: u32,
    /// Server-reflexive and, signalled by the peer, peer-reflexive ones.
    pub reflexive: u32,
    /// Relayed ones.
    pub relayed: u32,
    /// Those of all types that have an IPv4 address.
    pub v4: u32,
    /// Those of all types that have an IPv6 address.
    pub v6: u32,
}

/// How often something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<T> {
    /// What.
    pub what: T,
    /// How often.
    pub times: u32,
}

/// How far the components have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ComponentCounts {
    /// All components of all data streams, but those that the peer has not (RFC 8445 §6.1.2.2).
    pub all: u32,
    /// Those with a selected pair now.
    pub selected: u32,
    /// Those with a valid pair now, and none selected.
    pub valid: u32,
    /// Whether any component ever had a valid pair.
    pub ever_valid: bool,
}

/// A component that had a pair and lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Loss {
    /// Its data stream.
    pub stream: StreamId,
    /// The component.
    pub component: ComponentId,
    /// Why the selected pair ended.
    #[cfg_attr(feature = "serde", serde(serialize_with = "show::serialize_shown"))]
    pub failure: Failure,
    /// When.
    pub at: Instant,
}

/// Messages of connectivity checks and consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Totals {
    /// Checks sent, retransmissions included.
    pub checks_sent: u64,
    /// Consent requests sent (RFC 7675 §5.1).
    pub consents_sent: u64,
    /// Authenticated answers to either received, errors included.
    pub answers_received: u64,
    /// Answers received whose integrity is missing or wrong: they count as never received (RFC 8489 §9.1.4).
    pub answers_unauthenticated: u64,
    /// Requests of the peer received and accepted.
    pub requests_accepted: u64,
    /// Requests received and answered with an error.
    pub requests_refused: u64,
    /// Answers sent, errors included.
    pub answers_sent: u64,
}

/// Error answers of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ErrorCount {
    /// Who sent them.
    pub by: Side,
    /// The error code, 300 to 699.
    pub code: u16,
    /// Whether they carried message integrity; from the peer: the right one.
    pub authenticated: bool,
    /// How many.
    pub times: u64,
}

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// One of the connectivity checks; counted for each pair or candidate that went.
    Checks(floe_check::Limit),
    /// One of gathering; told once.
    Gathering(floe_gather::Limit),
}

impl Report {
    /// What others may see, the peer above all: without the addresses of this host and of its servers, without
    /// ICMP, without timing by pair, and without anything that was answered by a host that has not shown the
    /// password. A peer chooses whom its candidates name; it must not learn what is at those addresses.
    #[must_use]
    pub fn for_peer(&self) -> Self {
        let mut report = self.clone();
        for server in &mut report.servers {
            server.url = without_host(&server.url);
        }
        for failure in report.servers.iter_mut().flat_map(|server| &mut server.failures) {
            (failure.local, failure.address) = (None, None);
            failure.error = without_address(&failure.error);
        }
        for interface in &mut report.interfaces {
            (interface.name, interface.ip) = (Box::default(), None);
        }
        for failure in &mut report.host_failures {
            failure.local = None;
        }
        report.pairs.hide_strangers();
        for pair in &mut report.pair_list {
            pair.hide();
        }
        (report.totals.answers_unauthenticated, report.own.answers_unauthenticated) = (0, 0);
        report.errors.retain(|error| error.by == Side::Us || error.authenticated);
        report
    }

    /// Whether every component has a selected pair.
    pub fn is_complete(&self) -> bool {
        self.components.all > 0 && self.components.selected == self.components.all
    }

    /// Error answers of either side, with this code or any.
    pub fn errors_of(&self, by: Side, code: impl Fn(u16) -> bool, authenticated: bool) -> u64 {
        self.errors
            .iter()
            .filter(|error| error.by == by && error.authenticated == authenticated && code(error.code))
            .fold(0, |sum, error| sum.saturating_add(error.times))
    }
}

impl CandidateCounts {
    /// All of them.
    pub const fn total(self) -> u32 {
        self.v4.saturating_add(self.v6)
    }

    pub(crate) fn add(&mut self, kind: CandidateType, address: TransportAddress) {
        let by_type = match kind {
            CandidateType::Host => &mut self.host,
            CandidateType::ServerReflexive | CandidateType::PeerReflexive => &mut self.reflexive,
            CandidateType::Relayed => &mut self.relayed,
        };
        *by_type = by_type.saturating_add(1);
        let by_family = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        *by_family = by_family.saturating_add(1);
    }
}

/// One more of `what`. The kinds are few; beyond `most` a new one is left out.
pub(crate) fn count<T: PartialEq>(counts: &mut Vec<Count<T>>, what: T, times: u32, most: usize) {
    if let Some(known) = counts.iter_mut().find(|known| known.what == what) {
        known.times = known.times.saturating_add(times);
    } else if counts.len() < most {
        counts.push(Count { what, times });
    }
}

/// The same URL, where it names its server; of one that has the address itself, what it is for.
fn without_host(url: &str) -> Box<str> {
    match url.parse::<Uri>() {
        Ok(uri) if matches!(uri.host(), Host::Address(_)) => {
            format!("{}:[not shown]", uri.scheme().as_str()).into()
        }
        _ => url.into(),
    }
}

/// The same error, with no address in it.
fn without_address(error: &ServerError) -> ServerError {
    use floe_turn::AllocateError as Allocate;
    match error {
        ServerError::BadMappedAddress(_)
        | ServerError::BadRelayedAddress(_)
        | ServerError::BadRedirect(_)
        | ServerError::Allocate(Allocate::RedirectLoop(_) | Allocate::UnusableAddress(_)) => {
            ServerError::BadResponse
        }
        other => other.clone(),
    }
}
