//! Agents find each other over real sockets on loopback and exchange data.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::Poll,
};

use floe::{
    Config, Ecn, Endpoint, Event, Interface, InterfaceFlags, ListInterfaces, RecvError, SendError, State,
    pair::{CandidateLine, ComponentId, StreamId},
};

#[cfg(test)]
mod support;
use support::{carry, connect, pair, soon};

#[tokio::test]
async fn two_agents_connect_and_exchange_data() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
    carry(&to_a, &to_b, b"").await;
    carry(&to_a, &to_b, &[7; 1400]).await;
    let (sent, received) = (to_a.stats(), to_b.stats());
    assert_eq!((sent.sent_datagrams, sent.sent_bytes), (2, 1400));
    assert_eq!((received.received_datagrams, received.received_bytes), (2, 1400));

    // Nomination follows.
    while to_b.path().is_none() || to_a.path().is_none() {
        tokio::select! { event = a.event() => assert!(event.is_some()), event = b.event() => assert!(event.is_some()) }
    }
    let path = to_b.path().unwrap();
    assert!(path.remote.is_loopback());
    assert_eq!(path.remote, to_a.path().unwrap().local.address);
}

#[tokio::test]
async fn candidates_trickle_as_events_tell_them() {
    let (a, b) = pair().await;
    let (a, b) = (Arc::new(a), Arc::new(b));
    for (from, to) in [(&a, &b), (&b, &a)] {
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        tokio::spawn(async move {
            to.set_remote_parameters(from.local_parameters()).unwrap();
            while let Some(event) = from.event().await {
                match event {
                    Event::LocalCandidate { candidate, .. } => {
                        let _ = to.add_remote_candidate(&CandidateLine::from(&candidate));
                    }
                    Event::GatheringComplete { .. } => to.remote_gathering_complete().unwrap(),
                    _ => {}
                }
            }
        });
    }
    let to_b = soon(a.connected()).await.unwrap();
    let to_a = soon(b.connected()).await.unwrap();
    carry(&to_b, &to_a, b"hello").await;
    a.close();
    b.close();
    soon(async { tokio::join!(a.closed(), b.closed()) }).await;
}

#[tokio::test]
async fn components_are_apart() {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let both = [ComponentId::RTP, ComponentId::RTCP];
    let a = one.agent(Config::controlling().loopback().components(&both)).unwrap();
    let b = two.agent(Config::controlled().loopback().components(&both)).unwrap();
    connect(&a, &b).await;
    for component in both {
        let (from, to) = (a.connection_of(StreamId(0), component), b.connection_of(StreamId(0), component));
        carry(&from.unwrap(), &to.unwrap(), &component.get().to_be_bytes()).await;
    }
    assert!(a.connection_of(StreamId(1), ComponentId::RTP).is_none());
}

#[tokio::test]
async fn p36_two_agents_on_one_socket_connect_to_two_others() {
    let hub = Endpoint::shared(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let mut pairs = vec![];
    for _ in 0..2 {
        let other = Endpoint::new().await.unwrap();
        let own = hub.agent(Config::controlling().loopback()).unwrap();
        let peer = other.agent(Config::controlled().loopback()).unwrap();
        let candidates = soon(own.gathered()).await;
        let ports: Vec<_> =
            candidates.iter().map(|one| one.line.candidate().unwrap().address.port()).collect();
        assert_eq!(ports, [hub.shared_addresses()[0].port()]);
        pairs.push((connect(&own, &peer).await, own, peer));
    }
    assert_eq!((hub.stats().sockets, hub.stats().agents), (1, 2));
    for (number, ((to_peer, to_hub), ..)) in pairs.iter().enumerate() {
        carry(to_peer, to_hub, format!("to {number}").as_bytes()).await;
        carry(to_hub, to_peer, format!("from {number}").as_bytes()).await;
    }
    // One agent goes, the other does not notice.
    let (_, first, _) = pairs.remove(0);
    first.close();
    soon(first.closed()).await;
    assert_eq!((hub.stats().sockets, hub.stats().agents), (1, 1));
    carry(&pairs[0].0.0, &pairs[0].0.1, b"still there").await;
}

#[tokio::test]
async fn p36_agents_of_two_shared_sockets_connect() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (one, two) = (Endpoint::shared(address).await.unwrap(), Endpoint::shared(address).await.unwrap());
    let pairs: Vec<_> = (0..2)
        .map(|_| {
            let a = one.agent(Config::controlling().loopback()).unwrap();
            (a, two.agent(Config::controlled().loopback()).unwrap())
        })
        .collect();
    for (a, b) in &pairs {
        connect(a, b).await;
    }
    // All have one address and one port on each side: only whose checks are whose can be told, and was.
    for (a, b) in pairs {
        assert!(matches!(a.state(), State::Connected | State::Completed), "{a:?}");
        assert!(matches!(b.state(), State::Connected | State::Completed), "{b:?}");
    }
    assert_eq!((one.stats().sockets, two.stats().sockets), (1, 1));
}

#[tokio::test]
async fn p31_a_wildcard_socket_serves_every_address() {
    let lister = || Listed(vec![[127, 0, 0, 1].into(), [127, 0, 0, 2].into()]);
    let endpoint = async || {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Endpoint::builder().shared(any).interfaces(lister()).build().await.unwrap()
    };
    let (one, two) = (endpoint().await, endpoint().await);
    let a = one.agent(Config::controlling().loopback()).unwrap();
    let b = two.agent(Config::controlled().loopback()).unwrap();
    let mut gathered: Vec<_> =
        soon(a.gathered()).await.iter().map(|one| one.line.candidate().unwrap().address.ip()).collect();
    gathered.sort();
    assert_eq!(gathered, lister().0);
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
    carry(&to_a, &to_b, b"hello").await;
}

struct Listed(Vec<IpAddr>);

impl ListInterfaces for Listed {
    fn list(&self) -> std::io::Result<Vec<Interface>> {
        let flags = InterfaceFlags::UP | InterfaceFlags::LOOPBACK;
        let listed = self.0.iter().map(|ip| Interface {
            name: format!("test {ip}").into(),
            index: 1,
            ip: *ip,
            prefix_len: 32,
            flags,
        });
        Ok(listed.collect())
    }
}

#[tokio::test]
async fn loopback_is_no_candidate_unless_it_is_asked_for() {
    for (config, expected) in [(Config::controlling(), 0), (Config::controlling().loopback(), 1)] {
        let lister = Listed(vec![Ipv4Addr::LOCALHOST.into()]);
        let endpoint = Endpoint::builder().interfaces(lister).build().await.unwrap();
        let agent = endpoint.agent(config).unwrap();
        assert_eq!(soon(agent.gathered()).await.len(), expected);
    }
    // The same with what the system lists.
    let agent = Endpoint::new().await.unwrap().agent(Config::controlling()).unwrap();
    for candidate in soon(agent.gathered()).await {
        assert!(!candidate.line.candidate().unwrap().address.is_loopback(), "{candidate}");
    }
}

/// Who waits for all candidates does not wait for a server that is gone.
#[tokio::test]
async fn p02_a_dead_server_holds_up_no_offer_and_no_session() {
    // It takes what comes, and keeps it.
    let dead = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let uri = format!("stun:{}", dead.local_addr().unwrap());
    let config = |config: Config| {
        let mut config = config.loopback().stun(&uri).unwrap();
        config.gathering_mut().deadline = std::time::Duration::from_millis(50);
        config
    };
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let (a, b) =
        (one.agent(config(Config::controlling())).unwrap(), two.agent(config(Config::controlled())).unwrap());
    assert!(!soon(a.gathered()).await.is_empty());
    loop {
        match soon(a.event()).await.unwrap() {
            Event::GatheringDeadline => break,
            Event::GatheringComplete { .. } => panic!("the server may answer yet"),
            _ => {}
        }
    }
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
    // Once there is a pair, nothing more is waited for.
    while !matches!(soon(a.event()).await.unwrap(), Event::GatheringComplete { .. }) {}
}

#[tokio::test]
async fn congestion_marks_go_through() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    for ecn in [Ecn::Capable0, Ecn::Congestion, Ecn::NotCapable] {
        to_b.send_marked(b"x", ecn).await.unwrap();
        let received = soon(to_a.recv_marked(&mut [0; 10])).await.unwrap();
        assert_eq!(received.ecn, ecn);
    }
    assert_eq!(to_a.stats().received_congestion, 1);
}

#[tokio::test]
async fn many_datagrams_go_in_one_call() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    let payload: Vec<u8> = (0..1000 * 100 + 50).map(|at: u32| at.to_be_bytes()[3]).collect();
    assert_eq!(to_b.send_segments(&payload, 1000).await.unwrap(), 101);
    let (mut all, mut lens) = (vec![], vec![]);
    let (mut buffer, mut received) = (vec![0; 20_000], [floe::Received::default(); 32]);
    while lens.len() < 101 {
        let count = soon(to_a.recv_batch(&mut buffer, &mut received)).await.unwrap();
        let batch = received[..count].iter().map(|one| one.len);
        all.extend_from_slice(&buffer[..batch.clone().sum()]);
        lens.extend(batch);
    }
    assert_eq!(all, payload);
    assert_eq!((lens[0], lens[100]), (1000, 50));
    assert_eq!(to_b.stats().sent_datagrams, 101);
}

#[tokio::test]
async fn receiving_can_be_given_up_without_loss() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    let mut buffer = [0; 100];
    for _ in 0..50 {
        let mut receive = Box::pin(to_a.recv(&mut buffer));
        assert!(matches!(futures_poll(&mut receive), Poll::Pending));
        drop(receive);
        carry(&to_b, &to_a, b"hello").await;
    }
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx)
}

#[tokio::test]
async fn receiving_can_be_polled() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    let mut buffer = [0; 100];
    let poll = std::future::poll_fn(|cx| to_a.poll_recv(cx, &mut buffer));
    let (received, sent) = tokio::join!(soon(poll), to_b.send(b"hello"));
    sent.unwrap();
    assert_eq!((received.unwrap().len, &buffer[..5]), (5, &b"hello"[..]));
    let end = std::future::poll_fn(|cx| to_a.poll_recv(cx, &mut [0; 9]));
    let (end, ()) = tokio::join!(soon(end), async { b.close() });
    assert_eq!(end, Err(RecvError::Closed));
}

#[tokio::test]
async fn errors_say_what_is_the_matter() {
    let (a, b) = pair().await;
    let early = a.connection();
    assert!(matches!(early.send(b"early").await, Err(SendError::NotConnected)));
    let (to_b, to_a) = connect(&a, &b).await;
    assert!(matches!(to_b.send(&vec![0; 70_000]).await, Err(SendError::TooLong)));
    to_b.send(b"too long").await.unwrap();
    assert_eq!(soon(to_a.recv(&mut [0; 3])).await, Err(RecvError::BufferTooSmall { needed: 8 }));
    carry(&to_b, &to_a, b"the next").await;
    to_b.close();
    assert!(matches!(to_b.send(b"late").await, Err(SendError::Closed)));
    assert_eq!(to_b.recv(&mut [0; 3]).await, Err(RecvError::Closed));
    assert_eq!(early.connected().await, Err(floe::ConnectError::Closed));
    assert_eq!(a.remote_gathering_complete(), Err(floe::ApiError::Closed));
    assert_eq!(a.state(), State::Closed);
}

#[tokio::test]
async fn a_user_fragment_is_given_to_one_agent_only() {
    let endpoint = Endpoint::new().await.unwrap();
    let config = Config::controlling()
        .credentials("mine1234".parse().unwrap(), "0123456789abcdefghijkl".parse().unwrap());
    let first = endpoint.agent(config.clone()).unwrap();
    assert!(matches!(endpoint.agent(config.clone()), Err(floe::AgentError::UfragInUse)));
    first.close();
    soon(first.closed()).await;
    endpoint.agent(config).unwrap();
}
