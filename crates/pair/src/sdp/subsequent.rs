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
    /// Whether this restarts ICE. A peer that changed its user fragment alone means it as well: with the old one
    /// nothing of it would pass a check any more.
    ///
    /// Another password alone is neither a restart nor none: checks and candidates tell generations apart by the user
    /// fragment (RFC 8445 §7.2.2, RFC 8838 §15). Such an offer is refused, as the agent refuses such parameters.
    pub const fn is_restart(self) -> bool {
        matches!(self, Self::Both | Self::UfragOnly)
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
    /// Of user fragment and password one changed and the other did not; of a peer only the password.
    HalfRestart {
        /// The section.
        section: usize,
    },
    /// The last answer showed no ICE in a section, and the offer has ICE there and does not restart it.
    NoRestart {
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
            Self::NoRestart { section } => {
                write!(f, "section {section} was answered without ICE and is offered again without a restart")
            }
        }
    }
}

impl core::error::Error for SubsequentFault {}

/// Compares an offer or answer with the one before it of the same agent. An offer with a fault in a section that
/// restarts nothing is refused by the answerer (RFC 8839 §4.4.2.1). For one's own there is [`check_own_subsequent`].
///
/// # Errors
/// The first fault, in the order of the sections.
pub fn check_subsequent(before: &Description, now: &Description) -> Result<(), SubsequentFault> {
    check(before, now, CredentialChange::is_restart)
}

/// The same for an offer or answer before it is sent: a restart has to change both user fragment and password
/// (RFC 8839 §4.4.1.1.1), though a peer may get away with less.
///
/// # Errors
/// The first fault, in the order of the sections.
pub fn check_own_subsequent(before: &Description, now: &Description) -> Result<(), SubsequentFault> {
    check(before, now, |change| change.is_restart() && change.is_allowed())
}

/// Looks at an offer before it is sent: where the answer to the offer before showed no ICE any more, ICE has ended, and
/// only a restart takes it up again (RFC 8839 §4.4.3.1). To be asked beside [`check_own_subsequent`].
///
/// An answer with `ice-mismatch` shows that its agent has ICE: it is not looked at here.
///
/// # Errors
/// [`SubsequentFault::NoRestart`] for the first section that is offered with the user fragment and password of before.
pub fn check_offer_after(
    before: &Description,
    answer: &Description,
    now: &Description,
) -> Result<(), SubsequentFault> {
    for (section, media) in now.media.iter().enumerate() {
        let ended = answer.ice_use(section) == Some(IceUse::Unsupported);
        if !ended || !media.is_active() {
            continue;
        }
        // An offer without user fragment and password has no ICE, and there is nothing to restart.
        let change = credential_change(before, now, section);
        if change.is_some_and(|change| change != CredentialChange::Both) {
            return Err(SubsequentFault::NoRestart { section });
        }
    }
    Ok(())
}

/// Looks for faults in sections that do not restart. `restarts` says which change of the credentials is one.
fn check(
    before: &Description,
    now: &Description,
    restarts: fn(CredentialChange) -> bool,
) -> Result<(), SubsequentFault> {
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
            Some(change) if !restarts(change) => return Err(SubsequentFault::HalfRestart { section }),
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
