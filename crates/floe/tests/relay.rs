//! Agents that meet at a TURN server.

use std::time::Duration;

use floe::{Config, Endpoint, Event, pair::CandidateType};

#[cfg(test)]
#[path = "support/relay.rs"]
mod relay;
#[cfg(test)]
mod support;
use relay::{Relay, USER, relayed};
use support::{carry, connect, pair, soon};

#[tokio::test]
async fn data_goes_over_the_relay_before_and_after_a_channel_is_bound() {
    let relay = Relay::start();
    let [a, b] = relayed(&relay).await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"as soon as a pair is valid").await;
    for agent in [&a, &b] {
        // Nomination, then the channel, which gives data its short way.
        while !matches!(soon(agent.event()).await, Some(Event::PathChanged { .. })) {}
    }
    carry(&to_b, &to_a, b"over the channel").await;
    carry(&to_a, &to_b, &[7; 1200]).await;
    assert_eq!(to_b.send_segments(&[1; 2500], 1000).await.unwrap(), 3);
    for len in [1000, 1000, 500] {
        assert_eq!(soon(to_a.recv(&mut [0; 1500])).await, Ok(len));
    }
    let path = to_b.path().unwrap();
    assert_eq!(path.local.kind, CandidateType::Relayed);
    assert_eq!(path.remote_candidate.kind, CandidateType::Relayed);

    assert_eq!(relay.allocations(), 2);
    a.close();
    b.close();
    soon(async { tokio::join!(a.closed(), b.closed()) }).await;
    assert_eq!(relay.allocations(), 0);
}

#[tokio::test]
async fn closing_waits_for_no_server_that_is_gone() {
    let relay = Relay::start();
    let [a, b] = relayed(&relay).await;
    connect(&a, &b).await;
    drop(relay);
    let started = std::time::Instant::now();
    a.close();
    assert!(started.elapsed() < Duration::from_secs(1));
    soon(a.closed()).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn the_end_of_the_runtime_gives_allocations_back() {
    let relay = Relay::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let agents = runtime.block_on(async {
        let [a, b] = relayed(&relay).await;
        connect(&a, &b).await;
        [a, b]
    });
    assert_eq!(relay.allocations(), 2);
    drop(runtime);
    let started = std::time::Instant::now();
    while relay.allocations() > 0 {
        assert!(started.elapsed() < support::PATIENCE, "still {} allocations", relay.allocations());
        std::thread::yield_now();
    }
    drop(agents);
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let relay = Relay::start();
    let endpoint = Endpoint::new().await.unwrap();
    let config = Config::controlling().loopback().server(&relay.uri(), USER, "wrong").unwrap();
    let agent = endpoint.agent(config).unwrap();
    let told = async {
        while let Some(event) = agent.event().await {
            if let Event::ServerFailed { error, .. } = event {
                return Some(error);
            }
        }
        None
    };
    let error = soon(told).await.unwrap();
    assert!(matches!(error, floe::gather::ServerError::Allocate(_)), "{error:?}");
    // What else there is goes on.
    let (_, peer) = pair().await;
    let (to_peer, to_us) = connect(&agent, &peer).await;
    carry(&to_peer, &to_us, b"hello").await;
}
