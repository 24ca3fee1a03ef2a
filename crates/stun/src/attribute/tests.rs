//! The table of lengths, and small rules of single attributes.

use std::collections::BTreeSet;
use std::format;

use super::*;
use crate::binding::BindingRequest;
use crate::{Class, Message, MessageWriter, Method, PasswordAlgorithm};

const ID: TransactionId = TransactionId([3; 12]);

#[test]
fn the_table_is_sorted_unique_and_sane() {
    assert!(AttributeType::ALL.is_sorted());
    assert_eq!(AttributeType::ALL.iter().collect::<BTreeSet<_>>().len(), AttributeType::ALL.len());
    let names: BTreeSet<_> = AttributeType::ALL.iter().map(|kind| kind.name().unwrap()).collect();
    assert_eq!(names.len(), AttributeType::ALL.len());
    for kind in AttributeType::ALL {
        let (min, max) = kind.lengths().unwrap();
        assert!(min <= max && max <= 65_528, "{kind}");
        assert!(kind.is_known());
    }
}

#[test]
fn types_beyond_the_table_are_unknown() {
    for number in [0x0000, 0x0002, 0x7FFF, 0x8FFF, 0xFFFF] {
        let kind = AttributeType::new(number);
        assert_eq!((kind.is_known(), kind.lengths(), kind.name()), (false, None, None));
        assert_eq!(kind.is_comprehension_required(), number < 0x8000);
        assert_eq!(format!("{kind}"), format!("attribute {number:#06x}"));
    }
}

#[test]
fn password_algorithms_are_read_in_the_order_of_the_server() {
    let list = PasswordAlgorithms::SHA256_AND_MD5;
    let numbers: BTreeSet<_> = list.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2]));
    assert_eq!(list.first_supported(), Some(PasswordAlgorithm::Sha256));
    assert_eq!(PasswordAlgorithms::MD5.first_supported(), Some(PasswordAlgorithm::Md5));
    // An algorithm nobody knows, with parameters that need padding, then MD5.
    let odd = [0x80, 1, 0, 3, b'a', b'b', b'c', 0xEE, 0, 1, 0, 0];
    let list = PasswordAlgorithms::from_bytes(&odd).unwrap();
    assert_eq!(list.first_supported(), Some(PasswordAlgorithm::Md5));
    assert_eq!(list.iter().next().unwrap().parameters, b"abc");
    assert_eq!(list.as_bytes(), odd, "it is sent back unchanged, padding and all");
}

#[test]
fn password_algorithms_cut_short_are_refused() {
    let malformed = Err(AttributeError::Value(AttributeType::PASSWORD_ALGORITHMS));
    for bytes in [&[0][..], &[0, 1, 0], &[0, 1, 0, 1], &[0, 1, 0, 5, 1, 2, 3, 4], &[0, 1, 0, 0, 0, 2]] {
        assert_eq!(PasswordAlgorithms::from_bytes(bytes), malformed, "{bytes:?}");
    }
    // The padding of the last entry may be the attribute's own.
    assert!(PasswordAlgorithms::from_bytes(&[0, 1, 0, 1, 9]).is_ok());
    assert_eq!(PasswordAlgorithms::from_bytes(&[]).unwrap().first_supported(), None);
}

#[test]
fn password_algorithm_is_one_entry_without_a_rest() {
    let malformed = Err(AttributeError::Value(AttributeType::PASSWORD_ALGORITHM));
    let read = |bytes: &'static [u8]| PasswordAlgorithmAttribute::decode(bytes, ID);
    assert_eq!(read(&[0, 2, 0, 0]).unwrap().algorithm(), Some(PasswordAlgorithm::Sha256));
    assert_eq!(read(&[0, 9, 0, 0]).unwrap().algorithm(), None);
    assert_eq!(read(&[0, 2, 0, 2, 1, 2, 0, 0]).unwrap().algorithm(), None, "no parameters are defined");
    assert_eq!(read(&[0, 2, 0, 0, 0, 1, 0, 0]), malformed);
    assert_eq!(read(&[0, 2, 0, 4, 1]), malformed);
}

#[test]
fn unknown_attributes_of_an_odd_length_are_refused() {
    let read = |bytes: &'static [u8]| UnknownAttributes::decode(bytes, ID).map(|list| list.iter().count());
    assert_eq!(read(&[]), Ok(0));
    assert_eq!(read(&[0x7F, 1, 0x7F, 2]), Ok(2));
    let refused = AttributeError::Length { kind: AttributeType::UNKNOWN_ATTRIBUTES, length: 3 };
    assert_eq!(read(&[1, 2, 3]), Err(refused));
}

#[test]
fn channel_numbers_of_the_reserved_range_are_refused() {
    use crate::ChannelNumber;
    for (number, good) in [(0x3FFF, false), (0x4000, true), (0x4FFF, true), (0x5000, false), (0x7FFF, false)]
    {
        let [high, low] = u16::to_be_bytes(number);
        let value = [high, low, 0xFF, 0xFF];
        assert_eq!(ChannelNumber::decode(&value, ID).is_ok(), good, "{number:#06x}");
    }
}

#[test]
fn an_unknown_address_family_is_told_from_a_wrong_length() {
    let family = RequestedAddressFamily::decode(&[3, 0, 0, 0], ID);
    assert_eq!(family, Err(AttributeError::UnknownFamily(3)));
    let error = AddressErrorCode::decode(&[9, 0, 4, 40], ID);
    assert_eq!(error, Err(AttributeError::UnknownFamily(9)));
}

#[test]
fn a_place_too_short_for_a_value_is_noticed() {
    let mut place = [0; 3];
    assert_eq!(Priority(1).encode(ID, &mut place), None);
    assert_eq!(XorMappedAddress("1.2.3.4:5".parse().unwrap()).encode(ID, &mut place), None);
    assert_eq!(Data(b"four").encode(ID, &mut place), None);
    assert_eq!(UnknownAttributes::new(&[AttributeType::DATA; 2]).encode(ID, &mut place), None);
    assert_eq!(ErrorCode::new(400, "Bad Request").encode(ID, &mut place), None);
}

#[test]
fn errors_say_what_is_wrong() {
    let length = AttributeError::Length { kind: AttributeType::PRIORITY, length: 3 };
    assert_eq!(format!("{length}"), "PRIORITY cannot have 3 bytes");
    assert_eq!(format!("{}", AttributeError::UnknownFamily(7)), "address family 0x07 is unknown");
    let too_long = Username::new(&[b'u'; 509]).unwrap_err();
    assert_eq!(format!("{too_long}"), "509 bytes are too long for USERNAME");
}

/// Both drafts by the numbers that others read: what floe alone writes and reads would connect with any.
#[test]
fn oth_05_nominations_have_the_numbers_of_their_drafts() {
    let mut buffer = [0; 64];
    let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    writer.put(&UseCandidate).unwrap();
    writer.put(&Nomination(0x0102_0304)).unwrap();
    writer.put(&LegacyNomination(0x0506_0708)).unwrap();
    let len = writer.finish();
    let attributes = [0x00, 0x25, 0, 0, 0x00, 0x30, 0, 4, 1, 2, 3, 4, 0xC0, 0x01, 0, 4, 5, 6, 7, 8];
    assert_eq!(buffer[20..len], attributes);
    let message = Message::parse(&buffer[..len]).unwrap();
    let request = BindingRequest::decode(&message).unwrap();
    assert_eq!((request.nomination, request.legacy_nomination), (Some(0x0102_0304), Some(0x0506_0708)));
}
