//! floe.

use std::net::SocketAddr;

use floe_stun::{
    Algorithm, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId,
    attribute::{IceControlling, Priority, UseCandidate, Username, XorMappedAddress},
    binding::{BindingRequest, BindingResponse, Claim},
};

use crate::message::{Buffer, Codec, ID, MAPPED, PASSWORD, USERNAME, VALUES, Values};

pub(crate) struct Floe {
    key: IntegrityKey,
}

impl Floe {
    fn verified<'a>(&self, bytes: &'a [u8], class: Class) -> Option<Message<'a>> {
        let message = Message::parse(bytes).ok()?;
        if message.class() != class || message.method() != Method::BINDING {
            return None;
        }
        message.verify_fingerprint().ok()?;
        message.verify_integrity(&self.key).ok()?;
        Some(message)
    }

    fn written(
        &self,
        buffer: &mut Buffer,
        class: Class,
        attributes: impl FnOnce(&mut MessageWriter<'_>) -> Option<()>,
    ) -> Option<usize> {
        let mut writer = MessageWriter::new(&mut buffer.0, class, Method::BINDING, TransactionId(ID)).ok()?;
        attributes(&mut writer)?;
        writer.sign(&self.key, Algorithm::Sha1).ok()?.fingerprint().ok()
    }
}

impl Codec for Floe {
    const NAME: &str = "floe";

    fn new() -> Self {
        Self { key: IntegrityKey::new(PASSWORD.as_bytes()) }
    }

    fn check_request(&mut self, bytes: &[u8]) -> Option<Values> {
        let request = BindingRequest::decode(&self.verified(bytes, Class::Request)?).ok()?;
        let Some(Claim::Controlling(tiebreaker)) = request.claim else { return None };
        Some(Values {
            username: request.username?.try_into().ok()?,
            priority: request.priority?,
            tiebreaker,
            use_candidate: request.use_candidate,
        })
    }

    fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr> {
        BindingResponse::decode(&self.verified(bytes, Class::Success)?).ok()?.mapped
    }

    fn build_request(&mut self, buffer: &mut Buffer) -> usize {
        self.written(buffer, Class::Request, |writer| {
            writer.put(&Username::new(USERNAME.as_bytes()).ok()?).ok()?;
            writer.put(&Priority(VALUES.priority)).ok()?;
            writer.put(&IceControlling(VALUES.tiebreaker)).ok()?;
            writer.put(&UseCandidate).ok()
        })
        .unwrap_or_default()
    }

    fn build_response(&mut self, buffer: &mut Buffer) -> usize {
        self.written(buffer, Class::Success, |writer| writer.put(&XorMappedAddress(MAPPED)).ok())
            .unwrap_or_default()
    }
}
