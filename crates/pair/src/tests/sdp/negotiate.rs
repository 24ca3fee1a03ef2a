use core::time::Duration;

use super::{SECTION, lite, parameters, section};
use crate::sdp::{
    Side, agreed_pacing, answer_options, initial_role, is_agreed, role_after_offer, role_after_restart,
};
use crate::{IceOptions, Parameters, Role};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];

#[test]
fn rfc8839_4_2_3_roles_by_side_and_implementation() {
    let (full, lite) = (parameters("ice2"), lite("ice2"));
    for (ours, theirs, as_offerer, as_answerer) in [
        (&full, &full, Role::Controlling, Role::Controlled),
        (&full, &lite, Role::Controlling, Role::Controlling),
        (&lite, &full, Role::Controlled, Role::Controlled),
        (&lite, &lite, Role::Controlling, Role::Controlled),
    ] {
        assert_eq!(initial_role(Side::Offerer, ours, theirs), as_offerer);
        assert_eq!(initial_role(Side::Answerer, ours, theirs), as_answerer);
        assert_ne!(initial_role(Side::Offerer, ours, theirs), initial_role(Side::Answerer, theirs, ours));
    }
}

#[test]
fn rfc8445_6_1_1_a_restart_keeps_the_roles_unless_full_and_lite_meet() {
    let (full, lite) = (parameters("ice2"), lite("ice2"));
    for role in ROLES {
        assert_eq!(role_after_restart(role, &full, &full), role);
        assert_eq!(role_after_restart(role, &lite, &lite), role);
        assert_eq!(role_after_restart(role, &lite, &full), Role::Controlled);
        assert_eq!(role_after_restart(role, &full, &lite), Role::Controlling);
    }
}

#[test]
fn rfc8839_4_4_2_2_of_two_lite_agents_the_first_offer_wins() {
    let (full, lite) = (parameters("ice2"), lite("ice2"));
    let plain = section(SECTION);
    let concluded = section(&std::format!("{SECTION}a=remote-candidates:1 192.0.2.1 5\r\n"));
    for role in ROLES {
        assert_eq!(role_after_offer(role, &lite, &concluded), Role::Controlled);
        assert_eq!(role_after_offer(role, &lite, &plain), role);
        assert_eq!(role_after_offer(role, &full, &concluded), role, "checks settle it");
    }
}

#[test]
fn rfc8839_4_3_2_an_answer_has_ice2_and_what_was_offered() {
    let options = |text: &str| text.parse::<IceOptions>().expect("tags");
    let answer = |offer: &str, ours: &str| {
        let answered = answer_options(&options(offer), &options(ours));
        std::string::String::from(answered.as_str())
    };
    assert_eq!(answer("", ""), "ice2");
    assert_eq!(
        answer("ice2 trickle renomination2", "ice2 trickle renomination2"),
        "ice2 trickle renomination2"
    );
    assert_eq!(answer("ice2", "ice2 trickle renomination2"), "ice2 trickle", "trickle is told always");
    assert_eq!(answer("renomination2 x", "renomination2"), "ice2 renomination2");
    assert_eq!(answer("ice2 trickle", "ice2"), "ice2", "only what is ours");
    let full = "a".repeat(IceOptions::MAX_LENGTH);
    assert_eq!(answer(&full, &full), "ice2", "no room for another");
}

#[test]
fn rfc8839_5_6_an_extension_is_used_where_both_have_it() {
    let (with, without) = (parameters("ice2 renomination2"), parameters("ice2"));
    assert!(is_agreed(IceOptions::RENOMINATION2, &with, &with));
    assert!(!is_agreed(IceOptions::RENOMINATION2, &with, &without));
    assert!(!is_agreed(IceOptions::RENOMINATION2, &without, &with));
}

#[test]
fn rfc8839_5_5_the_larger_pacing_counts_and_none_is_50_ms() {
    let pacing = |ms: Option<u64>| Parameters { pacing: ms.map(Duration::from_millis), ..parameters("ice2") };
    for (ours, theirs, expected) in [
        (None, None, 50),
        (Some(5), None, 50),
        (Some(5), Some(20), 20),
        (Some(100), None, 100),
        (Some(20), Some(5), 20),
    ] {
        assert_eq!(agreed_pacing(&pacing(ours), &pacing(theirs)), Duration::from_millis(expected));
    }
}
