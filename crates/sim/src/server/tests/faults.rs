use floe_stun::attribute::{AlternateServer, Lifetime, XorMappedAddress};

use super::*;

fn allocate(client: &mut Client) -> Vec<u8> {
    client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP))
}

fn faulty(faults: Faults) -> (Bench, Client) {
    let mut bench = Bench::new(config());
    let client = Client::challenged(&mut bench);
    bench.server.set_faults(faults);
    (bench, client)
}

#[test]
fn a_dead_server_says_nothing_and_does_nothing() {
    let (mut bench, mut client) = faulty(Faults::always(FaultKind::Silence));
    assert_eq!(bench.send(client.address, &allocate(&mut client)), []);
    assert_eq!(bench.server.allocations(), 0);
    bench.server.set_faults(Faults::default());
    let relay = client.allocated(&mut bench);
    client.bind(&mut bench, 0x4000, peer()).assert_success();
    bench.server.set_faults(Faults::always(FaultKind::Silence));
    assert_eq!(bench.send(client.address, &[0x40, 0, 0, 0]), []);
    assert_eq!(bench.hear_peer(relay, peer(), b"in"), []);
}

#[test]
fn a_slow_server_answers_when_it_does() {
    let (mut bench, mut client) = faulty(Faults::always(FaultKind::Delay(Duration::from_millis(700))));
    assert_eq!(bench.send(client.address, &allocate(&mut client)), []);
    bench.wait(Duration::from_millis(699));
    assert_eq!(bench.sent, []);
    bench.wait(Duration::from_millis(1));
    let sent = bench.sent.pop().unwrap();
    Answer(sent.bytes).assert_success();
}

#[test]
fn every_error_code_can_be_asked_for() {
    for code in [300, 400, 403, 437, 440, 441, 442, 486, 500, 508] {
        let (mut bench, mut client) = faulty(Faults::on(Method::ALLOCATE, FaultKind::Error(code)));
        assert_eq!(client.allocate(&mut bench).code(), code);
        assert_eq!(bench.server.allocations(), 0);
    }
    for code in [401, 438] {
        let (mut bench, mut client) = faulty(Faults::always(FaultKind::Error(code)));
        let answer = client.allocate(&mut bench);
        assert_eq!(answer.code(), code);
        client.learn(&answer);
        assert_eq!(client.allocate(&mut bench).code(), code, "again and again");
    }
}

#[test]
fn a_redirection_can_lead_anywhere() {
    let elsewhere = address("127.0.0.1:3478");
    let (mut bench, mut client) = faulty(Faults::always(FaultKind::Redirect(elsewhere)));
    let answer = client.allocate(&mut bench);
    assert_eq!((answer.code(), answer.get()), (300, Some(AlternateServer(elsewhere))));
}

#[test]
fn addresses_and_lifetimes_can_be_lies() {
    let (mapped, relayed) = (address("0.0.0.0:0"), address("224.0.0.1:1"));
    let fault = |kind| Fault { method: None, times: None, kind };
    let faults = Faults::default()
        .with(fault(FaultKind::Mapped(mapped)))
        .with(fault(FaultKind::Relayed(relayed)))
        .with(fault(FaultKind::Lifetime(u32::MAX)));
    let (mut bench, mut client) = faulty(faults);
    let answer = client.allocate(&mut bench);
    assert_eq!(answer.relayed(), [relayed]);
    assert_eq!((answer.get(), answer.get()), (Some(XorMappedAddress(mapped)), Some(Lifetime(u32::MAX))));
}

#[test]
fn answers_can_be_spoilt_once_and_come_right_when_asked_for_again() {
    for kind in [FaultKind::Corrupted, FaultKind::Truncated, FaultKind::Noise] {
        let once = Fault { method: Some(Method::ALLOCATE), times: Some(1), kind };
        let (mut bench, mut client) = faulty(Faults::default().with(once));
        let request = allocate(&mut client);
        let spoilt = bench.send(client.address, &request);
        let right = bench.ask(client.address, &request);
        right.assert_success();
        assert_ne!(spoilt[0].bytes, right.0);
        assert_eq!(right.message().verify_integrity(&client.key()), Ok(Algorithm::Sha1));
    }
}

#[test]
fn signatures_can_be_left_out() {
    let (mut bench, mut client) = faulty(Faults::always(FaultKind::Unsigned));
    let request = allocate(&mut client);
    let answer = bench.ask(client.address, &request);
    assert!(!answer.assert_success().message().has_integrity());
}
