//! What stands before the first `m=` line.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::{BundleGroup, Pacing};
use crate::{IceOptions, Parameters, Pwd, Ufrag};

/// Whether an agent is full or lite, with what only one of them may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Implementation {
    /// A full agent and its proposal for Ta; `None` counts as [`Pacing::DEFAULT`].
    Full(Option<Pacing>),
    /// A lite agent. It sends no checks and so proposes no Ta (RFC 8839 §4.3.1, §4.3.2).
    Lite,
}

impl Implementation {
    /// Whether the agent is lite.
    pub const fn is_lite(self) -> bool {
        matches!(self, Self::Lite)
    }

    /// The Ta the agent stands for.
    pub fn pacing(self) -> Pacing {
        match self {
            Self::Full(pacing) => pacing.unwrap_or(Pacing::DEFAULT),
            Self::Lite => Pacing::DEFAULT,
        }
    }
}

impl From<&Parameters> for Implementation {
    fn from(parameters: &Parameters) -> Self {
        if parameters.lite { Self::Lite } else { Self::Full(parameters.pacing.map(Pacing::from)) }
    }
}

/// The ICE attributes of a session: defaults for all its sections. `Display` writes them as lines with CRLF; it shows
/// the password.
#[derive(Clone, Debug)]
pub struct Session {
    /// Full or lite.
    pub implementation: Implementation,
    /// User fragment of the sections that have none of their own.
    pub ufrag: Option<Ufrag>,
    /// Password of the sections that have none of their own.
    pub pwd: Option<Pwd>,
    /// Options for all sections; empty where there is no such line.
    pub options: IceOptions,
    /// No section will have any more candidates (RFC 8840 §8).
    pub end_of_candidates: bool,
    /// Groups of sections that share one transport. No more than there are sections.
    pub bundles: Vec<BundleGroup>,
}

impl Default for Session {
    /// Nothing at all: a full agent that says nothing of ICE.
    fn default() -> Self {
        Self {
            implementation: Implementation::Full(None),
            ufrag: None,
            pwd: None,
            options: IceOptions::default(),
            end_of_candidates: false,
            bundles: Vec::new(),
        }
    }
}

impl Session {
    /// All that an agent signals besides its candidates, for all sections at once.
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            ufrag: Some(parameters.ufrag.clone()),
            pwd: Some(parameters.pwd.clone()),
            ..Self::without_credentials(parameters)
        }
    }

    /// The same for an agent whose sections have user fragments and passwords of their own.
    pub fn without_credentials(parameters: &Parameters) -> Self {
        Self {
            implementation: Implementation::from(parameters),
            options: parameters.options.clone(),
            ..Self::default()
        }
    }

    /// The Ta that a full agent proposes, as [`Parameters`] have it.
    pub(super) fn proposal(&self) -> Option<Duration> {
        match self.implementation {
            Implementation::Full(pacing) => pacing.map(Duration::from),
            Implementation::Lite => None,
        }
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bundles.iter().try_for_each(|group| write!(f, "a=group:{group}\r\n"))?;
        if !self.options.is_empty() {
            write!(f, "a=ice-options:{}\r\n", self.options)?;
        }
        match self.implementation {
            // RFC 8839 §4.2.1.4: lite agents say so, full ones do not.
            Implementation::Lite => f.write_str("a=ice-lite\r\n")?,
            Implementation::Full(Some(pacing)) => write!(f, "a=ice-pacing:{pacing}\r\n")?,
            Implementation::Full(None) => {}
        }
        write_credentials(f, self.ufrag.as_ref(), self.pwd.as_ref())?;
        if self.end_of_candidates { f.write_str("a=end-of-candidates\r\n") } else { Ok(()) }
    }
}

pub(super) fn write_credentials(
    f: &mut fmt::Formatter<'_>,
    ufrag: Option<&Ufrag>,
    pwd: Option<&Pwd>,
) -> fmt::Result {
    ufrag.map_or(Ok(()), |ufrag| write!(f, "a=ice-ufrag:{ufrag}\r\n"))?;
    pwd.map_or(Ok(()), |pwd| write!(f, "a=ice-pwd:{}\r\n", pwd.expose()))
}
