use std::format;
use std::string::String;
use std::vec::Vec;

use super::{HOST, PWD, REFLEXIVE, RTCP, RTP, SECTION, SESSION, parameters, sdp, session};
use crate::sdp::{IceUse, SessionUse, follows_rfc8445};

const RTCP_CANDIDATE: &str =
    "a=candidate:2 2 udp 1694498814 192.0.2.3 45665 typ srflx raddr 10.0.0.1 rport 8999\r\n";

#[track_caller]
fn of(section: &str) -> IceUse {
    session(section).ice_use(0).expect("a section")
}

#[test]
fn rfc8839_4_2_5_ice_goes_on_where_the_defaults_are_candidates() {
    assert_eq!(of(&format!("{SECTION}{HOST}{REFLEXIVE}")), IceUse::Usable);
    assert_eq!(of(&format!("{SECTION}{HOST}{REFLEXIVE}{RTCP_CANDIDATE}")), IceUse::Usable);
    assert_eq!(of(&format!("{SECTION}{HOST}")), IceUse::Mismatch(RTP));
    assert_eq!(of(SECTION), IceUse::Mismatch(RTP));
    let changed = |from: &str, to: &str| of(&format!("{SECTION}{HOST}{REFLEXIVE}").replacen(from, to, 1));
    assert_eq!(changed("45664", "45666"), IceUse::Mismatch(RTP), "port");
    assert_eq!(changed("192.0.2.3", "203.0.113.9"), IceUse::Mismatch(RTP), "address");
    assert_eq!(changed("RTP/AVP", "TCP/RTP/AVP"), IceUse::Mismatch(RTP), "transport");
    assert_eq!(changed("RTP/AVP", "DCCP/RTP/AVP"), IceUse::Usable, "a transport that is not known");
    assert_eq!(changed("2 1 udp", "2 2 udp"), IceUse::Mismatch(RTP), "component");
    assert_eq!(
        session("m=audio 9 RTP/AVP 0\r\n").ice_use(0),
        Some(IceUse::Usable),
        "nothing to compare with"
    );
    assert_eq!(session(SECTION).ice_use(1), None);
}

#[test]
fn rfc8839_4_2_5_the_default_of_rtcp_is_a_candidate_as_well() {
    let both = |rtcp: &str| of(&format!("{SECTION}{rtcp}{REFLEXIVE}{RTCP_CANDIDATE}"));
    assert_eq!(both("a=rtcp:45665\r\n"), IceUse::Usable);
    assert_eq!(both("a=rtcp:45665 IN IP4 192.0.2.3\r\n"), IceUse::Usable);
    assert_eq!(both("a=rtcp:45669\r\n"), IceUse::Mismatch(RTCP));
    assert_eq!(both("a=rtcp:45665 IN IP4 203.0.113.9\r\n"), IceUse::Mismatch(RTCP));
    let moved = RTCP_CANDIDATE.replace("45665", "45669");
    assert_eq!(
        of(&format!("{SECTION}{REFLEXIVE}{moved}")),
        IceUse::Mismatch(RTCP),
        "one above is taken for it"
    );
    // Without candidates the component is there if something is said of it.
    assert_eq!(of(&format!("{SECTION}a=rtcp:45665\r\n{REFLEXIVE}")), IceUse::Mismatch(RTCP));
    assert_eq!(of(&format!("{SECTION}a=rtcp-mux\r\na=rtcp:45664\r\n{REFLEXIVE}")), IceUse::Usable);
    assert_eq!(of(&format!("{SECTION}a=rtcp-mux\r\n{REFLEXIVE}")), IceUse::Usable);
    assert_eq!(of(&format!("{SECTION}a=rtcp-mux\r\na=rtcp:45669\r\n{REFLEXIVE}")), IceUse::Mismatch(RTCP));
    assert_eq!(of(&format!("{SECTION}a=rtcp:9 IN IP4 0.0.0.0\r\n{REFLEXIVE}")), IceUse::Usable);
}

#[test]
fn rfc8839_4_2_5_a_placeholder_or_a_name_is_no_mismatch() {
    for (address, port, expected) in [
        ("IP4 0.0.0.0", 9, IceUse::Usable),
        ("IP6 ::", 9, IceUse::Usable),
        ("IP4 host.example", 45664, IceUse::Usable),
        ("IP6 host.example", 9, IceUse::Usable),
        ("IP4 0.0.0.0", 45664, IceUse::Mismatch(RTP)),
        ("IP4 192.0.2.7", 9, IceUse::Mismatch(RTP)),
    ] {
        for candidates in ["", HOST, REFLEXIVE] {
            let text = format!("m=audio {port} RTP/AVP 0\r\nc=IN {address}\r\n{candidates}");
            assert_eq!(of(&text), expected, "{text}");
        }
    }
}

#[test]
fn rfc8840_4_1_2_defaults_of_who_trickles_are_no_mismatch() {
    let trickling = |text: &str| sdp(&format!("a=ice-options:trickle\r\n{SESSION}{text}")).ice_use(0);
    // Port 9 with an address that is not hidden.
    let text = "m=audio 9 RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\n";
    assert_eq!(trickling(text), Some(IceUse::Usable));
    assert_eq!(trickling(&format!("{text}a=rtcp-mux\r\n")), Some(IceUse::Usable));
    assert_eq!(trickling(&format!("{text}{HOST}")), Some(IceUse::Usable));
    assert_eq!(trickling("m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"), Some(IceUse::Usable));
    assert_eq!(trickling(SECTION), Some(IceUse::Mismatch(RTP)), "a port that is told is told for good");
}

#[test]
fn rfc8839_4_3_2_ice_needs_fragment_and_password() {
    let only = |text: &str| sdp(&format!("{text}{SECTION}{REFLEXIVE}")).ice_use(0);
    assert_eq!(only(""), Some(IceUse::Unsupported));
    assert_eq!(only("a=ice-ufrag:8hhY\r\n"), Some(IceUse::Unsupported));
    assert_eq!(only(&format!("a=ice-pwd:{PWD}\r\n")), Some(IceUse::Unsupported));
    assert_eq!(only(&format!("a=ice-ufrag:8hhY\r\na=ice-pwd:{PWD}\r\n")), Some(IceUse::Usable));
    assert_eq!(session(&SECTION.replace("45664", "0")).ice_use(0), Some(IceUse::Disabled));
}

#[test]
fn rfc8839_4_2_1_5_without_ice2_it_is_an_agent_of_rfc_5245() {
    assert!(follows_rfc8445(&parameters("trickle ice2")));
    assert!(!follows_rfc8445(&parameters("trickle")));
    assert!(!follows_rfc8445(&parameters("")));
}

/// An answer whose sections are, in order: with ICE, refused, without ICE, not in use, mismatched.
fn answer(kinds: &str) -> SessionUse {
    let own = format!("a=ice-ufrag:own1\r\na=ice-pwd:{PWD}\r\n");
    let sections: String = kinds
        .chars()
        .map(|kind| match kind {
            'i' => format!("{SECTION}{own}{REFLEXIVE}"),
            'r' => format!("{SECTION}{own}a=ice-mismatch\r\n"),
            'n' => SECTION.into(),
            'd' => SECTION.replace("45664", "0"),
            'm' => format!("{SECTION}{own}{HOST}"),
            other => panic!("{other}"),
        })
        .collect();
    sdp(&sections).session_use()
}

#[test]
fn rfc8839_4_3_3_what_an_answer_means_for_the_session() {
    let ice =
        |with: &[usize], without: &[usize]| SessionUse::Ice { with: with.into(), without: without.into() };
    assert_eq!(answer("i"), ice(&[0], &[]));
    assert_eq!(answer("idi"), ice(&[0, 2], &[]));
    assert_eq!(answer("ri"), ice(&[1], &[0]), "certain sections only");
    assert_eq!(answer("nid"), ice(&[1], &[0]));
    assert_eq!(answer("rdr"), SessionUse::NoIce(IceUse::Refused), "all that are in use");
    assert_eq!(answer("n"), SessionUse::NoIce(IceUse::Unsupported));
    assert_eq!(answer(""), SessionUse::NoIce(IceUse::Unsupported));
    assert_eq!(answer("im"), SessionUse::NoIce(IceUse::Mismatch(RTP)), "one mismatch ends it for all");
    assert_eq!(answer("mi"), SessionUse::NoIce(IceUse::Mismatch(RTP)));
}

#[test]
fn rfc8843_bundled_sections_use_the_transport_of_the_first() {
    let bundle = |sections: &str| {
        let description = session(&format!("a=group:BUNDLE a b c\r\n{sections}"));
        (0..description.media.len()).map(|at| description.ice_use(at).expect("there")).collect::<Vec<_>>()
    };
    let first = format!("{SECTION}a=mid:a\r\n{REFLEXIVE}");
    let same = |mid: &str| format!("{}a=mid:{mid}\r\n", SECTION.replace("audio", "video"));
    let shared = IceUse::Bundled { with: 0 };
    // An answer: the port and address of the first, and no candidates.
    assert_eq!(bundle(&format!("{first}{}{}", same("b"), same("c"))), [IceUse::Usable, shared, shared]);
    // An offer that can only be bundled.
    let only = "m=video 0 RTP/AVP 31\r\na=bundle-only\r\na=mid:b\r\n";
    assert_eq!(bundle(&format!("{first}{only}")), [IceUse::Usable, shared]);
    // One with candidates of its own, one of no group, one elsewhere.
    assert_eq!(bundle(&format!("{first}{}{REFLEXIVE}", same("b"))), [IceUse::Usable, IceUse::Usable]);
    assert_eq!(bundle(&format!("{first}{}", same("d"))), [IceUse::Usable, IceUse::Mismatch(RTP)]);
    let elsewhere = same("b").replace("45664", "45668");
    assert_eq!(bundle(&format!("{first}{elsewhere}")), [IceUse::Usable, IceUse::Mismatch(RTP)]);
    // The first of the group is rejected: the next in use has the transport.
    let rejected = "m=audio 0 RTP/AVP 0\r\na=mid:a\r\n";
    let second = format!("{SECTION}a=mid:b\r\n{REFLEXIVE}");
    let expected = [IceUse::Disabled, IceUse::Usable, IceUse::Bundled { with: 1 }];
    assert_eq!(bundle(&format!("{rejected}{second}{}", same("c"))), expected);
    // Without ICE where the transport is there is none for those that share it.
    let refused =
        sdp(&format!("a=group:BUNDLE a b\r\n{SESSION}{SECTION}a=mid:a\r\na=ice-mismatch\r\n{}", same("b")));
    assert_eq!(refused.session_use(), SessionUse::NoIce(IceUse::Refused));
    // Who does not bundle looks at each section alone.
    let description = session(&format!("a=group:BUNDLE a b\r\n{first}{}", same("b")));
    assert_eq!(description.unbundled_ice_use(1), Some(IceUse::Mismatch(RTP)));
}

#[test]
fn rfc8839_4_4_1_1_1_hold_of_old_is_told_apart_from_the_placeholder() {
    let hold = |port: u16, address: &str| {
        session(&format!("m=audio {port} RTP/AVP 0\r\nc=IN {address}\r\n")).is_old_hold(0)
    };
    assert!(hold(45664, "IP4 0.0.0.0") && hold(45664, "IP6 ::"));
    assert!(!hold(9, "IP4 0.0.0.0") && !hold(0, "IP4 0.0.0.0") && !hold(45664, "IP4 192.0.2.1"));
    assert!(!session("").is_old_hold(0));
}
