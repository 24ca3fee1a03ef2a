//! Requests of nobody in particular: memory must not grow, nothing may panic.

use proptest::prelude::*;

use super::*;

/// Everything a client can make grow.
fn held(server: &Server) -> [usize; 9] {
    [
        server.allocations.len(),
        server.relays.len(),
        server.openings.len(),
        server.asked.len(),
        server.timers.len(),
        server.delayed.len(),
        server.transmits.len(),
        server.requests.len(),
        server.remembered.len(),
    ]
}

#[test]
fn s18_spoofed_requests_leave_nothing_behind() {
    let mut limited = config();
    // So many answers are enough to show that none leaves anything behind.
    limited.limits.unauthenticated_per_second = 50;
    let mut bench = Bench::new(limited);
    let mut client = Client::challenged(&mut bench);
    let plain = client.plain(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    client.password = "wrong";
    let signed = client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP));
    let before = held(&bench.server);
    for number in 0..1_000_000_u32 {
        let source = SocketAddr::from((number.wrapping_mul(0x9E37_79B1).to_be_bytes(), 4_000));
        // One in a hundred is worth computing a MAC for: a debug build has to get through this too.
        let bytes = if number.is_multiple_of(100) { &signed } else { &plain };
        bench.server.handle_datagram(bench.now, listen(), source, bytes);
        while bench.server.poll_transmit().is_some() {}
    }
    assert_eq!(held(&bench.server), before);
    assert_eq!(bench.asked, [], "no relay was asked for");
}

#[test]
fn answers_nobody_fetches_are_bounded() {
    let mut bench = Bench::new(config());
    let plain = Client::new().plain(Method::BINDING, |_| Ok(()));
    for number in 0..2 * u32::try_from(MAX_QUEUED_DATAGRAMS).unwrap() {
        let source = SocketAddr::from((number.to_be_bytes(), 4_000));
        bench.server.handle_datagram(bench.now, listen(), source, &plain);
    }
    assert_eq!(bench.server.transmits.len(), MAX_QUEUED_DATAGRAMS);
    assert!(bench.server.counters().overflowed > 0);
}

proptest! {
    #[test]
    fn no_bytes_panic(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..32)) {
        let mut bench = Bench::new(config());
        let mut client = Client::challenged(&mut bench);
        let relay = client.allocated(&mut bench);
        for bytes in &datagrams {
            bench.send(client.address, bytes);
            bench.hear_peer(relay, peer(), bytes);
        }
    }

    #[test]
    fn no_mutation_of_a_good_message_panics(at in 0_usize..200, value: u8, cut in 0_usize..200) {
        let mut bench = Bench::new(config());
        let mut client = Client::challenged(&mut bench);
        client.allocated(&mut bench);
        let good = [
            client.signed(Method::CREATE_PERMISSION, |writer| writer.put(&XorPeerAddress(peer()))),
            client.indication(peer(), b"payload"),
        ];
        for mut bytes in good {
            bytes.truncate(bytes.len().saturating_sub(cut / 8));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
            bench.send(client.address, &bytes);
        }
    }

    /// The promise of `poll_timeout`, over any order of things to do.
    #[test]
    fn equal_inputs_give_equal_outputs(steps in prop::collection::vec((0_u8..6, 0_u64..400), 1..40)) {
        let run = || {
            let mut bench = Bench::new(config());
            let mut client = Client::challenged(&mut bench);
            let mut seen = Vec::new();
            for (step, seconds) in &steps {
                let bytes = match step {
                    0 => client.signed(Method::ALLOCATE, |writer| writer.put(&RequestedTransport::UDP)),
                    1 => client.signed(Method::CREATE_PERMISSION, |writer| writer.put(&XorPeerAddress(peer()))),
                    2 => client.signed(Method::REFRESH, |_| Ok(())),
                    3 => client.signed(Method::REFRESH, |writer| writer.put(&floe_stun::attribute::Lifetime(0))),
                    4 => client.indication(peer(), b"out"),
                    _ => client.plain(Method::BINDING, |_| Ok(())),
                };
                seen.extend(bench.send(client.address, &bytes));
                bench.wait_secs(*seconds);
                seen.append(&mut bench.sent);
                prop_assert!(bench.server.poll_timeout().is_none_or(|at| bench.now < at));
                prop_assert_eq!(bench.server.allocations() == 0, bench.server.relayed_addresses().next().is_none());
            }
            Ok(seen)
        };
        prop_assert_eq!(run()?, run()?);
    }
}
