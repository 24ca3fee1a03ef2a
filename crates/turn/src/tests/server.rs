//! A strict TURN server in memory: it keeps every time limit to the nanosecond, forgives nothing, and can be told
//! to misbehave.

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::format;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::vec;
use std::vec::Vec;

use floe_stun::attribute::{
    AddressErrorCode, AddressFamily, AlternateServer, Attribute, Data, ErrorCode, Icmp, Lifetime, Nonce,
    PasswordAlgorithmAttribute, PasswordAlgorithms, Realm, RequestedTransport, Userhash, Username,
    XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use floe_stun::{
    Algorithm, AttributeType, ChannelNumber, Class, Instant, IntegrityKey, Message, MessageWriter, Method,
    PasswordAlgorithm, TransactionId, userhash,
};

pub(crate) const USERNAME: &[u8] = b"alice";
pub(crate) const PASSWORD: &[u8] = b"correct horse";
pub(crate) const REALM: &[u8] = b"floe.test";
const PERMISSION: Duration = Duration::from_secs(300);
const CHANNEL: Duration = Duration::from_secs(600);
const COOL_DOWN: Duration = Duration::from_secs(300);

/// How the server wants to be convinced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    Nobody,
    /// As coturn 4.6 does: MD5, no cookie in the nonce.
    Md5,
    /// RFC 8489: both algorithms offered in this order, user name hashed if the flag is set.
    Modern {
        offer: &'static [u8],
        anonymity: bool,
    },
}

/// What a script has the server do with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// As usual.
    Normal,
    Ignore,
    /// An error, signed if the request was.
    Error(u16),
    ErrorUnsigned(u16),
    /// Carried out, and the answer signed with another key.
    WrongKey,
    /// Carried out, and the answer not signed.
    Unsigned,
    /// Carried out, and the answer lost.
    Mute,
}

pub(crate) type Script = Box<dyn FnMut(Method, &Message<'_>) -> Act>;

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) until: Instant,
    id: TransactionId,
    pub(crate) permissions: BTreeMap<IpAddr, Instant>,
    pub(crate) channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

/// One request the server has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) method: Method,
    pub(crate) id: TransactionId,
    pub(crate) signed: bool,
    pub(crate) lifetime: Option<u32>,
    pub(crate) peers: usize,
    /// Error code of the answer; 0 for success, 1 for none.
    pub(crate) answer: u16,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) auth: Auth,
    pub(crate) password: Vec<u8>,
    pub(crate) realm: Vec<u8>,
    /// A nonce is good while the period it was made in lasts.
    pub(crate) nonce_period: Duration,
    /// What is said of an old nonce, in turn.
    pub(crate) stale_codes: VecDeque<u16>,
    pub(crate) relayed: Vec<SocketAddr>,
    pub(crate) mapped: SocketAddr,
    /// Lifetime that is granted, whatever is asked for.
    pub(crate) lifetime: u32,
    pub(crate) refuse: BTreeMap<IpAddr, u16>,
    pub(crate) alternate: Option<SocketAddr>,
    pub(crate) address_error: Option<(AddressFamily, u16)>,
    pub(crate) script: Option<Script>,
    pub(crate) held: Option<Held>,
    pub(crate) seen: Vec<Seen>,
    /// What came too late, or broke another rule.
    pub(crate) faults: Vec<String>,
    /// Bytes of each request by id: a retransmission has to be the same.
    copies: BTreeMap<TransactionId, Vec<u8>>,
    /// When a number or peer may be bound otherwise.
    cooling: Vec<(u16, SocketAddr, Instant)>,
}

/// The answer in the making: what goes into it besides the integrity.
type Fill = Box<dyn Fn(&mut MessageWriter<'_>)>;

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            address: "192.0.2.1:3478".parse().unwrap(),
            auth: Auth::Md5,
            password: PASSWORD.into(),
            realm: REALM.into(),
            nonce_period: Duration::from_secs(3_600),
            stale_codes: VecDeque::from([438]),
            relayed: vec!["192.0.2.1:49152".parse().unwrap()],
            mapped: "198.51.100.7:50000".parse().unwrap(),
            lifetime: 600,
            refuse: BTreeMap::new(),
            alternate: None,
            address_error: None,
            script: None,
            held: None,
            seen: Vec::new(),
            faults: Vec::new(),
            copies: BTreeMap::new(),
            cooling: Vec::new(),
        }
    }

    pub(crate) fn count(&self, method: Method) -> usize {
        self.seen.iter().filter(|seen| seen.method == method).count()
    }

    fn nonce(&self, now: Instant) -> Vec<u8> {
        let period = now.as_nanos() / u64::try_from(self.nonce_period.as_nanos()).unwrap();
        let cookie = match self.auth {
            Auth::Modern { anonymity: false, .. } => "obMatJos2gAAA",
            Auth::Modern { anonymity: true, .. } => "obMatJos2wAAA",
            _ => "",
        };
        format!("{cookie}n{period}").into_bytes()
    }

    fn key(&self, algorithm: PasswordAlgorithm) -> IntegrityKey {
        IntegrityKey::long_term(algorithm, USERNAME, &self.realm, &self.password)
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        if self.held.as_ref().is_some_and(|held| held.until <= now) {
            self.faults.push(format!("the allocation ran out at {} ms", now.as_millis()));
            self.held = None;
        }
        let Some(held) = &mut self.held else { return };
        held.permissions.retain(|_, until| now < *until);
        let ended: Vec<_> = held
            .channels
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(n, (p, u))| (*n, *p, *u))
            .collect();
        for (number, peer, until) in ended {
            held.channels.remove(&number);
            self.cooling.push((number, peer, until.after(COOL_DOWN)));
        }
        self.cooling.retain(|(_, _, until)| now < *until);
    }

    /// Whether datagrams would pass between the client and this peer.
    pub(crate) fn lets_through(&self, peer: SocketAddr, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|held| {
            now < held.until && held.permissions.get(&peer.ip()).is_some_and(|until| now < *until)
        })
    }

    pub(crate) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let held = self.held.as_ref()?;
        held.channels
            .iter()
            .find(|(_, (bound, until))| *bound == peer && now < *until)
            .map(|(number, _)| *number)
    }

    /// Takes a request and makes the answer.
    pub(crate) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Option<Vec<u8>> {
        self.expire(now);
        let message = Message::parse(datagram).expect("the client writes well-formed messages");
        if message.class() == Class::Indication {
            return None;
        }
        assert_eq!(message.class(), Class::Request);
        let (method, id) = (message.method(), message.transaction_id());
        if let Some(copy) = self.copies.insert(id, datagram.into()) {
            assert_eq!(copy, datagram, "a retransmission is the same byte for byte");
        }
        assert_eq!(message.unknown_required().next(), None);
        let act = match &mut self.script {
            Some(script) => script(method, &message),
            None => Act::Normal,
        };
        self.seen.push(Seen {
            at: now,
            method,
            id,
            signed: message.has_integrity(),
            lifetime: message.get::<Lifetime>().unwrap().map(|lifetime| lifetime.0),
            peers: message.get_all::<XorPeerAddress>().count(),
            answer: 1,
        });
        let key = match self.authenticate(now, &message) {
            Ok(key) => key,
            Err(code) => {
                return match act {
                    Act::Error(code) | Act::ErrorUnsigned(code) => Some(self.error(&message, code, None)),
                    Act::Ignore | Act::Mute => None,
                    _ => Some(self.challenge(now, &message, code)),
                };
            }
        };
        match act {
            Act::Ignore => None,
            Act::Error(code @ (401 | 438)) => Some(self.challenge(now, &message, code)),
            Act::Error(code) => Some(self.error(&message, code, key)),
            Act::ErrorUnsigned(code) => Some(self.error(&message, code, None)),
            Act::Normal => Some(self.perform(now, &message, key)),
            Act::WrongKey => {
                Some(self.perform(now, &message, Some((IntegrityKey::new(b"wrong"), Algorithm::Sha1))))
            }
            Act::Unsigned => Some(self.perform(now, &message, None)),
            Act::Mute => {
                self.perform(now, &message, key);
                None
            }
        }
    }

    /// RFC 8489 §9.2.4. `Ok(None)` where nobody is asked.
    fn authenticate(
        &mut self,
        now: Instant,
        message: &Message<'_>,
    ) -> Result<Option<(IntegrityKey, Algorithm)>, u16> {
        let (offer, anonymity) = match self.auth {
            Auth::Nobody => return Ok(None),
            Auth::Md5 => (None, false),
            Auth::Modern { offer, anonymity } => (Some(offer), anonymity),
        };
        if !message.has_integrity() {
            for kind in [AttributeType::USERNAME, AttributeType::REALM, AttributeType::NONCE] {
                assert_eq!(message.raw(kind), None, "no credentials without integrity");
            }
            return Err(401);
        }
        if anonymity {
            assert_eq!(message.raw(AttributeType::USERNAME), None, "the name is not to be seen");
            let Ok(Some(Userhash(hash))) = message.get::<Userhash>() else { return Err(401) };
            if hash != userhash(USERNAME, &self.realm) {
                return Err(401);
            }
        } else if message.get::<Username<'_>>().unwrap().is_none_or(|name| name.as_bytes() != USERNAME) {
            return Err(401);
        }
        if message.get::<Realm<'_>>().unwrap().is_none_or(|realm| realm.as_bytes() != self.realm) {
            return Err(401);
        }
        let chosen = match offer {
            None => PasswordAlgorithm::Md5,
            Some(offer) => {
                assert_eq!(message.raw(AttributeType::PASSWORD_ALGORITHMS), Some(offer), "echoed unchanged");
                let chosen = message.get::<PasswordAlgorithmAttribute<'_>>().unwrap().expect("one is chosen");
                chosen.algorithm().expect("a known one")
            }
        };
        let algorithm = if offer.is_some() { Algorithm::Sha256 } else { Algorithm::Sha1 };
        let key = self.key(chosen);
        match message.verify_integrity(&key) {
            Ok(used) => assert_eq!(used, algorithm),
            Err(_) => return Err(401),
        }
        let nonce = message.get::<Nonce<'_>>().unwrap().expect("a nonce");
        if nonce.as_bytes() != self.nonce(now) {
            let code = self.stale_codes.pop_front().unwrap();
            self.stale_codes.push_back(code);
            return Err(code);
        }
        Ok(Some((key, algorithm)))
    }

    fn perform(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        key: Option<(IntegrityKey, Algorithm)>,
    ) -> Vec<u8> {
        let result = match message.method() {
            Method::ALLOCATE => self.allocate(now, message),
            Method::REFRESH => self.refresh(now, message),
            Method::CREATE_PERMISSION => self.create_permission(now, message),
            Method::CHANNEL_BIND => self.bind(now, message),
            other => panic!("{other} is no request of TURN"),
        };
        match result {
            Ok(fill) => self.answer(message, Class::Success, 0, &*fill, key),
            Err(code) => self.error(message, code, key),
        }
    }

    fn allocate(&mut self, now: Instant, message: &Message<'_>) -> Result<Fill, u16> {
        assert_eq!(message.get::<RequestedTransport>(), Ok(Some(RequestedTransport::UDP)), "always there");
        let family = message.raw(AttributeType::REQUESTED_ADDRESS_FAMILY).is_some();
        let additional = message.raw(AttributeType::ADDITIONAL_ADDRESS_FAMILY).is_some();
        assert!(!(family && additional), "never both");
        assert_ne!(message.get::<Lifetime>(), Ok(Some(Lifetime(0))));
        let id = message.transaction_id();
        if self.alternate.is_some() {
            return Err(300);
        }
        if self.held.as_ref().is_some_and(|held| held.id != id) {
            return Err(437);
        }
        let lifetime = self.lifetime;
        let until = now.after(Duration::from_secs(u64::from(lifetime.max(1))));
        self.held = Some(Held { until, id, permissions: BTreeMap::new(), channels: BTreeMap::new() });
        let (relayed, mapped, address_error) = (self.relayed.clone(), self.mapped, self.address_error);
        Ok(Box::new(move |writer| {
            for address in &relayed {
                writer.put(&XorRelayedAddress(*address)).unwrap();
            }
            writer.put(&XorMappedAddress(mapped)).unwrap();
            writer.put(&Lifetime(lifetime)).unwrap();
            if let Some((family, code)) = address_error {
                writer.put(&AddressErrorCode::new(family, code, "no")).unwrap();
            }
        }))
    }

    fn refresh(&mut self, now: Instant, message: &Message<'_>) -> Result<Fill, u16> {
        let wish = message.get::<Lifetime>().unwrap();
        let Some(held) = &mut self.held else { return Err(437) };
        let lifetime = if wish == Some(Lifetime(0)) { 0 } else { self.lifetime };
        if wish == Some(Lifetime(0)) {
            self.held = None;
        } else {
            held.until = now.after(Duration::from_secs(u64::from(lifetime)));
        }
        Ok(Box::new(move |writer| writer.put(&Lifetime(lifetime)).unwrap()))
    }

    fn create_permission(&mut self, now: Instant, message: &Message<'_>) -> Result<Fill, u16> {
        let peers: Vec<_> = message.get_all::<XorPeerAddress>().map(|peer| peer.unwrap().0).collect();
        assert!(!peers.is_empty());
        let families: Vec<_> = self.relayed.iter().map(SocketAddr::is_ipv4).collect();
        let Some(held) = &mut self.held else { return Err(437) };
        if peers.iter().any(|peer| !families.contains(&peer.is_ipv4())) {
            self.faults.push(format!("{peers:?} is of a family that is not held"));
            return Err(443);
        }
        if let Some(code) = peers.iter().find_map(|peer| self.refuse.get(&peer.ip())) {
            return Err(*code);
        }
        for peer in peers {
            held.permissions.insert(peer.ip(), now.after(PERMISSION));
        }
        Ok(Box::new(|_| {}))
    }

    fn bind(&mut self, now: Instant, message: &Message<'_>) -> Result<Fill, u16> {
        let number = message.get::<ChannelNumber>().unwrap().expect("a number of the range").get();
        let XorPeerAddress(peer) = message.get::<XorPeerAddress>().unwrap().expect("a peer");
        let Some(held) = &mut self.held else { return Err(437) };
        if let Some(code) = self.refuse.get(&peer.ip()) {
            return Err(*code);
        }
        let otherwise = |n: u16, p: SocketAddr| (n == number) != (p == peer);
        if held.channels.iter().any(|(n, (p, _))| otherwise(*n, *p)) {
            self.faults.push(format!("{number:#x} and {peer} are bound otherwise"));
            return Err(400);
        }
        if self.cooling.iter().any(|(n, p, _)| otherwise(*n, *p)) {
            self.faults.push(format!("{number:#x} and {peer} are cooling down"));
            return Err(400);
        }
        held.channels.insert(number, (peer, now.after(CHANNEL)));
        held.permissions.insert(peer.ip(), now.after(PERMISSION));
        Ok(Box::new(|_| {}))
    }

    fn challenge(&mut self, now: Instant, message: &Message<'_>, code: u16) -> Vec<u8> {
        let (realm, nonce, auth) = (self.realm.clone(), self.nonce(now), self.auth);
        let fill = move |writer: &mut MessageWriter<'_>| {
            writer.put(&ErrorCode::new(code, "challenge")).unwrap();
            writer.put(&Realm::new(&realm).unwrap()).unwrap();
            writer.put(&Nonce::new(&nonce).unwrap()).unwrap();
            if let Auth::Modern { offer, .. } = auth {
                writer.put(&PasswordAlgorithms::from_bytes(offer).unwrap()).unwrap();
            }
        };
        self.answer(message, Class::Error, code, &fill, None)
    }

    fn error(&mut self, message: &Message<'_>, code: u16, key: Option<(IntegrityKey, Algorithm)>) -> Vec<u8> {
        let alternate = self.alternate.filter(|_| code == 300);
        let fill = move |writer: &mut MessageWriter<'_>| {
            writer.put(&ErrorCode::new(code, "no")).unwrap();
            if let Some(alternate) = alternate {
                writer.put(&AlternateServer(alternate)).unwrap();
            }
        };
        self.answer(message, Class::Error, code, &fill, key)
    }

    fn answer(
        &mut self,
        message: &Message<'_>,
        class: Class,
        code: u16,
        fill: &dyn Fn(&mut MessageWriter<'_>),
        key: Option<(IntegrityKey, Algorithm)>,
    ) -> Vec<u8> {
        self.seen.last_mut().unwrap().answer = code;
        let mut buffer = vec![0; 1_500];
        let mut writer =
            MessageWriter::new(&mut buffer, class, message.method(), message.transaction_id()).unwrap();
        fill(&mut writer);
        let len = match key {
            Some((key, algorithm)) => writer.sign(&key, algorithm).unwrap().finish(),
            None => writer.finish(),
        };
        buffer.truncate(len);
        buffer
    }
}

/// A Data indication of `peer`; `None` leaves an attribute out.
pub(crate) fn data_indication(peer: Option<SocketAddr>, data: Option<&[u8]>, icmp: Option<Icmp>) -> Vec<u8> {
    let mut buffer = vec![0; 1_500];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Indication, Method::DATA, TransactionId([9; 12])).unwrap();
    if let Some(peer) = peer {
        writer.put(&XorPeerAddress(peer)).unwrap();
    }
    put(&mut writer, icmp);
    put(&mut writer, data.map(Data));
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

fn put<'a, A: Attribute<'a>>(writer: &mut MessageWriter<'_>, attribute: Option<A>) {
    if let Some(attribute) = attribute {
        writer.put(&attribute).unwrap();
    }
}

/// ChannelData with this number.
pub(crate) fn channel_data(number: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = number.to_be_bytes().to_vec();
    datagram.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    datagram.extend(payload);
    datagram
}
