//! CPU time of short operations.
//!
//! The time is that of the process, not of the clock on the wall: other programs may run. Contestants take turns,
//! sample by sample, so that a slow moment of the machine meets all of them.

use std::time::Duration;

use cpu_time::ProcessTime;

/// Samples of each contestant.
pub const SAMPLES: usize = 101;
/// What one sample should take: long enough for the clock, short enough to escape most interruptions.
const SAMPLE_TIME: Duration = Duration::from_millis(3);

/// Nanoseconds a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The median of all samples.
    pub median: f64,
    /// The least sample: the cost on a machine that does nothing else.
    pub least: f64,
}

/// Something that runs an operation as often as it is told.
pub type Contestant<'a> = Box<dyn FnMut(u32) + 'a>;

fn time(contestant: &mut Contestant<'_>, calls: u32) -> Duration {
    let start = ProcessTime::now();
    contestant(calls);
    start.elapsed()
}

/// How many calls make up one sample.
fn calls_for(contestant: &mut Contestant<'_>) -> u32 {
    let mut calls = 1;
    loop {
        let taken = time(contestant, calls);
        if taken >= SAMPLE_TIME / 4 {
            let wanted = SAMPLE_TIME.as_secs_f64() / taken.as_secs_f64() * f64::from(calls);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 4 times a u32"
            )]
            return (wanted as u32).max(1);
        }
        calls = calls.saturating_mul(2);
    }
}

/// Measures all contestants in turns.
pub fn measure(contestants: &mut [Contestant<'_>]) -> Vec<Cost> {
    let calls: Vec<_> = contestants.iter_mut().map(calls_for).collect();
    let mut samples = vec![Vec::with_capacity(SAMPLES); contestants.len()];
    for _ in 0..SAMPLES {
        for ((contestant, calls), samples) in contestants.iter_mut().zip(&calls).zip(&mut samples) {
            samples.push(time(contestant, *calls).as_secs_f64() * 1e9 / f64::from(*calls));
        }
    }
    let cost = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        Cost { median: samples[samples.len() / 2], least: samples[0] }
    };
    samples.into_iter().map(cost).collect()
}
