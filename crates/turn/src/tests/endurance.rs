//! A day and more against a server that forgives nothing.

use core::time::Duration;
use std::vec::Vec;

use floe_stun::{Instant, Method};

use super::server::{Server, channel_data, data_indication};
use super::world::{World, addr, ip};
use crate::{Event, Incoming};

const DAY: u64 = 24 * 3_600;
/// Reached through a channel.
const BOUND: &str = "203.0.113.5:7000";
/// Reached by indications.
const PERMITTED: &str = "203.0.113.6:7000";

struct Weather {
    lifetime: u32,
    nonce_period: u64,
    stale_codes: &'static [u16],
    loss_percent: u64,
    hours: u64,
}

/// Data both ways each second, which the server (by its own clock) has to let pass and the client to accept.
fn endure(weather: &Weather) -> World {
    let mut server = Server::new();
    server.lifetime = weather.lifetime;
    server.nonce_period = Duration::from_secs(weather.nonce_period);
    server.stale_codes = weather.stale_codes.iter().copied().collect();
    let mut world = World::with(server, |_| {}).opened();
    world.client.bind_channel(world.now, addr(BOUND));
    world.client.permit(world.now, addr(PERMITTED).ip());
    // A first request that meets 401 is repeated after a pause.
    world.run(Duration::from_secs(20));
    world.loss_percent = weather.loss_percent;
    let number = world.client.channel(addr(BOUND)).unwrap().0;
    let mut buffer = [0; 200];
    let indication = data_indication(Some(addr(PERMITTED)), Some(b"in"), None);
    let channel = channel_data(number.get(), b"in");
    for second in 0..weather.hours * 3_600 {
        world.run(Duration::from_secs(1));
        let now = world.now;
        let context = || (second, weather.lifetime, weather.nonce_period, weather.stale_codes);
        // Out: the client is willing, and the server carries it.
        let (held, until) = world.client.channel(addr(BOUND)).unwrap_or_else(|| panic!("{:?}", context()));
        assert!(held == number && until > now, "{:?}", context());
        assert_eq!(world.server.channel_of(addr(BOUND), now), Some(number.get()), "{:?}", context());
        assert!(world.server.lets_through(addr(BOUND), now), "{:?}", context());
        let sent = world.client.send_indication(now, addr(PERMITTED), b"out", &mut buffer, &mut world.rng);
        assert!(sent.is_ok(), "{:?}", context());
        assert!(world.server.lets_through(addr(PERMITTED), now), "{:?}", context());
        // In.
        for datagram in [&indication, &channel] {
            let incoming = world.client.handle_datagram(now, datagram, &mut world.rng);
            assert!(matches!(incoming, Incoming::Data { .. }), "{:?}", context());
        }
    }
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
    let bad = |event: &Event| {
        matches!(event, Event::Lost(_) | Event::PermissionRefused(..) | Event::ChannelRefused(..))
    };
    assert!(!world.events.iter().any(|(_, event)| bad(event)), "{:?}", world.events);
    world
}

/// When renewals of this method were first sent, one instant for each.
fn renewals(world: &World, method: Method) -> Vec<Instant> {
    let mut starts = Vec::new();
    let mut ids = Vec::new();
    for seen in world.server.seen.iter().filter(|seen| seen.method == method && seen.answer == 0) {
        if !ids.contains(&seen.id) {
            ids.push(seen.id);
            starts.push(seen.at);
        }
    }
    starts
}

/// A nonce that is good for a second up to ten minutes, and what is said of an old one.
const NONCES: [(u64, &[u16]); 4] = [(1, &[438]), (1, &[438, 401]), (37, &[438, 401]), (600, &[401])];

fn a_day_with_loss(lifetime: u32, nonces: &[(u64, &'static [u16])]) {
    for &(nonce_period, stale_codes) in nonces {
        endure(&Weather { lifetime, nonce_period, stale_codes, loss_percent: 5, hours: 24 });
    }
}

#[test]
fn p18_a_day_with_allocations_of_a_minute_has_no_late_request_and_no_gap() {
    a_day_with_loss(60, &NONCES);
}

#[test]
fn p18_a_day_with_allocations_of_five_minutes_has_no_late_request_and_no_gap() {
    a_day_with_loss(299, &NONCES[..2]);
}

#[test]
fn p18_a_day_with_allocations_of_ten_minutes_has_no_late_request_and_no_gap() {
    a_day_with_loss(600, &NONCES[2..]);
}

#[test]
fn p18_a_day_with_allocations_of_an_hour_has_no_late_request_and_no_gap() {
    a_day_with_loss(3_600, &NONCES);
}

#[test]
fn p18_trn_08_in_fair_weather_a_day_takes_no_more_requests_than_it_has_to() {
    let world = endure(&Weather {
        lifetime: 600,
        nonce_period: DAY,
        stale_codes: &[438],
        loss_percent: 0,
        hours: 24,
    });
    for (method, interval) in
        [(Method::REFRESH, 400), (Method::CREATE_PERMISSION, 200), (Method::CHANNEL_BIND, 400)]
    {
        let starts = renewals(&world, method);
        let expected = usize::try_from(DAY / interval).unwrap();
        assert!((expected - 2..=expected + 4).contains(&starts.len()), "{method}: {}", starts.len());
    }
}

#[test]
fn a_week_of_silence_between_the_datagrams_of_the_server_and_an_outage_of_a_minute_each_hour() {
    let mut world = World::open().bound(BOUND);
    for hour in 0..7 * 24 {
        world.run(Duration::from_secs(3_540));
        world.connected = false;
        world.run(Duration::from_secs(60));
        world.connected = true;
        assert!(world.client.channel(addr(BOUND)).is_some(), "hour {hour}");
        assert!(world.client.permission(ip("203.0.113.5")).is_some(), "hour {hour}");
    }
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}
