//! What can be wrong with a candidate line.

use core::fmt;

/// Field of a candidate line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Foundation.
    Foundation,
    /// Component number.
    Component,
    /// Transport protocol.
    Transport,
    /// Priority.
    Priority,
    /// Connection address.
    Address,
    /// Port.
    Port,
    /// The word `typ` and the candidate type.
    Type,
    /// Direction of a TCP candidate.
    TcpType,
    /// Name or value of an extension.
    Extension,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foundation => "foundation",
            Self::Component => "component",
            Self::Transport => "transport",
            Self::Priority => "priority",
            Self::Address => "address",
            Self::Port => "port",
            Self::Type => "candidate type",
            Self::TcpType => "tcp type",
            Self::Extension => "extension",
        })
    }
}

/// Why a candidate line was refused. `at` is the offset in bytes of the field in the text that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// The text is longer than [`crate::CandidateLine::MAX_LENGTH`].
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The text has a byte that is neither visible ASCII nor a space.
    NotVisible {
        /// Offset of the byte.
        at: usize,
    },
    /// The text ends before a field, or the field is empty.
    Missing {
        /// The field.
        field: Field,
    },
    /// A field does not follow the grammar.
    Malformed {
        /// The field.
        field: Field,
        /// Where it begins.
        at: usize,
    },
    /// A number lies outside the range of its field.
    OutOfRange {
        /// The field.
        field: Field,
        /// Where it begins.
        at: usize,
    },
    /// A transport that is not UDP or TCP, or a direction of TCP that is not known.
    UnknownTransport {
        /// Where it begins.
        at: usize,
    },
    /// An address that is neither IPv4 nor IPv6 nor a name.
    UnknownAddressFamily {
        /// Where it begins.
        at: usize,
    },
    /// A candidate type that is not known.
    UnknownType {
        /// Where it begins.
        at: usize,
    },
    /// A TCP candidate without its direction.
    MissingTcpType,
    /// Port 0 for a candidate that would have to be sent to.
    PortZero {
        /// Where it begins.
        at: usize,
    },
}

impl CandidateError {
    /// Whether the line may be fine and this agent only cannot use it. Such a line is ignored and the session goes
    /// on (RFC 8839 §5.1); any other error says that the line is broken.
    pub const fn is_ignorable(&self) -> bool {
        matches!(
            self,
            Self::UnknownTransport { .. }
                | Self::UnknownAddressFamily { .. }
                | Self::UnknownType { .. }
                | Self::MissingTcpType
                | Self::PortZero { .. }
                | Self::OutOfRange { field: Field::Priority, .. }
        )
    }
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => write!(f, "candidate line of {length} bytes is too long"),
            Self::NotVisible { at } => write!(f, "byte {at} of the candidate line is not visible ASCII"),
            Self::Missing { field } => write!(f, "candidate line has no {field}"),
            Self::Malformed { field, at } => write!(f, "malformed {field} at byte {at}"),
            Self::OutOfRange { field, at } => write!(f, "{field} at byte {at} is out of range"),
            Self::UnknownTransport { at } => write!(f, "unknown transport at byte {at}"),
            Self::UnknownAddressFamily { at } => write!(f, "unknown address family at byte {at}"),
            Self::UnknownType { at } => write!(f, "unknown candidate type at byte {at}"),
            Self::MissingTcpType => f.write_str("tcp candidate has no tcptype"),
            Self::PortZero { at } => write!(f, "port 0 at byte {at}"),
        }
    }
}

impl core::error::Error for CandidateError {}
