//! The STUN codec on the two messages every connectivity check is made of: floe, its rivals, and a floor.
//!
//! `cargo bench --manifest-path bench/Cargo.toml` prints the table of docs/performance.md. With `-- --verify` nothing
//! is measured: it is only checked that all of them read and write the same.

mod floe;
mod floor;
mod message;
mod rivals;

use std::{hint::black_box, process::ExitCode};

use floe_bench::{
    heap::{self, Counting, Heap},
    sampling::{Contestant, Cost, measure},
};
use message::{Buffer, Codec, MAPPED, REQUEST_BYTES, RESPONSE_BYTES, VALUES};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Parse, verify, read; or write. Of the request, or of the response.
#[derive(Clone, Copy, Debug)]
enum Operation {
    CheckRequest,
    CheckResponse,
    BuildRequest,
    BuildResponse,
}

impl Operation {
    const ALL: [Self; 4] = [Self::CheckRequest, Self::CheckResponse, Self::BuildRequest, Self::BuildResponse];

    const fn name(self) -> &'static str {
        match self {
            Self::CheckRequest => "parse, verify and read the request",
            Self::CheckResponse => "parse, verify and read the response",
            Self::BuildRequest => "build the request",
            Self::BuildResponse => "build the response",
        }
    }
}

/// floe has to be this many times as fast as the best rival.
const BEST_RIVAL: f64 = 1.25;
/// floe may take this many times as long as the floor.
const ABOVE_FLOOR: f64 = 1.15;
/// The floor itself, as a part of what `is` takes for checking the request: is the floor as low as it claims to be?
/// floe wants its key material wiped, and `is` pays some 20 ns for that because both use one copy of `sha1`.
const FLOOR_BY_IS: std::ops::RangeInclusive<f64> = 0.65 * 0.9..=0.65 * 1.1;

/// The floor that judges, and writes the messages to read.
type Floor = floor::Floor<floor::Streamed>;

/// The messages to read, written by the floor.
struct Messages {
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Messages {
    fn new() -> Self {
        let (mut codec, mut buffer) = (Floor::new(), Buffer::default());
        let request = codec.build_request(&mut buffer);
        let request = buffer.0[..request].to_vec();
        let response = codec.build_response(&mut buffer);
        Self { request, response: buffer.0[..response].to_vec() }
    }
}

/// Both directions, against the floor: what one writes the other reads, and what is broken is refused.
fn verify<C: Codec>(messages: &Messages) {
    let name = C::NAME;
    let (mut codec, mut floor, mut buffer) = (C::new(), Floor::new(), Buffer::default());
    assert_eq!(codec.check_request(&messages.request), Some(VALUES), "{name} reads the request");
    assert_eq!(codec.check_response(&messages.response), Some(MAPPED), "{name} reads the response");
    let len = codec.build_request(&mut buffer);
    assert_eq!(len, REQUEST_BYTES, "{name} writes a request of the same length");
    assert_eq!(floor.check_request(&buffer.0[..len]), Some(VALUES), "{name} writes a good request");
    let len = codec.build_response(&mut buffer);
    assert_eq!(len, RESPONSE_BYTES, "{name} writes a response of the same length");
    assert_eq!(floor.check_response(&buffer.0[..len]), Some(MAPPED), "{name} writes a good response");
    // The last byte of MESSAGE-INTEGRITY, and the last of FINGERPRINT.
    for (from_end, checked) in [(9, true), (1, C::CHECKS_FINGERPRINT)] {
        let (mut request, mut response) = (messages.request.clone(), messages.response.clone());
        request[REQUEST_BYTES - from_end] ^= 1;
        response[RESPONSE_BYTES - from_end] ^= 1;
        assert_eq!(codec.check_request(&request).is_none(), checked, "{name} refuses a broken request");
        assert_eq!(codec.check_response(&response).is_none(), checked, "{name} refuses a broken response");
    }
}

/// One operation of one codec, ready to run.
fn contestant<C: Codec + 'static>(operation: Operation, messages: &Messages) -> Contestant<'_> {
    let mut codec = C::new();
    let mut buffer = Buffer::default();
    match operation {
        Operation::CheckRequest => Box::new(move |calls| {
            for _ in 0..calls {
                black_box(codec.check_request(black_box(&messages.request)));
            }
        }),
        Operation::CheckResponse => Box::new(move |calls| {
            for _ in 0..calls {
                black_box(codec.check_response(black_box(&messages.response)));
            }
        }),
        Operation::BuildRequest => Box::new(move |calls| {
            for _ in 0..calls {
                black_box(codec.build_request(black_box(&mut buffer)));
            }
        }),
        Operation::BuildResponse => Box::new(move |calls| {
            for _ in 0..calls {
                black_box(codec.build_response(black_box(&mut buffer)));
            }
        }),
    }
}

/// A codec of the table.
struct Entry {
    name: &'static str,
    verify: fn(&Messages),
    contestant: for<'a> fn(Operation, &'a Messages) -> Contestant<'a>,
}

const fn entry<C: Codec + 'static>() -> Entry {
    Entry { name: C::NAME, verify: verify::<C>, contestant: contestant::<C> }
}

/// The floors, floe, and from [`RIVALS`] on the rivals.
const ENTRIES: [Entry; 7] = [
    entry::<floor::Floor<floor::InPlace>>(),
    entry::<Floor>(),
    entry::<floe::Floe>(),
    entry::<rivals::StunTypes>(),
    entry::<rivals::Is>(),
    entry::<rivals::RtcStun>(),
    entry::<rivals::Stun>(),
];
const FLOOR: usize = 1;
const FLOE: usize = 2;
const RIVALS: usize = 3;
const IS: usize = 4;

/// What one operation costs everyone.
struct Row {
    operation: Operation,
    costs: Vec<Cost>,
    heap: Vec<Heap>,
}

fn measure_all(messages: &Messages) -> Vec<Row> {
    let row = |operation| {
        let mut contestants: Vec<_> =
            ENTRIES.iter().map(|entry| (entry.contestant)(operation, messages)).collect();
        let heap = contestants
            .iter_mut()
            .map(|contestant| {
                // The first call may fill tables that stay.
                contestant(1);
                heap::count(|| contestant(1)).1
            })
            .collect();
        Row { operation, costs: measure(&mut contestants), heap }
    };
    Operation::ALL.into_iter().map(row).collect()
}

impl Row {
    /// How many times as long as floe the best rival takes.
    fn best_rival(&self, of: fn(&Cost) -> f64) -> f64 {
        self.costs[RIVALS..].iter().map(of).fold(f64::INFINITY, f64::min) / of(&self.costs[FLOE])
    }

    /// How many times as long as the floor floe takes.
    fn floor(&self, of: fn(&Cost) -> f64) -> f64 {
        of(&self.costs[FLOE]) / of(&self.costs[FLOOR])
    }
}

fn least(cost: &Cost) -> f64 {
    cost.least
}

fn median(cost: &Cost) -> f64 {
    cost.median
}

fn print_table(title: &str, rows: &[Row], ratios: bool, cell: impl Fn(&Row, usize) -> String) {
    println!("\n{title}\n");
    let names = ENTRIES.map(|entry| entry.name).join(" | ");
    let (more, dashes) =
        if ratios { (" best rival : floe | floe : floor |", " --- | --- |") } else { ("", "") };
    println!("| operation | {names} |{more}\n| --- |{}{dashes}", " --- |".repeat(ENTRIES.len()));
    for row in rows {
        let cells = (0..ENTRIES.len()).map(|index| cell(row, index)).collect::<Vec<_>>().join(" | ");
        print!("| {} | {cells} |", row.operation.name());
        if ratios {
            print!(
                " {:.2} ({:.2}) | {:.2} ({:.2}) |",
                row.best_rival(median),
                row.best_rival(least),
                row.floor(median),
                row.floor(least)
            );
        }
        println!();
    }
}

/// Prints each target with its figures; the least samples decide, because other programs cannot make them smaller.
fn targets(rows: &[Row]) -> bool {
    let mut all = true;
    let mut judge = |met: bool, text: String| {
        all &= met;
        println!("{}  {text}", if met { "met   " } else { "MISSED" });
    };
    println!("\nTargets, judged by the least samples:");
    for row in rows {
        let (name, rival, floor) = (row.operation.name(), row.best_rival(least), row.floor(least));
        judge(
            rival >= BEST_RIVAL,
            format!("{name}: {rival:.2} times as fast as the best rival ({BEST_RIVAL})"),
        );
        judge(floor <= ABOVE_FLOOR, format!("{name}: {floor:.2} times the floor (at most {ABOVE_FLOOR})"));
        let heap = row.heap[FLOE].allocations;
        judge(heap == 0, format!("{name}: {heap} allocations"));
    }
    let by_is = rows[0].costs[FLOOR].least / rows[0].costs[IS].least;
    let range = format!("{:.3} to {:.3}", FLOOR_BY_IS.start(), FLOOR_BY_IS.end());
    judge(
        FLOOR_BY_IS.contains(&by_is),
        format!("the floor: {by_is:.2} times `is` for the request ({range})"),
    );
    all
}

fn main() -> ExitCode {
    let messages = Messages::new();
    for entry in &ENTRIES {
        (entry.verify)(&messages);
    }
    println!("All codecs read and write the same two messages and refuse broken ones.");
    if std::env::args().any(|argument| argument == "--verify") {
        return ExitCode::SUCCESS;
    }
    let rows = measure_all(&messages);
    print_table("Nanoseconds of CPU time a call, median (least)", &rows, true, |row, index| {
        format!("{:.0} ({:.0})", row.costs[index].median, row.costs[index].least)
    });
    print_table("Heap allocations (bytes) a call", &rows, false, |row, index| {
        let heap = row.heap[index];
        if heap.allocations == 0 { "0".into() } else { format!("{} ({})", heap.allocations, heap.bytes) }
    });
    if targets(&rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
