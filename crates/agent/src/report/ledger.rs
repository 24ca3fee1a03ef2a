//! What is kept from moment to moment so that a report can be made.

use alloc::{boxed::Box, string::ToString, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use floe_check::{ChecklistSet, Outcome};
use floe_gather::ServerError;
use floe_pair::{BaseId, CandidateType, ComponentId, Few, StreamId, TransportAddress};
use floe_stun::{Class, Instant, Message, attribute::ErrorCode};

use super::{
    CandidateCounts, ComponentCounts, Count, Cut, ErrorCount, HostFailure, Icmp, InterfaceReport, Loss,
    MOST_CODES, MOST_HOST_FAILURES, MOST_ICMP, MOST_LOSSES, MOST_PAIRS, MOST_SERVER_FAILURES, PairRecord,
    PairSummary, Report, ServerFailure, ServerReport, Side, Totals, count, record,
};
use crate::{agent::Agent, commands::Ignored};

/// First bytes of a Binding error response (RFC 8489 §5).
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];

/// What is kept from moment to moment. Nothing here grows with the length of a session.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Whether pairs are kept one by one.
    full: bool,
    servers: Vec<(usize, ServerFailure)>,
    servers_left_out: u32,
    hosts: Vec<HostFailure>,
    local: CandidateCounts,
    remote: CandidateCounts,
    learned: u32,
    ignored: Vec<Count<Ignored>>,
    ever_valid: bool,
    losses: Vec<Loss>,
    totals: Totals,
    /// The same when the peer had answered the latest restart.
    before: Option<Box<Totals>>,
    errors: Vec<ErrorCount>,
    cuts: Vec<Count<Cut>>,
    role_switches: u32,
    /// Pairs of each data stream as they were at its last nomination.
    folded: Few<(StreamId, PairSummary)>,
    pairs: Vec<PairRecord>,
    icmp: Vec<(BaseId, SocketAddr, Icmp)>,
}

impl Ledger {
    pub(crate) fn new(full: bool) -> Self {
        Self { full, ..Self::default() }
    }

    /// Whether pairs are kept one by one.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Another generation is at work: pairs of the one before are those of the past, and so is what was in its way.
    pub(crate) fn renew(&mut self) {
        (self.folded, self.pairs) = (Few::new(), Vec::new());
        (self.losses, self.errors, self.ever_valid) = (Vec::new(), Vec::new(), false);
        self.before = Some(Box::new(self.totals));
    }

    /// Something the gatherer said.
    pub(crate) fn on_gathering(&mut self, now: Instant, event: &floe_gather::Event) {
        match event {
            floe_gather::Event::Candidate { candidate, .. } => {
                self.local.add(candidate.kind, candidate.address);
            }
            floe_gather::Event::ServerFailed { server, local, address, error } => {
                self.server_failed(now, *server, *local, *address, error);
            }
            floe_gather::Event::HostFailed { local, failure, .. }
                if self.hosts.len() < MOST_HOST_FAILURES =>
            {
                self.hosts.push(HostFailure { local: Some(*local), failure: *failure });
            }
            floe_gather::Event::LimitReached(limit) => {
                count(&mut self.cuts, Cut::Gathering(*limit), 1, MOST_CODES);
            }
            floe_gather::Event::Turn(base, floe_turn::Event::PeerUnreachable { peer, kind, code })
                if self.full =>
            {
                let icmp = Icmp { kind: *kind, code: *code };
                let known = self.icmp.iter_mut().find(|(of, to, _)| of == base && to == peer);
                if let Some(known) = known {
                    known.2 = icmp;
                } else if self.icmp.len() < MOST_ICMP {
                    self.icmp.push((*base, *peer, icmp));
                }
            }
            _ => {}
        }
    }

    /// Something the checklist set said.
    pub(crate) fn on_checks(&mut self, now: Instant, event: &floe_check::Event, checks: &ChecklistSet) {
        match *event {
            floe_check::Event::PairValid { .. } => self.ever_valid = true,
            floe_check::Event::Selected { stream, .. } => self.fold(checks, Some(stream)),
            floe_check::Event::State(floe_check::State::Failed) => self.fold(checks, None),
            floe_check::Event::ConsentLost { stream, component } => {
                self.fold(checks, Some(stream));
                self.lost(now, checks, stream, component);
            }
            floe_check::Event::LimitReached { limit, .. } => {
                count(&mut self.cuts, Cut::Checks(limit), 1, MOST_CODES);
            }
            floe_check::Event::RemoteLearned { .. } => self.learned = self.learned.saturating_add(1),
            floe_check::Event::RoleSwitched(_) => self.role_switches = self.role_switches.saturating_add(1),
            _ => {}
        }
    }

    /// A candidate the peer has signalled.
    pub(crate) fn on_remote(&mut self, kind: CandidateType, address: TransportAddress) {
        self.remote.add(kind, address);
    }

    /// A candidate the peer has signalled that is of no use.
    pub(crate) fn on_ignored(&mut self, reason: Ignored) -> Ignored {
        count(&mut self.ignored, reason, 1, MOST_CODES);
        reason
    }

    /// A message of connectivity checks, as the checklist set has judged it.
    pub(crate) fn on_received(&mut self, message: &Message<'_>, outcome: Outcome) {
        use floe_check::DropReason;
        let (totals, class) = (&mut self.totals, message.class());
        let counter = match (class, outcome) {
            (Class::Request, Outcome::Taken) => &mut totals.requests_accepted,
            (Class::Request, Outcome::Dropped(DropReason::Refused)) => &mut totals.requests_refused,
            (Class::Success | Class::Error, Outcome::Taken) => &mut totals.answers_received,
            (Class::Success | Class::Error, Outcome::Dropped(DropReason::Integrity)) => {
                &mut totals.answers_unauthenticated
            }
            _ => return,
        };
        *counter = counter.saturating_add(1);
        if class == Class::Error {
            self.error(Side::Peer, message, outcome == Outcome::Taken);
        }
    }

    /// A message of connectivity checks that leaves.
    pub(crate) fn on_sent(&mut self, kind: floe_check::TransmitKind, bytes: &[u8]) {
        let totals = &mut self.totals;
        let counter = match kind {
            floe_check::TransmitKind::Check => &mut totals.checks_sent,
            floe_check::TransmitKind::Consent => &mut totals.consents_sent,
            floe_check::TransmitKind::Response => &mut totals.answers_sent,
            floe_check::TransmitKind::Keepalive => return,
        };
        *counter = counter.saturating_add(1);
        if kind == floe_check::TransmitKind::Response
            && bytes.starts_with(&BINDING_ERROR)
            && let Ok(message) = Message::parse(bytes)
        {
            self.error(Side::Us, &message, message.has_integrity());
        }
    }

    fn error(&mut self, by: Side, message: &Message<'_>, authenticated: bool) {
        let Ok(Some(error)) = message.get::<ErrorCode<'_>>() else { return };
        let code = error.code();
        let same = |known: &&mut ErrorCount| {
            known.by == by && known.code == code && known.authenticated == authenticated
        };
        if let Some(known) = self.errors.iter_mut().find(same) {
            known.times = known.times.saturating_add(1);
        } else if self.errors.len() < MOST_CODES {
            self.errors.push(ErrorCount { by, code, authenticated, times: 1 });
        }
    }

    fn server_failed(
        &mut self,
        now: Instant,
        server: usize,
        local: Option<IpAddr>,
        address: Option<TransportAddress>,
        error: &ServerError,
    ) {
        let mut own = self.servers.iter_mut().filter(|(of, _)| *of == server);
        let known =
            own.find(|(_, known)| known.local == local && known.address == address && known.error == *error);
        if let Some((_, known)) = known {
            (known.at, known.times) = (now, known.times.saturating_add(1));
        } else if self.servers.iter().filter(|(of, _)| *of == server).count() < MOST_SERVER_FAILURES {
            let failure = ServerFailure { local, address, error: error.clone(), at: now, times: 1 };
            self.servers.push((server, failure));
        } else {
            self.servers_left_out = self.servers_left_out.saturating_add(1);
        }
    }

    /// The selected pair of a component has ended; it is the one that still stands in the checklist.
    fn lost(&mut self, at: Instant, checks: &ChecklistSet, stream: StreamId, component: ComponentId) {
        let own = checks.pairs().filter(|pair| pair.stream == stream && pair.component == component);
        let failure = own.filter(|pair| pair.listed).find_map(|pair| pair.failure);
        let failure = failure.unwrap_or(floe_check::Failure::BaseRemoved);
        if self.losses.len() < MOST_LOSSES {
            self.losses.push(Loss { stream, component, failure, at });
        }
    }

    /// Messages of one generation, whose checks these are. Where others came before, theirs may still be on the way: then
    /// its pairs tell what is its own.
    fn totals_of(&self, checks: &ChecklistSet) -> Totals {
        let Some(before) = &self.before else { return self.totals };
        let mut own = Totals {
            requests_refused: self.totals.requests_refused.saturating_sub(before.requests_refused),
            answers_unauthenticated: self
                .totals
                .answers_unauthenticated
                .saturating_sub(before.answers_unauthenticated),
            ..Totals::default()
        };
        for pair in checks.pairs() {
            own.checks_sent = own.checks_sent.saturating_add(pair.requests_sent.into());
            own.answers_received = own.answers_received.saturating_add(pair.responses_received.into());
            own.requests_accepted = own.requests_accepted.saturating_add(pair.requests_received.into());
        }
        own
    }

    /// Keeps what the pairs of one data stream, or of all, are now: soon they may be freed.
    fn fold(&mut self, checks: &ChecklistSet, only: Option<StreamId>) {
        if self.full {
            for pair in checks.pairs().filter(|pair| only.is_none_or(|stream| pair.stream == stream)) {
                let record = self.record(&pair);
                record::update(&mut self.pairs, record, MOST_PAIRS);
            }
        }
        let Some(stream) = only else {
            for (stream, pairs) in summaries(checks) {
                self.keep(stream, pairs);
            }
            return;
        };
        let mut pairs = PairSummary::default();
        let own = checks.pair_states().filter(|(of, ..)| *of == stream);
        own.for_each(|(_, state, failure)| pairs.add(state, failure));
        if pairs.total() > 0 {
            self.keep(stream, pairs);
        }
    }

    fn keep(&mut self, stream: StreamId, pairs: PairSummary) {
        update(&mut self.folded, stream, |known| {
            // Once most are freed, what is left says less than what was known.
            if pairs.total() >= known.total() {
                *known = pairs;
            }
        });
    }

    /// Pairs as they are, and where they are no more, as they were.
    fn pairs(&self, checks: &ChecklistSet) -> (PairSummary, Vec<PairRecord>, u32) {
        let (mut list, mut left_out) = (self.pairs.clone(), 0_u32);
        if self.full {
            for pair in checks.pairs() {
                if !record::update(&mut list, self.record(&pair), MOST_PAIRS) {
                    left_out = left_out.saturating_add(1);
                }
            }
        }
        let mut now = summaries(checks);
        for (stream, folded) in self.folded.iter() {
            update(&mut now, *stream, |live| {
                if live.total() < folded.total() {
                    live.clone_from(folded);
                }
            });
        }
        now.sort_unstable_by_key(|(stream, _)| *stream);
        let mut all = PairSummary::default();
        for (_, pairs) in now.iter() {
            all.merge(pairs);
        }
        (all, list, left_out)
    }

    fn record(&self, pair: &floe_check::PairReport) -> PairRecord {
        let to = pair.remote.address.socket_addr();
        // A server that could not tell the port says 0.
        let about =
            |peer: &SocketAddr| peer.ip() == to.ip() && (peer.port() == to.port() || peer.port() == 0);
        let icmp = self.icmp.iter().find(|(base, peer, _)| *base == pair.base && about(peer));
        PairRecord::new(pair, icmp.map(|(_, _, icmp)| *icmp))
    }
}

/// The pairs of each data stream, counted.
fn summaries(checks: &ChecklistSet) -> Few<(StreamId, PairSummary)> {
    let mut found = Few::new();
    for (stream, state, failure) in checks.pair_states() {
        update(&mut found, stream, |summary| summary.add(state, failure));
    }
    found
}

/// Changes the summary of a data stream. Most agents have one stream.
fn update(list: &mut Few<(StreamId, PairSummary)>, stream: StreamId, change: impl FnOnce(&mut PairSummary)) {
    if let Some((_, known)) = list.iter_mut().find(|(known, _)| *known == stream) {
        change(known);
        return;
    }
    let mut new = PairSummary::default();
    change(&mut new);
    list.push((stream, new));
}

impl Agent {
    /// What the agent has done so far, and with what success: a summary, and every pair where
    /// [`AgentConfig::full_report`](crate::AgentConfig::full_report) is set.
    pub fn report(&self) -> Report {
        let (ledger, checks) = (&self.ledger, self.reported());
        let (pairs, pair_list, pairs_left_out) = ledger.pairs(checks);
        Report {
            at: self.now,
            state: self.state(),
            role: self.role(),
            remote_parameters: checks.remote_parameters().is_some(),
            servers: self.server_reports(),
            server_failures_left_out: ledger.servers_left_out,
            interfaces: self
                .gatherer
                .interfaces()
                .map(|(name, ip, skipped)| InterfaceReport { name: name.into(), ip: Some(ip), skipped })
                .collect(),
            host_failures: ledger.hosts.clone(),
            local: ledger.local,
            remote: ledger.remote,
            remote_learned: ledger.learned,
            ignored: ledger.ignored.clone(),
            components: self.component_counts(checks),
            losses: ledger.losses.clone(),
            pairs,
            pair_list,
            pairs_left_out,
            totals: ledger.totals,
            own: ledger.totals_of(checks),
            errors: ledger.errors.clone(),
            cuts: ledger.cuts.clone(),
            role_switches: ledger.role_switches,
        }
    }

    /// What anybody may be told at failure (T3).
    pub(crate) fn failure(&self) -> Box<Report> {
        Box::new(self.report().for_peer())
    }

    fn server_reports(&self) -> Vec<ServerReport> {
        let reports = self.gatherer.servers().enumerate().map(|(index, server)| ServerReport {
            url: server.url.to_string().into(),
            turn: server.url.is_turn(),
            asked: server.asked,
            mapped: server.mapped,
            relayed: server.relayed,
            failures: self
                .ledger
                .servers
                .iter()
                .filter(|(of, _)| *of == index)
                .map(|(_, failure)| failure.clone())
                .collect(),
        });
        reports.collect()
    }

    /// The generation that a report is about: the one in force, or as long as a restart is unanswered the one before, if
    /// that has a peer.
    fn reported(&self) -> &ChecklistSet {
        let standing = self.generations.standing().map(|earlier| &earlier.checks);
        standing.filter(|checks| checks.remote_parameters().is_some()).unwrap_or(&self.checks)
    }

    fn component_counts(&self, checks: &ChecklistSet) -> ComponentCounts {
        let mut counts = ComponentCounts { ever_valid: self.ledger.ever_valid, ..ComponentCounts::default() };
        for component in &self.components {
            if checks.is_absent(component.stream, component.id) {
                continue;
            }
            counts.all = counts.all.saturating_add(1);
            if checks.selected(component.stream, component.id).is_some() {
                counts.selected = counts.selected.saturating_add(1);
            } else if checks.best_valid(component.stream, component.id).is_some() {
                counts.valid = counts.valid.saturating_add(1);
            }
        }
        counts
    }
}
