//! What agents hold and allocate: floe's beside its rivals, driven as in the bench `session`.
//!
//! `cargo bench --manifest-path bench/Cargo.toml --bench memory` prints the table of docs/performance.md, and ends with
//! status 1 while a target is missed. With `-- --verify` it does so only where floe's steady state allocates, which is a
//! law and no target. Its allocator counts, which costs time: the times are measured by the other bench.

#[path = "../session/drive.rs"]
mod drive;
#[path = "../session/floe.rs"]
mod floe;
#[path = "../session/is.rs"]
mod is;
#[path = "../session/rice.rs"]
mod rice;
#[path = "../session/rtc.rs"]
mod rtc;

use std::process::ExitCode;

use drive::{DATA_BYTES, MINUTE, Peer, Session, Wire};
use floe_bench::heap::{Counting, Heap, count};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Host candidates of each side. With one, there is the one pair of the target.
const HOSTS: [u8; 3] = [1, 2, 8];

/// What one agent is and does.
struct Memory {
    name: &'static str,
    /// The agent itself.
    agent: usize,
    /// On the heap, a minute after selection.
    heap: i64,
    /// Until both have a selected pair, for both.
    connecting: Heap,
    /// In ten minutes connected and idle, for both, with the datagrams they sent.
    idle: (u64, u64),
    /// For one datagram of data sent and one received, where the agent has a part in them.
    data: Option<u64>,
}

impl Memory {
    fn whole(&self) -> i64 {
        i64::try_from(self.agent).unwrap_or(i64::MAX) + self.heap
    }
}

fn measure<P: Peer>(hosts: u8) -> Memory {
    // What is made once, tables of the process among it, is no part of an agent: the first session is not counted.
    let mut warm = Session::<P>::new(hosts, 1, Wire::new());
    warm.connect();
    warm.run_for(2 * MINUTE);
    let wire = warm.take_wire();
    let (mut session, connecting) = count(|| {
        let mut session = Session::<P>::new(hosts, 2, wire);
        session.connect();
        session
    });
    let ((), minute) = count(|| session.run_for(MINUTE));
    let mut payload = [0x80; DATA_BYTES];
    // Buffers may grow once more.
    session.run_for(MINUTE);
    let before = session.counts().sent;
    let ((), idle) = count(|| session.run_for(10 * MINUTE));
    let sent = session.counts().sent - before;
    let now = session.now;
    let (_, data) = count(|| {
        session.agents[0].send(now, &payload);
        session.agents[0].receive(now, &mut payload)
    });
    Memory {
        name: P::NAME,
        agent: P::BYTES,
        heap: (connecting.live + minute.live).div_euclid(2),
        connecting,
        idle: (idle.allocations, sent),
        data: P::CARRIES_DATA.then_some(data.allocations),
    }
}

fn main() -> ExitCode {
    let agents: [fn(u8) -> Memory; 4] =
        [measure::<floe::Floe>, measure::<is::Is>, measure::<rtc::Rtc>, measure::<rice::Rice>];
    println!(
        "Bytes of one agent a minute after selection: itself + heap = sum; allocations (KiB) until both have a"
    );
    println!(
        "pair; allocations / datagrams of ten idle minutes; allocations of one datagram sent and one received\n"
    );
    let law_only = std::env::args().any(|argument| argument == "--verify");
    let mut good = true;
    for hosts in HOSTS {
        println!("| {hosts} hosts | agent + heap = sum | connecting, both | idle, both | data |");
        println!("| --- | --- | --- | --- | --- |");
        let found = agents.map(|measure| measure(hosts));
        for memory in &found {
            println!(
                "| {} | {} + {} = {} | {} ({}) | {} / {} | {} |",
                memory.name,
                memory.agent,
                memory.heap,
                memory.whole(),
                memory.connecting.allocations,
                memory.connecting.bytes / 1024,
                memory.idle.0,
                memory.idle.1,
                memory.data.map_or_else(|| "-".to_owned(), |data| data.to_string())
            );
        }
        println!();
        let [floe, _, rtc, _] = &found;
        let mut judge = |met: bool, counts: bool, text: String| {
            good &= met || !counts;
            println!("{}  {text}", if met { "met   " } else { "MISSED" });
        };
        if hosts == 1 {
            let text = format!("one pair: {} bytes, {} of rtc-ice", floe.whole(), rtc.whole());
            judge(floe.whole() <= rtc.whole(), !law_only, text);
        }
        let (idle, data) = (floe.idle.0, floe.data.unwrap_or_default());
        judge(idle == 0 && data == 0, true, format!("{idle} allocations idle, {data} with data"));
        println!();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
