//! Time as a number the caller hands in.

use core::time::Duration;

/// Nanoseconds since an origin the caller chose: no clock is read below the driver.
///
/// All arithmetic saturates; the end of time is some 584 years after the origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(u64);

impl Instant {
    /// The origin itself, the earliest instant there is.
    pub const ORIGIN: Self = Self(0);

    /// The instant `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the origin; saturates at the end of time.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The instant `wait` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(Instant::from_millis(u64::MAX), end);
        assert_eq!(end.after(Duration::from_nanos(1)), end);
        assert_eq!(Instant::ORIGIN.after(Duration::MAX), end);
        assert_eq!(Instant::ORIGIN.since(end), Duration::ZERO);
        assert_eq!(end.since(Instant::ORIGIN), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn milliseconds_round_down() {
        assert_eq!(Instant::from_nanos(1_999_999).as_millis(), 1);
        assert_eq!(Instant::from_millis(3).as_nanos(), 3_000_000);
    }
}
