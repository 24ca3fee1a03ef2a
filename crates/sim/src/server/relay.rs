//! Data between client and peers: Send and Data indications, ChannelData, ICMP (RFC 8656 §11, §12).

use std::net::SocketAddr;

use floe_stun::{
    Class, Message, MessageWriter, Method,
    attribute::{Data, Icmp, XorPeerAddress},
    channel::{self, ChannelData},
};

use super::{Server, ServerTransmit, allocation::FiveTuple};

/// Longest payload of a UDP datagram over IPv4; what would become longer by framing is dropped.
const MAX_PAYLOAD_BYTES: usize = 65_507;
/// Bytes a Data indication adds at most: header, XOR-PEER-ADDRESS (IPv6), DATA header, padding.
const INDICATION_BYTES: usize = 20 + 24 + 4 + 3;

impl Server {
    /// RFC 8656 §11.2. A Send indication is served or dropped, never answered.
    pub(super) fn on_send(&mut self, tuple: FiveTuple, message: &Message<'_>) {
        let (Ok(Some(XorPeerAddress(peer))), Ok(Some(Data(payload)))) =
            (message.get::<XorPeerAddress>(), message.get::<Data<'_>>())
        else {
            return;
        };
        self.relay_to_peer(tuple, peer, payload);
    }

    /// RFC 8656 §12.6.
    pub(super) fn on_channel_data(&mut self, tuple: FiveTuple, bytes: &[u8]) {
        let Ok(data) = ChannelData::parse(bytes) else {
            self.counters.malformed = self.counters.malformed.saturating_add(1);
            return;
        };
        let allocation = self.allocations.get(&tuple);
        let Some(peer) = allocation.and_then(|allocation| allocation.peer_of(self.now, data.number)) else {
            return;
        };
        self.relay_to_peer(tuple, peer, data.payload);
    }

    fn relay_to_peer(&mut self, tuple: FiveTuple, peer: SocketAddr, payload: &[u8]) {
        let Some(allocation) = self.allocations.get(&tuple) else { return };
        let permitted = allocation.permits(self.now, peer.ip());
        let Some(relay) = allocation.relay_for(peer.ip()) else { return };
        if !self.may_send_to(peer) {
            self.counters.peers_denied = self.counters.peers_denied.saturating_add(1);
        } else if !permitted {
            self.counters.not_permitted = self.counters.not_permitted.saturating_add(1);
        } else {
            self.counters.to_peers = self.counters.to_peers.saturating_add(1);
            self.send(ServerTransmit { from: relay, to: peer, bytes: payload.to_vec() });
        }
    }

    /// RFC 8656 §11.3: a datagram from a peer, to the client whose relayed address it came to.
    pub(super) fn relay_to_client(&mut self, relay: SocketAddr, peer: SocketAddr, payload: &[u8]) {
        let Some(tuple) = self.relays.get(&relay).copied() else { return };
        let Some(allocation) = self.allocations.get(&tuple) else { return };
        if !allocation.permits(self.now, peer.ip()) {
            self.counters.not_permitted = self.counters.not_permitted.saturating_add(1);
            return;
        }
        let bytes = match allocation.channel_of(self.now, peer) {
            // RFC 8656 §12.5: where a channel is bound the server has no choice but to use it.
            Some(number) => u16::try_from(payload.len())
                .ok()
                .map(|len| [channel::write_header(number, len).as_slice(), payload].concat()),
            None => self.data_indication(payload.len(), |writer| {
                writer.put(&XorPeerAddress(peer))?;
                writer.put(&Data(payload))
            }),
        };
        let Some(bytes) = bytes.filter(|bytes| bytes.len() <= MAX_PAYLOAD_BYTES) else { return };
        self.counters.to_clients = self.counters.to_clients.saturating_add(1);
        self.send(ServerTransmit { from: tuple.server, to: tuple.client, bytes });
    }

    /// RFC 8656 §11.5: told in a Data indication, also where a channel is bound.
    pub(super) fn icmp_to_client(&mut self, relay: SocketAddr, peer: SocketAddr, icmp: Icmp) {
        let Some(tuple) = self.relays.get(&relay).copied() else { return };
        if !self.allocations.get(&tuple).is_some_and(|allocation| allocation.permits(self.now, peer.ip())) {
            return;
        }
        let bytes = self.data_indication(0, |writer| {
            writer.put(&XorPeerAddress(peer))?;
            writer.put(&icmp)
        });
        if let Some(bytes) = bytes {
            self.send(ServerTransmit { from: tuple.server, to: tuple.client, bytes });
        }
    }

    fn data_indication(
        &mut self,
        payload_bytes: usize,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), floe_stun::WriteError>,
    ) -> Option<Vec<u8>> {
        let mut bytes = vec![0; payload_bytes.saturating_add(INDICATION_BYTES)];
        let id = self.random.transaction_id();
        let mut writer = MessageWriter::new(&mut bytes, Class::Indication, Method::DATA, id).ok()?;
        fill(&mut writer).ok()?;
        let len = writer.finish();
        bytes.truncate(len);
        Some(bytes)
    }
}
