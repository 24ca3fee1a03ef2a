//! Restarts (RFC 8445 §9): by either side or both, at any time, again and again, and taken back.

use core::time::Duration;

use floe_agent::{Added, ApiError, Event, Ignored, Policy, State, TransmitKind};
use floe_pair::{CandidateLine, CandidateType, ComponentId, Parameters, Role, StreamId};
use floe_stun::{Message, Method, attribute::Username};
use proptest::prelude::*;

use crate::world::{Id, STREAM, World, asking, ms};

/// Sends a numbered datagram each way every 5 ms and lets time pass; says which never arrived, by sender.
pub(crate) fn stream(world: &mut World, ids: [Id; 2], time: Duration) -> [Vec<u32>; 2] {
    let [a, b] = ids;
    let (until, mut sent) = (world.now.after(time), [vec![], vec![]]);
    world.nodes.iter_mut().for_each(|node| node.data.clear());
    let mut count = 0_u32;
    while world.now < until {
        for (side, id) in [a, b].into_iter().enumerate() {
            count += 1;
            assert!(world.send(id, &payload(count)), "no path at {:?}", world.now);
            sent[side].push(count);
        }
        world.run_for(ms(5));
    }
    world.run_for(world.delay * 3);
    let arrived = |to: Id, number: &u32| {
        world.nodes[to.0].data.iter().any(|(key, data)| *key == to.1 && *data == payload(*number))
    };
    sent[0].retain(|number| !arrived(b, number));
    sent[1].retain(|number| !arrived(a, number));
    sent
}

fn payload(number: u32) -> Vec<u8> {
    [&[0x80][..], &number.to_be_bytes()].concat()
}

pub(crate) fn restart(world: &mut World, id: Id) -> u32 {
    world.command(id, |now, agent| agent.restart(now).unwrap())
}

fn generations(world: &World, ids: [Id; 2]) -> [u32; 2] {
    ids.map(|id| world.agent(id).generation())
}

pub(crate) fn states(world: &World, (node, key): Id) -> Vec<State> {
    let state = |event: &Event| match event {
        Event::State(state) => Some(*state),
        _ => None,
    };
    world.nodes[node].events_of(key).filter_map(state).collect()
}

pub(crate) fn stream_states(world: &World, (node, key): Id, of: StreamId) -> Vec<State> {
    let state = |event: &Event| match event {
        Event::StreamState { stream, state } if *stream == of => Some(*state),
        _ => None,
    };
    world.nodes[node].events_of(key).filter_map(state).collect()
}

pub(crate) fn credentials(world: &World, id: Id) -> (String, String) {
    let Parameters { ufrag, pwd, .. } = world.agent(id).local_parameters();
    (ufrag.as_str().into(), pwd.expose().into())
}

/// Local user fragment of each check or consent request that left since, by whom.
fn named(world: &World, from: usize, by: Id) -> Vec<String> {
    let requests = world.sent[from..]
        .iter()
        .filter(|sent| sent.by == by && matches!(sent.kind, TransmitKind::Check | TransmitKind::Consent));
    let name = |bytes: &[u8]| {
        let message = Message::parse(bytes).ok()?;
        let username = message.get::<Username<'_>>().ok()??;
        Some(username.as_str()?.split_once(':')?.1.to_owned())
    };
    requests.filter_map(|sent| name(&sent.bytes)).collect()
}

#[test]
fn ice_36_p17_a_restart_changes_both_credentials_keeps_roles_and_loses_no_datagram() {
    for by in [0, 1] {
        let mut world = World::new(2);
        world.signalling = ms(50);
        let ids = world.pair([0, 1], 1);
        world.connect(&ids, ms(5_000));
        let before = ids.map(|id| credentials(&world, id));
        let sent = world.sent.len();
        assert_eq!(restart(&mut world, ids[by]), 1);
        assert_eq!(stream(&mut world, ids, ms(6_000)), [Vec::<u32>::new(), vec![]], "restart by {by}");
        assert_eq!(generations(&world, ids), [1, 1]);
        for (id, before) in ids.iter().zip(before) {
            let now = credentials(&world, *id);
            assert!(now.0 != before.0 && now.1 != before.1);
            assert!(named(&world, sent, *id).contains(&now.0), "checked with the new credentials");
        }
        assert_eq!(ids.map(|id| world.agent(id).role()), [Role::Controlling, Role::Controlled]);
        assert!(world.is_completed(&ids));
        let tail = &states(&world, ids[0])[..];
        assert!(tail.ends_with(&[State::Completed, State::Connected, State::Completed]), "{tail:?}");
        assert_eq!(stream_states(&world, ids[0], STREAM), tail, "of its only stream");
        // After the old generation is gone nobody speaks of it.
        let later = world.sent.len();
        world.run_for(ms(20_000));
        for id in ids {
            let own = credentials(&world, id).0;
            assert!(named(&world, later, id).iter().all(|name| *name == own));
        }
    }
}

/// RFC 8445 §16.1: one tiebreaker for all requests of a session; a restart keeps it.
#[test]
fn ice_43_the_tiebreaker_outlives_a_restart() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    restart(&mut world, ids[0]);
    world.run_for(ms(5_000));
    let mut values: Vec<u64> = vec![];
    for sent in world.sent.iter().filter(|sent| sent.by == ids[0] && sent.kind == TransmitKind::Check) {
        let message = Message::parse(&sent.bytes).unwrap();
        values.push(message.get::<floe_stun::attribute::IceControlling>().unwrap().unwrap().0);
    }
    values.dedup();
    assert_eq!(values.len(), 1);
}

#[test]
fn p17_both_restart_at_once() {
    for signalling in [ms(0), ms(3), ms(200)] {
        let mut world = World::new(2);
        world.signalling = signalling;
        let ids = world.pair([0, 1], 1);
        world.connect(&ids, ms(5_000));
        restart(&mut world, ids[0]);
        restart(&mut world, ids[1]);
        assert_eq!(stream(&mut world, ids, ms(6_000)), [Vec::<u32>::new(), vec![]]);
        assert!(world.is_completed(&ids));
        // Where the offers cross each side answers the other's, once at most.
        let [ours, theirs] = generations(&world, ids);
        assert!(ours == theirs && (1..=2).contains(&ours), "{ours} and {theirs}");
        let known = |of: Id, by: Id| {
            world.agent(by).remote_parameters().unwrap().ufrag == world.agent(of).local_parameters().ufrag
        };
        assert!(known(ids[0], ids[1]) && known(ids[1], ids[0]), "both speak of the same generation");
    }
}

#[test]
fn p17_a_restart_at_any_moment_of_a_session_connects() {
    for at in (0..200).step_by(7) {
        for by in [0, 1] {
            let mut world = World::new(2);
            world.signalling = ms(15);
            world.server.nat = true;
            let ids = world.pair_with([0, 1], 1, |config| asking("stun", config));
            world.run_for(ms(at));
            restart(&mut world, ids[by]);
            world.run_for(ms(3_000));
            assert!(world.is_completed(&ids), "restart by {by} at {at} ms");
            assert_eq!(generations(&world, ids), [1, 1]);
            assert_eq!(world.carries_data(ids), [true, true]);
        }
    }
}

#[test]
fn p17_fifty_restarts_in_a_row_leave_nothing_behind() {
    let mut world = World::new(2);
    world.signalling = ms(20);
    let ids = world.pair_with([0, 1], 1, |mut config| {
        config.gathering.policy = Policy::RelayOnly;
        asking("turn", config)
    });
    world.connect(&ids, ms(10_000));
    for round in 0..50 {
        restart(&mut world, ids[round % 2]);
        // Some come while the one before is under way.
        assert_eq!(
            stream(&mut world, ids, ms(if round % 3 == 0 { 100 } else { 1_500 })),
            [Vec::<u32>::new(), vec![]]
        );
    }
    world.connect(&ids, ms(10_000));
    world.run_for(ms(5_000));
    assert_eq!(world.server.allocations(), 2, "the allocations were reused");
    let server = crate::server::ADDRESS.parse().unwrap();
    assert!(world.sent.iter().all(|sent| sent.to == server), "P40: nobody else is sent to");
    let allocates = world
        .sent
        .iter()
        .filter(|sent| Message::parse(&sent.bytes).is_ok_and(|message| message.method() == Method::ALLOCATE));
    assert_eq!(allocates.count(), 2, "never asked for twice");
    for id in ids {
        assert_eq!(world.agent(id).pairs().count(), 1);
        assert_eq!(world.nodes[id.0].ports.len(), 1, "no socket was opened");
    }
}

/// RFC 7675 §5.1: consent on the old pair goes on while the peer does not answer the restart.
#[test]
fn con_05_consent_goes_on_while_a_restart_is_unanswered() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    // Signalling breaks down.
    world.part(ids);
    let old = credentials(&world, ids[0]).0;
    restart(&mut world, ids[0]);
    let sent = world.sent.len();
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.carries_data(ids), [true, true]);
    assert_eq!(world.agent(ids[0]).state(), State::Connected);
    let consents = named(&world, sent, ids[0]);
    assert!(consents.len() >= 100 && consents.iter().all(|name| *name == old), "{}", consents.len());
    // The peer answers after all.
    world.join_again(ids);
    assert_eq!(stream(&mut world, ids, ms(5_000)), [Vec::<u32>::new(), vec![]]);
    assert!(world.is_completed(&ids));
}

/// RFC 7675 §5.1 and RFC 8445 §9: a peer that is gone is not sent to for longer because of a restart.
#[test]
fn t15_the_old_pair_ends_thirty_seconds_after_its_last_answer_restart_or_not() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    world.run_for(ms(10_000));
    let until = world.agent(ids[0]).path(STREAM, ComponentId::RTP).unwrap().deadline();
    world.part(ids);
    world.lost = Box::new(|_, _, _| true);
    restart(&mut world, ids[0]);
    let sent = world.sent.len();
    world.run_for(ms(60_000));
    let mut own = world.sent[sent..].iter().filter(|sent| sent.by == ids[0]);
    assert!(own.all(|sent| sent.at < until), "not one byte later");
    assert!(!world.send(ids[0], b"\x80"));
    assert_eq!(world.agent(ids[0]).state(), State::Checking, "the restart is still to be answered");
}

/// Where ICE frees its candidates at the instant at which the generation before goes, that keeps nothing alive.
#[test]
fn p16_p17_a_relay_of_the_generation_before_is_given_back() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, |mut config| {
        config.checks.consent = None;
        asking("turn", config)
    });
    let direct = [super::world::ip(0), super::world::ip(1)];
    world.lost = Box::new(move |from, to, _| direct.contains(&from.ip()) && direct.contains(&to.ip()));
    world.connect(&ids, ms(20_000));
    world.run_for(ms(10_000));
    assert!(world.server.allocations() >= 1, "the session is relayed");
    world.lost = Box::new(|_, _, _| false);
    restart(&mut world, ids[0]);
    world.connect(&ids, ms(20_000));
    world.run_for(ms(20_000));
    let local = |id: Id| world.agent(id).selected(STREAM, ComponentId::RTP).unwrap().local.kind;
    assert!(ids.iter().all(|id| local(*id) != CandidateType::Relayed));
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn ice_36_credentials_of_the_application_have_to_change_both() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let Parameters { ufrag, pwd, .. } = world.agent(ids[0]).local_parameters().clone();
    let other =
        ("othr".parse::<floe_pair::Ufrag>().unwrap(), "p".repeat(22).parse::<floe_pair::Pwd>().unwrap());
    let mut with = |ufrag: &floe_pair::Ufrag, pwd: &floe_pair::Pwd| {
        world.command(ids[0], |now, agent| agent.restart_with(now, ufrag.clone(), pwd.clone()))
    };
    assert_eq!(with(&ufrag, &other.1), Err(ApiError::SameCredentials));
    assert_eq!(with(&other.0, &pwd), Err(ApiError::SameCredentials));
    let long = "u".repeat(33).parse::<floe_pair::Ufrag>().unwrap();
    assert_eq!(with(&long, &other.1), Err(ApiError::UfragTooLong(33)));
    assert_eq!(with(&other.0, &other.1), Ok(1));
    world.run_for(ms(3_000));
    assert!(world.is_completed(&ids));
    assert_eq!(world.agent(ids[1]).remote_parameters().unwrap().ufrag.as_str(), "othr");
}

#[test]
fn p17_parameters_of_before_are_refused() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let old = world.agent(ids[1]).local_parameters().clone();
    // An answerer that keeps its credentials has not restarted (RFC 8839 §4.4.2.1).
    world.part(ids);
    restart(&mut world, ids[0]);
    let set = |world: &mut World, parameters: &Parameters| {
        world.command(ids[0], |now, agent| agent.set_remote_parameters(now, parameters.clone()))
    };
    assert_eq!(set(&mut world, &old), Err(ApiError::OldGeneration));
    world.join_again(ids);
    world.run_for(ms(5_000));
    assert!(world.is_completed(&ids));
    assert_eq!(set(&mut world, &old), Err(ApiError::OldGeneration), "late signalling");
    let now = world.agent(ids[1]).local_parameters().clone();
    assert_eq!(set(&mut world, &now), Ok(()), "the same again is nothing new");
    let half = Parameters { pwd: "x".repeat(24).parse::<floe_pair::Pwd>().unwrap(), ..now };
    assert_eq!(set(&mut world, &half), Err(ApiError::ParametersChanged));
    assert_eq!(generations(&world, ids), [1, 1]);
}

fn line(world: &World, of: Id, ufrag: &str) -> CandidateLine {
    CandidateLine::from(&world.candidate(of)).with_extension("ufrag", ufrag).unwrap()
}

#[test]
fn trk_10_candidates_go_to_the_generation_whose_fragment_they_carry() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let old = credentials(&world, ids[1]).0;
    world.part(ids);
    restart(&mut world, ids[0]);
    let add = |world: &mut World, ufrag: &str| {
        let line = line(world, ids[1], ufrag);
        world.command(ids[0], |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap())
    };
    let stands = "until the answer comes the old one stands, whose end was told";
    assert_eq!(add(&mut world, &old), Added::Ignored(Ignored::Ended), "{stands}");
    assert_eq!(add(&mut world, "later"), Added::Held);
    let sent = world.sent.len();
    world.run_for(ms(10_000));
    let (names, new) = (named(&world, sent, ids[0]), credentials(&world, ids[0]).0);
    assert!(!names.is_empty() && !names.contains(&new), "{names:?}");
    world.join_again(ids);
    world.run_for(ms(1_000));
    assert_eq!(generations(&world, ids), [1, 1]);
    assert_eq!(add(&mut world, &old), Added::Ignored(Ignored::Generation));
    assert_eq!(world.agent(ids[0]).report().ignored.len(), 2);
}

/// A candidate that overtakes the parameters it belongs to is not lost, and of a flood of them little is kept.
#[test]
fn trk_10_p03_a_candidate_waits_for_its_parameters() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    world.part(ids);
    let new = {
        restart(&mut world, ids[1]);
        world.agent(ids[1]).local_parameters().clone()
    };
    for number in 0..1_000 {
        let line = line(&world, ids[1], &format!("none{number}"));
        let added = world.command(ids[0], |now, agent| agent.add_remote_candidate(now, STREAM, &line));
        assert_eq!(added, Ok(Added::Held));
    }
    let right = line(&world, ids[1], new.ufrag.as_str());
    let added = world.command(ids[0], |now, agent| agent.add_remote_candidate(now, STREAM, &right));
    assert_eq!(added, Ok(Added::Held));
    let end = world.command(ids[0], |now, agent| agent.remote_gathering_complete_of(now, Some(&new.ufrag)));
    assert_eq!(end, Ok(Added::Held));
    // The other side knows nothing of A's candidates: what connects is the one that was held.
    world.command(ids[0], |now, agent| agent.set_remote_parameters(now, new.clone()).unwrap());
    assert_eq!(generations(&world, ids), [1, 1], "the peer restarted, so A did");
    world.tell_parameters(ids[0], ids[1]);
    world.run_for(ms(2_000));
    assert!(world.is_completed(&ids));
    assert_eq!(world.carries_data(ids), [true, true]);
}

#[test]
fn trk_08_the_end_of_candidates_is_of_one_generation_and_nothing_is_told_after_it() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    restart(&mut world, ids[0]);
    world.run_for(ms(5_000));
    for (node, key) in ids {
        let told: Vec<_> = world.nodes[node]
            .events_of(key)
            .filter_map(|event| match event {
                Event::LocalCandidate { generation, .. } => Some((*generation, "candidate")),
                Event::EndOfCandidates { generation, stream: STREAM } => Some((*generation, "end")),
                Event::Restarted { generation } => Some((*generation, "restarted")),
                _ => None,
            })
            .collect();
        let expected = [(0, "candidate"), (0, "end"), (1, "restarted"), (1, "candidate"), (1, "end")];
        assert_eq!(told, expected);
    }
    // A new address after the end: used, and not told (RFC 8838 §13).
    world.add_address(ids[0], "198.51.100.77");
    world.run_for(ms(1_000));
    let told = world.nodes[0].events_of(ids[0].1);
    assert_eq!(told.filter(|event| matches!(event, Event::LocalCandidate { .. })).count(), 2);
}

/// A mapping that nobody kept alive is asked for again; what it was before is told to nobody.
#[test]
fn p17_p16_a_restart_asks_again_where_mappings_may_have_changed() {
    let mut world = World::new(2);
    world.server.nat = true;
    let ids = world.pair_with([0, 1], 1, |config| asking("stun", config));
    world.connect(&ids, ms(5_000));
    world.run_for(ms(60_000));
    world.server.outside = [203, 0, 113, 55];
    restart(&mut world, ids[0]);
    world.run_for(ms(5_000));
    for (node, key) in ids {
        let told = |of: u32| {
            let reflexive = |event: &Event| match event {
                Event::LocalCandidate { candidate, generation, .. } => (*generation == of
                    && candidate.kind == CandidateType::ServerReflexive)
                    .then(|| candidate.address.ip().to_string()),
                _ => None,
            };
            world.nodes[node].events_of(key).filter_map(reflexive).collect::<Vec<_>>()
        };
        assert_eq!(told(0), ["203.0.113.99"]);
        assert_eq!(told(1), ["203.0.113.55"]);
    }
    assert!(world.is_completed(&ids));
    // And with the new generation complete, it rests again.
    world.sent.clear();
    world.run_for(ms(600_000));
    assert!(
        world
            .sent
            .iter()
            .all(|sent| sent.kind == TransmitKind::Consent || sent.kind == TransmitKind::Response)
    );
}

/// One with the old password is answered for as long as its generation carries data.
#[test]
fn p17_t09_requests_with_old_credentials_are_answered_until_that_generation_is_gone() {
    let mut world = World::new(2);
    world.signalling = ms(500);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let (name, password) = {
        let ours = credentials(&world, ids[0]);
        (format!("{}:{}", ours.0, credentials(&world, ids[1]).0), ours.1)
    };
    let [to, from] = ids.map(|id| world.host_address(id));
    let answered = |world: &mut World, id: u8| {
        let bytes = crate::forge::check(&name, &password, [id; 12]);
        let before = world.sent.len();
        world.carry(from, to, bytes);
        world.run_for(ms(20));
        world.sent[before..].iter().any(|sent| {
            sent.kind == TransmitKind::Response
                && Message::parse(&sent.bytes).is_ok_and(|message| {
                    message.transaction_id().0 == [id; 12] && message.class() == floe_stun::Class::Success
                })
        })
    };
    assert!(answered(&mut world, 1));
    restart(&mut world, ids[0]);
    assert!(answered(&mut world, 2), "while it is unanswered");
    let done = world.now.after(ms(10_000));
    assert!(world.run_until(done, |world| world.agent(ids[0]).generation() == 1
        && world.agent(ids[0]).state() == State::Completed));
    assert!(answered(&mut world, 3), "the peer may still be there");
    world.run_for(ms(3_500));
    assert!(!answered(&mut world, 4), "RFC 8445 §9: those credentials are gone");
}

/// What may happen to a session, in any order.
#[derive(Clone, Copy, Debug)]
enum Step {
    Restart(usize),
    Pass(u64),
    Candidate(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize).prop_map(Step::Restart),
        (0..400_u64).prop_map(Step::Pass),
        (0..2_usize).prop_map(Step::Candidate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever restarts come when, with signalling of any delay: once they end both agents are in one generation,
    /// completed, and data flows; while one pair stood, data was never without a path.
    #[test]
    fn p17_restarts_in_any_order_end_connected(
        steps in prop::collection::vec(step(), 1..20),
        signalling in 0..300_u64,
        connected in any::<bool>(),
        relayed in any::<bool>(),
        loss in 0..40_u64,
    ) {
        let mut world = World::new(2);
        world.signalling = ms(signalling);
        let ids = world.pair_with([0, 1], 1, |mut config| {
            if relayed {
                config.gathering.policy = Policy::RelayOnly;
            }
            asking("turn", config)
        });
        if connected {
            world.connect(&ids, ms(10_000));
        }
        let mut chance = 1_u64;
        world.lost = Box::new(move |_, _, _| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % 100 < loss
        });
        for step in steps {
            match step {
                Step::Restart(by) => {
                    restart(&mut world, ids[by]);
                }
                Step::Pass(time) => world.run_for(ms(time)),
                Step::Candidate(by) => {
                    let line = CandidateLine::from(&"candidate:1 1 udp 1 203.0.113.7 9 typ host".parse::<CandidateLine>().unwrap().candidate().unwrap());
                    let _ = world.command(ids[by], |now, agent| agent.add_remote_candidate(now, STREAM, &line));
                }
            }
            if connected {
                prop_assert!(world.send(ids[0], b"\x80") && world.send(ids[1], b"\x80"));
            }
        }
        world.lost = Box::new(|_, _, _| false);
        world.run_for(ms(20_000));
        let known = |of: Id, by: Id| {
            world.agent(by).remote_parameters().unwrap().ufrag == world.agent(of).local_parameters().ufrag
        };
        prop_assert!(known(ids[0], ids[1]) && known(ids[1], ids[0]));
        prop_assert!(world.is_completed(&ids), "{:?}", ids.map(|id| world.agent(id).state()));
        prop_assert_eq!(world.carries_data(ids), [true, true]);
    }
}
