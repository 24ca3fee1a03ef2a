//! Two agents in one test.

use std::time::Duration;

use floe::{Agent, Config, Connection, Endpoint};

/// Nothing here takes a tenth of it; a test that hangs is told by it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What `future` yields, in reasonable time.
#[track_caller]
pub(crate) fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let done = tokio::time::timeout(PATIENCE, future).await;
        done.unwrap_or_else(|_| panic!("not done in time: {place}"))
    }
}

/// Carries parameters and all candidates of `from` to `to`.
pub(crate) async fn signal(from: &Agent, to: &Agent) {
    to.set_remote_parameters(from.local_parameters()).unwrap();
    for candidate in soon(from.gathered()).await {
        // As text, as it would go.
        let line = candidate.to_string().parse().unwrap();
        let _ = to.add_remote_candidate_to(candidate.stream, &line).unwrap();
    }
    to.remote_gathering_complete().unwrap();
}

/// Connects two agents.
pub(crate) async fn connect(a: &Agent, b: &Agent) -> (Connection, Connection) {
    tokio::join!(signal(a, b), signal(b, a));
    let (a, b) = soon(async { tokio::join!(a.connected(), b.connected()) }).await;
    (a.unwrap(), b.unwrap())
}

/// Two agents on loopback, on an endpoint each.
pub(crate) async fn pair() -> (Agent, Agent) {
    let (a, b) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let a = a.agent(Config::controlling().loopback()).unwrap();
    (a, b.agent(Config::controlled().loopback()).unwrap())
}

/// Sends on one and receives on the other; repeats, as datagrams may be lost before the peer's pair is valid.
pub(crate) async fn carry(from: &Connection, to: &Connection, payload: &[u8]) {
    let mut buffer = [0; 2000];
    from.send(payload).await.unwrap();
    let len = soon(to.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..len], payload);
}
