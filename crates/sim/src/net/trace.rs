//! What happened to every datagram: a hash of all, and the story of some.

use core::fmt;
use std::net::SocketAddr;

use floe_stun::{Class, Instant, Message, Method, attribute::ErrorCode};

use super::{Packet, RealmId};

/// What became of a datagram at one step of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// It is on its way over the links to the next node.
    Sent,
    /// A link lost it, or had no room for it.
    Lost,
    /// A second copy of it is on its way.
    Duplicated,
    /// It is longer than a link carries.
    TooBig,
    /// Nobody has its destination, or its sender does not have its source.
    NoRoute,
    /// A NAT or a firewall dropped it.
    Filtered,
    /// It reached a host that has no socket there.
    NoSocket,
    /// It reached its destination.
    Delivered,
    /// A third party put it on its way.
    Forged,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sent => "sent",
            Self::Lost => "lost",
            Self::Duplicated => "doubled",
            Self::TooBig => "too big",
            Self::NoRoute => "no route",
            Self::Filtered => "filtered",
            Self::NoSocket => "no socket",
            Self::Delivered => "delivered",
            Self::Forged => "forged",
        })
    }
}

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Type, as in the ICMP header.
    pub kind: u8,
    /// Code, as in the ICMP header.
    pub code: u8,
    /// Next-hop MTU where the error carries one, else 0.
    pub mtu: u32,
    /// Source and destination of the datagram it is about.
    pub about: (SocketAddr, SocketAddr),
}

/// A step in the life of a stream between two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamStep {
    /// The opening side asks for a connection.
    Connect,
    /// The other side has accepted it.
    Accepted,
    /// The other side has refused it.
    Refused,
    /// It is gone at once, with what was under way.
    Reset,
    /// The sender will send nothing more.
    HalfClosed,
    /// Bytes, in order.
    Bytes(Vec<u8>),
}

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// The payload of a UDP datagram.
    Datagram(Vec<u8>),
    /// An ICMP error. The ports of its addresses mean nothing.
    Unreachable(Box<Unreachable>),
    /// A step of a stream. Streams have their place here; nothing in this crate sends them yet.
    Stream(StreamStep),
}

impl Content {
    /// The payload of a datagram, the bytes of a stream; nothing of anything else.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Datagram(bytes) | Self::Stream(StreamStep::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    /// What tells contents of equal bytes apart in the hash.
    fn tag(&self) -> u8 {
        match self {
            Self::Datagram(_) => 0,
            Self::Unreachable(_) => 1,
            Self::Stream(StreamStep::Connect) => 2,
            Self::Stream(StreamStep::Accepted) => 3,
            Self::Stream(StreamStep::Refused) => 4,
            Self::Stream(StreamStep::Reset) => 5,
            Self::Stream(StreamStep::HalfClosed) => 6,
            Self::Stream(StreamStep::Bytes(_)) => 7,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram(bytes) => datagram(bytes, f),
            Self::Unreachable(error) => {
                let (from, to) = error.about;
                write!(f, "ICMP type {} code {} about {from} > {to}", error.kind, error.code)
            }
            Self::Stream(StreamStep::Connect) => f.write_str("stream: connect"),
            Self::Stream(StreamStep::Accepted) => f.write_str("stream: accepted"),
            Self::Stream(StreamStep::Refused) => f.write_str("stream: refused"),
            Self::Stream(StreamStep::Reset) => f.write_str("stream: reset"),
            Self::Stream(StreamStep::HalfClosed) => f.write_str("stream: half-closed"),
            Self::Stream(StreamStep::Bytes(bytes)) => write!(f, "stream: {} bytes", bytes.len()),
        }
    }
}

fn datagram(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(0x40..=0x4f) = bytes.first() {
        f.write_str("ChannelData: ")?;
        return datagram(bytes.get(4..).unwrap_or_default(), f);
    }
    let Ok(message) = Message::parse(bytes) else { return write!(f, "{} bytes", bytes.len()) };
    let class = match message.class() {
        Class::Request => "request",
        Class::Indication => "indication",
        Class::Success => "success",
        Class::Error => "error",
    };
    write!(f, "{} {class}", message.method())?;
    if let Ok(Some(error)) = message.get::<ErrorCode<'_>>() {
        write!(f, " {}", error.code())?;
    }
    if message.raw(floe_stun::AttributeType::USE_CANDIDATE).is_some() {
        f.write_str(" USE-CANDIDATE")?;
    }
    if matches!(message.method(), Method::SEND | Method::DATA)
        && let Some(inner) = message.raw(floe_stun::AttributeType::DATA)
    {
        f.write_str(": ")?;
        return datagram(inner, f);
    }
    write!(f, " {}", message.transaction_id())
}

/// One step of one datagram. `Display` is a line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// In which address space; addresses mean something only there.
    pub realm: RealmId,
    /// Its source there.
    pub from: SocketAddr,
    /// Its destination there.
    pub to: SocketAddr,
    /// What became of it.
    pub fate: Fate,
    /// What it holds.
    pub content: Content,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_nanos() / 1_000;
        let (millis, rest) = (micros / 1_000, micros % 1_000);
        let Self { from, to, fate, content, .. } = self;
        write!(
            f,
            "{millis:>8}.{rest:03} ms  {:<10}  {from} > {to}  {fate:<9}  {content}",
            self.realm.to_string()
        )
    }
}

/// The record of a run. Two runs with equal seeds and inputs have equal hashes.
#[derive(Debug, Default)]
pub struct Trace {
    hash: Hash,
    sent: u64,
    lost: u64,
    departed: u64,
    room: usize,
    entries: Vec<Entry>,
}

impl Trace {
    /// A hash over every step of every datagram so far: time, address space, addresses, fate and payload.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// Datagrams put on a link and not lost there, once for each address space they cross.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams that links lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The steps kept, oldest first; see [`Network::keep_story`](super::Network::keep_story).
    pub fn story(&self) -> &[Entry] {
        &self.entries
    }

    /// Datagrams that agents have sent so far, application data left out, whatever became of them.
    pub fn departed(&self) -> u64 {
        self.departed
    }

    pub(super) fn take(&mut self) -> Vec<Entry> {
        core::mem::take(&mut self.entries)
    }

    pub(super) fn depart(&mut self) {
        self.departed = self.departed.saturating_add(1);
    }

    /// Keeps the next `steps` steps.
    pub(super) fn keep(&mut self, steps: usize) {
        self.room = steps;
    }

    pub(super) fn note(&mut self, at: Instant, realm: RealmId, packet: &Packet, fate: Fate) {
        match fate {
            Fate::Sent => self.sent = self.sent.saturating_add(1),
            Fate::Lost => self.lost = self.lost.saturating_add(1),
            _ => {}
        }
        let bytes = packet.content.bytes();
        let tags = [
            fate as u8,
            packet.content.tag(),
            u8::from(packet.from.is_ipv4()),
            u8::from(packet.to.is_ipv4()),
        ];
        self.hash.number(at.as_nanos());
        self.hash
            .number(u64::try_from(realm.0).unwrap_or(u64::MAX) << 32 | u64::from(u32::from_le_bytes(tags)));
        self.hash.address(packet.from);
        self.hash.address(packet.to);
        self.hash.bytes(bytes);
        if let Content::Unreachable(error) = &packet.content {
            self.hash.bytes(&[error.kind, error.code]);
            self.hash.number(u64::from(error.mtu));
            self.hash.address(error.about.0);
            self.hash.address(error.about.1);
        }
        if self.room > 0 {
            self.room = self.room.saturating_sub(1);
            let Packet { from, to, content } = packet.clone();
            self.entries.push(Entry { at, realm, from, to, fate, content });
        }
    }
}

/// A fast hash that depends on every bit and on nothing else; not for keys that an enemy chooses.
#[derive(Clone, Copy, Debug)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Hash {
    fn number(&mut self, number: u64) {
        // Each step is a bijection of the state, and of the number for a given state: nothing is lost.
        let mixed = (self.0 ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ mixed >> 32;
    }

    fn address(&mut self, address: SocketAddr) {
        match address {
            SocketAddr::V4(v4) => {
                self.number(u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port()));
            }
            SocketAddr::V6(v6) => {
                let bits = v6.ip().to_bits();
                self.number(u64::try_from(bits >> 64).unwrap_or_default());
                self.number(u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default());
                self.number(u64::from(v6.port()));
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest) {
            *place = *byte;
        }
        self.number(u64::from_le_bytes(last));
    }

    fn finish(self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_sees_every_bit_and_every_length() {
        let hash = |bytes: &[u8]| {
            let mut hash = Hash::default();
            hash.bytes(bytes);
            hash.finish()
        };
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..40 {
            assert!(seen.insert(hash(&vec![0; len])), "{len} zeros");
            for bit in 0..len * 8 {
                let mut bytes = vec![0; len];
                bytes[bit / 8] = 1 << (bit % 8);
                assert!(seen.insert(hash(&bytes)), "bit {bit} of {len} bytes");
            }
        }
    }

    #[test]
    fn steps_of_streams_can_be_told_and_are_hashed_apart() {
        let steps = [
            StreamStep::Connect,
            StreamStep::Accepted,
            StreamStep::Refused,
            StreamStep::Reset,
            StreamStep::HalfClosed,
            StreamStep::Bytes(Vec::new()),
        ];
        let (from, to) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        let hashes: std::collections::BTreeSet<u64> = steps
            .map(|step| {
                let mut trace = Trace::default();
                trace.keep(1);
                let packet = Packet { from, to, content: Content::Stream(step) };
                trace.note(Instant::ORIGIN, RealmId::PUBLIC, &packet, Fate::Sent);
                assert!(trace.story()[0].to_string().contains("stream: "));
                trace.hash()
            })
            .into();
        assert_eq!(hashes.len(), 6);
    }
}
