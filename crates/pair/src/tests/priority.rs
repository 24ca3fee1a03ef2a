use proptest::prelude::*;

use super::{ALL_TRANSPORTS, any_candidate, any_kind, any_transport};
use crate::{
    CandidateType, ComponentId, LocalPreference, PairPriority, Priority, Role, TcpType, Transport,
    TypePreference,
};

fn component(id: u16) -> ComponentId {
    ComponentId::new(id).expect("1 to 256")
}

#[test]
fn components_are_1_to_256() {
    assert_eq!(ComponentId::new(0), None);
    assert_eq!(ComponentId::new(257), None);
    assert_eq!((ComponentId::RTP.get(), ComponentId::RTCP.get(), component(256).get()), (1, 2, 256));
}

#[test]
fn ice_07_priorities_are_1_to_2_31_less_1() {
    assert_eq!(Priority::new(0), None);
    assert_eq!(Priority::new(1), Some(Priority::MIN));
    assert_eq!(Priority::new((1 << 31) - 1).map(Priority::get), Some((1 << 31) - 1));
    assert_eq!(Priority::new(1 << 31), None);
    assert_eq!(Priority::new(u32::MAX), None);
}

#[test]
fn ice_07_the_recommended_formula() {
    use CandidateType::{Host, PeerReflexive, Relayed, ServerReflexive};
    #[track_caller]
    fn is(kind: CandidateType, local: u16, id: u16, expected: u32) {
        let preference = kind.type_preference(Transport::Udp);
        assert_eq!(Priority::compute(preference, LocalPreference::new(local), component(id)).get(), expected);
    }
    is(Host, 65535, 1, 2_130_706_431);
    is(Host, 65535, 2, 2_130_706_430);
    is(PeerReflexive, 65535, 1, 1_862_270_975);
    is(ServerReflexive, 65535, 1, 1_694_498_815);
    is(Relayed, 65535, 1, 16_777_215);
    is(Host, 0, 256, 126 << 24);
    // The only combination that the formula turns into no priority at all.
    is(Relayed, 0, 256, 1);
}

#[test]
fn type_preferences_are_0_to_126_and_differ_by_type() {
    assert_eq!(TypePreference::new(127), None);
    assert_eq!(TypePreference::new(126).map(TypePreference::get), Some(126));
    for transport in ALL_TRANSPORTS {
        let of = |kind: CandidateType| kind.type_preference(transport);
        let all = CandidateType::ALL.map(of);
        assert!(all.is_sorted_by(|a, b| a > b), "best first, none twice: {all:?}");
        assert!(of(CandidateType::PeerReflexive) > of(CandidateType::ServerReflexive));
    }
}

#[test]
fn tcp_01_direction_is_6_4_2_by_type_and_kind() {
    use TcpType::{Active, Passive, SimultaneousOpen};
    #[track_caller]
    fn is(kind: CandidateType, tcp_type: TcpType, direction: u16) {
        let preference = |other| LocalPreference::directed(kind, Transport::Tcp(tcp_type), other).get();
        assert_eq!(preference(0), direction * 8192);
        assert_eq!(preference(8191), direction * 8192 + 8191);
        assert_eq!(preference(u16::MAX), direction * 8192 + 8191);
    }
    for kind in [CandidateType::Host, CandidateType::Relayed] {
        is(kind, Active, 6);
        is(kind, Passive, 4);
        is(kind, SimultaneousOpen, 2);
    }
    for kind in [CandidateType::ServerReflexive, CandidateType::PeerReflexive] {
        is(kind, SimultaneousOpen, 6);
        is(kind, Active, 4);
        is(kind, Passive, 2);
    }
    assert_eq!(LocalPreference::directed(CandidateType::Host, Transport::Udp, 8191), LocalPreference::MAX);
}

#[test]
fn tcp_01_tcp_is_below_udp_of_its_type_and_direct_tcp_above_relays() {
    for kind in CandidateType::ALL {
        for transport in &ALL_TRANSPORTS[1..] {
            let best = |transport| {
                let local = LocalPreference::directed(kind, transport, 8191);
                Priority::compute(kind.type_preference(transport), local, ComponentId::RTP)
            };
            let worst_udp = Priority::compute(
                kind.type_preference(Transport::Udp),
                LocalPreference::directed(kind, Transport::Udp, 0),
                component(256),
            );
            assert!(best(*transport) < worst_udp, "{kind} {transport:?}");
            if kind != CandidateType::Relayed {
                let udp = |kind: CandidateType| kind.type_preference(Transport::Udp);
                let between = udp(CandidateType::Relayed)..udp(CandidateType::ServerReflexive);
                let found = kind.type_preference(*transport);
                assert!(between.contains(&found) && found > between.start, "{kind} {transport:?}");
            }
        }
    }
}

#[test]
fn rfc8445_6_1_2_3_pair_priority_by_role() {
    let (low, high) = (Priority::new(100).unwrap(), Priority::new(200).unwrap());
    let pair = |role, local, remote| PairPriority::new(role, local, remote).get();
    assert_eq!(pair(Role::Controlling, high, low), (100 << 32) + 400 + 1);
    assert_eq!(pair(Role::Controlled, high, low), (100 << 32) + 400);
    assert_eq!(pair(Role::Controlling, low, high), (100 << 32) + 400);
    assert_eq!(pair(Role::Controlled, low, high), (100 << 32) + 400 + 1);
    assert_eq!(pair(Role::Controlled, low, low), (100 << 32) + 200);
    let most = Priority::new((1 << 31) - 1).unwrap();
    assert_eq!(pair(Role::Controlling, most, most), (((1 << 31) - 1) << 32) + ((1 << 32) - 2));
}

#[test]
fn roles_are_opposite() {
    assert_eq!(Role::Controlling.opposite(), Role::Controlled);
    assert_eq!(Role::Controlled.opposite(), Role::Controlling);
}

proptest! {
    #[test]
    fn both_agents_order_their_pairs_alike(
        ours in any_candidate(), theirs in any_candidate(), ours_2 in any_candidate(), theirs_2 in any_candidate()
    ) {
        let here = |role, a: &crate::Candidate, b: &crate::Candidate| PairPriority::new(role, a.priority, b.priority);
        let first = here(Role::Controlling, &ours, &theirs);
        let second = here(Role::Controlling, &ours_2, &theirs_2);
        prop_assert_eq!(first, here(Role::Controlled, &theirs, &ours));
        let there = (here(Role::Controlled, &theirs, &ours), here(Role::Controlled, &theirs_2, &ours_2));
        prop_assert_eq!(first.cmp(&second), there.0.cmp(&there.1));
    }

    #[test]
    fn pair_priority_is_the_formula(g in 1_u32..1 << 31, d in 1_u32..1 << 31) {
        let pair = PairPriority::new(Role::Controlling, Priority::new(g).unwrap(), Priority::new(d).unwrap());
        let expected = (1_u128 << 32) * u128::from(g.min(d)) + 2 * u128::from(g.max(d)) + u128::from(g > d);
        prop_assert_eq!(u128::from(pair.get()), expected);
    }

    #[test]
    fn priority_is_the_formula_and_in_range(
        kind in any_kind(), transport in any_transport(), local: u16, id in 1_u16..=256
    ) {
        let preference = kind.type_preference(transport);
        let priority = Priority::compute(preference, LocalPreference::new(local), component(id)).get();
        let formula = (1 << 24) * u32::from(preference.get()) + (1 << 8) * u32::from(local) + 256 - u32::from(id);
        prop_assert_eq!(priority, formula.max(1));
        prop_assert!(Priority::new(priority).is_some());
    }

    #[test]
    fn ice_16_a_check_carries_the_priority_of_a_peer_reflexive_candidate(
        kind in any_kind(), transport in any_transport(), other in 0_u16..8192, id in 1_u16..=256
    ) {
        let local = LocalPreference::directed(kind, transport, other);
        let priority = Priority::compute(kind.type_preference(transport), local, component(id));
        let candidate = crate::Candidate { kind, transport, priority, ..super::host(transport, "192.0.2.1:9") };
        let learned = CandidateType::PeerReflexive.type_preference(transport);
        prop_assert_eq!(candidate.peer_reflexive_priority(), Priority::compute(learned, local, component(id)));
    }
}
