//! A sweep as tables, and the outcome of one session in words.

use std::fmt::Write as _;

use floe_sim::{
    expectation::NatKind,
    scenario::Outcome,
    sweep::{CellReport, LossReport, Percentiles, Report, Tally},
};

/// The whole report.
pub(super) fn tables(report: &Report, tally: &Tally) -> String {
    let mut text = String::new();
    matrix(&mut text, report, "connected, of those that can", |cell| (cell.connected, cell.connectable));
    matrix(&mut text, report, "direct, of those that can", |cell| (cell.direct, cell.direct_possible));
    cells(&mut text, report);
    losses(&mut text, report);
    summary(&mut text, report, tally);
    text
}

/// Writing to a `String` does not fail.
macro_rules! line {
    ($text:expr) => { $text.push('\n') };
    ($text:expr, $($rest:tt)*) => {{ let _ = writeln!($text, $($rest)*); }};
}

fn percent(part: u64, whole: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a percentage for people to read")]
    let percent = part as f64 / whole as f64 * 100.0;
    match (part, whole) {
        (_, 0) => "-".to_owned(),
        (0, _) => "0 %".to_owned(),
        (part, whole) if part == whole => "100 %".to_owned(),
        // Never rounded up to all, nor down to none.
        _ => format!("{:.2} %", percent.clamp(0.01, 99.99)),
    }
}

fn matrix(text: &mut String, report: &Report, title: &str, of: impl Fn(&CellReport) -> (u64, u64)) {
    line!(text, "{title}:");
    let _ = write!(text, "{:<12}", "");
    for b in NatKind::ALL {
        let _ = write!(text, "{b:>12}");
    }
    line!(text);
    for a in NatKind::ALL {
        let _ = write!(text, "{a:<12}");
        for b in NatKind::ALL {
            let found = report.cells.iter().find(|cell| (cell.a, cell.b) == (a, b)).map(&of);
            let (part, whole) = found.unwrap_or_default();
            let _ = write!(text, "{:>12}", percent(part, whole));
        }
        line!(text);
    }
    line!(text);
}

fn times(Percentiles { p50, p90, p99 }: Percentiles) -> String {
    let ms = |ms: Option<u32>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
    format!("{:>5}{:>6}{:>6}", ms(p50), ms(p90), ms(p99))
}

fn cells(text: &mut String, report: &Report) {
    let times_of = "median   p90   p99";
    line!(text, "{:<12}{:<12}{:>9}  {:<19}{:<19}selected types", "", "", "", "usable, ms", "selected, ms");
    line!(text, "{:<12}{:<12}{:>9} {times_of} {times_of}", "a", "b", "sessions");
    for cell in &report.cells {
        let all: u64 = cell.types.iter().map(|(_, count)| count).sum();
        let share = |count: u64| {
            count.saturating_mul(100).saturating_add(all / 2).checked_div(all).unwrap_or_default()
        };
        let types: Vec<String> = cell
            .types
            .iter()
            .map(|([one, other], count)| format!("{one}-{other} {} %", share(*count)))
            .take(4)
            .collect();
        let (usable, selected) = (times(cell.usable_ms), times(cell.selected_ms));
        line!(
            text,
            "{:<12}{:<12}{:>9}  {usable}  {selected}  {}",
            cell.a,
            cell.b,
            cell.sessions,
            types.join(", ")
        );
    }
    line!(text);
}

fn losses(text: &mut String, report: &Report) {
    line!(text, "{:>6}{:>10}{:>13}{:>22}{:>22}", "", "", "", "excused:", "");
    line!(
        text,
        "{:>6}{:>10}{:>13}{:>22}{:>22}",
        "loss",
        "sessions",
        "connectable",
        "not connected",
        "not direct"
    );
    for LossReport { loss, counts, .. } in &report.losses {
        let share = |part: u64| format!("{part}  {:>7}", percent(part, counts.connectable));
        line!(
            text,
            "{loss:>4} %{:>10}{:>13}{:>22}{:>22}",
            counts.sessions,
            counts.connectable,
            share(counts.excused_not_connected),
            share(counts.excused_not_direct)
        );
    }
    line!(text);
}

fn summary(text: &mut String, report: &Report, tally: &Tally) {
    let Report { sessions, connectable, connected, excused, stuck, disagreeing, panics, .. } = report;
    line!(
        text,
        "{sessions} sessions, {connected} of {connectable} connected, {excused} excused, {stuck} stuck, \
         {disagreeing} disagreeing, {panics} panics; {:.0} sessions a second; trace {}",
        report.sessions_per_second,
        report.trace
    );
    let ended: u64 = report.losses.iter().map(|loss| loss.counts.ended_by_consent).sum();
    if ended > 0 {
        line!(text, "{ended} ended by consent, each after exactly 30 s without an answer");
    }
    for (number, count) in tally.broken() {
        line!(text, "invariant {number} was broken {count} times");
    }
    for (loss, found, most) in tally.exceeded() {
        line!(text, "at {loss} % loss {found} sessions did not connect, more than {most}");
    }
    text.truncate(text.trim_end().len());
}

/// What came of one session.
pub(super) fn outcome(outcome: &Outcome, same: bool) -> String {
    let mut text = String::new();
    let ways: Vec<String> = outcome.types.iter().map(|[one, other]| format!("{one}-{other}")).collect();
    match (outcome.connected, outcome.direct) {
        (true, true) => line!(text, "connected directly: {}", ways.join(", ")),
        (true, false) => line!(text, "connected by a relay: {}", ways.join(", ")),
        (false, _) => line!(text, "not connected: {:?}", outcome.states),
    }
    for (what, time) in [("usable", outcome.both_usable()), ("selected", outcome.both_selected())] {
        if let Some(time) = time {
            line!(text, "{what} on both sides after {:.1} ms", time.as_secs_f64() * 1e3);
        }
    }
    if let Some(excuse) = &outcome.excuse {
        line!(text, "excused: {excuse}");
    }
    let again = if same { "the same when run again" } else { "ANOTHER when run again" };
    let _ = write!(text, "trace {:016x}, {again}", outcome.hash);
    text
}
