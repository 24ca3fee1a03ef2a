//! The candidate object of WebRTC, `RTCIceCandidateInit` (RFC 8829 §3.5.2.1, §4.1.19).

use alloc::string::{String, ToString};
use core::fmt;

use super::{Description, Mid};
use crate::{CandidateError, CandidateLine, CredentialError, Ufrag};

/// `RTCIceCandidateInit` as it stands: four values, none of them checked. With the feature `serde` it is read and
/// written as the JSON object of browsers (`candidate`, `sdpMid`, `sdpMLineIndex`, `usernameFragment`); values that
/// are missing or `null` are as here in [`Default`], others are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", default)
)]
pub struct IceCandidateInit {
    /// The candidate line from `candidate:` on; empty for the end of the candidates.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "text_or_null"))]
    pub candidate: String,
    /// Tag of the section.
    pub sdp_mid: Option<String>,
    /// Number of the section, from 0.
    #[cfg_attr(feature = "serde", serde(rename = "sdpMLineIndex"))]
    pub sdp_m_line_index: Option<u16>,
    /// User fragment of the generation.
    pub username_fragment: Option<String>,
}

#[cfg(feature = "serde")]
fn text_or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    <Option<String> as serde::Deserialize>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Which section of a description is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SectionName {
    /// By its tag.
    Mid(Mid),
    /// By its place, from 0.
    Index(u16),
    /// Both are told; the tag counts.
    MidAndIndex(Mid, u16),
}

impl SectionName {
    /// The section of `description` that is meant.
    pub fn find(&self, description: &Description) -> Option<usize> {
        match self {
            // RFC 8829 §3.5.2.1: where there is a tag it counts, not the number.
            Self::Mid(mid) | Self::MidAndIndex(mid, _) => description.section(mid),
            Self::Index(index) => Some(usize::from(*index)).filter(|index| *index < description.media.len()),
        }
    }
}

/// What an [`IceCandidateInit`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trickled {
    /// A candidate.
    Candidate {
        /// The candidate.
        line: CandidateLine,
        /// Its section.
        section: SectionName,
        /// User fragment of its generation; `None`: that of the last description.
        ufrag: Option<Ufrag>,
    },
    /// No more candidates.
    EndOfCandidates {
        /// The section that ends; `None`: all of the generation.
        section: Option<SectionName>,
        /// User fragment of the generation that ends; `None`: that of the last description.
        ufrag: Option<Ufrag>,
    },
}

impl Trickled {
    /// Whether this is of the generation that `current` belongs to.
    pub fn is_of(&self, current: &Ufrag) -> bool {
        let (Self::Candidate { ufrag, .. } | Self::EndOfCandidates { ufrag, .. }) = self;
        // RFC 8829 §3.5.2.1: without one, the last description is meant.
        ufrag.as_ref().is_none_or(|ufrag| ufrag == current)
    }
}

impl TryFrom<&IceCandidateInit> for Trickled {
    type Error = CandidateInitError;

    fn try_from(init: &IceCandidateInit) -> Result<Self, CandidateInitError> {
        let told = |text: &&str| !text.is_empty();
        let mid = init.sdp_mid.as_deref().filter(told);
        let mid = mid.map(|mid| Mid::new(mid).ok_or(CandidateInitError::Mid)).transpose()?;
        let section = match (mid, init.sdp_m_line_index) {
            (Some(mid), Some(index)) => Some(SectionName::MidAndIndex(mid, index)),
            (Some(mid), None) => Some(SectionName::Mid(mid)),
            (None, Some(index)) => Some(SectionName::Index(index)),
            (None, None) => None,
        };
        let read = |text: &str| text.parse::<Ufrag>().map_err(CandidateInitError::Ufrag);
        let ufrag = init.username_fragment.as_deref().filter(told).map(read).transpose()?;
        if init.candidate.trim().is_empty() {
            return Ok(Self::EndOfCandidates { section, ufrag });
        }
        let line: CandidateLine = init.candidate.parse().map_err(CandidateInitError::Candidate)?;
        // RFC 8829 §4.1.19: a candidate of no section is an error.
        let section = section.ok_or(CandidateInitError::NoSection)?;
        // Browsers write the fragment into the line as well; one that cannot be read is an extension like any other.
        let ufrag = ufrag.or_else(|| line.ufrag()?.parse().ok());
        Ok(Self::Candidate { line, section, ufrag })
    }
}

impl From<&Trickled> for IceCandidateInit {
    fn from(trickled: &Trickled) -> Self {
        let (candidate, section, ufrag) = match trickled {
            Trickled::Candidate { line, section, ufrag } => (line.to_string(), Some(section), ufrag),
            Trickled::EndOfCandidates { section, ufrag } => (String::new(), section.as_ref(), ufrag),
        };
        let (mid, index) = match section {
            Some(SectionName::Mid(mid)) => (Some(mid), None),
            Some(SectionName::Index(index)) => (None, Some(*index)),
            Some(SectionName::MidAndIndex(mid, index)) => (Some(mid), Some(*index)),
            None => (None, None),
        };
        Self {
            candidate,
            sdp_mid: mid.map(ToString::to_string),
            sdp_m_line_index: index,
            username_fragment: ufrag.as_ref().map(ToString::to_string),
        }
    }
}

/// Why an [`IceCandidateInit`] says nothing that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateInitError {
    /// The candidate; [`CandidateError::is_ignorable`] tells whether it is broken or only of no use here.
    Candidate(CandidateError),
    /// The section's tag is no token.
    Mid,
    /// The user fragment.
    Ufrag(CredentialError),
    /// A candidate without its section.
    NoSection,
}

impl fmt::Display for CandidateInitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Candidate(error) => fmt::Display::fmt(error, f),
            Self::Mid => write!(f, "sdpMid is a token of 1 to {} characters", Mid::MAX_LENGTH),
            Self::Ufrag(error) => write!(f, "usernameFragment: {error}"),
            Self::NoSection => f.write_str("neither sdpMid nor sdpMLineIndex is there"),
        }
    }
}

impl core::error::Error for CandidateInitError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Candidate(error) => Some(error),
            Self::Ufrag(error) => Some(error),
            Self::Mid | Self::NoSection => None,
        }
    }
}
