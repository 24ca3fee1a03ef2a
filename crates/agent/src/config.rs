//! What an agent is made from.

use alloc::{vec, vec::Vec};
use core::fmt;

use floe_pair::{ComponentId, Pwd, Role, StreamId, Ufrag};

use crate::io::Dscp;

/// Data streams of one agent; an SDP offer with more media sections bundles them.
pub const MOST_STREAMS: usize = 64;

/// Which first bytes reach the application on a valid pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demultiplexing {
    /// Only those of the protocols of RFC 7983 §7 and RFC 9443 §3: DTLS, SRTP, QUIC, ZRTP.
    #[default]
    Rfc7983,
    /// Everything that is no STUN message: for applications with a protocol of their own.
    AnyData,
}

/// What an agent is made from. [`AgentConfig::new`] has the usual values; every field may be changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "independent settings, each with its name")]
pub struct AgentConfig {
    /// Where all randomness of the agent comes from. Must be unpredictable: a peer that knows it knows the password.
    pub seed: Seed,
    /// The role to begin with (RFC 8445 §6.1.1); a conflict may change it.
    pub role: Role,
    /// How checks are made.
    pub checks: floe_check::Config,
    /// Where candidates come from. Its `ta` is that of `checks`, whatever it says.
    pub gathering: floe_gather::Config,
    /// The data streams and their components.
    pub streams: Vec<(StreamId, Vec<ComponentId>)>,
    /// User fragment and password, where the application has its own; otherwise they are drawn.
    pub credentials: Option<(Ufrag, Pwd)>,
    /// Whether `trickle` is among the ice-options (RFC 8838 §3). Without it gathering is complete at its
    /// [`deadline`](floe_gather::Config::deadline) at the latest, because the signalling waits for it; with it
    /// nothing waits but the verdict that ICE has failed, and gathering goes on for as long as a server may answer.
    pub trickle: bool,
    /// Whether this agent is lite (RFC 8445 §2.5): it makes no checks and answers those of its peer. For hosts with
    /// public addresses only.
    pub lite: bool,
    /// Whether `renomination2` (and with
    /// [`legacy_renomination`](floe_check::Config::legacy_renomination) also `renomination`, of the older draft) is
    /// among the ice-options: with a peer that tells it too, the agents move to a better pair without a restart.
    pub renomination: bool,
    /// Mark of every datagram.
    pub dscp: Dscp,
    /// Which datagrams are data.
    pub demultiplexing: Demultiplexing,
    /// Whether [`Agent::report`](crate::Agent::report) lists every pair: costs memory for as long as the agent lives.
    pub full_report: bool,
}

/// Thirty-two unpredictable bytes. `Debug` hides them.
#[derive(Clone)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(redacted)")
    }
}

impl AgentConfig {
    /// One data stream with one component, no servers, and the defaults of the RFCs, but for Ta: 5 ms are proposed where
    /// RFC 8445 §14.2 has 50 ms.
    pub fn new(seed: [u8; 32], role: Role) -> Self {
        Self {
            seed: Seed(seed),
            role,
            checks: floe_check::Config::default(),
            gathering: floe_gather::Config::default(),
            streams: vec![(StreamId(0), vec![ComponentId::RTP])],
            credentials: None,
            trickle: true,
            lite: false,
            renomination: false,
            dscp: Dscp::BEST_EFFORT,
            demultiplexing: Demultiplexing::default(),
            full_report: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.streams.is_empty() {
            return Err(ConfigError::NoStreams);
        }
        if self.streams.len() > MOST_STREAMS {
            return Err(ConfigError::TooManyStreams { given: self.streams.len(), most: MOST_STREAMS });
        }
        for (index, (stream, components)) in self.streams.iter().enumerate() {
            if self.streams.iter().skip(index.saturating_add(1)).any(|(other, _)| other == stream) {
                return Err(ConfigError::StreamTwice(*stream));
            }
            if components.is_empty() {
                return Err(ConfigError::NoComponents(*stream));
            }
            if components.len() > 1 {
                let mut sorted = components.clone();
                sorted.sort_unstable();
                if sorted.windows(2).any(|two| matches!(two, [a, b] if a == b)) {
                    return Err(ConfigError::ComponentTwice(*stream));
                }
            }
            // RFC 8839 §5.1: from 1, one by one. No id is there twice, so that the highest tells.
            if components.iter().map(|id| usize::from(id.get())).max() != Some(components.len()) {
                return Err(ConfigError::ComponentGap(*stream));
            }
        }
        if self.lite && self.gathering.policy == floe_gather::Policy::RelayOnly {
            return Err(ConfigError::LiteRelayOnly);
        }
        if let Some((ufrag, _)) = &self.credentials
            && !ufrag.is_sendable()
        {
            return Err(ConfigError::UfragTooLong(ufrag.as_str().len()));
        }
        Ok(())
    }
}

/// Why no agent can be made from a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no data stream.
    NoStreams,
    /// More data streams than an agent takes.
    TooManyStreams {
        /// How many were given.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Two data streams have one id.
    StreamTwice(StreamId),
    /// A data stream has no component.
    NoComponents(StreamId),
    /// A data stream has a component twice.
    ComponentTwice(StreamId),
    /// The components of a data stream do not count from 1 without a gap (RFC 8839 §5.1).
    ComponentGap(StreamId),
    /// RFC 8839 §5.4 allows up to 32 characters to be sent; the number given.
    UfragTooLong(usize),
    /// A lite agent has host candidates alone (RFC 8445 §5.2), which relay-only hides.
    LiteRelayOnly,
    /// The settings of gathering are not usable.
    Gathering(floe_gather::ConfigError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStreams => f.write_str("an agent needs at least one data stream"),
            Self::TooManyStreams { given, most } => {
                write!(f, "{given} data streams, at most {most} are allowed")
            }
            Self::StreamTwice(stream) => write!(f, "data stream {} is there twice", stream.0),
            Self::NoComponents(stream) => write!(f, "data stream {} has no component", stream.0),
            Self::ComponentTwice(stream) => write!(f, "data stream {} has a component twice", stream.0),
            Self::ComponentGap(stream) => {
                write!(f, "the components of data stream {} do not count from 1 without a gap", stream.0)
            }
            Self::UfragTooLong(given) => {
                write!(f, "a user fragment of {given} characters, at most 32 may be sent")
            }
            Self::LiteRelayOnly => f.write_str("a lite agent has no relayed candidates to be reached by"),
            Self::Gathering(error) => write!(f, "gathering: {error}"),
        }
    }
}

impl core::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Gathering(error) => Some(error),
            _ => None,
        }
    }
}
