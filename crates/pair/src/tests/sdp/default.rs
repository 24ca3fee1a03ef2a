use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::super::line;
use super::{HOST, REFLEXIVE, RTCP, RTP, SECTION, candidates, section};
use crate::sdp::{IceUse, MAX_CANDIDATES, Media, agreed_components, default_candidate};
use crate::{CandidateLine, Protocol};

const RELAYED: &str = "3 1 udp 5 192.0.2.15 50000 typ relay raddr 192.0.2.3 rport 45664";
const RELAYED_V6: &str = "4 1 udp 9 2001:db8::15 50000 typ relay raddr 192.0.2.3 rport 45664";
const SERVER: &str = "2 1 udp 7 192.0.2.3 45664 typ srflx raddr 10.0.0.1 rport 8998";
const LOCAL: &str = "1 1 udp 99 10.0.0.1 8998 typ host";
const LOCAL_V6: &str = "1 1 udp 100 2001:db8::1 8998 typ host";
const LINK_LOCAL: &str = "1 1 udp 98 fe80::1 8998 typ host";
const NAMED: &str = "1 1 udp 97 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 8998 typ host";
const ACTIVE: &str = "5 1 tcp 6 10.0.0.1 9 typ host tcptype active";
const PASSIVE: &str = "5 1 tcp 8 10.0.0.1 8443 typ host tcptype passive";
const SIMULTANEOUS: &str = "5 1 tcp 9 10.0.0.1 8444 typ host tcptype so";
const RTCP_LINE: &str = "2 2 udp 6 192.0.2.3 45711 typ srflx raddr 10.0.0.1 rport 8999";

fn lines(texts: &[&str]) -> Vec<CandidateLine> {
    texts.iter().map(|text| line(text)).collect()
}

fn chosen(texts: &[&str], protocol: Option<Protocol>) -> Option<String> {
    default_candidate(&lines(texts), RTP, protocol).map(ToString::to_string)
}

#[test]
fn rfc8839_3_the_default_is_what_works_without_ice() {
    let order = [RELAYED, RELAYED_V6, SERVER, LOCAL, LOCAL_V6, ACTIVE, PASSIVE];
    for at in 0..order.len() {
        let mut rest = Vec::from(&order[at..]);
        rest.reverse();
        rest.extend([LINK_LOCAL, NAMED, SIMULTANEOUS, RTCP_LINE]);
        assert_eq!(chosen(&rest, None).as_deref(), Some(&*line(order[at]).to_string()), "{rest:?}");
    }
    assert_eq!(chosen(&[LINK_LOCAL, NAMED, SIMULTANEOUS, RTCP_LINE], None), None);
    let (low, high) = ("7 1 udp 3 192.0.2.8 7 typ host", "7 1 udp 4 192.0.2.9 7 typ host");
    assert_eq!(chosen(&[low, high], None).as_deref(), Some(&*line(high).to_string()));
}

#[test]
fn rfc8839_4_3_2_only_the_protocol_of_the_media_line_counts() {
    let all = [RELAYED, SERVER, LOCAL, PASSIVE];
    assert_eq!(chosen(&all, Some(Protocol::Tcp)).as_deref(), Some(&*line(PASSIVE).to_string()));
    assert_eq!(chosen(&all[..3], Some(Protocol::Tcp)), None);
    let over_tcp = |texts: &[&str]| {
        let media = Media::new("audio 1 TCP/RTP/AVP 0".parse().expect("a line"));
        media.with_candidates(lines(texts)).to_string()
    };
    let text = over_tcp(&all[..3]);
    assert!(text.starts_with("m=audio 9 TCP/RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"), "{text}");
    assert!(over_tcp(&all).starts_with("m=audio 8443 TCP/RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n"));
}

#[test]
fn rfc8839_4_3_1_without_candidates_the_default_is_the_placeholder() {
    let media = |connection: &str| section(&format!("m=audio 7 RTP/AVP 0\r\n{connection}a=rtcp:8\r\n"));
    let text = media("c=IN IP4 10.0.0.1\r\n").with_candidates([]).to_string();
    assert_eq!(text, "m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "no address of RTCP either");
    let text = media("c=IN IP6 2001:db8::1\r\n").with_candidates(lines(&[NAMED])).to_string();
    assert!(text.starts_with("m=audio 9 RTP/AVP 0\r\nc=IN IP6 ::\r\na=candidate"), "{text}");
    // RFC 8840 §4.1.1: without a candidate of RTP there is no address of RTCP.
    let text = media("").with_candidates(lines(&[RTCP_LINE])).to_string();
    assert!(!text.contains("a=rtcp"), "{text}");
}

#[test]
fn rfc8839_4_2_1_2_every_candidate_is_there_and_the_default_is_one_of_them() {
    let texts = [LOCAL, LOCAL_V6, SERVER, RTCP_LINE, RELAYED_V6];
    let media = section(SECTION).with_candidates(lines(&texts));
    assert_eq!(media.candidates, lines(&texts));
    let text = media.to_string();
    let start = "m=audio 50000 RTP/AVP 0\r\nc=IN IP6 2001:db8::15\r\na=rtcp:45711 IN IP4 192.0.2.3\r\n";
    assert!(text.starts_with(start), "{text}");
    assert_eq!(text.matches("a=candidate").count(), 5);
    let description = super::session(&text);
    assert_eq!(description.ice_use(0), Some(IceUse::Usable), "our own never is a mismatch");
    assert_eq!(
        section(SECTION)
            .with_candidates(std::iter::repeat_n(line(LOCAL), MAX_CANDIDATES + 500))
            .candidates
            .len(),
        MAX_CANDIDATES + 500,
        "none is left out unseen"
    );
}

#[test]
fn rfc8839_4_2_2_rtcp_is_told_where_it_is_not_one_above() {
    let rtcp = |port: u16, address: &str| {
        let other = format!("2 2 udp 6 {address} {port} typ host");
        let media = section(SECTION).with_candidates(lines(&[SERVER, &other]));
        media.rtcp.destination.map(|rtcp| rtcp.to_string())
    };
    assert_eq!(rtcp(45665, "192.0.2.3"), None);
    assert_eq!(rtcp(45711, "192.0.2.3").as_deref(), Some("45711"));
    assert_eq!(rtcp(45665, "192.0.2.4").as_deref(), Some("45665 IN IP4 192.0.2.4"));
}

#[test]
fn rfc8839_4_4_1_2_1_before_nomination_nothing_told_is_taken_back() {
    let first = section(&format!("{SECTION}{HOST}{REFLEXIVE}"));
    let more = lines(&[RELAYED, SERVER, LOCAL, PASSIVE]);
    let next = first.clone().with_more_candidates(&more);
    assert!(candidates(&next).starts_with(&candidates(&first)));
    assert_eq!(next.candidates.len(), 4, "two of them are known");
    assert_eq!((next.line.port(), &next.connection), (first.line.port(), &first.connection));
    let none = section("m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n").with_more_candidates(&more);
    assert!(none.to_string().starts_with("m=audio 50000 RTP/AVP 0\r\nc=IN IP4 192.0.2.15\r\n"));
    let full = section(SECTION).with_candidates(std::iter::repeat_n(line(LOCAL), MAX_CANDIDATES));
    assert_eq!(full.with_more_candidates(&more).candidates.len(), MAX_CANDIDATES + 3);
}

#[test]
fn rfc8839_4_2_2_components_of_offer_and_answer() {
    let media = |text: &str| section(&format!("m={text}\r\n"));
    let of = |text: &str| media(text).components();
    assert_eq!(of("audio 7 RTP/AVP 0"), [RTP, RTCP]);
    assert_eq!(of("audio 7 UDP/TLS/RTP/SAVPF 0\r\na=rtcp-mux"), [RTP, RTCP], "until it is answered");
    assert_eq!(of("audio 7 RTP/AVP 0\r\na=rtcp-mux-only"), [RTP]);
    assert_eq!(of("audio 7 RTP/AVP 0\r\nb=RS:0\r\nb=RR:0"), [RTP]);
    assert_eq!(of("audio 7 RTP/AVP 0\r\nb=RS:0"), [RTP, RTCP]);
    assert_eq!(of("application 7 UDP/DTLS/SCTP webrtc-datachannel"), [RTP]);
    let (plain, mux) = (media("audio 7 RTP/AVP 0"), media("audio 7 RTP/AVP 0\r\na=rtcp-mux"));
    let silent = media("audio 7 RTP/AVP 0\r\nb=RS:0\r\nb=RR:0");
    assert_eq!(agreed_components(&mux, &mux), [RTP]);
    assert_eq!(agreed_components(&mux, &plain), [RTP, RTCP]);
    assert_eq!(agreed_components(&plain, &mux), [RTP, RTCP]);
    assert_eq!(agreed_components(&plain, &silent), [RTP]);
    assert_eq!(agreed_components(&silent, &plain), [RTP]);
}

#[test]
fn transports_of_media_lines() {
    for (protocol, transport) in [
        ("RTP/AVP", Some(Protocol::Udp)),
        ("UDP/TLS/RTP/SAVPF", Some(Protocol::Udp)),
        ("DTLS/SCTP", Some(Protocol::Udp)),
        ("udp", Some(Protocol::Udp)),
        ("TCP/RTP/AVP", Some(Protocol::Tcp)),
        ("TCP/DTLS/SCTP", Some(Protocol::Tcp)),
        ("DCCP/RTP/AVP", None),
        ("RTPX", None),
    ] {
        let line: crate::sdp::MediaLine = format!("m=audio 7/2 {protocol} 0 8\r\n").parse().expect("a line");
        assert_eq!((line.transport(), line.protocol(), line.formats()), (transport, protocol, "0 8"));
        assert_eq!((line.media(), line.port()), ("audio", 7));
        assert_eq!(line.to_string(), format!("audio 7 {protocol} 0 8"));
    }
}
