//! How far agents and connections have come: what those learn who wait for a path.

use std::{pin::Pin, task::Poll, time::Duration};

use floe::{
    Agent, ComponentState, Config, ConnectError, Endpoint, Event, SendError, State,
    pair::{ComponentId, StreamId},
};

#[cfg(test)]
mod support;
use sides::{agent, failed, impatient, is_done, signal_some, streams, until};
use support::{carry, connect, pair, soon};

const FIRST: StreamId = StreamId(0);
const SECOND: StreamId = StreamId(1);
const BOTH: [ComponentId; 2] = [ComponentId::RTP, ComponentId::RTCP];

/// Long enough for nothing to be missed that arrives in one go, and short enough to be waited for.
const PATIENCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod sides {
    use super::*;

    pub(crate) fn streams(config: Config, streams: &[(StreamId, &[ComponentId])]) -> Config {
        config.loopback().streams(streams.iter().map(|(stream, ids)| (*stream, ids.to_vec())).collect())
    }

    pub(crate) fn impatient(mut config: Config) -> Config {
        config.checks_mut().patience = PATIENCE;
        config
    }

    pub(crate) async fn agent(config: Config) -> Agent {
        Endpoint::new().await.unwrap().agent(config).unwrap()
    }

    /// Carries everything of `from` to `to` that the filter lets through, and the end of it, without a pause in between.
    pub(crate) async fn signal_some(
        from: &Agent,
        to: &Agent,
        wanted: impl Fn(StreamId, ComponentId) -> bool,
    ) {
        let candidates = soon(from.gathered()).await;
        to.set_remote_parameters(from.local_parameters()).unwrap();
        for one in candidates.iter().filter(|one| wanted(one.stream, one.line.component())) {
            let _ = to.add_remote_candidate_to(one.stream, &one.line).unwrap();
        }
        to.remote_gathering_complete().unwrap();
    }

    /// Whether it has come to an end by now.
    pub(crate) async fn is_done<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
    }

    pub(crate) async fn until(agent: &Agent, wanted: impl Fn(&Event) -> bool) {
        while !wanted(&soon(agent.event()).await.unwrap()) {}
    }

    pub(crate) async fn failed(agent: &Agent) {
        until(agent, |event| matches!(event, Event::State(State::Failed))).await;
    }
}

#[tokio::test]
async fn the_failure_of_one_data_stream_of_two_is_told() {
    let two = [(FIRST, &[ComponentId::RTP][..]), (SECOND, &[ComponentId::RTP])];
    let a = agent(impatient(streams(Config::controlling(), &two))).await;
    let b = agent(streams(Config::controlled(), &two)).await;
    soon(a.gathered()).await;
    let mut waiting = Box::pin(a.connected());
    assert!(!is_done(&mut waiting).await);
    // No candidate for the second one: the peer could have rejected it.
    signal_some(&b, &a, |stream, _| stream == FIRST).await;
    signal_some(&a, &b, |stream, _| stream == FIRST).await;
    let told = |event: &Event| matches!(event, Event::StreamState { stream: SECOND, state: State::Failed });
    until(&a, told).await;
    assert_eq!(a.stream_state(SECOND), Some(State::Failed));
    assert_eq!(a.component_state(SECOND, ComponentId::RTP), Some(ComponentState::Failed));
    assert_ne!(a.state(), State::Failed, "RFC 8445 §6.1.3: as long as another lives");
    assert_eq!(soon(waiting).await.unwrap_err(), ConnectError::Failed);
    let second = a.connection_of(SECOND, ComponentId::RTP).unwrap();
    assert_eq!(soon(second.connected()).await, Err(ConnectError::Failed));
    let (to_b, to_a) = (a.connection(), b.connection());
    soon(async { tokio::join!(to_b.connected(), to_a.connected()) }).await.0.unwrap();
    assert!(matches!(a.stream_state(FIRST), Some(State::Connected | State::Completed)));
    assert_eq!(a.stream_state(StreamId(7)), None);
    carry(&to_b, &to_a, b"hello").await;
}

/// An agent with one data stream tells its states too, and each once.
#[tokio::test]
async fn states_of_data_streams_are_told_once_for_each_change() {
    let (a, b) = pair().await;
    connect(&a, &b).await;
    let (mut states, mut of_the_stream) = (vec![], vec![]);
    while states.last() != Some(&State::Completed) {
        match soon(a.event()).await.unwrap() {
            Event::State(state) => states.push(state),
            Event::StreamState { stream: FIRST, state } => of_the_stream.push(state),
            _ => {}
        }
    }
    assert_eq!(of_the_stream, states, "the same, as it is the only one");
    let mut each = of_the_stream.clone();
    each.dedup();
    assert_eq!(each, of_the_stream);
    a.close();
    until(&a, |event| {
        assert!(
            !matches!(event, Event::StreamState { .. }),
            "nothing is told of the streams of a closed agent"
        );
        matches!(event, Event::Closed)
    })
    .await;
    assert_eq!(a.stream_state(FIRST), None);
}

#[tokio::test]
async fn p08_a_component_that_the_peer_does_not_have_is_not_waited_for() {
    let a = agent(streams(Config::controlling(), &[(FIRST, &BOTH)])).await;
    let b = agent(streams(Config::controlled(), &[(FIRST, &BOTH[..1])])).await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
    let rtcp = a.connection_of(FIRST, ComponentId::RTCP).unwrap();
    assert_eq!(soon(rtcp.connected()).await, Err(ConnectError::Absent));
    assert_eq!(a.component_state(FIRST, ComponentId::RTCP), Some(ComponentState::Absent));
    assert!(matches!(rtcp.try_send(b"x"), Err(SendError::NotConnected)));
    // While the peer has not answered it has none either.
    a.restart().unwrap();
    soon(a.connected()).await.unwrap();
}

/// What a command changes is seen by who waits, also where there is nothing to tell.
#[tokio::test]
async fn p08_who_waits_learns_at_once_that_the_peer_does_not_have_the_component() {
    let a = agent(streams(Config::controlling(), &[(FIRST, &BOTH)])).await;
    let b = agent(Config::controlled().loopback()).await;
    soon(a.gathered()).await;
    a.set_remote_parameters(b.local_parameters()).unwrap();
    // It takes what comes, and answers nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let line = format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host").parse().unwrap();
    let _ = a.add_remote_candidate(&line).unwrap();
    until(&a, |event| matches!(event, Event::State(State::Checking))).await;
    let rtcp = a.connection_of(FIRST, ComponentId::RTCP).unwrap();
    let mut waiting = Box::pin(rtcp.connected());
    assert!(!is_done(&mut waiting).await);
    a.remote_gathering_complete().unwrap();
    assert_eq!(soon(waiting).await, Err(ConnectError::Absent));
}

#[tokio::test]
async fn a_component_that_is_removed_is_not_waited_for() {
    let two = [(FIRST, &[ComponentId::RTP][..]), (SECOND, &[ComponentId::RTP])];
    let a = agent(streams(Config::controlling(), &two)).await;
    let b = agent(streams(Config::controlled(), &two[..1])).await;
    let second = a.connection_of(SECOND, ComponentId::RTP).unwrap();
    let (mut agent, mut connection) = (Box::pin(a.connected()), Box::pin(second.connected()));
    for (from, to) in [(&a, &b), (&b, &a)] {
        let candidates = soon(from.gathered()).await;
        to.set_remote_parameters(from.local_parameters()).unwrap();
        for one in candidates.iter().filter(|one| one.stream == FIRST) {
            let _ = to.add_remote_candidate_to(FIRST, &one.line).unwrap();
        }
    }
    soon(a.connection().connected()).await.unwrap();
    assert!(!is_done(&mut agent).await && !is_done(&mut connection).await, "candidates of it may come yet");
    a.remove_stream(SECOND).unwrap();
    soon(agent).await.unwrap();
    assert_eq!(soon(connection).await, Err(ConnectError::Closed));
}

#[tokio::test]
async fn a_restart_of_a_failed_agent_is_waited_for_until_it_is_rolled_back() {
    let a = agent(impatient(Config::controlling().loopback())).await;
    let b = agent(Config::controlled().loopback()).await;
    signal_some(&b, &a, |_, _| false).await;
    failed(&a).await;
    assert_eq!(soon(a.connected()).await.unwrap_err(), ConnectError::Failed);
    a.restart().unwrap();
    let connection = a.connection();
    let (mut waiting, mut too) = (Box::pin(a.connected()), Box::pin(connection.connected()));
    assert!(!is_done(&mut waiting).await && !is_done(&mut too).await);
    a.rollback().unwrap();
    assert_eq!(soon(waiting).await.unwrap_err(), ConnectError::Failed);
    assert_eq!(soon(too).await, Err(ConnectError::Failed));
}

#[tokio::test]
async fn p17_a_generation_that_fails_leaves_the_one_before_connected() {
    let a = agent(impatient(Config::controlling().loopback())).await;
    let b = agent(Config::controlled().loopback()).await;
    let (to_b, to_a) = connect(&a, &b).await;
    until(&a, |event| matches!(event, Event::State(State::Completed))).await;
    until(&b, |event| matches!(event, Event::State(State::Completed))).await;
    b.set_remote_parameters(a.restart().unwrap()).unwrap();
    signal_some(&b, &a, |_, _| false).await;
    failed(&a).await;
    for _ in 0..2 {
        soon(a.connected()).await.unwrap();
        soon(to_b.connected()).await.unwrap();
        carry(&to_b, &to_a, b"over the pair of before").await;
        a.restart().unwrap();
    }
}

#[tokio::test]
async fn ice_10_a_lite_agent_is_connected_once_every_component_has_a_pair() {
    let lite = agent(streams(Config::controlled(), &[(FIRST, &BOTH)]).lite()).await;
    let full = agent(streams(Config::controlling(), &[(FIRST, &BOTH)])).await;
    signal_some(&full, &lite, |_, _| true).await;
    full.set_remote_parameters(lite.local_parameters()).unwrap();
    let candidates = soon(lite.gathered()).await;
    let tell = |of: ComponentId| {
        for one in candidates.iter().filter(|one| one.line.component() == of) {
            let _ = full.add_remote_candidate(&one.line).unwrap();
        }
    };
    tell(ComponentId::RTP);
    let is_valid = || lite.pairs().iter().any(|pair| pair.valid && pair.component == ComponentId::RTP);
    while !is_valid() {
        assert!(soon(lite.event()).await.is_some());
    }
    let rtp = lite.connection();
    let mut waiting = Box::pin(rtp.connected());
    assert!(!is_done(&mut waiting).await, "RFC 8445 §12.1.1");
    assert!(matches!(rtp.try_send(b"too early"), Err(SendError::NotConnected)));
    tell(ComponentId::RTCP);
    soon(waiting).await.unwrap();
    soon(lite.connected()).await.unwrap();
    rtp.send(b"in time").await.unwrap();
}
