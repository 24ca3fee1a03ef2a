//! The embedded STUN/TURN server of `floe-sim` on real sockets: the sockets are here, the server is there.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant as Clock,
};

use floe::stun::Instant;
use floe_sim::server::{RelayRequestId, Server, ServerConfig, ServerRequest};
use tokio::{net::UdpSocket, sync::Notify, task::AbortHandle};

/// Longest datagram of IPv4.
const LARGEST_DATAGRAM: usize = 65_535;

/// A server that runs until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

struct Shared {
    started: Clock,
    inner: Mutex<Inner>,
    deadline_changed: Notify,
}

struct Inner {
    server: Server,
    sockets: BTreeMap<SocketAddr, (Arc<UdpSocket>, Option<AbortHandle>)>,
}

impl Running {
    /// Starts a server on a free port of `ip`; `configure` gets the bound address.
    pub(crate) async fn start(
        ip: std::net::IpAddr,
        seed: [u8; 32],
        configure: impl FnOnce(SocketAddr) -> ServerConfig,
    ) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((ip, 0)).await?);
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            started: Clock::now(),
            inner: Mutex::new(Inner {
                server: Server::new(configure(address), seed),
                sockets: BTreeMap::from([(address, (Arc::clone(&socket), None))]),
            }),
            deadline_changed: Notify::new(),
        });
        let reader = tokio::spawn(read(Arc::clone(&shared), socket, address, Kind::Listening));
        let timer = tokio::spawn(keep_time(Arc::clone(&shared)));
        Ok(Self { address, shared, tasks: vec![reader.abort_handle(), timer.abort_handle()] })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many allocations it holds.
    pub(crate) fn allocations(&self) -> usize {
        self.shared.lock().server.allocations()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        for (_, relay) in self.shared.lock().sockets.values() {
            if let Some(relay) = relay {
                relay.abort();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Listening,
    Relay,
}

impl Shared {
    fn now(&self) -> Instant {
        Instant::ORIGIN.after(self.started.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens, closes and sends what the server asks for.
    fn drain(self: &Arc<Self>) {
        let mut inner = self.lock();
        loop {
            while let Some(request) = inner.server.poll_request() {
                match request {
                    ServerRequest::OpenRelay { id, ip, port } => {
                        self.open(&mut inner, id, SocketAddr::new(ip, port.unwrap_or(0)));
                    }
                    ServerRequest::CloseRelay { address } => {
                        if let Some((_, Some(reader))) = inner.sockets.remove(&address) {
                            reader.abort();
                        }
                    }
                }
            }
            let Some(transmit) = inner.server.poll_transmit() else { break };
            if let Some((socket, _)) = inner.sockets.get(&transmit.from) {
                // A full socket buffer loses the datagram, as any router would.
                let _ = socket.try_send_to(&transmit.bytes, transmit.to);
            }
        }
        drop(inner);
        self.deadline_changed.notify_one();
    }

    fn open(self: &Arc<Self>, inner: &mut Inner, id: RelayRequestId, wanted: SocketAddr) {
        let answer = match bind(wanted) {
            Ok((socket, address)) => {
                let reader = tokio::spawn(read(Arc::clone(self), Arc::clone(&socket), address, Kind::Relay));
                inner.sockets.insert(address, (socket, Some(reader.abort_handle())));
                Ok(address)
            }
            Err(_) => Err(()),
        };
        inner.server.handle_relay_opened(self.now(), id, answer);
    }
}

fn bind(wanted: SocketAddr) -> io::Result<(Arc<UdpSocket>, SocketAddr)> {
    let socket = std::net::UdpSocket::bind(wanted)?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let address = socket.local_addr()?;
    Ok((Arc::new(socket), address))
}

async fn read(shared: Arc<Shared>, socket: Arc<UdpSocket>, local: SocketAddr, kind: Kind) {
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        // An error is about one datagram (an ICMP answer to an earlier one): the next is read all the same.
        let Ok((len, source)) = socket.recv_from(&mut buffer).await else { continue };
        let datagram = buffer.get(..len).unwrap_or_default();
        let now = shared.now();
        {
            let mut inner = shared.lock();
            match kind {
                Kind::Listening => inner.server.handle_datagram(now, local, source, datagram),
                Kind::Relay => inner.server.handle_relayed(now, local, source, datagram),
            }
        }
        shared.drain();
    }
}

async fn keep_time(shared: Arc<Shared>) {
    loop {
        let wait = shared.lock().server.poll_timeout().map(|at| at.since(shared.now()));
        match wait {
            Some(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => {
                    let now = shared.now();
                    shared.lock().server.handle_timeout(now);
                    shared.drain();
                }
                () = shared.deadline_changed.notified() => {}
            },
            None => shared.deadline_changed.notified().await,
        }
    }
}
