use core::time::Duration;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{HOST, OTHER_PWD, PWD, REFLEXIVE, RTCP, RTP, SECTION, SESSION, UFRAG, fault, sdp, session};
use crate::sdp::{
    Attribute, IceUse, Implementation, Line, MAX_CANDIDATES, MAX_LENGTH, MAX_SECTIONS, Pacing, RtcpMux,
    RtcpSilence, SdpError, SdpFault, lines,
};
use crate::{CandidateError, CredentialError, Field, IceOptionsError};

/// Names of the lines that are handed out.
fn names(text: &str) -> Vec<String> {
    let name = |item: Result<(usize, Line), SdpError>| match item {
        Ok((number, Line::Media(line))) => format!("{number} m {}", line.port()),
        Ok((number, Line::Connection(address))) => format!("{number} c {address}"),
        Ok((number, Line::Attribute(attribute))) => format!("{number} {}", attribute.name()),
        Ok((number, other)) => format!("{number} {other:?}"),
        Err(error) => format!("{error}"),
    };
    lines(text).map(name).collect()
}

#[test]
fn rfc8840_9_2_what_is_not_ice_is_passed_over() {
    let text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=a=ice-lite\r\nc=IN IP4 192.0.2.1\nt=0 0\r\n\
        k=prompt\r\nnothing\r\n=\r\na\r\na=\r\na=:\r\na=x-unknown:ice-lite\r\na=icelite\r\na=ice-litex\r\n\
        a=group:LS a b\r\na=ice-lite\r\n\r\nm=audio 9 RTP/AVP 0\r\nb=AS:50\r\nb=RS:0\r\na=rtcp-fb:* nack\r\n\
        a=fmtp:0 \u{e4}\r\na=rtcp-mux\r\nA=ice-mismatch\r\na=end-of-candidates";
    let expected = [
        "4 c 192.0.2.1",
        "16 ice-lite",
        "18 m 9",
        "20 SenderReports(false)",
        "23 rtcp-mux",
        "25 end-of-candidates",
    ];
    assert_eq!(names(text), expected);
}

#[test]
fn rfc8840_9_2_attributes_count_in_any_case() {
    for name in Attribute::NAMES {
        let value = match name {
            "candidate" => ":1 1 udp 1 192.0.2.1 5 typ host",
            "remote-candidates" => ":1 192.0.2.1 5",
            "ice-ufrag" => ":abcd",
            "ice-pwd" => ":asd88fgpdd777uzjYhagZg",
            "ice-options" => ":ice2",
            "ice-pacing" => ":50",
            "mid" => ":a",
            "group" => ":bundle a",
            "rtcp" => ":9",
            _ => "",
        };
        let expected = [format!("1 {name}")];
        assert_eq!(names(&format!("a={name}{value}")), expected);
        assert_eq!(names(&format!("a={}{value}\r\n", name.to_uppercase())), expected);
        assert_eq!(names(&format!("a={name}{value} \n")), expected, "a space behind it");
    }
}

#[test]
fn rfc8839_5_4_the_section_goes_before_the_session() {
    let text = format!(
        "{SESSION}{SECTION}a=mid:1\r\n{SECTION}a=mid:2\r\na=ice-ufrag:own2\r\n{SECTION}a=mid:3\r\n\
         a=ice-ufrag:own3\r\na=ice-pwd:{OTHER_PWD}\r\na=ice-options:rtp+ecn\r\n"
    );
    let description = sdp(&text);
    let of = |section| {
        let parameters = description.parameters(section)?;
        Some((
            parameters.ufrag.to_string(),
            parameters.pwd.expose().to_string(),
            parameters.options.to_string(),
        ))
    };
    let own = |ufrag: &str, pwd: &str, options: &str| Some((ufrag.into(), pwd.into(), options.into()));
    assert_eq!(of(0), own(UFRAG, PWD, "ice2"));
    assert_eq!(of(1), own("own2", PWD, "ice2"));
    assert_eq!(of(2), own("own3", OTHER_PWD, "ice2 rtp+ecn"));
    assert_eq!(of(3), None);
    assert_eq!(description.section(&"3".parse().expect("a token")), Some(2));
    assert_eq!(description.section(&"4".parse().expect("a token")), None);
}

#[test]
fn rfc8839_5_4_a_section_without_both_has_no_ice() {
    assert!(sdp(SECTION).parameters(0).is_none());
    assert!(sdp(&format!("a=ice-ufrag:8hhY\r\n{SECTION}")).parameters(0).is_none());
    assert!(sdp(&format!("{SECTION}a=ice-pwd:{PWD}\r\n")).parameters(0).is_none());
    assert!(sdp(&format!("a=ice-ufrag:8hhY\r\n{SECTION}a=ice-pwd:{PWD}\r\n")).parameters(0).is_some());
}

#[test]
fn rfc8839_5_4_one_fragment_has_one_password() {
    let second = |ufrag: &str, pwd: &str| {
        format!("{SESSION}{SECTION}m=video 1 RTP/AVP 0\na=ice-ufrag:{ufrag}\na=ice-pwd:{pwd}\n")
    };
    assert_eq!(fault(&second(UFRAG, OTHER_PWD)), (6, SdpFault::TwoPasswords));
    sdp(&second(UFRAG, PWD));
    sdp(&second("other", OTHER_PWD));
    // A section that is not in use has no part in it.
    sdp(&second(UFRAG, OTHER_PWD).replace("video 1", "video 0"));
}

#[test]
fn rfc8839_5_5_pacing_is_ten_digits_and_50_ms_where_it_is_missing() {
    let proposed = |text: &str| {
        let description = session(&format!("{text}\r\n{SECTION}"));
        description.parameters(0).map(|parameters| parameters.proposed_pacing())
    };
    assert_eq!(proposed(""), Some(Duration::from_millis(50)));
    assert_eq!(proposed("a=ice-pacing:5"), Some(Duration::from_millis(5)));
    assert_eq!(proposed("a=ice-pacing:0000000020"), Some(Duration::from_millis(20)));
    assert_eq!(proposed("a=ice-pacing:9999999999"), Some(Duration::from_millis(9_999_999_999)));
    for wrong in ["", ":", ":5ms", ":-5", ":+5", ":5.0", ":00000000005", ":10000000000", ":5 5"] {
        assert_eq!(fault(&format!("v=0\r\na=ice-pacing{wrong}\r\n")), (2, SdpFault::Pacing), "{wrong}");
    }
    assert_eq!(Pacing::from_millis(10_000_000_000), None);
    assert_eq!(Pacing::from(Duration::from_micros(4_001)).as_millis(), 5, "rounded up");
    assert_eq!(Pacing::from(Duration::MAX).as_millis(), Pacing::MAX_MILLIS);
}

#[test]
fn rfc8839_5_3_lite_and_pacing_count_for_the_session_and_exclude_each_other() {
    let read = |text: &str| sdp(text).session.implementation;
    let pacing = Pacing::from_millis(20);
    assert_eq!(read(SECTION), Implementation::Full(None));
    assert_eq!(read("a=ice-lite\r\n"), Implementation::Lite);
    assert_eq!(read("a=ice-pacing:20\r\n"), Implementation::Full(pacing));
    assert_eq!(read("a=ice-pacing:20\r\na=ice-lite\r\n"), Implementation::Lite);
    assert_eq!(read("a=ice-lite\r\na=ice-pacing:20\r\n"), Implementation::Lite);
    assert_eq!(
        read(&format!("{SECTION}a=ice-lite\r\n")),
        Implementation::Lite,
        "misplaced, and meant all the same"
    );
    assert!(
        session(&format!("a=ice-lite\r\n{SECTION}")).parameters(0).is_some_and(|parameters| parameters.lite)
    );
}

#[test]
fn rfc8839_5_1_what_belongs_into_a_section_means_nothing_before_it() {
    let before = format!(
        "a=mid:x\r\na=ice-mismatch\r\na=remote-candidates:1 192.0.2.1 5\r\na=rtcp-mux\r\na=rtcp:9\r\n{HOST}"
    );
    let description = session(&format!("{before}{SECTION}{HOST}"));
    let media = &description.media[0];
    assert_eq!(media.candidates.len(), 1);
    assert!(media.mid.is_none() && !media.mismatch && media.remote_candidates.is_none());
    assert_eq!(media.rtcp, crate::sdp::Rtcp::default());
}

#[test]
fn rfc8839_5_2_remote_candidates_in_one_line_or_several_in_any_order() {
    let read = |lines: &str| {
        let media = session(&format!("{SECTION}{lines}")).media.remove(0);
        media.remote_candidates.map(|candidates| candidates.to_string())
    };
    let expected = Some("1 192.0.2.3 45664 2 192.0.2.3 45665".to_string());
    assert_eq!(
        read("a=remote-candidates:1 192.0.2.3 45664\r\na=remote-candidates:2 192.0.2.3 45665\r\n"),
        expected
    );
    assert_eq!(read("a=remote-candidates:2 192.0.2.3 45665 1 192.0.2.3 45664\r\n"), expected);
    assert_eq!(read("a=remote-candidates:1  2001:db8::1  5\n"), Some("1 2001:db8::1 5".into()));
    assert_eq!(read(""), None);
    for wrong in [
        "",
        "1",
        "1 192.0.2.1",
        "0 192.0.2.1 5",
        "257 192.0.2.1 5",
        "1 192.0.2.1 65536",
        "1 192.0.2.1 5 2",
        "x a 1",
    ] {
        let text = format!("{SECTION}a=remote-candidates:{wrong}\r\n");
        assert_eq!(fault(&text), (3, SdpFault::RemoteCandidates), "{wrong}");
    }
    let twice = format!("{SECTION}a=remote-candidates:1 192.0.2.3 5\na=remote-candidates:1 192.0.2.3 6\n");
    assert_eq!(fault(&twice), (4, SdpFault::Contradiction("remote-candidates")));
}

#[test]
fn rfc8839_5_1_a_line_of_no_use_costs_that_line_only() {
    for (of_no_use, reason) in [
        ("1 1 sctp 1 192.0.2.1 5 typ host", "unknown transport at byte 4"),
        ("1 1 udp 1 192.0.2.1 5 typ tunnel", "unknown candidate type at byte 26"),
        ("1 1 udp 1 x25:7 5 typ host", "unknown address family at byte 10"),
        ("1 1 udp 0 192.0.2.1 5 typ host", "priority at byte 8 is out of range"),
        ("1 1 udp 2147483648 192.0.2.1 5 typ host", "priority at byte 8 is out of range"),
        ("1 1 udp 1 192.0.2.1 0 typ host", "port 0 at byte 20"),
        ("1 1 tcp 1 192.0.2.1 5 typ host", "tcp candidate has no tcptype"),
    ] {
        let text = format!("{SECTION}a=candidate:{of_no_use}\r\n{REFLEXIVE}");
        let description = session(&text);
        assert_eq!((description.ignored, description.media[0].candidates.len()), (1, 1), "{of_no_use}");
        let told = lines(&text).find_map(|line| match line {
            Ok((3, Line::IgnoredCandidate(error))) => Some(error.to_string()),
            _ => None,
        });
        assert_eq!(told.as_deref(), Some(reason));
    }
}

#[test]
fn rfc8839_5_1_unknown_extensions_do_no_harm() {
    let text = format!(
        "{SECTION}a=candidate:1 1 UDP 2 192.0.2.3 45664 typ host x-new 7 generation 0 ufrag 8hhY\r\n"
    );
    let media = session(&text).media.remove(0);
    assert_eq!(media.candidates[0].extension("x-new"), Some("7"));
    assert!(media.to_string().contains("typ host x-new 7 generation 0 ufrag 8hhY\r\n"));
}

#[test]
fn s03_every_bound_has_its_fault_and_line() {
    let many = |what: &str, count: usize| what.repeat(count);
    assert_eq!(sdp(&many("m=audio 9 RTP/AVP 0\n", MAX_SECTIONS)).media.len(), MAX_SECTIONS);
    let text = many("m=audio 9 RTP/AVP 0\n", MAX_SECTIONS + 1);
    assert_eq!(fault(&text), (MAX_SECTIONS + 1, SdpFault::TooManySections));

    assert_eq!(
        session(&format!("{SECTION}{}", many(HOST, MAX_CANDIDATES))).media[0].candidates.len(),
        MAX_CANDIDATES
    );
    let text = "x".repeat(MAX_LENGTH + 1);
    assert_eq!(fault(&text), (1, SdpFault::TooLong(MAX_LENGTH + 1)));
    sdp(&text[1..]);

    let group = |count: usize| format!("a=group:BUNDLE{}\n", " a".repeat(count));
    assert_eq!(sdp(&group(MAX_SECTIONS)).session.bundles[0].mids().len(), MAX_SECTIONS);
    assert_eq!(fault(&group(MAX_SECTIONS + 1)), (1, SdpFault::Bundle));
    assert_eq!(fault(&many("a=group:BUNDLE a\n", MAX_SECTIONS + 1)), (MAX_SECTIONS + 1, SdpFault::Bundle));

    let half = group(MAX_SECTIONS / 2);
    assert_eq!(sdp(&format!("{half}{half}")).session.bundles.len(), 2);
    assert_eq!(fault(&format!("{half}{half}{}", group(0))), (3, SdpFault::Bundle), "all groups together");

    // A line of others may be as long as it likes.
    let long = format!("{SECTION}a=fmtp:96 {}\r\n{HOST}", "x".repeat(1 << 20));
    assert_eq!(session(&long).media[0].candidates.len(), 1);
    let long = format!("{SECTION}a=candidate:1 1 udp 1 192.0.2.1 5 typ host {}\r\n", "x".repeat(2048));
    assert!(matches!(fault(&long), (3, SdpFault::Candidate(CandidateError::TooLong { .. }))));
    assert_eq!(fault(&format!("m=audio 9 RTP/AVP {}\r\n", "0 ".repeat(600))), (1, SdpFault::MediaLine));
}

#[test]
fn s03_candidates_beyond_the_bound_are_passed_over_and_counted() {
    let description = session(&format!("{SECTION}{}", HOST.repeat(MAX_CANDIDATES + 7)));
    assert_eq!((description.ignored, description.media[0].candidates.len()), (7, MAX_CANDIDATES));
    assert_eq!(description.ice_use(0), Some(IceUse::Mismatch(RTP)));
    // RFC 8839 §4.2.5: the default destinations are among those that are read, wherever they stand.
    let credentials = format!("a=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\n");
    let rtcp = "a=candidate:2 2 udp 1694498814 192.0.2.3 45665 typ srflx\r\n";
    for connection in ["", "c=IN IP4 192.0.2.3\r\n"] {
        let section = SECTION.replace("c=IN IP4 192.0.2.3\r\n", connection);
        let many = HOST.repeat(MAX_CANDIDATES + 7);
        let text = format!(
            "{SESSION}c=IN IP4 192.0.2.3\r\n{section}{credentials}{many}{}{}",
            REFLEXIVE.repeat(3),
            rtcp.repeat(2)
        );
        let description = sdp(&text);
        assert_eq!(description.ice_use(0), Some(IceUse::Usable), "{connection}");
        assert_eq!((description.ignored, description.media[0].candidates.len()), (10, MAX_CANDIDATES + 2));
    }
}

#[test]
fn errors_name_the_line_and_what_is_allowed() {
    for (line, fault_of_it, says) in [
        ("a=ice-ufrag:abc", SdpFault::Ufrag(CredentialError::Length(3)), "4 to 256 letters"),
        ("a=ice-pwd:short", SdpFault::Pwd(CredentialError::Length(5)), "22 to 256 letters"),
        (
            "a=ice-ufrag:a_bcd",
            SdpFault::Ufrag(CredentialError::NotIceChar { index: 1 }),
            "byte 1 is not a letter",
        ),
        ("a=ice-options:a\u{1}", SdpFault::Options(IceOptionsError::NotATag), "up to 64 tags of 512 bytes"),
        ("a=ice-pacing:soon", SdpFault::Pacing, "up to 9999999999"),
        ("a=mid:", SdpFault::Mid, "1 to 255 characters"),
        ("a=mid:a b", SdpFault::Mid, "a token"),
        ("a=group:BUNDLE a(b", SdpFault::Bundle, "up to 1024"),
        ("a=rtcp:70000", SdpFault::Rtcp, "a port and a connection address"),
        ("a=rtcp:9 IN", SdpFault::Rtcp, "a port"),
        ("c=IN IP4", SdpFault::Connection, "IP4 or IP6"),
        ("c=IN IP4 300.0.0.1", SdpFault::Connection, "IP4 or IP6"),
        ("m=audio", SdpFault::MediaLine, "media, port, protocol and formats"),
        ("m=audio x RTP/AVP 0", SdpFault::MediaLine, "at most 1024 bytes"),
        ("m=audio 70000 RTP/AVP 0", SdpFault::MediaLine, "media, port"),
        ("m=audio 9 RTP/AVP", SdpFault::MediaLine, "formats"),
        ("m= 9 RTP/AVP 0", SdpFault::MediaLine, "media"),
        (
            "a=candidate:1 1 udp",
            SdpFault::Candidate(CandidateError::Missing { field: Field::Priority }),
            "has no priority",
        ),
    ] {
        let text = format!("v=0\r\n\r\n{SECTION}a=x:y\n{line}\r\n");
        let error = text.parse::<crate::sdp::Description>().expect_err(line);
        assert_eq!(error, SdpError { line: 6, fault: fault_of_it }, "{line}");
        let shown = error.to_string();
        assert!(shown.starts_with("line 6: ") && shown.contains(says), "{shown}");
    }
    for name in ["ice-ufrag:abcd", "ice-pwd:asd88fgpdd777uzjYhagZg", "mid:a", "rtcp:9"] {
        let (word, _) = name.split_once(':').expect("a value");
        let text = format!("{SECTION}a={name}\na={name}\na={name}9\n");
        let wanted = Attribute::NAMES.into_iter().find(|known| *known == word).expect("a name");
        assert_eq!(fault(&text), (5, SdpFault::Contradiction(wanted)));
    }
    let text = format!("{SECTION}a=mid:a\n{SECTION}a=mid:a\n");
    assert_eq!(fault(&text), (6, SdpFault::MidTwice));
}

#[test]
fn an_error_does_not_show_the_password() {
    let error =
        "a=ice-pwd:secret-secret-secret-secret".parse::<crate::sdp::Description>().expect_err("a hyphen");
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert!(!format!("{:?}", session(SECTION)).contains(PWD));
}

#[test]
fn rfc8839_3_default_destinations_of_rtp_and_rtcp() {
    let at = |text: &str, component| {
        let media = session(text).media.remove(0);
        media.default_destination(component).map(|destination| destination.to_string())
    };
    assert_eq!(at(SECTION, RTP).as_deref(), Some("192.0.2.3 45664"));
    assert_eq!(at(SECTION, RTCP).as_deref(), Some("192.0.2.3 45665"), "one above");
    assert_eq!(at(&format!("{SECTION}a=rtcp:53020\r\n"), RTCP).as_deref(), Some("192.0.2.3 53020"));
    let elsewhere = format!("{SECTION}a=rtcp:53020 IN IP6 2001:db8::7\r\n");
    assert_eq!(at(&elsewhere, RTCP).as_deref(), Some("2001:db8::7 53020"));
    assert_eq!(at(&elsewhere, RTP).as_deref(), Some("192.0.2.3 45664"));
    let of_session = "c=IN IP6 2001:db8::1\r\nm=audio 7 RTP/AVP 0\r\n";
    assert_eq!(at(of_session, RTP).as_deref(), Some("2001:db8::1 7"));
    assert_eq!(
        at("c=IN IP4 192.0.2.9\r\nm=audio 7/2 RTP/AVP 0\r\nc=IN IP4 a.example\r\n", RTP).as_deref(),
        Some("a.example 7")
    );
    assert_eq!(
        at("m=audio 7 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127/3\r\n", RTP).as_deref(),
        Some("233.252.0.1 7")
    );
    assert_eq!(at("m=audio 7 RTP/AVP 0\r\nc=ATM NSAP 1\r\n", RTP), None, "another network");
    assert_eq!(at(SECTION, crate::ComponentId::new(3).expect("in range")), None);
}

#[test]
fn rfc8839_4_2_5_a_default_destination_of_any_kind_is_no_fault() {
    for address in ["a_b.example", "abc", "*", "gr\u{fc}n.example", "x:y"] {
        let text = format!("m=audio 7 RTP/AVP 0\r\nc=IN IP4 {address}\r\na=rtcp:8 IN IP4 {address}\r\n");
        let read = session(&format!("c=IN IP4 192.0.2.9\r\n{text}{HOST}"));
        assert_eq!(
            read.media[0].default_destination(RTP).expect("an address").to_string(),
            format!("{address} 7")
        );
        assert_eq!(read.ice_use(0), Some(IceUse::Usable), "{address}");
        assert!(read.media[0].to_string().starts_with(&text), "as it was written");
    }
    // What looks like an IP address has to be one.
    assert_eq!(fault("m=audio 7 RTP/AVP 0\r\nc=IN IP4 1.2.3\r\n"), (2, SdpFault::Connection));
    assert_eq!(fault("m=audio 7 RTP/AVP 0\r\nc=IN IP4 a\u{7}b\r\n"), (2, SdpFault::Connection));
}

#[test]
fn rfc8839_4_2_2_rtcp_by_bandwidth_and_multiplexing() {
    let rtcp = |text: &str| session(&format!("m=audio 7 RTP/AVP 0\r\n{text}")).media.remove(0).rtcp;
    assert_eq!(rtcp("").silence, RtcpSilence::Nobody);
    assert_eq!(rtcp("b=RS:0\r\n").silence, RtcpSilence::Senders);
    assert_eq!(rtcp("b=RR:0\r\nb=RS:800\r\n").silence, RtcpSilence::Receivers);
    assert_eq!(rtcp("b=RS:0\r\nb=RR:0\r\n").silence, RtcpSilence::Everybody);
    let of_session = session("b=RR:0\r\nm=audio 7 RTP/AVP 0\r\nb=RS:0\r\nm=audio 8 RTP/AVP 0\r\n");
    assert_eq!(of_session.media[0].rtcp.silence, RtcpSilence::Everybody);
    assert_eq!(of_session.media[1].rtcp.silence, RtcpSilence::Receivers);
    // What the section says counts for it: it has RTCP, and a component for it.
    let both = "b=RS:0\r\nb=RR:0\r\nm=audio 7 RTP/AVP 0\r\n";
    let own = |more: &str| session(&format!("{both}{more}")).media.remove(0);
    for (more, silence) in [
        ("b=rs:800\r\n", RtcpSilence::Receivers),
        ("b=RR:2000\r\nb=RS:00\r\n", RtcpSilence::Senders),
        ("b=RS:800\r\nb=RR:1\r\n", RtcpSilence::Nobody),
        ("b=RS:\r\nb=RR:x\r\nb=AS:1\r\n", RtcpSilence::Everybody),
    ] {
        assert_eq!(own(more).rtcp.silence, silence, "{more}");
        let with_rtcp = silence != RtcpSilence::Everybody;
        assert_eq!(own(more).components().len(), if with_rtcp { 2 } else { 1 }, "{more}");
    }
    assert_eq!(rtcp("").mux, RtcpMux::No);
    assert_eq!(rtcp("a=rtcp-mux\r\n").mux, RtcpMux::Yes);
    assert_eq!(rtcp("a=rtcp-mux-only\r\na=rtcp-mux\r\n").mux, RtcpMux::Only);
    assert_eq!(rtcp("a=rtcp\r\n").destination, None, "as the grammar of RFC 8840 has it");
}

#[test]
fn trk_01_trickle_for_the_session_or_for_every_section() {
    let section = |options: &str| format!("m=audio 9 RTP/AVP 0\r\n{options}");
    let (with, without) = (section("a=ice-options:ice2 trickle\r\n"), section("a=ice-options:ice2\r\n"));
    assert!(session(&format!("a=ice-options:trickle\r\n{without}{without}")).trickles());
    assert!(session(&format!("{with}{with}")).trickles());
    assert!(!session(&format!("{with}{without}")).trickles(), "for some is as good as for none");
    assert!(session(&format!("{with}{}", without.replace("audio 9", "audio 0"))).trickles(), "not in use");
    assert!(!session(&without).trickles());
    assert!(!sdp("").trickles());
}
