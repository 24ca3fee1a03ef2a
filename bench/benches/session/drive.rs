//! One way to drive a session, whoever the agents are: a virtual clock, and datagrams handed over as they were made.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::{Duration, Instant},
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// What a datagram takes from one agent to the other: half a round trip of 50 ms.
const ONE_WAY: Duration = Duration::from_millis(25);
/// Nobody needs as long where nothing is lost.
const PATIENCE: Duration = MINUTE;
/// Nothing is due as late.
const NEVER: Duration = Duration::from_secs(1 << 32);
/// Port of the first host candidate of each agent; that of the others follows by their number.
const FIRST_PORT: u16 = 5000;
/// Length of the data that is sent when a session is there.
pub(crate) const DATA_BYTES: usize = 1200;

/// A point of the virtual time as an agent takes it, so that nobody pays for the translation of another's.
pub(crate) trait Clock: Copy + Ord {
    /// Where all sessions begin.
    fn origin() -> Self;
    fn after(self, time: Duration) -> Self;
    fn since(self, earlier: Self) -> Duration;
}

impl Clock for Instant {
    fn origin() -> Self {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        *ORIGIN
    }

    fn after(self, time: Duration) -> Self {
        self + time
    }

    fn since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// An agent, as far as a session needs it.
pub(crate) trait Peer: Sized {
    const NAME: &'static str;
    /// Size of the agent itself, without what it has on the heap.
    const BYTES: usize;
    /// Whether data passes through the agent, or is asked about.
    const CARRIES_DATA: bool = true;
    /// A datagram as one agent makes it and the other takes it: nothing is copied on the way. Used again and again.
    type Datagram: Default;
    type Instant: Clock;

    /// Makes the controlling (side 0) or the controlled agent, for `hosts` host candidates. `number` is another one each time,
    /// for those that do not draw random numbers themselves.
    fn new(side: usize, hosts: u8, number: u64) -> Self;
    /// Lets both gather, and each know the candidates of the other by value.
    fn introduce(pair: &mut [Self; 2], hosts: u8);
    fn handle_datagram(&mut self, now: Self::Instant, datagram: &mut Self::Datagram);
    fn handle_timeout(&mut self, now: Self::Instant);
    /// Reads all events; notes the selection.
    fn handle_events(&mut self, now: Self::Instant);
    /// False if there is none.
    fn poll_transmit(&mut self, now: Self::Instant, datagram: &mut Self::Datagram) -> bool;
    fn poll_timeout(&mut self, now: Self::Instant) -> Option<Self::Instant>;
    fn is_selected(&self) -> bool;
    /// What the agent does for one datagram of data that leaves; the bytes are there already.
    fn send(&mut self, now: Self::Instant, payload: &[u8; DATA_BYTES]) -> bool;
    /// What it does for one that arrives from its selected pair.
    fn receive(&mut self, now: Self::Instant, payload: &mut [u8; DATA_BYTES]) -> bool;
}

/// Where the host candidate `host` of the agent on this side is.
pub(crate) fn address(side: usize, host: u8) -> SocketAddr {
    let side = if side == 0 { 1 } else { 2 };
    // A network of its own for each, so that everybody counts them as different interfaces.
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, side, host, 1)), port_of(host))
}

/// The port of each agent's host candidate `host`.
pub(crate) fn port_of(host: u8) -> u16 {
    FIRST_PORT + u16::from(host)
}

/// The host candidate at an address.
pub(crate) fn host_at(port: u16) -> u8 {
    u8::try_from(port - FIRST_PORT).expect("one of ours")
}

struct Flight<D, I> {
    at: I,
    to: usize,
    datagram: Box<D>,
}

/// Datagrams on their way, and spare ones: they are made once, and stay where they are.
pub(crate) struct Wire<D, I> {
    flights: VecDeque<Flight<D, I>>,
    #[allow(
        clippy::vec_box,
        reason = "from the spare ones to those on their way and back nothing of them is moved"
    )]
    spare: Vec<Box<D>>,
    counts: Counts,
}

/// What both agents together have done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Datagrams sent.
    pub(crate) sent: u64,
    /// Times an agent was called because time had passed.
    pub(crate) wakes: u64,
}

impl<D: Default, I> Wire<D, I> {
    pub(crate) fn new() -> Self {
        // More than the most that was ever on the way, so that it never grows while something is measured.
        Self::with_room(4096)
    }

    pub(crate) fn with_room(most: usize) -> Self {
        Self {
            flights: VecDeque::with_capacity(most),
            spare: Vec::with_capacity(most),
            counts: Counts::default(),
        }
    }

    fn clear(&mut self) {
        self.spare.extend(self.flights.drain(..).map(|flight| flight.datagram));
    }
}

/// Two agents, time, and what is between them.
pub(crate) struct Session<P: Peer> {
    pub(crate) agents: [P; 2],
    /// That of an agent for which nothing is due is `never`.
    deadlines: [P::Instant; 2],
    never: P::Instant,
    wire: Wire<P::Datagram, P::Instant>,
    pub(crate) now: P::Instant,
}

impl<P: Peer> Session<P> {
    /// Makes the agents; what is due at once is done, and nothing has arrived.
    pub(crate) fn new(hosts: u8, number: u64, mut wire: Wire<P::Datagram, P::Instant>) -> Self {
        wire.clear();
        // Made where they stay: to move large agents about is no part of a session.
        let agents = [P::new(0, hosts, number), P::new(1, hosts, number)];
        let now = P::Instant::origin();
        let never = now.after(NEVER);
        let mut session = Self { agents, deadlines: [never; 2], never, wire, now };
        P::introduce(&mut session.agents, hosts);
        session.drain(0);
        session.drain(1);
        session
    }

    /// Runs until both have selected a pair; returns after how long each did.
    pub(crate) fn connect(&mut self) -> [Duration; 2] {
        let begin = self.now;
        let end = begin.after(PATIENCE);
        let mut selected = [None; 2];
        loop {
            for (selected, agent) in selected.iter_mut().zip(&self.agents) {
                if selected.is_none() && agent.is_selected() {
                    *selected = Some(self.now);
                }
            }
            if let [Some(first), Some(second)] = selected {
                return [first, second].map(|at: P::Instant| at.since(begin));
            }
            assert!(self.now < end, "{} finds no pair", P::NAME);
            self.step();
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.next() <= end {
            self.step();
        }
        self.now = end;
    }

    /// What was counted since the wire was made.
    pub(crate) fn counts(&self) -> Counts {
        self.wire.counts
    }

    /// Gives the wire back, for the next session.
    pub(crate) fn take_wire(&mut self) -> Wire<P::Datagram, P::Instant> {
        let none = Wire { flights: VecDeque::new(), spare: Vec::new(), counts: Counts::default() };
        std::mem::replace(&mut self.wire, none)
    }

    /// When the next datagram arrives.
    fn arrival(&self) -> P::Instant {
        self.wire.flights.front().map_or(self.never, |flight| flight.at)
    }

    fn next(&self) -> P::Instant {
        self.arrival().min(self.deadlines[0]).min(self.deadlines[1])
    }

    fn step(&mut self) {
        let at = self.next();
        assert!(at < self.never, "{} waits for nothing", P::NAME);
        self.now = self.now.max(at);
        if self.arrival() == at
            && let Some(Flight { to, mut datagram, .. }) = self.wire.flights.pop_front()
        {
            self.agents[to].handle_datagram(self.now, &mut datagram);
            self.wire.spare.push(datagram);
            self.drain(to);
            return;
        }
        self.wire.counts.wakes += 1;
        let side = usize::from(self.deadlines[0] > at);
        self.agents[side].handle_timeout(self.now);
        self.drain(side);
    }

    fn drain(&mut self, side: usize) {
        let agent = &mut self.agents[side];
        agent.handle_events(self.now);
        let Wire { flights, spare, counts } = &mut self.wire;
        loop {
            if spare.is_empty() {
                spare.push(Box::default());
            }
            let sends = |next: &mut Box<_>| agent.poll_transmit(self.now, next);
            let Some(datagram) = spare.pop_if(sends) else { break };
            counts.sent += 1;
            flights.push_back(Flight { at: self.now.after(ONE_WAY), to: 1 - side, datagram });
        }
        self.deadlines[side] = agent.poll_timeout(self.now).unwrap_or(self.never);
    }
}
