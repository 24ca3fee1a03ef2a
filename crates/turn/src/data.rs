//! Data from and to peers (RFC 8656 §11, §12). Nothing here allocates.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use floe_stun::attribute::{Attribute, Data, Icmp, XorPeerAddress};
use floe_stun::channel::{ChannelData, HEADER_BYTES as CHANNEL_HEADER_BYTES};
use floe_stun::{
    AttributeType, Class, HEADER_BYTES, Instant, Message, MessageWriter, Method, TransactionId, WriteError,
};

use crate::channel::Channels;
use crate::error::SendError;
use crate::permission::Permissions;

/// What a datagram from the server was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Incoming {
    /// Something for the client itself.
    Taken,
    /// Data of a peer.
    Data {
        /// The peer that sent it.
        peer: SocketAddr,
        /// Where in the datagram its payload stands; may be empty.
        payload: Range<usize>,
    },
    /// Dropped, to be counted.
    Dropped(DropReason),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Neither STUN nor ChannelData (RFC 8656 §12).
    NotTurn,
    /// It starts like STUN or ChannelData and is neither, or an indication lacks what it must have.
    Malformed,
    /// A request, or an indication that is not for clients.
    Unexpected,
    /// A response to nothing that is in progress.
    UnknownTransaction,
    /// A response that is not signed with our key (RFC 8489 §9.2.5).
    Unauthenticated,
    /// Data without an allocation, or after it was closed.
    NoAllocation,
    /// Data of a peer that was not permitted (RFC 8656 §11.4).
    NoPermission,
    /// Data on a channel that is not bound (RFC 8656 §12.6).
    UnknownChannel,
}

/// A Data indication that was read.
pub(crate) enum Indication {
    Data { peer: SocketAddr, payload: Range<usize> },
    Icmp { peer: SocketAddr, icmp: Icmp },
}

/// RFC 8656 §12.6: unwraps ChannelData.
pub(crate) fn read_channel_data(
    datagram: &[u8],
    now: Instant,
    channels: &Channels,
    permissions: &Permissions,
) -> Incoming {
    let Ok(data) = ChannelData::parse(datagram) else { return Incoming::Dropped(DropReason::Malformed) };
    let Some((peer, confirmed)) = channels.peer(data.number, now) else {
        return Incoming::Dropped(DropReason::UnknownChannel);
    };
    // A request that is not answered yet may have installed the permission along with the channel.
    if confirmed && !permissions.allows(peer.ip(), now) {
        return Incoming::Dropped(DropReason::NoPermission);
    }
    let end = CHANNEL_HEADER_BYTES.saturating_add(data.payload.len());
    Incoming::Data { peer, payload: CHANNEL_HEADER_BYTES..end }
}

/// RFC 8656 §11.4, §11.6: unwraps a Data indication in one pass over its attributes.
pub(crate) fn read_indication(
    message: &Message<'_>,
    now: Instant,
    permissions: &Permissions,
) -> Result<Indication, DropReason> {
    if message.method() != Method::DATA {
        return Err(DropReason::Unexpected);
    }
    let id = message.transaction_id();
    let (mut peer, mut data, mut icmp) = (None, None, None);
    let mut at = HEADER_BYTES;
    for attribute in message.attributes() {
        let start = at.saturating_add(4);
        let end = start.saturating_add(attribute.value.len());
        at = end.next_multiple_of(4);
        match attribute.kind {
            XorPeerAddress::TYPE if peer.is_none() => peer = Some(attribute.decode::<XorPeerAddress>(id)),
            Data::TYPE if data.is_none() => data = Some(start..end),
            AttributeType::ICMP if icmp.is_none() => icmp = Some(attribute.decode::<Icmp>(id)),
            // RFC 8489 §6.3.2: an indication that must be understood and cannot be is dropped.
            kind if kind.is_comprehension_required() && !kind.is_known() => {
                return Err(DropReason::Malformed);
            }
            _ => {}
        }
    }
    let Some(Ok(XorPeerAddress(peer))) = peer else { return Err(DropReason::Malformed) };
    let peer = canonical(peer);
    if !permissions.allows(peer.ip(), now) {
        return Err(DropReason::NoPermission);
    }
    match (data, icmp) {
        (Some(payload), _) => Ok(Indication::Data { peer, payload }),
        (None, Some(Ok(icmp))) => Ok(Indication::Icmp { peer, icmp }),
        _ => Err(DropReason::Malformed),
    }
}

/// RFC 8656 §11.1: writes a Send indication.
pub(crate) fn write_indication(
    id: TransactionId,
    peer: SocketAddr,
    payload: &[u8],
    buffer: &mut [u8],
) -> Result<usize, SendError> {
    let refuse = |error| match error {
        WriteError::BufferTooSmall => SendError::BufferTooSmall,
        _ => SendError::PayloadTooLong,
    };
    let mut writer = MessageWriter::new(buffer, Class::Indication, Method::SEND, id).map_err(refuse)?;
    writer.put(&XorPeerAddress(peer)).map_err(refuse)?;
    writer.put(&Data(payload)).map_err(refuse)?;
    Ok(writer.finish())
}

/// The one form in which an address is kept and compared: never IPv4-mapped, without scope and flow label.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical_ip(address.ip()), address.port())
}

/// See [`canonical`].
pub(crate) fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
