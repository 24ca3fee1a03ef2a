//! Networks other than two NATs in a row.

use floe_pair::CandidateType;

use super::*;

fn six(gate: Option<usize>) -> Interface {
    Interface { ipv6: true, ..Interface::new(gate) }
}

fn gate(kind: GateKind) -> Gate {
    Gate { outer: None, beside: None, kind }
}

#[test]
fn two_stacks_are_better_than_one() {
    // A home with a NAT for IPv4 and a firewall for IPv6 beside it.
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::ApdmApdf);
    for (index, side) in [0, 1].into_iter().zip(&mut scenario.sides) {
        side.interfaces.push(six(Some(2 + index)));
    }
    for beside in [0, 1] {
        let kind = GateKind::Firewall { filtering: APD, icmp: true };
        scenario.gates.push(Gate { outer: None, beside: Some(beside), kind });
    }
    scenario.expect.direct = true;
    let outcome = passes(&scenario, 1);
    assert!(outcome.direct, "IPv6 needs no relay: {outcome:?}");
    assert_eq!(outcome.types, [[CandidateType::Host; 2]]);
}

#[test]
fn firewalls_open_when_both_send() {
    let mut scenario = open();
    for filtering in [EIM, Dependence::AddressDependent, APD] {
        scenario.gates = vec![gate(GateKind::Firewall { filtering, icmp: false }); 2];
        for ipv6 in [false, true] {
            for (index, side) in [0, 1].into_iter().zip(&mut scenario.sides) {
                side.interfaces = vec![Interface { ipv6, ..Interface::new(Some(index)) }];
            }
            assert!(passes(&scenario, 1).direct);
        }
    }
}

#[test]
fn translated_prefixes_and_an_ipv6_host() {
    let mut scenario = Scenario::between(NatKind::None, NatKind::None);
    scenario.gates = vec![gate(GateKind::Prefix)];
    scenario.sides[0].interfaces = vec![six(Some(0))];
    scenario.sides[1].interfaces = vec![six(None)];
    let outcome = passes(&scenario, 1);
    assert!(outcome.direct);
}

#[test]
fn carriers_before_homes() {
    for (carrier, direct) in [(GateKind::nat(EIM, APD), true), (GateKind::nat(APD, APD), false)] {
        let mut scenario = Scenario::between(NatKind::EimEif, NatKind::EimApdf);
        scenario.gates.insert(0, gate(carrier));
        (scenario.gates[1].outer, scenario.sides[0].interfaces[0].gate) = (Some(0), Some(1));
        scenario.sides[1].interfaces[0].gate = Some(2);
        scenario.expect = Expect { connect: true, direct };
        assert_eq!(passes(&scenario, 1).direct, direct);
    }
}

#[test]
fn p12_behind_one_nat_on_one_lan_the_host_pair_wins() {
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::None);
    scenario.sides[1].interfaces[0].gate = Some(0);
    scenario.expect = Expect { connect: true, direct: true };
    assert_eq!(passes(&scenario, 1).types, [[CandidateType::Host; 2]]);
}

#[test]
fn p12_behind_one_carrier_hairpinning_decides() {
    for hairpinning in [true, false] {
        let GateKind::Nat { mapping, filtering, ports, lifetime, refresh, .. } = GateKind::nat(EIM, EIM)
        else {
            panic!()
        };
        let kind = GateKind::Nat { mapping, filtering, ports, hairpinning, lifetime, refresh };
        let mut scenario = Scenario::between(NatKind::EimEif, NatKind::EimEif);
        scenario.gates = vec![gate(kind), gate(GateKind::nat(EIM, EIM)), gate(GateKind::nat(EIM, EIM))];
        for (index, side) in [1, 2].into_iter().zip(&mut scenario.sides) {
            side.interfaces[0].gate = Some(index);
        }
        scenario.gates[1].outer = Some(0);
        scenario.gates[2].outer = Some(0);
        scenario.expect = Expect { connect: true, direct: hairpinning };
        assert_eq!(passes(&scenario, 1).direct, hairpinning);
    }
}

#[test]
fn many_streams_and_components() {
    let mut scenario = Scenario::between(NatKind::EimEif, NatKind::EimApdf);
    (scenario.streams, scenario.components) = (3, 2);
    let outcome = passes(&scenario, 1);
    assert_eq!(outcome.types.len(), 6);
    assert!(outcome.direct);
}

#[test]
fn more_components_than_limits_are_made_for() {
    // Without a relay for each component, and a pair, some would fail.
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::ApdmApdf);
    scenario.sides.iter_mut().for_each(|side| side.relay_only = true);
    (scenario.streams, scenario.components) = (3, 10);
    scenario.expect.direct = false;
    assert_eq!(passes(&scenario, 1).types, vec![[CandidateType::Relayed; 2]; 30]);
}

#[test]
fn slow_and_narrow_links_are_enough() {
    let mut scenario = open();
    for side in &mut scenario.sides {
        let way = Way { rate: core::num::NonZeroU32::new(4_000), mtu: Some(576), ..Way::default() };
        side.interfaces[0].link = Link { up: way, down: way };
    }
    assert!(passes(&scenario, 1).direct);
}

#[test]
fn relay_only_sessions_use_relays_only() {
    let mut scenario = Scenario::between(NatKind::None, NatKind::None);
    scenario.sides.iter_mut().for_each(|side| side.relay_only = true);
    scenario.expect.direct = false;
    assert_eq!(passes(&scenario, 1).types, [[CandidateType::Relayed; 2]]);
}

#[test]
fn p11_equal_roles_settle() {
    for role in [Role::Controlling, Role::Controlled] {
        for seed in 0..30 {
            let mut scenario = Scenario::between(NatKind::EimEif, NatKind::EimApdf);
            scenario.sides.iter_mut().for_each(|side| side.role = role);
            scenario.components = 2;
            assert!(passes(&scenario, seed).direct);
        }
    }
}

#[test]
fn a_nat_that_forgets_ends_a_session_that_nobody_restarts() {
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::None);
    (scenario.sides[0].turn, scenario.sides[1].turn) = (Vec::new(), Vec::new());
    scenario.changes = vec![Change { at: Duration::from_secs(2), event: Happening::Rebind { gate: 0 } }];
    // It is connected before; whether it can go on is not the network's to say.
    scenario.expect = Expect { connect: false, direct: false };
    passes(&scenario, 1);
}
