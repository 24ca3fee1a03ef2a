//! Closing and dropping: at once, at any time, and without leaving anything behind.

use std::{net::UdpSocket, time::Duration};

use floe::{AgentError, Config, ConnectError, Endpoint, Event, RecvError, SendError, State};

#[cfg(test)]
mod support;
use support::{carry, connect, pair, signal, soon};

#[tokio::test]
async fn p33_closing_frees_the_sockets() {
    let endpoint = Endpoint::new().await.unwrap();
    let agent = endpoint.agent(Config::controlling().loopback()).unwrap();
    let gathered = soon(agent.gathered()).await;
    assert_ne!(endpoint.stats().sockets, 0);
    agent.close();
    agent.close();
    soon(agent.closed()).await;
    assert_eq!((endpoint.stats().sockets, endpoint.stats().agents), (0, 0));
    for candidate in gathered {
        UdpSocket::bind(candidate.line.candidate().unwrap().address.socket_addr()).unwrap();
    }
    let last = async {
        let mut last = None;
        while let Some(event) = agent.event().await {
            last = Some(event);
        }
        last
    };
    assert!(matches!(soon(last).await, Some(Event::Closed)));
    endpoint.close();
    soon(endpoint.closed()).await;
    assert!(matches!(endpoint.agent(Config::controlling()), Err(AgentError::Closed)));
}

#[tokio::test]
async fn an_agent_lives_as_long_as_any_of_its_handles() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    drop((a, b));
    carry(&to_b, &to_a, b"still there").await;
    let clone = to_b.clone();
    drop(to_b);
    carry(&clone, &to_a, b"still there").await;
}

#[tokio::test]
async fn closing_an_endpoint_closes_its_agents() {
    let endpoint = Endpoint::new().await.unwrap();
    let agents: Vec<_> = (0..3).map(|_| endpoint.agent(Config::controlled().loopback()).unwrap()).collect();
    endpoint.close();
    soon(endpoint.closed()).await;
    for agent in agents {
        soon(agent.closed()).await;
        assert_eq!(agent.state(), State::Closed);
        assert_eq!(agent.connected().await.unwrap_err(), ConnectError::Closed);
    }
}

#[tokio::test]
async fn p33_dropping_at_any_time_leaves_nothing() {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let mut finished = false;
    // Each round lives an event longer before everything is dropped, until one lives long enough.
    for step in 0.. {
        let a = one.agent(Config::controlling().loopback()).unwrap();
        let b = two.agent(Config::controlled().loopback()).unwrap();
        let session = async {
            let (to_b, to_a) = connect(&a, &b).await;
            carry(&to_b, &to_a, b"hello").await;
        };
        let events = async {
            for _ in 0..step {
                tokio::select! { event = a.event() => assert!(event.is_some()), event = b.event() => assert!(event.is_some()) }
            }
        };
        tokio::select! {
            biased;
            () = soon(session) => finished = true,
            () = events => {}
        }
        if finished {
            break;
        }
    }
    for endpoint in [one, two] {
        let mut gone = std::pin::pin!(async {
            while endpoint.stats().agents > 0 {
                tokio::task::yield_now().await;
            }
        });
        soon(&mut gone).await;
        assert_eq!(endpoint.stats().sockets, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p35_handles_can_be_used_from_everywhere_at_once() {
    let (a, b) = pair().await;
    let (a, b) = (std::sync::Arc::new(a), std::sync::Arc::new(b));
    let (a2, b2) = (a.clone(), b.clone());
    // Whatever happens is answered with calls into the handle.
    let reader = tokio::spawn(async move {
        while let Some(event) = a2.event().await {
            let _ = (a2.state(), a2.role(), a2.pairs(), a2.connection().path());
            if matches!(event, Event::Selected { .. }) {
                a2.close();
            }
        }
    });
    signal(&a, &b).await;
    signal(&b2, &a).await;
    soon(reader).await.unwrap();
    soon(a.closed()).await;
}

#[test]
fn the_end_of_the_runtime_ends_everything() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (agent, endpoint, connection) = runtime.block_on(async {
        let (a, b) = pair().await;
        let (to_b, _) = connect(&a, &b).await;
        (a, Endpoint::new().await.unwrap(), to_b)
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    assert!(matches!(endpoint.agent(Config::controlling()), Err(AgentError::Closed)));
    assert_eq!(agent.state(), State::Closed);
    agent.close();
    let other = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    other.block_on(async {
        soon(agent.closed()).await;
        soon(endpoint.closed()).await;
        assert!(matches!(connection.send(b"late").await, Err(SendError::Closed)));
        assert_eq!(soon(connection.recv(&mut [0; 9])).await, Err(RecvError::Closed));
        while soon(agent.event()).await.is_some() {}
    });
}

#[test]
fn an_endpoint_needs_a_runtime() {
    let mut future = Box::pin(Endpoint::new());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = future.as_mut().poll(&mut cx) else {
        panic!("an endpoint without a runtime")
    };
    assert!(matches!(error, floe::EndpointError::NoRuntime));
}
