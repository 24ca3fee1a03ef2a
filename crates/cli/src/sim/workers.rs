//! One thread for each core; the threads are here, the sessions know nothing of them.

use std::{
    num::NonZeroUsize,
    ops::Range,
    panic,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use floe_sim::{
    scenario::Failure,
    sweep::{Family, Tally},
};

use super::progress::Bar;

/// Sessions that a thread takes at once.
const CHUNK: u64 = 32;
/// Broken sessions that are told of in full, and those of which the seed is told.
const MAX_TOLD: usize = 10;
const MAX_LISTED: usize = 1_000;
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(100);

/// Which sessions to run.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    cases: Family,
    first: u64,
    step: u64,
    sessions: u64,
}

impl Sweep {
    /// Every `step`-th of the seeds; `None` if there is none.
    pub(super) fn new(cases: Family, seeds: Range<u64>, step: u64) -> Option<Self> {
        let sessions = seeds.end.checked_sub(seeds.start)?.div_ceil(step);
        (sessions > 0).then_some(Self { cases, first: seeds.start, step, sessions })
    }

    fn seed(&self, place: u64) -> u64 {
        self.first.saturating_add(place.saturating_mul(self.step))
    }
}

/// A session that did not end as it should.
pub(super) enum Broken {
    /// With this seed.
    Panicked(u64),
    /// An invariant does not hold.
    Failed(Box<Failure>),
}

impl Broken {
    fn seed(&self) -> u64 {
        match self {
            Self::Panicked(seed) => *seed,
            Self::Failed(failure) => failure.seed,
        }
    }
}

/// What a sweep found.
pub(super) struct Found {
    pub(super) tally: Tally,
    /// Sessions a second.
    pub(super) rate: f64,
    pub(super) broken: Vec<Broken>,
    /// The seeds of further ones.
    pub(super) more_broken: Vec<u64>,
}

#[derive(Default)]
struct Shared {
    /// The next session nobody has taken.
    next: AtomicU64,
    done: AtomicU64,
    broken: Mutex<Vec<Broken>>,
}

/// Runs all sessions and shows how far it has come.
pub(super) fn run(sweep: &Sweep, threads: NonZeroUsize, bar: &mut Bar) -> Found {
    let shared = Shared::default();
    let started = Instant::now();
    let tally = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(|| work(sweep, &shared))).collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            bar.show(shared.done.load(Ordering::Relaxed), sweep.sessions, started.elapsed());
            thread::sleep(TICK);
        }
        bar.clear();
        let mut tally = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => tally.merge(&part),
                Err(cause) => panic::resume_unwind(cause),
            }
        }
        tally
    });
    let mut broken = shared.broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    broken.sort_by_key(Broken::seed);
    let more_broken = broken.iter().skip(MAX_TOLD).take(MAX_LISTED).map(Broken::seed).collect();
    broken.truncate(MAX_TOLD);
    #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = tally.sessions() as f64 / started.elapsed().as_secs_f64();
    Found { tally, rate, broken, more_broken }
}

fn work(sweep: &Sweep, shared: &Shared) -> Tally {
    let mut tally = Tally::default();
    loop {
        let begin = shared.next.fetch_add(CHUNK, Ordering::Relaxed);
        if begin >= sweep.sessions {
            return tally;
        }
        for place in begin..sweep.sessions.min(begin.saturating_add(CHUNK)) {
            let seed = sweep.seed(place);
            let broken = run_one(sweep.cases, seed, &mut tally);
            if let Some(broken) = broken {
                shared.broken.lock().unwrap_or_else(PoisonError::into_inner).push(broken);
            }
            shared.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn run_one(cases: Family, seed: u64, tally: &mut Tally) -> Option<Broken> {
    let ran = panic::catch_unwind(|| {
        let case = cases.case(seed);
        // Now and then twice, to see that it is the same again.
        let result =
            if seed.is_multiple_of(16) { case.scenario.run_twice(seed) } else { case.scenario.run(seed) };
        (case, result)
    });
    let Ok((case, result)) = ran else {
        tally.add_panic();
        return Some(Broken::Panicked(seed));
    };
    tally.add(&case, &result);
    result.err().map(Broken::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_seeds_are_disjoint_and_leave_none_out() {
        let part = |index: u64| {
            let sweep = Sweep::new(Family::Sessions, 10 + index..33, 4).unwrap();
            (0..sweep.sessions).map(|place| sweep.seed(place)).collect::<Vec<_>>()
        };
        let mut all: Vec<u64> = (0..4).flat_map(part).collect();
        all.sort_unstable();
        assert_eq!(all, (10..33).collect::<Vec<_>>());
        assert!(Sweep::new(Family::Sessions, 35..35, 4).is_none());
    }

    #[test]
    fn a_sweep_on_many_threads_finds_what_one_finds() {
        for cases in [Family::Sessions, Family::Lives] {
            let sweep = Sweep::new(cases, 0..49, 1).unwrap();
            let run = |threads| run(&sweep, NonZeroUsize::new(threads).unwrap(), &mut Bar::hidden()).tally;
            assert_eq!(run(1), run(4));
        }
    }
}
