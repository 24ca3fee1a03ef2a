use floe_stun::attribute::{AdditionalAddressFamily, AddressFamily};

use super::*;

type Fill = fn(&mut MessageWriter<'_>) -> Result<(), WriteError>;

fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let [len_high, len_low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[high, low, len_high, len_low], payload].concat()
}

fn ready(config: ServerConfig) -> (Bench, Client, SocketAddr) {
    let mut bench = Bench::new(config);
    let mut client = Client::challenged(&mut bench);
    let relay = client.allocated(&mut bench);
    (bench, client, relay)
}

/// The peer and payload of the one Data indication in `sent`.
#[track_caller]
fn data_indication(sent: &[ServerTransmit]) -> (SocketAddr, Vec<u8>) {
    let [ServerTransmit { from, to, bytes }] = sent else { panic!("one datagram expected, got {sent:?}") };
    assert_eq!((*from, *to), (listen(), client()));
    let message = Message::parse(bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    let peer = message.get::<XorPeerAddress>().unwrap().unwrap().0;
    (peer, message.get::<Data<'_>>().unwrap().unwrap().0.to_vec())
}

#[test]
fn rfc8656_11_data_flows_both_ways_once_there_is_a_permission() {
    let (mut bench, mut client, relay) = ready(config());
    let send = client.indication(peer(), b"out");
    assert_eq!(bench.send(client.address, &send), []);
    assert_eq!(bench.hear_peer(relay, peer(), b"in"), []);
    assert_eq!(bench.server.counters().not_permitted, 2);

    client.permit(&mut bench, peer()).assert_success();
    let expected = ServerTransmit { from: relay, to: peer(), bytes: b"out".to_vec() };
    assert_eq!(bench.send(client.address, &send), [expected]);
    assert_eq!(data_indication(&bench.hear_peer(relay, peer(), b"in")), (peer(), b"in".to_vec()));
    // RFC 8656 §9: a permission is for an address, whatever the port.
    let other_port = address("203.0.113.9:1");
    assert_eq!(data_indication(&bench.hear_peer(relay, other_port, b"")), (other_port, vec![]));
    assert_eq!(bench.hear_peer(relay, address("203.0.113.8:4000"), b"stranger"), []);
}

#[test]
fn rfc8656_9_permissions_last_300_s_and_only_requests_refresh_them() {
    let (mut bench, mut client, relay) = ready(config());
    client.permit(&mut bench, peer()).assert_success();
    bench.wait_secs(200);
    client.permit(&mut bench, peer()).assert_success();
    let send = client.indication(peer(), b"out");
    bench.wait_secs(299);
    assert_eq!(bench.send(client.address, &send).len(), 1);
    assert_eq!(bench.hear_peer(relay, peer(), b"in").len(), 1);
    bench.wait_secs(1);
    assert_eq!(bench.send(client.address, &send), []);
    assert_eq!(bench.hear_peer(relay, peer(), b"in"), []);
}

#[test]
fn rfc8656_12_channels_carry_data_both_ways_and_bring_the_permission() {
    let (mut bench, mut client, relay) = ready(config());
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b"early")), []);
    client.bind(&mut bench, 0x4001, peer()).assert_success();
    let sent = bench.send(client.address, &channel_data(0x4001, b"out"));
    assert_eq!(sent, [ServerTransmit { from: relay, to: peer(), bytes: b"out".to_vec() }]);
    let padded = [channel_data(0x4001, b"out"), vec![0xAA]].concat();
    assert_eq!(bench.send(client.address, &padded), sent, "trailing bytes are not data");
    let got = bench.hear_peer(relay, peer(), b"in");
    assert_eq!(got[0].bytes, channel_data(0x4001, b"in"));
    let got = bench.hear_peer(relay, address("203.0.113.9:1"), b"in");
    assert_eq!(data_indication(&got).1, b"in", "another port of the peer has no channel");
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b""))[0].bytes, b"");
    for (number, payload) in [(0x4002, &b"x"[..]), (0x5000, b"x"), (0x3FFF, b"x")] {
        assert_eq!(bench.send(client.address, &channel_data(number, payload)), []);
    }
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b"cut")[..6]), []);
}

#[test]
fn rfc8656_12_a_channel_lasts_600_s_and_its_permission_300() {
    let (mut bench, mut client, relay) = ready(config());
    client
        .ask(&mut bench, Method::REFRESH, |w| w.put(&floe_stun::attribute::Lifetime(3_600)))
        .assert_success();
    client.bind(&mut bench, 0x4001, peer()).assert_success();
    bench.wait_secs(300);
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b"out")), [], "no permission");
    client.permit(&mut bench, peer()).assert_success();
    bench.wait_secs(299);
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b"out")).len(), 1);
    bench.wait_secs(1);
    client.permit(&mut bench, peer()).assert_success();
    assert_eq!(bench.send(client.address, &channel_data(0x4001, b"out")), [], "no channel");
    assert_eq!(data_indication(&bench.hear_peer(relay, peer(), b"in")).1, b"in");
    client.bind(&mut bench, 0x4002, peer()).assert_success();
}

#[test]
fn rfc8656_12_2_one_channel_one_peer() {
    let (mut bench, mut client, _) = ready(config());
    let other = address("203.0.113.9:4001");
    client.bind(&mut bench, 0x4000, peer()).assert_success();
    client.bind(&mut bench, 0x4000, peer()).assert_success();
    assert_eq!(client.bind(&mut bench, 0x4000, other).code(), 400);
    assert_eq!(client.bind(&mut bench, 0x4FFF, peer()).code(), 400);
    client.bind(&mut bench, 0x4FFF, other).assert_success();
    let malformed: [Fill; 4] = [
        |writer| writer.put(&XorPeerAddress(peer())),
        |writer| writer.put(&ChannelNumber::new(0x4003).unwrap()),
        |writer| {
            writer.put_raw(AttributeType::CHANNEL_NUMBER, &[0x50, 0, 0, 0])?;
            writer.put(&XorPeerAddress(peer()))
        },
        |writer| {
            writer.put(&ChannelNumber::new(0x4003).unwrap())?;
            writer.put_raw(AttributeType::XOR_PEER_ADDRESS, &[0, 9, 0, 0, 1, 2, 3, 4])
        },
    ];
    for fill in malformed {
        assert_eq!(client.ask(&mut bench, Method::CHANNEL_BIND, fill).code(), 400);
    }
}

#[test]
fn rfc8656_10_2_refusals_of_a_create_permission_request() {
    let (mut bench, mut client, _) = ready(config());
    let peer6 = address("[2001:db8::9]:9");
    let none = client.ask(&mut bench, Method::CREATE_PERMISSION, |_| Ok(()));
    assert_eq!(none.code(), 400);
    assert_eq!(client.permit(&mut bench, peer6).code(), 443);
    assert_eq!(client.bind(&mut bench, 0x4000, peer6).code(), 443);
    let bad = client.ask(&mut bench, Method::CREATE_PERMISSION, |writer| {
        writer.put(&XorPeerAddress(peer()))?;
        writer.put_raw(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 0, 0, 1])
    });
    assert_eq!(bad.code(), 400);
    let send = client.indication(peer(), b"x");
    assert_eq!(bench.send(client.address, &send), [], "all permissions of a request or none");
    let several = client.ask(&mut bench, Method::CREATE_PERMISSION, |writer| {
        (1..=50).try_for_each(|last| writer.put(&XorPeerAddress(SocketAddr::from(([203, 0, 113, last], 0)))))
    });
    several.assert_success();
    assert_eq!(bench.send(client.address, &send).len(), 1);
}

#[test]
fn tables_of_a_client_are_bounded_and_what_expired_makes_room() {
    let mut limited = config();
    (limited.limits.permissions, limited.limits.channels) = (3, 2);
    let (mut bench, mut client, _) = ready(limited);
    let at = |last| SocketAddr::from(([203, 0, 113, last], 7));
    for last in 1..=3 {
        client.permit(&mut bench, at(last)).assert_success();
    }
    assert_eq!(client.permit(&mut bench, at(4)).code(), 508);
    client.permit(&mut bench, at(3)).assert_success();
    assert_eq!(client.bind(&mut bench, 0x4000, at(4)).code(), 508);
    client.bind(&mut bench, 0x4000, at(1)).assert_success();
    client.bind(&mut bench, 0x4001, at(2)).assert_success();
    assert_eq!(client.bind(&mut bench, 0x4002, at(3)).code(), 508);
    bench.wait_secs(300);
    client.permit(&mut bench, at(4)).assert_success();
}

#[test]
fn s17_denied_peers_are_refused_in_every_request_and_dropped_in_data() {
    let mut both = config();
    both.peers = PeerPolicy::default();
    let mut bench = Bench::new(both);
    let mut client = Client::challenged(&mut bench);
    let answer = client.ask(&mut bench, Method::ALLOCATE, |writer| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&AdditionalAddressFamily(AddressFamily::Ipv6))
    });
    assert_eq!(answer.assert_success().relayed().len(), 2);
    let denied = [
        "0.0.0.0:80",
        "127.0.0.1:80",
        "10.0.0.1:80",
        "169.254.169.254:80",
        "192.168.0.1:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
        "[::]:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[::127.0.0.1]:80",
        "[::ffff:8.8.8.8]:80",
        "[64:ff9b::127.0.0.1]:80",
        "[2002:7f00:1::]:80",
        "[2001::1]:80",
        "[fe80::1]:80",
        "[fc00::1]:80",
        "[ff02::1]:80",
    ];
    for (number, denied) in (0x4000..).zip(denied) {
        let peer = address(denied);
        assert_eq!(client.permit(&mut bench, peer).code(), 403, "CreatePermission {denied}");
        assert_eq!(client.bind(&mut bench, number, peer).code(), 403, "ChannelBind {denied}");
        let send = client.indication(peer, b"x");
        assert_eq!(bench.send(client.address, &send), [], "Send {denied}");
    }
    let expected = u64::try_from(denied.len() * 3).unwrap();
    assert_eq!(bench.server.counters().peers_denied, expected);
    client.permit(&mut bench, address("8.8.8.8:1")).assert_success();
}

#[test]
fn rfc8656_21_1_7_nothing_is_relayed_to_the_server_itself() {
    let mut looping = config();
    looping.peers.allow.push(Prefix::new(listen().ip(), 32).unwrap());
    let (mut bench, mut client, relay) = ready(looping);
    client.permit(&mut bench, listen()).assert_success();
    assert_eq!(client.bind(&mut bench, 0x4000, listen()).code(), 403);
    let mut port_0 = listen();
    port_0.set_port(0);
    assert_eq!(client.bind(&mut bench, 0x4000, port_0).code(), 403);
    for peer in [listen(), port_0] {
        let send = client.indication(peer, b"x");
        assert_eq!(bench.send(client.address, &send), []);
    }
    // Another relayed address of the same server is a peer like others.
    let mut neighbour = relay;
    neighbour.set_port(relay.port() + 1);
    let send = client.indication(neighbour, b"x");
    assert_eq!(bench.send(client.address, &send).len(), 1);
}

#[test]
fn rfc8656_11_5_icmp_errors_are_told_in_data_indications() {
    let (mut bench, mut client, relay) = ready(config());
    let icmp = |bench: &mut Bench, kind, code| {
        bench.server.handle_icmp(bench.now, relay, peer(), (kind, code, 0));
        bench.drain();
        std::mem::take(&mut bench.sent)
    };
    assert_eq!(icmp(&mut bench, 3, 3), [], "no permission");
    client.bind(&mut bench, 0x4000, peer()).assert_success();
    let sent = icmp(&mut bench, 3, 3);
    let message = Message::parse(&sent[0].bytes).unwrap();
    assert_eq!(message.get::<Icmp>(), Ok(Some(Icmp { kind: 3, code: 3, data: 0 })));
    assert_eq!(message.get::<XorPeerAddress>(), Ok(Some(XorPeerAddress(peer()))));
    assert_eq!(icmp(&mut bench, 8, 0), [], "an echo request is no error");
}

#[test]
fn s08_padding_is_zero() {
    let (mut bench, mut client, relay) = ready(config());
    client.permit(&mut bench, peer()).assert_success();
    for len in 0..9 {
        let sent = bench.hear_peer(relay, peer(), &vec![0xAA; len]);
        let bytes = &sent[0].bytes;
        assert!(bytes.len().is_multiple_of(4));
        assert!(bytes[bytes.len() - (4 - len % 4) % 4..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_datagram_too_long_to_be_framed_is_dropped() {
    let (mut bench, mut client, relay) = ready(config());
    client.bind(&mut bench, 0x4000, peer()).assert_success();
    assert_eq!(bench.hear_peer(relay, peer(), &vec![1; 65_503]).len(), 1);
    assert_eq!(bench.hear_peer(relay, peer(), &vec![1; 65_504]), []);
    assert_eq!(bench.hear_peer(relay, address("203.0.113.9:1"), &vec![1; 65_507]), []);
}
