use core::time::Duration;
use std::format;
use std::string::ToString;

use super::{HOST, PWD, REFLEXIVE, SECTION, UFRAG, lite, parameters, sdp, section};
use crate::sdp::{Description, Media, Session};
use crate::{Candidate, CandidateLine, CandidateType, Parameters, Transport};

#[test]
fn lines_end_with_crlf_and_the_session_comes_first() {
    let text = "a=group:BUNDLE a b\r\na=ice-options:ice2 trickle\r\na=ice-pacing:20\r\na=ice-ufrag:8hhY\r\n\
        a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=end-of-candidates\r\n\
        m=audio 45664 RTP/AVP 0 8\r\nc=IN IP4 192.0.2.3\r\nb=RS:0\r\na=rtcp:53020 IN IP6 2001:db8::7\r\n\
        a=rtcp-mux\r\na=rtcp-mux-only\r\na=ice-ufrag:own1\r\na=ice-pwd:YH75Fviy6338Vbrhrlp8Yh\r\n\
        a=ice-options:rtp+ecn\r\na=mid:a\r\na=candidate:1 1 udp 2130706431 10.0.0.1 8998 typ host\r\n\
        a=remote-candidates:1 192.0.2.1 3478 2 192.0.2.1 3479\r\na=end-of-candidates\r\n\
        m=video 0 RTP/AVP 31\r\nc=IN IP6 ::\r\nb=RR:0\r\na=bundle-only\r\na=mid:b\r\n";
    assert_eq!(sdp(text).to_string(), text);
    assert_eq!(sdp(&text.replace("\r\n", "\n")).to_string(), text);
}

#[test]
fn rfc8839_4_2_1_5_what_a_full_agent_says_of_itself() {
    let ours = Parameters { pacing: Some(Duration::from_millis(20)), ..parameters("ice2 trickle") };
    let expected = format!(
        "a=ice-options:ice2 trickle\r\na=ice-pacing:20\r\na=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\n"
    );
    assert_eq!(Session::new(&ours).to_string(), expected);
    let without = Session::without_credentials(&ours).to_string();
    assert_eq!(without, "a=ice-options:ice2 trickle\r\na=ice-pacing:20\r\n");
}

#[test]
fn rfc8839_4_2_1_4_only_a_lite_agent_says_lite_and_it_proposes_no_pacing() {
    let ours = Parameters { pacing: Some(Duration::from_millis(20)), ..lite("ice2") };
    let text = Session::new(&ours).to_string();
    assert!(text.contains("a=ice-lite\r\n") && !text.contains("ice-pacing"), "{text}");
    let full = Session::new(&parameters("ice2")).to_string();
    assert!(!full.contains("ice-lite") && !full.contains("ice-pacing"), "{full}");
}

#[test]
fn rfc8839_4_4_1_1_2_a_removed_section_has_nothing_of_ice() {
    let full = format!(
        "{SECTION}a=ice-ufrag:own1\r\na=ice-pwd:{PWD}\r\na=mid:a\r\n{HOST}{REFLEXIVE}a=end-of-candidates\r\n"
    );
    let removed = section(&full).removed();
    assert_eq!(removed.to_string(), "m=audio 0 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\na=mid:a\r\n");
    assert!(!removed.is_active());
    // Whoever only sets the port is helped.
    let mut by_hand = section(&full);
    by_hand.line = by_hand.line.with_port(0);
    assert_eq!(by_hand.to_string(), removed.to_string());
}

#[test]
fn rfc8839_4_2_1_6_an_inactive_section_keeps_its_attributes() {
    let text = format!("{SECTION}{HOST}");
    let inactive = section(&format!("{text}a=inactive\r\n"));
    assert_eq!(inactive.to_string(), text);
    let bandwidth = section(&format!("{SECTION}b=AS:0\r\n{HOST}"));
    assert_eq!(bandwidth.to_string(), text);
}

#[test]
fn rfc8839_4_2_5_beside_ice_mismatch_there_are_no_candidates() {
    let expected = format!("{SECTION}a=ice-mismatch\r\n");
    assert_eq!(section(&format!("{SECTION}{HOST}{REFLEXIVE}")).with_mismatch().to_string(), expected);
    let by_hand = Media { mismatch: true, ..section(&format!("{SECTION}{HOST}a=end-of-candidates\r\n")) };
    assert_eq!(by_hand.to_string(), expected);
}

#[test]
fn rfc8839_4_3_2_without_ice_no_attribute_of_it_is_left() {
    let text = format!(
        "a=ice-lite\r\na=group:BUNDLE a\r\na=ice-options:ice2\r\na=ice-ufrag:8hhY\r\na=ice-pwd:{PWD}\r\na=end-of-candidates\r\n\
         {SECTION}a=rtcp-mux\r\na=ice-ufrag:own1\r\na=ice-pwd:{PWD}\r\na=ice-options:x\r\na=mid:a\r\n{HOST}\
         a=remote-candidates:1 192.0.2.1 5\r\na=end-of-candidates\r\n"
    );
    let plain: Description = sdp(&text).without_ice();
    assert_eq!(plain.to_string(), format!("a=group:BUNDLE a\r\n{SECTION}a=rtcp-mux\r\na=mid:a\r\n"));
    assert!(sdp(&format!("{SECTION}a=ice-mismatch\r\n")).without_ice().to_string() == SECTION);
}

#[test]
fn rfc8839_5_1_every_candidate_but_a_host_has_a_related_address() {
    let host = super::super::host(Transport::Udp, "[2001:db8::1]:5000");
    for kind in CandidateType::ALL {
        let text = CandidateLine::from(&Candidate { kind, ..host.clone() }).to_string();
        let hidden = text.ends_with(" raddr :: rport 9");
        assert_eq!(hidden, kind != CandidateType::Host, "{text}");
        let told =
            Candidate { kind, related: Some("10.0.0.1:7".parse().expect("an address")), ..host.clone() };
        let text = CandidateLine::from(&told).to_string();
        assert_eq!(text.ends_with(" raddr 10.0.0.1 rport 7"), kind != CandidateType::Host, "{text}");
    }
}
