//! One attribute that concerns ICE.

use core::fmt;

use super::{BundleGroup, Mid, Pacing, RemoteCandidates, RtcpDestination};
use crate::{CandidateLine, IceOptions, Pwd, Ufrag};

/// An attribute of RFC 8839 or RFC 8840, or one that their rules look at. `Display` writes it without `a=` and line
/// end; it shows a password.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Attribute {
    /// `candidate` (RFC 8839 §5.1), of a section.
    Candidate(CandidateLine),
    /// `remote-candidates` (RFC 8839 §5.2), of a section.
    RemoteCandidates(RemoteCandidates),
    /// `ice-ufrag` (RFC 8839 §5.4), of the session or a section.
    Ufrag(Ufrag),
    /// `ice-pwd` (RFC 8839 §5.4), of the session or a section.
    Pwd(Pwd),
    /// `ice-options` (RFC 8839 §5.6), of the session or a section.
    Options(IceOptions),
    /// `ice-lite` (RFC 8839 §5.3), of the session.
    Lite,
    /// `ice-mismatch` (RFC 8839 §5.3), of a section of an answer.
    Mismatch,
    /// `ice-pacing` (RFC 8839 §5.5), of the session.
    Pacing(Pacing),
    /// `end-of-candidates` (RFC 8840 §8), of the session or a section.
    EndOfCandidates,
    /// `mid` (RFC 5888 §4), of a section.
    Mid(Mid),
    /// `group` with BUNDLE (RFC 8843 §7.1), of the session.
    Bundle(BundleGroup),
    /// `bundle-only` (RFC 8843 §6), of a section.
    BundleOnly,
    /// `rtcp` (RFC 3605 §2.1), of a section.
    Rtcp(RtcpDestination),
    /// `rtcp-mux` (RFC 5761 §5.1.1), of a section.
    RtcpMux,
    /// `rtcp-mux-only` (RFC 8858 §3), of a section.
    RtcpMuxOnly,
}

impl Attribute {
    /// All names.
    pub const NAMES: [&'static str; 15] = [
        "candidate",
        "remote-candidates",
        "ice-ufrag",
        "ice-pwd",
        "ice-options",
        "ice-lite",
        "ice-mismatch",
        "ice-pacing",
        "end-of-candidates",
        "mid",
        "group",
        "bundle-only",
        "rtcp",
        "rtcp-mux",
        "rtcp-mux-only",
    ];

    /// The name, in lower case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Candidate(_) => "candidate",
            Self::RemoteCandidates(_) => "remote-candidates",
            Self::Ufrag(_) => "ice-ufrag",
            Self::Pwd(_) => "ice-pwd",
            Self::Options(_) => "ice-options",
            Self::Lite => "ice-lite",
            Self::Mismatch => "ice-mismatch",
            Self::Pacing(_) => "ice-pacing",
            Self::EndOfCandidates => "end-of-candidates",
            Self::Mid(_) => "mid",
            Self::Bundle(_) => "group",
            Self::BundleOnly => "bundle-only",
            Self::Rtcp(_) => "rtcp",
            Self::RtcpMux => "rtcp-mux",
            Self::RtcpMuxOnly => "rtcp-mux-only",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            // Its own text begins with the name.
            Self::Candidate(line) => fmt::Display::fmt(line, f),
            Self::RemoteCandidates(candidates) => write!(f, "{name}:{candidates}"),
            Self::Ufrag(ufrag) => write!(f, "{name}:{ufrag}"),
            Self::Pwd(pwd) => write!(f, "{name}:{}", pwd.expose()),
            Self::Options(options) => write!(f, "{name}:{options}"),
            Self::Pacing(pacing) => write!(f, "{name}:{pacing}"),
            Self::Mid(mid) => write!(f, "{name}:{mid}"),
            Self::Bundle(group) => write!(f, "{name}:{group}"),
            Self::Rtcp(destination) => write!(f, "{name}:{destination}"),
            Self::Lite
            | Self::Mismatch
            | Self::EndOfCandidates
            | Self::BundleOnly
            | Self::RtcpMux
            | Self::RtcpMuxOnly => f.write_str(name),
        }
    }
}
