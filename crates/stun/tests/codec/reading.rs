//! Rules of RFC 8489 §5 and §14 for what is read.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use floe_stun::attribute::{
    AlternateServer, MappedAddress, OtherAddress, Priority, ResponseOrigin, Username, XorMappedAddress,
    XorPeerAddress, XorRelayedAddress,
};
use floe_stun::binding::{BindingRequest, BindingResponse, Claim};
use floe_stun::{
    Attribute, AttributeError, AttributeType, Class, Message, MessageWriter, Method, ParseError, Random,
    TransactionId,
};

use crate::common::{ID, Raw, UNTYPED, touch};

#[test]
fn stn_01_leading_bits_cookie_and_length() {
    let good = Raw::request().attribute(0x0024, &[0; 4]).bytes;
    assert!(Message::parse(&good).is_ok());
    for bits in [0x40, 0x80, 0xC0] {
        let mut bytes = good.clone();
        bytes[0] |= bits;
        assert_eq!(Message::parse(&bytes).unwrap_err(), ParseError::LeadingBits);
    }
    for bit in 0..32 {
        let mut bytes = good.clone();
        bytes[4 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Message::parse(&bytes).unwrap_err(), ParseError::Cookie);
    }
    for len in 0..20 {
        assert_eq!(Message::parse(&good[..len]).unwrap_err(), ParseError::TooShort(len));
    }
    for field in 0..64 {
        let bytes = Raw { bytes: good.clone() }.set_length(field).bytes;
        let expected = match field {
            8 => None,
            field if field % 4 != 0 => Some(ParseError::UnalignedLength(field)),
            header => Some(ParseError::LengthMismatch { header, actual: 8 }),
        };
        assert_eq!(Message::parse(&bytes).err(), expected);
    }
}

#[test]
fn stn_01_what_is_written_has_zero_bits_cookie_and_length() {
    for number in [0x001, 0xFFF, 0x555, 0xAAA] {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            let method = Method::new(number).unwrap();
            let mut buffer = [0xAA; 64];
            let mut writer = MessageWriter::new(&mut buffer, class, method, TransactionId(ID)).unwrap();
            let length = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            assert_eq!(length(writer.as_bytes()), 0);
            writer.put(&Priority(1)).unwrap();
            assert_eq!(length(writer.as_bytes()), 8);
            let bytes = writer.as_bytes();
            assert_eq!((bytes[0] & 0xC0, &bytes[4..8]), (0, &[0x21, 0x12, 0xA4, 0x42][..]));
            let message = Message::parse(bytes).unwrap();
            assert_eq!((message.class(), message.method()), (class, method));
            assert_eq!(message.transaction_id(), TransactionId(ID));
        }
    }
}

#[test]
fn stn_01_transaction_ids_are_96_random_bits() {
    let mut random = Random::from_seed([1; 32]);
    let ids: Vec<_> = (0..20_000).map(|_| random.transaction_id()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    for bit in 0..96 {
        let ones = ids.iter().filter(|id| id.0[bit / 8] & 1 << (bit % 8) != 0).count();
        // Six standard deviations of 20,000 fair coins are 424.
        assert!((9_576..=10_424).contains(&ones), "bit {bit} was set {ones} times");
    }
}

#[test]
fn stn_18_the_length_of_an_attribute_does_not_count_its_padding() {
    for len in 0..=12_usize {
        let text = vec![b'u'; len];
        let mut buffer = [0xAA; 64];
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId(ID)).unwrap();
        writer.put(&Username::new(&text).unwrap()).unwrap();
        writer.put(&Priority(7)).unwrap();
        let end = writer.finish();
        assert_eq!(end, 20 + 4 + len.next_multiple_of(4) + 8);
        assert_eq!(usize::from(u16::from_be_bytes([buffer[22], buffer[23]])), len);
        assert!(buffer[24 + len..24 + len.next_multiple_of(4)].iter().all(|byte| *byte == 0));
        let read = BindingRequest::decode(&Message::parse(&buffer[..end]).unwrap()).unwrap();
        assert_eq!((read.username, read.priority), (Some(text.as_slice()), Some(7)));
    }
}

#[test]
fn t21_padding_of_any_value_is_ignored() {
    let expected = Raw::request().attribute(0x0006, b"a:b").attribute(0x0024, &[9; 4]).bytes;
    let expected = BindingRequest::decode(&Message::parse(&expected).unwrap()).unwrap();
    for padding in 0..=255 {
        let bytes = Raw::request().padded_with(0x0006, b"a:b", padding).attribute(0x0024, &[9; 4]).bytes;
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(BindingRequest::decode(&message), Ok(expected), "padding {padding:#04x}");
    }
}

/// The seven address attributes, with the mask their XORed form uses.
macro_rules! for_each_address {
    ($use:ident) => {
        $use!(MappedAddress, false);
        $use!(AlternateServer, false);
        $use!(ResponseOrigin, false);
        $use!(OtherAddress, false);
        $use!(XorMappedAddress, true);
        $use!(XorPeerAddress, true);
        $use!(XorRelayedAddress, true);
    };
}

#[test]
fn stn_23_the_first_byte_of_an_address_is_ignored() {
    macro_rules! check {
        ($name:ident, $xored:expr) => {
            for first in 0..=255 {
                let value = [first, 1, 0x0D, 0x96, 192, 0, 2, 1];
                let bytes = Raw::new(0x0101).attribute($name::TYPE.get(), &value).bytes;
                let address = Message::parse(&bytes).unwrap().get::<$name>().unwrap().unwrap().0;
                let plain: SocketAddr = "192.0.2.1:3478".parse().unwrap();
                assert_eq!(address == plain, !$xored);
            }
        };
    }
    for_each_address!(check);
}

#[test]
fn stn_23_an_unknown_family_is_no_crash_and_counts_as_absent() {
    macro_rules! check {
        ($name:ident, $xored:expr) => {
            for family in (0..=255_u8).filter(|family| !matches!(family, 1 | 2)) {
                for len in [4, 8, 12, 20] {
                    let mut value = vec![0; len];
                    value[1] = family;
                    let bytes = Raw::new(0x0101).attribute($name::TYPE.get(), &value).bytes;
                    let said = Message::parse(&bytes).unwrap().get::<$name>();
                    assert_eq!(said, Err(AttributeError::UnknownFamily(family)));
                }
            }
        };
    }
    for_each_address!(check);
    // In a Binding response the attribute is as good as not there; MAPPED-ADDRESS then counts.
    let odd = [0, 3, 1, 1, 0, 0, 0, 0];
    let bytes = Raw::new(0x0101).attribute(0x0020, &odd).bytes;
    assert_eq!(BindingResponse::decode(&Message::parse(&bytes).unwrap()).unwrap().mapped, None);
    let bytes = Raw::new(0x0101).attribute(0x0020, &odd).attribute(0x0001, &[0, 1, 0, 80, 1, 2, 3, 4]).bytes;
    let mapped = BindingResponse::decode(&Message::parse(&bytes).unwrap()).unwrap().mapped;
    assert_eq!(mapped, Some("1.2.3.4:80".parse().unwrap()));
}

#[test]
fn stn_23_the_length_has_to_be_that_of_the_family() {
    macro_rules! check {
        ($name:ident, $xored:expr) => {
            for (family, right) in [(1, 8), (2, 20)] {
                for len in 4..=20 {
                    let mut value = vec![0; len];
                    value[1] = family;
                    let bytes = Raw::new(0x0101).attribute($name::TYPE.get(), &value).bytes;
                    let said = Message::parse(&bytes).unwrap().get::<$name>();
                    assert_eq!(said.is_ok(), len == right, "family {family}, {len} bytes");
                }
            }
        };
    }
    for_each_address!(check);
}

#[test]
fn stn_23_xor_is_with_cookie_and_transaction_id() {
    let v4: SocketAddr = "192.0.2.1:32853".parse().unwrap();
    let v6: SocketAddr = "[2001:db8::1]:32853".parse().unwrap();
    let mask = [&[0x21, 0x12, 0xA4, 0x42][..], &ID].concat();
    for (address, octets, family) in [(v4, vec![192, 0, 2, 1], 1), (v6, hex_of(v6), 2)] {
        let port = address.port().to_be_bytes();
        let mut value = vec![0, family, port[0] ^ 0x21, port[1] ^ 0x12];
        value.extend(octets.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        let bytes = Raw::new(0x0101).attribute(0x0020, &value).bytes;
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.get::<XorMappedAddress>(), Ok(Some(XorMappedAddress(address))));
        let mut buffer = [0xAA; 64];
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Success, Method::BINDING, TransactionId(ID)).unwrap();
        writer.put(&XorMappedAddress(address)).unwrap();
        assert_eq!(writer.as_bytes(), bytes);
    }
}

fn hex_of(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => v4.ip().octets().to_vec(),
        SocketAddr::V6(v6) => v6.ip().octets().to_vec(),
    }
}

#[test]
fn stn_24_only_the_first_of_a_repeated_attribute_counts() {
    let bytes = Raw::request()
        .attribute(0x0006, b"first")
        .attribute(0x0024, &[0, 0, 0, 1])
        .attribute(0x802A, &[0, 0, 0, 0, 0, 0, 0, 1])
        .attribute(0x0006, b"second")
        .attribute(0x0024, &[0, 0, 0, 2])
        .attribute(0x8029, &[0, 0, 0, 0, 0, 0, 0, 2])
        .attribute(0x0024, &[0, 0])
        .bytes;
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get::<Username<'_>>().unwrap().unwrap().as_bytes(), b"first");
    assert_eq!(message.get::<Priority>(), Ok(Some(Priority(1))));
    let request = BindingRequest::decode(&message).unwrap();
    assert_eq!((request.username, request.priority), (Some(b"first".as_slice()), Some(1)));
    assert_eq!(request.claim, Some(Claim::Controlling(1)));
    assert_eq!(message.attributes().filter(|attribute| attribute.kind == AttributeType::PRIORITY).count(), 3);
    // Those that may be repeated are all there to be asked for.
    let all: Vec<_> = message.get_all::<Priority>().collect();
    assert_eq!(all[..2], [Ok(Priority(1)), Ok(Priority(2))]);
    assert!(all[2].is_err());
}

#[test]
fn stn_24_a_second_mapped_address_does_not_replace_one_of_an_unknown_family() {
    let bytes = Raw::new(0x0101)
        .attribute(0x0020, &[0, 9, 0, 1, 0, 0, 0, 0])
        .attribute(0x0020, &[0, 1, 0, 1, 1, 1, 1, 1])
        .bytes;
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(BindingResponse::decode(&message).unwrap().mapped, None);
}

#[test]
fn comprehension_required_attributes_nobody_knows_are_listed() {
    let bytes = Raw::request()
        .attribute(0x7F01, b"")
        .attribute(0x0024, &[0; 4])
        .attribute(0xFF01, b"optional")
        .attribute(0x0002, b"reserved")
        .bytes;
    let message = Message::parse(&bytes).unwrap();
    let listed: Vec<_> = message.unknown_required().map(AttributeType::get).collect();
    assert_eq!(listed, [0x7F01, 0x0002]);
    assert!(BindingRequest::decode(&message).unwrap().unknown_required);
    assert!(BindingResponse::decode(&message).unwrap().unknown_required);
}

#[test]
fn answers_of_rfc3489_servers_are_not_refused() {
    let bytes = Raw::new(0x0101)
        .attribute(0x0001, &[0, 1, 0, 80, 1, 2, 3, 4])
        .attribute(0x0004, &[0, 1, 0, 80, 1, 2, 3, 4])
        .attribute(0x0005, &[0, 1, 0, 80, 1, 2, 3, 4])
        .bytes;
    let response = BindingResponse::decode(&Message::parse(&bytes).unwrap()).unwrap();
    assert_eq!(response.mapped, Some("1.2.3.4:80".parse().unwrap()));
    assert!(!response.unknown_required);
}

#[test]
fn secrets_are_not_shown() {
    let bytes = Raw::request()
        .attribute(0x0015, b"the-nonce")
        .attribute(0x001B, b"the-token")
        .attribute(0x8030, b"the-ticket")
        .attribute(0x0022, b"thetoken")
        .attribute(0x0013, b"the-data")
        .bytes;
    let message = Message::parse(&bytes).unwrap();
    let shown = format!(
        "{message:?} {:?} {:?} {:?} {:?} {:?}",
        message.get::<floe_stun::attribute::Nonce<'_>>(),
        message.get::<floe_stun::attribute::AccessToken<'_>>(),
        message.get::<floe_stun::attribute::MobilityTicket<'_>>(),
        message.get::<floe_stun::attribute::ReservationToken>(),
        message.get::<floe_stun::attribute::Data<'_>>(),
    );
    assert!(!shown.contains("the-") && !shown.contains("thetoken"), "{shown}");
}

#[test]
fn s01_every_type_of_the_table_has_a_typed_value_or_is_listed_as_having_none() {
    let mut typed: BTreeSet<_> = UNTYPED.into_iter().collect();
    let empty = Raw::request().bytes;
    typed.extend(touch(&Message::parse(&empty).unwrap()).into_iter().map(|(kind, _)| kind));
    assert_eq!(typed, AttributeType::ALL.iter().copied().collect());
}
