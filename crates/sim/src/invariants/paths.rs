//! Invariant 4: which paths an authenticated answer has proved, and when.

use core::time::Duration;

use floe_pair::{Place, TransportAddress};
use floe_stun::{AttributeType, ChannelNumber, Class, Instant, Message, Method, attribute::XorPeerAddress};

/// RFC 7675 §5.1: consent ends so long after the last answer.
const EXPIRY: Duration = Duration::from_secs(30);

/// A datagram as the peer gets it or has sent it, without what a TURN server needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwrapped<'a> {
    /// The other end: the peer itself.
    pub(super) peer: TransportAddress,
    pub(super) payload: &'a [u8],
}

/// What one agent knows of its paths, from what it sent and received.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Sockets that talk to a TURN server, and which.
    relays: Vec<(Place, TransportAddress)>,
    channels: Vec<(Place, u16, TransportAddress)>,
    /// The last answer on each path.
    proofs: Vec<(Place, TransportAddress, Instant)>,
}

impl Paths {
    /// A TURN client has sent a request.
    pub(super) fn note_relay(&mut self, place: Place, server: TransportAddress, request: &Message<'_>) {
        if !self.relays.contains(&(place, server)) {
            self.relays.push((place, server));
        }
        if request.method() == Method::CHANNEL_BIND
            && let (Ok(Some(number)), Ok(Some(XorPeerAddress(peer)))) =
                (request.get::<ChannelNumber>(), request.get::<XorPeerAddress>())
        {
            self.channels.push((place, number.get(), peer.into()));
        }
    }

    /// Takes off what a TURN server put round a datagram, or is to take off; `None`: it is nobody's but the server's.
    pub(super) fn unwrap<'a>(
        &self,
        place: Place,
        other: TransportAddress,
        bytes: &'a [u8],
    ) -> Option<Unwrapped<'a>> {
        if !self.relays.contains(&(place, other)) {
            return Some(Unwrapped { peer: other, payload: bytes });
        }
        if let [high @ 0x40..=0x4f, low, _, _, payload @ ..] = bytes {
            let number = u16::from_be_bytes([*high, *low]);
            let known = |(at, bound, _): &&(Place, u16, TransportAddress)| *at == place && *bound == number;
            let (.., peer) = self.channels.iter().rev().find(known)?;
            return Some(Unwrapped { peer: *peer, payload });
        }
        let message = Message::parse(bytes).ok()?;
        if message.class() != Class::Indication {
            return None;
        }
        let XorPeerAddress(peer) = message.get().ok()??;
        Some(Unwrapped { peer: peer.into(), payload: message.raw(AttributeType::DATA)? })
    }

    /// An authenticated answer came.
    pub(super) fn prove(&mut self, now: Instant, place: Place, peer: TransportAddress) {
        match self.proofs.iter_mut().find(|(at, to, _)| (*at, *to) == (place, peer)) {
            Some((.., last)) => *last = now,
            None => self.proofs.push((place, peer, now)),
        }
    }

    /// Whether data may leave; if not, when the last answer came.
    pub(super) fn allows(
        &self,
        now: Instant,
        place: Place,
        peer: TransportAddress,
    ) -> Result<(), Option<Instant>> {
        let proof =
            self.proofs.iter().find(|(at, to, _)| (*at, *to) == (place, peer)).map(|(.., last)| *last);
        match proof {
            Some(last) if now.since(last) < EXPIRY => Ok(()),
            other => Err(other),
        }
    }
}
