//! One number for the traces of many sessions.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The traces of many sessions, added up in no particular order: two sweeps of the same seeds have the same sum if each
/// session has the same trace, however they were built and on however many cores and machines they ran. Text and serde
/// form: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSum(u128);

impl TraceSum {
    /// Adds the trace of a seed's session, by its [hash](crate::net::Trace::hash).
    pub fn add(&mut self, seed: u64, hash: u64) {
        // Two halves, so that one session that differs goes unseen once in 2^128; the seed, so that exchanged traces do not.
        let high = mixed(mixed(seed ^ 0x5851_f42d_4c95_7f2d) ^ hash);
        let low = mixed(mixed(hash ^ 0x1405_7b7e_f767_814f) ^ seed);
        self.0 = self.0.wrapping_add(u128::from(high) << 64 | u128::from(low));
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// A bijection in which each bit of the result depends on all of the number.
fn mixed(number: u64) -> u64 {
    let once = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ once >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ twice >> 31
}

impl fmt::Display for TraceSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for TraceSum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceSum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(sessions: &[(u64, u64)]) -> TraceSum {
        let mut sum = TraceSum::default();
        for (seed, hash) in sessions {
            sum.add(*seed, *hash);
        }
        sum
    }

    #[test]
    fn the_order_does_not_count_and_everything_else_does() {
        let one = sum(&[(1, 10), (2, 20), (3, 30)]);
        assert_eq!(one, sum(&[(3, 30), (1, 10), (2, 20)]));
        let mut parts = sum(&[(2, 20)]);
        parts.merge(sum(&[(3, 30), (1, 10)]));
        assert_eq!(one, parts);
        for other in [
            sum(&[(1, 20), (2, 10), (3, 30)]),
            sum(&[(1, 10), (2, 20)]),
            sum(&[(1, 10), (2, 21), (3, 30)]),
            sum(&[(1, 10), (2, 20), (3, 30), (3, 30)]),
            TraceSum::default(),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn it_is_written_in_hexadecimal_and_read_again() {
        let one = sum(&[(1, 10)]);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!((text.len(), serde_json::from_str::<TraceSum>(&text).unwrap()), (34, one));
        assert!(serde_json::from_str::<TraceSum>("\"trace\"").is_err());
    }
}
