//! Candidate types and their preferences.

use core::fmt;

use crate::{Protocol, Transport};

/// How a candidate was found (RFC 8445 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CandidateType {
    /// An address of an interface.
    #[cfg_attr(feature = "serde", serde(rename = "host"))]
    Host,
    /// The address a server saw.
    #[cfg_attr(feature = "serde", serde(rename = "srflx"))]
    ServerReflexive,
    /// The address the peer saw in a check.
    #[cfg_attr(feature = "serde", serde(rename = "prflx"))]
    PeerReflexive,
    /// An address of a TURN server.
    #[cfg_attr(feature = "serde", serde(rename = "relay"))]
    Relayed,
}

impl CandidateType {
    /// All types, best first.
    pub const ALL: [Self; 4] = [Self::Host, Self::PeerReflexive, Self::ServerReflexive, Self::Relayed];

    /// Preference for candidates of this type and transport, 0 to 126, the larger preferred.
    pub const fn type_preference(self, transport: Transport) -> TypePreference {
        // RFC 8445 §5.1.2.2: the recommended values.
        // RFC 6544 §4.2: for datagrams UDP is better, so each TCP type lies below every direct UDP type and above the
        // relays. Relays share 0: their local preferences already put UDP first.
        TypePreference(match (self, transport.protocol()) {
            (Self::Host, Protocol::Udp) => 126,
            (Self::PeerReflexive, Protocol::Udp) => 110,
            (Self::ServerReflexive, Protocol::Udp) => 100,
            (Self::Host, Protocol::Tcp) => 90,
            (Self::PeerReflexive, Protocol::Tcp) => 80,
            (Self::ServerReflexive, Protocol::Tcp) => 70,
            (Self::Relayed, _) => 0,
        })
    }

    /// Whether a candidate of this type sends from a base that is another address (RFC 8445 §6.1.2.4).
    pub const fn is_reflexive(self) -> bool {
        matches!(self, Self::ServerReflexive | Self::PeerReflexive)
    }

    /// The word of the candidate text: `host`, `srflx`, `prflx` or `relay`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    /// The type a word of the candidate text names, in any case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| word.eq_ignore_ascii_case(kind.as_str()))
    }
}

impl fmt::Display for CandidateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Preference among candidate types, 0 to 126, the larger preferred (RFC 8445 §5.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypePreference(u8);

impl TypePreference {
    /// The preference `value`; `None` above 126.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 126 { Some(Self(value)) } else { None }
    }

    /// The number, 0 to 126.
    pub const fn get(self) -> u8 {
        self.0
    }
}
