//! Descriptions with the values of the examples in the texts.

use std::string::{String, ToString};
use std::vec::Vec;

use super::super::line;
use super::{OTHER_PWD, PWD, RTP, fragment, sdp};
use crate::sdp::{Fragment, IceUse, RtcpSilence, agreed_components, new_candidates};
use crate::{CandidateType, IceOptions};

const OFFER: &str = "v=0\r\no=jdoe 2890844526 2890842807 IN IP6 fe80::6676:baff:fe9c:ee4a\r\ns=\r\n\
    c=IN IP6 2001:db8:8101:3a55:4858:a2a9:22ff:99b9\r\nt=0 0\r\na=ice-options:ice2\r\na=ice-pacing:50\r\n\
    a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\nm=audio 45664 RTP/AVP 0\r\nb=RS:0\r\nb=RR:0\r\n\
    a=rtpmap:0 PCMU/8000\r\na=candidate:1 1 UDP 2130706431 fe80::6676:baff:fe9c:ee4a 8998 typ host\r\n\
    a=candidate:2 1 UDP 1694498815 2001:db8:8101:3a55:4858:a2a9:22ff:99b9 45664 typ srflx \
    raddr fe80::6676:baff:fe9c:ee4a rport 8998\r\n";

const ANSWER: &str = "v=0\r\no=bob 2808844564 2808844564 IN IP4 192.0.2.1\r\ns=\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    a=ice-options:ice2\r\na=ice-pacing:50\r\na=ice-pwd:YH75Fviy6338Vbrhrlp8Yh\r\na=ice-ufrag:9uB6\r\n\
    m=audio 3478 RTP/AVP 0\r\nb=RS:0\r\nb=RR:0\r\na=rtpmap:0 PCMU/8000\r\n\
    a=candidate:1 1 UDP 2130706431 192.0.2.1 3478 typ host\r\n";

#[test]
fn rfc8839_a_offer_and_answer() {
    let (offer, answer) = (sdp(OFFER), sdp(ANSWER));
    for (description, ufrag, pwd, count) in [(&offer, "8hhY", PWD, 2), (&answer, "9uB6", OTHER_PWD, 1)] {
        let parameters = description.parameters(0).expect("ICE");
        assert_eq!((parameters.ufrag.as_str(), parameters.pwd.expose()), (ufrag, pwd));
        assert!(parameters.options.has(IceOptions::ICE2) && !parameters.lite);
        assert_eq!(description.ice_use(0), Some(IceUse::Usable));
        let media = &description.media[0];
        assert_eq!((media.candidates.len(), media.rtcp.silence), (count, RtcpSilence::Everybody));
    }
    assert_eq!(offer.media[0].candidates[1].kind(), CandidateType::ServerReflexive);
    assert_eq!(agreed_components(&offer.media[0], &answer.media[0]), [RTP]);
}

#[test]
fn rfc8839_a_what_is_written_says_the_same() {
    for text in [OFFER, ANSWER] {
        let written = sdp(text).to_string();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(|line| line.replace(" UDP ", " udp ")).collect();
            lines.retain(|line| !["v", "o", "s", "t"].contains(&&line[..1]) && !line.starts_with("a=rtpmap"));
            lines.sort();
            lines
        };
        assert_eq!(sorted(&written), sorted(text));
    }
}

const INFO: &str = "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\n\
    a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 5000 typ host\r\n\
    a=candidate:1 2 UDP 2130706432 2001:db8:a0b:12f0::1 5001 typ host\r\n\
    a=candidate:1 1 UDP 2130706431 192.0.2.1 5010 typ host\r\n\
    a=candidate:1 2 UDP 2130706431 192.0.2.1 5011 typ host\r\n\
    a=candidate:2 1 UDP 1694498815 192.0.2.3 5010 typ srflx raddr 192.0.2.1 rport 8998\r\n\
    a=candidate:2 2 UDP 1694498815 192.0.2.3 5011 typ srflx raddr 192.0.2.1 rport 8998\r\n\
    a=end-of-candidates\r\nm=audio 9 RTP/AVP 0\r\na=mid:2\r\n\
    a=candidate:1 1 UDP 2130706432 2001:db8:a0b:12f0::1 6000 typ host\r\n\
    a=candidate:2 1 UDP 1694498815 192.0.2.3 6010 typ srflx raddr 192.0.2.1 rport 9998\r\n\
    a=end-of-candidates\r\n";

#[test]
fn rfc8840_4_4_the_body_of_an_info_request() {
    let read = fragment(INFO);
    let found: Vec<_> =
        read.sections().map(|(mid, media)| (mid.to_string(), media.candidates.len())).collect();
    assert_eq!(found, [("1".to_string(), 6), ("2".to_string(), 2)]);
    assert!(read.sections().all(|(mid, _)| read.has_ended(mid)) && !read.session().end_of_candidates);
    let (_, first) = read.sections().next().expect("a section");
    let known = [line("1 2 UDP 1 192.0.2.1 5011 typ host"), line("1 1 UDP 1 192.0.2.3 5010 typ host")];
    assert_eq!(new_candidates(&known, &first.candidates).count(), 4);
    // Written again it has the user fragment first and names in lower case, and nothing else is different.
    let swapped = INFO.replace(" UDP ", " udp ").replacen(
        "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY",
        "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg",
        1,
    );
    assert_eq!(read.to_string(), swapped);
}

#[test]
fn rfc8840_7_a_bundled_offer_and_the_info_before_its_answer() {
    let offer = sdp("v=0\r\no=alice 2890844526 2890844526 IN IP6 atlanta.example.com\r\ns=\r\n\
        c=IN IP6 2001:db8:a0b:12f0::3\r\nt=0 0\r\na=group:BUNDLE foo bar\r\na=ice-pwd:777uzjYhagZgasd88fgpdd\r\n\
        a=ice-ufrag:Yhh8\r\nm=audio 10000 RTP/AVP 0\r\na=mid:foo\r\na=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\n\
        a=extmap 1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        a=candidate:1 1 UDP 1658497328 2001:db8:a0b:12f0::3 10000 typ host\r\nm=video 10002 RTP/AVP 31\r\n\
        a=mid:bar\r\na=rtcp-mux\r\na=rtpmap:31 H261/90000\r\na=extmap 1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n");
    assert_eq!(offer.ice_use(0), Some(IceUse::Usable));
    let info: Fragment = fragment(
        "a=group:BUNDLE foo bar\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\n\
        m=audio 9 RTP/AVP 0\r\na=mid:foo\r\na=rtcp-mux\r\n\
        a=candidate:1 1 UDP 1658497328 2001:db8:a0b:12f0::3 5000 typ host\r\n",
    );
    let (mid, first) = info.sections().next().expect("a section");
    assert_eq!(info.session().bundles[0].mids().len(), 2);
    assert_eq!(agreed_components(&offer.media[0], first), [RTP], "before the answer says so");
    assert_eq!(offer.section(mid), Some(0));
    assert_eq!(info.parameters(mid).expect("credentials").ufrag.as_str(), "8hhY");
}
