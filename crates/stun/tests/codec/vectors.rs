//! The messages of RFC 5769 and RFC 8489 appendix B.1.

use std::net::SocketAddr;

use crate::common::{hex, touch};
use floe_stun::attribute::{
    IceControlled, Nonce, PasswordAlgorithmAttribute, Priority, Realm, Software, Userhash, Username,
    XorMappedAddress,
};
use floe_stun::binding::{BindingRequest, BindingResponse, Claim};
use floe_stun::{
    Algorithm, Class, FingerprintError, IntegrityError, IntegrityKey, Message, MessageWriter, Method,
    ParseError, PasswordAlgorithm, TransactionId, nonce_features, userhash,
};

const REQUEST: &str = include_str!("../vectors/rfc5769-2.1-request.hex");
const RESPONSE_IPV4: &str = include_str!("../vectors/rfc5769-2.2-response-ipv4.hex");
const RESPONSE_IPV6: &str = include_str!("../vectors/rfc5769-2.3-response-ipv6.hex");
const LONG_TERM: &str = include_str!("../vectors/rfc5769-2.4-request-long-term.hex");
const SHA256: &str = include_str!("../vectors/rfc8489-b.1-corrected.hex");
const SHA256_AS_PRINTED: &str = include_str!("../vectors/rfc8489-b.1-as-printed.hex");

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId =
    TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
const LONG_TERM_ID: TransactionId =
    TransactionId([0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e]);
const USER: &str = "マトリックス";
const REALM: &str = "example.org";
const USER_PASSWORD: &[u8] = b"TheMatrIX";

/// Verifies a vector and shows that the codec reads each byte of it that it depends on.
#[track_caller]
fn verifies(bytes: &[u8], key: &IntegrityKey, algorithm: Algorithm, with_fingerprint: bool) {
    let message = Message::parse(bytes).unwrap();
    assert_eq!(message.verify_integrity(key), Ok(algorithm));
    let fingerprint = if with_fingerprint { Ok(()) } else { Err(FingerprintError::Absent) };
    assert_eq!(message.verify_fingerprint(), fingerprint);
    assert_eq!(message.verify_integrity(&IntegrityKey::new(b"wrong")), Err(IntegrityError::Mismatch));
    touch(&message);
    assert!(!message.unknown_required().any(|_| true));
}

#[test]
fn rfc5769_2_1_request() {
    let bytes = hex(REQUEST);
    verifies(&bytes, &IntegrityKey::new(PASSWORD), Algorithm::Sha1, true);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.get::<Software<'_>>().unwrap().unwrap().as_str(), Some("STUN test client"));
    assert_eq!(message.get::<Priority>(), Ok(Some(Priority(1_845_494_271))));
    assert_eq!(message.get::<IceControlled>(), Ok(Some(IceControlled(0x932f_f9b1_5126_3b36))));
    let request = BindingRequest::decode(&message).unwrap();
    assert_eq!(request.username, Some(b"evtj:h6vY".as_slice()));
    assert_eq!(request.claim, Some(Claim::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!request.use_candidate);
}

#[test]
fn rfc5769_2_2_response_ipv4() {
    let bytes = hex(RESPONSE_IPV4);
    verifies(&bytes, &IntegrityKey::new(PASSWORD), Algorithm::Sha1, true);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.class(), Class::Success);
    let mapped: SocketAddr = "192.0.2.1:32853".parse().unwrap();
    assert_eq!(message.get::<XorMappedAddress>(), Ok(Some(XorMappedAddress(mapped))));
    assert_eq!(BindingResponse::decode(&message).unwrap().mapped, Some(mapped));
}

#[test]
fn rfc5769_2_3_response_ipv6() {
    let bytes = hex(RESPONSE_IPV6);
    verifies(&bytes, &IntegrityKey::new(PASSWORD), Algorithm::Sha1, true);
    let message = Message::parse(&bytes).unwrap();
    let mapped: SocketAddr = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
    assert_eq!(BindingResponse::decode(&message).unwrap().mapped, Some(mapped));
}

#[test]
fn rfc5769_2_4_is_read_and_written_byte_for_byte() {
    let bytes = hex(LONG_TERM);
    let key = IntegrityKey::long_term_md5(USER.as_bytes(), REALM.as_bytes(), USER_PASSWORD);
    verifies(&bytes, &key, Algorithm::Sha1, false);
    let raw_key = hex("e8ca7ad59d5eb0518e312911d2dab2a9");
    verifies(&bytes, &IntegrityKey::new(&raw_key), Algorithm::Sha1, false);

    let mut buffer = [0xAA; 256];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, LONG_TERM_ID).unwrap();
    writer.put(&Username::new(USER.as_bytes()).unwrap()).unwrap();
    writer.put(&Nonce::new(b"f//499k954d6OL34oL9FSTvy64sA").unwrap()).unwrap();
    writer.put(&Realm::new(REALM.as_bytes()).unwrap()).unwrap();
    let len = writer.sign(&key, Algorithm::Sha1).unwrap().finish();
    assert_eq!(buffer[..len], bytes);
}

#[test]
fn rfc8489_b_1_as_corrected_is_read_and_written_byte_for_byte() {
    let bytes = hex(SHA256);
    let key =
        IntegrityKey::long_term(PasswordAlgorithm::Sha256, USER.as_bytes(), REALM.as_bytes(), USER_PASSWORD);
    verifies(&bytes, &key, Algorithm::Sha256, false);
    let raw_key = hex("dd295a613b9058c3c23d6dc7165bda072304d989c9d0af3a8c7e184b4f9bb4a1");
    verifies(&bytes, &IntegrityKey::new(&raw_key), Algorithm::Sha256, false);

    let message = Message::parse(&bytes).unwrap();
    let hash = userhash(USER.as_bytes(), REALM.as_bytes());
    assert_eq!(message.get::<Userhash>(), Ok(Some(Userhash(hash))));
    let nonce = message.get::<Nonce<'_>>().unwrap().unwrap().as_bytes();
    let features = nonce_features(nonce).unwrap();
    assert!(!features.password_algorithms && !features.username_anonymity);

    let mut buffer = [0xAA; 256];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, LONG_TERM_ID).unwrap();
    writer.put(&Userhash(hash)).unwrap();
    writer.put(&Nonce::new(nonce).unwrap()).unwrap();
    writer.put(&Realm::new(REALM.as_bytes()).unwrap()).unwrap();
    writer.put(&PasswordAlgorithmAttribute::new(PasswordAlgorithm::Sha256)).unwrap();
    let len = writer.sign(&key, Algorithm::Sha256).unwrap().finish();
    assert_eq!(buffer[..len], bytes);
}

#[test]
fn rfc8489_b_1_as_printed_is_refused() {
    // 156 bytes whose length field counts the header (erratum 6268).
    let bytes = hex(SHA256_AS_PRINTED);
    assert_eq!(bytes.len(), 156);
    assert_eq!(Message::parse(&bytes).unwrap_err(), ParseError::LengthMismatch { header: 0x9c, actual: 136 });
}

#[test]
fn stn_18_padding_is_covered_as_received() {
    // The ICE messages of RFC 5769 pad with spaces: they verify as they are, and not with zeros.
    for text in [REQUEST, RESPONSE_IPV4, RESPONSE_IPV6] {
        let mut bytes = hex(text);
        let key = IntegrityKey::new(PASSWORD);
        let message = Message::parse(&bytes).unwrap();
        let (mut at, mut padding) = (20, Vec::new());
        for attribute in message.attributes() {
            let end = at + 4 + attribute.value.len();
            at = end.next_multiple_of(4);
            padding.extend(end..at);
        }
        assert!(!padding.is_empty());
        assert_eq!(message.verify_integrity(&key), Ok(Algorithm::Sha1));
        for index in padding {
            assert_eq!(bytes[index], b' ');
            bytes[index] = 0;
        }
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.verify_integrity(&key), Err(IntegrityError::Mismatch));
        assert_eq!(message.verify_fingerprint(), Err(FingerprintError::Mismatch));
    }
}

#[test]
fn t21_padding_that_is_not_zero_is_ignored() {
    let bytes = hex(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    let username = message.get::<Username<'_>>().unwrap().unwrap();
    assert_eq!((bytes[20 + 20 + 8 + 12 + 4 + 9], username.as_bytes()), (b' ', b"evtj:h6vY".as_slice()));
}

#[test]
fn rfc8489_9_2_2_the_key_of_the_text() {
    // The text gives MD5("user:realm:pass"); a message signed with the raw key verifies with the derived one.
    let raw = IntegrityKey::new(&hex("8493fbc53ba582fb4c044c456bdc40eb"));
    for (user, realm, pass) in [
        (b"user".as_slice(), b"realm".as_slice(), b"pass".as_slice()),
        (b"\"user\"\0\0", b"\"realm\"\0", b"pass\0"),
    ] {
        let derived = IntegrityKey::long_term_md5(user, realm, pass);
        let mut buffer = [0; 64];
        let writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
        let len = writer.sign(&raw, Algorithm::Sha1).unwrap().finish();
        let message = Message::parse(&buffer[..len]).unwrap();
        assert_eq!(message.verify_integrity(&derived), Ok(Algorithm::Sha1));
    }
}
