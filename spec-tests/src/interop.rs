//! Two agents in processes of their own: the candidates are carried between them, datagrams counted, both closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};

use crate::peer::{Implementation, Peer, Said};

/// Datagrams each agent sends on each component in one exchange.
pub const DATAGRAMS: usize = 20;
/// How many of them are under way at a time. The pair that one agent sends on may not be proved on the other side yet,
/// which then holds a few datagrams and no more.
const WINDOW: usize = 8;
/// The longest wait for one phase: connecting, the datagrams, restarting, closing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Payload lengths take turns, from a tag alone to what fits every path.
const LENGTHS: [usize; 5] = [20, 36, 160, 1000, 1200];

/// What the agents are told at the start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `servers` of the `start` command, by [`Side`].
    pub servers: [Vec<Value>; 2],
    /// `all` or `relay`.
    pub policy: &'static str,
    /// Components of the one data stream.
    pub components: u64,
    /// Whether candidates are told one at a time, as they are found.
    pub trickle: bool,
    /// Whether both agents are lite.
    pub lite: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { servers: [Vec::new(), Vec::new()], policy: "all", components: 1, trickle: true, lite: false }
    }
}

impl Plan {
    /// Tells both agents of a server.
    #[must_use]
    pub fn server(self, server: &Value) -> Self {
        Self { servers: [vec![server.clone()], vec![server.clone()]], ..self }
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

fn pair_of(event: &Value) -> SelectedPair {
    let text = |key: &str| event[key].as_str().expect("candidates of a selected pair").to_owned();
    SelectedPair { local: text("local"), remote: text("remote") }
}

fn type_of(candidate: &str) -> &str {
    let mut words = candidate.split_ascii_whitespace().skip_while(|word| *word != "typ");
    words.nth(1).unwrap_or_else(|| panic!("a candidate without a type: {candidate}"))
}

/// When an agent had told all candidates of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Gathered {
    #[default]
    NotYet,
    /// Before it had selected a pair.
    First,
    /// When it had one.
    Later,
}

/// What one agent has told so far.
#[derive(Debug, Default)]
struct Progress {
    /// How many generations it has begun.
    generations: usize,
    /// Whether it has told all candidates of that.
    gathered: Gathered,
    connected: bool,
    completed: bool,
    /// Of its newest generation, by component.
    selected: BTreeMap<u64, SelectedPair>,
    closed: bool,
}

/// Two agents and what they told.
#[derive(Debug)]
pub struct Session {
    peers: [Peer; 2],
    said: Receiver<(Side, Said)>,
    progress: [Progress; 2],
    components: u64,
    /// Both agents are lite.
    lite: bool,
    /// Both of two lite agents were told of the choice in their newest generation.
    reconciled: bool,
    /// Datagrams sent so far on each component by each agent.
    sent: usize,
    /// Datagrams that have not arrived: for whom, on which component, what.
    under_way: BTreeSet<(Side, u64, Vec<u8>)>,
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
        let mut session = Self {
            peers: [start(controlling, Side::Controlling)?, start(controlled, Side::Controlled)?],
            said,
            progress: Default::default(),
            components: plan.components,
            lite: plan.lite,
            reconciled: false,
            sent: 0,
            under_way: BTreeSet::new(),
        };
        for side in Side::BOTH {
            session.peer(side).send(&json!({
                "cmd": "start",
                "role": side.role(),
                "components": plan.components,
                "servers": plan.servers[side as usize],
                "policy": plan.policy,
                "trickle": plan.trickle,
                "lite": plan.lite,
                "options": {"loopback": true},
            }));
        }
        session.run_until("connected", |session| session.has_selected(1))?;
        Ok(session)
    }

    /// The pair an agent has selected for a component.
    pub fn selected(&self, side: Side, component: u64) -> &SelectedPair {
        &self.progress[side as usize].selected[&component]
    }

    /// Whether an agent had selected a pair while it might still find candidates.
    pub fn connected_while_gathering(&self, side: Side) -> bool {
        self.progress[side as usize].gathered != Gathered::First
    }

    /// Both agents send [`DATAGRAMS`] on every component; every one has to arrive, once and unchanged.
    pub fn exchange(&mut self) {
        for _ in 0..DATAGRAMS {
            self.run_until("most datagrams", Self::may_send).expect("sending is supported");
            self.send_each_way();
        }
        self.expect_all_data();
    }

    /// Tells the agents of `sides` to restart; returns when both have selected a pair of the new generation for
    /// every component. Datagrams are sent at every step of it, and every one has to arrive.
    ///
    /// # Errors
    /// What an implementation does not support.
    pub fn restart(&mut self, sides: &[Side]) -> Result<(), String> {
        let generations = self.progress[0].generations + 1;
        for side in sides {
            self.peer(*side).send(&json!({"cmd": "restart"}));
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.has_selected(generations) {
            // To answer data with data would never end.
            let heard = self.hear_next("selected again", deadline)?;
            if heard != "data" && self.may_send() {
                self.send_each_way();
            }
        }
        self.expect_all_data();
        Ok(())
    }

    /// Closes both agents: each says `closed` last and ends with status 0.
    pub fn close(mut self) {
        for side in Side::BOTH {
            self.peer(side).send(&json!({"cmd": "close"}));
        }
        self.run_until("closed", |session| session.progress.iter().all(|one| one.closed))
            .expect("closing is supported");
        for peer in &mut self.peers {
            peer.expect_exit();
        }
    }

    fn peer(&mut self, side: Side) -> &mut Peer {
        &mut self.peers[side as usize]
    }

    /// Whether both agents have a pair for every component, in the last of so many generations.
    fn has_selected(&self, generations: usize) -> bool {
        let components = usize::try_from(self.components).expect("few components");
        self.progress.iter().all(|one| {
            assert!(one.generations <= generations, "a restart without a reason: {:#?}", self.progress);
            let agreed = one.completed || !self.lite;
            one.generations == generations && one.connected && agreed && one.selected.len() == components
        })
    }

    /// Whether one more datagram for each agent on each component stays within the [`WINDOW`].
    fn may_send(&self) -> bool {
        let under_way = |side, component| {
            self.under_way.iter().filter(|(to, on, _)| (*to, *on) == (side, component)).count()
        };
        Side::BOTH
            .into_iter()
            .all(|side| (1..=self.components).all(|component| under_way(side, component) < WINDOW))
    }

    fn send_each_way(&mut self) {
        for side in Side::BOTH {
            for component in 1..=self.components {
                let data = payload(side, component, self.sent);
                let command = json!({"cmd": "send", "component": component, "data": BASE64.encode(&data)});
                self.under_way.insert((side.other(), component, data));
                self.peer(side).send(&command);
            }
        }
        self.sent += 1;
    }

    fn expect_all_data(&mut self) {
        self.run_until("all datagrams", |session| session.under_way.is_empty())
            .expect("sending is supported");
    }

    /// Hears and carries until `done`.
    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            self.hear_next(what, deadline)?;
        }
        Ok(())
    }

    /// Hears one event, does what it asks for, and returns its name.
    fn hear_next(&mut self, what: &str, deadline: Instant) -> Result<String, String> {
        match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((side, Said::Event(event))) => {
                self.hear(side, &event)?;
                Ok(event["event"].as_str().unwrap_or_default().to_owned())
            }
            Ok((side, Said::Garbage(line))) => panic!("{side:?} wrote a line that is no event: {line}"),
            Ok((side, Said::Ended)) => {
                assert!(
                    self.progress[side as usize].closed,
                    "{side:?} ended before '{what}': {:#?}",
                    self.progress
                );
                Ok(String::new())
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!(
                "not '{what}' within {PATIENCE:?}: {:#?}, {} datagrams under way",
                self.progress,
                self.under_way.len()
            ),
        }
    }

    fn hear(&mut self, side: Side, event: &Value) -> Result<(), String> {
        let component = event["component"].as_u64().unwrap_or(1);
        let progress = &mut self.progress[side as usize];
        match event["event"].as_str().unwrap_or_default() {
            "local-parameters" => {
                progress.generations += 1;
                (progress.gathered, self.reconciled) = (Gathered::NotYet, false);
                progress.selected.clear();
                self.carry(side, event, "remote-parameters");
            }
            "local-candidate" => self.carry(side, event, "remote-candidate"),
            "gathering-complete" => {
                progress.gathered =
                    if progress.selected.is_empty() { Gathered::First } else { Gathered::Later };
                self.carry(side, event, "remote-gathering-complete");
                self.reconcile();
            }
            "selected" => {
                progress.selected.insert(component, pair_of(event));
                self.reconcile();
            }
            "state" => match event["state"].as_str().unwrap_or_default() {
                // A level: a restart that ends at once may show no other between.
                state @ ("connected" | "completed") => {
                    (progress.connected, progress.completed) = (true, state == "completed");
                }
                "failed" => panic!("{side:?} failed: {:#?}", self.progress),
                _ => {}
            },
            "data" => {
                let data = BASE64.decode(event["data"].as_str().unwrap_or_default()).expect("base64");
                let arrived = self.under_way.remove(&(side, component, data));
                assert!(arrived, "{side:?} received what nobody sent, or the same twice: {event}");
            }
            "closed" => progress.closed = true,
            "error" => {
                let message = event["message"].as_str().unwrap_or_default();
                assert!(message.starts_with("unsupported:"), "{side:?}: {message}");
                return Err(format!("{side:?}: {message}"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Between two lite agents, once both have told all: both are told of the controlling one's choice, once.
    fn reconcile(&mut self) {
        let [controlling, controlled] = &self.progress;
        // Where one has begun a generation that the other has not, what was chosen belongs to the past.
        let together = controlling.generations == controlled.generations;
        let chosen = usize::try_from(self.components).is_ok_and(|all| controlling.selected.len() == all);
        let gathered = self.progress.iter().all(|one| one.gathered != Gathered::NotYet);
        if !self.lite || !together || !chosen || !gathered || self.reconciled {
            return;
        }
        self.reconciled = true;
        for (component, SelectedPair { local, remote }) in self.progress[0].selected.clone() {
            for (side, local, remote) in
                [(Side::Controlling, &local, &remote), (Side::Controlled, &remote, &local)]
            {
                let command =
                    json!({"cmd": "reconcile", "component": component, "local": local, "remote": remote});
                self.peer(side).send(&command);
            }
        }
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
