//! What happened to every datagram: a hash of all, and the story of some.

use core::fmt;
use std::net::SocketAddr;

use floe_stun::{Class, Instant, Message};

use super::{Packet, RealmId};

/// What became of a datagram at one step of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// It is on its way over the links to the next node.
    Sent,
    /// A link lost it.
    Lost,
    /// Nobody has its destination, or its sender does not have its source.
    NoRoute,
    /// A NAT dropped it.
    Filtered,
    /// It reached a host that has no socket there.
    NoSocket,
    /// It reached its destination.
    Delivered,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sent => "sent",
            Self::Lost => "lost",
            Self::NoRoute => "no route",
            Self::Filtered => "filtered",
            Self::NoSocket => "no socket",
            Self::Delivered => "delivered",
        })
    }
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
    /// The payload.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.as_nanos() / 1_000;
        let (millis, rest) = (micros / 1_000, micros % 1_000);
        write!(f, "{millis:>8}.{rest:03} ms  {} > {}  {:<9}  ", self.from, self.to, self.fate)?;
        match Message::parse(&self.bytes) {
            Ok(message) => {
                let class = match message.class() {
                    Class::Request => "request",
                    Class::Indication => "indication",
                    Class::Success => "success",
                    Class::Error => "error",
                };
                write!(f, "{} {class} {}", message.method(), message.transaction_id())
            }
            Err(_) => write!(f, "{} bytes", self.bytes.len()),
        }
    }
}

/// The record of a run. Two runs with equal seeds and inputs have equal hashes.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    sent: u64,
    lost: u64,
    room: usize,
    entries: Vec<Entry>,
}

impl Default for Trace {
    fn default() -> Self {
        // The offset basis of FNV-1a.
        Self { hash: 0xcbf2_9ce4_8422_2325, sent: 0, lost: 0, room: 0, entries: Vec::new() }
    }
}

impl Trace {
    /// FNV-1a over every step of every datagram so far: time, address space, addresses, fate and payload.
    pub fn hash(&self) -> u64 {
        self.hash
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
        self.mix(&at.as_nanos().to_be_bytes());
        self.mix_number(realm.0);
        self.mix_address(packet.from);
        self.mix_address(packet.to);
        self.mix(&[fate as u8]);
        self.mix_number(packet.bytes.len());
        self.mix(&packet.bytes);
        if self.room > 0 {
            self.room = self.room.saturating_sub(1);
            let Packet { from, to, bytes } = packet.clone();
            self.entries.push(Entry { at, realm, from, to, fate, bytes });
        }
    }

    fn mix_address(&mut self, address: SocketAddr) {
        match address {
            SocketAddr::V4(v4) => self.mix(&v4.ip().octets()),
            SocketAddr::V6(v6) => self.mix(&v6.ip().octets()),
        }
        self.mix(&address.port().to_be_bytes());
    }

    /// In 64 bits on every target.
    fn mix_number(&mut self, number: usize) {
        self.mix(&u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes());
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
