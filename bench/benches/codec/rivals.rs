//! The rivals, each used as its documentation advises, keeping from message to message what it lets one keep.

use std::net::SocketAddr;

use crate::message::{Buffer, Codec, ID, MAPPED, PASSWORD, USERNAME, VALUES, Values};

/// `is`, the agent of str0m. It has no check of FINGERPRINT.
pub(crate) struct Is {
    id: is::stun::TransId,
}

fn sha1_hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    use is::Sha1HmacProvider as _;
    is::DefaultSha1HmacProvider.sha1_hmac(key, payloads)
}

impl Codec for Is {
    const NAME: &str = "is 0.12";
    const CHECKS_FINGERPRINT: bool = false;

    fn new() -> Self {
        Self { id: is::stun::TransId::new() }
    }

    fn check_request(&mut self, bytes: &[u8]) -> Option<Values> {
        let message = is::stun::StunMessage::parse(bytes).ok()?;
        if !message.is_binding_request() || !message.verify(PASSWORD.as_bytes(), sha1_hmac) {
            return None;
        }
        Some(Values {
            username: message.username()?.as_bytes().try_into().ok()?,
            priority: message.prio()?,
            tiebreaker: message.ice_controlling()?,
            use_candidate: message.use_candidate(),
        })
    }

    fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr> {
        let message = is::stun::StunMessage::parse(bytes).ok()?;
        if !message.is_successful_binding_response() || !message.verify(PASSWORD.as_bytes(), sha1_hmac) {
            return None;
        }
        message.mapped_address()
    }

    fn build_request(&mut self, buffer: &mut Buffer) -> usize {
        let Values { priority, tiebreaker, use_candidate, .. } = VALUES;
        is::stun::StunMessage::binding_request(USERNAME, self.id, true, tiebreaker, priority, use_candidate)
            .to_bytes(Some(PASSWORD.as_bytes()), &mut buffer.0, sha1_hmac)
            .unwrap_or_default()
    }

    fn build_response(&mut self, buffer: &mut Buffer) -> usize {
        is::stun::StunMessage::binding_reply(self.id, MAPPED)
            .to_bytes(Some(PASSWORD.as_bytes()), &mut buffer.0, sha1_hmac)
            .unwrap_or_default()
    }
}

/// `stun-types` of librice, with the attributes of ICE from `rice-stun-types`; its key caches the HMAC state.
pub(crate) struct StunTypes {
    key: stun_types::message::IntegrityKey,
    id: stun_types::message::TransactionId,
}

impl StunTypes {
    fn verified<'a>(
        &self,
        bytes: &'a [u8],
        class: stun_types::message::MessageClass,
    ) -> Option<stun_types::message::Message<'a>> {
        let message = stun_types::message::Message::from_bytes(bytes).ok()?;
        if !message.has_class(class) || !message.has_method(stun_types::message::BINDING) {
            return None;
        }
        message.validate_integrity_with_key(&self.key).ok()?;
        Some(message)
    }

    fn write(
        &self,
        buffer: &mut Buffer,
        class: stun_types::message::MessageClass,
        attributes: &[&dyn stun_types::attribute::AttributeWrite],
    ) -> Option<usize> {
        use stun_types::message::{
            BINDING, IntegrityAlgorithm, Message, MessageType, MessageWrite as _, MessageWriteExt as _,
            MessageWriteMutSlice,
        };
        let kind = MessageType::from_class_method(class, BINDING);
        let mut writer = Message::builder(kind, self.id, MessageWriteMutSlice::new(&mut buffer.0));
        for attribute in attributes {
            writer.add_attribute(*attribute).ok()?;
        }
        writer.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).ok()?;
        writer.add_fingerprint().ok()?;
        Some(writer.finish())
    }
}

impl Codec for StunTypes {
    const NAME: &str = "stun-types 2.0";

    fn new() -> Self {
        let [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11] = ID;
        let id = u128::from_be_bytes([0, 0, 0, 0, i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11]);
        Self {
            key: stun_types::message::ShortTermCredentials::new(PASSWORD.to_owned()).make_key(),
            id: id.into(),
        }
    }

    fn check_request(&mut self, bytes: &[u8]) -> Option<Values> {
        use rice_stun_types::attribute::{IceControlling, Priority, UseCandidate};
        let message = self.verified(bytes, stun_types::message::MessageClass::Request)?;
        let username = message.attribute::<stun_types::attribute::Username>().ok()?;
        Some(Values {
            username: username.username().as_bytes().try_into().ok()?,
            priority: message.attribute::<Priority>().ok()?.priority(),
            tiebreaker: message.attribute::<IceControlling>().ok()?.tie_breaker(),
            use_candidate: message.attribute::<UseCandidate>().is_ok(),
        })
    }

    fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr> {
        let message = self.verified(bytes, stun_types::message::MessageClass::Success)?;
        let mapped = message.attribute::<stun_types::attribute::XorMappedAddress>().ok()?;
        Some(mapped.addr(message.transaction_id()))
    }

    fn build_request(&mut self, buffer: &mut Buffer) -> usize {
        use rice_stun_types::attribute::{IceControlling, Priority, UseCandidate};
        let Ok(username) = stun_types::attribute::Username::new(USERNAME) else { return 0 };
        let attributes: [&dyn stun_types::attribute::AttributeWrite; 4] = [
            &username,
            &Priority::new(VALUES.priority),
            &IceControlling::new(VALUES.tiebreaker),
            &UseCandidate::new(),
        ];
        self.write(buffer, stun_types::message::MessageClass::Request, &attributes).unwrap_or_default()
    }

    fn build_response(&mut self, buffer: &mut Buffer) -> usize {
        let mapped = stun_types::attribute::XorMappedAddress::new(MAPPED, self.id);
        self.write(buffer, stun_types::message::MessageClass::Success, &[&mapped]).unwrap_or_default()
    }
}

/// The codec that `rtc-stun` and the older `stun` share but for how they take the key.
macro_rules! webrtc {
    ($codec:ident, $name:literal, $library:ident, $state:ty, $new:expr, $check:expr, $sign:expr) => {
        pub(crate) struct $codec {
            state: $state,
        }

        impl $codec {
            fn verified(
                &self,
                bytes: &[u8],
                kind: $library::message::MessageType,
            ) -> Option<$library::message::Message> {
                let mut message = $library::message::Message::new();
                message.unmarshal_binary(bytes).ok()?;
                if message.typ != kind {
                    return None;
                }
                $library::fingerprint::FINGERPRINT.check(&message).ok()?;
                $check(&self.state, &mut message)?;
                Some(message)
            }

            fn written(
                &self,
                buffer: &mut Buffer,
                kind: $library::message::MessageType,
                attributes: impl FnOnce(&mut $library::message::Message) -> Option<()>,
            ) -> Option<usize> {
                use $library::message::Setter as _;
                let mut message = $library::message::Message::new();
                message.typ = kind;
                message.transaction_id.0 = ID;
                message.write_header();
                attributes(&mut message)?;
                $sign(&self.state, &mut message)?;
                $library::fingerprint::FINGERPRINT.add_to(&mut message).ok()?;
                buffer.0.get_mut(..message.raw.len())?.copy_from_slice(&message.raw);
                Some(message.raw.len())
            }
        }

        impl Codec for $codec {
            const NAME: &str = $name;

            fn new() -> Self {
                Self { state: $new }
            }

            fn check_request(&mut self, bytes: &[u8]) -> Option<Values> {
                use $library::attributes::{
                    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
                };
                let message = self.verified(bytes, $library::message::BINDING_REQUEST)?;
                let username =
                    $library::textattrs::TextAttribute::get_from_as(&message, ATTR_USERNAME).ok()?;
                Some(Values {
                    username: username.text.as_bytes().try_into().ok()?,
                    priority: u32::from_be_bytes(message.get(ATTR_PRIORITY).ok()?.try_into().ok()?),
                    tiebreaker: u64::from_be_bytes(message.get(ATTR_ICE_CONTROLLING).ok()?.try_into().ok()?),
                    use_candidate: message.contains(ATTR_USE_CANDIDATE),
                })
            }

            fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr> {
                use $library::message::Getter as _;
                let message = self.verified(bytes, $library::message::BINDING_SUCCESS)?;
                let mut mapped = $library::xoraddr::XorMappedAddress::default();
                mapped.get_from(&message).ok()?;
                Some(SocketAddr::new(mapped.ip, mapped.port))
            }

            fn build_request(&mut self, buffer: &mut Buffer) -> usize {
                use $library::{
                    attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME},
                    message::Setter as _,
                };
                self.written(buffer, $library::message::BINDING_REQUEST, |message| {
                    let username = $library::textattrs::Username::new(ATTR_USERNAME, USERNAME.to_owned());
                    username.add_to(message).ok()?;
                    message.add(ATTR_PRIORITY, &VALUES.priority.to_be_bytes());
                    message.add(ATTR_ICE_CONTROLLING, &VALUES.tiebreaker.to_be_bytes());
                    message.add(ATTR_USE_CANDIDATE, &[]);
                    Some(())
                })
                .unwrap_or_default()
            }

            fn build_response(&mut self, buffer: &mut Buffer) -> usize {
                use $library::message::Setter as _;
                self.written(buffer, $library::message::BINDING_SUCCESS, |message| {
                    let mapped = $library::xoraddr::XorMappedAddress { ip: MAPPED.ip(), port: MAPPED.port() };
                    mapped.add_to(message).ok()
                })
                .unwrap_or_default()
            }
        }
    };
}

type Provider = std::sync::Arc<dyn rtc_stun::crypto::RTCCryptoProvider>;

webrtc!(
    RtcStun,
    "rtc-stun 0.21",
    rtc_stun,
    Provider,
    rtc_stun::crypto::default_provider().expect("a provider is built in"),
    |provider: &Provider, message: &mut rtc_stun::message::Message| {
        rtc_stun::integrity::MessageIntegrity::check(message, PASSWORD.as_bytes(), provider.crypto()).ok()
    },
    |provider: &Provider, message: &mut rtc_stun::message::Message| {
        use rtc_stun::integrity::MessageIntegrity;
        MessageIntegrity::new_raw_integrity_with_provider(PASSWORD.as_bytes(), provider.crypto())
            .add_to(message)
            .ok()
    }
);

webrtc!(
    Stun,
    "stun 0.17",
    stun,
    stun::integrity::MessageIntegrity,
    stun::integrity::MessageIntegrity::new_short_term_integrity(PASSWORD.to_owned()),
    |key: &stun::integrity::MessageIntegrity, message: &mut stun::message::Message| key.check(message).ok(),
    |key: &stun::integrity::MessageIntegrity, message: &mut stun::message::Message| key.add_to(message).ok()
);
