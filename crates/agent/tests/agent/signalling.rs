//! What is signalled may come in any order, and late.

use core::time::Duration;

use floe_pair::{CandidateLine, Role};

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
        let _ = world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
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

/// All orders in which A's candidate is known to A before it is to B.
fn orders() -> Vec<Vec<Step>> {
    let mut orders = vec![vec![]];
    for _ in STEPS {
        let longer = |order: &Vec<Step>| {
            let rest = STEPS.into_iter().filter(|step| !order.contains(step)).collect::<Vec<_>>();
            rest.into_iter().map(|step| [order.as_slice(), &[step]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
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
