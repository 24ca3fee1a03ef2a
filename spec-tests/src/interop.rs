//! Two agents in processes of their own: the candidates are carried between them, datagrams counted, both closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::peer::{Implementation, Peer, Said};

/// Datagrams each agent sends on each component.
pub const DATAGRAMS: usize = 20;
/// The longest wait for one phase: connecting, the datagrams, closing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Payload lengths take turns, from a tag alone to what fits every path.
const LENGTHS: [usize; 5] = [20, 36, 160, 1000, 1200];

/// What both agents are told at the start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `servers` of the `start` command.
    pub servers: Vec<Value>,
    /// `all` or `relay`.
    pub policy: &'static str,
    /// Components of the one data stream.
    pub components: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { servers: Vec::new(), policy: "all", components: 1 }
    }
}

/// One of the two agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The agent that starts in the controlling role.
    Controlling,
    /// The other one.
    Controlled,
}

impl Side {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::Controlling, Self::Controlled];

    /// The peer of this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }

    const fn role(self) -> &'static str {
        match self {
            Self::Controlling => "controlling",
            Self::Controlled => "controlled",
        }
    }
}

/// The candidate texts of a selected pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedPair {
    /// The agent's own candidate.
    pub local: String,
    /// The peer's candidate.
    pub remote: String,
}

impl SelectedPair {
    /// The types of both candidates, such as `("relay", "relay")`.
    pub fn types(&self) -> (&str, &str) {
        (type_of(&self.local), type_of(&self.remote))
    }
}

fn type_of(candidate: &str) -> &str {
    let mut words = candidate.split_ascii_whitespace().skip_while(|word| *word != "typ");
    words.nth(1).unwrap_or_else(|| panic!("a candidate without a type: {candidate}"))
}

/// What one agent has told so far.
#[derive(Debug, Default)]
struct Progress {
    selected: BTreeMap<u64, SelectedPair>,
    received: BTreeMap<u64, Vec<Vec<u8>>>,
    connected: bool,
    closed: bool,
}

/// Two agents and what they told.
#[derive(Debug)]
pub struct Session {
    peers: [Peer; 2],
    said: Receiver<(Side, Said)>,
    progress: [Progress; 2],
    components: u64,
}

impl Session {
    /// Starts both agents and brings them together; returns when both have selected a pair for every component.
    ///
    /// # Errors
    /// A text for people that says what is missing, or what an implementation does not support.
    pub fn connect(
        controlling: Implementation,
        controlled: Implementation,
        plan: &Plan,
    ) -> Result<Self, String> {
        let (sender, said) = mpsc::channel();
        let start = |implementation: Implementation, side: Side| {
            let name = format!("{implementation:?} ({})", side.role());
            Ok::<_, String>(Peer::start(&name, implementation.command()?, side, sender.clone()))
        };
        let peers = [start(controlling, Side::Controlling)?, start(controlled, Side::Controlled)?];
        let progress = [Progress::default(), Progress::default()];
        let mut session = Self { peers, said, progress, components: plan.components };
        for side in Side::BOTH {
            session.peer(side).send(&json!({
                "cmd": "start",
                "role": side.role(),
                "components": plan.components,
                "servers": plan.servers,
                "policy": plan.policy,
                "options": {"loopback": true},
            }));
        }
        let components = usize::try_from(plan.components).expect("few components");
        session.run_until("connected", |progress| {
            progress.iter().all(|one| one.connected && one.selected.len() == components)
        })?;
        Ok(session)
    }

    /// The pair an agent has selected for a component.
    pub fn selected(&self, side: Side, component: u64) -> &SelectedPair {
        &self.progress[side as usize].selected[&component]
    }

    /// Both agents send [`DATAGRAMS`] on every component; every one has to arrive, once and unchanged.
    pub fn exchange(&mut self) {
        let mut sent: [BTreeMap<u64, BTreeSet<Vec<u8>>>; 2] = Default::default();
        for number in 0..DATAGRAMS {
            for side in Side::BOTH {
                for component in 1..=self.components {
                    let data = payload(side, component, number);
                    let command =
                        json!({"cmd": "send", "component": component, "data": BASE64.encode(&data)});
                    self.peer(side).send(&command);
                    sent[side as usize].entry(component).or_default().insert(data);
                }
            }
        }
        let wanted = DATAGRAMS * usize::try_from(self.components).expect("few components");
        self.run_until("all datagrams", |progress| {
            progress.iter().all(|one| one.received.values().map(Vec::len).sum::<usize>() >= wanted)
        })
        .expect("sending is supported");
        for side in Side::BOTH {
            for (component, sent) in &sent[side as usize] {
                let received = &self.progress[side.other() as usize].received[component];
                assert_eq!(received.len(), DATAGRAMS, "datagrams on component {component} from {side:?}");
                assert!(
                    received.iter().all(|data| sent.contains(data)),
                    "a datagram was changed, or came twice"
                );
                assert_eq!(
                    received.iter().collect::<BTreeSet<_>>().len(),
                    DATAGRAMS,
                    "a datagram came twice"
                );
            }
        }
    }

    /// Closes both agents: each says `closed` last and ends with status 0.
    pub fn close(mut self) {
        for side in Side::BOTH {
            self.peer(side).send(&json!({"cmd": "close"}));
        }
        self.run_until("closed", |progress| progress.iter().all(|one| one.closed))
            .expect("closing is supported");
        for peer in &mut self.peers {
            peer.expect_exit();
        }
    }

    fn peer(&mut self, side: Side) -> &mut Peer {
        &mut self.peers[side as usize]
    }

    /// Hears and carries until `done`.
    fn run_until(&mut self, what: &str, done: impl Fn(&[Progress; 2]) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.progress) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok((side, Said::Event(event))) => self.hear(side, &event)?,
                Ok((side, Said::Garbage(line))) => panic!("{side:?} wrote a line that is no event: {line}"),
                Ok((side, Said::Ended)) => assert!(
                    self.progress[side as usize].closed,
                    "{side:?} ended before '{what}': {:#?}",
                    self.progress
                ),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("not '{what}' within {PATIENCE:?}: {:#?}", self.progress)
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, side: Side, event: &Value) -> Result<(), String> {
        let component = event["component"].as_u64().unwrap_or(1);
        match event["event"].as_str().unwrap_or_default() {
            "local-parameters" => self.carry(side, event, "remote-parameters"),
            "local-candidate" => self.carry(side, event, "remote-candidate"),
            "gathering-complete" => self.carry(side, event, "remote-gathering-complete"),
            "selected" => {
                let text = |key: &str| event[key].as_str().expect("candidates of a selected pair").to_owned();
                let pair = SelectedPair { local: text("local"), remote: text("remote") };
                self.progress[side as usize].selected.insert(component, pair);
            }
            "state" => match event["state"].as_str().unwrap_or_default() {
                "connected" | "completed" => self.progress[side as usize].connected = true,
                "failed" => panic!("{side:?} failed: {:#?}", self.progress),
                _ => {}
            },
            "data" => {
                let data = BASE64.decode(event["data"].as_str().unwrap_or_default()).expect("base64");
                self.progress[side as usize].received.entry(component).or_default().push(data);
            }
            "closed" => self.progress[side as usize].closed = true,
            "error" => {
                let message = event["message"].as_str().unwrap_or_default();
                assert!(message.starts_with("unsupported:"), "{side:?}: {message}");
                return Err(format!("{side:?}: {message}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes what one agent told on to the other as a command.
    fn carry(&mut self, side: Side, event: &Value, command: &str) {
        let mut passed = event.clone();
        let fields = passed.as_object_mut().expect("events are objects");
        fields.remove("event");
        fields.insert("cmd".into(), command.into());
        self.peer(side.other()).send(&passed);
    }
}

/// A payload that no other datagram has; its first byte is that of RTP (RFC 7983 §7).
fn payload(side: Side, component: u64, number: usize) -> Vec<u8> {
    let mut data = vec![0x80];
    data.extend_from_slice(format!(" {} {component} {number:02} ", side.role()).as_bytes());
    let length = LENGTHS[number % LENGTHS.len()].max(data.len());
    data.resize(length, b'.');
    data
}
