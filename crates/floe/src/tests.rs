//! Agents on sockets that fail, and on a clock that jumps.

use std::{sync::Arc, time::Duration};

use floe_check::ConsentConfig;

use crate::{
    Agent, ComponentState, Config, ConnectError, Dscp, Endpoint, EndpointStats, Event, SendError, State,
    socket::Socket,
};

#[path = "../tests/support/mod.rs"]
mod support;
use support::{carry, connect, pair, signal, soon};

/// EPERM, EIO, EAGAIN, ENOMEM, EINVAL, EPIPE, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOTCONN, ECONNREFUSED,
/// EHOSTUNREACH, as Linux numbers them.
const ERRORS: [i32; 13] = [1, 5, 11, 12, 22, 32, 90, 100, 101, 105, 107, 111, 113];
const WOULD_BLOCK: i32 = 11;
const MESSAGE_TOO_LONG: i32 = 90;

fn sockets(agent: &Agent) -> Vec<Arc<Socket>> {
    agent.handle.shared().state().sockets.values().map(Arc::clone).collect()
}

fn stats(agent: &Agent) -> EndpointStats {
    agent.handle.shared().state().counts
}

/// Lets `index` calls through, then fails as many as `times`.
fn faults(index: usize, error: i32, times: usize) -> impl Iterator<Item = i32> {
    std::iter::repeat_n(0, index).chain(std::iter::repeat_n(error, times))
}

#[tokio::test]
async fn p28_every_error_at_every_call_is_survived_while_connecting() {
    let mut sessions = tokio::task::JoinSet::new();
    for error in ERRORS {
        for index in 0..5 {
            sessions.spawn(async move {
                let (a, b) = pair().await;
                soon(async { tokio::join!(a.gathered(), b.gathered()) }).await;
                for socket in sockets(&a) {
                    socket.faults.send.lock().unwrap().extend(faults(index, error, 1));
                    if error != WOULD_BLOCK {
                        socket.faults.receive.lock().unwrap().extend(faults(index, error, 1));
                    }
                }
                let (to_b, to_a) = connect(&a, &b).await;
                // The datagram itself may meet what is left of the faults.
                while to_b.send(b"hello").await.is_err() {}
                assert_eq!(soon(to_a.recv(&mut [0; 9])).await, Ok(5));
                carry(&to_a, &to_b, b"hello").await;
            });
        }
    }
    while let Some(session) = sessions.join_next().await {
        session.unwrap();
    }
}

#[tokio::test]
async fn p28_every_error_of_a_data_call_is_told_once_and_forgotten() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    for error in (1..=133).filter(|error| ![4, WOULD_BLOCK].contains(error)) {
        for socket in sockets(&a) {
            socket.faults.send.lock().unwrap().clear();
            socket.faults.send.lock().unwrap().push_back(error);
        }
        // A check that is repeated just then may have taken the fault.
        match to_b.send(b"hello").await {
            Err(SendError::Socket(told)) => assert_eq!(told.raw_os_error(), Some(error)),
            Err(told) => assert!(matches!(told, SendError::TooLong) && error == MESSAGE_TOO_LONG),
            Ok(()) => assert_eq!(soon(to_a.recv(&mut [0; 9])).await, Ok(5)),
        }
        for socket in sockets(&a) {
            socket.faults.send.lock().unwrap().clear();
        }
        carry(&to_b, &to_a, b"hello").await;
        for socket in sockets(&b) {
            socket.faults.receive.lock().unwrap().push_back(error);
        }
        carry(&to_b, &to_a, b"hello").await;
    }
    assert_ne!(stats(&b).receive_failures, 0);
}

#[tokio::test]
async fn a_socket_that_only_fails_rests_and_comes_back() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    for socket in sockets(&b) {
        socket.faults.receive.lock().unwrap().extend(faults(0, 107, 20));
    }
    carry(&to_b, &to_a, b"hello").await;
    assert!(stats(&b).receive_failures >= 16, "{:?}", stats(&b));
}

#[tokio::test]
async fn p28_what_the_kernel_does_not_take_waits() {
    let (a, b) = pair().await;
    soon(a.gathered()).await;
    for socket in sockets(&a) {
        socket.faults.send.lock().unwrap().extend(faults(0, WOULD_BLOCK, 3));
    }
    tokio::join!(signal(&a, &b), signal(&b, &a));
    soon(async { tokio::join!(a.connected(), b.connected()) }).await.0.unwrap();
    let stats = stats(&a);
    assert_eq!((stats.send_failures, stats.backlog_dropped), (0, 0), "nothing was lost");
}

#[tokio::test]
async fn p28_sending_waits_for_the_kernel() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    while to_b.path().is_none() || to_a.path().is_none() {
        tokio::select! { event = a.event() => assert!(event.is_some()), event = b.event() => assert!(event.is_some()) }
    }
    for socket in sockets(&a) {
        socket.faults.send.lock().unwrap().push_back(WOULD_BLOCK);
    }
    assert!(matches!(to_b.try_send(b"hello"), Err(SendError::WouldBlock)));
    // What arrives has the kernel look at the socket again, as it would when there is room.
    let (sent, ()) = tokio::join!(soon(to_b.send(b"hello")), carry(&to_a, &to_b, b"there is room"));
    sent.unwrap();
    assert_eq!(soon(to_a.recv(&mut [0; 9])).await, Ok(5));
}

/// Lets time pass for an agent that has nothing to wait for.
fn skip(agent: &Agent, time: Duration) {
    let shared = agent.handle.shared();
    let mut state = shared.state();
    shared.clock.skip(time);
    state.hub.handle_timeout(shared.clock.now());
    drop(state);
    shared.wake.notify_one();
}

#[tokio::test]
async fn the_code_point_of_the_settings_is_that_of_the_path() {
    let expedited = Dscp::new(46).unwrap();
    for (config, expected) in
        [(Config::controlling(), Dscp::BEST_EFFORT), (Config::controlling().dscp(expedited), expedited)]
    {
        let a = Endpoint::new().await.unwrap().agent(config.loopback()).unwrap();
        let b = Endpoint::new().await.unwrap().agent(Config::controlled().loopback()).unwrap();
        let (to_b, _) = connect(&a, &b).await;
        let (stream, component) = to_b.id();
        let path = a.handle.look(|agent| agent.path(stream, component)).flatten().unwrap();
        assert_eq!(path.path().dscp, expected);
    }
}

/// Whether it has come to an end by now.
async fn is_done<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn con_04_who_waits_for_a_path_learns_that_consent_was_lost_and_waits_again_after_a_restart() {
    let (a, b) = pair().await;
    let (to_b, _) = connect(&a, &b).await;
    while a.state() != State::Completed {
        assert!(soon(a.event()).await.is_some());
    }
    b.close();
    soon(b.closed()).await;
    // No answer to any request, until consent ends.
    for _ in 0..7 {
        skip(&a, Duration::from_secs(5));
    }
    while !matches!(soon(a.event()).await, Some(Event::ConsentLost { .. })) {}
    assert_eq!(a.component_state(to_b.id().0, to_b.id().1), Some(ComponentState::ConsentLost));
    assert_eq!(soon(a.connected()).await.unwrap_err(), ConnectError::ConsentLost);
    assert_eq!(soon(to_b.connected()).await, Err(ConnectError::ConsentLost));
    a.restart().unwrap();
    let (mut agent, mut connection) = (Box::pin(a.connected()), Box::pin(to_b.connected()));
    assert!(!is_done(&mut agent).await && !is_done(&mut connection).await, "there may be a path yet");
    // The peer comes back as another agent.
    let other = Endpoint::new().await.unwrap().agent(Config::controlled().loopback()).unwrap();
    connect(&a, &other).await;
    soon(agent).await.unwrap();
    soon(connection).await.unwrap();
    carry(&to_b, &other.connection(), b"hello").await;
}

#[tokio::test]
async fn con_01_consent_that_rested_is_regained_as_soon_as_data_is_sent() {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let mut config = Config::controlling().loopback();
    config.checks_mut().consent = Some(ConsentConfig { suspend: true, ..ConsentConfig::default() });
    let a = one.agent(config).unwrap();
    // Nothing of the peer wakes the driver either.
    let mut config = Config::controlled().loopback();
    (config.checks_mut().consent, config.checks_mut().keepalive) = (None, Duration::from_secs(3600));
    let b = two.agent(config).unwrap();
    let (to_b, to_a) = connect(&a, &b).await;
    while a.state() != State::Completed {
        assert!(soon(a.event()).await.is_some());
    }
    let answers =
        || a.pairs().iter().filter(|pair| pair.selected).map(|pair| pair.responses_received).sum::<u32>();
    let before = answers();
    skip(&a, Duration::from_secs(7));
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    soon(async {
        while answers() == before {
            ticks.tick().await;
        }
    })
    .await;
    // Nothing is sent: first no request, then none any more, then consent ends.
    for seconds in [7, 18, 10] {
        skip(&a, Duration::from_secs(seconds));
        // The driver has its turn, and rests.
        for _ in 0..4 {
            ticks.tick().await;
        }
    }
    assert!(matches!(to_b.try_send(b"hello"), Err(SendError::ConsentExpired)));
    // No timer of the driver runs off for half a minute: only the call itself can have woken it.
    soon(async {
        while answers() == before + 1 {
            ticks.tick().await;
        }
    })
    .await;
    carry(&to_b, &to_a, b"hello").await;
}
