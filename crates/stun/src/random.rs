//! Random values from a seed, the same on every machine.

use core::fmt;
use core::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::TransactionId;

/// The 64 ice-chars (RFC 8839 §5.1): six bits of randomness each.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A cryptographic generator (ChaCha20) expanded from a 32-byte seed: equal seeds give equal values.
///
/// It is the only source of randomness of the core. It wipes itself on drop, cannot be cloned (two equal
/// generators would give out the same secrets twice) and shows nothing in `Debug`.
pub struct Random {
    generator: ChaCha20Rng,
}

impl Random {
    /// A generator for this seed. The seed has to come from the operating system, except in tests.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self { generator: ChaCha20Rng::from_seed(*seed) }
    }

    /// Fills the whole of `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.generator.fill_bytes(out);
    }

    /// A random 32-bit number.
    pub fn u32(&mut self) -> u32 {
        self.generator.next_u32()
    }

    /// A random 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// A number in `0..bound`, each equally likely; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        loop {
            let product = u128::from(self.u64()).wrapping_mul(u128::from(bound));
            let low = product & u128::from(u64::MAX);
            // The high half of a 64 x 64 bit product is in range; the low halves below 2^64 mod `bound` are what
            // makes some results likelier than others, and are drawn again. To divide costs more than all else here.
            let is_fair = low >= u128::from(bound)
                || bound.wrapping_neg().checked_rem(bound).is_some_and(|least| low >= u128::from(least));
            if is_fair {
                return u64::try_from(product >> 64).unwrap_or(0);
            }
        }
    }

    /// A duration in `lo..=hi`, each nanosecond equally likely; `lo` if `hi` is not the larger.
    ///
    /// The span between the two is capped at 2^64 - 2 nanoseconds, some 584 years.
    pub fn duration_between(&mut self, lo: Duration, hi: Duration) -> Duration {
        let span = u64::try_from(hi.saturating_sub(lo).as_nanos()).unwrap_or(u64::MAX);
        lo.saturating_add(Duration::from_nanos(self.below(span.saturating_add(1))))
    }

    /// RFC 8489 §5: a transaction id is 96 bits from a cryptographic generator.
    pub fn transaction_id(&mut self) -> TransactionId {
        let mut id = [0; 12];
        for word in id.as_chunks_mut::<4>().0 {
            *word = self.u32().to_le_bytes();
        }
        TransactionId(id)
    }

    /// Fills `out` with ice-chars (RFC 8839 §5.4), six random bits each: 4 of them make a user name fragment
    /// of 24 bits, 22 a password of 132.
    pub fn ice_chars(&mut self, out: &mut [u8]) {
        self.fill(out);
        for byte in out {
            *byte = ICE_CHARS.get(usize::from(*byte & 63)).copied().unwrap_or(b'/');
        }
    }

    /// A new generator that is independent of this one.
    #[must_use]
    pub fn split(&mut self) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        self.fill(seed.as_mut_slice());
        Self::from_seed(*seed)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::format;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_values_and_other_seeds_others() {
        let draw = |seed| {
            let mut random = Random::from_seed([seed; 32]);
            (random.u64(), random.transaction_id(), random.split().u64(), random.u32())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn below_stays_in_range_and_reaches_every_value() {
        let mut random = Random::from_seed([3; 32]);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        let seen: BTreeSet<_> = (0..1_000).map(|_| random.below(7)).collect();
        assert_eq!(seen, (0..7).collect());
        assert!((0..1_000).all(|_| random.below(u64::MAX) < u64::MAX));
    }

    #[test]
    fn below_is_unbiased_where_a_remainder_would_not_be() {
        // With `u64 % bound` the lower half of this range would come twice as often as the upper.
        let bound = (1 << 63) + (1 << 62);
        let mut random = Random::from_seed([4; 32]);
        let low = (0..30_000).filter(|_| random.below(bound) < bound / 2).count();
        assert!((14_500..15_500).contains(&low), "{low} of 30000 in the lower half");
    }

    #[test]
    fn durations_stay_between_their_ends() {
        let mut random = Random::from_seed([5; 32]);
        let (lo, hi) = (Duration::from_secs(4), Duration::from_secs(6));
        for _ in 0..1_000 {
            assert!((lo..=hi).contains(&random.duration_between(lo, hi)));
        }
        assert_eq!(random.duration_between(hi, lo), hi);
        assert_eq!(random.duration_between(lo, lo), lo);
        assert!(random.duration_between(Duration::ZERO, Duration::MAX) <= Duration::MAX);
    }

    #[test]
    fn ice_chars_are_the_64_of_the_grammar() {
        let mut out = [0; 4_096];
        Random::from_seed([6; 32]).ice_chars(&mut out);
        let seen: BTreeSet<_> = out.iter().copied().collect();
        assert_eq!(seen.len(), 64);
        assert!(seen.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'+' || *c == b'/'));
    }

    #[test]
    fn the_generator_wipes_itself() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<ChaCha20Rng>();
        wiped::<crate::IntegrityKey>();
        wiped::<crate::Sha1Key>();
    }

    #[test]
    fn nothing_of_the_state_is_shown() {
        assert_eq!(format!("{:?}", Random::from_seed([9; 32])), "Random(redacted)");
    }
}
