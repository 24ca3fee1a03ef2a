//! `floe peer`: one agent, driven by lines on standard input. The protocol is in `docs/peer-protocol.md`.

mod protocol;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use floe::{
    Agent, Config, Connection, Endpoint, Event as AgentEvent, Report, State,
    pair::{CandidateLine, ComponentId, IceOptions, Parameters, StreamId, Ufrag},
    turn::uri::{Transport, Uri},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    sync::mpsc,
};

use self::protocol::{Command, Event, Policy, RemoteCandidate, RemoteParameters, Role, Start};

/// Lines that wait to be written; whoever reads slowly slows the agent's tasks down, not the agent.
const QUEUE: usize = 1024;
/// Ta of a peer that proposed none (RFC 8445 §14.2).
const DEFAULT_PACING_MS: u64 = 50;

/// Serves until `close`, the end of standard input, or the end of whoever reads standard output.
///
/// # Errors
/// A sentence for people.
pub(crate) async fn run() -> Result<(), String> {
    let (out, mut lines) = mpsc::channel::<Event>(QUEUE);
    let endpoint = Endpoint::new().await.map_err(|error| error.to_string())?;
    let mut peer = Peer { endpoint, session: None, out };
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = input.next_line() => match line {
                Ok(Some(line)) => match protocol::parse(&line) {
                    Ok(Command::Close) => break,
                    Ok(command) => peer.execute(command).await?,
                    Err(message) => write(&Event::Error { message }).await?,
                },
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    write(&Event::Error { message: "the line is no UTF-8".to_owned() }).await?;
                }
                Err(error) => {
                    eprintln!("floe peer: standard input: {error}");
                    break;
                }
            },
            Some(event) = lines.recv() => write(&event).await?,
        }
    }
    peer.close(&mut lines).await
}

struct Peer {
    endpoint: Endpoint,
    session: Option<Session>,
    out: mpsc::Sender<Event>,
}

struct Session {
    agent: Arc<Agent>,
    connections: BTreeMap<(StreamId, ComponentId), Arc<Connection>>,
    events: tokio::task::JoinHandle<()>,
}

impl Peer {
    /// Carries one command out. Only a closed standard output is an error.
    async fn execute(&mut self, command: Command) -> Result<(), String> {
        let result = match command {
            Command::Start(start) => self.start(&start).await,
            Command::RemoteParameters(parameters) => self.remote_parameters(&parameters),
            Command::RemoteCandidate(candidate) => self.remote_candidate(&candidate),
            Command::RemoteGatheringComplete { ufrag } => self.remote_gathering_complete(ufrag.as_deref()),
            Command::Send { stream, component, data } => self.send(stream, component, &data).await,
            Command::Restart => self.restart(),
            Command::Reconcile { stream, component, local, remote } => {
                self.reconcile(stream, component, [&local, &remote])
            }
            Command::Stats => self.stats().await,
            Command::Close => Ok(()),
        };
        match result {
            Ok(()) => Ok(()),
            Err(message) => write(&Event::Error { message }).await,
        }
    }

    async fn start(&mut self, start: &Start) -> Result<(), String> {
        if self.session.is_some() {
            return Err("start: the agent was started before".to_owned());
        }
        let config = config(start)?;
        let agent = self.endpoint.agent(config).map_err(|error| format!("start: {error}"))?;
        let agent = Arc::new(agent);
        write(&local_parameters(&agent.local_parameters())).await?;
        let mut connections = BTreeMap::new();
        for (stream, component) in components(start)? {
            let connection = agent.connection_of(stream, component).ok_or("start: a component is missing")?;
            let connection = Arc::new(connection);
            tokio::spawn(forward_data(Arc::clone(&connection), stream, component, self.out.clone()));
            connections.insert((stream, component), connection);
        }
        let trickles = start.trickle && !start.options.half_trickle;
        let events = tokio::spawn(forward_events(Arc::clone(&agent), trickles, self.out.clone()));
        self.session = Some(Session { agent, connections, events });
        Ok(())
    }

    fn session(&self) -> Result<&Session, String> {
        self.session.as_ref().ok_or_else(|| "the agent was not started: `start` comes first".to_owned())
    }

    /// The new parameters and candidates come as events.
    fn restart(&self) -> Result<(), String> {
        self.session()?.agent.restart().map(drop).map_err(|error| format!("restart: {error}"))
    }

    /// The pair is told as in a `selected` event.
    fn reconcile(&self, stream: u16, component: u16, pair: [&str; 2]) -> Result<(), String> {
        let id = ComponentId::new(component).ok_or("reconcile: `component` is 1 to 256")?;
        let address = |text: &str| {
            let line = text.parse::<CandidateLine>().map_err(|error| format!("reconcile: {error}"))?;
            let address = line.candidate().map(|candidate| candidate.address);
            address.ok_or_else(|| "reconcile: the candidate has a name for an address".to_owned())
        };
        let [local, remote] = pair.map(address);
        let (stream, local, remote) = (StreamId(stream), local?, remote?);
        let agent = &self.session()?.agent;
        if agent.reconcile(stream, id, local, remote).map_err(|error| format!("reconcile: {error}"))? {
            return Ok(());
        }
        // Where it is the only pair nobody has to be asked.
        let selected = agent.selected(stream, id).map(|pair| (pair.local.address, pair.remote));
        let agreed = selected == Some((local, remote)) && !agent.is_provisional(stream, id);
        if agreed { Ok(()) } else { Err("reconcile: there is no such pair to agree upon".to_owned()) }
    }

    fn remote_parameters(&self, given: &RemoteParameters) -> Result<(), String> {
        let fail = |what: &str, error: &dyn std::fmt::Display| format!("remote-parameters: {what}: {error}");
        let parameters = Parameters {
            ufrag: given.ufrag.parse().map_err(|error| fail("ufrag", &error))?,
            pwd: given.pwd.parse().map_err(|error| fail("pwd", &error))?,
            lite: given.lite,
            options: IceOptions::from_tags(given.options.iter().map(String::as_str))
                .map_err(|error| fail("options", &error))?,
            pacing: given.pacing.map(Duration::from_millis),
        };
        self.session()?
            .agent
            .set_remote_parameters(parameters)
            .map_err(|error| format!("remote-parameters: {error}"))
    }

    fn remote_candidate(&self, given: &RemoteCandidate) -> Result<(), String> {
        let session = self.session()?;
        let line = match given.candidate.parse::<CandidateLine>() {
            Ok(line) => line,
            // RFC 8839 §5.1: what a later standard may have added is passed over.
            Err(error) if error.is_ignorable() => {
                eprintln!("floe peer: candidate passed over: {error}");
                return Ok(());
            }
            Err(error) => return Err(format!("remote-candidate: {error}")),
        };
        let line = match &given.ufrag {
            Some(ufrag) if line.ufrag().is_none() => {
                line.with_extension("ufrag", ufrag).map_err(|error| format!("remote-candidate: {error}"))?
            }
            _ => line,
        };
        match session.agent.add_remote_candidate_to(StreamId(given.stream), &line) {
            Ok(floe::Added::Ignored(reason)) => {
                eprintln!("floe peer: candidate passed over: {reason}");
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("remote-candidate: {error}")),
        }
    }

    fn remote_gathering_complete(&self, ufrag: Option<&str>) -> Result<(), String> {
        let session = self.session()?;
        let ufrag = ufrag.map(str::parse::<Ufrag>).transpose();
        let ufrag = ufrag.map_err(|error| format!("remote-gathering-complete: {error}"))?;
        session
            .agent
            .remote_gathering_complete_of(ufrag.as_ref())
            .map(drop)
            .map_err(|error| format!("remote-gathering-complete: {error}"))
    }

    async fn send(&self, stream: u16, component: u16, data: &str) -> Result<(), String> {
        let session = self.session()?;
        let id = ComponentId::new(component).ok_or("send: `component` is 1 to 256")?;
        let payload = BASE64.decode(data).map_err(|error| format!("send: `data` is no base64: {error}"))?;
        let connection = session
            .connections
            .get(&(StreamId(stream), id))
            .ok_or_else(|| format!("send: there is no component {component} in stream {stream}"))?;
        connection.send(&payload).await.map_err(|error| format!("send: {error}"))
    }

    async fn stats(&self) -> Result<(), String> {
        let session = self.session()?;
        let mut stats = BTreeMap::new();
        for ((stream, component), connection) in &session.connections {
            let counts = connection.stats();
            let counts = serde_json::json!({
                "sent_datagrams": counts.sent_datagrams,
                "sent_bytes": counts.sent_bytes,
                "received_datagrams": counts.received_datagrams,
                "received_bytes": counts.received_bytes,
                "received_dropped": counts.received_dropped,
            });
            stats.insert(format!("{}.{}", stream.0, component.get()), counts);
        }
        let verdicts = session.agent.report().map(|report| report.verdicts()).unwrap_or_default();
        let verdicts = verdicts
            .iter()
            .map(|verdict| serde_json::json!({ "code": verdict.code(), "text": verdict.to_string() }))
            .collect();
        stats.insert("verdicts".to_owned(), verdicts);
        write(&Event::Stats { stats }).await
    }

    async fn close(self, lines: &mut mpsc::Receiver<Event>) -> Result<(), String> {
        let Self { endpoint, session, out } = self;
        drop(out);
        if let Some(mut session) = session {
            session.agent.close();
            // The agent's events end when it has given everything back.
            loop {
                tokio::select! {
                    biased;
                    Some(event) = lines.recv() => write(&event).await?,
                    _ = &mut session.events => break,
                }
            }
            while let Ok(event) = lines.try_recv() {
                write(&event).await?;
            }
        }
        drop(endpoint);
        write(&Event::Closed).await
    }
}

fn config(start: &Start) -> Result<Config, String> {
    let mut config = match start.role {
        Role::Controlling => Config::controlling(),
        Role::Controlled => Config::controlled(),
    };
    for server in &start.servers {
        let fail = |error: &dyn std::fmt::Display| format!("start: server {}: {error}", server.url);
        let uri: Uri = server.url.parse().map_err(|error| fail(&error))?;
        if uri.is_secure() || uri.transport() != Transport::Udp {
            return Err(format!("unsupported: server {}: plain UDP alone is spoken to servers", server.url));
        }
        config = match (&server.username, &server.credential) {
            (Some(name), Some(credential)) if uri.is_turn() => {
                config.server(&server.url, name, credential).map_err(|error| fail(&error))?
            }
            _ => config.stun(&server.url).map_err(|error| fail(&error))?,
        };
    }
    if matches!(start.policy, Policy::Relay) {
        if start.lite {
            return Err("unsupported: a lite agent has no relays (RFC 8445 §5.2)".to_owned());
        }
        config = config.relay_only();
    }
    if start.lite {
        config = config.lite();
    }
    if start.options.loopback {
        config = config.loopback();
    }
    if let Some(pacing) = start.pacing {
        if !(5..=500).contains(&pacing) {
            return Err(format!("start: `pacing` of {pacing} ms, 5 to 500 are allowed"));
        }
        config = config.pacing(Duration::from_millis(pacing));
    }
    let mut streams: BTreeMap<StreamId, Vec<ComponentId>> = BTreeMap::new();
    for (stream, component) in components(start)? {
        streams.entry(stream).or_default().push(component);
    }
    let config = config.trickle(start.trickle).renomination(start.options.renomination);
    Ok(config.streams(streams.into_iter().collect()))
}

fn components(start: &Start) -> Result<Vec<(StreamId, ComponentId)>, String> {
    if start.streams == 0 || start.components == 0 || start.components > 256 {
        return Err("start: at least one stream, and 1 to 256 components".to_owned());
    }
    let ids = (0..start.streams)
        .flat_map(|stream| (1..=start.components).map(move |component| (stream, component)));
    Ok(ids.filter_map(|(stream, component)| Some((StreamId(stream), ComponentId::new(component)?))).collect())
}

/// Candidates that wait to be told all at once. `None`: each is told as it comes.
struct Held(Option<Vec<Event>>);

impl Held {
    fn new(trickles: bool) -> Self {
        Self((!trickles).then(Vec::new))
    }

    /// The candidates of another generation come; what waits of the one before goes with them.
    fn renew(&mut self, trickles: bool) {
        if !trickles {
            self.0.get_or_insert_default();
        }
    }

    /// A candidate was found; returns it where it is told now.
    fn add(&mut self, candidate: Event) -> Option<Event> {
        match &mut self.0 {
            Some(held) => {
                held.push(candidate);
                None
            }
            None => Some(candidate),
        }
    }

    /// Gathering is complete, or its deadline has passed: what waits is told, and what may still come follows one by
    /// one.
    fn release(&mut self) -> Vec<Event> {
        self.0.take().unwrap_or_default()
    }
}

/// Candidates are told as they come, or where the agent does not trickle, all at once at their end or the deadline
/// (RFC 8838 §16).
async fn forward_events(agent: Arc<Agent>, trickles: bool, out: mpsc::Sender<Event>) {
    let mut held = Held::new(trickles);
    while let Some(event) = agent.event().await {
        // A generation that is gone meanwhile has nothing to tell.
        let parameters = |generation| agent.parameters_of(generation);
        let ufrag = |generation| parameters(generation).map(|of| of.ufrag.as_str().to_owned());
        let event = match event {
            AgentEvent::LocalCandidate { stream, candidate, generation } => {
                let Some(ufrag) = ufrag(generation) else { continue };
                let candidate = CandidateLine::from(&candidate).to_string();
                let event = Event::LocalCandidate { candidate, ufrag, stream: stream.0 };
                let Some(event) = held.add(event) else { continue };
                event
            }
            ended @ (AgentEvent::GatheringDeadline | AgentEvent::GatheringComplete { .. }) => {
                for event in held.release() {
                    if out.send(event).await.is_err() {
                        return;
                    }
                }
                let AgentEvent::GatheringComplete { generation } = ended else { continue };
                let Some(ufrag) = ufrag(generation) else { continue };
                Event::GatheringComplete { ufrag }
            }
            AgentEvent::Restarted { generation } => {
                held.renew(trickles);
                let Some(parameters) = parameters(generation) else { continue };
                local_parameters(&parameters)
            }
            AgentEvent::Moved { reason, .. } => {
                eprintln!("floe peer: moved to another pair: {reason:?}");
                continue;
            }
            AgentEvent::RestartSuggested { reason, .. } => {
                eprintln!("floe peer: a restart is suggested: {reason:?}");
                continue;
            }
            AgentEvent::State(state) => Event::State { state: name(state) },
            AgentEvent::Selected { stream, component, local, remote } => Event::Selected {
                component: component.get(),
                stream: stream.0,
                local: CandidateLine::from(&local).to_string(),
                remote: CandidateLine::from(&remote).to_string(),
            },
            AgentEvent::ServerFailed { server, error, .. } => {
                eprintln!("floe peer: server {server}: {error}");
                continue;
            }
            AgentEvent::Failed(_) | AgentEvent::ConsentLost { .. } => {
                // This host's own user may know more than the event tells everybody.
                for verdict in agent.report().iter().flat_map(Report::verdicts) {
                    eprintln!("floe peer: verdict: {verdict}");
                }
                continue;
            }
            _ => continue,
        };
        if out.send(event).await.is_err() {
            return;
        }
    }
}

async fn forward_data(
    connection: Arc<Connection>,
    stream: StreamId,
    component: ComponentId,
    out: mpsc::Sender<Event>,
) {
    let mut buffer = vec![0; 65_535];
    while let Ok(len) = connection.recv(&mut buffer).await {
        let data = BASE64.encode(buffer.get(..len).unwrap_or_default());
        if out.send(Event::Data { component: component.get(), stream: stream.0, data }).await.is_err() {
            return;
        }
    }
}

fn local_parameters(parameters: &Parameters) -> Event {
    Event::LocalParameters {
        ufrag: parameters.ufrag.as_str().to_owned(),
        pwd: parameters.pwd.expose().to_owned(),
        lite: parameters.lite,
        options: parameters.options.tags().map(str::to_owned).collect(),
        pacing: parameters.pacing.map_or(DEFAULT_PACING_MS, milliseconds),
    }
}

const fn name(state: State) -> &'static str {
    match state {
        State::New => "new",
        State::Checking => "checking",
        State::Connected => "connected",
        State::Completed => "completed",
        State::Disconnected => "disconnected",
        State::Failed => "failed",
        State::Closed => "closed",
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One line, at once. Where nobody reads it, commands and events wait, and the agent does not.
async fn write(event: &Event) -> Result<(), String> {
    let mut line = serde_json::to_string(event).map_err(|error| error.to_string())?;
    line.push('\n');
    let fail = |error: io::Error| format!("standard output: {error}");
    let mut out = tokio::io::stdout();
    out.write_all(line.as_bytes()).await.map_err(fail)?;
    out.flush().await.map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(held: &mut Held, count: usize) -> usize {
        let candidate =
            || Event::LocalCandidate { candidate: String::new(), ufrag: String::new(), stream: 0 };
        (0..count).filter(|_| held.add(candidate()).is_some()).count()
    }

    #[test]
    fn trk_16_candidates_are_held_until_the_deadline_and_then_told_one_by_one() {
        let mut held = Held::new(false);
        assert_eq!(candidates(&mut held, 3), 0);
        assert_eq!(held.release().len(), 3);
        assert_eq!(candidates(&mut held, 2), 2, "late ones");
        assert!(held.release().is_empty(), "the end tells none twice");
        held.renew(false);
        assert_eq!((candidates(&mut held, 1), held.release().len()), (0, 1), "a restart begins anew");
        let mut held = Held::new(true);
        held.renew(true);
        assert_eq!((candidates(&mut held, 2), held.release().len()), (2, 0));
    }
}
