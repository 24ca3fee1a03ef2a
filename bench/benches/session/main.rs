//! Whole sessions, idle ones and their data: floe's agent beside its rivals.
//!
//! `cargo bench --manifest-path bench/Cargo.toml --bench session` prints the tables of docs/performance.md. With
//! `-- --verify` nothing is measured but what can be counted, and it fails where an agent finds no pair; with `-- --data` only data is. `-- --floe HOSTS TIMES` runs
//! sessions of floe alone, and `-- --is HOSTS TIMES` such of `is`, for a profiler; of no hosts, idle minutes.

mod drive;
mod floe;
mod is;
mod null;
mod rice;
mod rtc;

use std::{hint::black_box, process::ExitCode, time::Duration};

use drive::{DATA_BYTES, MINUTE, Peer, Session, Wire};
use floe_bench::sampling::{Contestant, Cost, measure};

/// Host candidates of each side.
const HOSTS: [u8; 5] = [1, 2, 4, 8, 16];
/// With as many, a session of `rice-proto` takes longer than all others together.
const TOO_MANY_FOR_RICE: u8 = 16;
/// At one host, floe may take this part of what `is` takes; connected and idle, a smaller one.
const SESSION_BY_IS: f64 = 0.6;
const SESSION_BY_IS_AT_8: f64 = 0.5;
const IDLE_BY_IS: f64 = 0.5;
/// How much more an idle agent may cost that once had 64 pairs.
const IDLE_GROWTH: f64 = 1.15;
/// Agents in one process, none of which is in the cache when it is woken.
const FLEET: u32 = 10_000;
/// Nanoseconds for one datagram of data.
const DATA: f64 = 20.0;

/// One after the other, agents made and ended each time.
fn sessions<P: Peer + 'static>(hosts: u8) -> Contestant<'static> {
    let (mut wire, mut number) = (Some(Wire::new()), 0);
    Box::new(move |calls| {
        for _ in 0..calls {
            number += 1;
            let mut session = Session::<P>::new(hosts, number, wire.take().unwrap_or_else(Wire::new));
            session.connect();
            wire = Some(session.take_wire());
        }
    })
}

/// A session that is connected for two minutes.
fn connected<P: Peer + 'static>(hosts: u8) -> Session<P> {
    let mut session = Session::new(hosts, 1, Wire::new());
    session.connect();
    session.run_for(2 * MINUTE);
    session
}

/// One agent-minute a call: half a minute for both.
fn idle<P: Peer + 'static>(hosts: u8) -> Contestant<'static> {
    let mut session = connected::<P>(hosts);
    Box::new(move |calls| session.run_for(MINUTE / 2 * calls))
}

/// One agent-minute a call as well, of so many agents that none is in the cache when it is woken: each has five seconds at
/// a time.
fn idle_fleet<P: Peer + 'static>(hosts: u8) -> Contestant<'static> {
    const STEP: Duration = Duration::from_secs(5);
    let connected = |number: u64| {
        let mut session = Session::<P>::new(hosts, number, Wire::with_room(16));
        session.connect();
        session.run_for(2 * MINUTE);
        session
    };
    let mut fleet: Vec<_> = (0..u64::from(FLEET / 2)).map(connected).collect();
    let mut next = 0;
    Box::new(move |calls| {
        for _ in 0..calls * 6 {
            fleet[next].run_for(STEP);
            next = (next + 1) % fleet.len();
        }
    })
}

fn sending<P: Peer + 'static>() -> Contestant<'static> {
    let (mut session, payload) = (connected::<P>(1), [0x80; DATA_BYTES]);
    assert!(session.agents[0].send(session.now, &payload), "{} sends", P::NAME);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(session.agents[0].send(black_box(session.now), black_box(&payload)));
        }
    })
}

fn receiving<P: Peer + 'static>() -> Contestant<'static> {
    let (mut session, mut payload) = (connected::<P>(1), [0x80; DATA_BYTES]);
    assert!(session.agents[0].receive(session.now, &mut payload), "{} receives", P::NAME);
    Box::new(move |calls| {
        for _ in 0..calls {
            black_box(session.agents[0].receive(black_box(session.now), black_box(&mut payload)));
        }
    })
}

/// What can be counted, and is the same each time.
struct Facts {
    /// How long each took.
    selected: [Duration; 2],
    datagrams: u64,
    /// For an agent and a minute, connected and idle.
    idle_datagrams: u64,
    idle_wakes: u64,
}

fn facts<P: Peer + 'static>(hosts: u8) -> Facts {
    const MINUTES: u32 = 10;
    let mut session = Session::<P>::new(hosts, 1, Wire::new());
    let selected = session.connect();
    let datagrams = session.counts().sent;
    session.run_for(2 * MINUTE);
    let before = session.counts();
    session.run_for(MINUTES * MINUTE);
    let (after, agent_minutes) = (session.counts(), u64::from(2 * MINUTES));
    Facts {
        selected,
        datagrams,
        idle_datagrams: (after.sent - before.sent) / agent_minutes,
        idle_wakes: (after.wakes - before.wakes) / agent_minutes,
    }
}

/// A column of the tables.
struct Entry {
    name: &'static str,
    bytes: usize,
    carries_data: bool,
    sessions: fn(u8) -> Contestant<'static>,
    idle: fn(u8) -> Contestant<'static>,
    idle_fleet: fn(u8) -> Contestant<'static>,
    sending: fn() -> Contestant<'static>,
    receiving: fn() -> Contestant<'static>,
    facts: fn(u8) -> Facts,
}

const fn entry<P: Peer + 'static>() -> Entry {
    Entry {
        name: P::NAME,
        bytes: P::BYTES,
        carries_data: P::CARRIES_DATA,
        sessions: sessions::<P>,
        idle: idle::<P>,
        idle_fleet: idle_fleet::<P>,
        sending: sending::<P>,
        receiving: receiving::<P>,
        facts: facts::<P>,
    }
}

const FLOE: usize = 0;
const IS: usize = 1;
const RICE: usize = 3;
const AGENTS: [Entry; 4] =
    [entry::<floe::Floe>(), entry::<is::Is>(), entry::<rtc::Rtc>(), entry::<rice::Rice>()];

/// Who takes part where there are so many hosts.
fn playing(hosts: u8) -> &'static [Entry] {
    if hosts >= TOO_MANY_FOR_RICE { &AGENTS[..RICE] } else { &AGENTS }
}

/// One line of a table.
struct Row {
    name: String,
    costs: Vec<Option<Cost>>,
}

impl Row {
    /// What floe takes as a part of what `is` takes.
    fn by_is(&self, of: fn(&Cost) -> f64) -> Option<f64> {
        Some(self.costs[FLOE].as_ref().map(of)? / self.costs[IS].as_ref().map(of)?)
    }

    fn least_of_floe(&self) -> f64 {
        self.costs[FLOE].as_ref().map_or(f64::NAN, least)
    }
}

fn least(cost: &Cost) -> f64 {
    cost.least
}

fn median(cost: &Cost) -> f64 {
    cost.median
}

/// Measures those that there are, in turns.
fn row(name: String, contestants: Vec<Option<Contestant<'static>>>) -> Row {
    let places: Vec<bool> = contestants.iter().map(Option::is_some).collect();
    let mut present: Vec<_> = contestants.into_iter().flatten().collect();
    let mut costs = measure(&mut present).into_iter();
    Row { name, costs: places.into_iter().map(|is| if is { costs.next() } else { None }).collect() }
}

fn print_table(title: &str, first: &str, unit: f64, rows: &[Row]) {
    println!("\n{title}\n");
    let columns = rows.first().map_or(0, |row| row.costs.len());
    let names = AGENTS.iter().take(columns).map(|entry| entry.name).collect::<Vec<_>>().join(" | ");
    println!("| {first} | {names} | floe : is |\n| --- |{}", " --- |".repeat(columns + 1));
    for row in rows {
        let cell = |cost: &Option<Cost>| match cost {
            Some(cost) => format!("{:.1} ({:.1})", cost.median / unit, cost.least / unit),
            None => "-".into(),
        };
        let cells = row.costs.iter().map(cell).collect::<Vec<_>>().join(" | ");
        let ratio = match (row.by_is(median), row.by_is(least)) {
            (Some(median), Some(least)) => format!("{median:.2} ({least:.2})"),
            _ => "-".into(),
        };
        println!("| {} | {cells} | {ratio} |", row.name);
    }
}

fn print_facts() {
    let sizes = AGENTS.iter().map(|entry| format!("{} {}", entry.name, entry.bytes)).collect::<Vec<_>>();
    println!("\nBytes of an agent without its heap: {}.", sizes.join(", "));
    println!(
        "\nDatagrams until both have a pair; virtual ms until controlling / controlled have; then, an agent and a"
    );
    println!("minute: datagrams and wakes for time\n");
    let names = AGENTS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(" | ");
    println!("| hosts | {names} |\n| --- |{}", " --- |".repeat(AGENTS.len()));
    for hosts in HOSTS {
        let cell = |entry: &Entry| {
            let facts = (entry.facts)(hosts);
            let [first, second] = facts.selected.map(|time| time.as_millis());
            format!(
                "{}; {first} / {second}; {} and {}",
                facts.datagrams, facts.idle_datagrams, facts.idle_wakes
            )
        };
        let cells = playing(hosts).iter().map(cell).collect::<Vec<_>>().join(" | ");
        println!("| {hosts} | {cells} |");
    }
}

/// floe and `is` at the same Ta, of which their defaults are not the same; with the datagrams that both need.
fn paced() -> Vec<Row> {
    let paces = [
        (5, [entry::<floe::Floe<5>>(), entry::<is::Is<5>>()]),
        (50, [entry::<floe::Floe<50>>(), entry::<is::Is<50>>()]),
    ];
    let both = |(ta, agents): &(u8, [Entry; IS + 1])| {
        [1, 8].map(|hosts| {
            let [floe, is] = agents.each_ref().map(|entry| (entry.facts)(hosts).datagrams);
            let contestants = agents.iter().map(|entry| Some((entry.sessions)(hosts))).collect();
            row(format!("{hosts}, {ta}, {floe} : {is}"), contestants)
        })
    };
    paces.iter().flat_map(both).collect()
}

/// Prints each target with its figures; the least samples decide, because other programs cannot make them smaller.
fn targets(sessions: &[Row], idle: &[Row], data: &[Row]) -> bool {
    let mut all = true;
    let mut judge = |met: bool, text: String| {
        all &= met;
        println!("{}  {text}", if met { "met   " } else { "MISSED" });
    };
    let at = |hosts: u8| &sessions[HOSTS.iter().position(|known| *known == hosts).expect("it is measured")];
    println!("\nTargets, judged by the least samples:");
    for (hosts, most) in [(1, SESSION_BY_IS), (8, SESSION_BY_IS_AT_8)] {
        let ratio = at(hosts).by_is(least).unwrap_or(f64::NAN);
        judge(ratio <= most, format!("a session of {hosts} hosts: {ratio:.2} times `is` (at most {most})"));
    }
    let growth = at(16).least_of_floe() / at(8).least_of_floe();
    judge(growth <= 4.0, format!("from 64 to 256 pairs: {growth:.2} times the cost (at most 4)"));
    let ratio = idle[0].by_is(least).unwrap_or(f64::NAN);
    judge(ratio <= IDLE_BY_IS, format!("idle after 1 host: {ratio:.2} times `is` (at most {IDLE_BY_IS})"));
    let growth = idle[1].least_of_floe() / idle[0].least_of_floe();
    judge(
        growth <= IDLE_GROWTH,
        format!("idle after 8 hosts: {growth:.2} times that after 1 (at most {IDLE_GROWTH})"),
    );
    for row in data {
        let cost = row.least_of_floe();
        judge(cost <= DATA, format!("{}: {cost:.1} ns (at most {DATA})", row.name));
    }
    all
}

fn print_data(rows: &[Row]) {
    print_table("Nanoseconds of CPU time a datagram of 1200 bytes", "data", 1.0, rows);
}

/// The rows of the last table.
fn data() -> [Row; 2] {
    let carrying = |of: fn(&Entry) -> Contestant<'static>| {
        AGENTS.iter().map(|entry| entry.carries_data.then(|| of(entry))).collect()
    };
    [
        row("send".into(), carrying(|entry| (entry.sending)())),
        row("receive".into(), carrying(|entry| (entry.receiving)())),
    ]
}

fn profile<P: Peer + 'static>(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok());
    let (Some(hosts), Some(times)) = (number().and_then(|hosts| u8::try_from(hosts).ok()), number()) else {
        eprintln!("how many hosts, and how often?");
        return ExitCode::FAILURE;
    };
    // No hosts: idle minutes of a session that had one.
    let mut run = if hosts == 0 { idle::<P>(1) } else { sessions::<P>(hosts) };
    run(times);
    ExitCode::SUCCESS
}

/// Runs this program again with an allocator that keeps what it has: whether memory at the end of the heap goes back to
/// the system and returns with each session is a matter of what happens to lie behind it, and can double a figure.
fn with_steady_heap() -> Option<ExitCode> {
    const KEEP: &str = "MALLOC_TRIM_THRESHOLD_";
    if std::env::var_os(KEEP).is_some() {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let mut again = std::process::Command::new(program);
    let status = again.args(std::env::args_os().skip(1)).env(KEEP, "1073741824").status().ok()?;
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> ExitCode {
    if let Some(done) = with_steady_heap() {
        return done;
    }
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--floe" => return profile::<floe::Floe>(arguments),
            "--is" => return profile::<is::Is>(arguments),
            "--verify" => {
                print_facts();
                return ExitCode::SUCCESS;
            }
            "--data" => {
                print_data(&data());
                return ExitCode::SUCCESS;
            }
            _ => {}
        }
    }
    let contest = |hosts: u8, of: fn(&Entry) -> fn(u8) -> Contestant<'static>| {
        let present = playing(hosts);
        AGENTS
            .iter()
            .enumerate()
            .map(|(place, entry)| (place < present.len()).then(|| of(entry)(hosts)))
            .collect()
    };
    let session_rows = HOSTS.map(|hosts| row(format!("{hosts}"), contest(hosts, |entry| entry.sessions)));
    // Who does nothing at all, neither consent nor keepalives, costs nothing, and no number of minutes is a sample.
    let idling = |hosts: u8, of: fn(&Entry) -> fn(u8) -> Contestant<'static>| {
        let contestant = |entry: &Entry| ((entry.facts)(hosts).idle_wakes > 0).then(|| of(entry)(hosts));
        AGENTS.iter().map(contestant).collect()
    };
    let idle_rows = [1, 8].map(|hosts| row(format!("{hosts}"), idling(hosts, |entry| entry.idle)));
    let fleet_row = row(format!("1, {FLEET} agents in turns"), idling(1, |entry| entry.idle_fleet));
    let share = fleet_row.least_of_floe() * 1e-9 / 60.0 * f64::from(FLEET);
    let (paced_rows, data_rows) = (paced(), data());
    let harness = measure(&mut [sessions::<null::Null>(1)]);
    print_table(
        "Microseconds of CPU time a session, both agents: median (least)",
        "hosts",
        1e3,
        &session_rows,
    );
    print_table("The same where both have the same Ta", "hosts, Ta in ms, datagrams", 1e3, &paced_rows);
    println!(
        "\nThe harness in each of them, at 1 host: {:.2} ({:.2})",
        harness[0].median / 1e3,
        harness[0].least / 1e3
    );
    print_facts();
    print_table(
        "Microseconds of CPU time an agent and a minute, connected and idle",
        "hosts",
        1e3,
        &idle_rows,
    );
    print_table("The same of many agents, each woken in turn", "hosts", 1e3, &[fleet_row]);
    println!("\n{FLEET} agents of floe, connected and idle: {:.2} % of a core", share * 100.0);
    print_data(&data_rows);
    if targets(&session_rows, &idle_rows, &data_rows) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
