//! Restarts, and what else may change from one description to the next (RFC 8839 §4.4).

use alloc::collections::BTreeSet;
use core::fmt;

use super::description::{effective, options};
use super::{Description, IceUse, new_candidates};
use crate::IceOptions;

/// How user fragment and password of a section compare with those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialChange {
    /// Both are as they were, at whatever level they stand: the session goes on.
    Unchanged,
    /// Both are new: a restart.
    Both,
    /// Only the user fragment is new.
    UfragOnly,
    /// Only the password is new.
    PwdOnly,
}

impl CredentialChange {
    /// Whether this restarts ICE. A peer that changed only one of the two means it as well: with the old values
    /// nothing of it would pass a check any more.
    pub const fn is_restart(self) -> bool {
        !matches!(self, Self::Unchanged)
    }

    /// Whether an agent may make this change: both or none (RFC 8839 §4.4.1.1.1).
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Unchanged | Self::Both)
    }
}

/// How user fragment and password of a section changed between two descriptions of one agent. `None` where one of
/// them has none.
pub fn credential_change(
    before: &Description,
    now: &Description,
    section: usize,
) -> Option<CredentialChange> {
    // RFC 8839 §4.4.1.1.1: what is in force is compared, not the level at which it stands.
    let (ufrag, pwd) = effective(&before.session, before.media.get(section)?)?;
    let (new_ufrag, new_pwd) = effective(&now.session, now.media.get(section)?)?;
    Some(match (ufrag == new_ufrag, pwd.expose() == new_pwd.expose()) {
        (true, true) => CredentialChange::Unchanged,
        (false, false) => CredentialChange::Both,
        (false, true) => CredentialChange::UfragOnly,
        (true, false) => CredentialChange::PwdOnly,
    })
}

/// Whether ICE restarts for a section.
pub fn is_restart(before: &Description, now: &Description, section: usize) -> bool {
    credential_change(before, now, section).is_some_and(CredentialChange::is_restart)
}

/// Why a subsequent offer has to be refused, or may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubsequentFault {
    /// `ice-options` changed in a section that does not restart.
    Options {
        /// The section.
        section: usize,
    },
    /// `ice-pacing` changed while a section does not restart.
    Pacing {
        /// The section.
        section: usize,
    },
    /// `ice-lite` changed while a section does not restart.
    Lite {
        /// The section.
        section: usize,
    },
    /// A lite agent has a new candidate in a section that does not restart.
    LiteCandidate {
        /// The section.
        section: usize,
    },
    /// Only one of user fragment and password changed.
    HalfRestart {
        /// The section.
        section: usize,
    },
}

impl fmt::Display for SubsequentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options { section } => {
                write!(f, "ice-options changed without a restart of section {section}")
            }
            Self::Pacing { section } => {
                write!(f, "ice-pacing changed without a restart of section {section}")
            }
            Self::Lite { section } => write!(f, "ice-lite changed without a restart of section {section}"),
            Self::LiteCandidate { section } => {
                write!(f, "a lite agent has a new candidate without a restart of section {section}")
            }
            Self::HalfRestart { section } => {
                write!(f, "only one of ice-ufrag and ice-pwd changed in section {section}")
            }
        }
    }
}

impl core::error::Error for SubsequentFault {}

/// Compares an offer or answer with the one before it of the same agent. An offer with a fault in a section that
/// restarts nothing is refused by the answerer (RFC 8839 §4.4.2.1). [`SubsequentFault::HalfRestart`] is for one's own
/// offers: that of a peer is taken for a restart.
///
/// # Errors
/// The first fault, in the order of the sections.
pub fn check_subsequent(before: &Description, now: &Description) -> Result<(), SubsequentFault> {
    let overviews = (before.overview(), now.overview());
    let uses = |description: &Description, overview, media| {
        matches!(description.own_ice_use(overview, media), IceUse::Usable | IceUse::Mismatch(_))
    };
    for (section, (old, new)) in before.media.iter().zip(&now.media).enumerate() {
        if !uses(before, &overviews.0, old) || !uses(now, &overviews.1, new) {
            continue;
        }
        match credential_change(before, now, section) {
            Some(CredentialChange::Unchanged) => {}
            Some(change) if !change.is_allowed() => return Err(SubsequentFault::HalfRestart { section }),
            _ => continue,
        }
        // RFC 8839 §4.4.1.1.1, §4.4.2.1: these three change with a restart only.
        let lite = |description: &Description| description.session.implementation.is_lite();
        if lite(before) != lite(now) {
            return Err(SubsequentFault::Lite { section });
        }
        if before.session.implementation.pacing() != now.session.implementation.pacing() {
            return Err(SubsequentFault::Pacing { section });
        }
        if tags(&options(&before.session, old)) != tags(&options(&now.session, new)) {
            return Err(SubsequentFault::Options { section });
        }
        // RFC 8839 §4.4.1.3: more candidates of a lite agent need a restart.
        if lite(now) && new_candidates(&old.candidates, &new.candidates).next().is_some() {
            return Err(SubsequentFault::LiteCandidate { section });
        }
    }
    Ok(())
}

/// The tags without their order, which means nothing.
fn tags(options: &IceOptions) -> BTreeSet<&str> {
    options.tags().collect()
}
