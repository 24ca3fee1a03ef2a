//! MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, against tags computed by other libraries.

use floe_stun::attribute::{IceControlling, Priority, Software, UseCandidate, Username};
use floe_stun::binding::BindingRequest;
use floe_stun::{
    Algorithm, AttributeType, Class, FingerprintError, IntegrityError, IntegrityKey, Message, MessageWriter,
    Method, ParseError, TransactionId, WriteError,
};

use crate::common::{ID, Raw, hmac_sha1, hmac_sha256};

const KEY: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn check() -> Raw {
    Raw::request().attribute(0x0006, b"evtj:h6vY").attribute(0x0024, &[0x6E, 0, 1, 0xFF])
}

/// The same message by the crate's writer.
fn written(end: impl FnOnce(MessageWriter<'_>) -> Result<usize, WriteError>) -> Vec<u8> {
    let mut buffer = [0xAA; 256];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(ID)).unwrap();
    writer.put(&Username::new(b"evtj:h6vY").unwrap()).unwrap();
    writer.put(&Priority(0x6E00_01FF)).unwrap();
    let len = end(writer).unwrap();
    buffer[..len].to_vec()
}

fn fingerprinted(writer: MessageWriter<'_>) -> Result<usize, WriteError> {
    writer.fingerprint()
}

#[test]
fn stn_20_hmac_input_ends_before_the_attribute_and_the_length_behind_it() {
    let key = IntegrityKey::new(KEY);
    assert_eq!(written(|w| Ok(w.finish())), check().bytes);
    assert_eq!(written(|w| Ok(w.sign(&key, Algorithm::Sha1)?.finish())), check().sha1(KEY).bytes);
    assert_eq!(written(|w| Ok(w.sign(&key, Algorithm::Sha256)?.finish())), check().sha256(KEY).bytes);
    assert_eq!(
        written(|w| w.sign(&key, Algorithm::Sha1)?.sign_sha256(&key)?.fingerprint()),
        check().sha1(KEY).sha256(KEY).fingerprint().bytes
    );
    assert_eq!(written(fingerprinted), check().fingerprint().bytes);
}

#[test]
fn stn_20_the_order_of_the_three_cannot_be_another() {
    let key = IntegrityKey::new(KEY);
    let mut buffer = [0; 256];
    let writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(ID)).unwrap();
    let signed = writer.sign(&key, Algorithm::Sha256).unwrap();
    assert_eq!(signed.sign_sha256(&key).unwrap_err(), WriteError::SignedTwice);
    for kind in [
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
        AttributeType::FINGERPRINT,
    ] {
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(ID)).unwrap();
        let (min, _) = kind.lengths().unwrap();
        assert_eq!(writer.put_raw(kind, &vec![0; min]), Err(WriteError::Protection(kind)));
        assert_eq!(writer.finish(), 20);
    }
}

#[test]
fn stn_20_keys_and_messages_of_every_length() {
    // Every position of the input's end within a block, and every key around the block size.
    for len in (0..=200).step_by(4) {
        let raw = Raw::request().attribute(0x0013, &vec![0x5A; len]);
        for key_len in [0, 1, 19, 20, 63, 64, 65, 127, 128, 200] {
            let key = vec![0xA5; key_len];
            let prepared = IntegrityKey::new(&key);
            for bytes in [raw.clone().sha1(&key).fingerprint(), raw.clone().sha256(&key).fingerprint()] {
                let message = Message::parse(&bytes.bytes).unwrap();
                assert!(message.verify_integrity(&prepared).is_ok(), "{len} bytes, key of {key_len}");
                assert_eq!(message.verify_fingerprint(), Ok(()));
            }
        }
    }
}

#[test]
fn stn_21_sha256_of_16_to_32_bytes_in_steps_of_four_is_read() {
    for len in 0..=64 {
        let bytes = check().sha256_of(KEY, len).bytes;
        match Message::parse(&bytes) {
            Ok(message) => {
                assert!((16..=32).contains(&len) && len % 4 == 0, "{len}");
                assert_eq!(message.sha256_length(), Some(len));
                assert!(message.has_integrity());
            }
            Err(ParseError::ProtectionLength { length, .. }) => {
                assert_eq!(length, len);
                assert!(!(16..=32).contains(&len) || len % 4 != 0, "{len}");
            }
            Err(other) => panic!("{len}: {other}"),
        }
    }
}

#[test]
fn t12_only_a_whole_hmac_sha256_proves_anything() {
    let key = IntegrityKey::new(KEY);
    for len in 0..=64 {
        let bytes = check().sha256_of(KEY, len).bytes;
        let said = Message::parse(&bytes).ok().map(|message| message.verify_integrity(&key));
        match len {
            32 => assert_eq!(said, Some(Ok(Algorithm::Sha256))),
            16 | 20 | 24 | 28 => assert_eq!(said, Some(Err(IntegrityError::Truncated))),
            _ => assert_eq!(said, None, "{len} bytes"),
        }
    }
    // A good MESSAGE-INTEGRITY in front does not make up for it.
    let bytes = check().sha1(KEY).sha256_of(KEY, 16).bytes;
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify_integrity(&key), Err(IntegrityError::Truncated));
}

#[test]
fn t12_message_integrity_has_20_bytes_and_fingerprint_four() {
    for len in 0..=64 {
        for (kind, right) in [(0x0008, 20), (0x8028, 4)] {
            let bytes = check().attribute(kind, &vec![0; len]).bytes;
            assert_eq!(Message::parse(&bytes).is_ok(), len == right, "{kind:#06x} of {len}");
        }
    }
}

#[test]
fn t19_attributes_behind_integrity_have_no_effect() {
    let key = IntegrityKey::new(KEY);
    let smuggled = |raw: Raw| {
        raw.attribute(0x0025, &[])
            .attribute(0x0006, b"other:name")
            .attribute(0x0024, &[0x7F; 4])
            .attribute(0x7FFF, b"unknown")
            .attribute(0x802A, &[1; 8])
    };
    let honest = check().sha1(KEY).bytes;
    let expected = BindingRequest::decode(&Message::parse(&honest).unwrap()).unwrap();
    for (raw, algorithm) in [
        (smuggled(check().sha1(KEY)), Algorithm::Sha1),
        (smuggled(check().sha1(KEY)).fingerprint(), Algorithm::Sha1),
        (smuggled(check().sha256(KEY)), Algorithm::Sha256),
        (smuggled(check().sha256(KEY)).fingerprint(), Algorithm::Sha256),
        (smuggled(check().sha1(KEY).sha256(KEY)), Algorithm::Sha256),
        // Between the two integrity attributes: covered by the second, and yet to be ignored.
        (smuggled(check().sha1(KEY)).sha256(KEY), Algorithm::Sha256),
    ] {
        let message = Message::parse(&raw.bytes).unwrap();
        assert_eq!(message.verify_integrity(&key), Ok(algorithm));
        assert_eq!(BindingRequest::decode(&message), Ok(expected));
        assert_eq!(message.attributes().count(), 2);
        assert_eq!(message.get::<UseCandidate>(), Ok(None));
        assert_eq!(message.get::<IceControlling>(), Ok(None));
        assert_eq!(message.get::<Priority>(), Ok(Some(Priority(0x6E00_01FF))));
        assert_eq!(message.unknown_required().next(), None);
    }
}

#[test]
fn t19_a_second_integrity_attribute_does_not_count() {
    let key = IntegrityKey::new(KEY);
    // RFC 8489 §9: behind MESSAGE-INTEGRITY-SHA256 a MESSAGE-INTEGRITY is ignored, even a right one.
    let bytes = check().sha256(b"other").sha1(KEY).bytes;
    assert_eq!(Message::parse(&bytes).unwrap().verify_integrity(&key), Err(IntegrityError::Mismatch));
    let bytes = check().sha1(b"other").sha1(KEY).bytes;
    assert_eq!(Message::parse(&bytes).unwrap().verify_integrity(&key), Err(IntegrityError::Mismatch));
    let bytes = check().sha256(b"other").sha256(KEY).bytes;
    assert_eq!(Message::parse(&bytes).unwrap().verify_integrity(&key), Err(IntegrityError::Mismatch));
    // Nor is a malformed one a reason to refuse what an honest first one proves.
    let bytes = check().sha1(KEY).attribute(0x0008, &[0; 8]).bytes;
    assert_eq!(Message::parse(&bytes).unwrap().verify_integrity(&key), Ok(Algorithm::Sha1));
}

#[test]
fn t19_nothing_stands_behind_fingerprint() {
    for tail in [(0x0025, &[][..]), (0x0008, &[0; 20]), (0x8028, &[0; 4])] {
        let bytes = check().sha1(KEY).fingerprint().attribute(tail.0, tail.1).bytes;
        assert_eq!(Message::parse(&bytes).unwrap_err(), ParseError::AfterFingerprint);
    }
}

#[test]
fn t20_no_flipped_bit_passes_the_fingerprint() {
    let good = check().attribute(0x8022, b"floe").sha1(KEY).fingerprint().bytes;
    assert_eq!(Message::parse(&good).unwrap().verify_fingerprint(), Ok(()));
    let mut accepted = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        accepted += usize::from(Message::parse(&bytes).is_ok_and(|m| m.verify_fingerprint().is_ok()));
        // Two neighbouring bits, and a whole byte.
        if bit + 1 < good.len() * 8 {
            bytes[(bit + 1) / 8] ^= 1 << ((bit + 1) % 8);
            accepted += usize::from(Message::parse(&bytes).is_ok_and(|m| m.verify_fingerprint().is_ok()));
        }
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 0xFF;
        accepted += usize::from(Message::parse(&bytes).is_ok_and(|m| m.verify_fingerprint().is_ok()));
    }
    assert_eq!(accepted, 0);
}

#[test]
fn t20_no_flipped_bit_passes_integrity() {
    let key = IntegrityKey::new(KEY);
    for raw in [check().sha1(KEY), check().sha256(KEY), check().attribute(0x8022, &[7; 90]).sha1(KEY)] {
        let covered = raw.bytes.len();
        let good = raw.fingerprint().bytes;
        assert!(Message::parse(&good).unwrap().verify_integrity(&key).is_ok());
        for bit in 0..covered * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let accepted = Message::parse(&bytes).is_ok_and(|m| m.verify_integrity(&key).is_ok());
            assert!(!accepted, "bit {bit}");
        }
    }
}

#[test]
fn t20_a_missing_fingerprint_is_told_from_a_wrong_one() {
    let none = check().sha1(KEY).bytes;
    assert_eq!(Message::parse(&none).unwrap().verify_fingerprint(), Err(FingerprintError::Absent));
    let wrong = check().attribute(0x8028, &[0; 4]).bytes;
    let message = Message::parse(&wrong).unwrap();
    assert!(message.has_fingerprint());
    assert_eq!(message.verify_fingerprint(), Err(FingerprintError::Mismatch));
    assert_eq!(message.verify_integrity(&IntegrityKey::new(KEY)), Err(IntegrityError::Absent));
}

#[test]
fn stn_22_fingerprint_is_the_last_and_is_the_crc_xored() {
    let bytes = written(fingerprinted);
    assert_eq!(bytes, check().fingerprint().bytes);
    // Every length of what is covered: the CRC takes 16, 4 and fewer bytes by different ways.
    for len in 0..=100 {
        let raw = Raw::request().attribute(0x0013, &vec![0xC3; len]).fingerprint();
        assert_eq!(Message::parse(&raw.bytes).unwrap().verify_fingerprint(), Ok(()), "{len}");
    }
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let key = IntegrityKey::new(KEY);
    assert_eq!(format!("{key:?}{:?}", key.clone()), "IntegrityKey(redacted)".repeat(2));
}

#[test]
fn s08_every_padding_byte_is_zero_whatever_the_buffer_held() {
    let key = IntegrityKey::new(KEY);
    for len in 0..=40 {
        let encode = |fill| {
            let mut buffer = [fill; 256];
            let mut writer =
                MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, TransactionId(ID)).unwrap();
            let text = vec![b'x'; len];
            writer.put(&Software::new(&text).unwrap()).unwrap();
            writer.put_raw(AttributeType::new(0xC0DE), &text).unwrap();
            writer.put(&floe_stun::attribute::EvenPort { reserve: true }).unwrap();
            writer.put(&floe_stun::attribute::UnknownAttributes::new(&[AttributeType::new(0x7000)])).unwrap();
            let parameters = &text[..len.min(9)];
            let algorithm = floe_stun::attribute::PasswordAlgorithmAttribute { number: 9, parameters };
            writer.put(&algorithm).unwrap();
            let len = writer.sign(&key, Algorithm::Sha1).unwrap().fingerprint().unwrap();
            assert!(
                buffer[len..].iter().all(|byte| *byte == fill),
                "bytes behind the message are not touched"
            );
            buffer[..len].to_vec()
        };
        let dirty = encode(0xAA);
        assert_eq!(dirty, encode(0x00), "{len}");
        // And by hand: between the end of each value and the next multiple of four.
        let mut at = 20;
        while at < dirty.len() {
            let end = at + 4 + usize::from(u16::from_be_bytes([dirty[at + 2], dirty[at + 3]]));
            at = end.next_multiple_of(4);
            assert!(dirty[end..at].iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn the_oracles_agree_with_rfc2202_and_rfc4231() {
    // HMAC-SHA1 case 1 of RFC 2202 and HMAC-SHA256 case 1 of RFC 4231: the tests' own yardstick.
    let key = [0x0B; 20];
    assert_eq!(hmac_sha1(&key, b"Hi There")[..4], [0xB6, 0x17, 0x31, 0x86]);
    assert_eq!(hmac_sha256(&key, b"Hi There")[..4], [0xB0, 0x34, 0x4C, 0x61]);
}
