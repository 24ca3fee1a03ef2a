use std::string::ToString;

use super::super::line;
use super::{SECTION, session};
use crate::sdp::{CandidateInitError, IceCandidateInit, Mid, SectionName, Trickled};
use crate::{CandidateError, CredentialError, Ufrag};

const LINE: &str = "candidate:1 1 udp 2130706431 192.0.2.33 10000 typ host";

fn init(candidate: &str, mid: Option<&str>, index: Option<u16>, ufrag: Option<&str>) -> IceCandidateInit {
    IceCandidateInit {
        candidate: candidate.into(),
        sdp_mid: mid.map(Into::into),
        sdp_m_line_index: index,
        username_fragment: ufrag.map(Into::into),
    }
}

fn read(init: &IceCandidateInit) -> Result<Trickled, CandidateInitError> {
    Trickled::try_from(init)
}

fn mid(text: &str) -> Mid {
    text.parse().expect("a token")
}

fn ufrag(text: &str) -> Ufrag {
    text.parse().expect("a fragment")
}

#[test]
fn a_candidate_with_its_section_and_generation() {
    let section = SectionName::MidAndIndex(mid("0"), 0);
    let whole = Trickled::Candidate { line: line(LINE), section, ufrag: Some(ufrag("8hhY")) };
    let written = init(LINE, Some("0"), Some(0), Some("8hhY"));
    assert_eq!(read(&written), Ok(whole.clone()));
    assert_eq!(IceCandidateInit::from(&whole), written);
    let by = |mid, index| match read(&init(LINE, mid, index, None)) {
        Ok(Trickled::Candidate { section, .. }) => section,
        other => panic!("{other:?}"),
    };
    assert_eq!(by(Some("audio"), None), SectionName::Mid(mid("audio")));
    assert_eq!(by(None, Some(3)), SectionName::Index(3));
    assert_eq!(by(Some(""), Some(3)), SectionName::Index(3), "an empty tag is none");
}

#[test]
fn rfc8829_4_1_19_a_candidate_without_a_section_is_an_error() {
    assert_eq!(read(&init(LINE, None, None, Some("8hhY"))), Err(CandidateInitError::NoSection));
    assert_eq!(read(&init(LINE, Some(""), None, None)), Err(CandidateInitError::NoSection));
}

#[test]
fn an_empty_candidate_is_the_end() {
    let end = |section, ufrag| Ok(Trickled::EndOfCandidates { section, ufrag });
    assert_eq!(read(&IceCandidateInit::default()), end(None, None));
    assert_eq!(read(&init("", None, Some(1), None)), end(Some(SectionName::Index(1)), None));
    let of_one = init("", Some("a"), None, Some("8hhY"));
    assert_eq!(read(&of_one), end(Some(SectionName::Mid(mid("a"))), Some(ufrag("8hhY"))));
    assert_eq!(IceCandidateInit::from(&read(&of_one).expect("the end")), of_one);
}

#[test]
fn trk_10_the_generation_by_the_object_or_by_the_line() {
    let of = |line: &str, told: Option<&str>| match read(&init(line, Some("0"), None, told)) {
        Ok(Trickled::Candidate { ufrag, .. }) => ufrag.map(|ufrag| ufrag.to_string()),
        other => panic!("{other:?}"),
    };
    let with = std::format!("{LINE} generation 0 ufrag 8hhY network-cost 50");
    assert_eq!(of(&with, None).as_deref(), Some("8hhY"));
    assert_eq!(of(&with, Some("9uB6")).as_deref(), Some("9uB6"), "the object goes before the line");
    assert_eq!(of(LINE, None), None);
    assert_eq!(of(&std::format!("{LINE} ufrag x"), None), None, "an extension that is none of ours");
    let current = ufrag("8hhY");
    for (told, expected) in [(Some("8hhY"), true), (Some("old1"), false), (None, true)] {
        assert_eq!(read(&init(LINE, Some("0"), None, told)).expect("a candidate").is_of(&current), expected);
        assert_eq!(read(&init("", None, None, told)).expect("the end").is_of(&current), expected);
    }
}

#[test]
fn rfc8829_3_5_2_1_the_tag_goes_before_the_number() {
    let description = session(&std::format!("{SECTION}a=mid:a\r\n{SECTION}a=mid:b\r\n"));
    assert_eq!(SectionName::MidAndIndex(mid("b"), 0).find(&description), Some(1));
    assert_eq!(SectionName::Mid(mid("a")).find(&description), Some(0));
    assert_eq!(SectionName::Index(1).find(&description), Some(1));
    assert_eq!(SectionName::Index(2).find(&description), None);
    assert_eq!(SectionName::MidAndIndex(mid("c"), 0).find(&description), None);
}

#[test]
fn what_is_wrong_is_told() {
    let error = |init: &IceCandidateInit| read(init).expect_err("an error");
    assert_eq!(error(&init(LINE, Some("a b"), None, None)), CandidateInitError::Mid);
    let short = CandidateInitError::Ufrag(CredentialError::Length(1));
    assert_eq!(error(&init(LINE, Some("a"), None, Some("x"))), short);
    let broken = error(&init("candidate:1", Some("a"), None, None));
    assert!(matches!(broken, CandidateInitError::Candidate(error) if !error.is_ignorable()));
    let of_no_use = error(&init("candidate:1 1 ssltcp 1 192.0.2.1 443 typ host", Some("a"), None, None));
    assert!(matches!(of_no_use, CandidateInitError::Candidate(error) if error.is_ignorable()));
    assert_eq!(of_no_use, CandidateInitError::Candidate(CandidateError::UnknownTransport { at: 14 }));
}

#[cfg(feature = "serde")]
mod json {
    use serde_json::{Value, from_str, from_value, json, to_value};

    use super::{LINE, init};
    use crate::sdp::IceCandidateInit;

    #[test]
    fn the_object_of_browsers() {
        let written =
            json!({ "candidate": LINE, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "8hhY" });
        let expected = init(LINE, Some("0"), Some(0), Some("8hhY"));
        assert_eq!(from_value::<IceCandidateInit>(written.clone()).expect("an object"), expected);
        assert_eq!(to_value(&expected).expect("no failure"), written);
        let end = json!({ "candidate": "", "sdpMid": null, "sdpMLineIndex": null, "usernameFragment": null });
        assert_eq!(to_value(IceCandidateInit::default()).expect("no failure"), end);
    }

    #[test]
    fn what_is_missing_or_null_or_unknown() {
        for text in [
            "{}",
            r#"{"candidate":null}"#,
            r#"{"candidate":"","sdpMid":null,"foundation":"1","relayProtocol":null}"#,
        ] {
            assert_eq!(from_str::<IceCandidateInit>(text).expect(text), IceCandidateInit::default());
        }
        let partly = from_str::<IceCandidateInit>(r#"{"sdpMLineIndex":2,"candidate":"candidate:1"}"#);
        assert_eq!(partly.expect("an object"), init("candidate:1", None, Some(2), None));
        for wrong in [r#"{"sdpMLineIndex":-1}"#, r#"{"sdpMLineIndex":65536}"#, r#"{"candidate":5}"#, "[]x"] {
            assert!(from_str::<IceCandidateInit>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(from_value::<Option<IceCandidateInit>>(Value::Null).expect("nothing"), None);
    }
}
