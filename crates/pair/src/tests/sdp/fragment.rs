use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::super::line;
use super::{
    HOST, OTHER_PWD, PWD, REFLEXIVE, SECTION, SESSION, UFRAG, candidates, fragment, parameters, sdp, session,
};
use crate::sdp::{
    BundleGroup, Fragment, FragmentError, MAX_CANDIDATES, Mid, SdpError, SdpFault, new_candidates,
};
use crate::{CandidateLine, IceOptions};

fn mid(text: &str) -> Mid {
    text.parse().expect("a token")
}

/// An INFO body of two sections with these session lines.
fn body(session: &str) -> String {
    format!("{session}m=audio 9 RTP/AVP 0\r\na=mid:1\r\n{HOST}m=audio 9 RTP/AVP 0\r\na=mid:2\r\n{REFLEXIVE}")
}

const CREDENTIALS: &str = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";

/// An offer of two sections with the credentials before them.
fn offer() -> String {
    format!("{SESSION}{SECTION}a=mid:1\r\n{SECTION}a=mid:2\r\n")
}

#[test]
fn rfc8840_4_4_type_and_package() {
    assert_eq!(Fragment::CONTENT_TYPE, "application/trickle-ice-sdpfrag");
    assert_eq!(Fragment::INFO_PACKAGE, "trickle-ice");
}

#[test]
fn rfc8840_4_4_candidates_belong_to_the_section_of_their_tag() {
    let read = fragment(&body(CREDENTIALS));
    let found: Vec<_> = read.sections().map(|(mid, media)| (mid.as_str(), candidates(media))).collect();
    let expected =
        [("1", HOST), ("2", REFLEXIVE)].map(|(mid, line)| (mid, line.replace("a=", "").replace('\r', "")));
    assert_eq!(found, expected);
    // As many sections as there is news of, in any order.
    let second = fragment(&format!("{CREDENTIALS}m=audio 9 RTP/AVP 0\r\na=mid:2\r\n{HOST}"));
    assert!(second.section(&mid("1")).is_none() && second.section(&mid("2")).is_some());
}

#[test]
fn rfc8840_4_4_nothing_in_a_pseudo_media_line_counts() {
    for pseudo in
        ["audio 9 RTP/AVP 0", "video 4711 UDP/TLS/RTP/SAVPF 96 97", "", "x", "audio 99999 RTP/AVP", "\u{e4}"]
    {
        let text = format!("{CREDENTIALS}m={pseudo}\r\nc=nonsense\r\na=mid:1\r\n{HOST}");
        assert_eq!(
            fragment(&text).section(&mid("1")).map(|media| media.candidates.len()),
            Some(1),
            "{pseudo}"
        );
    }
}

#[test]
fn rfc8840_4_4_a_section_not_known_from_a_description_has_the_default_line() {
    let mut ours = Fragment::new(&parameters("ice2 trickle"));
    ours.add_section(mid("7")).expect("room");
    ours.add_section(mid("7")).expect("it is there");
    ours.add_candidate(&mid("7"), line(&HOST.trim_end()[2..])).expect("a section");
    let expected =
        format!("a=ice-options:ice2 trickle\r\n{CREDENTIALS}m=audio 9 RTP/AVP 0\r\na=mid:7\r\n{HOST}");
    assert_eq!(ours.to_string(), expected);
}

#[test]
fn rfc8840_4_4_the_tag_stands_right_before_the_candidates() {
    let own = format!("a=ice-ufrag:own1\r\na=ice-pwd:{OTHER_PWD}\r\n");
    let description =
        sdp(&format!("{SECTION}a=mid:1\r\na=rtcp-mux\r\n{own}{HOST}{REFLEXIVE}a=end-of-candidates\r\n"));
    let text = Fragment::of(&description).expect("tags").to_string();
    let expected = format!(
        "m=audio 45664 RTP/AVP 0\r\na=rtcp-mux\r\n{own}a=mid:1\r\n{HOST}{REFLEXIVE}a=end-of-candidates\r\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn rfc8840_4_4_credentials_stand_at_the_level_of_the_description() {
    let of_session = Fragment::of(&sdp(&offer())).expect("tags").to_string();
    assert!(of_session.starts_with(SESSION), "{of_session}");
    assert_eq!(of_session.matches("ice-pwd").count(), 1);

    let own = |ufrag: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{OTHER_PWD}\r\n");
    let of_sections = sdp(&format!("{SECTION}a=mid:1\r\n{}{SECTION}a=mid:2\r\n{}", own("own1"), own("own2")));
    let text = Fragment::of(&of_sections).expect("tags").to_string();
    assert!(text.starts_with("m="), "{text}");
    assert_eq!(text.matches("ice-pwd").count(), 2);
    let read = fragment(&text);
    let ufrag = |name: &str| read.parameters(&mid(name)).map(|parameters| parameters.ufrag.to_string());
    assert_eq!((ufrag("1").as_deref(), ufrag("2").as_deref()), (Some("own1"), Some("own2")));
    assert!(read.belongs_to(&of_sections));
}

#[test]
fn rfc8840_4_4_a_fragment_of_another_generation_is_told_apart() {
    let current = sdp(&offer());
    assert!(fragment(&body(CREDENTIALS)).belongs_to(&current));
    assert!(
        fragment(&format!("{CREDENTIALS}a=end-of-candidates\r\n")).belongs_to(&current),
        "without a section"
    );
    for other in [
        CREDENTIALS.replace(UFRAG, "old1"),
        CREDENTIALS.replace(PWD, OTHER_PWD),
        format!("a=ice-ufrag:{UFRAG}\r\n"),
        format!("a=ice-pwd:{PWD}\r\n"),
        String::new(),
    ] {
        assert!(!fragment(&body(&other)).belongs_to(&current), "{other}");
        assert!(!fragment(&format!("{other}a=end-of-candidates\r\n")).belongs_to(&current), "{other}");
    }
    let stranger = body(CREDENTIALS).replace("a=mid:2", "a=mid:3");
    assert!(!fragment(&stranger).belongs_to(&current), "a section that the description does not have");
    assert!(!fragment(CREDENTIALS).belongs_to(&sdp("")));
}

#[test]
fn rfc8840_4_4_every_body_repeats_the_one_before_and_adds_at_the_end() {
    let mut ours = Fragment::of(&sdp(&format!("{SESSION}{SECTION}a=mid:1\r\n{HOST}"))).expect("tags");
    let first = ours.to_string();
    let added = line("candidate:9 1 udp 2 2001:db8::1 7 typ host");
    ours.add_candidate(&mid("1"), added.clone()).expect("a section");
    ours.add_candidate(&mid("1"), added).expect("it is there already");
    let second = ours.to_string();
    assert_eq!(second, format!("{first}a=candidate:9 1 udp 2 2001:db8::1 7 typ host\r\n"));
    assert_eq!(ours.add_candidate(&mid("2"), line(&HOST.trim_end()[2..])), Err(FragmentError::NoSuchSection));
}

#[test]
fn trk_08_nothing_new_after_the_end_which_tells_its_generation() {
    let (one, two) = (mid("1"), mid("2"));
    let new = || line("candidate:9 1 udp 2 2001:db8::1 7 typ host");
    let mut ours = Fragment::of(&sdp(&offer())).expect("tags");
    ours.end_section(&one).expect("a section");
    assert_eq!((ours.has_ended(&one), ours.has_ended(&two)), (true, false));
    assert_eq!(ours.add_candidate(&one, new()), Err(FragmentError::Ended));
    ours.add_candidate(&two, new()).expect("not ended");
    ours.end();
    assert_eq!((ours.has_ended(&one), ours.has_ended(&two)), (true, true));
    assert_eq!(ours.add_candidate(&two, line(&HOST.trim_end()[2..])), Err(FragmentError::Ended));
    ours.add_candidate(&two, new()).expect("a repetition is nothing new");
    let text = ours.to_string();
    assert!(text.contains("a=ice-ufrag:8hhY\r\n") && text.contains("a=ice-pwd:"), "{text}");
    let (session, _) = text.split_once("m=").expect("a section");
    assert!(session.contains("a=end-of-candidates\r\n"), "{text}");
    assert_eq!(ours.end_section(&mid("3")), Err(FragmentError::NoSuchSection));
}

#[test]
fn rfc8840_4_4_the_end_is_of_the_session_or_of_a_section() {
    let of_section = fragment(&format!("{}a=end-of-candidates\r\n", body(CREDENTIALS)));
    assert_eq!([of_section.has_ended(&mid("1")), of_section.has_ended(&mid("2"))], [false, true]);
    let of_session = fragment(&body(&format!("{CREDENTIALS}a=end-of-candidates\r\n")));
    assert_eq!([of_session.has_ended(&mid("1")), of_session.has_ended(&mid("2"))], [true, true]);
    let description = session(&format!("{SECTION}{SECTION}a=end-of-candidates\r\n"));
    assert_eq!(
        [description.has_ended(0), description.has_ended(1), description.has_ended(2)],
        [false, true, false]
    );
}

#[test]
fn rfc8840_4_4_known_candidates_are_left_out_and_the_order_is_kept() {
    let lines = |texts: &[&str]| texts.iter().map(|text| line(text)).collect::<Vec<CandidateLine>>();
    let known = lines(&["1 1 udp 7 192.0.2.1 5 typ host", "1 2 udp 7 192.0.2.1 6 typ host"]);
    let received = lines(&[
        "3 1 udp 1 192.0.2.9 9 typ host",
        "8 1 udp 9 192.0.2.1 5 typ srflx raddr 0.0.0.0 rport 9",
        "1 2 udp 7 192.0.2.1 5 typ host",
        "1 1 tcp 7 192.0.2.1 5 typ host tcptype passive",
        "3 1 udp 1 192.0.2.9 9 typ host generation 0",
        "1 1 udp 7 192.0.2.2 5 typ host",
        "1 1 udp 7 192.0.2.1 7 typ host",
    ]);
    let new: Vec<&CandidateLine> = new_candidates(&known, &received).collect();
    // The second has the address, port, transport and component of a known one, whatever else it says.
    let expected: Vec<&CandidateLine> = [0, 2, 3, 5, 6].iter().map(|at| &received[*at]).collect();
    assert_eq!(new, expected);
    assert_eq!(new_candidates(&received, &received).count(), 0);
    assert_eq!(new_candidates(&[], &known).count(), 2);
}

#[test]
fn rfc8840_4_1_1_who_trickles_has_a_tag_in_every_section() {
    let without = sdp(&format!("{SESSION}{SECTION}a=mid:1\r\n{SECTION}"));
    assert_eq!(Fragment::of(&without).err(), Some(FragmentError::NoMid));
    let unused = sdp(&format!("{SESSION}{SECTION}a=mid:1\r\n{}", SECTION.replace("45664", "0")));
    assert_eq!(Fragment::of(&unused).expect("the other is not in use").sections().count(), 1);
    let lost = format!("{CREDENTIALS}m=audio 9 RTP/AVP 0\r\n{HOST}");
    assert_eq!(lost.parse::<Fragment>().err(), Some(SdpError { line: 3, fault: SdpFault::NoMid }));
    assert_eq!(fragment(&format!("{CREDENTIALS}m=audio 9 RTP/AVP 0\r\n")).sections().count(), 0);
}

#[test]
fn rfc8840_7_the_answerer_tells_the_bundle() {
    let mut ours = Fragment::new(&parameters("ice2"));
    ours.add_section(mid("foo")).expect("room");
    ours.set_bundle(BundleGroup::new([mid("foo"), mid("bar")]).expect("two"));
    let text = ours.to_string();
    assert!(text.starts_with("a=group:BUNDLE foo bar\r\n"), "{text}");
    assert_eq!(fragment(&text).session().bundles[0].mids(), [mid("foo"), mid("bar")]);
}

#[test]
fn rfc8840_9_2_unknown_attributes_are_ignored() {
    let text = body(&format!("{CREDENTIALS}a=x-new:1\r\na=charset:utf-8\r\nx=1\r\n"));
    let text = text.replace("a=mid:1\r\n", "a=x-other\r\na=mid:1\r\na=rtcp\r\na=extmap:1 \u{e4}\r\n");
    assert_eq!(fragment(&text).to_string(), body(CREDENTIALS));
}

#[test]
fn s03_a_fragment_has_room_for_so_many_candidates() {
    let mut ours = Fragment::of(&sdp(&offer())).expect("tags");
    let numbered = |port: usize| line(&format!("1 1 udp 1 192.0.2.1 {port} typ host"));
    for port in 1..=MAX_CANDIDATES {
        ours.add_candidate(&mid("1"), numbered(port)).expect("room");
    }
    assert_eq!(ours.add_candidate(&mid("1"), numbered(MAX_CANDIDATES + 1)), Err(FragmentError::Full));
    let text = ours.to_string();
    assert_eq!(fragment(&text).ignored(), 0);
    let written = |port| format!("a={}\r\n", numbered(port));
    let (last, beyond) = (written(MAX_CANDIDATES), written(MAX_CANDIDATES + 1));
    let more = text.replace(&last, &format!("{last}{}", beyond.repeat(3)));
    assert_eq!(fragment(&more).ignored(), 3);
}

#[test]
fn a_fragment_tells_parameters_before_the_answer_does() {
    let read = fragment(&body(&format!("a=ice-lite\r\na=ice-options:ice2 trickle\r\n{CREDENTIALS}")));
    let theirs = read.parameters(&mid("2")).expect("a section with credentials");
    assert!(theirs.lite && theirs.options.has(IceOptions::TRICKLE) && theirs.ufrag.as_str() == UFRAG);
    assert!(read.parameters(&mid("3")).is_none());
    assert!(fragment(&body("")).parameters(&mid("1")).is_none());
}

#[test]
fn rfc8840_9_2_a_mismatch_in_a_fragment_hides_none_of_its_candidates() {
    let read = fragment(&format!(
        "{CREDENTIALS}m=audio 9 RTP/AVP 0\r\na=mid:1\r\n{HOST}a=ice-mismatch\r\na=end-of-candidates\r\n"
    ));
    let again = fragment(&read.to_string());
    let mid = "1".parse().expect("a tag");
    assert_eq!(again.section(&mid).expect("a section").candidates.len(), 1);
    assert!(again.has_ended(&mid) && !again.to_string().contains("mismatch"));
}
