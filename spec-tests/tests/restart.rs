//! Restarts (RFC 8445 §9): at any time, by either side or both, taken back, and never at the cost of data.

use std::collections::{BTreeMap, BTreeSet};

use floe_agent::{
    Added, AgentConfig, ApiError, Event, Ignored, State, TransmitKind,
    pair::{CandidateLine, CandidateType, Parameters, Role},
    stun::{Class, Message, Method, attribute::Username},
};
use spec_tests::wire::{
    Arrival, Ask, Bench, Fate, HOST, NEXT_UFRAG, RTP, STREAM, World, address, at, consents, host_candidate,
    ms, next_parameters, relay, remote_parameters,
    signal::{News, Signalling, Talk, connect},
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const HOSTS: [&[&str]; 2] = [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]];
const PEER: &str = "10.0.1.1:1000";

/// User fragment and password of a side.
fn credentials(world: &World, side: usize) -> (String, String) {
    let Parameters { ufrag, pwd, .. } = world.sides[side].agent.local_parameters();
    (ufrag.as_str().to_owned(), pwd.expose().to_owned())
}

fn restart(world: &mut World, side: usize) {
    world.sides[side].now = world.now;
    world.sides[side].agent.restart(world.now).expect("open");
    world.collect(side);
}

#[test]
fn ice_36_a_restart_changes_both_credentials_and_data_flows_on() {
    for restarting in 0..2 {
        let mut world = World::new(HOSTS, ms(50));
        let mut signalling = connect(&mut world, 200);
        world.run(ms(5_000));
        let before = [0, 1].map(|side| credentials(&world, side));
        let roles = world.sides.each_ref().map(|side| side.agent.role());
        let mut talk = Talk::new(&mut world);
        talk.on(&mut world, &mut signalling, 200);
        restart(&mut world, restarting);
        let selections = |world: &World| {
            let selected = |(_, event): &&(_, Event)| matches!(event, Event::Selected { .. });
            world.sides.each_ref().map(|side| side.events.iter().filter(selected).count())
        };
        let selected_before = selections(&world);
        talk.on(&mut world, &mut signalling, 10_000);
        let after = [0, 1].map(|side| credentials(&world, side));
        for (before, after) in before.iter().zip(&after) {
            assert!(before.0 != after.0 && before.1 != after.1, "both, of both sides");
        }
        let selected_after = selections(&world);
        assert!(
            (0..2).all(|side| selected_after[side] > selected_before[side]),
            "the new generation has its pair"
        );
        assert!(world.is_completed());
        world.assert_agreed();
        assert_eq!(world.sides.each_ref().map(|side| side.agent.role()), roles, "ICE-10: roles stay");
        talk.end(&mut world);
    }
}

#[test]
fn ice_36_credentials_of_the_application_have_to_change_both() {
    let mut bench = Bench::new(Role::Controlling);
    bench.select(PEER);
    let own = bench.agent.local_parameters().clone();
    let (ufrag, pwd) =
        ("anotherfrag".parse().expect("ice-chars"), "anotherpassword0123456789".parse().expect("ice-chars"));
    let now = bench.now;
    assert_eq!(bench.agent.restart_with(now, own.ufrag.clone(), pwd), Err(ApiError::SameCredentials));
    assert_eq!(bench.agent.restart_with(now, ufrag, own.pwd.clone()), Err(ApiError::SameCredentials));
    assert_eq!(bench.drain(), []);
    assert_eq!(bench.agent.local_parameters().ufrag, own.ufrag, "nothing has changed");
    // Of the peer likewise: one of both alone is no restart.
    let changed =
        Parameters { pwd: "anotherpassword0123456789".parse().expect("ice-chars"), ..remote_parameters() };
    assert_eq!(bench.agent.set_remote_parameters(now, changed), Err(ApiError::ParametersChanged));
}

#[test]
fn rfc8839_4_4_3_1_an_exchange_that_restarts_nothing_leaves_completed_ice_as_it_is() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        bench.agent.remote_gathering_complete(bench.now);
        bench.converse(ms(20_000), |_| true);
        bench.events.clear();
        let (generation, selected) = (bench.agent.generation(), bench.agent.selected(STREAM, RTP));
        for _ in 0..3 {
            // The peer's description again, as each later offer and answer has it.
            let now = bench.now;
            bench.agent.set_remote_parameters(now, remote_parameters()).expect("those there are");
            bench.add_remote(0, PEER);
            bench.agent.remote_gathering_complete(now);
            assert_eq!(bench.drain(), [], "{role:?}");
            let sent = bench.converse(ms(20_000), |_| true);
            assert!(
                consents(&sent).count() >= 3 && consents(&sent).count() == sent.len(),
                "no check: {sent:?}"
            );
            assert_eq!(bench.send(b"\x80"), Ok(address(PEER)));
        }
        assert!(bench.events.is_empty(), "{role:?}: {:?}", bench.events);
        assert_eq!((bench.agent.state(), bench.agent.generation()), (State::Completed, generation));
        assert_eq!(
            bench.agent.selected(STREAM, RTP).map(|pair| pair.remote),
            selected.map(|pair| pair.remote)
        );
    }
}

#[test]
fn ice_10_a_restart_keeps_roles_and_a_peer_that_redetermines_them_is_followed() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        let now = bench.now;
        bench.agent.restart(now).expect("open");
        bench.drain();
        assert_eq!(bench.agent.role(), role);
        let theirs = next_parameters();
        bench.agent.set_remote_parameters(now, theirs).expect("the answer");
        assert_eq!(bench.agent.role(), role);
        // The peer has taken our role anew, with the greater tiebreaker for that.
        let claim = match role {
            Role::Controlling => floe_agent::stun::binding::Claim::Controlling(u64::MAX),
            Role::Controlled => floe_agent::stun::binding::Claim::Controlled(0),
        };
        let ask = Ask { claim: Some(claim), ..Ask::controlled() };
        let ask = ask.between(bench.agent.local_parameters(), &next_parameters());
        let id = bench.new_id();
        let _ = bench.receive(0, address(PEER), &ask.bytes(id));
        bench.drain();
        assert_eq!(bench.agent.role(), role.opposite(), "{role:?}");
    }
}

#[test]
fn rfc8445_6_1_1_a_peer_that_becomes_lite_at_a_restart_is_controlled_from_then_on() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        let theirs = Parameters { lite: true, ..next_parameters() };
        let now = bench.now;
        bench.agent.set_remote_parameters(now, theirs).expect("a restart");
        bench.add_remote(0, PEER);
        assert_eq!(bench.agent.role(), Role::Controlling, "{role:?}");
        let check = bench.next_check();
        assert!(matches!(check.request().claim, Some(floe_agent::stun::binding::Claim::Controlling(_))));
    }
}

/// No request names fragments that were not exchanged together: the n-th of one side goes with the n-th of the other.
#[track_caller]
fn assert_generations_do_not_mix(world: &World, signalling: &Signalling) {
    let mut number = BTreeMap::new();
    for told in &signalling.told {
        let words = told.iter().filter_map(|(_, news)| match news {
            News::Parameters(parameters) => Some(parameters.ufrag.as_str().to_owned()),
            _ => None,
        });
        let mut known = BTreeSet::new();
        for ufrag in words {
            if known.insert(ufrag.clone()) {
                number.insert(ufrag, known.len());
            }
        }
    }
    let mut used = BTreeSet::new();
    for datagram in &world.log {
        let Ok(message) = Message::parse(&datagram.bytes) else { continue };
        if (message.method(), message.class()) != (Method::BINDING, Class::Request) || datagram.kind.is_none()
        {
            continue;
        }
        let Some(username) = message.get::<Username<'_>>().expect("well-formed") else { continue };
        let text = username.as_str().expect("text").to_owned();
        let (theirs, ours) = text.split_once(':').expect("two fragments");
        assert_eq!(number.get(theirs), number.get(ours), "{text}: {number:?}");
        used.insert(number.get(ours).copied());
    }
    assert!(used.len() > 1, "there was a restart");
}

#[test]
fn p17_a_restart_at_any_time_by_either_side_or_both_connects() {
    // Before signalling, in the middle of it, while checks are made, when connected, and later.
    for time in [0, 20, 60, 100, 130, 160, 200, 250, 300, 400, 600, 1_000, 4_000] {
        for who in [&[0][..], &[1], &[0, 1]] {
            let mut world = World::new(HOSTS, ms(50));
            let mut signalling = Signalling::new(&world, ms(100));
            signalling.run(&mut world, ms(time));
            for side in who {
                if time < 100 {
                    // An offer that has not arrived is replaced: it cannot be answered any more.
                    signalling.pass(&mut world);
                    signalling.recall(*side);
                }
                restart(&mut world, *side);
            }
            signalling.run(&mut world, ms(1_500));
            let name = format!("at {time} ms by {who:?}");
            assert!(
                signalling.run_to_selection(&mut world, ms(10_000)),
                "{name}: {:?}",
                world.sides[0].agent.state()
            );
            world.assert_agreed();
            let mut talk = Talk::new(&mut world);
            talk.on(&mut world, &mut signalling, 40_000);
            talk.end(&mut world);
            if time >= 100 {
                assert!(world.sides.iter().all(|side| side.agent.generation() >= 1), "{name}");
                assert_generations_do_not_mix(&world, &signalling);
            }
        }
    }
}

#[test]
fn p17_restarts_while_gathering_reuse_the_allocations() {
    for time in [0, 20, 45, 90, 140, 200, 400, 3_000] {
        let (mut world, server) = relay::relayed([true, true], ms(40), |_, _| {});
        let mut signalling = Signalling::new(&world, ms(60));
        signalling.run(&mut world, ms(time));
        if time < 60 {
            signalling.pass(&mut world);
            signalling.recall(0);
        }
        restart(&mut world, 0);
        signalling.run(&mut world, ms(1_000));
        restart(&mut world, 1);
        signalling.run(&mut world, ms(1_000));
        assert!(signalling.run_to_selection(&mut world, ms(20_000)), "at {time} ms");
        world.assert_agreed();
        signalling.run(&mut world, ms(10_000));
        let mut talk = Talk::new(&mut world);
        talk.on(&mut world, &mut signalling, 2_000);
        talk.end(&mut world);
        assert!(server.allocations() <= 2, "at {time} ms: one of each side, and none that is of no use");
        // Never twice on one five-tuple.
        let mut asked: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for one in world.sent_to(address(relay::SERVER)) {
            let Ok(message) = Message::parse(&one.bytes) else { continue };
            if message.method() == Method::ALLOCATE && message.has_integrity() {
                asked.entry(one.from).or_default().insert(message.transaction_id());
            }
        }
        assert!(asked.values().all(|ids| ids.len() == 1), "at {time} ms: {asked:?}");
    }
}

#[test]
fn p40_restarts_with_relays_only_lose_nothing_and_show_nothing() {
    let relays = |_: usize, config: &mut AgentConfig| config.gathering.policy = floe_agent::Policy::RelayOnly;
    let (mut world, server) = relay::relayed([true, true], ms(40), relays);
    let mut signalling = Signalling::new(&world, ms(60));
    assert!(signalling.run_to_selection(&mut world, ms(10_000)));
    signalling.run(&mut world, ms(1_000));
    let mut talk = Talk::new(&mut world);
    for round in 0..6 {
        restart(&mut world, round % 2);
        talk.on(&mut world, &mut signalling, 400 * round as u64);
    }
    talk.on(&mut world, &mut signalling, 40_000);
    assert!(world.is_completed());
    world.assert_agreed();
    talk.end(&mut world);
    assert_eq!(server.allocations(), 2);
    let hosts = relay::HOSTS.map(|ip| address(&format!("{ip}:1")).ip());
    assert!(world.log.iter().all(|one| !hosts.contains(&one.from.ip()) || one.to == address(relay::SERVER)));
    for (side, told) in signalling.told.iter().enumerate() {
        for (_, news) in told {
            assert!(!format!("{news:?}").contains(relay::HOSTS[side]), "{news:?}");
        }
    }
}

#[test]
fn con_04_consent_lost_during_an_unanswered_restart_is_told_and_the_restart_connects() {
    let mut world = World::new(HOSTS, ms(50));
    let mut signalling = connect(&mut world, 100);
    signalling.run(&mut world, ms(1_000));
    // The network is gone; one side restarts, and its offer is under way for a minute.
    world.judge = Box::new(|_| Fate::Lost);
    signalling.delay = ms(60_000);
    restart(&mut world, 0);
    signalling.run(&mut world, ms(50_000));
    for side in 0..2 {
        let told =
            world.sides[side].events.iter().filter(|(_, event)| matches!(event, Event::ConsentLost { .. }));
        assert_eq!(told.count(), 1, "side {side}");
        assert!(!world.send(side, b"\x80"), "side {side}");
        assert_ne!(world.sides[side].agent.state(), State::Completed);
    }
    world.judge = Box::new(|_| Fate::Arrives);
    signalling.run(&mut world, ms(75_000));
    assert!(signalling.run_to_selection(&mut world, ms(10_000)));
    world.assert_agreed();
    assert!(world.send(0, b"\x80") && world.send(1, b"\x80"));
}

#[test]
fn p17_twenty_restarts_in_a_row_lose_no_datagram() {
    for pause in [0, 100, 1_000, 8_000] {
        let mut world = World::new(HOSTS, ms(50));
        let mut signalling = connect(&mut world, 100);
        signalling.run(&mut world, ms(1_000));
        let mut talk = Talk::new(&mut world);
        for round in 0..20 {
            restart(&mut world, round % 2);
            talk.on(&mut world, &mut signalling, pause);
        }
        talk.on(&mut world, &mut signalling, 3_000);
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "pause {pause} ms");
        world.assert_agreed();
        talk.end(&mut world);
        assert_generations_do_not_mix(&world, &signalling);
    }
}

#[test]
fn p17_a_restart_that_is_rolled_back_leaves_everything_as_it_was() {
    let mut world = World::new(HOSTS, ms(50));
    let mut signalling = connect(&mut world, 100);
    signalling.run(&mut world, ms(1_000));
    let before = credentials(&world, 0);
    let mut talk = Talk::new(&mut world);
    let mut fragments = BTreeSet::from([before.0.clone()]);
    for wait in [0, 100, 5_000, 60_000] {
        // The offer is never sent.
        signalling.cut[0] = true;
        restart(&mut world, 0);
        assert!(fragments.insert(credentials(&world, 0).0), "each restart has credentials of its own");
        talk.on(&mut world, &mut signalling, wait);
        world.sides[0].agent.rollback(world.now).expect("a restart waits");
        world.collect(0);
        signalling.skip(&world, 0);
        signalling.cut[0] = false;
        assert_eq!(credentials(&world, 0), before);
        assert!(world.is_completed(), "after {wait} ms");
        let now = world.now;
        assert_eq!(world.sides[0].agent.rollback(now), Err(ApiError::NoRestart));
    }
    // Consent goes on: much longer than it would last.
    talk.on(&mut world, &mut signalling, 60_000);
    restart(&mut world, 0);
    talk.on(&mut world, &mut signalling, 5_000);
    assert!(fragments.insert(credentials(&world, 0).0));
    assert!(world.is_completed());
    talk.end(&mut world);
}

#[test]
fn p17_while_nothing_works_in_the_new_generation_the_old_pair_carries_data() {
    let mut world = World::new(HOSTS, ms(50));
    let mut signalling = connect(&mut world, 100);
    signalling.run(&mut world, ms(1_000));
    // Checks of the new generation are lost for three minutes, by their user names.
    let old: Vec<String> = (0..2).map(|side| credentials(&world, side).0).collect();
    let known = old.clone();
    world.judge = Box::new(move |one| {
        let fresh = Message::parse(&one.bytes).is_ok_and(|message| {
            let username = message.get::<Username<'_>>().ok().flatten();
            let text = username.as_ref().and_then(Username::as_str).map(str::to_owned);
            text.is_some_and(|text| !known.iter().any(|ufrag| text.contains(ufrag)))
        });
        if fresh { Fate::Lost } else { Fate::Arrives }
    });
    let mut talk = Talk::new(&mut world);
    restart(&mut world, 1);
    talk.on(&mut world, &mut signalling, 180_000);
    // Consent of the old pair was asked for with the old credentials all the time (RFC 7675 §5.1).
    let asked = |from: u64, to: u64| {
        let within = |one: &&spec_tests::wire::Datagram| {
            one.kind == Some(TransmitKind::Consent) && (at(from)..at(to)).contains(&one.at)
        };
        world.log.iter().filter(within).count()
    };
    let now = world.now.as_millis();
    assert!(asked(now - 170_000, now) >= 2 * 28, "{}", asked(now - 170_000, now));
    world.judge = Box::new(|_| Fate::Arrives);
    talk.on(&mut world, &mut signalling, 5_000);
    talk.end(&mut world);
}

#[test]
fn con_05_consent_of_the_old_pair_goes_on_and_ends_during_a_restart() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        let now = bench.now;
        bench.agent.restart(now).expect("open");
        // The peer does not answer the restart for five minutes, and its consent goes on.
        let sent = bench.converse(ms(300_000), |_| true);
        let consents: Vec<_> = sent.iter().filter(|sent| sent.kind == TransmitKind::Consent).collect();
        assert!((50..=75).contains(&consents.len()), "{}", consents.len());
        let waits: Vec<_> = consents.windows(2).map(|two| two[1].at.since(two[0].at)).collect();
        assert!(waits.iter().all(|wait| (ms(4_000)..=ms(6_000)).contains(wait)), "{waits:?}");
        assert_eq!(bench.send(b"\x80"), Ok(address(PEER)));
        // Then it is gone: not one byte after thirty seconds, restart or not.
        let last = consents.last().expect("requests").at;
        let theirs = next_parameters();
        let now = bench.now;
        bench.agent.set_remote_parameters(now, theirs).expect("the answer");
        let end = last.after(ms(30_000));
        bench.wait_until(floe_agent::stun::Instant::from_nanos(end.as_nanos() - 1), |_| false);
        assert_eq!(bench.send(b"\x80"), Ok(address(PEER)), "{role:?}");
        bench.now = end;
        assert!(bench.send(b"\x80").is_err(), "{role:?}");
        bench.wait(ms(0));
        assert!(bench.agent.path(STREAM, RTP).is_none());
    }
}

#[test]
fn trk_10_candidates_of_an_old_generation_are_refused_and_early_ones_of_a_new_one_are_held() {
    let mut bench = Bench::new(Role::Controlled);
    bench.select(PEER);
    let line = |ufrag: &str, port: u16| {
        let candidate = host_candidate(RTP, port, address(&format!("10.0.1.1:{port}")));
        CandidateLine::from(&candidate).with_extension("ufrag", ufrag).expect("a token")
    };
    let old = remote_parameters();
    let new = next_parameters();
    // A candidate overtakes the offer that it belongs to.
    let now = bench.now;
    let early = bench.agent.add_remote_candidate(now, STREAM, &line(NEXT_UFRAG, 2_000));
    assert_eq!(early, Ok(Added::Held));
    bench.agent.set_remote_parameters(now, new.clone()).expect("a restart");
    let late = bench.agent.add_remote_candidate(now, STREAM, &line(old.ufrag.as_str(), 3_000));
    assert_eq!(late, Ok(Added::Ignored(Ignored::Generation)), "and an old one is told apart");
    assert_eq!(bench.agent.set_remote_parameters(now, old.clone()), Err(ApiError::OldGeneration));
    // The end of the old generation is not that of the new one.
    assert_eq!(
        bench.agent.remote_gathering_complete_of(now, Some(&old.ufrag)),
        Ok(Added::Ignored(Ignored::Generation))
    );
    let _ = bench.agent.add_remote_candidate(now, STREAM, &line(NEXT_UFRAG, 4_000)).expect("in time");
    let sent = bench.wait(ms(1_000));
    let checked: BTreeSet<u16> =
        sent.iter().filter(|sent| sent.kind == TransmitKind::Check).map(|sent| sent.to.port()).collect();
    assert_eq!(checked, BTreeSet::from([2_000, 4_000]));
}

#[test]
fn trk_08_the_end_of_candidates_names_its_generation_and_nothing_follows_it() {
    let (mut world, _server) = relay::relayed([true, true], ms(40), |_, _| {});
    let mut signalling = Signalling::new(&world, ms(60));
    for round in 0..6_u64 {
        signalling.run(&mut world, ms(70 * (round + 1)));
        restart(&mut world, (round % 2) as usize);
    }
    signalling.run(&mut world, ms(10_000));
    // A further address of the host, after the end was told.
    world.gather(0, &[relay::HOSTS[0], "198.51.100.7"]);
    signalling.run(&mut world, ms(10_000));
    for (side, told) in signalling.told.iter().enumerate() {
        let (mut ended, mut ends) = (BTreeSet::new(), 0);
        for (_, news) in told {
            match news {
                News::Candidate(stream, line) => {
                    let ufrag = line.ufrag().expect("its generation").to_owned();
                    assert!(
                        !ended.contains(&(*stream, ufrag)),
                        "side {side}: {line} after the end of its generation"
                    );
                }
                News::End(stream, ufrag) => {
                    let first = ended.insert((*stream, ufrag.as_str().to_owned()));
                    assert!(first, "side {side}: {stream:?} of {ufrag:?} ended twice");
                    ends += 1;
                }
                News::Parameters(_) => {}
            }
        }
        let last = world.sides[side].agent.local_parameters().ufrag.as_str().to_owned();
        assert!(
            ends >= 1 && ended.contains(&(STREAM, last)),
            "side {side}: the newest generation has its end"
        );
    }
}

/// The host gets another address and a slow server answers, when a pair was selected before or while none is; the
/// candidates that are told then.
fn told_after(selected: bool) -> Vec<CandidateType> {
    let url = "stun:192.0.2.1".parse().expect("a URI");
    let slow = |config: &mut AgentConfig| {
        config.gathering.servers = vec![floe_agent::Server::new(url, None)];
        config.gathering.deadline = ms(30_000);
    };
    let mut bench = Bench::bare(Role::Controlled, &[HOST], slow);
    let sent = bench.wait(ms(50));
    let asked =
        sent.iter().find(|sent| sent.kind == TransmitKind::Gathering).expect("the server is asked").clone();
    bench.meet();
    if selected {
        bench.select(PEER);
    }
    bench.events.clear();
    bench.gather(&[HOST, "10.0.2.1"]);
    let mut buffer = [0; 128];
    let mut writer =
        floe_agent::stun::MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, asked.id())
            .expect("room");
    let mapped =
        floe_agent::stun::attribute::XorMappedAddress("203.0.113.9:4000".parse().expect("an address"));
    writer.put(&mapped).expect("room");
    let len = writer.fingerprint().expect("room");
    // With the selection gathering has ended, and nobody waits for the server any more.
    let arrival = if selected { Arrival::NotOurs } else { Arrival::Taken };
    assert_eq!(bench.receive_at(asked.from, asked.to, &buffer[..len]), arrival);
    bench.converse(ms(10_000), |sent| sent.to == address(PEER));
    assert_eq!(bench.agent.state(), if selected { State::Completed } else { State::Checking });
    let told = bench.events.iter().filter_map(|(_, event)| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.kind),
        _ => None,
    });
    told.collect()
}

#[test]
fn trk_08_no_candidate_is_told_after_nomination() {
    assert_eq!(told_after(true), [], "RFC 8838 §13");
    let both = [CandidateType::Host, CandidateType::ServerReflexive];
    assert_eq!(told_after(false), both, "of the same address and answer");
}

#[test]
fn p14_a_restart_of_a_session_that_works_is_no_flap() {
    let mut world = World::new(HOSTS, ms(50));
    let mut signalling = connect(&mut world, 100);
    signalling.run(&mut world, ms(1_000));
    let before = world.sides.each_ref().map(|side| side.states().len());
    restart(&mut world, 0);
    signalling.run(&mut world, ms(10_000));
    for (side, before) in world.sides.iter().zip(before) {
        let told = side.states().split_off(before);
        let fine = told.iter().all(|state| matches!(state, State::Connected | State::Completed));
        assert!(fine && told.len() <= 2, "{told:?}: data flows all the time");
    }
}

#[test]
fn p23_closing_at_any_step_of_a_restart_gives_allocations_and_sockets_back() {
    for answered in [false, true] {
        for time in [0, 15, 45, 90, 150, 400, 2_000, 8_000] {
            let (mut world, server) = relay::relayed([true, true], ms(40), |_, _| {});
            let mut signalling = Signalling::new(&world, ms(30));
            assert!(signalling.run_to_selection(&mut world, ms(10_000)));
            signalling.cut = [!answered; 2];
            restart(&mut world, 0);
            signalling.run(&mut world, ms(time));
            for side in 0..2 {
                world.sides[side].now = world.now;
                world.sides[side].agent.close(world.now);
                world.collect(side);
            }
            world.run(ms(4_000));
            let name = format!("answered: {answered}, after {time} ms");
            assert_eq!(server.allocations(), 0, "{name}");
            assert!(
                world.sides.iter().all(|side| side.agent.is_closed() && side.sockets.is_empty()),
                "{name}"
            );
        }
    }
}
