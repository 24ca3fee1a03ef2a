//! A second opinion: the codec of webrtc-rs (the crate `stun`) reads and verifies what floe writes, and the reverse.

use std::net::SocketAddr;

use floe_stun::{
    Algorithm, AttributeType, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId,
    attribute::{
        ErrorCode, IceControlling, Nonce, Priority, Realm, UseCandidate, Username, XorMappedAddress,
    },
    binding::{BindingRequest, BindingResponse, Claim},
};
use stun::{
    attributes::{
        ATTR_ICE_CONTROLLING, ATTR_NONCE, ATTR_PRIORITY, ATTR_REALM, ATTR_USE_CANDIDATE, ATTR_USERNAME,
        AttrType,
    },
    error_code::{CODE_ROLE_CONFLICT, ErrorCodeAttribute},
    fingerprint::FINGERPRINT,
    integrity::MessageIntegrity,
    message::{
        BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter as _, Message as Theirs, MessageType, Setter,
    },
    textattrs::TextAttribute,
    xoraddr::XorMappedAddress as TheirAddress,
};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const USERNAME: &str = "evtj:h6vY";
const ID: TransactionId = TransactionId(*b"floe: oracle");
const PRIORITY: u32 = 0x6E00_01FF;
const TIEBREAKER: u64 = 0x932F_F9B1_5126_3B36;
const ADDRESSES: [&str; 2] = ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"];

/// What floe writes: the attributes, MESSAGE-INTEGRITY, FINGERPRINT.
fn ours(class: Class, key: &IntegrityKey, attributes: impl FnOnce(&mut MessageWriter<'_>)) -> Vec<u8> {
    let mut buffer = [0xAA; 512];
    let mut writer = MessageWriter::new(&mut buffer, class, Method::BINDING, ID).expect("room");
    attributes(&mut writer);
    let len = writer.sign(key, Algorithm::Sha1).and_then(floe_stun::SignedWriter::fingerprint).expect("room");
    buffer[..len].to_vec()
}

/// What webrtc-rs writes: the same.
fn theirs(kind: MessageType, key: &MessageIntegrity, attributes: &[&dyn Setter]) -> Vec<u8> {
    let mut message = Theirs::new();
    message.typ = kind;
    message.transaction_id.0 = ID.0;
    message.write_header();
    for setter in attributes.iter().copied().chain([key as &dyn Setter, &FINGERPRINT]) {
        setter.add_to(&mut message).expect("an attribute they can write");
    }
    message.raw
}

/// An attribute by its bytes.
struct Raw(AttrType, Vec<u8>);

impl Setter for Raw {
    fn add_to(&self, message: &mut Theirs) -> Result<(), stun::Error> {
        message.add(self.0, &self.1);
        Ok(())
    }
}

/// webrtc-rs reads it and finds both checks right.
fn read_by_them(bytes: &[u8], key: &MessageIntegrity) -> Theirs {
    let mut message = Theirs::new();
    message.unmarshal_binary(bytes).expect("they can read it");
    key.check(&mut message).expect("they find MESSAGE-INTEGRITY right");
    FINGERPRINT.check(&message).expect("they find FINGERPRINT right");
    message
}

/// floe reads it and finds both checks right.
fn read_by_us<'a>(bytes: &'a [u8], key: &IntegrityKey) -> Message<'a> {
    let message = Message::parse(bytes).expect("we can read it");
    assert_eq!(message.verify_integrity(key), Ok(Algorithm::Sha1));
    assert_eq!(message.verify_fingerprint(), Ok(()));
    assert_eq!(message.transaction_id(), ID);
    message
}

fn short_term() -> (IntegrityKey, MessageIntegrity) {
    (IntegrityKey::new(PASSWORD.as_bytes()), MessageIntegrity::new_short_term_integrity(PASSWORD.to_owned()))
}

fn our_request(key: &IntegrityKey) -> Vec<u8> {
    ours(Class::Request, key, |writer| {
        writer.put(&Username::new(USERNAME.as_bytes()).expect("short")).expect("room");
        writer.put(&Priority(PRIORITY)).expect("room");
        writer.put(&IceControlling(TIEBREAKER)).expect("room");
        writer.put(&UseCandidate).expect("room");
    })
}

fn their_request(key: &MessageIntegrity) -> Vec<u8> {
    let username = TextAttribute::new(ATTR_USERNAME, USERNAME.to_owned());
    let priority = Raw(ATTR_PRIORITY, PRIORITY.to_be_bytes().into());
    let controlling = Raw(ATTR_ICE_CONTROLLING, TIEBREAKER.to_be_bytes().into());
    theirs(BINDING_REQUEST, key, &[&username, &priority, &controlling, &Raw(ATTR_USE_CANDIDATE, Vec::new())])
}

#[test]
fn a_request_of_ours_is_read_by_them() {
    let (our_key, their_key) = short_term();
    let message = read_by_them(&our_request(&our_key), &their_key);
    assert_eq!(message.typ, BINDING_REQUEST);
    assert_eq!(message.transaction_id.0, ID.0);
    let username = TextAttribute::get_from_as(&message, ATTR_USERNAME).expect("a USERNAME");
    assert_eq!(username.text, USERNAME);
    assert_eq!(message.get(ATTR_PRIORITY).expect("a PRIORITY"), PRIORITY.to_be_bytes());
    assert_eq!(message.get(ATTR_ICE_CONTROLLING).expect("a role"), TIEBREAKER.to_be_bytes());
    assert!(message.contains(ATTR_USE_CANDIDATE));
}

#[test]
fn a_request_of_theirs_is_read_by_us() {
    let (our_key, their_key) = short_term();
    let bytes = their_request(&their_key);
    let message = read_by_us(&bytes, &our_key);
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    let request = BindingRequest::decode(&message).expect("good attributes");
    assert_eq!(request.username, Some(USERNAME.as_bytes()));
    assert_eq!(request.priority, Some(PRIORITY));
    assert_eq!(request.claim, Some(Claim::Controlling(TIEBREAKER)));
    assert!(request.use_candidate);
}

#[test]
fn both_write_the_same_bytes() {
    let (our_key, their_key) = short_term();
    assert_eq!(our_request(&our_key), their_request(&their_key));
}

#[test]
fn responses_go_both_ways() {
    let (our_key, their_key) = short_term();
    for address in ADDRESSES.map(|text| text.parse::<SocketAddr>().expect("a literal")) {
        let bytes =
            ours(Class::Success, &our_key, |writer| writer.put(&XorMappedAddress(address)).expect("room"));
        let message = read_by_them(&bytes, &their_key);
        assert_eq!(message.typ, BINDING_SUCCESS);
        let mut mapped = TheirAddress::default();
        mapped.get_from(&message).expect("an address");
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), address);

        let mapped = TheirAddress { ip: address.ip(), port: address.port() };
        let again = theirs(BINDING_SUCCESS, &their_key, &[&mapped]);
        assert_eq!(bytes, again);
        let response = BindingResponse::decode(&read_by_us(&again, &our_key)).expect("good attributes");
        assert_eq!(response.mapped, Some(address));
    }
}

#[test]
fn error_responses_go_both_ways() {
    let (our_key, their_key) = short_term();
    let bytes = ours(Class::Error, &our_key, |writer| {
        writer.put(&ErrorCode::new(ErrorCode::ROLE_CONFLICT, "Role Conflict")).expect("room");
    });
    let mut error = ErrorCodeAttribute::default();
    error.get_from(&read_by_them(&bytes, &their_key)).expect("an ERROR-CODE");
    assert_eq!((error.code.0, error.reason.as_slice()), (CODE_ROLE_CONFLICT.0, b"Role Conflict".as_slice()));

    let bytes = theirs(BINDING_ERROR, &their_key, &[&error]);
    let message = read_by_us(&bytes, &our_key);
    let error = message.get::<ErrorCode<'_>>().expect("a valid ERROR-CODE").expect("an ERROR-CODE");
    assert_eq!((error.code(), error.reason()), (ErrorCode::ROLE_CONFLICT, Some("Role Conflict")));
}

#[test]
fn long_term_keys_are_the_same() {
    let (user, realm, password) = ("alice", "floe.test", "secret");
    let our_key = IntegrityKey::long_term_md5(user.as_bytes(), realm.as_bytes(), password.as_bytes());
    let their_key = MessageIntegrity::new_long_term_integrity(user.into(), realm.into(), password.into());
    let nonce = "f//499k954d6OL34oL9FSTvy64sA";
    let bytes = ours(Class::Request, &our_key, |writer| {
        writer.put(&Username::new(user.as_bytes()).expect("short")).expect("room");
        writer.put(&Realm::new(realm.as_bytes()).expect("short")).expect("room");
        writer.put(&Nonce::new(nonce.as_bytes()).expect("short")).expect("room");
    });
    read_by_them(&bytes, &their_key);
    let text = |kind, text: &str| TextAttribute::new(kind, text.to_owned());
    let attributes = [text(ATTR_USERNAME, user), text(ATTR_REALM, realm), text(ATTR_NONCE, nonce)];
    let again = theirs(BINDING_REQUEST, &their_key, &attributes.each_ref().map(|one| one as &dyn Setter));
    assert_eq!(bytes, again);
    let message = read_by_us(&again, &our_key);
    assert_eq!(message.raw(AttributeType::REALM), Some(realm.as_bytes()));
}

#[test]
fn both_refuse_the_wrong_password_and_every_changed_bit() {
    let (our_key, their_key) = short_term();
    let good = our_request(&our_key);
    let wrong = MessageIntegrity::new_short_term_integrity("another password, wrong".into());
    let mut message = Theirs::new();
    message.unmarshal_binary(&good).expect("readable");
    assert!(wrong.check(&mut message).is_err());
    let wrong = IntegrityKey::new(b"another password, wrong");
    assert!(Message::parse(&good).expect("readable").verify_integrity(&wrong).is_err());

    let accepted_by_us = |bytes: &[u8]| {
        Message::parse(bytes).is_ok_and(|message| {
            message.verify_integrity(&our_key).is_ok() && message.verify_fingerprint().is_ok()
        })
    };
    let accepted_by_them = |bytes: &[u8]| {
        let mut message = Theirs::new();
        message.unmarshal_binary(bytes).is_ok()
            && their_key.check(&mut message).is_ok()
            && FINGERPRINT.check(&message).is_ok()
    };
    assert!(accepted_by_us(&good) && accepted_by_them(&good));
    for bit in 0..good.len() * 8 {
        let mut changed = good.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepted_by_us(&changed), "bit {bit}");
        assert!(!accepted_by_them(&changed), "bit {bit}, their opinion");
    }
}
