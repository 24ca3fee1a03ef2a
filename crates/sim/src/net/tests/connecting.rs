//! Whole sessions.

use floe_agent::State;

use super::*;

const EIM_EIF: Place = Place::Behind(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
const EIM_APDF: Place = Place::Behind(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
const APDM_APDF: Place =
    Place::Behind(Dependence::AddressAndPortDependent, Dependence::AddressAndPortDependent);

#[test]
fn two_hosts_connect_directly_without_any_server() {
    let mut world = World::connected(Setup { servers: false, ..Setup::new([Place::Open; 2]) });
    assert_eq!(world.selected_types(), [[CandidateType::Host; 2]; 2]);
    // Signalling 20 ms, then a check and a nomination over 40 ms round trips, and one Ta for each.
    assert!(world.network.now() <= Instant::from_millis(20 + 2 * 40 + 20), "{:?}", world.network.now());
    world.assert_carries_data();
}

#[test]
fn data_flows_on_the_path_handle_past_the_agent() {
    let mut world = World::connected(Setup::new([Place::Open; 2]));
    let path = world.network.agent(world.session.a).unwrap().path(STREAM, COMPONENT).unwrap();
    world.network.send_on(world.session.a, &path, b"\x80 past the agent").unwrap();
    world.network.run_for(ms(20));
    let arrived = world.network.take_data(world.session.b);
    assert_eq!(
        arrived.iter().map(|data| data.payload.as_slice()).collect::<Vec<_>>(),
        [b"\x80 past the agent"]
    );
}

#[test]
fn host_reflexive_and_relayed_candidates_all_arise() {
    let world = World::connected(Setup::new([EIM_EIF, EIM_APDF]));
    for id in [world.session.a, world.session.b] {
        let mut types = world.candidate_types(id);
        types.sort_unstable();
        types.dedup();
        assert_eq!(types, [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::Relayed]);
    }
}

/// Whether two places can reach each other without a relay, both with a STUN server at hand.
fn direct_is_possible(places: [Place; 2]) -> bool {
    use Dependence::{AddressAndPortDependent, EndpointIndependent};
    let hard = |place| matches!(place, Place::Behind(mapping, _) if mapping != EndpointIndependent);
    // Needs to know the port of the other side before it lets anything in from there.
    let strict = |place| hard(place) || matches!(place, Place::Behind(_, AddressAndPortDependent));
    let [a, b] = places;
    !(hard(a) && strict(b) || hard(b) && strict(a))
}

#[test]
fn sessions_are_direct_wherever_the_nats_allow_it_and_relayed_elsewhere() {
    let eim_adf = Place::Behind(Dependence::EndpointIndependent, Dependence::AddressDependent);
    let adm_adf = Place::Behind(Dependence::AddressDependent, Dependence::AddressDependent);
    let kinds = [Place::Open, EIM_EIF, eim_adf, EIM_APDF, adm_adf, APDM_APDF];
    for a in kinds {
        for b in kinds {
            let mut world = World::connected(Setup::new([a, b]));
            let relayed = world.selected_types().map(|pair| pair.contains(&CandidateType::Relayed));
            assert_eq!(relayed, [!direct_is_possible([a, b]); 2], "{a:?} and {b:?}");
            world.assert_carries_data();
            world.assert_same_pair();
        }
    }
}

#[test]
fn with_relay_only_both_sides_use_the_relay_and_nothing_else_is_sent() {
    let mut world = World::connected(Setup { policy: Policy::RelayOnly, ..Setup::new([Place::Open; 2]) });
    assert_eq!(world.selected_types(), [[CandidateType::Relayed; 2]; 2]);
    world.assert_carries_data();
    let server = ip("192.0.2.1");
    let story = world.network.trace().story();
    assert!(story.iter().all(|entry| entry.from.ip() == server || entry.to.ip() == server));
}

#[test]
fn equal_seeds_give_equal_traces_and_others_others() {
    let run = |seed| {
        let setup = Setup { seed, loss: Probability::percent(10), ..Setup::new([EIM_APDF, APDM_APDF]) };
        let mut world = World::start(setup);
        world.network.run_for(ms(20_000));
        (world.network.trace().hash(), world.network.trace().sent(), world.network.trace().lost())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn lost_datagrams_cost_time_and_nothing_else() {
    for seed in 0..20 {
        let setup = Setup { seed, loss: Probability::percent(15), ..Setup::new([EIM_EIF, EIM_APDF]) };
        let mut world = World::connected(setup);
        let session = world.session;
        let carried = (0..40)
            .any(|_| session.carries_data(&mut world.network, STREAM, COMPONENT, ms(100)) == [true, true]);
        assert!(carried, "seed {seed}");
        world.assert_same_pair();
    }
}

#[test]
fn closing_gives_everything_back() {
    let mut world = World::connected(Setup::new([EIM_EIF, APDM_APDF]));
    let Session { a, b, .. } = world.session;
    for id in [a, b] {
        world.network.command(id, |now, agent| agent.close(now));
    }
    world.network.run_for(ms(4_000));
    for id in [a, b] {
        assert!(world.network.agent(id).unwrap().is_closed());
        assert!(matches!(world.network.take_events(id).last(), Some((_, Event::Closed))));
        assert_eq!(world.network.open_sockets(id.host()), 0);
    }
    assert_eq!(world.network.server(world.server).unwrap().allocations(), 0);
    let ended = world.network.run_until(|_| false, world.network.now().after(ms(10_000_000)));
    assert_eq!(ended, Ended::Idle, "nothing goes on after the end");
}

#[test]
fn consent_keeps_a_quiet_session_alive_and_ends_a_dead_one() {
    let mut world = World::connected(Setup::new([Place::Open; 2]));
    world.network.run_for(ms(120_000));
    world.assert_carries_data();
    let Session { a, b, .. } = world.session;
    world.network.command(b, |now, agent| agent.close(now));
    world.network.run_for(ms(40_000));
    let lost = world.network.events(a).any(|(_, event)| matches!(event, Event::ConsentLost { .. }));
    assert!(lost, "consent of a peer that is gone ends within 30 s");
    assert!(world.network.send(a, STREAM, COMPONENT, b"\x80").is_err());
}

#[test]
fn a_dead_server_does_not_keep_two_open_hosts_apart() {
    let mut world = World::new(Setup::new([Place::Open; 2]));
    let faults = crate::server::Faults::always(crate::server::FaultKind::Silence);
    world.network.server_mut(world.server).unwrap().set_faults(faults);
    world.session.start(&mut world.network);
    assert_eq!(world.run_until_completed(), Ended::Met);
    assert_eq!(world.selected_types(), [[CandidateType::Host; 2]; 2]);
}

#[test]
fn a_server_is_found_by_its_name() {
    let mut world = World::new(Setup { servers: false, ..Setup::new([EIM_EIF, Place::Open]) });
    world.network.add_name("turn.example", vec![ip("192.0.2.1")], ms(30));
    let host = world.session.a.host();
    let mut config = AgentConfig::new([9; 32], Role::Controlling);
    config.gathering.servers = vec![turn_server("turn:turn.example"), turn_server("turn:nowhere.example")];
    let asking = world.network.add_agent(host, config).unwrap();
    world.network.gather(asking);
    world.network.run_for(ms(10_000));
    assert!(world.candidate_types(asking).contains(&CandidateType::Relayed));
    let failed = |(_, event): &(Instant, Event)| matches!(event, Event::ServerFailed { server: 1, .. });
    assert!(world.network.events(asking).any(failed), "the name that has no address is reported");
    assert_eq!(world.network.agent(asking).unwrap().state(), State::New);
}
