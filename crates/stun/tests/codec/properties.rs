//! Properties over random inputs: what is written is read back, and a stream may be cut anywhere.

use std::net::{IpAddr, SocketAddr};

use floe_stun::attribute::*;
use floe_stun::channel::{self, ChannelData};
use floe_stun::framing::{Deframer, header};
use floe_stun::{
    Algorithm, Attribute, AttributeType, ChannelNumber, Class, IntegrityKey, Message, MessageWriter, Method,
    TransactionId,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::touch;

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Request), Just(Class::Indication), Just(Class::Success), Just(Class::Error)]
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

/// Writes one attribute, reads the message back, and compares.
fn round_trip<'a, A>(attribute: &A, id: TransactionId, buffer: &'a mut [u8]) -> Result<(), TestCaseError>
where
    A: Attribute<'a> + PartialEq + std::fmt::Debug,
{
    buffer.fill(0xAA);
    let mut writer = MessageWriter::new(buffer, Class::Request, Method::BINDING, id).unwrap();
    writer.put(attribute).unwrap();
    let len = writer.finish();
    let buffer: &'a [u8] = buffer;
    let message = Message::parse(&buffer[..len]).unwrap();
    let (min, max) = A::TYPE.lengths().unwrap();
    prop_assert!((min..=max).contains(&attribute.encoded_len()));
    prop_assert_eq!(&message.get::<A>().unwrap().unwrap(), attribute);
    prop_assert_eq!(message.attributes().count(), 1);
    touch(&message);
    Ok(())
}

proptest! {
    #[test]
    fn every_address_attribute_is_read_back(address in address(), id: [u8; 12]) {
        let id = TransactionId(id);
        let mut buffer = [0; 64];
        round_trip(&MappedAddress(address), id, &mut buffer)?;
        round_trip(&XorMappedAddress(address), id, &mut buffer)?;
        round_trip(&XorPeerAddress(address), id, &mut buffer)?;
        round_trip(&XorRelayedAddress(address), id, &mut buffer)?;
        round_trip(&AlternateServer(address), id, &mut buffer)?;
        round_trip(&ResponseOrigin(address), id, &mut buffer)?;
        round_trip(&OtherAddress(address), id, &mut buffer)?;
    }

    #[test]
    fn every_fixed_attribute_is_read_back(
        number: u32, long: u64, token: [u8; 8], hash: [u8; 32], flag: bool, short: u16,
    ) {
        let id = TransactionId([7; 12]);
        let mut buffer = [0; 64];
        let [a, b, ..] = number.to_be_bytes();
        let family = if flag { AddressFamily::Ipv6 } else { AddressFamily::Ipv4 };
        let channel = ChannelNumber::new(0x4000 | short & 0xFFF).unwrap();
        round_trip(&Priority(number), id, &mut buffer)?;
        round_trip(&UseCandidate, id, &mut buffer)?;
        round_trip(&IceControlled(long), id, &mut buffer)?;
        round_trip(&IceControlling(long), id, &mut buffer)?;
        round_trip(&Nomination(number), id, &mut buffer)?;
        round_trip(&LegacyNomination(number), id, &mut buffer)?;
        round_trip(&TransactionTransmitCounter { request: a, response: b }, id, &mut buffer)?;
        round_trip(&channel, id, &mut buffer)?;
        round_trip(&Lifetime(number), id, &mut buffer)?;
        round_trip(&RequestedTransport(a), id, &mut buffer)?;
        round_trip(&RequestedAddressFamily(family), id, &mut buffer)?;
        round_trip(&AdditionalAddressFamily(family), id, &mut buffer)?;
        round_trip(&EvenPort { reserve: flag }, id, &mut buffer)?;
        round_trip(&DontFragment, id, &mut buffer)?;
        round_trip(&ReservationToken(token), id, &mut buffer)?;
        round_trip(&Icmp { kind: a, code: b, data: number }, id, &mut buffer)?;
        round_trip(&ConnectionId(number), id, &mut buffer)?;
        round_trip(&ChangeRequest { ip: flag, port: a & 1 == 1 }, id, &mut buffer)?;
        round_trip(&ResponsePort(short), id, &mut buffer)?;
        round_trip(&CacheTimeout(number), id, &mut buffer)?;
        round_trip(&Userhash(hash), id, &mut buffer)?;
        round_trip(&GoogNetworkInfo { network_id: short, network_cost: short }, id, &mut buffer)?;
        round_trip(&GoogMessageIntegrity32(number), id, &mut buffer)?;
        round_trip(&GoogRetransmitCount(number), id, &mut buffer)?;
    }

    #[test]
    fn every_attribute_of_bytes_is_read_back(bytes in vec(any::<u8>(), 0..200)) {
        let id = TransactionId([8; 12]);
        let mut buffer = [0; 256];
        round_trip(&Data(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&Padding(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&MobilityTicket(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&AccessToken(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&Username::new(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&Realm::echo(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&Nonce::echo(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&Software::echo(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&AlternateDomain::new(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&ThirdPartyAuthorization::echo(&bytes).unwrap(), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&GoogMiscInfo(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&GoogLastIceCheckReceived(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&GoogDelta(&bytes), id, &mut buffer)?;
        let mut buffer = [0; 256];
        round_trip(&DtlsInStun(&bytes), id, &mut buffer)?;
    }

    #[test]
    fn errors_and_lists_are_read_back(
        code in 300_u16..700,
        reason in "\\PC{0,140}",
        types in vec(any::<u16>(), 0..40),
        entries in vec((any::<u16>(), vec(any::<u8>(), 0..10)), 0..5),
    ) {
        let id = TransactionId([9; 12]);
        let mut buffer = [0; 1024];
        round_trip(&ErrorCode::new(code, &reason), id, &mut buffer)?;
        let mut buffer = [0; 1024];
        round_trip(&AddressErrorCode::new(AddressFamily::Ipv6, code, &reason), id, &mut buffer)?;
        let types: Vec<_> = types.into_iter().map(AttributeType::new).collect();
        let mut buffer = [0; 1024];
        round_trip(&UnknownAttributes::new(&types), id, &mut buffer)?;
        let mut list = Vec::new();
        for (number, parameters) in &entries {
            let mut buffer = [0; 1024];
            round_trip(&PasswordAlgorithmAttribute { number: *number, parameters }, id, &mut buffer)?;
            list.extend(number.to_be_bytes());
            list.extend(u16::try_from(parameters.len()).unwrap().to_be_bytes());
            list.extend(parameters);
            list.resize(list.len().next_multiple_of(4), 0);
        }
        let mut buffer = [0; 1024];
        let algorithms = PasswordAlgorithms::from_bytes(&list).unwrap();
        round_trip(&algorithms, id, &mut buffer)?;
        let read: Vec<_> = algorithms.iter().map(|entry| (entry.number, entry.parameters.to_vec())).collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn whole_messages_are_read_back(
        class in class(),
        method in 0_u16..0x1000,
        id: [u8; 12],
        attributes in vec((any::<u16>(), vec(any::<u8>(), 0..30)), 0..12),
        key in vec(any::<u8>(), 0..100),
        protection in 0..6,
    ) {
        let integrity = IntegrityKey::new(&key);
        let (method, id) = (Method::new(method).unwrap(), TransactionId(id));
        let mut buffer = [0xAA; 1024];
        let mut writer = MessageWriter::new(&mut buffer, class, method, id).unwrap();
        let attributes: Vec<_> = attributes
            .into_iter()
            .filter(|(kind, value)| writer.put_raw(AttributeType::new(*kind), value).is_ok())
            .collect();
        let sign = |writer: MessageWriter<'_>, algorithm, twice, fingerprint| {
            let mut signed = writer.sign(&integrity, algorithm).unwrap();
            if twice {
                signed = signed.sign_sha256(&integrity).unwrap();
            }
            if fingerprint { signed.fingerprint().unwrap() } else { signed.finish() }
        };
        let (sha1, sha256) = (Algorithm::Sha1, Algorithm::Sha256);
        let (len, algorithm, fingerprint) = match protection {
            0 => (writer.finish(), None, false),
            1 => (writer.fingerprint().unwrap(), None, true),
            2 => (sign(writer, sha1, false, false), Some(sha1), false),
            3 => (sign(writer, sha1, false, true), Some(sha1), true),
            4 => (sign(writer, sha256, false, true), Some(sha256), true),
            _ => (sign(writer, sha1, true, true), Some(sha256), true),
        };
        let message = Message::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((message.class(), message.method(), message.transaction_id()), (class, method, id));
        let read: Vec<_> = message.attributes().map(|raw| (raw.kind.get(), raw.value.to_vec())).collect();
        prop_assert_eq!(read, attributes);
        prop_assert_eq!(message.verify_integrity(&integrity).ok(), algorithm);
        prop_assert_eq!(message.integrity_algorithm(), algorithm);
        prop_assert_eq!(message.verify_fingerprint().is_ok(), fingerprint);
    }

    #[test]
    fn channel_data_is_read_back(
        number in 0x4000_u16..0x5000, payload in vec(any::<u8>(), 0..100), more in 0..4_usize,
    ) {
        let number = ChannelNumber::new(number).unwrap();
        let len = u16::try_from(payload.len()).unwrap();
        let mut bytes = channel::write_header(number, len).to_vec();
        bytes.extend(&payload);
        prop_assert_eq!((bytes.len() + channel::padding(len)) % 4, 0);
        bytes.resize(bytes.len() + more, 0xEE);
        prop_assert_eq!(ChannelData::parse(&bytes), Ok(ChannelData { number, payload: &payload }));
    }

    #[test]
    fn frames_survive_any_cutting(
        frames in vec(vec(any::<u8>(), 0..40), 0..12),
        cuts in vec(0..12_usize, 1..40),
    ) {
        let mut stream = Vec::new();
        for frame in &frames {
            stream.extend(header(frame.len()).unwrap());
            stream.extend(frame);
        }
        let mut deframer = Deframer::new([0; 40]);
        let (mut read, mut rest, mut cuts) = (Vec::new(), stream.as_slice(), cuts.iter().cycle());
        // Zero-length pieces are among the cuts; at least one byte in turn moves on.
        while !rest.is_empty() {
            let len = (*cuts.next().unwrap()).min(rest.len());
            for len in [len, usize::from(len == 0)] {
                let (mut piece, later) = rest.split_at(len);
                rest = later;
                while let Some(frame) = deframer.next_frame(&mut piece).unwrap() {
                    read.push(frame.to_vec());
                }
                prop_assert!(piece.is_empty());
            }
        }
        prop_assert_eq!(read, frames);
        prop_assert!(deframer.is_between_frames());
    }
}
