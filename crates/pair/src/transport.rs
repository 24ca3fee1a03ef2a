//! Transport protocol of a candidate.

use core::fmt;

/// Transport of a candidate, with the direction of connection for TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP with RFC 4571 framing (RFC 6544).
    Tcp(TcpType),
}

/// Which side opens the connection (RFC 6544 §4.5, `tcptype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum TcpType {
    /// Opens connections; its port means nothing.
    Active,
    /// Waits for connections.
    Passive,
    /// Both sides open at once.
    SimultaneousOpen,
}

/// Transport protocol without direction: what foundations tell apart (RFC 8445 §5.1.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP, or TLS over it.
    Tcp,
}

impl Transport {
    /// The protocol without direction.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Udp => Protocol::Udp,
            Self::Tcp(_) => Protocol::Tcp,
        }
    }

    /// Direction of the connection; `None` for UDP.
    pub const fn tcp_type(self) -> Option<TcpType> {
        match self {
            Self::Udp => None,
            Self::Tcp(tcp_type) => Some(tcp_type),
        }
    }

    /// Whether checks are sent from a local candidate of this transport.
    pub const fn sends_checks(self) -> bool {
        // RFC 6544 §6.2: pairs with a passive local candidate leave the checklist; the peer opens and checks first.
        !matches!(self, Self::Tcp(TcpType::Passive))
    }

    /// Whether a local candidate of this transport goes together with a remote one of the other.
    pub const fn pairs_with(self, remote: Self) -> bool {
        // RFC 6544 §6.2: active with passive, passive with active, simultaneous-open with its like.
        matches!(
            (self, remote),
            (Self::Udp, Self::Udp)
                | (Self::Tcp(TcpType::Active), Self::Tcp(TcpType::Passive))
                | (Self::Tcp(TcpType::Passive), Self::Tcp(TcpType::Active))
                | (Self::Tcp(TcpType::SimultaneousOpen), Self::Tcp(TcpType::SimultaneousOpen))
        )
    }
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        transport.protocol()
    }
}

impl TcpType {
    /// The word of the candidate text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }

    /// The type a word of the candidate text names, in any case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Passive, Self::SimultaneousOpen]
            .into_iter()
            .find(|tcp_type| word.eq_ignore_ascii_case(tcp_type.as_str()))
    }
}

impl Protocol {
    /// The word of the candidate text. Lower case, as browsers write it: the grammar takes either, some readers do not.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The protocol a word of the candidate text names, in any case.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp].into_iter().find(|protocol| word.eq_ignore_ascii_case(protocol.as_str()))
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
