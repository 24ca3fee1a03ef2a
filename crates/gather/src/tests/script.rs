//! Servers that answer by a script.

use alloc::{boxed::Box, collections::BTreeMap, rc::Rc, vec, vec::Vec};
use core::{cell::RefCell, net::SocketAddr};

use floe_pair::TransportAddress;
use floe_stun::{
    Algorithm, Attribute, AttributeType, Class, IntegrityKey, Message, MessageWriter, Method,
    attribute::{
        AlternateServer, ErrorCode, Lifetime, MappedAddress, Nonce, Realm, XorMappedAddress,
        XorRelayedAddress,
    },
};

pub(super) const USER: &[u8] = b"alice";
pub(super) const PASSWORD: &[u8] = b"secret";
const REALM: &[u8] = b"example.org";

/// What a server does with a message from a source address: the answers.
pub(super) type Script = Box<dyn FnMut(&Message<'_>, TransportAddress) -> Vec<Vec<u8>>>;

/// An answer to `request`.
pub(super) struct Reply {
    buffer: [u8; 512],
    class: Class,
    method: Method,
    id: floe_stun::TransactionId,
    parts: Vec<(AttributeType, Vec<u8>)>,
}

impl Reply {
    pub(super) fn new(request: &Message<'_>, class: Class) -> Self {
        let (method, id) = (request.method(), request.transaction_id());
        Self { buffer: [0; 512], class, method, id, parts: vec![] }
    }

    pub(super) fn with<'a, A: Attribute<'a>>(mut self, attribute: &A) -> Self {
        let mut value = vec![0; attribute.encoded_len()];
        attribute.encode(self.id, &mut value).expect("it fits");
        self.parts.push((A::TYPE, value));
        self
    }

    pub(super) fn error(request: &Message<'_>, code: u16) -> Self {
        Self::new(request, Class::Error).with(&ErrorCode::new(code, "no"))
    }

    pub(super) fn raw(mut self, kind: u16, value: &[u8]) -> Self {
        self.parts.push((AttributeType::new(kind), value.to_vec()));
        self
    }

    fn finish(mut self, key: Option<&IntegrityKey>) -> Vec<u8> {
        let mut writer =
            MessageWriter::new(&mut self.buffer, self.class, self.method, self.id).expect("room");
        for (kind, value) in &self.parts {
            writer.put_raw(*kind, value).expect("room");
        }
        let len = match key {
            Some(key) => writer.sign(key, Algorithm::Sha1).expect("room").finish(),
            None => writer.finish(),
        };
        self.buffer[..len].to_vec()
    }

    pub(super) fn plain(self) -> Vec<Vec<u8>> {
        vec![self.finish(None)]
    }
}

/// A STUN server that says where the request came from.
pub(super) fn stun() -> Script {
    Box::new(|request, source| {
        Reply::new(request, Class::Success).with(&XorMappedAddress(source.socket_addr())).plain()
    })
}

/// A STUN server that says this, whoever asks.
pub(super) fn stun_saying(mapped: &'static str) -> Script {
    let mapped: SocketAddr = mapped.parse().expect("a literal");
    Box::new(move |request, _| Reply::new(request, Class::Success).with(&XorMappedAddress(mapped)).plain())
}

/// A STUN server of RFC 3489, which points to another one besides.
pub(super) fn old_stun(alternate: &'static str) -> Script {
    let alternate: SocketAddr = alternate.parse().expect("a literal");
    Box::new(move |request, source| {
        Reply::new(request, Class::Success)
            .with(&MappedAddress(source.socket_addr()))
            .with(&AlternateServer(alternate))
            .plain()
    })
}

/// A STUN server that answers with an error.
pub(super) fn stun_error(code: u16) -> Script {
    Box::new(move |request, _| Reply::error(request, code).plain())
}

pub(super) fn silent() -> Script {
    Box::new(|_, _| vec![])
}

/// What a TURN server holds and how it misbehaves.
#[derive(Default)]
pub(super) struct TurnState {
    /// The relayed address of each client.
    pub(super) allocations: BTreeMap<TransportAddress, SocketAddr>,
    pub(super) allocates: usize,
    /// The error to answer authenticated Allocate requests with.
    pub(super) refuse: Option<u16>,
    /// ...but only so many times.
    pub(super) refusals_left: Option<usize>,
    /// No Refresh is authenticated any more.
    pub(super) strict: bool,
    /// Where every Allocate request is sent to.
    pub(super) redirect: Option<SocketAddr>,
    /// The relayed address that is told, whatever was allocated.
    pub(super) lie: Option<SocketAddr>,
    next_port: u16,
}

pub(super) type Turn = Rc<RefCell<TurnState>>;

/// A TURN server that relays from the IP address of `relay`. It answers Binding requests too.
pub(super) fn turn(relay: &'static str) -> (Turn, Script) {
    let state = Turn::default();
    let (shared, relay) = (state.clone(), relay.parse().expect("a literal"));
    let mut binding = stun();
    let script: Script = Box::new(move |request, source| match request.method() {
        Method::BINDING => binding(request, source),
        Method::ALLOCATE => shared.borrow_mut().allocate(request, source, relay),
        Method::REFRESH => shared.borrow_mut().refresh(request, source),
        Method::CREATE_PERMISSION => {
            let key = key(request);
            vec![Reply::new(request, Class::Success).finish(Some(&key))]
        }
        _ => vec![],
    });
    (state, script)
}

/// Of whoever asks: all users have the same password.
fn key(request: &Message<'_>) -> IntegrityKey {
    let user = request.raw(AttributeType::USERNAME).unwrap_or(USER);
    IntegrityKey::long_term_md5(user, REALM, PASSWORD)
}

impl TurnState {
    fn allocate(
        &mut self,
        request: &Message<'_>,
        source: TransportAddress,
        relay: SocketAddr,
    ) -> Vec<Vec<u8>> {
        self.allocates += 1;
        if !request.has_integrity() {
            return Reply::error(request, 401)
                .with(&Realm::new(REALM).expect("short"))
                .with(&Nonce::new(b"nonce").expect("short"))
                .plain();
        }
        let key = key(request);
        request.verify_integrity(&key).expect("our key");
        if let Some(to) = self.redirect {
            return vec![Reply::error(request, 300).with(&AlternateServer(to)).finish(Some(&key))];
        }
        if let Some(code) = self.refuse.filter(|_| self.refusals_left != Some(0)) {
            self.refusals_left = self.refusals_left.map(|left| left - 1);
            return vec![Reply::error(request, code).finish(Some(&key))];
        }
        self.next_port += 1;
        let fresh = SocketAddr::new(relay.ip(), 50_000 + self.next_port);
        let relayed = *self.allocations.entry(source).or_insert(fresh);
        let reply = Reply::new(request, Class::Success)
            .with(&XorRelayedAddress(self.lie.unwrap_or(relayed)))
            .with(&Lifetime(600))
            .with(&XorMappedAddress(source.socket_addr()));
        vec![reply.finish(Some(&key))]
    }

    fn refresh(&mut self, request: &Message<'_>, source: TransportAddress) -> Vec<Vec<u8>> {
        let key = key(request);
        if request.verify_integrity(&key).is_err() {
            return vec![];
        }
        if self.strict {
            let challenge = Reply::error(request, 401).with(&Realm::new(REALM).expect("short"));
            return challenge.with(&Nonce::new(b"another").expect("short")).plain();
        }
        if !self.allocations.contains_key(&source) {
            return vec![Reply::error(request, 437).finish(Some(&key))];
        }
        let lifetime = request.get::<Lifetime>().ok().flatten().map_or(600, |lifetime| lifetime.0);
        if lifetime == 0 {
            self.allocations.remove(&source);
        }
        vec![Reply::new(request, Class::Success).with(&Lifetime(lifetime)).finish(Some(&key))]
    }
}
