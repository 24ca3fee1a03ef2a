//! A connection as the transport of webrtc-rs.
#![cfg(feature = "webrtc-util")]

use std::{sync::Arc, task::Poll};

use webrtc_util::{Conn, Error};

#[cfg(test)]
mod support;
use support::{carry, connect, pair, soon};

type Transport = Arc<dyn Conn + Send + Sync>;

#[tokio::test]
async fn data_goes_through_the_trait() {
    let (a, b) = pair().await;
    // The first datagram may be sent before there is a path, and waits for it.
    let early: Transport = Arc::new(a.connection());
    let first = tokio::spawn(async move { early.send(b"first").await });
    let (to_b, to_a) = connect(&a, &b).await;
    assert_eq!(soon(first).await.unwrap().unwrap(), 5);
    let mut buffer = [0; 100];
    assert_eq!(soon(to_a.recv(&mut buffer)).await.unwrap(), 5);
    carry(&to_b, &to_a, b"not through the trait").await;
    let (to_b, to_a): (Transport, Transport) = (Arc::new(to_b), Arc::new(to_a));
    for (from, to) in [(&to_b, &to_a), (&to_a, &to_b)] {
        assert_eq!(from.send(b"hello").await.unwrap(), 5);
        let len = soon(to.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..len], b"hello");
    }
    assert!(to_b.as_any().is::<floe::Connection>());
}

#[tokio::test]
async fn receiving_is_cancel_safe_and_stays_pending_after_the_end() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    let (to_b, to_a): (Transport, Transport) = (Arc::new(to_b), Arc::new(to_a));
    let mut buffer = [0; 8];
    for round in 0..20_u8 {
        assert!(poll_once(to_a.recv(&mut buffer)).is_pending());
        to_b.send(&[round; 9]).await.unwrap();
        to_b.send(&[round; 3]).await.unwrap();
        // What does not fit is dropped; an error would have webrtc-rs turn in circles.
        assert_eq!(soon(to_a.recv(&mut buffer)).await.unwrap(), 3);
        assert_eq!(buffer[..3], [round; 3]);
    }
    to_a.close().await.unwrap();
    assert!(poll_once(to_a.recv(&mut buffer)).is_pending());
    assert_eq!(to_a.send(b"late").await, Err(Error::ErrUseClosedNetworkConn));
    assert!(to_a.remote_addr().is_none());
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(future).poll(&mut cx)
}
