//! Reports and verdicts as text, for people and for `serde`.

use core::fmt;

use floe_check::{Failure, PairState};
use floe_gather::SkipReason;

use super::{CandidateCounts, Count, Cut, ErrorCount, PairRecord, Report, ServerReport, Side, Verdict};
use crate::event::State;

#[cfg(feature = "serde")]
pub(crate) use serialize::{
    serialize_option, serialize_option_shown, serialize_pair_id, serialize_rtt, serialize_shown,
    serialize_text,
};

/// A value of another crate that has no words of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shown<T>(pub(crate) T);

impl fmt::Display for Shown<Failure> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Failure::TimedOut => "no answer",
            Failure::IntegrityViolated => "no answer with the right integrity",
            Failure::NotSymmetric => "answer from elsewhere",
            Failure::Refused(code) => return write!(f, "error {code}"),
            Failure::BadResponse => "unusable answer",
            Failure::BaseRemoved => "its base is gone",
            Failure::NotAdmitted => "the relay does not take the peer's address",
            Failure::ConsentExpired => "consent expired",
            Failure::Revoked => "consent taken back",
            Failure::Denied => "denied by the policy",
            _ => "failed",
        })
    }
}

impl fmt::Display for Shown<PairState> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            PairState::Frozen => "frozen",
            PairState::Waiting => "waiting",
            PairState::InProgress => "in-progress",
            PairState::Succeeded => "succeeded",
            PairState::Failed => "failed",
        })
    }
}

impl fmt::Display for Shown<State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::New => "new",
            State::Checking => "checking",
            State::Connected => "connected",
            State::Completed => "completed",
            State::Disconnected => "disconnected",
            State::Failed => "failed",
            State::Closed => "closed",
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use floe_check::Limit as Checks;
        use floe_gather::Limit as Gathering;
        f.write_str(match self {
            Self::Checks(Checks::Pairs) => "pairs",
            Self::Checks(Checks::RemoteCandidates) => "remote candidates",
            Self::Checks(Checks::PeerReflexive) => "peer-reflexive candidates",
            Self::Checks(Checks::Peers) => "peers of one relay",
            Self::Gathering(Gathering::Hosts) => "sockets for host candidates",
            Self::Gathering(Gathering::Reflexive) => "binding requests",
            Self::Gathering(Gathering::Relays) => "allocations",
            Self::Gathering(Gathering::Candidates) => "local candidates",
            Self::Checks(_) | Self::Gathering(_) => "something",
        })
    }
}

/// `a x 2, b x 1`.
fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, counts: &[Count<T>]) -> fmt::Result {
    for (index, count) in counts.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(f, "{comma}{} x {}", count.what, count.times)?;
    }
    Ok(())
}

fn wrong_credentials(f: &mut fmt::Formatter<'_>, by: Side, code: Option<u16>, times: u64) -> fmt::Result {
    let whose = match (by, code) {
        (Side::Us, _) => "its checks are refused",
        (Side::Peer, Some(_)) => "the peer refuses the checks",
        (Side::Peer, None) => "answers without the right integrity",
    };
    write!(f, "wrong password or user fragment: {whose}")?;
    match code {
        Some(code) => write!(f, ", {code} x {times}"),
        None => write!(f, " x {times}"),
    }
}

fn no_local_candidates(
    f: &mut fmt::Formatter<'_>,
    interfaces: usize,
    skipped: &[Count<SkipReason>],
    sockets: usize,
) -> fmt::Result {
    if interfaces == 0 {
        return f.write_str("no local candidates: this host has no address");
    }
    write!(f, "no local candidates from {interfaces} addresses")?;
    if !skipped.is_empty() {
        f.write_str(", skipped: ")?;
        listed(f, skipped)?;
    }
    if sockets > 0 {
        write!(f, ", no socket on {sockets}")?;
    }
    Ok(())
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsentExpired { stream, component } => {
                write!(f, "consent expired on component {component} of data stream {}", stream.0)
            }
            Self::ConsentRevoked { stream, component } => {
                write!(
                    f,
                    "the peer took its consent back on component {component} of data stream {}",
                    stream.0
                )
            }
            Self::PathGone { stream, component } => {
                write!(f, "the local address under component {component} of data stream {} is gone", stream.0)
            }
            Self::RoleConflict { answers } => write!(f, "role conflict does not settle: 487 x {answers}"),
            Self::NominationRefused { code } => write!(f, "the peer refused the nomination: {code}"),
            Self::WrongCredentials { by, code, times } => wrong_credentials(f, *by, *code, *times),
            Self::NoRemoteParameters => f.write_str("remote sent no parameters"),
            Self::NoRemoteCandidates { ignored } if ignored.is_empty() => {
                f.write_str("remote sent no candidates")
            }
            Self::NoRemoteCandidates { ignored } => {
                f.write_str("remote sent no candidates of use: ")?;
                listed(f, ignored)
            }
            Self::ServerCredentialsRefused { server, error } => {
                write!(f, "{server} refused the credentials: {error}")
            }
            Self::ServerSilent { server } => {
                let scheme = server.split(':').next().unwrap_or_default();
                let kind = if scheme.starts_with("turn") { "TURN" } else { "STUN" };
                write!(f, "all UDP to {kind} dropped: no answer from {server}")
            }
            Self::ServerFailed { server, error } => write!(f, "{server} gave no candidate: {error}"),
            Self::NoLocalCandidates { interfaces, skipped, sockets } => {
                no_local_candidates(f, *interfaces, skipped, *sockets)
            }
            Self::NoCommonFamily { local_is_v4 } => {
                let (local, remote) = if *local_is_v4 { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
                write!(f, "no common address family: local candidates are {local}, remote ones {remote}")
            }
            Self::LimitCut { limit: Cut::Gathering(limit), .. } => {
                write!(f, "candidate limit: there would have been more {}", Cut::Gathering(*limit))
            }
            Self::LimitCut { limit, times } => write!(f, "candidate limit: {times} {limit} cut"),
            Self::RelayRefusedPeer { pairs } => {
                write!(f, "relays do not take the peer's addresses: {pairs} pairs")
            }
            Self::PeerNeverAnswered { checks, requests: 0 } => {
                write!(f, "peer never answered any check: {checks} sent")
            }
            Self::PeerNeverAnswered { checks, requests } => {
                write!(f, "peer never answered any check: {checks} sent, {requests} of its own came")
            }
            Self::NoPeerRequest => f.write_str("no request of the peer ever came"),
            Self::NotNominated => f.write_str("pairs are valid, but none was nominated"),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use alloc::string::ToString;
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Verdict", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("text", &self.to_string())?;
        fields.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.role == floe_pair::Role::Controlling { "controlling" } else { "controlled" };
        writeln!(f, "{}, {role}, after {} role switches", Shown(self.state), self.role_switches)?;
        for verdict in self.verdicts() {
            writeln!(f, "verdict: {verdict}")?;
        }
        for server in &self.servers {
            show_server(f, server)?;
        }
        if self.server_failures_left_out > 0 {
            writeln!(f, "servers: {} further failures", self.server_failures_left_out)?;
        }
        for interface in &self.interfaces {
            write!(f, "interface {}", interface.name)?;
            if let Some(ip) = interface.ip {
                write!(f, " {ip}")?;
            }
            match interface.skipped {
                None => writeln!(f, ": used")?,
                Some(reason) => writeln!(f, ": skipped, {reason}")?,
            }
        }
        for failure in &self.host_failures {
            match failure.local {
                Some(local) => writeln!(f, "no socket on {local}: {}", failure.failure)?,
                None => writeln!(f, "no socket: {}", failure.failure)?,
            }
        }
        show_candidates(f, "local", self.local)?;
        show_candidates(f, "remote", self.remote)?;
        if self.remote_learned > 0 || !self.ignored.is_empty() {
            write!(f, "remote candidates learned: {}; ignored: ", self.remote_learned)?;
            listed(f, &self.ignored)?;
            writeln!(f)?;
        }
        self.show_checks(f)
    }
}

impl Report {
    fn show_checks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components = &self.components;
        writeln!(
            f,
            "components: {} of {} with a selected pair, {} with a valid one only",
            components.selected, components.all, components.valid
        )?;
        for loss in &self.losses {
            let (stream, component) = (loss.stream.0, loss.component);
            writeln!(f, "lost: component {component} of data stream {stream}, {}", Shown(loss.failure))?;
        }
        let pairs = &self.pairs;
        writeln!(
            f,
            "pairs: {} succeeded, {} failed, {} in progress, {} waiting, {} frozen",
            pairs.succeeded, pairs.failed, pairs.in_progress, pairs.waiting, pairs.frozen
        )?;
        for failure in &pairs.failures {
            writeln!(f, "pairs failed: {} x {}", Shown(failure.what), failure.times)?;
        }
        let totals = &self.totals;
        writeln!(
            f,
            "checks: {} sent and {} for consent, {} answered, {} answers without the right integrity",
            totals.checks_sent, totals.consents_sent, totals.answers_received, totals.answers_unauthenticated
        )?;
        writeln!(
            f,
            "checks of the peer: {} accepted, {} refused, {} answers sent",
            totals.requests_accepted, totals.requests_refused, totals.answers_sent
        )?;
        for error in &self.errors {
            show_error(f, error)?;
        }
        for cut in &self.cuts {
            writeln!(f, "limit: {} x {}", cut.what, cut.times)?;
        }
        for pair in &self.pair_list {
            show_pair(f, pair)?;
        }
        if self.pairs_left_out > 0 {
            writeln!(f, "pairs not listed: {}", self.pairs_left_out)?;
        }
        Ok(())
    }
}

fn show_server(f: &mut fmt::Formatter<'_>, server: &ServerReport) -> fmt::Result {
    write!(f, "server {}:", server.url)?;
    for (what, at) in [("mapped address", server.mapped), ("allocation", server.relayed)] {
        if let (Some(asked), Some(at)) = (server.asked, at) {
            write!(f, " {what} after {} ms;", at.since(asked).as_millis())?;
        }
    }
    if server.asked.is_none() {
        f.write_str(" not asked;")?;
    }
    writeln!(f, " {} failures", server.failures.len())?;
    for failure in &server.failures {
        f.write_str("  failed")?;
        if let Some(local) = failure.local {
            write!(f, " from {local}")?;
        }
        if let Some(address) = failure.address {
            write!(f, " at {address}")?;
        }
        if let Some(asked) = server.asked {
            write!(f, " after {} ms", failure.at.since(asked).as_millis())?;
        }
        writeln!(f, ": {} x {}", failure.error, failure.times)?;
    }
    Ok(())
}

fn show_candidates(f: &mut fmt::Formatter<'_>, whose: &str, counts: CandidateCounts) -> fmt::Result {
    let CandidateCounts { host, reflexive, relayed, v4, v6 } = counts;
    writeln!(
        f,
        "{whose} candidates: {host} host, {reflexive} reflexive, {relayed} relayed; {v4} IPv4, {v6} IPv6"
    )
}

fn show_error(f: &mut fmt::Formatter<'_>, error: &ErrorCount) -> fmt::Result {
    let by = if error.by == Side::Us { "sent" } else { "received" };
    let signed = if error.authenticated { "" } else { ", not authenticated" };
    writeln!(f, "errors {by}: {} x {}{signed}", error.code, error.times)
}

fn show_pair(f: &mut fmt::Formatter<'_>, pair: &PairRecord) -> fmt::Result {
    write!(f, "pair {} ({}.{}): {}", pair.id.0, pair.stream.0, pair.component, pair.local_type)?;
    if let Some(local) = pair.local {
        write!(f, " {local}")?;
    }
    write!(f, " to {} {}: {}", pair.remote_type, pair.remote, Shown(pair.state))?;
    for (is, word) in [(pair.valid, "valid"), (pair.nominated, "nominated"), (pair.selected, "selected")] {
        if is {
            write!(f, ", {word}")?;
        }
    }
    if pair.superseded {
        f.write_str(", gone because another was nominated")?;
    }
    if let Some(failure) = pair.failure {
        write!(f, ", {}", Shown(failure))?;
    }
    write!(f, "; {} sent, {} answered", pair.requests_sent, pair.responses_received)?;
    write!(f, ", {} received", pair.requests_received)?;
    if let Some(rtt) = pair.timing.and_then(|timing| timing.rtt) {
        write!(f, ", {} ms", rtt.as_millis())?;
    }
    if let Some(icmp) = pair.icmp {
        write!(f, ", ICMP {}.{}", icmp.kind, icmp.code)?;
    }
    writeln!(f)
}

/// Values of other crates as their text.
#[cfg(feature = "serde")]
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signatures that serde calls")]
mod serialize {
    use core::{fmt::Display, time::Duration};

    use floe_check::{Failure, PairId};
    use serde::{Serialize, Serializer, ser::SerializeStruct};

    use super::Shown;
    use crate::{
        commands::Ignored,
        report::{Count, Cut},
    };

    pub(crate) fn serialize_text<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn serialize_option<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn serialize_shown<T: Copy, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error>
    where
        Shown<T>: Display,
    {
        to.collect_str(&Shown(*value))
    }

    pub(crate) fn serialize_option_shown<T: Copy, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error>
    where
        Shown<T>: Display,
    {
        serialize_option(&value.map(Shown), to)
    }

    pub(crate) fn serialize_pair_id<S: Serializer>(id: &PairId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(id.0)
    }

    /// In milliseconds.
    pub(crate) fn serialize_rtt<S: Serializer>(rtt: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match rtt {
            Some(rtt) => to.serialize_f64(rtt.as_secs_f64() * 1_000.0),
            None => to.serialize_none(),
        }
    }

    fn counted<S: Serializer>(what: impl Display, times: u32, to: S) -> Result<S::Ok, S::Error> {
        use alloc::string::ToString;
        let mut fields = to.serialize_struct("Count", 2)?;
        fields.serialize_field("what", &what.to_string())?;
        fields.serialize_field("times", &times)?;
        fields.end()
    }

    impl Serialize for Count<Failure> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            counted(Shown(self.what), self.times, to)
        }
    }

    impl Serialize for Count<Ignored> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            counted(self.what, self.times, to)
        }
    }

    impl Serialize for Count<Cut> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            counted(self.what, self.times, to)
        }
    }
}
