//! What waits to be sent, and how it is written.

use alloc::collections::VecDeque;

use floe_pair::{BaseId, Role, TieBreaker, TransportAddress};
use floe_stun::attribute::{
    ErrorCode, IceControlled, IceControlling, LegacyNomination, Nomination, Priority, UnknownAttributes,
    UseCandidate, Username, XorMappedAddress,
};
use floe_stun::{Algorithm, AttributeType, Class, MessageWriter, Method, Sha1Key, TransactionId, WriteError};

use crate::ChecklistSet;
use crate::candidates::Local;
use crate::limits::{RESPONSE_LIMIT, UNKNOWN_LISTED};
use crate::pairs::PairId;
use crate::renominate::Renomination;
use crate::set::Peer;

/// One datagram to send: the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct CheckTransmit {
    /// The base it leaves from.
    pub from: BaseId,
    /// Where it goes.
    pub to: TransportAddress,
    /// Its length in bytes.
    pub len: usize,
    /// What it is.
    pub kind: TransmitKind,
}

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransmitKind {
    /// A connectivity check, or its retransmission.
    Check,
    /// An answer.
    Response,
    /// A consent request (RFC 7675 §5.1).
    Consent,
    /// A Binding indication (RFC 8445 §11).
    Keepalive,
}

/// An answer to a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub base: BaseId,
    pub to: TransportAddress,
    pub id: TransactionId,
    /// Algorithm of the request. `None`: not authenticated, so that neither is the answer.
    pub algorithm: Option<Algorithm>,
    pub body: Body,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    Success,
    Error(u16),
    /// 420 with the first types that were not understood.
    Unknown {
        types: [AttributeType; UNKNOWN_LISTED],
        count: u8,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outgoing {
    Answer(Answer),
    Check(TransactionId),
    Consent { pair: PairId, id: TransactionId, role: Role },
    Keepalive { pair: PairId, id: TransactionId },
}

/// First in, first out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
}

impl Outbox {
    /// Enough for what one input usually leads to, so that nothing is allocated in the steady state.
    const READY: usize = 2;

    /// Besides answers, one entry for each of the transactions that may be open waits.
    pub(crate) fn push(&mut self, outgoing: Outgoing, open: usize) {
        self.push_within(outgoing, open);
    }

    /// False where too many answers wait.
    pub(crate) fn push_answer(&mut self, answer: Answer) -> bool {
        self.push_within(Outgoing::Answer(answer), RESPONSE_LIMIT)
    }

    #[inline]
    fn push_within(&mut self, outgoing: Outgoing, limit: usize) -> bool {
        if self.queue.capacity() == 0 {
            self.queue.reserve_exact(Self::READY);
        }
        let room = self.queue.len() < limit;
        if room {
            self.queue.push_back(outgoing);
        }
        room
    }

    pub(crate) fn release_memory(&mut self) {
        self.queue.shrink_to(Self::READY);
    }
}

/// What one request is made from.
struct Request<'a> {
    id: TransactionId,
    peer: &'a Peer,
    role: Role,
    tiebreaker: TieBreaker,
    priority: u32,
    use_candidate: bool,
    value: Option<u32>,
}

impl ChecklistSet {
    /// Whether [`poll_transmit`](Self::poll_transmit) may have a datagram.
    #[inline]
    pub fn has_transmits(&self) -> bool {
        !self.outbox.queue.is_empty()
    }

    /// Writes the next datagram into `buffer`. What does not fit is dropped as if the network had lost it: 548 bytes
    /// hold whatever this crate writes (RFC 8489 §6.1).
    #[inline]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<CheckTransmit> {
        if self.outbox.queue.is_empty() { None } else { self.write_next(buffer) }
    }

    fn write_next(&mut self, buffer: &mut [u8]) -> Option<CheckTransmit> {
        while let Some(outgoing) = self.outbox.queue.front() {
            let written = match outgoing {
                Outgoing::Answer(answer) => self.write_answer(answer, buffer),
                &Outgoing::Check(id) => self.write_check(id, buffer),
                &Outgoing::Consent { pair, id, role } => self.write_consent(pair, id, role, buffer),
                &Outgoing::Keepalive { pair, id } => self.write_keepalive(pair, id, buffer),
            };
            self.outbox.queue.pop_front();
            if written.is_some() {
                return written;
            }
        }
        None
    }

    /// What is sent to: a link-local address of the peer is in the zone of the base (RFC 4007 §6).
    pub(crate) fn way_to(&self, base: BaseId, to: TransportAddress) -> TransportAddress {
        if to.is_link_local() { self.way_within(base, to) } else { to }
    }

    #[inline(never)]
    fn way_within(&self, base: BaseId, to: TransportAddress) -> TransportAddress {
        let own = |local: &&Local| local.base == base && local.candidate.address.scope() != 0;
        let near = self.candidates.locals.iter().find(own);
        near.map_or(to, |near| to.with_scope(near.candidate.address.scope()))
    }

    fn write_check(&mut self, id: TransactionId, buffer: &mut [u8]) -> Option<CheckTransmit> {
        let check = self.transactions.get_recent(id)?;
        let request = Request {
            id,
            peer: self.peer.as_ref()?,
            role: check.role,
            tiebreaker: check.tiebreaker,
            priority: check.priority.get(),
            use_candidate: check.use_candidate,
            value: check.value,
        };
        let len = request.write(buffer).ok()?;
        let transmit = CheckTransmit {
            from: check.base,
            to: self.way_to(check.base, check.to),
            len,
            kind: TransmitKind::Check,
        };
        let pair = check.pair;
        self.pairs.count_request(pair);
        Some(transmit)
    }

    #[inline(never)]
    fn write_consent(
        &self,
        pair: PairId,
        id: TransactionId,
        role: Role,
        buffer: &mut [u8],
    ) -> Option<CheckTransmit> {
        let pair = self.pairs.get(pair)?;
        let (peer, tiebreaker, priority) =
            (self.peer.as_ref()?, self.standing.tiebreaker, pair.check_priority.get());
        let request = Request { id, peer, role, tiebreaker, priority, use_candidate: false, value: None };
        let len = request.write(buffer).ok()?;
        Some(CheckTransmit {
            from: pair.base,
            to: self.way_to(pair.base, pair.to),
            len,
            kind: TransmitKind::Consent,
        })
    }

    /// RFC 8445 §11: no authentication, FINGERPRINT and nothing else.
    #[inline(never)]
    fn write_keepalive(&self, pair: PairId, id: TransactionId, buffer: &mut [u8]) -> Option<CheckTransmit> {
        let pair = self.pairs.get(pair)?;
        let writer = MessageWriter::new(buffer, Class::Indication, Method::BINDING, id).ok()?;
        let len = writer.fingerprint().ok()?;
        Some(CheckTransmit {
            from: pair.base,
            to: self.way_to(pair.base, pair.to),
            len,
            kind: TransmitKind::Keepalive,
        })
    }

    fn write_answer(&self, answer: &Answer, buffer: &mut [u8]) -> Option<CheckTransmit> {
        let len = self.encode_answer(answer, buffer).ok()?;
        Some(CheckTransmit { from: answer.base, to: answer.to, len, kind: TransmitKind::Response })
    }

    fn encode_answer(&self, answer: &Answer, buffer: &mut [u8]) -> Result<usize, WriteError> {
        let class = if matches!(answer.body, Body::Success) { Class::Success } else { Class::Error };
        let mut writer = MessageWriter::new(buffer, class, Method::BINDING, answer.id)?;
        match &answer.body {
            // RFC 8445 §7.3.1.2: over a relay the source is the address the TURN server saw; the owner hands that in.
            Body::Success => writer.put(&XorMappedAddress(answer.to.socket_addr()))?,
            Body::Error(code) => put_error(&mut writer, *code, &[])?,
            Body::Unknown { types, count } => {
                let types = types.get(..usize::from(*count)).unwrap_or_default();
                put_error(&mut writer, ErrorCode::UNKNOWN_ATTRIBUTE, types)?;
            }
        }
        // RFC 8489 §9.1.3: the algorithm of the request, and none where the request was not authenticated.
        match answer.algorithm {
            Some(Algorithm::Sha1) => seal(writer, &self.local_key),
            Some(Algorithm::Sha256) => self.sign_sha256(writer),
            None => writer.fingerprint(),
        }
    }

    #[cold]
    fn sign_sha256(&self, writer: MessageWriter<'_>) -> Result<usize, WriteError> {
        writer.sign(&self.local_integrity_key(), Algorithm::Sha256)?.fingerprint()
    }
}

impl Request<'_> {
    /// Renomination draft §3.3: with every USE-CANDIDATE, once it was negotiated.
    #[inline(never)]
    fn write_value(&self, writer: &mut MessageWriter<'_>) -> Result<(), WriteError> {
        match (self.peer.renomination, self.value) {
            (Renomination::Renomination2, Some(value)) => writer.put(&Nomination(value)),
            (Renomination::Legacy, Some(value)) => writer.put(&LegacyNomination(value)),
            (Renomination::Off, _) | (_, None) => Ok(()),
        }
    }

    /// RFC 8445 §7.2.4: a Binding request with short-term credentials and FINGERPRINT.
    fn write(&self, buffer: &mut [u8]) -> Result<usize, WriteError> {
        let mut writer = MessageWriter::new(buffer, Class::Request, Method::BINDING, self.id)?;
        // A fragment of the peer has 256 bytes at most and ours 32, so that this is never too long.
        writer.put(&Username::new(&self.peer.username).map_err(|_| WriteError::MessageTooLong)?)?;
        // RFC 8445 §7.1.1: what the peer's agent would give a peer-reflexive candidate of ours.
        writer.put(&Priority(self.priority))?;
        match self.role {
            Role::Controlling => {
                writer.put(&IceControlling(self.tiebreaker.0))?;
                // RFC 8445 §7.1.2: the controlled agent never sends it.
                if self.use_candidate {
                    writer.put(&UseCandidate)?;
                    self.write_value(&mut writer)?;
                }
            }
            Role::Controlled => writer.put(&IceControlled(self.tiebreaker.0))?,
        }
        // SHA-1 only: MESSAGE-INTEGRITY-SHA256 is comprehension-required, and agents of RFC 5389 would answer 420.
        seal(writer, &self.peer.key)
    }
}

/// Ends a request, or the answer to one, with MESSAGE-INTEGRITY and FINGERPRINT. Stands in one place, which both pass.
#[inline(never)]
fn seal(writer: MessageWriter<'_>, key: &Sha1Key) -> Result<usize, WriteError> {
    writer.sign_sha1(key)?.fingerprint()
}

/// ERROR-CODE, and the types that were not understood where there are any.
#[cold]
fn put_error(writer: &mut MessageWriter<'_>, code: u16, unknown: &[AttributeType]) -> Result<(), WriteError> {
    writer.put(&ErrorCode::new(code, reason(code)))?;
    if unknown.is_empty() { Ok(()) } else { writer.put(&UnknownAttributes::new(unknown)) }
}

fn reason(code: u16) -> &'static str {
    match code {
        ErrorCode::BAD_REQUEST => "Bad Request",
        ErrorCode::UNAUTHENTICATED => "Unauthenticated",
        ErrorCode::UNKNOWN_ATTRIBUTE => "Unknown Attribute",
        ErrorCode::ROLE_CONFLICT => "Role Conflict",
        _ => "",
    }
}
