use floe_stun::attribute::{
    AdditionalAddressFamily, AddressErrorCode, AddressFamily, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, ReservationToken, XorMappedAddress,
};

use super::*;

fn lifetime(seconds: u32) -> impl Fn(&mut MessageWriter<'_>) -> Result<(), WriteError> {
    move |writer| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&Lifetime(seconds))
    }
}

#[test]
fn rfc8656_7_2_an_allocation_says_where_it_is_reached_and_for_how_long() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let answer = client.allocate(&mut bench);
    assert_eq!(answer.assert_success().relayed(), [address("198.51.100.1:50001")]);
    assert_eq!(answer.get(), Some(XorMappedAddress(client.address)));
    assert_eq!(answer.get(), Some(Lifetime(600)));
    assert_eq!(bench.server.allocations(), 1);
    assert_eq!(client.allocate(&mut bench).code(), 437, "one allocation on a five-tuple");
}

#[test]
fn rfc8656_7_2_lifetimes_are_between_the_default_and_the_longest() {
    for (wish, granted) in [(0, 600), (1, 600), (601, 601), (3_600, 3_600), (u32::MAX, 3_600)] {
        let mut bench = Bench::new(config());
        let mut client = Client::challenged(&mut bench);
        let answer = client.ask(&mut bench, Method::ALLOCATE, lifetime(wish));
        assert_eq!(answer.get(), Some(Lifetime(granted)), "wished for {wish}");
        bench.wait(Duration::from_secs(granted.into()).saturating_sub(Duration::from_nanos(1)));
        assert_eq!(bench.server.allocations(), 1);
        bench.wait(Duration::from_nanos(1));
        assert_eq!((bench.server.allocations(), bench.server.poll_timeout()), (0, None));
        assert_eq!(bench.relays_closed(), answer.relayed());
    }
}

#[test]
fn rfc8656_7_2_refusals_of_an_allocate_request() {
    type Fill = fn(&mut MessageWriter<'_>) -> Result<(), WriteError>;
    let cases: [(u16, Fill); 11] = [
        (400, |_| Ok(())),
        (400, |w| w.put_raw(AttributeType::REQUESTED_TRANSPORT, &[17, 0])),
        (442, |w| w.put(&RequestedTransport::TCP)),
        (420, |w| w.put(&RequestedTransport::UDP).and_then(|()| w.put(&DontFragment))),
        (508, |w| w.put(&RequestedTransport::UDP).and_then(|()| w.put(&ReservationToken([1; 8])))),
        (400, |w| {
            w.put(&RequestedTransport::UDP)?;
            w.put(&ReservationToken([1; 8]))?;
            w.put(&EvenPort { reserve: false })
        }),
        (508, |w| w.put(&RequestedTransport::UDP).and_then(|()| w.put(&EvenPort { reserve: true }))),
        (400, |w| {
            w.put(&RequestedTransport::UDP)?;
            w.put(&EvenPort { reserve: true })?;
            w.put(&AdditionalAddressFamily(AddressFamily::Ipv6))
        }),
        (400, |w| {
            w.put(&RequestedTransport::UDP)?;
            w.put(&RequestedAddressFamily(AddressFamily::Ipv6))?;
            w.put(&AdditionalAddressFamily(AddressFamily::Ipv6))
        }),
        (400, |w| {
            w.put(&RequestedTransport::UDP)?;
            w.put(&AdditionalAddressFamily(AddressFamily::Ipv4))
        }),
        (400, |w| {
            w.put(&RequestedTransport::UDP)?;
            w.put_raw(AttributeType::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0])
        }),
    ];
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    for (number, (code, fill)) in cases.into_iter().enumerate() {
        assert_eq!(client.ask(&mut bench, Method::ALLOCATE, fill).code(), code, "case {number}");
    }
    assert_eq!((bench.server.allocations(), bench.asked.len()), (0, 0));
}

#[test]
fn families_that_are_not_there_are_a_440_and_halves_are_said_to_be_halves() {
    let both = |writer: &mut MessageWriter<'_>| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&AdditionalAddressFamily(AddressFamily::Ipv6))
    };
    let six = |writer: &mut MessageWriter<'_>| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&RequestedAddressFamily(AddressFamily::Ipv6))
    };
    let mut bench = Bench::new(config());
    let answer = Client::challenged(&mut bench).ask(&mut bench, Method::ALLOCATE, both);
    assert_eq!(answer.relayed(), [address("198.51.100.1:50001"), address("[2001:db8::1]:50002")]);

    let mut half = config();
    half.relay_ips.retain(IpAddr::is_ipv4);
    let mut bench = Bench::new(half);
    let mut client = Client::challenged(&mut bench);
    assert_eq!(client.ask(&mut bench, Method::ALLOCATE, six).code(), 440);
    let answer = client.ask(&mut bench, Method::ALLOCATE, both);
    let missing = answer.assert_success().get::<AddressErrorCode<'_>>().unwrap();
    assert_eq!((missing.family(), missing.code()), (AddressFamily::Ipv6, 440));
    assert_eq!(answer.relayed(), [address("198.51.100.1:50001")]);
}

#[test]
fn even_ports_are_even() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let answer = client.ask(&mut bench, Method::ALLOCATE, |writer| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&EvenPort { reserve: false })
    });
    let port = answer.relayed()[0].port();
    assert!(port.is_multiple_of(2) && port >= 49_152, "{port}");
}

#[test]
fn rfc8656_8_1_refreshing_one_family_leaves_the_other() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let both = client.ask(&mut bench, Method::ALLOCATE, |writer| {
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&AdditionalAddressFamily(AddressFamily::Ipv6))
    });
    let (v4, v6) = (both.relayed()[0], both.relayed()[1]);
    let peer6 = address("[2001:db8::9]:9");
    client.permit(&mut bench, peer()).assert_success();
    client.permit(&mut bench, peer6).assert_success();
    let mut refresh = |bench: &mut Bench, seconds, family| {
        client.ask(bench, Method::REFRESH, |writer| {
            writer.put(&Lifetime(seconds))?;
            writer.put(&RequestedAddressFamily(family))
        })
    };
    assert_eq!(refresh(&mut bench, 0, AddressFamily::Ipv4).get(), Some(Lifetime(0)));
    assert_eq!(bench.relays_closed(), [v4]);
    assert_eq!(bench.hear_peer(v4, peer(), b"gone"), []);
    assert_eq!(bench.hear_peer(v6, peer6, b"here").len(), 1);
    assert_eq!(refresh(&mut bench, 600, AddressFamily::Ipv4).code(), 443);
    bench.wait_secs(500);
    assert_eq!(refresh(&mut bench, 600, AddressFamily::Ipv6).get(), Some(Lifetime(600)));
    bench.wait_secs(599);
    assert_eq!(bench.server.allocations(), 1);
    bench.wait_secs(1);
    assert_eq!(bench.server.allocations(), 0);
}

#[test]
fn rfc8656_8_2_refresh_extends_and_lifetime_0_ends() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let refresh = |client: &mut Client, bench: &mut Bench, seconds| {
        client.ask(bench, Method::REFRESH, |writer| writer.put(&Lifetime(seconds)))
    };
    assert_eq!(refresh(&mut client, &mut bench, 600).code(), 437, "nothing to refresh yet");
    let relayed = client.allocated(&mut bench);
    for _ in 0..5 {
        bench.wait_secs(599);
        assert_eq!(refresh(&mut client, &mut bench, 600).get(), Some(Lifetime(600)));
    }
    assert_eq!(refresh(&mut client, &mut bench, 0).get(), Some(Lifetime(0)));
    assert_eq!((bench.server.allocations(), bench.server.poll_timeout()), (0, None));
    assert_eq!(bench.relays_closed(), [relayed]);
    assert_eq!(refresh(&mut client, &mut bench, 0).code(), 437);
    client.allocated(&mut bench);
}

#[test]
fn stn_07_a_retransmitted_allocate_is_answered_the_same_and_allocates_once() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let request = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    let first = bench.ask(client.address, &request);
    first.assert_success();
    bench.wait_secs(31);
    assert_eq!(bench.ask(client.address, &request), first);
    assert_eq!((bench.server.allocations(), bench.asked.len()), (1, 1));
    bench.wait_secs(9);
    assert_eq!(bench.ask(client.address, &request).code(), 437, "after 40 s it is a new request");
}

#[test]
fn stn_07_a_late_duplicate_does_not_bring_back_what_was_released() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    let allocate = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    let release = client.signed(Method::REFRESH, |writer| writer.put(&Lifetime(0)));
    let allocated = bench.ask(client.address, &allocate);
    let released = bench.ask(client.address, &release);
    assert_eq!(released.assert_success(), &bench.ask(client.address, &release));
    assert_eq!(bench.ask(client.address, &allocate), allocated);
    assert_eq!((bench.server.allocations(), bench.server.poll_timeout()), (0, None));
}

#[test]
fn stn_07_a_request_that_waits_for_its_relay_is_not_begun_again() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    bench.opening = false;
    let request = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    assert_eq!(bench.send(client.address, &request), []);
    assert_eq!(bench.send(client.address, &request), []);
    let [ServerRequest::OpenRelay { id, ip, port: None }] = bench.asked[..] else {
        panic!("{:?}", bench.asked)
    };
    assert_eq!(client.allocate(&mut bench).code(), 437, "another request on this five-tuple");
    bench.server.handle_relay_opened(bench.now, id, Ok(SocketAddr::new(ip, 60_000)));
    bench.drain();
    let answer = Answer(bench.sent.pop().unwrap().bytes);
    assert_eq!(answer.assert_success().relayed(), [address("198.51.100.1:60000")]);
}

#[test]
fn relays_that_cannot_be_opened_are_a_508_and_late_ones_are_given_back() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    bench.opening = false;
    let request = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    assert_eq!(bench.send(client.address, &request), []);
    let Some(ServerRequest::OpenRelay { id, ip, .. }) = bench.asked.pop() else { panic!() };
    bench.wait_secs(5);
    assert_eq!(Answer(bench.sent.pop().unwrap().bytes).code(), 508);
    let late = SocketAddr::new(ip, 60_000);
    bench.server.handle_relay_opened(bench.now, id, Ok(late));
    bench.drain();
    assert_eq!(bench.relays_closed(), [late]);

    let request = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    assert_eq!(bench.send(client.address, &request), []);
    let Some(ServerRequest::OpenRelay { id, .. }) = bench.asked.pop() else { panic!() };
    bench.server.handle_relay_opened(bench.now, id, Err(()));
    bench.drain();
    assert_eq!(Answer(bench.sent.pop().unwrap().bytes).code(), 508);
    assert_eq!((bench.server.allocations(), bench.server.poll_timeout()), (0, None));
}

#[test]
fn quotas_are_a_486_for_a_user_and_a_508_for_all() {
    let mut limited = config();
    limited.limits.allocations_per_user = 2;
    limited.limits.allocations = 3;
    let mut bench = Bench::new(limited);
    let mut ask = |port, name, password| {
        let mut client = Client::new();
        client.address.set_port(port);
        (client.name, client.password) = (name, password);
        client.hear_challenge(&mut bench);
        let answer = client.allocate(&mut bench);
        answer.get::<ErrorCode<'_>>().map(|error| error.code())
    };
    assert_eq!((1..=3).map(|port| ask(port, USER, PASSWORD)).collect::<Vec<_>>(), [None, None, Some(486)]);
    assert_eq!((4..=5).map(|port| ask(port, "eve", "other words")).collect::<Vec<_>>(), [None, Some(508)]);
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut bench = Bench::new(config());
    let mut client = Client::challenged(&mut bench);
    client.allocated(&mut bench);
    bench.server.handle_timeout(Instant::ORIGIN);
    bench.now = Instant::ORIGIN;
    client.permit(&mut bench, peer()).assert_success();
    bench.now = Instant::from_millis(1_000);
    bench.wait_secs(600);
    assert_eq!(bench.server.allocations(), 0);
}
