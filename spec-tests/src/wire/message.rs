//! Messages of ICE, written and read by hand.

use floe_agent::{
    pair::{Parameters, Role, TransportAddress},
    stun::{
        Algorithm, AttributeType, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId,
        attribute::{
            ErrorCode, IceControlled, IceControlling, Nomination, Priority, Software, UnknownAttributes,
            UseCandidate, Username, XorMappedAddress,
        },
        binding::Claim,
    },
};

/// User fragment of the agent under test.
pub const OUR_UFRAG: &str = "ourfrag1";
/// Its password.
pub const OUR_PWD: &str = "ourpassword0123456789abc";
/// User fragment of the peer that the test plays.
pub const THEIR_UFRAG: &str = "peerfrag";
/// Its password.
pub const THEIR_PWD: &str = "peerpassword0123456789ab";
/// User fragment of the peer after a restart.
pub const NEXT_UFRAG: &str = "peerfra2";
/// Its password then.
pub const NEXT_PWD: &str = "peerpassword2012345678ab";

/// A Binding request of the peer, as it should be; tests change what they are about.
#[derive(Clone, Debug)]
pub struct Ask {
    /// USERNAME; `None`: absent.
    pub username: Option<String>,
    /// The password it is signed with.
    pub password: String,
    /// How it is signed; `None`: not at all.
    pub integrity: Option<Algorithm>,
    /// Whether FINGERPRINT is there.
    pub fingerprint: bool,
    /// PRIORITY.
    pub priority: Option<u32>,
    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub claim: Option<Claim>,
    /// USE-CANDIDATE.
    pub use_candidate: bool,
    /// NOMINATION.
    pub nomination: Option<u32>,
    /// Attributes by number, with four bytes each.
    pub others: Vec<u16>,
}

impl Ask {
    /// From a peer that is controlled.
    pub fn controlled() -> Self {
        Self {
            username: Some(format!("{OUR_UFRAG}:{THEIR_UFRAG}")),
            password: OUR_PWD.into(),
            integrity: Some(Algorithm::Sha1),
            fingerprint: true,
            priority: Some(0x6E00_01FF),
            claim: Some(Claim::Controlled(1)),
            use_candidate: false,
            nomination: None,
            others: Vec::new(),
        }
    }

    /// From a peer that is controlling.
    pub fn controlling() -> Self {
        Self { claim: Some(Claim::Controlling(1)), ..Self::controlled() }
    }

    /// From a peer that nominates.
    pub fn nominating() -> Self {
        Self { use_candidate: true, ..Self::controlling() }
    }

    /// From a peer in the role that an agent in this one leaves it.
    pub fn of_peer(role: Role) -> Self {
        if role == Role::Controlling { Self::controlled() } else { Self::controlling() }
    }

    /// The same, from a peer that nominates where it may.
    pub fn concluding(role: Role) -> Self {
        if role == Role::Controlling { Self::controlled() } else { Self::nominating() }
    }

    /// This request with the credentials of two agents, as they are after a restart: to `ours`, from `theirs`.
    #[must_use]
    pub fn between(self, ours: &Parameters, theirs: &Parameters) -> Self {
        let username = Some(format!("{}:{}", ours.ufrag.as_str(), theirs.ufrag.as_str()));
        Self { username, password: ours.pwd.expose().to_owned(), ..self }
    }

    /// The bytes.
    pub fn bytes(&self, id: TransactionId) -> Vec<u8> {
        let mut buffer = [0; 1280];
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).expect("room");
        if let Some(username) = &self.username {
            writer.put(&Username::new(username.as_bytes()).expect("short")).expect("room");
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
        if let Some(value) = self.nomination {
            writer.put(&Nomination(value)).expect("room");
        }
        for kind in &self.others {
            writer.put_raw(AttributeType::new(*kind), b"what").expect("room");
        }
        let key = IntegrityKey::new(self.password.as_bytes());
        let len = finish(writer, self.integrity.map(|algorithm| (&key, algorithm)), self.fingerprint);
        buffer[..len].to_vec()
    }
}

fn finish(writer: MessageWriter<'_>, key: Option<(&IntegrityKey, Algorithm)>, fingerprint: bool) -> usize {
    match (key, fingerprint) {
        (Some((key, algorithm)), true) => {
            writer.sign(key, algorithm).expect("room").fingerprint().expect("room")
        }
        (Some((key, algorithm)), false) => writer.sign(key, algorithm).expect("room").finish(),
        (None, true) => writer.fingerprint().expect("room"),
        (None, false) => writer.finish(),
    }
}

/// What the peer answers to a check.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Success, with this mapped address.
    Success(TransportAddress),
    /// An error of this code.
    Error(u16),
}

/// An answer to the check with this id, signed with the peer's password or another one, or not at all.
pub fn answer(id: TransactionId, answer: Answer, password: Option<&str>) -> Vec<u8> {
    let mut buffer = [0; 548];
    let class = if matches!(answer, Answer::Success(_)) { Class::Success } else { Class::Error };
    let mut writer = MessageWriter::new(&mut buffer, class, Method::BINDING, id).expect("room");
    match answer {
        Answer::Success(mapped) => writer.put(&XorMappedAddress(mapped.socket_addr())).expect("room"),
        Answer::Error(code) => writer.put(&ErrorCode::new(code, "")).expect("room"),
    }
    let key = password.map(|password| IntegrityKey::new(password.as_bytes()));
    let len = finish(writer, key.as_ref().map(|key| (key, Algorithm::Sha1)), true);
    buffer[..len].to_vec()
}

/// A keepalive of the peer: a Binding indication with FINGERPRINT and no more (RFC 8445 §11).
pub fn indication(id: TransactionId) -> Vec<u8> {
    let mut buffer = [0; 64];
    let writer = MessageWriter::new(&mut buffer, Class::Indication, Method::BINDING, id).expect("room");
    let len = finish(writer, None, true);
    buffer[..len].to_vec()
}

/// What an answer of the agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// The request it answers.
    pub id: TransactionId,
    /// `None`: success.
    pub code: Option<u16>,
    /// UNKNOWN-ATTRIBUTES.
    pub unknown: Vec<u16>,
    /// XOR-MAPPED-ADDRESS.
    pub mapped: Option<TransportAddress>,
    /// How it is signed; always with the agent's own password.
    pub integrity: Option<Algorithm>,
    /// Whether it carries SOFTWARE.
    pub software: bool,
}

/// Reads an answer of the agent; ends the test where it is not what every answer must be.
#[track_caller]
pub fn read_answer(bytes: &[u8]) -> ReadAnswer {
    read_answer_under(OUR_PWD, bytes)
}

/// Reads an answer of an agent with this password.
#[track_caller]
pub fn read_answer_under(password: &str, bytes: &[u8]) -> ReadAnswer {
    let message = Message::parse(bytes).expect("well-formed");
    assert!(message.class().is_response(), "an answer");
    assert_eq!(message.verify_fingerprint(), Ok(()), "every answer has a FINGERPRINT");
    let ours = IntegrityKey::new(password.as_bytes());
    let code = message.get::<ErrorCode<'_>>().expect("well-formed").map(|error| error.code());
    assert_eq!(code.is_none(), message.class() == Class::Success, "an error has a code");
    let unknown: Option<UnknownAttributes<'_>> = message.get().expect("well-formed");
    ReadAnswer {
        id: message.transaction_id(),
        code,
        unknown: unknown.map(|list| list.iter().map(AttributeType::get).collect()).unwrap_or_default(),
        mapped: message.get::<XorMappedAddress>().expect("well-formed").map(|address| address.0.into()),
        integrity: message.has_integrity().then(|| message.verify_integrity(&ours).expect("our key")),
        software: message.get::<Software<'_>>().expect("well-formed").is_some(),
    }
}
