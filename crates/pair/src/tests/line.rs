use alloc::vec::Vec;
use core::net::IpAddr;
use std::format;
use std::string::{String, ToString};

use super::{address, host, line};
use crate::{
    Candidate, CandidateError, CandidateLine, CandidateType, ComponentId, ConnectionAddress, ExtensionError,
    Field, HostName, Priority, TcpType, Transport,
};

/// Lines as current browsers and stacks write them; each must come back as it is, its extensions included.
const AS_WRITTEN: &[&str] = &[
    // Chrome and other users of libwebrtc.
    "candidate:2999745851 1 udp 2113937151 192.0.2.10 51472 typ host generation 0 ufrag EsAw network-id 1 network-cost 10",
    "candidate:842163049 1 udp 1677729535 203.0.113.7 51472 typ srflx raddr 192.0.2.10 rport 51472 generation 0 ufrag EsAw network-id 1 network-cost 10",
    "candidate:842163049 1 udp 1677729535 203.0.113.7 40678 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EsAw network-cost 999",
    "candidate:1052363018 1 udp 33562367 198.51.100.9 60123 typ relay raddr 203.0.113.7 rport 51472 generation 0 ufrag EsAw network-id 3 network-cost 50",
    "candidate:3471623853 1 udp 2122194687 2001:db8:1::8f 50233 typ host generation 0 ufrag g+8/ network-id 2",
    "candidate:4233069003 1 tcp 1518283007 192.0.2.10 9 typ host tcptype active generation 0 ufrag EsAw network-id 1 network-cost 10",
    "candidate:1467250027 1 udp 2122260223 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 46243 typ host generation 0 ufrag EsAw network-cost 999",
    // Safari.
    "candidate:842163049 1 udp 1677729535 203.0.113.7 49203 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag 4ZcD network-cost 999",
    "candidate:1 1 udp 2113937151 2579ef4b-50ae-4bfe-95af-70b3376ecb9c.local 53122 typ host generation 0 ufrag 4ZcD network-cost 999",
    // Media servers.
    "candidate:udpcandidate 1 udp 1076302079 203.0.113.40 44444 typ host",
    "candidate:tcpcandidate 1 tcp 1076276479 203.0.113.40 44444 typ host tcptype passive",
    "candidate:Hc0a80164 2 udp 2130706430 192.168.1.100 4001 typ host",
];

#[test]
fn p10_lines_of_browsers_come_back_as_they_are() {
    for text in AS_WRITTEN {
        assert_eq!(line(text).to_string(), *text);
    }
}

#[test]
fn p10_lines_in_another_spelling_come_back_in_ours() {
    #[track_caller]
    fn is(text: &str, expected: &str) {
        let read = line(text);
        assert_eq!(read.to_string(), expected);
        assert_eq!(line(expected), read);
    }
    // Firefox.
    is(
        "candidate:0 1 UDP 2122252543 7bb6a9a5-0c9f-4f4d-9a33-5b1b0a9e3c11.local 57149 typ host",
        "candidate:0 1 udp 2122252543 7bb6a9a5-0c9f-4f4d-9a33-5b1b0a9e3c11.local 57149 typ host",
    );
    is(
        "candidate:1 1 UDP 1686052863 203.0.113.7 57149 typ srflx raddr 0.0.0.0 rport 0",
        "candidate:1 1 udp 1686052863 203.0.113.7 57149 typ srflx raddr 0.0.0.0 rport 0",
    );
    is(
        "candidate:2 1 TCP 2105524479 192.0.2.10 9 typ host tcptype active",
        "candidate:2 1 tcp 2105524479 192.0.2.10 9 typ host tcptype active",
    );
    // Related address after tcptype, as some stacks write it, and after an extension.
    is(
        "candidate:5 1 tcp 1 203.0.113.7 9 typ srflx tcptype active raddr 192.0.2.1 rport 7 generation 0",
        "candidate:5 1 tcp 1 203.0.113.7 9 typ srflx raddr 192.0.2.1 rport 7 tcptype active generation 0",
    );
    is(
        "candidate:5 1 tcp 1 203.0.113.7 5 typ host generation 0 TCPTYPE Passive x y",
        "candidate:5 1 tcp 1 203.0.113.7 5 typ host tcptype passive generation 0 x y",
    );
    // The attribute as in SDP, without its name, with a line end, with more spaces than needed.
    let plain = "candidate:1 1 udp 9 192.0.2.1 5 typ host generation 0";
    is("a=candidate:1 1 udp 9 192.0.2.1 5 typ host generation 0\r\n", plain);
    is("1 1 udp 9 192.0.2.1 5 typ host generation 0", plain);
    is("candidate: 1 1  udp 9 192.0.2.1 5 TYP HOST  generation 0  ", plain);
    // Zones name interfaces of the sender; IPv4 in another dress.
    is("candidate:1 1 udp 9 fe80::1%eth0 5 typ host", "candidate:1 1 udp 9 fe80::1 5 typ host");
    is("candidate:1 1 udp 9 ::ffff:192.0.2.1 5 typ host", "candidate:1 1 udp 9 192.0.2.1 5 typ host");
}

#[test]
fn oth_02_unknown_extensions_are_kept_in_order() {
    let read = line("candidate:1 1 udp 9 192.0.2.1 5 typ host b 2 a 1 b 3 empty  tcptype weird last");
    let found: Vec<_> = read.extensions().collect();
    assert_eq!(
        found,
        [("b", "2"), ("a", "1"), ("b", "3"), ("empty", ""), ("tcptype", "weird"), ("last", "")]
    );
    assert_eq!((read.extension("b"), read.extension("none")), (Some("2"), None));
    assert_eq!(line(&read.to_string()), read);
    assert_eq!(line("candidate:1 1 udp 9 192.0.2.1 5 typ host").extensions().count(), 0);
}

#[test]
fn oth_02_the_username_fragment_names_the_generation() {
    assert_eq!(line(AS_WRITTEN[0]).ufrag(), Some("EsAw"));
    assert_eq!(line("candidate:1 1 udp 9 192.0.2.1 5 typ host").ufrag(), None);
    assert_eq!(line("candidate:1 1 udp 9 192.0.2.1 5 typ host ufrag  network-cost 999").ufrag(), None);
}

#[test]
fn oth_02_a_hidden_related_address_is_accepted() {
    for hidden in ["0.0.0.0:9", "[::]:9", "0.0.0.0:0"] {
        let hidden = address(hidden);
        let (ip, port) = (hidden.ip(), hidden.port());
        let text = format!("candidate:1 1 udp 9 192.0.2.1 5 typ srflx raddr {ip} rport {port}");
        assert_eq!(line(&text).candidate().and_then(|candidate| candidate.related), Some(hidden));
        assert_eq!(line(&text).to_string(), text);
    }
}

#[test]
fn oth_02_a_related_address_that_cannot_be_read_costs_no_candidate() {
    let ends = [
        "raddr a.b rport 9",
        "raddr 1.2.3.4.5 rport 9",
        "raddr 192.0.2.1 rport 70000",
        "raddr 192.0.2.1",
        "rport 9",
        "rport 9 generation 0",
        "raddr 192.0.2.1 tcptype so",
    ];
    for end in ends {
        let text = format!("candidate:1 1 udp 9 192.0.2.1 5 typ srflx {end}");
        let read = line(&text);
        assert_eq!(read.related(), None, "{text}");
        assert_eq!(read.to_string(), text);
        assert!(read.candidate().is_some_and(|candidate| candidate.related.is_none()));
    }
    // Absent at all: the RFC asks the sender for it, and some leave it out.
    assert_eq!(line("candidate:1 1 udp 9 192.0.2.1 5 typ relay generation 2").related(), None);
    // The first of each counts, the second is one more extension.
    let twice = "candidate:1 1 udp 9 192.0.2.1 5 typ srflx raddr 192.0.2.7 rport 7 raddr 192.0.2.8 rport 8";
    assert_eq!(line(twice).candidate().and_then(|candidate| candidate.related), Some(address("192.0.2.7:7")));
    assert_eq!(line(twice).to_string(), twice);
    // A name is fine, and means nothing here.
    let named = line("candidate:1 1 udp 9 192.0.2.1 5 typ srflx raddr host.example.org rport 5");
    assert!(named.related().is_some_and(|related| related.address.ip().is_none() && related.port == 5));
    assert!(named.candidate().is_some_and(|candidate| candidate.related.is_none()));
}

#[test]
fn oth_02_names_are_parsed_and_printed_and_only_uuid_local_is_resolved() {
    #[track_caller]
    fn is(name: &str, mdns: bool) {
        let text = format!("candidate:1 1 udp 9 {name} 5 typ host");
        let read = line(&text);
        assert_eq!(read.to_string(), text);
        assert_eq!(read.candidate(), None);
        assert_eq!(read.name().map(|name| (name.as_str(), name.is_mdns_candidate())), Some((name, mdns)));
    }
    is("1f4712db-ea17-4bcf-a596-105139dfd8bf.local", true);
    is("1F4712DB-EA17-4BCF-A596-105139DFD8BF.LOCAL", true);
    is("host.example.org", false);
    is("printer.local", false);
    is("localhost", false);
    is("1f4712db-ea17-4bcf-a596-105139dfd8bf.local.", false);
    is("1f4712db-ea17-4bcf-a596-105139dfd8bf.local.example", false);
    is("a.1f4712db-ea17-4bcf-a596-105139dfd8bf.local", false);
    is("1f4712db-ea17-4bcf-a596-105139dfd8bg.local", false);
    is("1f4712dbea17-4bcf-a596-105139dfd8bf-4bcf.local", false);
    is("1f4712db-ea17-4bcf-a596-105139dfd8bf-.local", false);
    is("1f4712db-ea17-4bcf-a596-105139dfd8bf", false);
}

#[test]
fn oth_02_a_resolved_name_is_a_candidate() {
    let read = line(AS_WRITTEN[6]);
    let ip: IpAddr = "192.0.2.77".parse().expect("IPv4");
    let candidate = read.resolved(ip);
    assert_eq!(candidate.address, address("192.0.2.77:46243"));
    assert_eq!((candidate.priority, &candidate.foundation), (read.priority(), read.foundation()));
    let concealed = CandidateLine::from(&candidate).with_name(read.name().expect("a name").clone());
    assert_eq!(
        concealed.to_string(),
        "candidate:1467250027 1 udp 2122260223 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 46243 typ host"
    );
}

#[test]
fn host_names_have_bounds() {
    let name = |length| HostName::new(&"a".repeat(length)).is_some();
    assert_eq!([3, 4, 253, 254].map(name), [false, true, true, false]);
    assert_eq!(HostName::new("a_b.local"), None);
    assert_eq!(HostName::new("1234.5"), None);
}

#[track_caller]
fn refused(text: &str, ignorable: bool, expected: CandidateError) {
    let error = text.parse::<CandidateLine>().expect_err(text);
    assert_eq!(error, expected, "{text}");
    assert_eq!(error.is_ignorable(), ignorable, "{text}");
    assert!(!error.to_string().is_empty());
}

#[test]
fn oth_02_what_only_this_agent_cannot_use_is_told_apart() {
    use CandidateError::{
        MissingTcpType, OutOfRange, PortZero, UnknownAddressFamily, UnknownTransport, UnknownType,
    };
    refused("candidate:1 1 sctp 9 192.0.2.1 5 typ host", true, UnknownTransport { at: 14 });
    refused("candidate:1 1 ssltcp 9 192.0.2.1 5 typ host", true, UnknownTransport { at: 14 });
    refused("candidate:1 1 tcp 9 192.0.2.1 5 typ host tcptype both", true, UnknownTransport { at: 49 });
    refused("candidate:1 1 tcp 9 192.0.2.1 5 typ host", true, MissingTcpType);
    refused("candidate:1 1 udp 9 x25:12345 5 typ host", true, UnknownAddressFamily { at: 20 });
    refused("candidate:1 1 udp 9 host_name 5 typ host", true, UnknownAddressFamily { at: 20 });
    refused("candidate:1 1 udp 9 192.0.2.1 5 typ magic", true, UnknownType { at: 36 });
    refused("candidate:1 1 udp 9 192.0.2.1 0 typ host", true, PortZero { at: 30 });
    let priority = OutOfRange { field: Field::Priority, at: 18 };
    refused("candidate:1 1 udp 0 192.0.2.1 5 typ host", true, priority);
    refused("candidate:1 1 udp 2147483648 192.0.2.1 5 typ host", true, priority);
    refused("candidate:1 1 udp 4294967296 192.0.2.1 5 typ host", true, priority);
    refused("candidate:1 1 udp 9999999999 192.0.2.1 5 typ host", true, priority);
}

#[test]
fn oth_02_priorities_within_the_range() {
    for priority in [1, (1 << 31) - 1] {
        let read = line(&format!("candidate:1 1 udp {priority} 192.0.2.1 5 typ host"));
        assert_eq!(Some(read.priority()), Priority::new(priority));
    }
}

#[test]
fn a_broken_line_names_the_field_and_its_place() {
    use CandidateError::{Malformed, Missing, NotVisible, OutOfRange};
    let malformed = |field, at| Malformed { field, at };
    refused("", false, Missing { field: Field::Foundation });
    refused("candidate:", false, Missing { field: Field::Foundation });
    refused("a=candidate:a-b 1 udp 9 192.0.2.1 5 typ host", false, malformed(Field::Foundation, 12));
    refused(&format!("candidate:{} 1", "f".repeat(33)), false, malformed(Field::Foundation, 10));
    refused("candidate:1 x udp 9 192.0.2.1 5 typ host", false, malformed(Field::Component, 12));
    refused("candidate:1 0001 udp 9 192.0.2.1 5 typ host", false, malformed(Field::Component, 12));
    refused("candidate:1 -1 udp 9 192.0.2.1 5 typ host", false, malformed(Field::Component, 12));
    refused(
        "candidate:1 0 udp 9 192.0.2.1 5 typ host",
        false,
        OutOfRange { field: Field::Component, at: 12 },
    );
    refused(
        "candidate:1 257 udp 9 192.0.2.1 5 typ host",
        false,
        OutOfRange { field: Field::Component, at: 12 },
    );
    refused("candidate:1 1", false, Missing { field: Field::Transport });
    refused("candidate:1 1 udp", false, Missing { field: Field::Priority });
    refused("candidate:1 1 udp +9 192.0.2.1 5 typ host", false, malformed(Field::Priority, 18));
    refused("candidate:1 1 udp 00000000001 192.0.2.1 5 typ host", false, malformed(Field::Priority, 18));
    refused("candidate:1 1 udp 9", false, Missing { field: Field::Address });
    refused("candidate:1 1 udp 9 192.0.2 5 typ host", false, malformed(Field::Address, 20));
    refused("candidate:1 1 udp 9 192.0.2.256 5 typ host", false, malformed(Field::Address, 20));
    refused("candidate:1 1 udp 9 2001:db8:::1 5 typ host", false, malformed(Field::Address, 20));
    refused("candidate:1 1 udp 9 192.0.2.1", false, Missing { field: Field::Port });
    refused("candidate:1 1 udp 9 192.0.2.1 65536 typ host", false, OutOfRange { field: Field::Port, at: 30 });
    refused("candidate:1 1 udp 9 192.0.2.1 x typ host", false, malformed(Field::Port, 30));
    refused("candidate:1 1 udp 9 192.0.2.1 5", false, Missing { field: Field::Type });
    refused("candidate:1 1 udp 9 192.0.2.1 5 host", false, malformed(Field::Type, 32));
    refused("candidate:1 1 udp 9 192.0.2.1 5 typ", false, Missing { field: Field::Type });
    refused("candidate:1 1\tudp 9 192.0.2.1 5 typ host", false, NotVisible { at: 13 });
    refused("candidate:1 1 udp 9 192.0.2.1 5 typ host\r\na=x", false, NotVisible { at: 40 });
    refused("candidate:1 1 udp 9 192.0.2.1 5 typ host n \u{e4}", false, NotVisible { at: 43 });
    refused("candidate:1 1 udp 9 192.0.2.1 5 typ host a\0b c", false, NotVisible { at: 42 });
}

#[test]
fn s03_lines_have_a_bound() {
    let fields = "candidate:1 1 udp 9 192.0.2.1 5 typ host x ";
    let of_length = |length: usize| {
        let text: String = format!("{fields}{}", "v".repeat(length - fields.len()));
        text.parse::<CandidateLine>()
    };
    let longest = of_length(CandidateLine::MAX_LENGTH).expect("as long as it may be");
    assert_eq!(longest.to_string().len(), CandidateLine::MAX_LENGTH);
    let length = CandidateLine::MAX_LENGTH + 1;
    assert_eq!(of_length(length), Err(CandidateError::TooLong { length }));
    assert_eq!(longest.with_extension("y", ""), Err(ExtensionError::TooLong));
    // Short enough only without the `candidate:` it is written with.
    let text = format!(
        "{}{}",
        &fields["candidate:".len()..],
        "v".repeat(CandidateLine::MAX_LENGTH + 10 - fields.len())
    );
    assert_eq!(text.len(), CandidateLine::MAX_LENGTH);
    assert_eq!(
        text.parse::<CandidateLine>(),
        Err(CandidateError::TooLong { length: CandidateLine::MAX_LENGTH + 10 })
    );
}

#[test]
fn extensions_of_our_own() {
    let plain = line("candidate:1 1 udp 9 192.0.2.1 5 typ host");
    let with = |name, value| plain.clone().with_extension(name, value);
    let both = with("ufrag", "abcd").and_then(|line| line.with_extension("empty", ""));
    assert_eq!(
        both.map(|line| line.to_string()),
        Ok("candidate:1 1 udp 9 192.0.2.1 5 typ host ufrag abcd empty ".into())
    );
    for name in ["", "a b", "raddr", "RPORT", "tcptype", "x\r\n", "x:y"] {
        assert_eq!(with(name, "1"), Err(ExtensionError::Name), "{name:?}");
    }
    for value in ["a b", "a\r\nb", "\u{e4}"] {
        assert_eq!(with("x", value), Err(ExtensionError::Value), "{value:?}");
    }
}

#[test]
fn tcp_02_active_candidates_are_signalled_with_port_9() {
    let print = |tcp_type| CandidateLine::from(&host(Transport::Tcp(tcp_type), "192.0.2.1:5000")).to_string();
    assert_eq!(print(TcpType::Active), "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active");
    assert_eq!(print(TcpType::Passive), "candidate:1 1 tcp 1 192.0.2.1 5000 typ host tcptype passive");
    assert_eq!(print(TcpType::SimultaneousOpen), "candidate:1 1 tcp 1 192.0.2.1 5000 typ host tcptype so");
    let active = line("candidate:1 1 tcp 1 192.0.2.1 0 typ host tcptype active");
    assert_eq!(active.port(), 0, "some agents write 0, which does no harm");
}

#[test]
fn what_is_signalled_of_a_candidate() {
    let candidate = Candidate {
        component: ComponentId::RTCP,
        kind: CandidateType::ServerReflexive,
        priority: Priority::new(1_694_498_815).expect("in range"),
        foundation: "2".parse().expect("a foundation"),
        related: Some(address("203.0.113.141:8998")),
        ..host(Transport::Udp, "192.0.2.3:45664")
    };
    let read = CandidateLine::from(&candidate);
    assert_eq!(
        read.to_string(),
        "candidate:2 2 udp 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"
    );
    assert_eq!(read.candidate().as_ref(), Some(&candidate));
    let found = (read.component(), read.kind(), read.transport(), read.port());
    assert_eq!(found, (ComponentId::RTCP, CandidateType::ServerReflexive, Transport::Udp, 45664));
    assert_eq!(read.address(), &ConnectionAddress::Ip(candidate.address.ip()));
    // RFC 8839 §5.1: a host candidate has no related address, and a scope means nothing to the peer.
    let host = Candidate { kind: CandidateType::Host, address: address("[fe80::1%3]:5"), ..candidate };
    assert_eq!(CandidateLine::from(&host).to_string(), "candidate:2 2 udp 1694498815 fe80::1 5 typ host");
}
