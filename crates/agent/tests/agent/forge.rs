//! Messages that no agent has sent.

use floe_stun::{
    Algorithm, Class, IntegrityKey, MessageWriter, Method, TransactionId,
    attribute::{IceControlled, Priority, Username, XorMappedAddress},
};

/// A check with this user name, signed with this password.
pub(crate) fn check(username: &str, password: &str, id: [u8; 12]) -> Vec<u8> {
    let mut buffer = vec![0; 256];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(id)).unwrap();
    writer.put(&Username::new(username.as_bytes()).unwrap()).unwrap();
    writer.put(&Priority(1_845_501_695)).unwrap();
    writer.put(&IceControlled(1)).unwrap();
    let signed = writer.sign(&IntegrityKey::new(password.as_bytes()), Algorithm::Sha1).unwrap();
    let len = signed.fingerprint().unwrap();
    buffer.truncate(len);
    buffer
}

/// An answer to a check, signed with this password.
pub(crate) fn response(password: &str, id: [u8; 12]) -> Vec<u8> {
    let mut buffer = vec![0; 256];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, TransactionId(id)).unwrap();
    writer.put(&XorMappedAddress("203.0.113.9:9".parse().unwrap())).unwrap();
    let signed = writer.sign(&IntegrityKey::new(password.as_bytes()), Algorithm::Sha1).unwrap();
    let len = signed.fingerprint().unwrap();
    buffer.truncate(len);
    buffer
}
