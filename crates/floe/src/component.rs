//! What the driver and the connections of one component share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use floe_agent::{Ecn, PathHandle};
use floe_pair::{ComponentId, StreamId};
use tokio::sync::Notify;

use crate::{
    error::RecvError,
    inbox::{Inbox, Received},
    socket::Socket,
};

/// What the driver and the connections of one component share. No lock here is held for longer than it takes to
/// copy a datagram, and none while another is taken.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) stream: StreamId,
    pub(crate) id: ComponentId,
    pub(crate) counts: Counts,
    inbox: Mutex<Waiting>,
    arrived: Notify,
    route: RwLock<Option<Arc<Route>>>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    inbox: Inbox,
    /// Who polled last and found nothing.
    reader: Option<Waker>,
}

/// A path, and the socket it leads through.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: PathHandle,
    pub(crate) socket: Arc<Socket>,
}

/// What went through a component.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent_datagrams: AtomicU64,
    sent_bytes: AtomicU64,
    send_failures: AtomicU64,
    received_datagrams: AtomicU64,
    received_bytes: AtomicU64,
    received_dropped: AtomicU64,
    received_congestion: AtomicU64,
}

/// What went through a connection since it was made. Bytes are those of the application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Datagrams given to the kernel.
    pub sent_datagrams: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Datagrams the kernel refused.
    pub send_failures: u64,
    /// Datagrams that arrived.
    pub received_datagrams: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams that arrived and were dropped because the application read too slowly.
    pub received_dropped: u64,
    /// Datagrams that arrived with the mark of congestion (RFC 3168 §5).
    pub received_congestion: u64,
}

impl Component {
    pub(crate) fn new(stream: StreamId, id: ComponentId) -> Self {
        Self {
            stream,
            id,
            counts: Counts::default(),
            inbox: Mutex::default(),
            arrived: Notify::new(),
            route: RwLock::new(None),
            closed: AtomicBool::new(false),
        }
    }

    /// A datagram arrived.
    pub(crate) fn push(&self, payload: &[u8], ecn: Ecn) {
        self.counts.received(payload.len(), ecn);
        let (lost, reader) = {
            let mut waiting = self.waiting();
            (waiting.inbox.push(payload, ecn), waiting.reader.take())
        };
        add(&self.counts.received_dropped, lost);
        self.arrived.notify_one();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Takes what `take` makes of the inbox, and waits for it where that is nothing.
    pub(crate) async fn receive<T>(&self, mut take: impl FnMut(&mut Inbox) -> Option<T>) -> T {
        loop {
            // Made before the look, so that what arrives or ends in between is not missed.
            let arrived = self.arrived.notified();
            if let Some(taken) = self.take(&mut take) {
                return taken;
            }
            arrived.await;
        }
    }

    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<Received, RecvError>> {
        let mut waiting = self.waiting();
        if let Some(received) = waiting.inbox.pop(buffer) {
            return Poll::Ready(received);
        }
        waiting.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn take<T>(&self, take: &mut impl FnMut(&mut Inbox) -> Option<T>) -> Option<T> {
        let (taken, more) = {
            let mut waiting = self.waiting();
            (take(&mut waiting.inbox), waiting.inbox.is_ready())
        };
        // One permit is kept for any number of arrivals: it is handed on while there is something left.
        if taken.is_some() && more {
            self.arrived.notify_one();
        }
        taken
    }

    /// The way data goes now.
    pub(crate) fn route(&self) -> Option<Arc<Route>> {
        self.route.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_route(&self, route: Option<Route>) {
        let route = route.map(Arc::new).filter(|_| !self.is_closed());
        *self.route.write().unwrap_or_else(PoisonError::into_inner) = route;
    }

    /// Whether data was stopped for good.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Stops data both ways, for good.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.set_route(None);
        let reader = {
            let mut waiting = self.waiting();
            waiting.inbox.close();
            waiting.reader.take()
        };
        self.arrived.notify_waiters();
        self.arrived.notify_one();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    pub(crate) fn sent(&self, datagrams: usize, bytes: usize) {
        add(&self.sent_datagrams, wide(datagrams));
        add(&self.sent_bytes, wide(bytes));
    }

    pub(crate) fn send_failed(&self) {
        add(&self.send_failures, 1);
    }

    fn received(&self, bytes: usize, ecn: Ecn) {
        add(&self.received_datagrams, 1);
        add(&self.received_bytes, wide(bytes));
        add(&self.received_congestion, u64::from(ecn == Ecn::Congestion));
    }

    pub(crate) fn read(&self) -> ConnectionStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ConnectionStats {
            sent_datagrams: read(&self.sent_datagrams),
            sent_bytes: read(&self.sent_bytes),
            send_failures: read(&self.send_failures),
            received_datagrams: read(&self.received_datagrams),
            received_bytes: read(&self.received_bytes),
            received_dropped: read(&self.received_dropped),
            received_congestion: read(&self.received_congestion),
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
