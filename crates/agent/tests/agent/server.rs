//! The least STUN and TURN server that agents of a test can live with: it asks for no credentials.

use std::{collections::BTreeMap, net::SocketAddr};

use floe_stun::{
    ChannelNumber, Class, Message, MessageWriter, Method,
    attribute::{Data, Lifetime, XorMappedAddress, XorPeerAddress, XorRelayedAddress},
    channel::{self, ChannelData},
};

pub(crate) const ADDRESS: &str = "192.0.2.1:3478";
const LIFETIME_SECONDS: u32 = 600;

/// A datagram of the server: its source and destination.
pub(crate) type Sent = (SocketAddr, SocketAddr, Vec<u8>);

#[derive(Debug)]
struct Allocation {
    client: SocketAddr,
    channels: BTreeMap<ChannelNumber, SocketAddr>,
}

#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    next_port: u16,
    /// By relay address.
    allocations: BTreeMap<SocketAddr, Allocation>,
    /// Whether channels are granted.
    pub(crate) channels: bool,
    /// Whether clients are told of a mapping, as if there were a NAT before them.
    pub(crate) nat: bool,
    /// The address outside of that NAT.
    pub(crate) outside: [u8; 4],
}

impl Server {
    pub(crate) fn new() -> Self {
        let address = ADDRESS.parse().unwrap();
        Self {
            address,
            next_port: 50_000,
            allocations: BTreeMap::new(),
            channels: true,
            nat: false,
            outside: [203, 0, 113, 99],
        }
    }

    pub(crate) fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// What it answers to a datagram to one of its addresses.
    pub(crate) fn handle(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> Option<Sent> {
        if to != self.address {
            return self.relay_to_client(from, to, bytes);
        }
        if let Ok(data) = ChannelData::parse(bytes) {
            let (relay, allocation) = self.of_client(from)?;
            let peer = *allocation.channels.get(&data.number)?;
            return Some((*relay, peer, data.payload.to_vec()));
        }
        let message = Message::parse(bytes).ok()?;
        match (message.class(), message.method()) {
            (Class::Request, _) => self.answer(from, &message).map(|answer| (to, from, answer)),
            (Class::Indication, Method::SEND) => {
                let (relay, _) = self.of_client(from)?;
                let XorPeerAddress(peer) = message.get().ok()??;
                let Data(payload) = message.get().ok()??;
                Some((*relay, peer, payload.to_vec()))
            }
            _ => None,
        }
    }

    fn of_client(&self, client: SocketAddr) -> Option<(&SocketAddr, &Allocation)> {
        self.allocations.iter().find(|(_, allocation)| allocation.client == client)
    }

    fn relay_to_client(&self, peer: SocketAddr, relay: SocketAddr, payload: &[u8]) -> Option<Sent> {
        let allocation = self.allocations.get(&relay)?;
        let bound = allocation.channels.iter().find(|(_, bound)| **bound == peer);
        let bytes = if let Some((number, _)) = bound {
            let header = channel::write_header(*number, payload.len().try_into().unwrap());
            [header.as_slice(), payload].concat()
        } else {
            let mut buffer = vec![0; payload.len() + 64];
            let id = floe_stun::TransactionId([9; 12]);
            let mut writer = MessageWriter::new(&mut buffer, Class::Indication, Method::DATA, id).unwrap();
            writer.put(&XorPeerAddress(peer)).unwrap();
            writer.put(&Data(payload)).unwrap();
            let len = writer.finish();
            buffer[..len].to_vec()
        };
        Some((self.address, allocation.client, bytes))
    }

    fn answer(&mut self, client: SocketAddr, request: &Message<'_>) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 256];
        let (method, id) = (request.method(), request.transaction_id());
        let refused = method == Method::CHANNEL_BIND && !self.channels;
        let class = if refused { Class::Error } else { Class::Success };
        let mut writer = MessageWriter::new(&mut buffer, class, method, id).unwrap();
        match method {
            Method::ALLOCATE => {
                let relay = SocketAddr::new(self.address.ip(), self.next_port);
                self.next_port += 1;
                self.allocations.insert(relay, Allocation { client, channels: BTreeMap::new() });
                writer.put(&XorRelayedAddress(relay)).unwrap();
                writer.put(&XorMappedAddress(client)).unwrap();
                writer.put(&Lifetime(LIFETIME_SECONDS)).unwrap();
            }
            Method::BINDING => {
                let outside = SocketAddr::new(self.outside.into(), client.port());
                writer.put(&XorMappedAddress(if self.nat { outside } else { client })).unwrap();
            }
            Method::REFRESH => {
                let Lifetime(seconds) = request.get().ok()?.unwrap_or(Lifetime(LIFETIME_SECONDS));
                if seconds == 0 {
                    self.allocations.retain(|_, allocation| allocation.client != client);
                }
                writer.put(&Lifetime(seconds)).unwrap();
            }
            Method::CHANNEL_BIND if refused => {
                writer.put(&floe_stun::attribute::ErrorCode::new(508, "")).unwrap();
            }
            Method::CHANNEL_BIND => {
                let number: ChannelNumber = request.get().ok()??;
                let XorPeerAddress(peer) = request.get().ok()??;
                let allocation = self.allocations.values_mut().find(|known| known.client == client)?;
                allocation.channels.insert(number, peer);
            }
            _ => {}
        }
        let len = writer.finish();
        buffer.truncate(len);
        Some(buffer)
    }
}
