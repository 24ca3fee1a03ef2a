use std::format;
use std::string::String;

use super::{HOST, OTHER_PWD, PWD, REFLEXIVE, SECTION, UFRAG, sdp};
use crate::sdp::{
    CredentialChange, SubsequentFault, check_offer_after, check_own_subsequent, check_subsequent,
    credential_change, is_restart,
};

fn with(ufrag: &str, pwd: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n")
}

fn of_session(ufrag: &str, pwd: &str) -> String {
    format!("{}{SECTION}{REFLEXIVE}", with(ufrag, pwd))
}

fn of_section(ufrag: &str, pwd: &str) -> String {
    format!("{SECTION}{}{REFLEXIVE}", with(ufrag, pwd))
}

#[test]
fn rfc8839_4_4_1_1_1_a_restart_changes_both_at_whatever_level() {
    let before = of_session(UFRAG, PWD);
    for (after, expected) in [
        (of_session(UFRAG, PWD), CredentialChange::Unchanged),
        (of_section(UFRAG, PWD), CredentialChange::Unchanged),
        (format!("{}{}", with("none", OTHER_PWD), of_section(UFRAG, PWD)), CredentialChange::Unchanged),
        (of_session("new1", OTHER_PWD), CredentialChange::Both),
        (of_section("new1", OTHER_PWD), CredentialChange::Both),
        (of_session("new1", PWD), CredentialChange::UfragOnly),
        (of_section(UFRAG, OTHER_PWD), CredentialChange::PwdOnly),
    ] {
        let (old, new) = (sdp(&before), sdp(&after));
        assert_eq!(credential_change(&old, &new, 0), Some(expected), "{after}");
        assert_eq!(credential_change(&new, &old, 0), Some(expected));
        let (restarts, allowed) = match expected {
            CredentialChange::Unchanged => (false, true),
            CredentialChange::Both => (true, true),
            CredentialChange::UfragOnly => (true, false),
            CredentialChange::PwdOnly => (false, false),
        };
        assert_eq!((is_restart(&old, &new, 0), expected.is_allowed()), (restarts, allowed), "{after}");
        let half = Err(SubsequentFault::HalfRestart { section: 0 });
        assert_eq!(check_own_subsequent(&old, &new), if allowed { Ok(()) } else { half });
        assert_eq!(check_subsequent(&old, &new), if allowed || restarts { Ok(()) } else { half });
    }
    let none = sdp(SECTION);
    assert_eq!(credential_change(&sdp(&before), &none, 0), None);
    assert_eq!(credential_change(&sdp(&before), &sdp(&before), 1), None);
    assert!(!is_restart(&sdp(&before), &none, 0));
}

#[test]
fn rfc8839_4_4_1_1_1_hold_of_old_restarts_nothing() {
    let before = of_session(UFRAG, PWD);
    let hold = before.replace("c=IN IP4 192.0.2.3", "c=IN IP4 0.0.0.0");
    assert!(!is_restart(&sdp(&before), &sdp(&hold), 0));
    assert!(sdp(&hold).is_old_hold(0));
}

#[test]
fn rfc8839_4_4_1_1_1_each_section_restarts_alone() {
    let two = |first: &str, second: &str| sdp(&format!("{first}{second}"));
    let before = two(&of_section(UFRAG, PWD), &of_section("9uB6", OTHER_PWD));
    let after = two(&of_section(UFRAG, PWD), &of_section("new1", PWD));
    assert_eq!([is_restart(&before, &after, 0), is_restart(&before, &after, 1)], [false, true]);
}

#[test]
fn rfc8839_4_4_2_1_options_pacing_and_lite_change_with_a_restart_only() {
    let text =
        |session: &str, ufrag: &str, pwd: &str| sdp(&format!("{session}\r\n{}", of_session(ufrag, pwd)));
    for (before, after, expected) in [
        ("a=ice-options:ice2", "a=ice-options:ice2 trickle", Err(SubsequentFault::Options { section: 0 })),
        ("a=ice-options:ice2 trickle", "a=ice-options:trickle", Err(SubsequentFault::Options { section: 0 })),
        ("a=ice-options:ice2 trickle", "a=ice-options:trickle ice2", Ok(())),
        ("a=ice-pacing:20", "a=ice-pacing:30", Err(SubsequentFault::Pacing { section: 0 })),
        ("a=ice-pacing:20", "", Err(SubsequentFault::Pacing { section: 0 })),
        ("a=ice-pacing:50", "", Ok(())),
        ("a=ice-lite", "", Err(SubsequentFault::Lite { section: 0 })),
        ("", "a=ice-lite", Err(SubsequentFault::Lite { section: 0 })),
    ] {
        let old = text(before, UFRAG, PWD);
        assert_eq!(check_subsequent(&old, &text(after, UFRAG, PWD)), expected, "{before} {after}");
        assert_eq!(check_subsequent(&old, &text(after, "new1", OTHER_PWD)), Ok(()), "{before} {after}");
        // A peer that changes its user fragment alone restarts.
        assert_eq!(check_subsequent(&old, &text(after, "new1", PWD)), Ok(()));
    }
}

#[test]
fn rfc8839_4_4_2_1_a_section_that_does_not_restart_holds_the_session() {
    let two = |session: &str, second: &str| {
        sdp(&format!("{session}\r\n{}{}", of_section(UFRAG, PWD), of_section(second, OTHER_PWD)))
    };
    let old = two("a=ice-options:ice2", "9uB6");
    let new = two("a=ice-options:ice2 trickle", "new1");
    assert_eq!(check_subsequent(&old, &new), Err(SubsequentFault::Options { section: 0 }));
    // The first keeps its password and restarts: that hides nothing of the second.
    let first = |ufrag: &str, options: &str| {
        sdp(&format!(
            "a=ice-options:{options}\r\n{}{}",
            of_section(ufrag, PWD),
            of_section("9uB6", OTHER_PWD)
        ))
    };
    let fault = check_subsequent(&first(UFRAG, "ice2"), &first("new1", "ice2 trickle"));
    assert_eq!(fault, Err(SubsequentFault::Options { section: 1 }));
    // A section without ICE, not in use, or new is not looked at.
    let gone = sdp(&format!("a=ice-options:ice2 trickle\r\n{}", SECTION.replace("45664", "0")));
    assert_eq!(
        check_subsequent(&sdp(&format!("a=ice-options:ice2\r\n{}", of_section(UFRAG, PWD))), &gone),
        Ok(())
    );
    let fewer = sdp(&format!("a=ice-options:ice2\r\n{}", of_section(UFRAG, PWD)));
    assert_eq!(check_subsequent(&fewer, &old), Ok(()));
}

#[test]
fn rfc8839_4_4_3_1_after_an_answer_without_ice_the_next_offer_restarts() {
    let before = sdp(&of_session(UFRAG, PWD));
    let fault = Err(SubsequentFault::NoRestart { section: 0 });
    let (same, new) = (sdp(&of_session(UFRAG, PWD)), sdp(&of_session("new1", OTHER_PWD)));
    let answer = sdp(&of_section("9uB6", OTHER_PWD));
    let without = sdp(SECTION);
    assert_eq!(check_offer_after(&before, &without, &same), fault);
    assert_eq!(
        check_offer_after(&before, &without, &sdp(&of_section(UFRAG, PWD))),
        fault,
        "at another level"
    );
    for half in [of_session("new1", PWD), of_session(UFRAG, OTHER_PWD)] {
        assert_eq!(check_offer_after(&before, &without, &sdp(&half)), fault, "both change");
    }
    assert_eq!(check_offer_after(&before, &without, &new), Ok(()));
    assert_eq!(check_offer_after(&before, &without, &without), Ok(()), "the offer has no ICE either");
    assert_eq!(check_offer_after(&before, &answer, &same), Ok(()), "the answer had ICE");
    let refused = sdp(&format!("{}a=ice-mismatch\r\n", of_section("9uB6", OTHER_PWD)));
    assert_eq!(check_offer_after(&before, &refused, &same), Ok(()), "it has ICE, and does not use it");
    let rejected = sdp(&SECTION.replace("45664", "0"));
    assert_eq!(check_offer_after(&before, &rejected, &same), Ok(()), "a section that is not in use");
    assert_eq!(check_offer_after(&before, &without, &rejected), Ok(()), "nor offered again");
    // Each section for itself; one that was not there before is new.
    let two = |first: &str, second: &str| sdp(&format!("{first}{second}"));
    let (mine, theirs) = (of_section(UFRAG, PWD), of_section("9uB6", OTHER_PWD));
    let both = two(&mine, &mine);
    let second = Err(SubsequentFault::NoRestart { section: 1 });
    assert_eq!(check_offer_after(&both, &two(&theirs, SECTION), &both), second);
    let restarted = two(&mine, &of_section("new1", OTHER_PWD));
    assert_eq!(check_offer_after(&both, &two(&theirs, SECTION), &restarted), Ok(()));
    assert_eq!(check_offer_after(&before, &answer, &both), Ok(()));
    assert_eq!(check_offer_after(&before, &two(&theirs, SECTION), &both), Ok(()), "was offered by nobody");
}

#[test]
fn rfc8839_4_4_1_3_a_lite_agent_adds_no_candidate_without_a_restart() {
    let text =
        |ufrag: &str, pwd: &str, more: &str| sdp(&format!("a=ice-lite\r\n{}{more}", of_session(ufrag, pwd)));
    let old = text(UFRAG, PWD, "");
    let fault = Err(SubsequentFault::LiteCandidate { section: 0 });
    assert_eq!(check_subsequent(&old, &text(UFRAG, PWD, HOST)), fault);
    assert_eq!(check_subsequent(&old, &text(UFRAG, PWD, REFLEXIVE)), Ok(()));
    assert_eq!(check_subsequent(&old, &text("new1", OTHER_PWD, HOST)), Ok(()));
    let full = |more: &str| sdp(&format!("{}{more}", of_session(UFRAG, PWD)));
    assert_eq!(check_subsequent(&full(""), &full(HOST)), Ok(()), "a full one may");
}
