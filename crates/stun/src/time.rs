//! Time as a number the caller hands in.

use core::num::NonZeroU64;
use core::time::Duration;

/// Nanoseconds since an origin the caller chose: no clock is read below the driver.
///
/// All arithmetic saturates; the end of time is some 584 years after the origin. An `Option` of it takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(
    /// Nanoseconds and one.
    NonZeroU64,
);

impl Instant {
    /// The origin itself, the earliest instant there is.
    pub const ORIGIN: Self = Self(NonZeroU64::MIN);

    /// The instant `nanos` nanoseconds after the origin; saturates at the end of time.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// The instant `millis` milliseconds after the origin; saturates at the end of time.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin, less than 2^64 - 1.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get().wrapping_sub(1)
    }

    /// Whole milliseconds since the origin, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.as_nanos() / 1_000_000
    }

    /// The instant `wait` later; saturates at the end of time.
    #[must_use]
    #[inline]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(wait)))
    }

    /// The instant `count` times `wait` later; saturates at the end of time.
    #[must_use]
    #[inline]
    pub fn after_each(self, wait: Duration, count: u32) -> Self {
        Self(self.0.saturating_add(nanos_of(wait).saturating_mul(count.into())))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// At most 2^64 - 1.
#[inline]
const fn nanos_of(wait: Duration) -> u64 {
    wait.as_secs().saturating_mul(1_000_000_000).saturating_add(wait.subsec_nanos() as u64)
}

impl Default for Instant {
    fn default() -> Self {
        Self::ORIGIN
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct("Instant", &self.as_nanos())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename = "Instant")]
        struct Nanos(u64);
        Nanos::deserialize(deserializer).map(|Nanos(nanos)| Self::from_nanos(nanos))
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
        assert_eq!(Instant::ORIGIN.after_each(Duration::MAX, 2), end);
        assert_eq!(Instant::ORIGIN.after_each(Duration::MAX, 0), Instant::ORIGIN);
        assert_eq!(Instant::ORIGIN.after_each(Duration::from_millis(7), 3), Instant::from_millis(21));
        assert_eq!(Instant::ORIGIN.after(Duration::MAX), end);
        assert_eq!(Instant::ORIGIN.since(end), Duration::ZERO);
        assert_eq!(end.since(Instant::ORIGIN), Duration::from_nanos(u64::MAX - 1));
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn milliseconds_round_down() {
        assert_eq!(Instant::from_nanos(1_999_999).as_millis(), 1);
        assert_eq!(Instant::from_millis(3).as_nanos(), 3_000_000);
    }
}
