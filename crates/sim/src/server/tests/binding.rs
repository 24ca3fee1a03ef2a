use floe_stun::attribute::{Software, XorMappedAddress};

use super::*;

fn binding(fingerprint: bool) -> Vec<u8> {
    let mut buffer = vec![0; 64];
    let id = TransactionId([9; 12]);
    let writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
    let len = if fingerprint { writer.fingerprint().unwrap() } else { writer.finish() };
    buffer.truncate(len);
    buffer
}

#[test]
fn rfc8489_6_3_1_1_a_binding_request_is_answered_with_its_source() {
    let mut bench = Bench::new(config());
    for source in ["192.0.2.10:1", "[2001:db8::7]:65535", "192.0.2.10:50000"] {
        let answer = bench.ask(address(source), &binding(false));
        assert_eq!(answer.assert_success().get(), Some(XorMappedAddress(address(source))));
        assert!(!answer.message().has_fingerprint() && !answer.message().has_integrity());
    }
    let mapped = bench.send(address("[::ffff:192.0.2.10]:7"), &binding(false));
    assert_eq!(Answer(mapped[0].bytes.clone()).get(), Some(XorMappedAddress(address("192.0.2.10:7"))));
}

#[test]
fn fingerprint_is_answered_with_fingerprint() {
    let mut bench = Bench::new(config());
    let answer = bench.ask(client(), &binding(true));
    assert_eq!(answer.message().verify_fingerprint(), Ok(()));
    let mut wrong = binding(true);
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(bench.send(client(), &wrong), []);
}

#[test]
fn s19_an_unauthenticated_answer_says_nothing_it_need_not() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.ask(client(), &binding(false)).message().attributes().count(), 1);
    let mut asking = Client::new();
    let bytes = asking.plain(Method::ALLOCATE, |_| Ok(()));
    let challenge = bench.ask(client(), &bytes);
    assert_eq!((challenge.code(), challenge.get::<Software<'_>>()), (401, None));
}

#[test]
fn s19_a_source_is_answered_so_often_a_second_and_others_still_are() {
    let mut config = config();
    config.limits.unauthenticated_per_second = 10;
    let mut bench = Bench::new(config);
    let answered = |bench: &mut Bench, source: &str| {
        (0..100)
            .map(|port| bench.send(SocketAddr::new(source.parse().unwrap(), 1_000 + port), &binding(false)))
            .filter(|sent| !sent.is_empty())
            .count()
    };
    assert_eq!(answered(&mut bench, "192.0.2.1"), 10);
    assert_eq!(answered(&mut bench, "192.0.2.2"), 10, "another source");
    bench.wait_secs(1);
    assert_eq!(answered(&mut bench, "192.0.2.1"), 10, "another second");
    assert_eq!(bench.server.counters().rate_limited, 270);
}

#[test]
fn stn_06_unknown_attributes_are_listed_in_a_420() {
    let mut bench = Bench::new(config());
    let unknown = [AttributeType::new(0x7FFE), AttributeType::new(0x7FFD)];
    let bytes = Client::new().plain(Method::BINDING, |writer| {
        writer.put_raw(unknown[0], b"?")?;
        writer.put_raw(AttributeType::CHANGE_REQUEST, &[0; 4])?;
        writer.put_raw(AttributeType::new(0xFFFE), b"optional")?;
        writer.put_raw(unknown[1], b"")
    });
    let answer = bench.ask(client(), &bytes);
    assert_eq!(answer.code(), 420);
    let listed: Vec<_> = answer.get::<UnknownAttributes<'_>>().unwrap().iter().collect();
    assert_eq!(listed, [unknown[0], unknown[1], AttributeType::CHANGE_REQUEST]);
}

#[test]
fn what_is_no_request_of_ours_is_dropped() {
    let mut bench = Bench::new(config());
    let mut junk = vec![vec![], vec![0], vec![0; 20], vec![0xFF; 40], b"\x16\xfe\xff dtls".to_vec()];
    junk.push(vec![0x40, 0, 0]);
    junk.push(vec![0x50, 0, 0, 0]);
    for method in [Method::SEND, Method::DATA, Method::CONNECT, Method::new(0x0FF).unwrap()] {
        junk.push(Client::new().plain(method, |_| Ok(())));
    }
    for cut in 1..20 {
        junk.push(binding(false)[..cut].to_vec());
    }
    for class in [Class::Success, Class::Error, Class::Indication] {
        let mut buffer = vec![0; 20];
        let writer = MessageWriter::new(&mut buffer, class, Method::BINDING, TransactionId([1; 12]));
        assert_eq!(writer.unwrap().finish(), 20);
        junk.push(buffer);
    }
    for bytes in junk {
        assert_eq!(bench.send(client(), &bytes), [], "{bytes:?}");
    }
    assert_eq!(bench.send(address("192.0.2.1:0"), &binding(false)), [], "nobody can be answered at port 0");
}

#[test]
fn a_server_without_relay_addresses_serves_stun_only() {
    let mut bench = Bench::new(ServerConfig::new(vec![listen()], vec![]).with_user(USER, PASSWORD));
    bench.ask(client(), &binding(false)).assert_success();
    let bytes = Client::new().plain(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    assert_eq!(bench.send(client(), &bytes), []);
}
