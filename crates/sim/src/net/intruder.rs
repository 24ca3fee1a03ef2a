//! Third parties: they see what passes, and send what they like from any address. What they do not have is a password.

use core::time::Duration;
use std::net::SocketAddr;

use floe_stun::{
    Algorithm, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId, WriteError,
    attribute::{ErrorCode, IceControlling, Priority, UseCandidate, Username, XorMappedAddress},
};
use serde::{Deserialize, Serialize};

use super::{Content, Fate, Network, Packet, Probability, RealmId, queue::Occurrence};

/// Room for any message written here.
const LARGEST_FORGERY: usize = 1024;

/// What a third party does when it sees a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Intrusion {
    /// Sends it again: as it was, or from another address.
    Replay {
        /// The source the copy claims.
        #[serde(default)]
        from: Option<SocketAddr>,
        /// Only Binding requests; answers from a wrong source would fail the pair (RFC 8445 §7.2.5.2.1).
        #[serde(default)]
        requests: bool,
    },
    /// Answers a Binding request with success in the name of its destination, signed with a wrong key, the mapped
    /// address being its own invention.
    Success {
        /// The mapped address it tells.
        mapped: SocketAddr,
    },
    /// Answers a Binding request with this error code in the name of its destination.
    Error {
        /// 300 to 699.
        code: u16,
        /// Whether it carries a MESSAGE-INTEGRITY, with a wrong key.
        signed: bool,
    },
    /// Sends a check of its own to the sender of a Binding request: its user name turned round, USE-CANDIDATE, a wrong
    /// key.
    Check,
    /// Sends application data, in the name of the destination, to the sender of a datagram.
    Data,
}

/// A third party at one place of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intruder {
    /// The address space it listens in.
    pub realm: RealmId,
    /// What it does.
    pub intrusion: Intrusion,
    /// How often it does it, of the datagrams it could do it with.
    pub chance: Probability,
    /// How long after it saw the datagram.
    pub delay: Duration,
}

impl Network {
    /// A datagram passes all third parties of an address space.
    pub(super) fn be_seen(&mut self, realm: RealmId, packet: &Packet) {
        for index in 0..self.intruders.len() {
            let Some(intruder) =
                self.intruders.get(index).copied().filter(|intruder| intruder.realm == realm)
            else {
                continue;
            };
            let Some(forged) = forge(intruder.intrusion, packet) else { continue };
            if !self.calm && intruder.chance.happens(&mut self.chances) {
                let at = self.now.after(intruder.delay);
                self.queue.push(at, Occurrence::Injection { realm, packet: forged });
            }
        }
    }

    pub(super) fn be_injected(&mut self, realm: RealmId, packet: Packet) {
        self.trace.note(self.now, realm, &packet, Fate::Forged);
        self.inject(realm, packet);
    }
}

/// What an intruder makes of a datagram; `None` if it is nothing for it.
fn forge(intrusion: Intrusion, packet: &Packet) -> Option<Packet> {
    let Content::Datagram(bytes) = &packet.content else { return None };
    let back = |bytes| Some(Packet { from: packet.to, to: packet.from, content: Content::Datagram(bytes) });
    match intrusion {
        Intrusion::Replay { requests: true, .. } if !is_binding_request(bytes) => None,
        Intrusion::Replay { from, .. } => {
            Some(Packet { from: from.unwrap_or(packet.from), ..packet.clone() })
        }
        Intrusion::Data => back(b"\x80 forged".to_vec()),
        Intrusion::Success { .. } | Intrusion::Error { .. } | Intrusion::Check => {
            let request = Message::parse(bytes).ok()?;
            if !is_binding_request(bytes) {
                return None;
            }
            back(write(intrusion, &request)?)
        }
    }
}

fn is_binding_request(bytes: &[u8]) -> bool {
    Message::parse(bytes)
        .is_ok_and(|message| message.class() == Class::Request && message.method() == Method::BINDING)
}

fn write(intrusion: Intrusion, request: &Message<'_>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; LARGEST_FORGERY];
    let written = match intrusion {
        Intrusion::Success { mapped } => success(&mut buffer, request.transaction_id(), mapped),
        Intrusion::Error { code, signed } => error(&mut buffer, request.transaction_id(), code, signed),
        _ => {
            let username = request.get::<Username<'_>>().ok()??;
            let (theirs, ours) = username.as_str()?.split_once(':')?;
            check(&mut buffer, request.transaction_id(), &format!("{ours}:{theirs}"))
        }
    };
    buffer.truncate(written.ok()?);
    Some(buffer)
}

fn wrong_key() -> IntegrityKey {
    IntegrityKey::new(b"a password that is none")
}

fn success(buffer: &mut [u8], id: TransactionId, mapped: SocketAddr) -> Result<usize, WriteError> {
    let mut writer = MessageWriter::new(buffer, Class::Success, Method::BINDING, id)?;
    writer.put(&XorMappedAddress(mapped))?;
    writer.sign(&wrong_key(), Algorithm::Sha1)?.fingerprint()
}

fn error(buffer: &mut [u8], id: TransactionId, code: u16, signed: bool) -> Result<usize, WriteError> {
    let mut writer = MessageWriter::new(buffer, Class::Error, Method::BINDING, id)?;
    writer.put(&ErrorCode::new(code, "forged"))?;
    if signed { writer.sign(&wrong_key(), Algorithm::Sha1)?.fingerprint() } else { writer.fingerprint() }
}

fn check(buffer: &mut [u8], seen: TransactionId, username: &str) -> Result<usize, WriteError> {
    // Another id than the one seen: this is a request of its own.
    let mut id = seen;
    id.0.reverse();
    let mut writer = MessageWriter::new(buffer, Class::Request, Method::BINDING, id)?;
    writer.put(&Username::new(username.as_bytes()).map_err(|_| WriteError::MessageTooLong)?)?;
    writer.put(&Priority(u32::MAX >> 1))?;
    writer.put(&IceControlling(u64::MAX))?;
    writer.put(&UseCandidate)?;
    writer.sign(&wrong_key(), Algorithm::Sha1)?.fingerprint()
}
