//! Round-trip time and throughput of a connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use floe::Connection;

/// Datagrams of a WebRTC video: they fit every path.
const DATAGRAM: usize = 1200;
const PINGS: usize = 200;
/// How long datagrams are sent for the throughput.
const SPAN: Duration = Duration::from_millis(500);
/// Datagrams under way at a time: more would measure how well socket buffers overflow.
const WINDOW: u64 = 64;
/// An answer that is not back by then was lost.
const LOST: Duration = Duration::from_millis(200);

/// Median round-trip time in microseconds, application to application.
pub(crate) async fn round_trip(a: &Arc<Connection>, b: &Arc<Connection>) -> Option<u64> {
    let echo = tokio::spawn({
        let b = Arc::clone(b);
        async move {
            let mut buffer = [0; DATAGRAM];
            while let Ok(len) = b.recv(&mut buffer).await {
                // What cannot be sent back counts as lost.
                let _ = b.send(buffer.get(..len).unwrap_or_default()).await;
            }
        }
    });
    let mut times = Vec::with_capacity(PINGS);
    let mut buffer = [0; DATAGRAM];
    for ping in 0..PINGS {
        let sent = Instant::now();
        let payload = u64::try_from(ping).unwrap_or(0).to_be_bytes();
        if a.send(&payload).await.is_err() {
            continue;
        }
        let answered = tokio::time::timeout(LOST, async {
            while let Ok(len) = a.recv(&mut buffer).await {
                if buffer.get(..len) == Some(&payload[..]) {
                    return true;
                }
            }
            false
        });
        if answered.await == Ok(true) {
            times.push(sent.elapsed());
        }
    }
    echo.abort();
    times.sort_unstable();
    let median = times.get(times.len() / 2)?;
    u64::try_from(median.as_micros()).ok()
}

/// Megabits of payload a second that arrive, with a window of datagrams under way.
pub(crate) async fn throughput(a: &Arc<Connection>, b: &Arc<Connection>) -> Option<f64> {
    let received = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn({
        let (b, received) = (Arc::clone(b), Arc::clone(&received));
        async move {
            let mut buffer = [0; DATAGRAM];
            while b.recv(&mut buffer).await.is_ok() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let payload = [0x5A; DATAGRAM];
    let started = Instant::now();
    let (mut sent, mut lost, mut progress) = (0_u64, 0_u64, Instant::now());
    let mut seen = 0;
    while started.elapsed() < SPAN {
        let now_seen = received.load(Ordering::Relaxed);
        if now_seen != seen {
            (seen, progress) = (now_seen, Instant::now());
        }
        if sent.saturating_sub(lost).saturating_sub(seen) >= WINDOW {
            if progress.elapsed() > LOST {
                // The window would stay full for ever: what is under way was lost.
                lost = sent.saturating_sub(seen);
            }
            tokio::task::yield_now().await;
        } else if a.send(&payload).await.is_ok() {
            sent = sent.saturating_add(1);
        } else {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    reader.abort();
    let bits =
        received.load(Ordering::Relaxed).saturating_mul(8).saturating_mul(u64::try_from(DATAGRAM).ok()?);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people: 52 bits are plenty")]
    let rate = bits as f64 / seconds / 1e6;
    (bits > 0).then_some((rate * 10.0).round() / 10.0)
}
