//! Two sets and a network between them.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;
use std::vec::Vec;

use floe_pair::{
    BaseId, Candidate, CandidateType, ComponentId, Foundation, IceOptions, LocalPreference, Parameters,
    Priority, Role, StreamId, TieBreaker, Transport, TransportAddress,
};
use floe_stun::{Class, Instant, Message, Random};

use crate::{Admission, ChecklistSet, Config, Event, Outcome, State, TransmitKind, Urgency};

pub(super) const STREAM: StreamId = StreamId(0);
pub(super) const RTP: ComponentId = ComponentId::RTP;

pub(super) fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn address(text: &str) -> TransportAddress {
    text.parse().expect("a literal")
}

pub(super) fn parameters(name: &str) -> Parameters {
    let ufrag = std::format!("{name}frag").parse().expect("ice-chars");
    let pwd = std::format!("{name}password0123456789abcd").parse().expect("ice-chars");
    let mut parameters = Parameters::new(ufrag, pwd, IceOptions::from_tags(["ice2"]).expect("a tag"));
    parameters.pacing = Some(millis(5));
    parameters
}

/// What a set wants once it has acted on what it was told.
pub(super) fn wants(set: &mut ChecklistSet) -> Option<Urgency> {
    set.catch_up();
    set.wants_slot()
}

pub(super) fn host(component: ComponentId, index: u16, at: TransportAddress) -> Candidate {
    candidate(CandidateType::Host, component, index, at)
}

pub(super) fn candidate(
    kind: CandidateType,
    component: ComponentId,
    index: u16,
    address: TransportAddress,
) -> Candidate {
    let preference = kind.type_preference(Transport::Udp);
    Candidate {
        component,
        kind,
        transport: Transport::Udp,
        address,
        priority: Priority::compute(preference, LocalPreference::new(65_535 - index), component),
        foundation: Foundation::from_bytes(std::format!("{kind}{index}").as_bytes()).expect("ice-chars"),
        related: None,
    }
}

pub(super) fn with_options(name: &str, tags: &[&str]) -> Parameters {
    let options = IceOptions::from_tags(tags.iter().copied()).expect("tags");
    Parameters { options, ..parameters(name) }
}

pub(super) fn lite(name: &str) -> Parameters {
    Parameters { lite: true, ..parameters(name) }
}

pub(super) fn new_set(role: Role, config: Config, parameters: Parameters) -> ChecklistSet {
    let tiebreaker = TieBreaker(if role == Role::Controlling { 2 } else { 1 });
    let mut set = ChecklistSet::new(config, role, tiebreaker, parameters);
    set.add_component(Instant::ORIGIN, STREAM, RTP);
    set
}

/// One agent with its addresses.
pub(super) struct Side {
    pub(super) set: ChecklistSet,
    pub(super) rng: Random,
    pub(super) bases: Vec<(BaseId, TransportAddress)>,
    pub(super) candidates: Vec<(StreamId, Candidate, BaseId)>,
    next_slot: Instant,
    /// Instants at which transactions began.
    pub(super) starts: Vec<Instant>,
    /// Datagrams sent, by kind, with destination.
    pub(super) sent: Vec<(Instant, TransmitKind, TransportAddress)>,
    pub(super) events: Vec<(Instant, Event)>,
}

impl Side {
    pub(super) fn add_host(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        index: u16,
        at: &str,
    ) -> BaseId {
        let base = BaseId(u32::try_from(self.bases.len()).expect("few"));
        self.set.add_base(base, Admission::Open);
        self.bases.push((base, address(at)));
        self.candidates.push((stream, host(component, index, address(at)), base));
        base
    }

    pub(super) fn first(&self, wanted: impl Fn(&Event) -> bool) -> Option<Instant> {
        self.events.iter().find(|(_, event)| wanted(event)).map(|(at, _)| *at)
    }

    pub(super) fn selected_at(&self) -> Option<Instant> {
        self.first(|event| matches!(event, Event::Selected { .. }))
    }

    pub(super) fn usable_at(&self) -> Option<Instant> {
        self.first(|event| matches!(event, Event::PairValid { .. }))
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Datagram {
    at: Instant,
    order: usize,
    from: TransportAddress,
    to: TransportAddress,
    bytes: Vec<u8>,
}

type Filter = dyn FnMut(Instant, TransportAddress, TransportAddress, &[u8]) -> bool;

/// Virtual time, and a wire of one delay for all.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) sides: [Side; 2],
    pub(super) delay: Duration,
    /// Whether a datagram passes.
    pub(super) passes: Box<Filter>,
    /// Address a datagram shows on the other side: a NAT.
    pub(super) outside: Vec<(TransportAddress, TransportAddress)>,
    wire: BinaryHeap<Reverse<Datagram>>,
    order: usize,
}

use std::boxed::Box;

impl World {
    pub(super) fn new(roles: [Role; 2], rtt: Duration, seed: u8, config: Config) -> Self {
        Self::between(roles, [parameters("left"), parameters("right")], rtt, seed, config)
    }

    pub(super) fn between(
        roles: [Role; 2],
        parameters: [Parameters; 2],
        rtt: Duration,
        seed: u8,
        config: Config,
    ) -> Self {
        let side = |parameters, role, seed, config| Side {
            set: new_set(role, config, parameters),
            rng: Random::from_seed([seed; 32]),
            bases: Vec::new(),
            candidates: Vec::new(),
            next_slot: Instant::ORIGIN,
            starts: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
        };
        let [left, right] = parameters;
        Self {
            now: Instant::ORIGIN,
            sides: [
                side(left, roles[0], seed, config.clone()),
                side(right, roles[1], seed.wrapping_add(101), config),
            ],
            delay: rtt / 2,
            passes: Box::new(|_, _, _, _| true),
            outside: Vec::new(),
            wire: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Controlling on the left, `hosts` addresses on each side, everything known at the origin.
    pub(super) fn hosts(hosts: u16, rtt: Duration) -> Self {
        Self::hosts_with(hosts, rtt, Config::default())
    }

    pub(super) fn hosts_with(hosts: u16, rtt: Duration, config: Config) -> Self {
        let mut world = Self::new([Role::Controlling, Role::Controlled], rtt, 1, config);
        for index in 0..hosts {
            world.sides[0].add_host(STREAM, RTP, index, &std::format!("10.0.0.{}:1000", index + 1));
            world.sides[1].add_host(STREAM, RTP, index, &std::format!("10.0.1.{}:1000", index + 1));
        }
        world
    }

    /// Drops each datagram with this probability, in percent, from a seed.
    pub(super) fn lose(&mut self, percent: u64, seed: u8) {
        let mut rng = Random::from_seed([seed; 32]);
        self.passes = Box::new(move |_, _, _, _| rng.below(100) >= percent);
    }

    /// Tells each side its own candidates, the other's and the other's parameters.
    pub(super) fn signal(&mut self) {
        for index in 0..2 {
            self.tell_local(index);
            self.tell_parameters(index);
            self.tell_candidates(index);
        }
    }

    pub(super) fn tell_local(&mut self, to: usize) {
        let own = self.sides[to].candidates.clone();
        for (stream, candidate, base) in own {
            self.sides[to].set.add_local_candidate(self.now, stream, candidate, base);
        }
    }

    pub(super) fn tell_parameters(&mut self, to: usize) {
        let theirs = self.sides[1 - to].set.local_parameters().clone();
        self.sides[to].set.set_remote_parameters(self.now, theirs);
    }

    pub(super) fn tell_candidates(&mut self, to: usize) {
        let theirs = self.sides[1 - to].candidates.clone();
        for (stream, candidate, _) in theirs {
            self.sides[to].set.add_remote_candidate(self.now, stream, candidate);
        }
    }

    pub(super) fn complete_gathering(&mut self) {
        for side in &mut self.sides {
            for stream in [STREAM, StreamId(1)] {
                side.set.local_gathering_complete(self.now, stream);
                side.set.remote_gathering_complete(self.now, stream);
            }
        }
    }

    /// Runs until the instant, or until `done`.
    pub(super) fn run_until(&mut self, end: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        for _ in 0..2_000_000 {
            self.drain();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_instant().filter(|next| *next <= end) else {
                self.now = self.now.max(end);
                return done(self);
            };
            self.now = self.now.max(next);
            self.deliver();
            for side in &mut self.sides {
                side.set.handle_timeout(self.now, &mut side.rng);
            }
        }
        panic!("the sets never rest: {:?}", self.now);
    }

    pub(super) fn run(&mut self, end: Instant) {
        self.run_until(end, |_| false);
    }

    pub(super) fn run_to_selection(&mut self, end: Instant) -> bool {
        self.run_until(end, |world| world.sides.iter().all(|side| side.set.state() == State::Completed))
    }

    /// Runs an idle session from poll to poll, each of which has to send something; says how many there were.
    pub(super) fn polls_that_send(&mut self, end: Instant) -> u64 {
        let mut polls = 0;
        while self.now < end {
            let before: usize = self.sides.iter().map(|side| side.sent.len()).sum();
            let next = self.sides.iter().filter_map(|side| side.set.poll_timeout()).min().expect("consent");
            self.run(next);
            polls += 1;
            let after: usize = self.sides.iter().map(|side| side.sent.len()).sum();
            assert!(after > before, "a poll that does nothing, at {next:?}");
            let settled = self.now.after(millis(60));
            self.run(settled);
        }
        polls
    }

    fn next_instant(&self) -> Option<Instant> {
        let mut next: Option<Instant> = self.wire.peek().map(|Reverse(datagram)| datagram.at);
        for side in &self.sides {
            let slot = side.set.wants_slot().map(|_| side.next_slot);
            for at in [side.set.poll_timeout(), slot].into_iter().flatten() {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        next
    }

    /// Outputs, slots, outputs of the slots.
    fn drain(&mut self) {
        for index in 0..2 {
            self.collect(index);
            let side = &mut self.sides[index];
            if wants(&mut side.set).is_some() && side.next_slot <= self.now {
                let taken = side.set.take_slot(self.now, &mut side.rng);
                assert_settled(&mut side.set);
                if taken {
                    side.starts.push(self.now);
                    side.next_slot = self.now.after(side.set.ta_in_force());
                }
                self.collect(index);
            }
        }
    }

    fn collect(&mut self, index: usize) {
        let side = &mut self.sides[index];
        assert_consistent(&side.set);
        let mut buffer = [0; 548];
        while let Some(transmit) = side.set.poll_transmit(&mut buffer) {
            side.sent.push((self.now, transmit.kind, transmit.to));
            let from =
                side.bases.iter().find(|(base, _)| *base == transmit.from).expect("a base of this side").1;
            let bytes = &buffer[..transmit.len];
            let seen =
                self.outside.iter().find(|(inside, _)| *inside == from).map_or(from, |(_, outside)| *outside);
            if (self.passes)(self.now, seen, transmit.to, bytes) {
                self.order += 1;
                self.wire.push(Reverse(Datagram {
                    at: self.now.after(self.delay),
                    order: self.order,
                    from: seen,
                    to: transmit.to,
                    bytes: bytes.to_vec(),
                }));
            }
        }
        while let Some(event) = side.set.poll_event() {
            side.events.push((self.now, event));
        }
    }

    fn deliver(&mut self) {
        while self.wire.peek().is_some_and(|Reverse(datagram)| datagram.at <= self.now) {
            let Some(Reverse(datagram)) = self.wire.pop() else { break };
            let inside = self
                .outside
                .iter()
                .find(|(_, outside)| *outside == datagram.to)
                .map_or(datagram.to, |(inside, _)| *inside);
            let found = (0..2).find_map(|index| {
                let base = self.sides[index].bases.iter().find(|(_, at)| *at == inside)?.0;
                Some((index, base))
            });
            if let Some((index, base)) = found {
                let side = &mut self.sides[index];
                let _ = hand_in(&mut side.set, self.now, base, datagram.from, &datagram.bytes, &mut side.rng);
                self.collect(index);
            }
        }
    }

    /// Both sides hold the same pair, as mirror images.
    #[track_caller]
    pub(super) fn assert_agreed(&self, stream: StreamId, component: ComponentId) {
        let [left, right] = &self.sides;
        let left = left.set.selected(stream, component).expect("selected on the left");
        let right = right.set.selected(stream, component).expect("selected on the right");
        assert_eq!((left.local.address, left.remote), (right.remote, right.local.address));
        assert_ne!(self.sides[0].set.role(), self.sides[1].set.role(), "exactly one controls");
    }
}

pub(super) fn hand_in(
    set: &mut ChecklistSet,
    now: Instant,
    base: BaseId,
    source: TransportAddress,
    bytes: &[u8],
    rng: &mut Random,
) -> Outcome {
    let message = Message::parse(bytes).expect("well-formed");
    match message.class() {
        Class::Request => {
            let outcome = set.handle_request(now, base, source, &message);
            assert_settled(set);
            outcome
        }
        Class::Indication => set.handle_indication(now, base, &message),
        Class::Success | Class::Error => set.handle_response(now, base, source, &message, rng),
    }
}

/// What was not settled anew after a request or a slot stands as it would have been settled.
#[track_caller]
pub(super) fn assert_settled(set: &mut ChecklistSet) {
    let settled = |set: &ChecklistSet| {
        std::format!("{:?}", (&set.streams, set.state, set.wants, set.deadline, set.free_at, set.free_later))
    };
    // What was dropped is not acted upon; and sets with many streams take long.
    if set.unsettled || set.streams.len() > 4 {
        return;
    }
    let before = settled(set);
    set.settle(set.now);
    assert_eq!(before, settled(set), "not settled");
}

/// A nomination has its pair, a selected pair is in its checklist, and where one was lost there is another or it is told.
#[track_caller]
pub(super) fn assert_consistent(set: &ChecklistSet) {
    for (stream, of) in set.streams.iter().flat_map(|list| list.components.iter().map(|of| (list.stream, of)))
    {
        if let Some(id) = of.nomination {
            assert!(set.pairs.get(id).is_some_and(|pair| pair.nominating), "{id:?} is not being nominated");
        }
        if let Some(id) = of.selected {
            assert!(set.pairs.get(id).is_some_and(|pair| pair.listed), "{id:?} is selected, and has left");
        }
        let left = || set.pairs.valid(stream, of.id).any(|(pair, _)| pair.listed && !pair.wish.vetoed);
        assert!(!of.concluded || of.selected.is_some() || of.consent_lost || left(), "nothing is told");
    }
}
