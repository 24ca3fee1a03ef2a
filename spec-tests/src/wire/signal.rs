//! What the users of two agents tell each other: parameters, candidates and the end of them, each generation by its
//! user fragment, later than they came and in their order.

use std::{collections::VecDeque, time::Duration};

use floe_agent::{
    ApiError, Event,
    pair::{CandidateLine, Parameters, StreamId, Ufrag},
    stun::Instant,
};

use super::{ms, world::World};

/// How often it is looked whether there is something to tell.
const STEP: Duration = Duration::from_millis(5);

/// Something that one side tells the other.
#[derive(Clone, Debug)]
pub enum News {
    /// User fragment, password, options.
    Parameters(Parameters),
    /// A candidate, with the user fragment it belongs to.
    Candidate(StreamId, CandidateLine),
    /// No more candidates of this user fragment.
    End(StreamId, Ufrag),
}

/// Two signalling paths, one for each side.
pub struct Signalling {
    /// How long something is under way.
    pub delay: Duration,
    /// Whether what comes from a side is lost for ever.
    pub cut: [bool; 2],
    /// What was told so far, by the side it came from.
    pub told: [Vec<(Instant, News)>; 2],
    next: [usize; 2],
    under_way: [VecDeque<(Instant, News)>; 2],
}

impl Signalling {
    /// Both sides tell their parameters at once, and all else when it comes.
    pub fn new(world: &World, delay: Duration) -> Self {
        let mut signalling = Self::silent(delay);
        for side in 0..2 {
            let parameters = world.sides[side].agent.local_parameters().clone();
            signalling.say(world.now, side, News::Parameters(parameters));
        }
        signalling
    }

    /// Nothing is told before it is said, or comes.
    pub fn silent(delay: Duration) -> Self {
        Self {
            delay,
            cut: [false; 2],
            told: [Vec::new(), Vec::new()],
            next: [0; 2],
            under_way: [VecDeque::new(), VecDeque::new()],
        }
    }

    /// A side tells something.
    pub fn say(&mut self, now: Instant, side: usize, news: News) {
        self.told[side].push((now, news.clone()));
        if !self.cut[side] {
            self.under_way[side].push_back((now.after(self.delay), news));
        }
    }

    /// Takes back what a side has told and has not arrived: its user has another offer in its place.
    pub fn recall(&mut self, side: usize) {
        self.under_way[side].clear();
        self.told[side].clear();
    }

    /// Forgets what a side has not told yet: its user has nothing to say about it.
    pub fn skip(&mut self, world: &World, side: usize) {
        self.next[side] = world.sides[side].events.len();
    }

    /// Runs the world, and tells what there is to tell.
    #[track_caller]
    pub fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now.after(time);
        while world.now < end {
            self.pass(world);
            world.run(STEP.min(end.since(world.now)));
        }
        self.pass(world);
    }

    /// Runs the world until both sides have a selected pair of their newest generation, whose parameters both know;
    /// whether that came.
    #[track_caller]
    pub fn run_to_selection(&mut self, world: &mut World, patience: Duration) -> bool {
        let end = world.now.after(patience);
        while world.now < end {
            if world.is_completed() && self.under_way.iter().all(VecDeque::is_empty) {
                return true;
            }
            self.run(world, STEP);
        }
        false
    }

    /// What is new at either side is told; what was under way long enough arrives.
    pub fn pass(&mut self, world: &mut World) {
        for side in 0..2 {
            while let Some((_, event)) = world.sides[side].events.get(self.next[side]).cloned() {
                self.next[side] += 1;
                let agent = &world.sides[side].agent;
                let ufrag = |generation| Some(agent.parameters_of(generation)?.ufrag.clone());
                let news = match event {
                    Event::Restarted { generation } => {
                        agent.parameters_of(generation).cloned().map(News::Parameters)
                    }
                    Event::LocalCandidate { stream, candidate, generation } => {
                        ufrag(generation).map(|ufrag| {
                            let line = CandidateLine::from(&candidate);
                            let line = line.with_extension("ufrag", ufrag.as_str()).expect("a token");
                            News::Candidate(stream, line)
                        })
                    }
                    Event::EndOfCandidates { stream, generation } => {
                        ufrag(generation).map(|ufrag| News::End(stream, ufrag))
                    }
                    _ => None,
                };
                if let Some(news) = news {
                    self.say(world.now, side, news);
                }
            }
        }
        for side in 0..2 {
            while self.under_way[side].front().is_some_and(|(due, _)| *due <= world.now) {
                let Some((_, news)) = self.under_way[side].pop_front() else { break };
                deliver(world, 1 - side, news);
            }
        }
    }
}

/// A side is told something. What belongs to a generation of the past is refused, and nothing else is.
fn deliver(world: &mut World, to: usize, news: News) {
    let now = world.now;
    world.sides[to].now = now;
    let agent = &mut world.sides[to].agent;
    match news {
        News::Parameters(parameters) => {
            let taken = agent.set_remote_parameters(now, parameters);
            assert!(matches!(taken, Ok(()) | Err(ApiError::OldGeneration)), "{taken:?}");
        }
        News::Candidate(stream, line) => {
            // A stream may have been removed meanwhile.
            let taken = agent.add_remote_candidate(now, stream, &line);
            assert!(matches!(taken, Ok(_) | Err(ApiError::NoSuchStream(_))), "{taken:?}");
        }
        News::End(stream, ufrag) => {
            let _ = agent.remote_stream_complete(now, stream, Some(&ufrag));
        }
    }
    world.collect(to);
}

/// Data of both sides, fifty datagrams a second, while time passes: all of it has to be allowed, and to arrive.
pub struct Talk {
    sent: [Vec<Vec<u8>>; 2],
}

impl Talk {
    /// Begins; what has arrived until now is forgotten.
    pub fn new(world: &mut World) -> Self {
        for side in &mut world.sides {
            side.data.clear();
        }
        Self { sent: [Vec::new(), Vec::new()] }
    }

    /// Goes on for so many milliseconds.
    #[track_caller]
    pub fn on(&mut self, world: &mut World, signalling: &mut Signalling, millis: u64) {
        for _ in 0..millis / 20 {
            for side in 0..2 {
                let number = self.sent[side].len();
                // No first byte of STUN.
                let payload = [&[0x80][..], format!("{side} {number}").as_bytes()].concat();
                assert!(world.send(side, &payload), "side {side} may not send at {:?}", world.now);
                self.sent[side].push(payload);
            }
            signalling.run(world, ms(20));
        }
    }

    /// Everything has arrived, once and in order.
    #[track_caller]
    pub fn end(self, world: &mut World) {
        world.run(ms(500));
        for side in 0..2 {
            let came = came(world, 1 - side);
            assert!(came == self.sent[side], "{} of {} arrived", came.len(), self.sent[side].len());
        }
    }

    /// Everything has arrived, once: what is sent on a shorter way than before may overtake.
    #[track_caller]
    pub fn end_in_any_order(mut self, world: &mut World) {
        world.run(ms(500));
        for (side, sent) in self.sent.iter_mut().enumerate() {
            let mut came = came(world, 1 - side);
            came.sort_unstable();
            sent.sort_unstable();
            assert!(came == *sent, "{} of {} arrived", came.len(), sent.len());
        }
    }
}

/// Data that has arrived at a side.
fn came(world: &World, side: usize) -> Vec<Vec<u8>> {
    world.sides[side].data.iter().map(|(_, _, payload)| payload.clone()).collect()
}

/// A session on hosts with these addresses, signalled with a delay, until it is complete.
#[track_caller]
pub fn connect(world: &mut World, delay: u64) -> Signalling {
    let mut signalling = Signalling::new(world, ms(delay));
    assert!(
        signalling.run_to_selection(world, ms(20_000)),
        "{:?}",
        world.sides.each_ref().map(|side| side.agent.state())
    );
    signalling
}
