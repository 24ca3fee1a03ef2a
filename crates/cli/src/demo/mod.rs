//! `floe demo`: two agents and a STUN/TURN server on this host.

mod measure;
mod show;
mod trace;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use floe::{
    Agent, Config, Connection, Endpoint, Event,
    pair::{Candidate, CandidateLine},
};
use floe_sim::server::{PeerPolicy, ServerConfig};
use serde::Serialize;

use self::trace::Trace;
use crate::serve::Running;

const USER: &str = "floe";
const PASSWORD: &str = "a path for datagrams";
/// Longer than any run needs where a path exists: checks on one host are answered in well under a second.
const PATIENCE: Duration = Duration::from_secs(15);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Output {
    runs: Vec<Run>,
}

/// One connection that was made, or was not.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    path: &'static str,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    local: Option<String>,
    remote: Option<String>,
    usable_ms: Option<f64>,
    selected_ms: Option<f64>,
    rtt_us: Option<u64>,
    mbit_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Direct,
    Relay,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
        }
    }
}

/// Connects two agents directly, then over the relay alone.
///
/// # Errors
/// A sentence that says what failed.
pub(crate) async fn run(address: IpAddr, json: bool) -> Result<(), String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("no randomness: {error}"))?;
    let server = Running::start(address, seed, |listen| {
        let mut config = ServerConfig::new(vec![listen], vec![address]).with_user(USER, PASSWORD);
        config.peers = PeerPolicy { allow_loopback: true, ..PeerPolicy::default() };
        config
    })
    .await
    .map_err(|error| format!("the server cannot listen on {address}: {error}"))?;
    if !json {
        println!("STUN and TURN server on {}", server.address());
        println!(
            "(no NAT here: a server-reflexive candidate equals its base, and is left out by RFC 8445 §5.1.3)\n"
        );
    }
    let mut runs = Vec::new();
    for kind in [Kind::Direct, Kind::Relay] {
        runs.push(connect(kind, &server, json).await?);
    }
    let output = Output { runs };
    if json {
        println!("{}", serde_json::to_string(&output).map_err(|error| error.to_string())?);
    }
    if let Some(failed) = output.runs.iter().find(|run| !run.connected) {
        let reason = failed.reason.as_deref().unwrap_or("the reason is not known");
        return Err(format!("no {} path: {reason}", failed.path));
    }
    match server.allocations() {
        0 => Ok(()),
        left => Err(format!("{left} allocations were left on the server")),
    }
}

/// One of the two agents.
struct Side {
    name: &'static str,
    agent: Arc<Agent>,
    connection: Arc<Connection>,
}

impl Side {
    async fn start(name: &'static str, config: Config, kind: Kind, server: &Running) -> Result<Self, String> {
        let fail = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let url = format!("turn:{}?transport=udp", server.address());
        let mut config = config.loopback().server(&url, USER, PASSWORD).map_err(|error| fail(&error))?;
        if kind == Kind::Relay {
            config = config.relay_only();
        }
        let endpoint = Endpoint::new().await.map_err(|error| fail(&error))?;
        let agent = Arc::new(endpoint.agent(config).map_err(|error| fail(&error))?);
        let connection = Arc::new(agent.connection());
        Ok(Self { name, agent, connection })
    }
}

/// Makes one connection, measures it and ends it.
async fn connect(kind: Kind, server: &Running, json: bool) -> Result<Run, String> {
    let a = Side::start("A", Config::controlling(), kind, server).await?;
    let b = Side::start("B", Config::controlled(), kind, server).await?;
    for (side, other) in [(&a, &b), (&b, &a)] {
        side.agent
            .set_remote_parameters(other.agent.local_parameters())
            .map_err(|error| format!("{}: {error}", side.name))?;
    }
    let started = Instant::now();
    let (at_a, at_b) = tokio::join!(follow(&a, &b, started), follow(&b, &a, started));
    let mut run = Run::new(kind);
    if let Some(reason) = at_a.failure.as_ref().or(at_b.failure.as_ref()) {
        run.reason = Some(reason.clone());
    } else if let Some((local, remote)) = &at_a.selected {
        run.connected = true;
        run.local = Some(CandidateLine::from(local).to_string());
        run.remote = Some(CandidateLine::from(remote).to_string());
        run.usable_ms = later(at_a.usable, at_b.usable);
        run.selected_ms = later(at_a.selected_after, at_b.selected_after);
        run.rtt_us = measure::round_trip(&a.connection, &b.connection).await;
        run.mbit_s = measure::throughput(&a.connection, &b.connection).await;
    }
    if !json {
        show::run(&run, &[(&a, &at_a), (&b, &at_b)]);
    }
    for side in [&a, &b] {
        side.agent.close();
    }
    tokio::join!(a.agent.closed(), b.agent.closed());
    Ok(run)
}

impl Run {
    const fn new(kind: Kind) -> Self {
        Self {
            path: kind.name(),
            connected: false,
            reason: None,
            local: None,
            remote: None,
            usable_ms: None,
            selected_ms: None,
            rtt_us: None,
            mbit_s: None,
        }
    }
}

/// Both sides have it only when the later one has it.
fn later(a: Option<Duration>, b: Option<Duration>) -> Option<f64> {
    Some((a?.max(b?).as_secs_f64() * 1e6).round() / 1e3)
}

/// What one side saw until its pair was selected.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    candidates: Vec<(Duration, Candidate)>,
    trace: Trace,
    usable: Option<Duration>,
    selected_after: Option<Duration>,
    selected: Option<(Candidate, Candidate)>,
    gathered: bool,
    failure: Option<String>,
}

/// Carries the side's candidates to the other one and notes what happens, until a pair is selected.
async fn follow(side: &Side, other: &Side, started: Instant) -> Seen {
    let mut seen = Seen::default();
    let mut servers = Vec::new();
    while seen.selected.is_none() || !seen.gathered {
        let Ok(event) = tokio::time::timeout(PATIENCE, side.agent.event()).await else {
            seen.failure = Some(format!("{} was not connected in {} s", side.name, PATIENCE.as_secs()));
            break;
        };
        let at = started.elapsed();
        match event {
            Some(Event::LocalCandidate { stream, candidate, .. }) => {
                if let Err(error) =
                    other.agent.add_remote_candidate_to(stream, &CandidateLine::from(&candidate))
                {
                    seen.failure = Some(error.to_string());
                    break;
                }
                seen.candidates.push((at, candidate));
            }
            Some(Event::GatheringComplete { .. }) => seen.gathered = true,
            Some(Event::PairValid { .. }) => seen.usable = seen.usable.or(Some(at)),
            Some(Event::Selected { local, remote, .. }) => {
                seen.selected_after = seen.selected_after.or(Some(at));
                seen.selected = Some((local, remote));
            }
            Some(Event::ServerFailed { error, .. }) => servers.push(error.to_string()),
            Some(Event::State(floe::State::Failed)) | None => {
                let servers = servers.join("; ");
                seen.failure =
                    Some(format!("{}: no pair of candidates worked; server: {servers}", side.name));
                break;
            }
            Some(_) => {}
        }
        seen.trace.note(side.agent.pairs());
    }
    seen
}
