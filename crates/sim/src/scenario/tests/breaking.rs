//! Each invariant is broken on purpose, and the breach is seen.

use floe_agent::{AgentConfig, Event, State, Transmit, TransmitKind};
use floe_check::PairState;
use floe_pair::{ComponentId, Place, Role, SocketId, StreamId};
use floe_stun::{Class, MessageWriter, Method, TransactionId};

use super::{
    super::{build::World, run::Run},
    *,
};
use crate::{
    invariants::{Breach, Invariant, Table, View, Violation, Watch},
    net::{AgentId, Session},
};

/// The violation a run ends with.
#[track_caller]
pub(super) fn violation(scenario: &Scenario) -> Violation {
    match scenario.run(1).expect_err("nothing was seen").cause {
        Cause::Violation(violation) => violation,
        Cause::Build(error) => panic!("{error}"),
    }
}

/// Runs until both are concluded, lets `spoil` do something, and goes on to the end.
#[track_caller]
pub(super) fn spoiled(scenario: &Scenario, spoil: impl FnOnce(&mut Run<'_>)) -> Violation {
    spoiled_agents(scenario, |_, _| {}, spoil)
}

#[track_caller]
pub(super) fn spoiled_agents(
    scenario: &Scenario,
    adjust: impl FnMut(usize, &mut AgentConfig),
    spoil: impl FnOnce(&mut Run<'_>),
) -> Violation {
    let mut run = Run::new(scenario, 2, World::new(scenario, 2, adjust).unwrap());
    if run.until_concluded().is_some() {
        spoil(&mut run);
        assert!(run.until_rest().is_none() || run.judge().is_none(), "nothing was seen");
    }
    run.violation().expect("a violation")
}

pub(super) fn watch<'a>(run: &'a mut Run<'_>) -> &'a mut Watch {
    run.world.network.watch.as_mut().unwrap()
}

fn binding_request(number: u8) -> Vec<u8> {
    let mut buffer = vec![0; 100];
    let id = TransactionId([number; 12]);
    let writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

/// As if the first side's agent had sent this.
fn sends(run: &mut Run<'_>, bytes: &[u8], after: Duration) {
    let (now, agent) = (run.world.network.now().after(after), run.world.agents[0]);
    let place = Place { socket: SocketId(0), local_ip: "192.0.2.77".parse().unwrap() };
    let transmit = Transmit {
        from: place,
        to: "192.0.2.99:9".parse().unwrap(),
        len: bytes.len(),
        dscp: floe_agent::Dscp::default(),
        ecn: floe_agent::Ecn::NotCapable,
        kind: TransmitKind::Check,
    };
    watch(run).on_transmit(now, agent, &transmit, bytes);
}

#[test]
fn invariant_1_sees_sessions_that_do_not_connect_or_not_directly_or_never_end() {
    let mut blocked = Scenario::between(NatKind::UdpBlocked, NatKind::None);
    blocked.expect.connect = true;
    let seen = violation(&blocked);
    assert_eq!(seen.invariant, Invariant::Concludes);
    assert!(matches!(seen.breach, Breach::NotConnected(_)));

    let mut relayed = Scenario::between(NatKind::ApdmApdf, NatKind::ApdmApdf);
    relayed.expect.direct = true;
    assert_eq!(violation(&relayed).breach, Breach::NotDirect);

    let mut short = open();
    short.limit = Duration::from_millis(60);
    assert!(matches!(violation(&short).breach, Breach::NotConcluded(_)));
}

#[test]
fn invariant_1_excuses_only_what_was_lost() {
    let mut scenario = Scenario::between(NatKind::EimApdf, NatKind::EimApdf);
    scenario.weather.loss = Probability::ALWAYS;
    let outcome = passes(&scenario, 1);
    assert!(!outcome.connected && outcome.excuse.is_some());
    // A gate that swallows everything is no loss.
    scenario.weather.loss = Probability::NEVER;
    scenario.gates[1].kind = GateKind::UdpBlocked;
    assert!(matches!(violation(&scenario).breach, Breach::NotConnected(_)));
}

#[test]
fn invariant_1_takes_only_tries_that_gates_let_pass_for_lost_ones() {
    // No try can pass these gates: whatever is lost, a session that was to be direct has no excuse for its checks.
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::ApdmApdf);
    scenario.expect.direct = true;
    scenario.weather.loss = Probability::percent(15);
    let mut seen = 0;
    for seed in 0..12 {
        match scenario.run(seed) {
            Ok(outcome) => assert!(!matches!(outcome.excuse, Some(Excuse::Checks(_))), "{seed}: {outcome:?}"),
            Err(failure) => {
                assert!(
                    matches!(&failure.cause, Cause::Violation(found) if found.breach == Breach::NotDirect),
                    "{failure}"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 6, "{seen}");
}

#[test]
fn invariant_1_excuses_a_relay_when_every_try_was_lost() {
    // Cells in which one side has to try again after the other has opened the way, at 30 %.
    let cases = (18..60_000).step_by(49).filter(|seed| seed / 49 % 7 == 6).map(crate::sweep::Case::of);
    let excused = cases.filter(crate::sweep::Case::has_relay).any(|case| {
        case.scenario.run(case.seed).is_ok_and(|outcome| {
            outcome.connected && !outcome.direct && matches!(outcome.excuse, Some(Excuse::Checks(_)))
        })
    });
    assert!(excused);
}

#[test]
fn invariant_2_sees_other_pairs_equal_roles_and_data_that_does_not_arrive() {
    let scenario = Scenario::between(NatKind::EimApdf, NatKind::EimApdf);
    let same = spoiled(&scenario, |run| {
        let [a, _] = run.world.agents;
        run.world.agents = [a, a];
    });
    assert!(matches!(same.breach, Breach::SameRole(Role::Controlling)), "{same}");

    // The first side of one session and the second of another.
    let other = spoiled(&scenario, |run| {
        let hosts = run.world.agents.map(AgentId::host);
        let [c, d] = [(hosts[0], Role::Controlling), (hosts[1], Role::Controlled)].map(|(host, role)| {
            let config = AgentConfig::new(run.world.network.draw_seed(), role);
            run.world.network.add_agent(host, config).unwrap()
        });
        let session = Session::new(&mut run.world.network, c, d, Duration::ZERO);
        session.start(&mut run.world.network);
        run.world.agents[1] = d;
    });
    assert_eq!(other.invariant, Invariant::Agree);
    assert!(matches!(other.breach, Breach::DifferentPairs { .. }), "{other}");

    let silent = spoiled(&scenario, |run| {
        run.until_rest().unwrap();
        for gate in [0, 1] {
            run.world.apply(Happening::Rebind { gate });
        }
    });
    assert!(matches!(silent.breach, Breach::NoData { arrived: [false, false], .. }), "{silent}");
}

#[test]
fn invariant_3_sees_transactions_too_soon_and_requests_too_often() {
    let gap = spoiled(&open(), |run| {
        sends(run, &binding_request(1), Duration::from_millis(100));
        sends(run, &binding_request(2), Duration::from_millis(104));
    });
    assert_eq!(gap.invariant, Invariant::Paced);
    let (gap, ta) = (Duration::from_millis(4), Duration::from_millis(5));
    assert_eq!(spoiled_breach(&[100, 104]), Breach::TooSoon { gap, ta });

    let early = spoiled(&open(), |run| {
        for after in [100, 600, 1_599] {
            sends(run, &binding_request(1), Duration::from_millis(after));
        }
    });
    assert!(matches!(early.breach, Breach::Retransmission { sent: 3, .. }), "{early}");

    let often = spoiled(&open(), |run| {
        for number in 0..8 {
            sends(run, &binding_request(1), Duration::from_millis(500 << number));
        }
    });
    assert!(matches!(often.breach, Breach::Retransmission { sent: 8, .. }), "{often}");
}

fn spoiled_breach(times: &[u64]) -> Breach {
    spoiled(&open(), |run| {
        for (number, after) in (1..).zip(times) {
            sends(run, &binding_request(number), Duration::from_millis(*after));
        }
    })
    .breach
}

#[test]
fn invariant_4_sees_data_without_consent() {
    // Past the agent, to somebody who never said anything.
    let stranger = spoiled(&open(), |run| {
        let (now, agent) = (run.world.network.now(), run.world.agents[0]);
        let place = Place { socket: SocketId(0), local_ip: "198.51.100.3".parse().unwrap() };
        watch(run).on_data(now, agent, place, "192.0.2.99:9".parse().unwrap(), b"\x80");
    });
    assert!(matches!(stranger.breach, Breach::Unproved { proved: None, .. }), "{stranger}");

    // By an agent that asks for no consent, to a peer that is gone.
    let ghost = spoiled_agents(
        &open(),
        |_, config| config.checks.consent = None,
        |run| {
            let [a, b] = run.world.agents;
            run.world.network.command(b, |now, agent| agent.close(now));
            run.world.network.run_for(Duration::from_secs(31));
            run.world.network.send(a, StreamId(0), ComponentId::RTP, b"\x80 still there?").unwrap();
        },
    );
    assert_eq!(ghost.invariant, Invariant::Consented);
    assert!(matches!(ghost.breach, Breach::Unproved { proved: Some(_), .. }), "{ghost}");
}

fn refreeze(views: &mut [View]) {
    if let Some(view) = views.first_mut().filter(|view| view.state == PairState::Succeeded) {
        view.state = PairState::Frozen;
    }
}

fn unprove(views: &mut [View]) {
    views.iter_mut().filter(|view| view.selected).for_each(|view| view.valid = false);
}

#[test]
fn invariant_5_sees_moves_that_no_arrow_allows() {
    let tampered = |tamper: fn(&mut [View])| spoiled(&open(), |run| watch(run).tamper = Some(tamper));
    let frozen = tampered(refreeze);
    assert_eq!(frozen.invariant, Invariant::LegalMoves);
    assert!(matches!(
        frozen.breach,
        Breach::PairMove { from: Some(PairState::Succeeded), to: PairState::Frozen, .. }
    ));
    assert!(matches!(tampered(unprove).breach, Breach::SelectedInvalid(_)));

    let back = spoiled(&open(), |run| {
        let (now, agent) = (run.world.network.now(), run.world.agents[0]);
        watch(run).on_event(now, agent, &Event::State(State::New));
    });
    assert_eq!(back.breach, Breach::StateMove { from: State::Completed, to: State::New });
}

#[test]
fn invariant_6_sees_more_pairs_than_allowed() {
    let mut scenario = open();
    for side in &mut scenario.sides {
        side.interfaces = vec![Interface::new(None); 12];
    }
    // 144 pairs, and agents that were told to take them all.
    let many = spoiled_agents(&scenario, |_, config| config.checks.pair_limit = 200, |_| {});
    assert_eq!(many.invariant, Invariant::Bounded);
    assert!(matches!(many.breach, Breach::TooMany { table: Table::Pairs, most: 100, .. }), "{many}");
}

#[test]
fn invariant_7_sees_a_run_that_is_another_the_second_time() {
    let scenario = open();
    let hashes = [1, 2].map(|seed| passes(&scenario, seed).hash);
    let failure = super::super::run::same_trace(&scenario, 1, hashes).unwrap_err();
    let Cause::Violation(seen) = failure.cause else { panic!("{failure}") };
    assert_eq!((seen.invariant, seen.breach), (Invariant::Repeatable, Breach::OtherTrace(hashes)));
}

#[test]
fn invariant_8_sees_a_failure_before_its_time() {
    // One has IPv4 only, the other IPv6 only: there is nothing to try, and all the time to wait.
    let mut scenario = open();
    scenario.sides[1].interfaces[0].ipv6 = true;
    scenario.expect = Expect { connect: false, direct: false };
    assert!(!passes(&scenario, 1).connected);
    let hasty =
        spoiled_agents(&scenario, |_, config| config.checks.patience = Duration::from_secs(5), |_| {});
    assert_eq!(hasty.invariant, Invariant::Patient);
    assert!(
        matches!(hasty.breach, Breach::FailedEarly(Some(after)) if after < Duration::from_secs(40)),
        "{hasty}"
    );
}

fn freeze_all(views: &mut [View]) {
    views
        .iter_mut()
        .filter(|view| view.state != PairState::Succeeded)
        .for_each(|view| view.state = PairState::Frozen);
}

#[test]
fn invariant_9_sees_pairs_that_are_frozen_for_ever() {
    let scenario = Scenario::between(NatKind::UdpBlocked, NatKind::None);
    let mut run = Run::new(&scenario, 2, World::new(&scenario, 2, |_, _| {}).unwrap());
    watch(&mut run).tamper = Some(freeze_all);
    assert!(run.until_concluded().is_none());
    let seen = run.violation().unwrap();
    assert_eq!(seen.invariant, Invariant::NoDeadlock, "{seen}");
    assert!(matches!(seen.breach, Breach::Deadlock(_)));
}

#[test]
fn invariant_10_sees_what_is_left_behind() {
    let sockets = spoiled(&open(), |run| {
        let host = run.world.agents[1].host();
        run.world.network.open_bare(host, "198.51.100.4".parse().unwrap()).unwrap();
    });
    assert_eq!((sockets.side, sockets.breach), (Some(1), Breach::SocketsLeft(1)));

    // Somebody else's allocation, which nobody closes.
    let scenario = Scenario::between(NatKind::None, NatKind::None);
    let allocation = spoiled(&scenario, |run| {
        let ip = "198.51.100.200".parse().unwrap();
        let address = crate::net::HostAddress::new(crate::net::RealmId::PUBLIC, ip, Link::default());
        let host = run.world.network.add_host(&[address]).unwrap();
        let config = super::super::build::agent_config(&scenario, &scenario.sides[0], [9; 32]);
        let third = run.world.network.add_agent(host, config).unwrap();
        run.world.network.gather(third);
    });
    assert_eq!((allocation.invariant, allocation.breach), (Invariant::Frees, Breach::AllocationsLeft(1)));
}

#[test]
fn a_violation_is_told_with_scenario_and_seed() {
    let mut blocked = Scenario::between(NatKind::UdpBlocked, NatKind::None);
    blocked.expect.connect = true;
    let failure = blocked.run(77).unwrap_err();
    assert_eq!((failure.seed, &failure.scenario), (77, &blocked));
    let text = failure.to_string();
    for part in ["invariant 1", "seed 77", "UdpBlocked"] {
        assert!(text.contains(part), "{text}");
    }
}
