//! Any bytes as a datagram and as a stream: nothing panics, and what is read is written again the same.

#![no_main]

use std::hint::black_box;

use floe_stun::{
    Attribute, Class, IntegrityKey, Message, MessageWriter, Method, PasswordAlgorithm, TransactionId,
    attribute::{
        AccessToken, AdditionalAddressFamily, AddressErrorCode, AlternateDomain, AlternateServer,
        AttributeType, CacheTimeout, ChangeRequest, ConnectionId, Data, DontFragment, DtlsInStun,
        DtlsInStunAck, ErrorCode, EvenPort, GoogConnectionId, GoogDelta, GoogDeltaAck, GoogDeltaSyncRequest,
        GoogLastIceCheckReceived, GoogMessageIntegrity32, GoogMiscInfo, GoogNetworkInfo, GoogRetransmitCount,
        IceControlled, IceControlling, Icmp, LegacyNomination, Lifetime, MappedAddress, MobilityTicket,
        Nomination, Nonce, OtherAddress, Padding, PasswordAlgorithmAttribute, PasswordAlgorithms, Priority,
        Realm, RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseOrigin, ResponsePort,
        Software, ThirdPartyAuthorization, TransactionTransmitCounter, UnknownAttributes, UseCandidate,
        Userhash, Username, XorMappedAddress, XorPeerAddress, XorRelayedAddress,
    },
    binding::{BindingRequest, BindingResponse},
    channel::{self, ChannelData, ChannelNumber},
    classify::{Source, classify, looks_like_stun},
    framing::Deframer,
    nonce_features,
};
use libfuzzer_sys::fuzz_target;

/// Room for any message.
const LARGEST: usize = 65_600;

/// The message as a writer lays it out: header and these attributes, without protection.
fn written<'a, A: Attribute<'a>>(buffer: &mut [u8], id: TransactionId, attribute: &A) -> usize {
    let mut writer =
        MessageWriter::new(buffer, Class::Indication, Method::BINDING, id).expect("room for a header");
    writer.put(attribute).expect("what was read can be written");
    writer.finish()
}

/// What was read as `A`, written and read again, is written the same: nothing is lost but padding and reserved bits.
macro_rules! typed {
    ($message:ident, $first:ident, $second:ident: $($kind:ty),+ $(,)?) => {$(
        if let Ok(Some(value)) = $message.get::<$kind>() {
            let id = $message.transaction_id();
            let len = written(&mut $first, id, &value);
            let again = Message::parse(&$first[..len]).expect("what is written can be read");
            let value = again.get::<$kind>().expect("a valid attribute").expect("an attribute");
            let same = written(&mut $second, id, &value);
            assert_eq!($first[..len], $second[..same], stringify!($kind));
        }
    )+};
}

fn typed(message: &Message<'_>) {
    let (mut first, mut second) = (vec![0; LARGEST], vec![0xFF; LARGEST]);
    typed!(message, first, second:
        AccessToken<'_>, AdditionalAddressFamily, AddressErrorCode<'_>, AlternateDomain<'_>, AlternateServer,
        CacheTimeout, ChangeRequest, channel::ChannelNumber, ConnectionId, Data<'_>, DontFragment, DtlsInStun<'_>,
        DtlsInStunAck<'_>, ErrorCode<'_>, EvenPort, GoogConnectionId<'_>, GoogDelta<'_>, GoogDeltaAck<'_>,
        GoogDeltaSyncRequest<'_>, GoogLastIceCheckReceived<'_>, GoogMessageIntegrity32, GoogMiscInfo<'_>,
        GoogNetworkInfo, GoogRetransmitCount, IceControlled, IceControlling, Icmp, LegacyNomination, Lifetime,
        MappedAddress, MobilityTicket<'_>, Nomination, Nonce<'_>, OtherAddress, Padding<'_>,
        PasswordAlgorithmAttribute<'_>, PasswordAlgorithms<'_>, Priority, Realm<'_>, RequestedAddressFamily,
        RequestedTransport, ReservationToken, ResponseOrigin, ResponsePort, Software<'_>, ThirdPartyAuthorization<'_>,
        TransactionTransmitCounter, UnknownAttributes<'_>, UseCandidate, Userhash, Username<'_>, XorMappedAddress,
        XorPeerAddress, XorRelayedAddress,
    );
}

/// Every attribute that is visible, written raw and in order, is what is visible in the copy.
fn copied(message: &Message<'_>) {
    let mut buffer = vec![0; LARGEST];
    let mut writer =
        MessageWriter::new(&mut buffer, message.class(), message.method(), message.transaction_id())
            .expect("room for a header");
    for attribute in message.attributes() {
        writer.put_raw(attribute.kind, attribute.value).expect("what was read can be written");
    }
    let len = writer.finish();
    let copy = Message::parse(&buffer[..len]).expect("what is written can be read");
    assert!(message.attributes().eq(copy.attributes()));
    assert_eq!(message.transaction_id(), copy.transaction_id());
    assert_eq!((message.class(), message.method()), (copy.class(), copy.method()));
}

fn datagram(bytes: &[u8]) {
    black_box((classify(bytes, Source::TurnServer), classify(bytes, Source::Other), nonce_features(bytes)));
    if let Ok(data) = ChannelData::parse(bytes) {
        let length = u16::try_from(data.payload.len()).expect("its length field is 16 bits");
        assert_eq!(channel::write_header(data.number, length), bytes[..4]);
        assert!(ChannelNumber::new(data.number.get()).is_some());
    }
    let Ok(message) = Message::parse(bytes) else { return };
    // Methods from 0x100 on are valid and yet outside the range of first bytes that is STUN's on a shared port.
    assert_eq!(looks_like_stun(bytes), bytes[0] < 4);
    assert_eq!(message.as_bytes(), bytes);
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        black_box(message.verify_integrity(&IntegrityKey::long_term(algorithm, b"u", b"r", b"p")).is_ok());
    }
    black_box(message.verify_fingerprint().is_ok());
    black_box((BindingRequest::decode(&message).is_ok(), BindingResponse::decode(&message).is_ok()));
    for kind in message.unknown_required() {
        assert!(kind.is_comprehension_required() && !kind.is_known());
    }
    if let Ok(Some(unknown)) = message.get::<UnknownAttributes<'_>>() {
        black_box(unknown.iter().map(AttributeType::get).fold(0, u16::wrapping_add));
    }
    if let Ok(Some(algorithms)) = message.get::<PasswordAlgorithms<'_>>() {
        black_box((algorithms.iter().count(), algorithms.first_supported()));
    }
    black_box(format!("{message:?}"));
    copied(&message);
    typed(&message);
}

/// All frames of a stream that comes in pieces of at most `piece` bytes.
fn frames(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new(vec![0; 2048]);
    let mut frames = Vec::new();
    for mut input in bytes.chunks(piece) {
        while let Ok(Some(frame)) = deframer.next_frame(&mut input) {
            frames.push(frame.to_vec());
        }
    }
    frames
}

fuzz_target!(|bytes: &[u8]| {
    datagram(bytes);
    // However a stream is cut, it holds the same frames.
    let whole = frames(bytes, bytes.len().max(1));
    let cut = usize::from(bytes.first().copied().unwrap_or_default()) % 7 + 1;
    assert_eq!(whole, frames(bytes, cut));
    for frame in &whole {
        datagram(frame);
    }
});
