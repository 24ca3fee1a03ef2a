//! Bytes that are wrong, cut short, or made to break a decoder: refused or read, never a panic.

use floe_stun::attribute::*;
use floe_stun::{Attribute, AttributeError, AttributeType, ChannelNumber, Message, ParseError, RawAttribute};
use floe_stun::{TransactionId, channel::ChannelData, framing::Deframer};

use crate::common::{ID, Numbers, Raw, UNTYPED, for_every_attribute, hex, touch};

/// Types of the table and around its edges.
fn types() -> impl Iterator<Item = AttributeType> {
    let unknown = [0x0000, 0x0002, 0x0007, 0x000B, 0x0010, 0x0021, 0x7FFF, 0x8029 - 1, 0x8FFF, 0xFFFF];
    AttributeType::ALL.iter().copied().chain(unknown.map(AttributeType::new))
}

/// Values that look like something: zeros, ones, IPv4, IPv6, an error code, a list of algorithms.
const FILLS: [[u8; 4]; 6] =
    [[0; 4], [0xFF; 4], [0, 1, 0x12, 0x34], [0, 2, 0x12, 0x34], [0, 0, 4, 87], [0, 2, 0, 3]];

fn value(fill: [u8; 4], len: usize) -> Vec<u8> {
    fill.iter().copied().cycle().take(len).collect()
}

#[test]
fn s01_every_type_and_length_at_the_end_of_a_tight_buffer() {
    for kind in types() {
        for len in 0..=64 {
            for fill in FILLS {
                let bytes = Raw::request().attribute(kind.get(), &value(fill, len)).tight();
                let message = match Message::parse(&bytes) {
                    Ok(message) => message,
                    Err(ParseError::ProtectionLength { kind: refused, length }) => {
                        assert_eq!((refused, length), (kind, len));
                        assert!(UNTYPED.contains(&kind));
                        continue;
                    }
                    Err(error) => panic!("{kind} of {len}: {error}"),
                };
                for (asked, said) in touch(&message) {
                    check_verdict(kind, len, asked, said);
                }
            }
        }
    }
}

/// The table decides: a length outside it is refused, and nothing else is refused for a length it allows but
/// an address or a list whose own content contradicts it.
#[track_caller]
fn check_verdict(kind: AttributeType, len: usize, asked: AttributeType, said: Result<bool, AttributeError>) {
    if asked != kind {
        assert_eq!(said, Ok(false), "{asked} in a message with {kind} of {len}");
        return;
    }
    let (min, max) = kind.lengths().unwrap();
    match said {
        Ok(true) => assert!((min..=max).contains(&len), "{kind} of {len} was read"),
        Err(AttributeError::Length { kind: refused, length }) => assert_eq!((refused, length), (kind, len)),
        Err(_) => assert!((min..=max).contains(&len), "{kind} of {len}"),
        Ok(false) => panic!("{kind} of {len} was not found"),
    }
    if !(min..=max).contains(&len) {
        assert_eq!(said, Err(AttributeError::Length { kind, length: len }));
    }
}

#[test]
fn s01_decoders_bear_values_that_nobody_checked() {
    for len in 0..=64 {
        for fill in FILLS {
            let value = value(fill, len).into_boxed_slice();
            macro_rules! decode_each {
                ($($name:ty)*) => {$(
                    let _ = <$name as Attribute<'_>>::decode(&value, TransactionId(ID));
                )*};
            }
            for_every_attribute!(decode_each);
        }
    }
}

#[test]
fn s01_a_message_cut_anywhere_is_refused() {
    let whole = Raw::request().attribute(0x0006, b"evtj:h6vY").attribute(0x0024, &[1; 4]).tight();
    for end in 0..whole.len() {
        let cut: Box<[u8]> = whole[..end].into();
        assert!(Message::parse(&cut).is_err(), "{end} bytes");
    }
    assert!(Message::parse(&whole).is_ok());
}

#[test]
fn s01_a_raw_attribute_is_decoded_only_as_what_it_is() {
    let raw = RawAttribute { kind: AttributeType::PRIORITY, value: &[0, 0, 0, 1] };
    assert_eq!(raw.decode::<Priority>(TransactionId(ID)), Ok(Priority(1)));
    let other = raw.decode::<Lifetime>(TransactionId(ID));
    assert_eq!(other, Err(AttributeError::Type(AttributeType::PRIORITY)));
}

#[test]
fn s02_error_code_of_every_short_length() {
    for len in 0..8 {
        let bytes = Raw::new(0x0111).attribute(0x0009, &value([0, 0, 4, 20], len)).tight();
        let message = Message::parse(&bytes).unwrap();
        let error = message.get::<ErrorCode<'_>>();
        if len < 4 {
            let refused = AttributeError::Length { kind: AttributeType::ERROR_CODE, length: len };
            assert_eq!(error, Err(refused));
        } else {
            assert_eq!(error.unwrap().unwrap().reason_bytes().len(), len - 4);
        }
    }
}

#[test]
fn s02_error_code_takes_only_300_to_699() {
    for class in 0..=255_u8 {
        for number in [0, 1, 99, 100, 255] {
            let bytes = Raw::new(0x0111).attribute(0x0009, &[0xFF, 0xFF, class, number]).tight();
            let message = Message::parse(&bytes).unwrap();
            // RFC 8489 §14.8: the five bits above the class are reserved and ignored.
            let class = u16::from(class & 7);
            let expected =
                ((3..=6).contains(&class) && number < 100).then(|| class * 100 + u16::from(number));
            let code = message.get::<ErrorCode<'_>>().ok().flatten().map(|error| error.code());
            assert_eq!(code, expected);
        }
    }
}

#[test]
fn s05_lengths_that_lead_out_of_the_message() {
    // The shapes behind the over-reads: an attribute header alone, a length beyond the end, a length that
    // fits only without padding, 0xFFFF, a length field that promises more than there is.
    for (tail, why) in [
        ("0006", "half a header"),
        ("00060001", "a value that is not there"),
        ("0006000561626364", "a value longer than the rest"),
        ("0006ffff61626364", "0xffff"),
        ("0006fffd61626364", "a length whose padded form overflows 16 bits"),
        ("0024000400000001000600", "a second header cut short"),
        ("00060003616263", "a value without its padding"),
    ] {
        let mut bytes = Raw::request();
        bytes.bytes.extend(hex(tail));
        for promised in [bytes.bytes.len() - 20, (bytes.bytes.len() - 20).next_multiple_of(4), 0xFFFC, 0] {
            let message = bytes.clone().set_length(promised).tight();
            assert!(Message::parse(&message).is_err(), "{why}, length field {promised}");
        }
    }
}

#[test]
fn s05_mutations_of_good_messages_do_no_harm() {
    let seeds = [
        Raw::request().attribute(0x0006, b"evtj:h6vY").attribute(0x8029, &[9; 8]).sha1(b"key").fingerprint(),
        Raw::new(0x0113)
            .attribute(0x0009, b"\0\0\x04\x01Unauthorized")
            .attribute(0x8002, &[0, 2, 0, 0, 0, 1]),
        Raw::new(0x0101)
            .attribute(0x0020, &[0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
        Raw::new(0x0111)
            .attribute(0x000A, &[0x7F, 1, 0x7F, 2])
            .attribute(0x8001, &[1, 0, 4, 40])
            .sha256(b"key"),
    ];
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut parsed = 0;
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].bytes.clone();
        for _ in 0..=numbers.below(4) {
            // The cookie stays, or nothing would get past it.
            let index = [0, 1, 2, 3][numbers.below(4)] * usize::from(numbers.below(8) == 0);
            let index = if index == 0 { 20 + numbers.below(bytes.len() - 20) } else { index };
            bytes[index] = numbers.byte();
        }
        if let Ok(message) = Message::parse(&bytes.into_boxed_slice()) {
            parsed += 1;
            touch(&message);
        }
    }
    assert!(parsed > 1_000, "only {parsed} mutations got as far as the attributes");
}

#[test]
fn s06_messages_are_read_from_every_offset_of_a_buffer() {
    let message = Raw::request()
        .attribute(0x0006, b"evtj:h6vY")
        .attribute(0x0024, &[1, 2, 3, 4])
        .attribute(0x802A, &[8, 7, 6, 5, 4, 3, 2, 1])
        .attribute(0x0020, &[0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18])
        .sha1(b"key")
        .fingerprint();
    let expected = touch(&Message::parse(&message.bytes).unwrap());
    let key = floe_stun::IntegrityKey::new(b"key");
    let mut buffer = vec![0_u8; message.bytes.len() + 8];
    for offset in 0..8 {
        let place = &mut buffer[offset..offset + message.bytes.len()];
        place.copy_from_slice(&message.bytes);
        let read = Message::parse(place).unwrap();
        assert_eq!(touch(&read), expected, "offset {offset}");
        assert_eq!(read.verify_fingerprint(), Ok(()));
        assert!(read.verify_integrity(&key).is_ok());
    }
}

#[test]
fn s10_texts_that_are_not_utf8_are_read_and_shown() {
    let bytes = [0xFF, 0xFE, 0x80, 0xC0];
    let error = [&[0, 0, 4, 1], &bytes[..]].concat();
    let raw = Raw::new(0x0111)
        .attribute(0x0009, &error)
        .attribute(0x8001, &[&[1, 0, 4, 40], &bytes[..]].concat())
        .attribute(0x0006, &bytes)
        .attribute(0x0014, &bytes)
        .attribute(0x0015, &bytes)
        .attribute(0x8022, &bytes)
        .attribute(0x8003, &bytes)
        .attribute(0x802E, &bytes)
        .tight();
    let message = Message::parse(&raw).unwrap();
    assert!(touch(&message).iter().all(|(_, said)| said.is_ok()));
    let error = message.get::<ErrorCode<'_>>().unwrap().unwrap();
    assert_eq!((error.code(), error.reason(), error.reason_bytes()), (401, None, &bytes[..]));
    #[cfg(feature = "alloc")]
    assert_eq!(error.reason_lossy(), "\u{FFFD}".repeat(4));
    assert_eq!(message.get::<AddressErrorCode<'_>>().unwrap().unwrap().reason(), None);
    assert_eq!(message.get::<Username<'_>>().unwrap().unwrap().as_str(), None);
    assert_eq!(
        format!("{:?}", message.get::<Software<'_>>().unwrap().unwrap()),
        r#"Software("\xff\xfe\x80\xc0")"#
    );
}

#[test]
fn t17_length_confusion_is_refused() {
    let good = Raw::request().attribute(0x0024, &[0; 4]);
    let len = good.bytes.len() - 20;
    for promised in (0..=0xFFFF_usize).filter(|promised| *promised != len) {
        let bytes = good.clone().set_length(promised);
        let error = Message::parse(&bytes.bytes).unwrap_err();
        if promised % 4 != 0 {
            assert_eq!(error, ParseError::UnalignedLength(promised));
        } else {
            assert_eq!(error, ParseError::LengthMismatch { header: promised, actual: len });
        }
    }
    // Bytes behind the message make it another message.
    for more in 1..=8 {
        let mut bytes = good.bytes.clone();
        bytes.resize(bytes.len() + more, 0);
        assert!(matches!(Message::parse(&bytes), Err(ParseError::LengthMismatch { .. })));
    }
}

#[test]
fn t17_a_message_inside_data_stays_data() {
    let inner = Raw::request().attribute(0x0025, &[]).sha1(b"inner").fingerprint();
    let outer = Raw::new(0x0017).attribute(0x0013, &inner.bytes).tight();
    let message = Message::parse(&outer).unwrap();
    assert!(!message.has_integrity() && !message.has_fingerprint());
    assert_eq!(message.get::<UseCandidate>(), Ok(None));
    assert_eq!(message.get::<Data<'_>>(), Ok(Some(Data(&inner.bytes))));
}

#[test]
fn t17_the_longest_message_there_is() {
    // 65532 bytes of attributes: one of 65528 bytes, or 16383 empty ones.
    let one = Raw::request().attribute(0x0013, &vec![7; 65_528]).tight();
    assert_eq!(one.len(), floe_stun::MAX_MESSAGE_BYTES);
    let message = Message::parse(&one).unwrap();
    assert_eq!(message.get::<Data<'_>>().unwrap().unwrap().0.len(), 65_528);
    let mut many = Raw::request();
    for _ in 0..16_383 {
        many.bytes.extend([0x7F, 0xFF, 0, 0]);
    }
    let many = many.set_length(65_532).tight();
    let message = Message::parse(&many).unwrap();
    assert_eq!(message.attributes().count(), 16_383);
    assert_eq!(message.unknown_required().count(), 16_383);
}

#[test]
fn t38_random_bytes_never_panic() {
    let mut numbers = Numbers(0x0123_4567_89AB_CDEF);
    for _ in 0..20_000 {
        let len = numbers.below(96);
        let mut bytes: Vec<u8> = (0..len).map(|_| numbers.byte()).collect();
        let _ = ChannelData::parse(&bytes);
        let mut deframer = Deframer::new([0; 32]);
        let mut input = bytes.as_slice();
        while let Ok(Some(frame)) = deframer.next_frame(&mut input) {
            assert!(frame.len() <= 32);
        }
        // A header in front, so that the attributes are reached.
        if len >= 20 {
            bytes.truncate(len & !3);
            bytes[0] &= 0x3F;
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
            bytes[2..4].copy_from_slice(&u16::try_from((len & !3) - 20).unwrap().to_be_bytes());
            if let Ok(message) = Message::parse(&bytes.into_boxed_slice()) {
                touch(&message);
            }
        }
    }
}

#[test]
fn t38_numbers_at_the_edges_of_their_types() {
    for number in [0, 1, 0x3FFF, 0x4000, 0x4FFF, 0x5000, 0xFFFF] {
        assert_eq!(ChannelNumber::new(number).is_some(), (0x4000..=0x4FFF).contains(&number));
    }
    let error = ErrorCode::new(0, "");
    assert_eq!((error.code(), ErrorCode::new(u16::MAX, "").code()), (300, 699));
}
