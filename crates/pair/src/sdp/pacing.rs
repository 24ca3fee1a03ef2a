//! Proposal for Ta (RFC 8839 §5.5).

use core::fmt;
use core::time::Duration;

/// Value of `a=ice-pacing`: the Ta an agent wishes for, in whole milliseconds, at most ten digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pacing(u64);

impl Pacing {
    /// The greatest number of milliseconds that ten digits can say.
    pub const MAX_MILLIS: u64 = 9_999_999_999;

    /// Ta of an agent that proposes none: 50 ms.
    pub const DEFAULT: Self = Self(50);

    /// The proposal of so many milliseconds; `None` above [`Self::MAX_MILLIS`].
    pub const fn from_millis(millis: u64) -> Option<Self> {
        if millis <= Self::MAX_MILLIS { Some(Self(millis)) } else { None }
    }

    /// The number of milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Reads one to ten digits.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let digits = (1..=10).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        if digits { value.parse().ok().and_then(Self::from_millis) } else { None }
    }
}

/// Rounded up, so that nobody sends faster than was wished for; what is out of range becomes the greatest value.
impl From<Duration> for Pacing {
    fn from(ta: Duration) -> Self {
        let millis = ta.as_nanos().div_ceil(1_000_000);
        Self(u64::try_from(millis).unwrap_or(Self::MAX_MILLIS).min(Self::MAX_MILLIS))
    }
}

impl From<Pacing> for Duration {
    fn from(pacing: Pacing) -> Self {
        Self::from_millis(pacing.0)
    }
}

impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
