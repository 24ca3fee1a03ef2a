//! One set against messages written by hand.

use std::vec::Vec;

use floe_pair::{BaseId, ComponentId, Parameters, Role, StreamId, TransportAddress};
use floe_stun::attribute::{
    ErrorCode, IceControlled, IceControlling, LegacyNomination, Nomination, Priority, UnknownAttributes,
    UseCandidate, Username, XorMappedAddress,
};
use floe_stun::binding::{BindingRequest, Claim};
use floe_stun::{
    Algorithm, AttributeType, Class, Instant, IntegrityKey, Message, MessageWriter, Method, Random,
    TransactionId,
};

use super::world::*;
use crate::{Admission, ChecklistSet, Config, Event, Outcome, PairReport, TransmitKind};

pub(super) const BASE: BaseId = BaseId(7);

pub(super) fn local() -> TransportAddress {
    address("10.0.0.1:1000")
}

pub(super) fn remote() -> TransportAddress {
    address("10.0.1.1:1000")
}

/// A Binding request of the peer, as it should be; tests change what they are about.
#[derive(Clone)]
pub(super) struct Ask {
    pub username: Option<&'static [u8]>,
    pub password: &'static [u8],
    pub integrity: Option<Algorithm>,
    pub fingerprint: bool,
    pub priority: Option<u32>,
    pub claim: Option<Claim>,
    pub use_candidate: bool,
    pub value: Option<u32>,
    pub legacy: Option<u32>,
    pub unknown: Vec<u16>,
}

pub(super) const GOOD_PRIORITY: u32 = 0x6E00_00FF;

impl Default for Ask {
    fn default() -> Self {
        Self {
            username: Some(b"leftfrag:rightfrag"),
            password: b"leftpassword0123456789abcd",
            integrity: Some(Algorithm::Sha1),
            fingerprint: true,
            priority: Some(GOOD_PRIORITY),
            claim: Some(Claim::Controlled(1)),
            use_candidate: false,
            value: None,
            legacy: None,
            unknown: Vec::new(),
        }
    }
}

impl Ask {
    pub(super) fn controlling() -> Self {
        Self { claim: Some(Claim::Controlling(1)), ..Self::default() }
    }

    pub(super) fn nominating() -> Self {
        Self { use_candidate: true, ..Self::controlling() }
    }

    pub(super) fn renominating(value: u32) -> Self {
        Self { value: Some(value), ..Self::nominating() }
    }

    pub(super) fn bytes(&self, id: TransactionId) -> Vec<u8> {
        let mut buffer = [0; 548];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).expect("room");
        if let Some(username) = self.username {
            writer.put(&Username::new(username).expect("short")).expect("room");
        }
        if let Some(priority) = self.priority {
            writer.put(&Priority(priority)).expect("room");
        }
        match self.claim {
            Some(Claim::Controlling(value)) => writer.put(&IceControlling(value)).expect("room"),
            Some(Claim::Controlled(value)) => writer.put(&IceControlled(value)).expect("room"),
            None => {}
        }
        if self.use_candidate {
            writer.put(&UseCandidate).expect("room");
        }
        if let Some(value) = self.value {
            writer.put(&Nomination(value)).expect("room");
        }
        if let Some(value) = self.legacy {
            writer.put(&LegacyNomination(value)).expect("room");
        }
        for kind in &self.unknown {
            writer.put_raw(AttributeType::new(*kind), b"what").expect("room");
        }
        let key = IntegrityKey::new(self.password);
        let len = match (self.integrity, self.fingerprint) {
            (Some(algorithm), true) => {
                writer.sign(&key, algorithm).expect("room").fingerprint().expect("room")
            }
            (Some(algorithm), false) => writer.sign(&key, algorithm).expect("room").finish(),
            (None, true) => writer.fingerprint().expect("room"),
            (None, false) => writer.finish(),
        };
        buffer[..len].to_vec()
    }
}

/// What an answer of the set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub success: bool,
    pub code: Option<u16>,
    pub unknown: Vec<u16>,
    pub mapped: Option<TransportAddress>,
    pub integrity: Option<Algorithm>,
    pub kinds: Vec<AttributeType>,
}

/// A check of the set, as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub from: BaseId,
    pub to: TransportAddress,
    pub kind: TransmitKind,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).expect("well-formed")
    }

    pub(super) fn id(&self) -> TransactionId {
        self.message().transaction_id()
    }

    pub(super) fn request(&self) -> BindingRequest<'_> {
        BindingRequest::decode(&self.message()).expect("well-formed")
    }

    pub(super) fn nominates(&self) -> bool {
        self.request().use_candidate
    }
}

/// How an answer to a check is made.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    Success(TransportAddress),
    Error(u16),
}

pub(super) fn reply(
    id: TransactionId,
    reply: Reply,
    password: Option<&[u8]>,
    algorithm: Algorithm,
) -> Vec<u8> {
    let mut buffer = [0; 548];
    let class = if matches!(reply, Reply::Success(_)) { Class::Success } else { Class::Error };
    let mut writer = MessageWriter::new(&mut buffer, class, Method::BINDING, id).expect("room");
    match reply {
        Reply::Success(mapped) => writer.put(&XorMappedAddress(mapped.socket_addr())).expect("room"),
        Reply::Error(code) => writer.put(&ErrorCode::new(code, "")).expect("room"),
    }
    let len = match password {
        Some(password) => writer
            .sign(&IntegrityKey::new(password), algorithm)
            .and_then(floe_stun::SignedWriter::fingerprint)
            .expect("room"),
        None => writer.fingerprint().expect("room"),
    };
    buffer[..len].to_vec()
}

pub(super) const THEIR_PASSWORD: &[u8] = b"rightpassword0123456789abcd";

pub(super) struct Script {
    pub set: ChecklistSet,
    pub now: Instant,
    pub rng: Random,
    ids: u32,
}

impl Script {
    /// One host candidate, the peer's parameters known, no remote candidate yet.
    pub(super) fn new(role: Role) -> Self {
        Self::with(role, Config::default())
    }

    pub(super) fn with(role: Role, config: Config) -> Self {
        Self::between(role, config, parameters("left"), parameters("right"))
    }

    /// As `new`, with parameters of our own.
    pub(super) fn between(role: Role, config: Config, ours: Parameters, theirs: Parameters) -> Self {
        let mut script = Self::early(role, config, ours);
        script.set.set_remote_parameters(script.now, theirs);
        script
    }

    /// As `new`, and the peer's parameters are not known.
    pub(super) fn bare(role: Role, config: Config) -> Self {
        Self::early(role, config, parameters("left"))
    }

    pub(super) fn early(role: Role, config: Config, ours: Parameters) -> Self {
        let mut set = new_set(role, config, ours);
        set.add_base(BASE, Admission::Open);
        set.add_local_candidate(ms(0), STREAM, host(RTP, 0, local()), BASE);
        Self { set, now: ms(0), rng: Random::from_seed([9; 32]), ids: 0 }
    }

    pub(super) fn add_remote(&mut self, at: TransportAddress, index: u16) {
        self.set.add_remote_candidate(self.now, STREAM, host(RTP, index, at));
    }

    pub(super) fn new_id(&mut self) -> TransactionId {
        self.ids += 1;
        let mut id = [3; 12];
        id[..4].copy_from_slice(&self.ids.to_be_bytes());
        TransactionId(id)
    }

    pub(super) fn ask(&mut self, source: TransportAddress, ask: &Ask) -> (Outcome, Option<Answered>) {
        let id = self.new_id();
        let outcome = hand_in(&mut self.set, self.now, BASE, source, &ask.bytes(id), &mut self.rng);
        let sent = self.drain();
        let answer = sent.iter().find(|sent| sent.kind == TransmitKind::Response);
        (outcome, answer.map(|answer| read_answer(answer, source, id)))
    }

    /// Hands in a request that must be answered with success.
    #[track_caller]
    pub(super) fn ask_well(&mut self, source: TransportAddress, ask: &Ask) {
        let (outcome, answer) = self.ask(source, ask);
        assert_eq!(outcome, Outcome::Taken);
        assert!(answer.expect("an answer").success);
    }

    pub(super) fn drain(&mut self) -> Vec<Sent> {
        self.set.catch_up();
        let mut buffer = [0; 548];
        let mut sent = Vec::new();
        while let Some(transmit) = self.set.poll_transmit(&mut buffer) {
            let bytes = buffer[..transmit.len].to_vec();
            sent.push(Sent { from: transmit.from, to: transmit.to, kind: transmit.kind, bytes });
        }
        sent
    }

    /// Gives a slot and returns the check that begins.
    pub(super) fn slot(&mut self) -> Option<Sent> {
        let wanted = wants(&mut self.set).is_some();
        let taken = self.set.take_slot(self.now, &mut self.rng);
        assert_settled(&mut self.set);
        assert!(wanted || !taken, "a slot was used that was not wanted");
        let mut sent = self.drain();
        assert_eq!(sent.len(), usize::from(taken));
        sent.pop()
    }

    pub(super) fn wait(&mut self, millis_: u64) -> Vec<Sent> {
        self.set.catch_up();
        let end = self.now.after(millis(millis_));
        let mut sent = Vec::new();
        while let Some(at) = self.set.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.set.handle_timeout(self.now, &mut self.rng);
            let next = self.set.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "{next:?} was left over");
            sent.extend(self.drain());
        }
        self.now = end;
        sent
    }

    pub(super) fn answer_from(&mut self, base: BaseId, source: TransportAddress, bytes: &[u8]) -> Outcome {
        hand_in(&mut self.set, self.now, base, source, bytes, &mut self.rng)
    }

    pub(super) fn succeed(&mut self, check: &Sent) {
        self.succeed_with(check, local());
    }

    pub(super) fn succeed_with(&mut self, check: &Sent, mapped: TransportAddress) {
        let bytes = reply(check.id(), Reply::Success(mapped), Some(THEIR_PASSWORD), Algorithm::Sha1);
        assert_eq!(self.answer_from(check.from, check.to, &bytes), Outcome::Taken);
    }

    pub(super) fn refuse(&mut self, check: &Sent, code: u16) -> Outcome {
        let bytes = reply(check.id(), Reply::Error(code), Some(THEIR_PASSWORD), Algorithm::Sha1);
        self.answer_from(check.from, check.to, &bytes)
    }

    #[track_caller]
    pub(super) fn pair(&self, to: TransportAddress) -> PairReport {
        self.find(to).expect("a pair")
    }

    pub(super) fn find(&self, to: TransportAddress) -> Option<PairReport> {
        self.set.pairs().find(|pair| pair.remote.address == to)
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.set.poll_event()).collect()
    }

    pub(super) fn selected(&self) -> Option<TransportAddress> {
        self.selected_of(STREAM, RTP)
    }

    pub(super) fn selected_of(&self, stream: StreamId, component: ComponentId) -> Option<TransportAddress> {
        self.set.selected(stream, component).map(|pair| pair.remote)
    }

    /// Everything a peer may influence, for tests of "nothing has changed".
    pub(super) fn snapshot(&mut self) -> std::string::String {
        self.set.catch_up();
        let pairs: Vec<_> = self.set.pairs().collect();
        std::format!(
            "{:?} {:?} {:?} {pairs:?} {:?}",
            self.set.role(),
            self.set.tiebreaker(),
            self.set.state(),
            self.set.wants_slot()
        )
    }
}

fn read_answer(sent: &Sent, source: TransportAddress, id: TransactionId) -> Answered {
    let message = sent.message();
    assert_eq!((sent.from, sent.to, message.transaction_id()), (BASE, source, id));
    assert_eq!(message.verify_fingerprint(), Ok(()), "every answer has a FINGERPRINT");
    let ours = IntegrityKey::new(b"leftpassword0123456789abcd");
    let unknown: Option<UnknownAttributes<'_>> = message.get().expect("well-formed");
    Answered {
        success: message.class() == Class::Success,
        code: message.get::<ErrorCode<'_>>().expect("well-formed").map(|error| error.code()),
        unknown: unknown.map(|list| list.iter().map(AttributeType::get).collect()).unwrap_or_default(),
        mapped: message.get::<XorMappedAddress>().expect("well-formed").map(|address| address.0.into()),
        integrity: message.has_integrity().then(|| message.verify_integrity(&ours).expect("our key")),
        kinds: message.attributes().map(|attribute| attribute.kind).collect(),
    }
}
