//! Role and tiebreaker of an agent.

/// Which of the two agents nominates (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Role {
    /// Nominates the pairs.
    Controlling,
    /// Takes what the other agent nominates.
    Controlled,
}

impl Role {
    /// The role of the other agent.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Controlling => Self::Controlled,
            Self::Controlled => Self::Controlling,
        }
    }
}

/// Number that settles a role conflict (RFC 8445 §7.1.3). Drawn once for a session; a new one only after a 487 was
/// received (RFC 8445 §7.2.5.1), so that every request of a session carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TieBreaker(pub u64);
