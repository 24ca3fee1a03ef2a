//! A TURN server on loopback, in a thread of its own.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use floe::{Agent, Config, Endpoint};
use floe_sim::server::{Server, ServerConfig, ServerRequest};

const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(crate) const USER: &str = "alice";
const PASSWORD: &str = "hunter2";

pub(crate) struct Relay {
    address: SocketAddr,
    server: Arc<Mutex<Server>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let socket = bind(SocketAddr::new(IP, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let mut config = ServerConfig::new(vec![address], vec![IP]).with_user(USER, PASSWORD);
        config.peers.allow_loopback = true;
        let server = Arc::new(Mutex::new(Server::new(config, [3; 32])));
        let shared = Arc::clone(&server);
        let thread = Some(thread::spawn(move || run(&shared, address, socket)));
        Self { address, server, thread }
    }

    pub(crate) fn uri(&self) -> String {
        format!("turn:{}", self.address)
    }

    pub(crate) fn allocations(&self) -> usize {
        self.server.lock().unwrap().allocations()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // An empty datagram of its own ends the thread.
        if let Ok(socket) = UdpSocket::bind((IP, 0)) {
            let _ = socket.send_to(b"end", self.address);
        }
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || thread::panicking(), "the server panicked");
    }
}

/// Two agents that only use the relay.
pub(crate) async fn relayed(relay: &Relay) -> [Agent; 2] {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let with = |config: Config| config.loopback().relay_only().server(&relay.uri(), USER, PASSWORD).unwrap();
    [one.agent(with(Config::controlling())).unwrap(), two.agent(with(Config::controlled())).unwrap()]
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    // Sockets take turns: each is looked at for so long.
    socket.set_read_timeout(Some(Duration::from_millis(1)))?;
    Ok(socket)
}

fn run(server: &Mutex<Server>, listening: SocketAddr, socket: UdpSocket) {
    let start = Instant::now();
    let mut sockets = BTreeMap::from([(listening, socket)]);
    let mut buffer = vec![0; 65_535];
    loop {
        let received: Vec<_> = sockets
            .iter()
            .filter_map(|(local, socket)| {
                let (len, source) = socket.recv_from(&mut buffer).ok()?;
                Some((*local, source, buffer[..len].to_vec()))
            })
            .collect();
        let mut server = server.lock().unwrap();
        let now = floe::stun::Instant::ORIGIN.after(start.elapsed());
        for (local, source, bytes) in received {
            if local == listening && bytes == b"end" {
                return;
            } else if local == listening {
                server.handle_datagram(now, local, source, &bytes);
            } else {
                server.handle_relayed(now, local, source, &bytes);
            }
        }
        server.handle_timeout(now);
        while let Some(request) = server.poll_request() {
            match request {
                ServerRequest::OpenRelay { id, ip, port } => {
                    let opened = bind(SocketAddr::new(ip, port.unwrap_or(0))).map(|socket| {
                        let address = socket.local_addr().unwrap();
                        sockets.insert(address, socket);
                        address
                    });
                    server.handle_relay_opened(now, id, opened.map_err(drop));
                }
                ServerRequest::CloseRelay { address } => drop(sockets.remove(&address)),
            }
        }
        while let Some(transmit) = server.poll_transmit() {
            let _ = sockets[&transmit.from].send_to(&transmit.bytes, transmit.to);
        }
    }
}
