//! What a datagram goes through on its way.

use core::time::Duration;

use floe_stun::Random;

/// A probability in millionths, 0 to 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many millionths; more than a million counts as a million.
    pub const fn millionths(value: u32) -> Self {
        if value < Self::ALWAYS.0 { Self(value) } else { Self::ALWAYS }
    }

    /// So many percent; more than 100 counts as 100.
    pub const fn percent(value: u32) -> Self {
        Self::millionths(value.saturating_mul(10_000))
    }

    /// Draws once. Certainties draw nothing, so that a link without loss leaves the others' draws as they are.
    pub(super) fn happens(self, random: &mut Random) -> bool {
        match self {
            Self::NEVER => false,
            Self::ALWAYS => true,
            Self(millionths) => random.below(1_000_000) < u64::from(millionths),
        }
    }
}

/// The way between a node and the address space it is attached to. A datagram crosses the link of its sender and
/// the link of its receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// One way, in either direction.
    pub delay: Duration,
    /// Of each datagram, in each direction, independently.
    pub loss: Probability,
}

impl Link {
    /// A link without loss.
    pub const fn delay(delay: Duration) -> Self {
        Self { delay, loss: Probability::NEVER }
    }

    /// The link with this loss.
    #[must_use]
    pub const fn with_loss(self, loss: Probability) -> Self {
        Self { loss, ..self }
    }
}
