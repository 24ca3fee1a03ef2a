//! The tables of the demonstration.

use std::time::Duration;

use floe::{
    PairReport,
    pair::{Candidate, CandidateType},
};

use super::{Run, Seen, Side};

/// Prints one run: candidates, checks and what came of them.
pub(crate) fn run(run: &Run, sides: &[(&Side, &Seen)]) {
    println!("== {} path", run.path);
    let mut rows = vec![row(["side", "after", "candidate", "address", "priority"])];
    for (side, seen) in sides {
        for (at, candidate) in &seen.candidates {
            let priority = candidate.priority.get().to_string();
            rows.push(row([side.name, &ms(*at), kind(candidate), &candidate.address.to_string(), &priority]));
        }
    }
    table(&rows);
    let mut rows = vec![row(["side", "check from", "to", "state", "sent", "answered after"])];
    for (side, seen) in sides {
        for pair in seen.trace.checked() {
            rows.push(check(side.name, pair));
        }
    }
    table(&rows);
    match (&run.local, &run.remote) {
        (Some(local), Some(remote)) => {
            println!("selected   {local}\n      with {remote}");
            println!(
                "usable after {} ms, selected after {} ms, round trip {} µs, {} Mbit/s\n",
                figure(run.usable_ms),
                figure(run.selected_ms),
                figure(run.rtt_us),
                figure(run.mbit_s),
            );
        }
        _ => println!("not connected: {}\n", run.reason.as_deref().unwrap_or_default()),
    }
}

fn check(side: &str, pair: &PairReport) -> Vec<String> {
    let state =
        if pair.selected { "selected".to_owned() } else { format!("{:?}", pair.state).to_lowercase() };
    let answered = match (pair.rtt, pair.first_check, pair.valid_since) {
        (Some(rtt), ..) => ms(rtt),
        (None, Some(first), Some(valid)) => ms(valid.since(first)),
        _ => "-".to_owned(),
    };
    let address = |candidate: &Candidate| format!("{} {}", kind(candidate), candidate.address);
    row([
        side,
        &address(&pair.local),
        &address(&pair.remote),
        &state,
        &pair.requests_sent.to_string(),
        &answered,
    ])
}

const fn kind(candidate: &Candidate) -> &'static str {
    match candidate.kind {
        CandidateType::Host => "host",
        CandidateType::ServerReflexive => "srflx",
        CandidateType::PeerReflexive => "prflx",
        CandidateType::Relayed => "relay",
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

fn figure(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Columns as wide as their widest cell; the first row is the head.
fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    println!();
}
