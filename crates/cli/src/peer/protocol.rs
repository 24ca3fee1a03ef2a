//! The lines of the peer protocol: see `docs/peer-protocol.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What standard input may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case")]
pub(crate) enum Command {
    /// Make the agent and begin to gather.
    Start(Start),
    /// The peer's credentials.
    RemoteParameters(RemoteParameters),
    /// One candidate of the peer.
    RemoteCandidate(RemoteCandidate),
    /// The peer has no more candidates.
    RemoteGatheringComplete {
        #[serde(default)]
        ufrag: Option<String>,
    },
    /// Send one datagram.
    Send {
        #[serde(default)]
        stream: u16,
        #[serde(default = "one")]
        component: u16,
        data: String,
    },
    /// Begin a new generation.
    Restart,
    /// Two lite agents have agreed on a pair.
    Reconcile {
        #[serde(default)]
        stream: u16,
        #[serde(default = "one")]
        component: u16,
        local: String,
        remote: String,
    },
    /// Answer with counts.
    Stats,
    /// End.
    Close,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Start {
    pub(crate) role: Role,
    #[serde(default = "one")]
    pub(crate) components: u16,
    #[serde(default = "one")]
    pub(crate) streams: u16,
    #[serde(default)]
    pub(crate) servers: Vec<Server>,
    #[serde(default)]
    pub(crate) policy: Policy,
    #[serde(default = "yes")]
    pub(crate) trickle: bool,
    #[serde(default)]
    pub(crate) lite: bool,
    #[serde(default)]
    pub(crate) pacing: Option<u64>,
    #[serde(default)]
    pub(crate) options: Options,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Controlling,
    Controlled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    #[default]
    All,
    Relay,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Server {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) username: Option<String>,
    #[serde(default)]
    pub(crate) credential: Option<String>,
}

/// What is floe's own in `start`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Options {
    /// Loopback addresses are candidates too.
    #[serde(default)]
    pub(crate) loopback: bool,
    /// Candidates are told all at once, though the agent takes those of its peer one by one (RFC 8838 §16).
    #[serde(default)]
    pub(crate) half_trickle: bool,
    /// `renomination2` is among the ice-options.
    #[serde(default)]
    pub(crate) renomination: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RemoteParameters {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    #[serde(default)]
    pub(crate) lite: bool,
    #[serde(default)]
    pub(crate) options: Vec<String>,
    #[serde(default)]
    pub(crate) pacing: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RemoteCandidate {
    pub(crate) candidate: String,
    #[serde(default)]
    pub(crate) ufrag: Option<String>,
    #[serde(default)]
    pub(crate) stream: u16,
}

fn one() -> u16 {
    1
}

fn yes() -> bool {
    true
}

/// What standard output says.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    LocalParameters { ufrag: String, pwd: String, lite: bool, options: Vec<String>, pacing: u64 },
    LocalCandidate { candidate: String, ufrag: String, stream: u16 },
    GatheringComplete { ufrag: String },
    State { state: &'static str },
    Selected { component: u16, stream: u16, local: String, remote: String },
    Data { component: u16, stream: u16, data: String },
    Stats { stats: BTreeMap<String, serde_json::Value> },
    Error { message: String },
    Closed,
}

/// Reads one line.
///
/// # Errors
/// A sentence that says what was wrong and what is allowed.
pub(crate) fn parse(line: &str) -> Result<Command, String> {
    const COMMANDS: &str = "start, remote-parameters, remote-candidate, remote-gathering-complete, send, restart, \
                            reconcile, stats, close";
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|error| format!("the line is no JSON object: {error}"))?;
    let object = value.as_object().ok_or("the line is no JSON object")?;
    let Some(name) = object.get("cmd").and_then(serde_json::Value::as_str) else {
        return Err(format!("the object has no text under `cmd`; commands are {COMMANDS}"));
    };
    if !COMMANDS.split(", ").any(|known| known == name) {
        return Err(format!("unknown command `{name}`; commands are {COMMANDS}"));
    }
    let name = name.to_owned();
    serde_json::from_value(value).map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_wrong_say_what_is_allowed() {
        let message = |line| parse(line).unwrap_err();
        assert!(message("hello").starts_with("the line is no JSON object"));
        assert!(message("[1]").starts_with("the line is no JSON object"));
        assert!(message("{}").contains("no text under `cmd`"));
        assert!(message(r#"{"cmd":"fly"}"#).contains("unknown command `fly`"));
        assert!(message(r#"{"cmd":"start","role":"boss"}"#).contains("controlling"));
        assert!(message(r#"{"cmd":"send"}"#).contains("data"));
    }

    #[test]
    fn absent_fields_have_the_defaults_of_the_protocol() {
        let Ok(Command::Start(start)) = parse(r#"{"cmd":"start","role":"controlled","later":1}"#) else {
            panic!("the line is right");
        };
        assert!(start.trickle && !start.lite && start.servers.is_empty() && !start.options.loopback);
        assert_eq!((start.components, start.streams), (1, 1));
        assert!(matches!(start.policy, Policy::All));
    }

    #[test]
    fn events_are_written_in_kebab_case() {
        let text = serde_json::to_string(&Event::GatheringComplete { ufrag: "abcd".into() }).unwrap();
        assert_eq!(text, r#"{"event":"gathering-complete","ufrag":"abcd"}"#);
    }
}
