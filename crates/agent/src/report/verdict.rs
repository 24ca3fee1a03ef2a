//! What follows from a report: one line for each thing that was in the way.

use alloc::{boxed::Box, vec::Vec};

use floe_check::Failure;
use floe_gather::{ServerError, SkipReason};
use floe_pair::{ComponentId, Role, StreamId};
use floe_stun::attribute::ErrorCode;

use super::{Count, Cut, Loss, MOST_CODES, Report, ServerReport, count};
use crate::commands::Ignored;

/// 487s of one session, either way, above which the conflict of roles counts as one that does not settle: the bound
/// at which an agent stops changing its role.
const UNSETTLED_CONFLICTS: u8 = floe_check::ROLE_SWITCH_LIMIT;

/// One of the two agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Side {
    /// This agent.
    Us,
    /// The peer.
    Peer,
}

/// What was in the way, in one line (`Display`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The peer answered no consent request for 30 s (RFC 7675 §5.1).
    ConsentExpired {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// The peer took its consent back with a 403 (RFC 7675 §5.2).
    ConsentRevoked {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// The interface address or the allocation under the selected pair is gone.
    PathGone {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// Both agents go on claiming one role (RFC 8445 §7.3.1.1).
    RoleConflict {
        /// How many 487s there were, either way.
        answers: u64,
    },
    /// The peer refused the nomination of a valid pair.
    NominationRefused {
        /// The error code.
        code: u16,
    },
    /// One side's checks do not carry the password or user fragment that the other expects.
    WrongCredentials {
        /// Who refused checks for it.
        by: Side,
        /// The error code; `None`: the answers themselves had no right integrity.
        code: Option<u16>,
        /// How often.
        times: u64,
    },
    /// The peer's user fragment and password were never given.
    NoRemoteParameters,
    /// The peer has signalled no candidate that is of use.
    NoRemoteCandidates {
        /// Those that are of none, by reason.
        ignored: Vec<Count<Ignored>>,
    },
    /// A server does not accept the credentials.
    ServerCredentialsRefused {
        /// Its URL.
        server: Box<str>,
        /// What it said.
        error: ServerError,
    },
    /// A server answered nothing at all.
    ServerSilent {
        /// Its URL.
        server: Box<str>,
    },
    /// A server gave nothing for another reason.
    ServerFailed {
        /// Its URL.
        server: Box<str>,
        /// The first thing that went wrong.
        error: ServerError,
    },
    /// This host has no candidate.
    NoLocalCandidates {
        /// Its addresses, as the driver named them.
        interfaces: usize,
        /// Those not used, by reason.
        skipped: Vec<Count<SkipReason>>,
        /// Those on which there was no socket.
        sockets: usize,
    },
    /// No local candidate has the family of any remote one.
    NoCommonFamily {
        /// Whether the local ones are IPv4, and the remote ones IPv6.
        local_is_v4: bool,
    },
    /// A limit has cut pairs or candidates, and no pair that was left has worked.
    LimitCut {
        /// Which limit.
        limit: Cut,
        /// What it has cut; of gathering it is only known that there was more.
        times: u32,
    },
    /// No check was sent because relays do not take the peer's addresses.
    RelayRefusedPeer {
        /// Pairs that failed for it.
        pairs: u32,
    },
    /// The peer never answered any check.
    PeerNeverAnswered {
        /// Checks sent, retransmissions included.
        checks: u64,
        /// Checks of the peer that came all the same.
        requests: u64,
    },
    /// No request of the peer ever came.
    NoPeerRequest,
    /// Pairs are valid, and none was nominated.
    NotNominated,
}

impl Verdict {
    /// A name for programs, the same in every version.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConsentExpired { .. } => "consent-expired",
            Self::ConsentRevoked { .. } => "consent-revoked",
            Self::PathGone { .. } => "path-gone",
            Self::RoleConflict { .. } => "role-conflict",
            Self::NominationRefused { .. } => "nomination-refused",
            Self::WrongCredentials { .. } => "wrong-credentials",
            Self::NoRemoteParameters => "no-remote-parameters",
            Self::NoRemoteCandidates { .. } => "no-remote-candidates",
            Self::ServerCredentialsRefused { .. } => "server-credentials-refused",
            Self::ServerSilent { .. } => "server-silent",
            Self::ServerFailed { .. } => "server-failed",
            Self::NoLocalCandidates { .. } => "no-local-candidates",
            Self::NoCommonFamily { .. } => "no-common-family",
            Self::LimitCut { .. } => "limit-cut",
            Self::RelayRefusedPeer { .. } => "relay-refused-peer",
            Self::PeerNeverAnswered { .. } => "peer-never-answered",
            Self::NoPeerRequest => "no-peer-request",
            Self::NotNominated => "not-nominated",
        }
    }
}

impl Report {
    /// What was in the way, the most telling first. Made at any time, of what is known by then: while checks go on
    /// it may be that the peer has not answered *yet*. Of a session that works, only servers that gave nothing are
    /// left.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut list: Vec<_> = self.losses.iter().map(loss).collect();
        let servers: Vec<_> = self.servers.iter().filter_map(|server| self.server(server)).collect();
        if !self.is_complete() && list.is_empty() {
            // What the peer has said is certain; next comes what it cannot have known of, last what is silence.
            list.extend(self.said_by_peer());
            list.extend(self.missing_of_peer());
            list.extend(servers.iter().filter(|(_, matters)| *matters).map(|(verdict, _)| verdict.clone()));
            list.extend(self.missing_here());
            list.extend(self.cut());
            list.extend(self.silence());
            if self.components.ever_valid {
                list.push(Verdict::NotNominated);
            }
        }
        for (verdict, _) in servers {
            if !list.contains(&verdict) {
                list.push(verdict);
            }
        }
        list
    }

    fn said_by_peer(&self) -> impl Iterator<Item = Verdict> {
        let conflict = |code| code == ErrorCode::ROLE_CONFLICT;
        let [ours, theirs] = [Side::Us, Side::Peer].map(|by| self.errors_of(by, conflict, true));
        let answers = ours.saturating_add(theirs);
        let given_up = self.pairs.failed_by(|failure| failure == Failure::Refused(ErrorCode::ROLE_CONFLICT));
        let roles = (answers > u64::from(UNSETTLED_CONFLICTS) || given_up > 0)
            .then_some(Verdict::RoleConflict { answers });
        let credentials = [self.refused_by_peer(), self.refused_by_us()].into_iter().flatten();
        roles.into_iter().chain(self.nomination_refused()).chain(credentials)
    }

    fn nomination_refused(&self) -> Option<Verdict> {
        let meant = |code| code != ErrorCode::ROLE_CONFLICT && code != ErrorCode::FORBIDDEN;
        let refusal = self
            .errors
            .iter()
            .find(|error| error.by == Side::Peer && error.authenticated && meant(error.code))?;
        let ours = self.role == Role::Controlling && self.components.ever_valid;
        ours.then_some(Verdict::NominationRefused { code: refusal.code })
    }

    fn refused_by_peer(&self) -> Option<Verdict> {
        if self.own.answers_received > 0 || self.own.answers_unauthenticated == 0 {
            return None;
        }
        let refusals = |code| self.errors_of(Side::Peer, |other| other == code, false);
        let most = [ErrorCode::UNAUTHENTICATED, ErrorCode::BAD_REQUEST]
            .into_iter()
            .map(|code| (refusals(code), code))
            .filter(|(times, _)| *times > 0)
            .max_by_key(|(times, _)| *times);
        let (times, code) = match most {
            Some((times, code)) => (times, Some(code)),
            None => (self.own.answers_unauthenticated, None),
        };
        Some(Verdict::WrongCredentials { by: Side::Peer, code, times })
    }

    fn refused_by_us(&self) -> Option<Verdict> {
        if self.own.requests_accepted > 0 {
            return None;
        }
        let refusals = |code| self.errors_of(Side::Us, |other| other == code, false);
        let (times, code) = [ErrorCode::UNAUTHENTICATED, ErrorCode::BAD_REQUEST]
            .into_iter()
            .map(|code| (refusals(code), code))
            .filter(|(times, _)| *times > 0)
            .max_by_key(|(times, _)| *times)?;
        Some(Verdict::WrongCredentials { by: Side::Us, code: Some(code), times })
    }

    fn missing_of_peer(&self) -> impl Iterator<Item = Verdict> {
        let parameters = (!self.remote_parameters).then_some(Verdict::NoRemoteParameters);
        let none = self.remote.total() == 0 && self.remote_learned == 0;
        let candidates = none.then(|| Verdict::NoRemoteCandidates { ignored: self.ignored.clone() });
        parameters.into_iter().chain(candidates)
    }

    /// What is wrong with a server, and whether its candidates are missed: what nobody else gave.
    fn server(&self, server: &ServerReport) -> Option<(Verdict, bool)> {
        let first = &server.failures.first()?.error;
        let given = if server.turn { server.relayed } else { server.mapped };
        if given.is_some() {
            return None;
        }
        let url = || server.url.clone();
        let refused = server.failures.iter().map(|failure| &failure.error).find(|error| is_refusal(error));
        let silent =
            server.mapped.is_none() && server.failures.iter().all(|failure| is_silence(&failure.error));
        let verdict = if let Some(error) = refused {
            Verdict::ServerCredentialsRefused { server: url(), error: error.clone() }
        } else if silent {
            Verdict::ServerSilent { server: url() }
        } else {
            Verdict::ServerFailed { server: url(), error: first.clone() }
        };
        let others = |other: &ServerReport| if server.turn { other.relayed } else { other.mapped }.is_some();
        Some((verdict, !self.servers.iter().any(others)))
    }

    fn missing_here(&self) -> Option<Verdict> {
        let (local, remote) = (self.local, self.remote);
        if local.total() == 0 {
            let mut skipped = Vec::new();
            for reason in self.interfaces.iter().filter_map(|interface| interface.skipped) {
                count(&mut skipped, reason, 1, MOST_CODES);
            }
            let (interfaces, sockets) = (self.interfaces.len(), self.host_failures.len());
            return Some(Verdict::NoLocalCandidates { interfaces, skipped, sockets });
        }
        let met = (local.v4 > 0 && remote.v4 > 0) || (local.v6 > 0 && remote.v6 > 0);
        let apart = remote.total() > 0 && !met && self.pairs.total() == 0;
        apart.then_some(Verdict::NoCommonFamily { local_is_v4: local.v4 > 0 })
    }

    fn cut(&self) -> Option<Verdict> {
        if self.components.ever_valid {
            return None;
        }
        let cut = self.cuts.iter().max_by_key(|cut| cut.times)?;
        Some(Verdict::LimitCut { limit: cut.what, times: cut.times })
    }

    fn silence(&self) -> impl Iterator<Item = Verdict> {
        let totals = &self.own;
        let refused = self.pairs.failed_by(|failure| failure == Failure::NotAdmitted);
        let relay =
            (totals.checks_sent == 0 && refused > 0).then_some(Verdict::RelayRefusedPeer { pairs: refused });
        let heard = totals.answers_received > 0 || totals.answers_unauthenticated > 0;
        let unanswered = (totals.checks_sent > 0 && !heard).then_some(Verdict::PeerNeverAnswered {
            checks: totals.checks_sent,
            requests: totals.requests_accepted,
        });
        let requests = totals.requests_accepted.saturating_add(totals.requests_refused);
        let unasked = (requests == 0 && self.pairs.total() > 0).then_some(Verdict::NoPeerRequest);
        relay.into_iter().chain(unanswered).chain(unasked)
    }
}

fn loss(loss: &Loss) -> Verdict {
    let Loss { stream, component, .. } = *loss;
    match loss.failure {
        Failure::Revoked => Verdict::ConsentRevoked { stream, component },
        Failure::ConsentExpired => Verdict::ConsentExpired { stream, component },
        _ => Verdict::PathGone { stream, component },
    }
}

/// Whether a server does not accept who asks.
fn is_refusal(error: &ServerError) -> bool {
    use floe_turn::{AllocateError, RequestError};
    let code = match error {
        ServerError::Refused(code)
        | ServerError::Allocate(AllocateError::Request(RequestError::Refused { code })) => *code,
        ServerError::Allocate(AllocateError::Request(error)) => {
            return matches!(
                error,
                RequestError::Unauthenticated
                    | RequestError::CredentialsNeeded
                    | RequestError::IntegrityViolated
            );
        }
        _ => return false,
    };
    matches!(code, ErrorCode::UNAUTHENTICATED | ErrorCode::FORBIDDEN | ErrorCode::WRONG_CREDENTIALS)
}

/// Whether nothing came from a server.
fn is_silence(error: &ServerError) -> bool {
    use floe_turn::{AllocateError, RequestError};
    matches!(
        error,
        ServerError::TimedOut
            | ServerError::NotInTime
            | ServerError::Allocate(AllocateError::Request(RequestError::TimedOut))
    )
}
