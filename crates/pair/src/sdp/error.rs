//! What can be wrong with a description or a fragment.

use core::fmt;

use super::{MAX_LENGTH, MAX_SECTIONS, MediaLineError, Mid, Pacing};
use crate::{CandidateError, CredentialError, IceOptions, IceOptionsError, Pwd, Ufrag};

/// A line that ICE has to understand and cannot. Lines of others are never looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdpError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: SdpFault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpFault {
    /// The text is longer than [`MAX_LENGTH`]; the length.
    TooLong(usize),
    /// More sections than [`MAX_SECTIONS`].
    TooManySections,
    /// An `m=` line.
    MediaLine,
    /// A `c=` line.
    Connection,
    /// `a=candidate`; places in it count from behind the colon.
    Candidate(CandidateError),
    /// `a=remote-candidates`.
    RemoteCandidates,
    /// `a=ice-ufrag`.
    Ufrag(CredentialError),
    /// `a=ice-pwd`.
    Pwd(CredentialError),
    /// `a=ice-options`.
    Options(IceOptionsError),
    /// `a=ice-pacing`.
    Pacing,
    /// `a=mid`.
    Mid,
    /// `a=group:BUNDLE`.
    Bundle,
    /// `a=rtcp`.
    Rtcp,
    /// The attribute of this name stands twice at one level, with different values.
    Contradiction(&'static str),
    /// Two sections have one identification tag.
    MidTwice,
    /// Two sections have one user fragment and different passwords (RFC 8839 §5.4).
    TwoPasswords,
    /// A section of a fragment has candidates and no identification tag (RFC 8840 §4.4).
    NoMid,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl core::error::Error for SdpError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.fault {
            SdpFault::Candidate(error) => Some(error),
            SdpFault::Ufrag(error) | SdpFault::Pwd(error) => Some(error),
            SdpFault::Options(error) => Some(error),
            _ => None,
        }
    }
}

/// The fault with what is allowed.
impl fmt::Display for SdpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "{length} bytes of text, {MAX_LENGTH} are read"),
            Self::TooManySections => write!(f, "more than {MAX_SECTIONS} media sections"),
            Self::MediaLine => fmt::Display::fmt(&MediaLineError, f),
            Self::Connection => f.write_str("a connection line is IN, IP4 or IP6, and an address or name"),
            Self::Candidate(error) => fmt::Display::fmt(error, f),
            Self::RemoteCandidates => {
                f.write_str("remote-candidates has component, address and port, once for each component")
            }
            Self::Ufrag(error) => {
                let (least, most) = (Ufrag::MIN_LENGTH, Ufrag::MAX_LENGTH);
                write!(f, "ice-ufrag has {least} to {most} letters, digits, plus and slash: {error}")
            }
            Self::Pwd(error) => {
                let (least, most) = (Pwd::MIN_LENGTH, Pwd::MAX_LENGTH);
                write!(f, "ice-pwd has {least} to {most} letters, digits, plus and slash: {error}")
            }
            Self::Options(error) => {
                let (tags, bytes) = (IceOptions::MAX_TAGS, IceOptions::MAX_LENGTH);
                write!(f, "ice-options has up to {tags} tags of {bytes} bytes in all: {error}")
            }
            Self::Pacing => write!(f, "ice-pacing is a number of milliseconds up to {}", Pacing::MAX_MILLIS),
            Self::Mid => write!(f, "mid is a token of 1 to {} characters", Mid::MAX_LENGTH),
            Self::Bundle => write!(f, "a bundle group has up to {MAX_SECTIONS} identification tags"),
            Self::Rtcp => f.write_str("rtcp is a port, or a port and a connection address"),
            Self::Contradiction(name) => write!(f, "{name} stands there twice with different values"),
            Self::MidTwice => f.write_str("two sections have the same mid"),
            Self::TwoPasswords => f.write_str("sections with the same ice-ufrag have different passwords"),
            Self::NoMid => f.write_str("a section with candidates has no mid"),
        }
    }
}
