//! How often a source that proved nothing is answered.

use core::time::Duration;
use std::net::IpAddr;

use floe_stun::{Instant, Random};

/// Counters in all. Fixed, so that a flood of spoofed sources costs no memory; sources that share a counter share
/// its allowance.
const BUCKETS: usize = 1024;
const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    since: Instant,
    answered: u32,
}

/// Counts answers by source address in windows of a second.
#[derive(Debug)]
pub(super) struct Limiter {
    buckets: Box<[Bucket]>,
    /// Sources are spread by a number they do not know, so that nobody can aim at somebody else's counter.
    secret: [u64; 2],
    per_second: u32,
}

impl Limiter {
    pub(super) fn new(per_second: u32, random: &mut Random) -> Self {
        let empty = Bucket { since: Instant::ORIGIN, answered: 0 };
        Self {
            buckets: vec![empty; BUCKETS].into_boxed_slice(),
            secret: [random.u64(), random.u64()],
            per_second,
        }
    }

    /// Whether one more answer may go to `source` now; it is counted if so.
    pub(super) fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        let index = self.index(source);
        let Some(bucket) = self.buckets.get_mut(index) else { return false };
        if now.since(bucket.since) >= WINDOW {
            *bucket = Bucket { since: now, answered: 0 };
        }
        if bucket.answered >= self.per_second {
            return false;
        }
        bucket.answered = bucket.answered.saturating_add(1);
        true
    }

    fn index(&self, source: IpAddr) -> usize {
        let [k0, k1] = self.secret;
        // One network of 64 bits is one source: its owner can use all of it.
        let source = match source {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => u64::try_from(ip.to_bits() >> 64).unwrap_or_default(),
        };
        let mut mixed = source ^ k0;
        for key in [k1, k0] {
            mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93).wrapping_add(key);
        }
        usize::try_from(mixed >> 40).unwrap_or_default() & BUCKETS.saturating_sub(1)
    }
}
