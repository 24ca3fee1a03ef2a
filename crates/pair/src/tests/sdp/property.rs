use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::super::{any_candidate, any_ip, ice_chars};
use crate::sdp::{
    BundleGroup, Description, Destination, Fragment, Implementation, Media, Mid, Pacing, RemoteCandidates,
    Rtcp, RtcpDestination, RtcpMux, RtcpSilence, Session, lines,
};
use crate::{CandidateLine, ComponentId, ConnectionAddress, IceOptions};

fn any_mid() -> impl Strategy<Value = Mid> {
    "[a-z0-9!#$%&'*+.^_`{|}~-]{1,16}".prop_map(|text| text.parse().expect("a token"))
}

fn any_connection() -> impl Strategy<Value = ConnectionAddress> {
    any_ip().prop_map(|ip| ConnectionAddress::Ip(ip.to_canonical()))
}

fn any_options() -> impl Strategy<Value = IceOptions> {
    let tags = ["ice2", "trickle", "renomination2", "rtp+ecn", "google-ice"];
    proptest::sample::subsequence(tags.to_vec(), 0..=tags.len())
        .prop_map(|tags| IceOptions::from_tags(tags).expect("known tags"))
}

fn any_remote() -> impl Strategy<Value = Option<RemoteCandidates>> {
    let one = (1..=256_u16, any_connection(), any::<u16>());
    proptest::collection::btree_map(1..=256_u16, one, 0..4).prop_map(|found| {
        RemoteCandidates::new(found.into_iter().map(|(component, (_, address, port))| {
            (ComponentId::new(component).expect("in range"), Destination { address, port })
        }))
    })
}

prop_compose! {
    fn any_rtcp()(
        told in proptest::option::of((any::<u16>(), proptest::option::of(any_connection()))),
        mux in proptest::sample::select(Vec::from([RtcpMux::No, RtcpMux::Yes, RtcpMux::Only])),
        silence in proptest::sample::select(Vec::from(
            [RtcpSilence::Nobody, RtcpSilence::Senders, RtcpSilence::Receivers, RtcpSilence::Everybody],
        )),
    ) -> Rtcp {
        Rtcp { destination: told.map(|(port, address)| RtcpDestination { port, address }), mux, silence }
    }
}

prop_compose! {
    fn any_media()(
        line in ("[a-z]{1,8}", 1..=u16::MAX, "[A-Z/]{1,12}( [0-9]{1,3}){1,4}"),
        connection in proptest::option::of(any_connection()),
        credentials in proptest::option::of((ice_chars(4..=32), ice_chars(22..=40))),
        options in any_options(),
        candidates in proptest::collection::vec(any_candidate(), 0..6),
        remote_candidates in any_remote(),
        rtcp in any_rtcp(),
        end_of_candidates: bool,
    ) -> Media {
        let (media, port, rest) = line;
        let line = format!("{media} {port} {rest}").parse().expect("a media line");
        let ufrag = credentials.as_ref().map(|(ufrag, _)| ufrag.parse().expect("ice-chars"));
        let pwd = credentials.as_ref().map(|(_, pwd)| pwd.parse().expect("ice-chars"));
        let candidates = candidates.iter().map(CandidateLine::from).collect();
        Media {
            connection, ufrag, pwd, options, candidates, remote_candidates, rtcp, end_of_candidates, ..Media::new(line)
        }
    }
}

prop_compose! {
    fn any_description()(
        implementation in prop_oneof![
            Just(Implementation::Lite),
            Just(Implementation::Full(None)),
            (0..=Pacing::MAX_MILLIS).prop_map(|millis| Implementation::Full(Pacing::from_millis(millis))),
        ],
        credentials in proptest::option::of((ice_chars(4..=32), ice_chars(22..=40))),
        options in any_options(),
        end_of_candidates: bool,
        mids in proptest::collection::btree_set(any_mid(), 4),
        media in proptest::collection::vec(any_media(), 0..=4),
    ) -> Description {
        let mids: Vec<Mid> = mids.into_iter().collect();
        let bundles = Vec::from_iter(BundleGroup::new(mids.clone()));
        let ufrag = credentials.as_ref().map(|(ufrag, _)| ufrag.parse().expect("ice-chars"));
        let pwd = credentials.as_ref().map(|(_, pwd)| pwd.parse().expect("ice-chars"));
        let session = Session { implementation, ufrag, pwd, options, end_of_candidates, bundles };
        let media = media.into_iter().zip(mids).map(|(media, mid)| Media { mid: Some(mid), ..media }).collect();
        Description { session, media, ignored: 0 }
    }
}

/// Text of lines that ICE reads, in any order, with some that are nearly right.
fn nearly_sdp() -> impl Strategy<Value = String> {
    let whole = [
        "m=audio 9 RTP/AVP 0",
        "m=video 0 RTP/AVP 31 32",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 2001:db8::1",
        "b=RS:0",
        "b=RR:0",
        "a=ice-ufrag:8hhY",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg",
        "a=ice-options:ice2 trickle",
        "a=ice-lite",
        "a=ice-mismatch",
        "a=ice-pacing:50",
        "a=end-of-candidates",
        "a=mid:a",
        "a=mid:b",
        "a=group:BUNDLE a b",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=bundle-only",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host",
        "a=remote-candidates:1 192.0.2.1 5000",
        "v=0",
        "",
    ];
    let line =
        (proptest::sample::select(whole.to_vec()), any::<prop::sample::Index>(), "[ -~]{0,4}", 0..12_u8);
    let line = line.prop_map(|(text, at, added, mode)| {
        let at = at.index(text.len() + 1);
        match mode {
            0 => text[..at].to_string(),
            1 => format!("{}{added}{}", &text[..at], &text[at..]),
            2 => format!("{text}\r"),
            _ => text.to_string(),
        }
    });
    proptest::collection::vec(line, 0..24).prop_map(|lines| lines.join("\r\n"))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(description in any_description()) {
        let text = description.to_string();
        prop_assert!(text.split_terminator("\r\n").all(|line| line.get(1..2) == Some("=")));
        let read: Description = text.parse().expect("our own text");
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(read.ignored, 0);
        prop_assert_eq!(read.media.len(), description.media.len());
        for (one, other) in read.media.iter().zip(&description.media) {
            prop_assert_eq!(&one.candidates, &other.candidates);
            prop_assert_eq!(&one.remote_candidates, &other.remote_candidates);
            prop_assert_eq!((&one.line, &one.connection, &one.rtcp), (&other.line, &other.connection, &other.rtcp));
        }
    }

    #[test]
    fn a_fragment_that_is_written_is_read_back(description in any_description()) {
        let written = Fragment::of(&description).expect("all sections have a tag");
        let text = written.to_string();
        let read: Fragment = text.parse().expect("our own text");
        prop_assert_eq!(read.to_string(), text);
        for (mid, media) in written.sections() {
            prop_assert_eq!(&read.section(mid).expect("a section").candidates, &media.candidates);
            prop_assert_eq!(read.has_ended(mid), written.has_ended(mid));
        }
        let complete = description.media.iter().all(|media| media.ufrag.is_some())
            || description.session.ufrag.is_some();
        prop_assert_eq!(read.belongs_to(&description), complete && !description.media.is_empty());
    }

    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same(text in nearly_sdp()) {
        if let Ok(read) = text.parse::<Description>() {
            let written = read.to_string();
            let again: Description = written.parse().expect("what was written");
            prop_assert_eq!(again.to_string(), written);
        }
        if let Ok(read) = text.parse::<Fragment>() {
            let written = read.to_string();
            let again: Fragment = written.parse().expect("what was written");
            prop_assert_eq!(again.to_string(), written);
        }
    }

    #[test]
    fn p10_no_text_makes_it_panic(text in "\\PC{0,200}", nearly in nearly_sdp(), cut in any::<prop::sample::Index>()) {
        let mut end = cut.index(nearly.len() + 1);
        while !nearly.is_char_boundary(end) {
            end -= 1;
        }
        for text in [&*text, &nearly, &nearly[..end], &format!("{nearly}\n{text}"), &format!("a=candidate:{text}")] {
            let read = text.parse::<Description>();
            let _ = text.parse::<Fragment>();
            let whole = lines(text).all(|line| line.is_ok());
            // What reads as a whole reads line by line; the other way there are rules between lines.
            prop_assert!(read.is_err() || whole, "{}", text);
            if let Ok(read) = read {
                for section in 0..=read.media.len() {
                    let _ = (read.ice_use(section), read.parameters(section), read.is_old_hold(section));
                }
                let _ = (read.session_use(), read.trickles(), Fragment::of(&read));
                let _ = crate::sdp::check_subsequent(&read, &read);
                let _ = read.media.first().map(|media| (crate::sdp::announced(media), media.components()));
                let _ = read.without_ice().to_string();
            }
        }
    }
}

#[test]
fn most_of_the_texts_that_are_nearly_sdp_are_read() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut read, mut with_media) = (0, 0);
    for _ in 0..1_000 {
        let text = nearly_sdp().new_tree(&mut runner).expect("a text").current();
        if let Ok(description) = text.parse::<Description>() {
            read += 1;
            with_media += usize::from(!description.media.is_empty());
        }
    }
    assert!(read > 200 && with_media > 50, "{read} of 1000, {with_media} with a section");
}
