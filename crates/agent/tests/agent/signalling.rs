//! What is signalled may come in any order, and late.

use core::time::Duration;

use floe_agent::{Added, Ignored};
use floe_pair::{CandidateLine, Parameters, Role};

use crate::world::{Id, STREAM, World, ms};

/// What one side gets to know, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AGathers,
    AKnowsParameters,
    AKnowsCandidate,
    AKnowsThatIsAll,
    BKnowsParameters,
    /// With both of these the first check of B comes to A.
    BKnowsCandidate,
}

const STEPS: [Step; 6] = [
    Step::AGathers,
    Step::AKnowsParameters,
    Step::AKnowsCandidate,
    Step::AKnowsThatIsAll,
    Step::BKnowsParameters,
    Step::BKnowsCandidate,
];

fn take(world: &mut World, [a, b]: [Id; 2], step: Step) {
    let tell = |world: &mut World, from: Id, to: Id| {
        let line = CandidateLine::from(&world.candidate(from));
        world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
    };
    match step {
        Step::AGathers => world.gather(a),
        Step::AKnowsParameters => world.tell_parameters(b, a),
        Step::AKnowsCandidate => tell(world, b, a),
        Step::AKnowsThatIsAll => world.command(a, |now, agent| agent.remote_gathering_complete(now)),
        Step::BKnowsParameters => world.tell_parameters(a, b),
        Step::BKnowsCandidate => tell(world, a, b),
    }
}

/// All orders of some things, by taking one after the other.
fn orders_of<T: Copy + PartialEq>(things: &[T]) -> Vec<Vec<T>> {
    let mut orders = vec![vec![]];
    for _ in things {
        let longer = |order: &Vec<T>| {
            let rest = things.iter().filter(|thing| !order.contains(thing)).collect::<Vec<_>>();
            rest.into_iter().map(|thing| [order.as_slice(), &[*thing]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

/// All orders in which A's candidate is known to A before it is to B.
fn orders() -> Vec<Vec<Step>> {
    let mut orders = orders_of(&STEPS);
    let place = |order: &[Step], wanted| order.iter().position(|step| *step == wanted);
    orders.retain(|order| place(order, Step::AGathers) < place(order, Step::BKnowsCandidate));
    orders
}

#[test]
fn p03_every_order_of_signalling_connects_in_both_roles() {
    let orders = orders();
    assert_eq!(orders.len(), 360);
    for (pause, role) in [(0, Role::Controlling), (35, Role::Controlling), (35, Role::Controlled)] {
        for order in &orders {
            let mut world = World::new(2);
            let a = world.add(0, World::config(role, 1));
            let b = world.add(1, World::config(role.opposite(), 2));
            world.gather(b);
            for step in order {
                take(&mut world, [a, b], *step);
                world.run_for(ms(pause));
            }
            let limit = world.now.after(ms(3_000));
            assert!(world.run_until(limit, |world| world.is_completed(&[a, b])), "{order:?}");
            assert_eq!(world.carries_data([a, b]), [true, true], "{order:?}");
        }
    }
}

#[test]
fn p03_a_peer_that_answers_ten_minutes_later_connects() {
    let mut world = World::new(2);
    let a = world.add(0, World::config(Role::Controlling, 1));
    world.gather(a);
    let (polls, sent) = (world.timed_out, world.sent.len());
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.sent.len(), sent, "and until then nothing is sent");
    assert!(world.timed_out <= polls + 10);
    let b = world.add(1, World::config(Role::Controlled, 2));
    world.introduce([a, b]);
    // Its candidate was told long ago.
    let line = CandidateLine::from(&world.candidate(a));
    let _ = world.command(b, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
    world.connect(&[a, b], ms(2_000));
}

/// An end without a name means the generation that the candidates before it have named.
#[test]
fn p03_trk_10_an_end_waits_behind_candidates_whose_parameters_are_to_come() {
    let mut world = World::new(2);
    let a = world.add(0, World::config(Role::Controlling, 1));
    let b = world.add(1, World::config(Role::Controlled, 2));
    world.gather(a);
    world.gather(b);
    for (from, to) in [(a, b), (b, a)] {
        let ufrag = world.agent(from).local_parameters().ufrag.clone();
        let line = CandidateLine::from(&world.candidate(from));
        let line = line.with_extension("ufrag", ufrag.as_str()).unwrap();
        let added = world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
        assert_eq!(added, Ok(Added::Held));
        let end = world.command(to, |now, agent| agent.remote_gathering_complete_of(now, None));
        assert_eq!(end, Ok(Added::Held));
        world.tell_parameters(from, to);
        // It has come to its end nevertheless.
        let late = CandidateLine::from(&world.candidate(from));
        let late = world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &late));
        assert_eq!(late, Ok(Added::Ignored(Ignored::Ended)));
    }
    world.connect(&[a, b], ms(2_000));
}

/// What one side gets to know of the other's new generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Parameters(usize),
    Candidate(usize),
    End(usize),
}

const NEWS: [News; 6] = [
    News::Parameters(0),
    News::Candidate(0),
    News::End(0),
    News::Parameters(1),
    News::Candidate(1),
    News::End(1),
];

/// Where both sides have something to tell, with its generation on each line: in every order, of the first
/// generation and of one that replaces a connected one.
#[test]
fn p03_p17_trk_10_every_order_of_labelled_signalling_connects() {
    let mut orders = orders_of(&NEWS);
    let place = |order: &[News], wanted| order.iter().position(|news| *news == wanted);
    // RFC 8838 §14: candidates after their end are ignored. Where both sides do that, neither hears of the other.
    orders.retain(|order| (0..2).any(|to| place(order, News::Candidate(to)) < place(order, News::End(to))));
    assert_eq!(orders.len(), 540);
    for (place, order) in orders.iter().enumerate() {
        for restarted in [false, true] {
            let mut world = World::new(2);
            let ids = if restarted {
                let ids = world.pair([0, 1], 1);
                world.connect(&ids, ms(2_000));
                world.part(ids);
                for id in ids {
                    world.command(id, |now, agent| agent.restart(now).unwrap());
                }
                ids
            } else {
                let ids = [
                    world.add(0, World::config(Role::Controlling, 1)),
                    world.add(1, World::config(Role::Controlled, 2)),
                ];
                world.gather(ids[0]);
                world.gather(ids[1]);
                ids
            };
            for news in order {
                tell(&mut world, ids, *news);
                world.run_for(ms(if place % 2 == 0 { 0 } else { 25 }));
                if restarted {
                    assert!(world.send(ids[0], b"\x80") && world.send(ids[1], b"\x80"), "{order:?}");
                }
            }
            world.run_for(ms(2_000));
            assert!(world.is_completed(&ids), "{order:?}, restarted: {restarted}");
            assert_eq!(ids.map(|id| world.agent(id).generation()), [u32::from(restarted); 2]);
            assert_eq!(world.carries_data(ids), [true, true], "{order:?}");
        }
    }
}

/// One side hears something of the other.
fn tell(world: &mut World, ids: [Id; 2], news: News) {
    let (News::Parameters(to) | News::Candidate(to) | News::End(to)) = news;
    let (to, from) = (ids[to], ids[1 - to]);
    let Parameters { ufrag, .. } = world.agent(from).local_parameters().clone();
    match news {
        News::Parameters(_) => world.tell_parameters(from, to),
        News::Candidate(_) => {
            let line = CandidateLine::from(&world.candidate(from));
            let line = line.with_extension("ufrag", ufrag.as_str()).unwrap();
            world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
        }
        News::End(_) => {
            let ended = world.command(to, |now, agent| agent.remote_gathering_complete_of(now, Some(&ufrag)));
            assert!(ended.is_ok());
        }
    }
}
