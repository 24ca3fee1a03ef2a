//! Invariant 4: which paths an authenticated answer has proved, and when; and when consent on them ends.

use core::time::Duration;

use floe_pair::{Place, TransportAddress};
use floe_stun::{AttributeType, ChannelNumber, Class, Instant, Message, Method, attribute::XorPeerAddress};

/// RFC 7675 §5.1: consent ends so long after the last answer.
const EXPIRY: Duration = Duration::from_secs(30);
/// One interval less: who has asked for nothing until then has suspended consent, and may regain it (RFC 7675 §5.1).
const SUSPENDED: Duration = Duration::from_secs(24);

/// A datagram as the peer gets it or has sent it, without what a TURN server needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwrapped<'a> {
    /// The other end: the peer itself.
    pub(super) peer: TransportAddress,
    pub(super) payload: &'a [u8],
}

/// Which credentials of the agent a request was sent with: a number for each user name. Consent is obtained with those of
/// one generation, and ends with it (RFC 7675 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name(usize);

/// What one agent knows of its paths, from what it sent and received.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// Sockets that talk to a TURN server, and which.
    relays: Vec<(Place, TransportAddress)>,
    channels: Vec<(Place, u16, TransportAddress)>,
    /// User names, by their numbers less one.
    names: Vec<Vec<u8>>,
    /// The last answer on each path, in each generation.
    proofs: Vec<Proof>,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug)]
struct Proof {
    path: (Place, TransportAddress),
    name: Name,
    answered: Instant,
    /// The last request since then.
    asked: Option<Instant>,
    /// When consent was asked for again after it had been suspended, and not given since.
    resumed: Option<Instant>,
    /// When it was taken back (RFC 7675 §5.2).
    revoked: Option<Instant>,
}

impl Proof {
    /// When consent ends for good.
    fn end(&self) -> Instant {
        self.revoked.unwrap_or_else(|| self.resumed.unwrap_or(self.answered).after(EXPIRY))
    }
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

    /// The number of a user name.
    pub(super) fn name(&mut self, name: &[u8]) -> Name {
        let known = self.names.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_vec());
            self.names.len().saturating_sub(1)
        });
        Name(index.saturating_add(1))
    }

    /// RFC 7675 §5.1: whether an answer to what was asked at that time counts: not if consent has ended since.
    pub(super) fn is_in_time(
        &self,
        now: Instant,
        path: (Place, TransportAddress),
        name: Name,
        asked: Instant,
    ) -> bool {
        let known = self.proofs.iter().find(|known| (known.path, known.name) == (path, name));
        let ended = known.map(|known| known.answered.after(EXPIRY)).filter(|end| *end <= now);
        ended.is_none_or(|end| end <= asked)
    }

    /// An authenticated answer came to a request with these credentials.
    pub(super) fn prove(&mut self, now: Instant, path: (Place, TransportAddress), name: Name) {
        let proof = Proof { path, name, answered: now, asked: None, resumed: None, revoked: None };
        match self.proofs.iter_mut().find(|known| (known.path, known.name) == (path, name)) {
            Some(known) => *known = proof,
            None => self.proofs.push(proof),
        }
    }

    /// An authenticated answer has taken consent back (RFC 7675 §5.2).
    pub(super) fn revoke(&mut self, now: Instant, path: (Place, TransportAddress), name: Name) {
        let known = |known: &&mut Proof| (known.path, known.name) == (path, name);
        if let Some(known) = self.proofs.iter_mut().find(known) {
            known.revoked.get_or_insert(now);
        }
    }

    /// A request has left; `suspends`: the agent need not ask while it sends nothing.
    pub(super) fn ask(&mut self, now: Instant, path: (Place, TransportAddress), name: Name, suspends: bool) {
        let known = |known: &&mut Proof| (known.path, known.name) == (path, name);
        let Some(proof) = self.proofs.iter_mut().find(known) else { return };
        if suspends && proof.asked.is_none() && now.since(proof.answered) > SUSPENDED {
            proof.resumed = Some(now);
        }
        proof.asked = Some(now);
    }

    /// Whether consent on a path of a generation lasts.
    pub(super) fn lasts(&self, now: Instant, path: (Place, TransportAddress), name: Name) -> bool {
        let known = self.proofs.iter().find(|known| (known.path, known.name) == (path, name));
        known.is_some_and(|known| now < known.answered.after(EXPIRY))
    }

    /// When consent ends on the paths that count, each in a generation.
    pub(super) fn ends(
        &self,
        counts: impl Fn((Place, TransportAddress), Name) -> bool,
    ) -> impl Iterator<Item = Instant> {
        self.proofs.iter().filter(move |known| counts(known.path, known.name)).map(Proof::end)
    }

    /// Whether anything authenticated has ever come from there.
    pub(super) fn is_known(&self, place: Place, peer: TransportAddress) -> bool {
        self.proofs.iter().any(|known| known.path == (place, peer))
    }

    /// Whether data may leave; if not, when the last answer came.
    pub(super) fn allows(
        &self,
        now: Instant,
        place: Place,
        peer: TransportAddress,
    ) -> Result<(), Option<Instant>> {
        let proofs = self.proofs.iter().filter(|known| known.path == (place, peer));
        let living = proofs.clone().filter(|known| known.revoked.is_none());
        match living.map(|known| known.answered).max() {
            Some(last) if now.since(last) < EXPIRY => Ok(()),
            _ => Err(proofs.map(|known| known.answered).max()),
        }
    }
}
