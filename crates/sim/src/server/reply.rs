//! Answers: how they are formed, signed, remembered and sent.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use floe_stun::{
    Class, Instant, Message, MessageWriter, Method, TransactionId, WriteError,
    attribute::{ErrorCode, Software},
};

use super::{FaultKind, Server, ServerTransmit, allocation::FiveTuple, auth::Signature};

/// Longest answer; the longest made are a 401 with all its attributes and a dual allocation, both under 400 bytes.
const ANSWER_BYTES: usize = 1024;
/// How long an answer is remembered (RFC 8489 §6.3.1).
const REMEMBERED: Duration = Duration::from_secs(40);
/// Answers remembered at most; the oldest goes first. Only authenticated requests get this far.
const MAX_REMEMBERED: usize = 4096;

/// What has to be known of a request to answer it later.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyTo {
    pub(super) tuple: FiveTuple,
    pub(super) method: Method,
    pub(super) id: TransactionId,
    pub(super) fingerprint: bool,
    pub(super) signature: Option<Signature>,
}

impl ReplyTo {
    pub(super) fn new(tuple: FiveTuple, message: &Message<'_>) -> Self {
        Self {
            tuple,
            method: message.method(),
            id: message.transaction_id(),
            fingerprint: message.has_fingerprint(),
            signature: None,
        }
    }
}

/// Answers to authenticated requests of the last 40 s (STN-07): a request that comes again gets the same bytes and
/// is not carried out again, also where what it made is gone by now.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    answers: BTreeMap<(FiveTuple, TransactionId), (Instant, Method, Vec<u8>)>,
    order: VecDeque<(Instant, FiveTuple, TransactionId)>,
}

impl Remembered {
    pub(super) fn find(&self, now: Instant, to: &ReplyTo) -> Option<Vec<u8>> {
        let (at, method, bytes) = self.answers.get(&(to.tuple, to.id))?;
        (*method == to.method && now.since(*at) < REMEMBERED).then(|| bytes.clone())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.len().max(self.order.len())
    }

    /// No timer runs for this: what is too old goes when something new comes.
    fn insert(&mut self, now: Instant, to: &ReplyTo, bytes: &[u8]) {
        while let Some((at, tuple, id)) = self.order.front().copied() {
            if self.order.len() < MAX_REMEMBERED && now.since(at) < REMEMBERED {
                break;
            }
            self.order.pop_front();
            self.answers.remove(&(tuple, id));
        }
        self.answers.entry((to.tuple, to.id)).or_insert_with(|| {
            self.order.push_back((now, to.tuple, to.id));
            (now, to.method, bytes.to_vec())
        });
    }
}

impl Server {
    /// Answers with success; `fill` puts the attributes of the method.
    pub(super) fn succeed(
        &mut self,
        to: &ReplyTo,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) {
        self.answer(to, Class::Success, fill);
    }

    /// Answers with an error code and nothing else.
    pub(super) fn refuse(&mut self, to: &ReplyTo, code: u16) {
        self.refuse_with(to, code, |_| Ok(()));
    }

    /// Answers with an error code and what `fill` puts.
    pub(super) fn refuse_with(
        &mut self,
        to: &ReplyTo,
        code: u16,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) {
        self.counters.refused = self.counters.refused.saturating_add(1);
        self.answer(to, Class::Error, |writer| {
            writer.put(&ErrorCode::new(code, reason(code)))?;
            fill(writer)
        });
    }

    /// 401 or 438 with realm and nonce. Never signed: the client could not say with which key.
    pub(super) fn challenge(&mut self, to: &ReplyTo, code: u16) {
        let unsigned = ReplyTo { signature: None, ..*to };
        let mut buffer = [0; ANSWER_BYTES];
        let written =
            MessageWriter::new(&mut buffer, Class::Error, to.method, to.id).and_then(|mut writer| {
                writer.put(&ErrorCode::new(code, reason(code)))?;
                self.auth.put_challenge(self.now, to.tuple, &mut writer)?;
                if to.fingerprint { writer.fingerprint() } else { Ok(writer.finish()) }
            });
        self.counters.refused = self.counters.refused.saturating_add(1);
        self.dispatch(&unsigned, written, &mut buffer);
    }

    fn answer(
        &mut self,
        to: &ReplyTo,
        class: Class,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) {
        let mut buffer = [0; ANSWER_BYTES];
        let unsigned =
            self.faults.take(to.method, |kind| (kind == FaultKind::Unsigned).then_some(())).is_some();
        let signature = to.signature.filter(|_| !unsigned);
        let written = self.write(to, class, signature, &mut buffer, fill);
        self.dispatch(to, written, &mut buffer);
    }

    fn write(
        &self,
        to: &ReplyTo,
        class: Class,
        signature: Option<Signature>,
        buffer: &mut [u8],
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), WriteError>,
    ) -> Result<usize, WriteError> {
        let mut writer = MessageWriter::new(buffer, class, to.method, to.id)?;
        fill(&mut writer)?;
        let Some((signature, key)) = signature.and_then(|by| Some((by, self.auth.key(by)?))) else {
            return if to.fingerprint { writer.fingerprint() } else { Ok(writer.finish()) };
        };
        // RFC 8656 §5: SOFTWARE in answers to Allocate and Refresh. Whoever proved nothing learns nothing.
        if matches!(to.method, Method::ALLOCATE | Method::REFRESH)
            && let Some(Ok(software)) = self.software.as_deref().map(Software::new)
        {
            writer.put(&software)?;
        }
        let signed = writer.sign(key, signature.algorithm)?;
        if to.fingerprint { signed.fingerprint() } else { Ok(signed.finish()) }
    }

    /// Sends what was written and remembers it.
    fn dispatch(&mut self, to: &ReplyTo, written: Result<usize, WriteError>, buffer: &mut [u8]) {
        let Some(bytes) = written.ok().and_then(|len| buffer.get(..len)) else { return };
        let bytes = bytes.to_vec();
        if to.signature.is_some() {
            self.remembered.insert(self.now, to, &bytes);
        }
        self.respond(to, bytes);
    }

    /// Sends an answer to the client, spoilt or later if a fault says so.
    pub(super) fn respond(&mut self, to: &ReplyTo, mut bytes: Vec<u8>) {
        self.counters.answered = self.counters.answered.saturating_add(1);
        self.spoil(to.method, &mut bytes);
        let transmit = ServerTransmit { from: to.tuple.server, to: to.tuple.client, bytes };
        let delay = self.faults.take(to.method, |kind| match kind {
            FaultKind::Delay(delay) => Some(delay),
            _ => None,
        });
        match delay {
            Some(delay) => self.send_later(self.now.after(delay), transmit),
            None => self.send(transmit),
        }
    }

    fn spoil(&mut self, method: Method, bytes: &mut Vec<u8>) {
        let fault = self.faults.take(method, |kind| {
            matches!(kind, FaultKind::Corrupted | FaultKind::Truncated | FaultKind::Noise).then_some(kind)
        });
        match fault {
            Some(FaultKind::Corrupted) => {
                // Behind the header, so that the answer still finds its transaction.
                let behind = bytes.len().saturating_sub(20);
                let at = self.random.below(u64::try_from(behind).unwrap_or_default()).saturating_add(20);
                if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
                    *byte ^= 0x55;
                }
            }
            Some(FaultKind::Truncated) => bytes.truncate(bytes.len() / 2),
            Some(FaultKind::Noise) => self.random.fill(bytes),
            _ => {}
        }
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        ErrorCode::TRY_ALTERNATE => "Try Alternate",
        ErrorCode::BAD_REQUEST => "Bad Request",
        ErrorCode::UNAUTHENTICATED => "Unauthenticated",
        ErrorCode::FORBIDDEN => "Forbidden",
        ErrorCode::UNKNOWN_ATTRIBUTE => "Unknown Attribute",
        ErrorCode::ALLOCATION_MISMATCH => "Allocation Mismatch",
        ErrorCode::STALE_NONCE => "Stale Nonce",
        ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED => "Address Family not Supported",
        ErrorCode::WRONG_CREDENTIALS => "Wrong Credentials",
        ErrorCode::UNSUPPORTED_TRANSPORT => "Unsupported Transport Protocol",
        ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH => "Peer Address Family Mismatch",
        ErrorCode::ALLOCATION_QUOTA_REACHED => "Allocation Quota Reached",
        ErrorCode::INSUFFICIENT_CAPACITY => "Insufficient Capacity",
        _ => "Error",
    }
}
