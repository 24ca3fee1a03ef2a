//! What commands say to what does not fit.

use core::time::Duration;

use floe_agent::{Added, Agent, AgentConfig, ApiError, ConfigError, Ignored, PairId};
use floe_pair::{ComponentId, Pwd, Role, StreamId, Ufrag};
use floe_stun::Instant;

use crate::world::{COMPONENT, STREAM, World, ms};

const NOW: Instant = Instant::from_millis(1);

fn agent(seed: u32) -> Agent {
    Agent::new(World::config(Role::Controlling, seed)).unwrap()
}

#[test]
fn remote_candidates_of_no_use_are_ignored_with_the_reason() {
    let mut agent = agent(1);
    let peer = self::agent(2).local_parameters().clone();
    let ours = format!("candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag {}", peer.ufrag.as_str());
    agent.set_remote_parameters(NOW, peer).unwrap();
    let table = [
        ("candidate:1 1 udp 1 printer.local 9 typ host", Added::Ignored(Ignored::Name)),
        ("candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active", Added::Ignored(Ignored::Transport)),
        ("candidate:1 1 udp 1 0.0.0.0 9 typ host", Added::Ignored(Ignored::Address)),
        ("candidate:1 1 udp 1 255.255.255.255 9 typ host", Added::Ignored(Ignored::Address)),
        ("candidate:1 1 udp 1 ff02::1 9 typ host", Added::Ignored(Ignored::Address)),
        ("candidate:1 2 udp 1 192.0.2.1 9 typ host", Added::Ignored(Ignored::Component)),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag none", Added::Held),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host ufrag no_fragment", Added::Added),
        (ours.as_str(), Added::Added),
        ("candidate:1 1 udp 1 192.0.2.1 9 typ host", Added::Added),
    ];
    for (line, added) in table {
        let line = line.parse().unwrap();
        assert_eq!(agent.add_remote_candidate(NOW, STREAM, &line), Ok(added), "{line}");
    }
    let line = ours.parse().unwrap();
    let elsewhere = agent.add_remote_candidate(NOW, StreamId(9), &line);
    assert_eq!(elsewhere, Err(ApiError::NoSuchStream(StreamId(9))));
}

#[test]
fn other_parameters_of_the_peer_are_a_restart() {
    let mut agent = agent(1);
    let [first, second] = [2, 3].map(|seed| self::agent(seed).local_parameters().clone());
    assert!(agent.remote_parameters().is_none());
    assert_eq!(agent.set_remote_parameters(NOW, first.clone()), Ok(()));
    assert_eq!(agent.set_remote_parameters(NOW, first.clone()), Ok(()), "the same again");
    assert_eq!(agent.generation(), 0);
    assert_eq!(agent.set_remote_parameters(NOW, second.clone()), Ok(()));
    assert_eq!(agent.remote_parameters().map(|known| &known.ufrag), Some(&second.ufrag));
    assert_eq!(agent.generation(), 1);
    assert_eq!(agent.set_remote_parameters(NOW, first.clone()), Err(ApiError::OldGeneration));
    agent.close(NOW);
    assert_eq!(agent.set_remote_parameters(NOW, first), Err(ApiError::Closed));
}

/// What an agent that is closed does not do it does not say it has done.
#[test]
fn every_command_on_a_closed_agent_says_so() {
    let mut agent = agent(1);
    let address = "192.0.2.1:9".parse().unwrap();
    let ufrag: Ufrag = "peer".parse().unwrap();
    let component = (StreamId(0), ComponentId::RTP);
    agent.close(NOW);
    let closed = Err(ApiError::Closed);
    assert_eq!(agent.rank(NOW, PairId(0), 1), closed);
    assert_eq!(agent.veto(NOW, PairId(0), true), closed);
    assert_eq!(agent.pin(NOW, PairId(0), true), closed);
    assert_eq!(agent.keep(NOW, PairId(0), true), closed);
    assert_eq!(agent.nominate(NOW, PairId(0)), closed);
    assert_eq!(agent.reconcile(NOW, component.0, component.1, address, address), Err(ApiError::Closed));
    assert_eq!(agent.restart(NOW), Err(ApiError::Closed));
    assert_eq!(agent.rollback(NOW), closed);
    assert_eq!(agent.remove_component(NOW, component.0, component.1), closed);
    assert_eq!(agent.remote_gathering_complete_of(NOW, Some(&ufrag)), Err(ApiError::Closed));
    assert_eq!(agent.remote_stream_complete(NOW, STREAM, None), Err(ApiError::Closed));
}

/// Who keeps more pairs than are kept is told so, and the ones before stay kept.
#[test]
fn p39_a_pair_too_many_to_be_kept_is_refused() {
    let mut world = World::new(2);
    let [id, _] = world.pair([0, 1], 1);
    world.command(id, |now, agent| {
        for last in 1..=6 {
            let line = format!("candidate:{last} 1 udp 99 192.0.2.{last} 9 typ host").parse().unwrap();
            assert_eq!(agent.add_remote_candidate(now, STREAM, &line), Ok(Added::Added));
        }
        let pairs: Vec<_> = agent.pairs().map(|pair| pair.id).collect();
        let (kept, more) = pairs.split_at(floe_check::KEPT_LIMIT);
        for pair in kept {
            assert_eq!(agent.keep(now, *pair, true), Ok(()));
        }
        assert!(!more.is_empty());
        for pair in more {
            let refused = agent.keep(now, *pair, true).unwrap_err();
            assert_eq!(refused, ApiError::TooManyKept(*pair));
            assert!(refused.to_string().contains("4 others"), "{refused}");
        }
        // One place is free again.
        assert_eq!(agent.keep(now, kept[0], false), Ok(()));
        assert_eq!(agent.keep(now, more[0], true), Ok(()));
    });
}

/// The natural moment for a veto: the pair is told to be valid, and is decided upon already.
#[test]
fn p39_a_pair_that_is_vetoed_as_soon_as_it_is_valid_is_never_nominated() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.introduce(ids);
    let until = world.now.after(ms(5_000));
    let is_valid = |world: &World| world.agent(ids[0]).pairs().any(|pair| pair.valid);
    assert!(world.run_until(until, is_valid));
    let pairs: Vec<_> = world.agent(ids[0]).pairs().map(|pair| pair.id).collect();
    world.command(ids[0], |now, agent| {
        assert!(agent.selected(STREAM, COMPONENT).is_none());
        for pair in &pairs {
            assert_eq!(agent.veto(now, *pair, true), Ok(()));
        }
    });
    world.run_for(ms(10_000));
    for id in ids {
        assert!(world.agent(id).selected(STREAM, COMPONENT).is_none());
    }
    world.command(ids[0], |now, agent| {
        for pair in &pairs {
            assert_eq!(agent.veto(now, *pair, false), Ok(()));
        }
    });
    world.connect(&ids, ms(1_000));
}

/// A command with an id from before a restart meets no other pair than the one that was meant.
#[test]
fn p17_an_id_of_a_pair_of_another_generation_names_none() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let first = |world: &World| world.agent(ids[0]).pairs().next().unwrap().id;
    let all = |world: &mut World, pair: PairId| {
        world.command(ids[0], |now, agent| {
            [
                agent.rank(now, pair, 1),
                agent.veto(now, pair, false),
                agent.pin(now, pair, false),
                agent.keep(now, pair, false),
                agent.nominate(now, pair),
            ]
        })
    };
    let mut known = vec![first(&world)];
    assert_eq!(all(&mut world, known[0]), [Ok(()); 5], "it is the selected one");
    for _ in 0..3 {
        world.command(ids[0], |now, agent| agent.restart(now).unwrap());
        world.run_for(ms(10_000));
        for old in &known {
            assert_eq!(all(&mut world, *old), [Err(ApiError::NoSuchPair(*old)); 5]);
        }
        let new = first(&world);
        assert_eq!(all(&mut world, new), [Ok(()); 5]);
        known.push(new);
    }
    // What an unanswered restart has named is named by nothing once it is taken back.
    world.part(ids);
    let old = *known.last().unwrap();
    world.command(ids[0], |now, agent| {
        agent.restart(now).unwrap();
        agent.rollback(now).unwrap();
    });
    assert_eq!(all(&mut world, old), [Ok(()); 5], "its pair is there again");
    let early = world.agent(ids[0]).pairs().map(|pair| pair.id).max().unwrap();
    world.add_address(ids[0], "198.51.100.77");
    world.join_again(ids);
    world.command(ids[0], |now, agent| agent.restart(now).unwrap());
    world.run_for(ms(10_000));
    assert!(world.agent(ids[0]).pairs().all(|pair| pair.id > early));
}

#[test]
fn configurations_that_cannot_be_used_are_refused() {
    let stream = |number| (StreamId(number), vec![ComponentId::RTP]);
    let refusal = |change: &dyn Fn(&mut AgentConfig)| {
        let mut config = World::config(Role::Controlling, 1);
        change(&mut config);
        Agent::new(config).err()
    };
    assert_eq!(refusal(&|_| ()), None);
    assert_eq!(refusal(&|config| config.streams.clear()), Some(ConfigError::NoStreams));
    assert_eq!(
        refusal(&|config| config.streams = (0..65).map(stream).collect()),
        Some(ConfigError::TooManyStreams { given: 65, most: 64 })
    );
    assert_eq!(
        refusal(&|config| config.streams = vec![stream(1), stream(2), stream(1)]),
        Some(ConfigError::StreamTwice(StreamId(1)))
    );
    assert_eq!(
        refusal(&|config| config.streams = vec![(STREAM, vec![])]),
        Some(ConfigError::NoComponents(STREAM))
    );
    let twice = vec![ComponentId::RTP, ComponentId::RTCP, ComponentId::RTP];
    assert_eq!(
        refusal(&|config| config.streams = vec![(STREAM, twice.clone())]),
        Some(ConfigError::ComponentTwice(STREAM))
    );
    // RFC 8839 §5.1: in whatever order, from 1 and one by one.
    let id = |id| ComponentId::new(id).expect("1 to 256");
    for (ids, gap) in [
        (vec![id(2), id(1)], None),
        (vec![id(3), id(1), id(2)], None),
        ((1..=256).map(id).collect(), None),
        (vec![id(2)], Some(ConfigError::ComponentGap(STREAM))),
        (vec![id(1), id(7)], Some(ConfigError::ComponentGap(STREAM))),
        (vec![id(3), id(2)], Some(ConfigError::ComponentGap(STREAM))),
    ] {
        assert_eq!(refusal(&|config| config.streams = vec![(STREAM, ids.clone())]), gap, "{ids:?}");
    }
    let long = || Ufrag::from_bytes(&[b'a'; 33]).unwrap();
    let pwd = || Pwd::from_bytes(&[b'p'; 22]).unwrap();
    assert_eq!(
        refusal(&|config| config.credentials = Some((long(), pwd()))),
        Some(ConfigError::UfragTooLong(33))
    );
    let hidden = |config: &mut AgentConfig| {
        (config.lite, config.gathering.policy) = (true, floe_agent::Policy::RelayOnly);
    };
    assert_eq!(refusal(&hidden), Some(ConfigError::LiteRelayOnly));
    for ta in [4, 501] {
        let change = |config: &mut AgentConfig| config.checks.ta = Duration::from_millis(ta);
        assert!(matches!(refusal(&change), Some(ConfigError::Gathering(_))), "Ta of {ta} ms");
    }
}

/// T39: what is printed holds no password.
#[test]
fn t39_debug_output_of_an_agent_holds_no_secret() {
    let mut config = World::config(Role::Controlling, 1);
    let password = "a+very+secret+password+of+32+chars";
    config.credentials = Some(("ufrg".parse().unwrap(), password.parse().unwrap()));
    let shown = format!("{config:?}");
    let agent = Agent::new(config).unwrap();
    let mut hub = floe_agent::Hub::new();
    let shown = format!("{shown}{agent:?}{:?}", agent.local_parameters());
    hub.insert(agent);
    let shown = format!("{shown}{hub:?}");
    assert!(shown.contains("ufrg"));
    assert!(!shown.contains("secret"));
    assert!(!shown.contains("0, 0, 0, 1, 0, 0, 0, 0"), "nor the seed");
}
