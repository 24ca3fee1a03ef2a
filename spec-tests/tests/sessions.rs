//! Whole lives of sessions, drawn at random: restarts, moves, streams that come and go, addresses that change, loss. What
//! is done to them, each ends in order (P04, P17, P37).

use std::{cell::Cell, rc::Rc};

use floe_agent::{
    Event, State, TransmitKind,
    pair::{Role, StreamId},
    stun::{Message, Random},
};
use spec_tests::{
    tools::seeds,
    wire::{Fate, RTP, STREAM, World, ms, signal::Signalling},
};

/// What is the same for all steps of one life.
struct Life {
    world: World,
    signalling: Signalling,
    random: Random,
    percent: Rc<Cell<u64>>,
    hosts: [Vec<&'static [&'static str]>; 2],
    second: bool,
}

const SECOND: StreamId = StreamId(5);

impl Life {
    fn new(seed: u32, lite: Option<usize>) -> Self {
        let mut bytes = [9; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        let mut random = Random::from_seed(bytes);
        let hosts: [Vec<&'static [&'static str]>; 2] = [
            vec![
                &["10.0.0.1"],
                &["10.0.0.1", "10.0.2.1"],
                &["10.0.2.1"],
                &["10.0.0.1", "10.0.2.1", "10.0.3.1"],
            ],
            vec![&["10.0.1.1"], &["10.0.1.1", "10.0.4.1"], &["10.0.4.1"]],
        ];
        let roles = if random.below(2) == 0 {
            [Role::Controlling, Role::Controlled]
        } else {
            [Role::Controlled, Role::Controlling]
        };
        let renomination = [random.below(3) > 0, random.below(3) > 0];
        let mut world =
            World::with(roles, [hosts[0][1], hosts[1][1]], ms(30 + random.below(100)), |side, config| {
                config.renomination = renomination[side];
                config.lite = lite == Some(side);
            });
        let signalling = Signalling::new(&world, ms(10 + random.below(200)));
        let percent = Rc::new(Cell::new(0));
        let (loss, mut dice) = (percent.clone(), random.split());
        world.judge =
            Box::new(move |_| if dice.below(100) < loss.get() { Fate::Lost } else { Fate::Arrives });
        Self { world, signalling, random, percent, hosts, second: false }
    }

    fn run(&mut self, millis: u64) {
        self.signalling.run(&mut self.world, ms(millis));
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).expect("small")
    }

    /// One thing happens.
    fn happen(&mut self) -> String {
        let (side, now) = (self.draw(2), self.world.now);
        let side_of = &mut self.world.sides[side];
        side_of.now = now;
        let told = match self.random.below(8) {
            0 | 1 => {
                let _ = side_of.agent.restart(now).expect("open");
                format!("{side} restarts")
            }
            2 => {
                let count = self.hosts[side].len();
                let hosts =
                    self.hosts[side][usize::try_from(self.random.below(count as u64)).expect("small")];
                self.world.gather(side, hosts);
                format!("{side} has {hosts:?}")
            }
            3 => {
                self.second = !self.second;
                for side in &mut self.world.sides {
                    side.now = now;
                    if self.second {
                        side.agent.add_component(now, SECOND, RTP).expect("room");
                    } else {
                        side.agent.remove_stream(now, SECOND).expect("not the last");
                    }
                }
                format!("the second stream: {}", self.second)
            }
            4 => {
                self.percent.set([0, 10, 30, 100][usize::try_from(self.random.below(4)).expect("small")]);
                format!("{} % are lost", self.percent.get())
            }
            5 if !side_of.agent.is_restarting() => {
                // An offer that is made, and taken back before it is sent.
                self.world.collect(side);
                self.signalling.pass(&mut self.world);
                let wait = [0, 3, 50, 500][self.draw(4)];
                let _ = self.world.sides[side].agent.restart(now).expect("open");
                self.world.collect(side);
                self.world.run(ms(wait));
                let now = self.world.now;
                self.world.sides[side].now = now;
                self.world.sides[side].agent.rollback(now).expect("a restart waits");
                self.world.collect(side);
                self.signalling.skip(&self.world, side);
                format!("{side} takes a restart back after {wait} ms")
            }
            _ => "nothing".to_owned(),
        };
        for side in 0..2 {
            self.world.collect(side);
        }
        told
    }

    fn state(&self) -> [State; 2] {
        self.world.sides.each_ref().map(|side| side.agent.state())
    }
}

/// Nothing of the kind that the agent must never do.
#[track_caller]
fn assert_safe(session: &Life, name: &str) {
    for (side, bench) in session.world.sides.iter().enumerate() {
        let told = bench.events.iter().filter(|(_, event)| matches!(event, Event::EventsLost(_)));
        assert_eq!(told.count(), 0, "{name}, side {side}");
        for pair in bench.agent.pairs() {
            assert!(!pair.selected || pair.valid, "{name}, side {side}: {pair:?}");
        }
    }
    for one in
        session.world.log.iter().filter(|one| one.kind.is_some() && one.kind != Some(TransmitKind::Data))
    {
        assert!(Message::parse(&one.bytes).is_ok(), "{name}");
    }
}

fn live(seed: u32, lite: Option<usize>) {
    let mut session = Life::new(seed, lite);
    let mut story = Vec::new();
    session.run(700);
    for _ in 0..25 {
        story.push(format!("{} ms: {}", session.world.now.as_millis(), session.happen()));
        let wait = [0, 20, 150, 1_000, 6_000][session.draw(5)];
        session.run(wait);
    }
    let name = format!("seed {seed}, {lite:?} is lite:\n  {}", story.join("\n  "));
    assert_safe(&session, &name);
    // The network is well again, with an address on each side; the application asks for a restart, as it would.
    session.percent.set(0);
    for side in 0..2 {
        session.world.gather(side, session.hosts[side][1]);
    }
    session.run(2_000);
    let now = session.world.now;
    let _ = session.world.sides[0].agent.restart(now).expect("open");
    session.world.collect(0);
    session.run(1_000);
    let done = session.signalling.run_to_selection(&mut session.world, ms(20_000));
    assert!(
        done,
        "{name}\n{:?}, pairs {:#?}",
        session.state(),
        session.world.sides.each_ref().map(|side| side.agent.pairs().collect::<Vec<_>>())
    );
    session.run(5_000);
    session.world.assert_agreed();
    for side in &mut session.world.sides {
        side.data.clear();
    }
    for _ in 0..40 {
        assert!(session.world.send(0, b"\x80 to") && session.world.send(1, b"\x80 fro"), "{name}");
        if session.second {
            for side in &mut session.world.sides {
                assert!(side.send_of(SECOND, RTP, b"\x80").is_ok(), "{name}");
            }
        }
        session.run(1_000);
    }
    let came =
        session.world.sides.each_ref().map(|side| side.data.iter().filter(|(of, ..)| *of == STREAM).count());
    assert_eq!(came, [40, 40], "{name}");
    assert!(session.world.is_completed(), "{name}");
    assert_safe(&session, &name);
}

#[test]
fn p17_p04_whatever_happens_in_its_life_a_session_connects_again() {
    for seed in 0..seeds(40) {
        live(seed, None);
    }
}

#[test]
fn p17_p08_the_same_with_a_lite_side() {
    for seed in 0..seeds(12) {
        live(seed, Some(usize::from(seed % 2 == 0)));
    }
}
