//! What loss does to consent (RFC 7675 §5.1), calculated without the agent: how often a path on which nothing is wrong
//! but loss looks dead, and how likely its consent ends. `docs/consent.md` is made from it.
//!
//! The process: requests start one interval apart, drawn evenly from 4 to 6 s and counted from start to start. Each is
//! sent once; it is answered if neither it nor its answer is lost. Every answer takes equally long, so that the age of
//! the last answer, at the instant at which a further answer would come, is the time between the starts of both
//! requests: the length of the path cancels out.

use std::fmt::Write as _;

/// Steps of the calculation in a second. Halving their length moves the results by less than one in a thousand.
const STEPS: u16 = 10;
/// Bounds of an interval, in steps.
const INTERVAL: (usize, usize) = (4 * STEPS as usize, 6 * STEPS as usize);
/// When consent ends, in seconds.
pub const EXPIRY: usize = 30;
/// Losses of each datagram, each way, that are shown.
pub const LOSSES: [f64; 5] = [0.01, 0.02, 0.05, 0.10, 0.20];
/// Ages of the last answer at which a peer may be taken for dead, in seconds; the default is the last.
pub const LIVENESS: [usize; 4] = [10, 15, 20, 25];

/// How one request ends, and how the next age of the last answer is spread.
struct Cycle {
    /// Probability that the next answer belongs to a request which starts this many steps after the one that was
    /// answered last.
    next: Vec<f64>,
    /// Probability that none does before the threshold.
    none: f64,
}

/// From one answer to the next, or to the threshold (in seconds): dynamic programming over the time since the last.
fn cycle(loss: f64, threshold: usize) -> Cycle {
    let answered = (1.0 - loss) * (1.0 - loss);
    let end = threshold * usize::from(STEPS);
    // Probability that a request starts at this step, and that all before it went unanswered.
    let mut starts = vec![0.0; end + 1];
    starts[0] = 1.0;
    let mut next = vec![0.0; end + 1];
    let each = 1.0 / f64::from(2 * STEPS);
    let mut none = 0.0;
    for now in 0..=end {
        // What is at the threshold itself is half before it.
        let share = if now == end { 0.5 } else { 1.0 };
        let here = starts[now];
        none += here * (1.0 - share);
        // The first start is that of the request which was answered.
        let missed = if now == 0 { here } else { here * share * (1.0 - answered) };
        if now > 0 {
            next[now] = here * share * answered;
        }
        if missed == 0.0 {
            continue;
        }
        // An interval lies evenly between its bounds: half of each step at its two ends.
        for interval in INTERVAL.0..=INTERVAL.1 {
            let edge = interval == INTERVAL.0 || interval == INTERVAL.1;
            let chance = missed * each * if edge { 0.5 } else { 1.0 };
            match starts.get_mut(now + interval) {
                Some(start) => *start += chance,
                None => none += chance,
            }
        }
    }
    Cycle { next, none }
}

/// Probability that within `seconds` of an answer the age of the last one has reached `threshold` seconds at least
/// once, on a path that loses `loss` of all datagrams each way.
pub fn probability(loss: f64, threshold: usize, seconds: usize) -> f64 {
    let Cycle { next, .. } = cycle(loss, threshold);
    let first = INTERVAL.0;
    // By time left: the probability that it does not happen any more, at an answer.
    let mut survives = vec![1.0; seconds * usize::from(STEPS) + 1];
    for left in threshold * usize::from(STEPS)..survives.len() {
        let spread = next.iter().enumerate().skip(first);
        survives[left] = spread.map(|(steps, chance)| chance * survives[left - steps]).sum();
    }
    1.0 - survives[seconds * usize::from(STEPS)]
}

/// How often in an hour, on average, the age of the last answer reaches `threshold` seconds.
pub fn per_hour(loss: f64, threshold: usize) -> f64 {
    let answered = (1.0 - loss) * (1.0 - loss);
    // One answer each five seconds, less those that do not come.
    3_600.0 / 5.0 * answered * cycle(loss, threshold).none
}

/// `docs/consent.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let losses: Vec<String> = LOSSES.iter().map(|loss| format!("{:.0} %", loss * 100.0)).collect();
    let head = |page: &mut String, first: &str| {
        let _ = writeln!(page, "\n| {first} | {} |", losses.join(" | "));
        let _ = writeln!(page, "| --- |{}", " ---: |".repeat(losses.len()));
    };
    page.push_str("\n## False alarms in an hour\n\nOn average, by `liveness` and by loss each way:\n");
    head(&mut page, "`liveness`");
    for threshold in LIVENESS {
        let cells: Vec<String> = LOSSES.iter().map(|loss| figure(per_hour(*loss, threshold))).collect();
        let _ = writeln!(page, "| {threshold} s | {} |", cells.join(" | "));
    }
    page.push_str(
        "\n## End of consent in an hour\n\nThe probability that one side of a session loses consent:\n",
    );
    head(&mut page, "");
    let cells: Vec<String> = LOSSES.iter().map(|loss| figure(probability(*loss, EXPIRY, 3_600))).collect();
    let _ = writeln!(page, "| {EXPIRY} s | {} |", cells.join(" | "));
    page
}

/// Two digits that count.
fn figure(value: f64) -> String {
    match value {
        small if small < 0.001 => format!("{small:.1e}"),
        small if small < 0.01 => format!("{small:.4}"),
        small if small < 0.1 => format!("{small:.3}"),
        middle if middle < 1.0 => format!("{middle:.2}"),
        middle if middle < 10.0 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

const INTRODUCTION: &str = "\
# Consent and liveness

An agent asks its peer for consent every 4 to 6 s (RFC 7675 §5.1), once each time. 30 s after the last authenticated
answer consent has ended: nothing is sent on the pair any more, whatever else arrives. A restart brings another pair, or
with renomination the peer's nomination. That instant is fixed by the RFC. (Consent that only rested,
`ConsentConfig::suspend`, is asked for again.)

`ConsentConfig::liveness` is how long after the last answer the state becomes `Disconnected`; it goes back with the next
answer. The default is 25 s, the least 10 s, twice the interval. A shorter time shows a dead peer sooner and takes a
living one for dead more often: in 10 s two requests fit at most, in 25 s six. From 12 s and a round trip on, one lost
request never shows. A peer that is gone is noticed between `liveness` less 6 s and `liveness` after it went, give or
take a round trip.

What loss alone does on a path that works, calculated for intervals drawn evenly from 4 to 6 s and independent loss of
requests and answers, is below. This page is made by `cargo run -p spec-tests -- consent --write`; tests compare it with
the calculation, and the calculation with sessions on a virtual clock.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found / expected - 1.0).abs() < tolerance, "{found} is not {expected}");
    }

    /// By hand: before 10 s there is one request for sure and a second in half of all cases; before 30 s there are five
    /// for sure, a sixth in half, and a seventh in few.
    #[test]
    fn no_answer_before_a_threshold_by_hand() {
        for loss in LOSSES {
            let missed = 1.0 - (1.0 - loss) * (1.0 - loss);
            assert_near(cycle(loss, 10).none, missed * (0.5 + 0.5 * missed), 2e-3);
            let five = missed * missed * missed * missed * missed;
            // P(seven intervals < 30 s): the volume of a corner of a cube, 1/7! of it.
            let seventh = 1.0 / 5_040.0;
            let expected = five * (0.5 + (0.5 - seventh) * missed + seventh * missed * missed);
            assert_near(cycle(loss, 30).none, expected, 2e-3);
        }
    }

    #[test]
    fn all_that_can_happen_adds_up_to_one() {
        for threshold in [10, 15, 20, 25, 30] {
            let Cycle { next, none } = cycle(0.1, threshold);
            assert_near(next.iter().sum::<f64>() + none, 1.0, 1e-9);
        }
    }

    /// Rare and memoryless: the probability is that of the rate.
    #[test]
    fn an_hour_is_as_long_as_its_rate_says() {
        for (loss, tolerance) in [(0.01, 0.02), (0.05, 0.02), (0.1, 0.02), (0.2, 0.02)] {
            let expected = 1.0 - (-per_hour(loss, 30)).exp();
            assert_near(probability(loss, 30, 3_600), expected, tolerance);
        }
    }

    #[test]
    fn nothing_is_lost_without_loss_and_all_with_it() {
        assert!(probability(0.0, 30, 3_600) < 1e-9);
        assert!(probability(0.999, 30, 60) > 0.99);
        assert!(probability(0.2, 30, 29) < 1e-12, "not before the threshold");
    }
}
