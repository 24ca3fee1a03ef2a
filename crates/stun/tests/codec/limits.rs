//! Lengths at, below and above their limits.

use floe_stun::attribute::{
    AlternateDomain, Attribute as _, ErrorCode, Nonce, Realm, Software, ThirdPartyAuthorization, Username,
};
use floe_stun::binding::BindingRequest;
use floe_stun::{
    AttributeError, AttributeType, Class, IntegrityKey, LengthError, MAX_MESSAGE_BYTES,
    MAX_UNKNOWN_ATTRIBUTES, Message, MessageWriter, Method, TransactionId, WriteError,
};

use crate::common::{ID, Raw};

#[test]
fn s03_passwords_and_fragments_of_0_to_1024_bytes() {
    for len in 0..=1_024 {
        let secret = vec![b'p'; len];
        let key = IntegrityKey::new(&secret);
        let username = [&vec![b'l'; len][..], b":", &vec![b'r'; len]].concat();
        let bytes = Raw::request().attribute(0x0006, &username).sha1(&secret).tight();
        let message = Message::parse(&bytes).unwrap();
        assert!(message.verify_integrity(&key).is_ok(), "{len}");
        let request = BindingRequest::decode(&message);
        if username.len() <= 763 {
            assert_eq!(request.unwrap().username, Some(username.as_slice()));
        } else {
            let kind = AttributeType::USERNAME;
            assert_eq!(request, Err(AttributeError::Length { kind, length: username.len() }));
        }
    }
}

#[test]
fn s03_usernames_around_513_and_763_bytes() {
    for len in [508, 509, 512, 513, 514, 762, 763] {
        let name = vec![b'u'; len];
        let bytes = Raw::request().attribute(0x0006, &name).tight();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.get::<Username<'_>>().unwrap().unwrap().as_bytes(), name);
    }
    let bytes = Raw::request().attribute(0x0006, &[b'u'; 764]).tight();
    assert!(Message::parse(&bytes).unwrap().get::<Username<'_>>().is_err());
}

/// A limit for making a value, and one for what a peer may send.
#[track_caller]
fn limits(kind: AttributeType, make: impl Fn(&[u8]) -> Result<usize, LengthError>, sent: usize, read: usize) {
    assert_eq!(make(&vec![b'x'; sent]), Ok(sent));
    assert_eq!(make(&vec![b'x'; sent + 1]).unwrap_err().length, sent + 1, "{kind}");
    for (len, good) in [(read, true), (read + 1, false)] {
        let bytes = Raw::request().attribute(kind.get(), &vec![b'x'; len]).tight();
        let message = Message::parse(&bytes).unwrap();
        let (min, max) = kind.lengths().unwrap();
        assert_eq!((min..=max).contains(&message.raw(kind).unwrap().len()), good, "{kind} of {len}");
    }
}

#[test]
fn t23_texts_are_made_short_and_read_longer() {
    limits(Username::TYPE, |text| Username::new(text).map(|t| t.as_bytes().len()), 508, 763);
    limits(Realm::TYPE, |text| Realm::new(text).map(|t| t.as_bytes().len()), 127, 763);
    limits(Nonce::TYPE, |text| Nonce::new(text).map(|t| t.as_bytes().len()), 127, 763);
    limits(Software::TYPE, |text| Software::new(text).map(|t| t.as_bytes().len()), 127, 763);
    limits(AlternateDomain::TYPE, |text| AlternateDomain::new(text).map(|t| t.as_bytes().len()), 255, 255);
    let third = ThirdPartyAuthorization::TYPE;
    limits(third, |text| ThirdPartyAuthorization::new(text).map(|t| t.as_bytes().len()), 127, 763);
}

#[test]
fn t23_characters_count_and_not_bytes() {
    // 127 characters of four bytes each are 508 bytes: allowed; one more character is not.
    let widest = "𝄞".repeat(127);
    assert!(Realm::new(widest.as_bytes()).is_ok());
    assert!(Nonce::new(widest.as_bytes()).is_ok());
    assert!(Realm::new(format!("{widest}x").as_bytes()).is_err());
}

#[test]
fn t23_a_long_nonce_of_a_server_is_sent_back_unchanged() {
    for len in [127, 128, 508, 509, 763] {
        let nonce = vec![b'n'; len];
        let echoed = Nonce::echo(&nonce).unwrap();
        let mut buffer = [0; 1_024];
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, Method::ALLOCATE, TransactionId(ID)).unwrap();
        writer.put(&echoed).unwrap();
        let len = writer.finish();
        assert_eq!(Message::parse(&buffer[..len]).unwrap().get::<Nonce<'_>>(), Ok(Some(echoed)));
    }
    assert_eq!(Nonce::echo(&[b'n'; 764]).unwrap_err().kind, AttributeType::NONCE);
    assert!(Realm::echo(&[b'r'; 764]).is_err());
}

#[test]
fn t23_reason_phrases_are_cut_at_a_character() {
    let long = "ä".repeat(400);
    let error = ErrorCode::new(ErrorCode::BAD_REQUEST, &long);
    assert_eq!(error.reason(), Some("ä".repeat(127).as_str()));
    for (len, good) in [(763, true), (764, false)] {
        let bytes =
            Raw::new(0x0111).attribute(0x0009, &[&[0, 0, 4, 0], &vec![b'r'; len][..]].concat()).tight();
        assert_eq!(Message::parse(&bytes).unwrap().get::<ErrorCode<'_>>().is_ok(), good, "{len}");
    }
}

#[test]
fn a_buffer_of_every_size_is_enough_or_refused() {
    let key = IntegrityKey::new(b"key");
    let build = |buffer: &mut [u8]| {
        let mut writer = MessageWriter::new(buffer, Class::Request, Method::BINDING, TransactionId(ID))?;
        writer.put(&Username::new(b"evtj:h6vY").unwrap())?;
        writer.sign(&key, floe_stun::Algorithm::Sha1)?.fingerprint()
    };
    let whole = 20 + 16 + 24 + 8;
    for size in 0..=whole + 4 {
        let mut buffer = vec![0xAA; size];
        let expected = if size < whole { Err(WriteError::BufferTooSmall) } else { Ok(whole) };
        assert_eq!(build(&mut buffer), expected, "{size}");
    }
}

#[test]
fn an_attribute_that_does_not_fit_leaves_the_message_as_it_was() {
    let mut buffer = [0xAA; 40];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(ID)).unwrap();
    writer.put(&floe_stun::attribute::Priority(1)).unwrap();
    let before = writer.as_bytes().to_vec();
    assert_eq!(writer.put_raw(AttributeType::DATA, &[1; 9]), Err(WriteError::BufferTooSmall));
    assert_eq!(writer.as_bytes(), before);
    assert!(Message::parse(writer.as_bytes()).is_ok());
    writer.put_raw(AttributeType::DATA, &[1; 8]).unwrap();
    assert!(Message::parse(writer.as_bytes()).is_ok());
}

fn fresh(buffer: &mut [u8]) -> MessageWriter<'_> {
    MessageWriter::new(buffer, Class::Indication, Method::SEND, TransactionId(ID)).unwrap()
}

#[test]
fn no_message_is_longer_than_its_length_field_can_say() {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES + 100];
    let value = vec![1; 65_528];
    let mut writer = fresh(&mut buffer);
    writer.put_raw(AttributeType::DATA, &value).unwrap();
    assert_eq!(writer.put_raw(AttributeType::DATA, &[]), Err(WriteError::MessageTooLong));
    assert_eq!(writer.fingerprint(), Err(WriteError::MessageTooLong));
    let mut writer = fresh(&mut buffer);
    assert_eq!(writer.put_raw(AttributeType::DATA, &vec![1; 65_529]), Err(WriteError::MessageTooLong));
    assert_eq!(writer.put_raw(AttributeType::DATA, &vec![1; 70_000]), Err(WriteError::MessageTooLong));
    writer.put_raw(AttributeType::DATA, &value).unwrap();
    let len = writer.finish();
    assert!(Message::parse(&buffer[..len]).is_ok());
}

#[test]
fn a_420_names_a_bounded_number_of_attributes() {
    let mut request = Raw::request();
    for kind in 0..1_000 {
        request = request.attribute(0x7000 + kind, &[]);
    }
    let request = request.tight();
    let message = Message::parse(&request).unwrap();
    let mut buffer = [0xAA; 512];
    let mut writer =
        MessageWriter::new(&mut buffer, Class::Error, Method::BINDING, TransactionId(ID)).unwrap();
    writer.put(&ErrorCode::new(ErrorCode::UNKNOWN_ATTRIBUTE, "Unknown Attribute")).unwrap();
    writer.put_unknown(message.unknown_required()).unwrap();
    let len = writer.finish();
    let answer = Message::parse(&buffer[..len]).unwrap();
    let named: Vec<_> =
        answer.get::<floe_stun::attribute::UnknownAttributes<'_>>().unwrap().unwrap().iter().collect();
    let expected: Vec<_> = message.unknown_required().take(MAX_UNKNOWN_ATTRIBUTES).collect();
    assert_eq!(named, expected);
}
