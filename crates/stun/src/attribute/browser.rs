//! Comprehension-optional attributes that browsers put into checks. None is standardized; a receiver that
//! ignores them loses nothing. GOOG-PING and piggybacked DTLS are not spoken by the agent.

use super::number::{bytes_attribute, number_attribute};
use super::{Attribute, AttributeError, AttributeType, take};
use crate::TransactionId;

/// GOOG-NETWORK-INFO: the network interface a check was sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GoogNetworkInfo {
    /// Number the sender gave the interface.
    pub network_id: u16,
    /// What the sender holds using it to cost, 0 to 999; the lower is better.
    pub network_cost: u16,
}

impl<'a> Attribute<'a> for GoogNetworkInfo {
    const TYPE: AttributeType = AttributeType::GOOG_NETWORK_INFO;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [i0, i1, c0, c1] = take(Self::TYPE, value)?;
        Ok(Self { network_id: u16::from_be_bytes([i0, i1]), network_cost: u16::from_be_bytes([c0, c1]) })
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let ([i0, i1], [c0, c1]) = (self.network_id.to_be_bytes(), self.network_cost.to_be_bytes());
        *out.first_chunk_mut()? = [i0, i1, c0, c1];
        Some(())
    }
}

number_attribute! {
    /// GOOG-MESSAGE-INTEGRITY-32: the first four bytes of an HMAC-SHA1, in GOOG-PING only. The codec neither
    /// makes nor checks it: 32 bits prove nothing.
    GoogMessageIntegrity32(u32), GOOG_MESSAGE_INTEGRITY_32
}
number_attribute! {
    /// GOOG-RETRANSMIT-COUNT: how often the request was sent before.
    GoogRetransmitCount(u32), GOOG_RETRANSMIT_COUNT
}
bytes_attribute! {
    /// GOOG-LAST-ICE-CHECK-RECEIVED: the transaction id of the last check the sender got.
    GoogLastIceCheckReceived, GOOG_LAST_ICE_CHECK_RECEIVED
}
bytes_attribute! {
    /// GOOG-MISC-INFO: 16-bit numbers that say what the sender supports.
    GoogMiscInfo, GOOG_MISC_INFO
}
bytes_attribute! {
    /// GOOG-CONNECTION-ID.
    GoogConnectionId, GOOG_CONNECTION_ID
}
bytes_attribute! {
    /// GOOG-DELTA.
    GoogDelta, GOOG_DELTA
}
bytes_attribute! {
    /// GOOG-DELTA-ACK.
    GoogDeltaAck, GOOG_DELTA_ACK
}
bytes_attribute! {
    /// GOOG-DELTA-SYNC-REQ.
    GoogDeltaSyncRequest, GOOG_DELTA_SYNC_REQUEST
}
bytes_attribute! {
    /// META-DTLS-IN-STUN: a piece of a DTLS handshake.
    DtlsInStun, DTLS_IN_STUN
}
bytes_attribute! {
    /// META-DTLS-IN-STUN-ACK: which pieces arrived.
    DtlsInStunAck, DTLS_IN_STUN_ACK
}
