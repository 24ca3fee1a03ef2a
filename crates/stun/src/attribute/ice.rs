//! Attributes of connectivity checks (RFC 8445 §16.1), renomination, and RFC 7982.

use super::number::{flag_attribute, number_attribute};
use super::{Attribute, AttributeError, AttributeType, take};
use crate::TransactionId;

number_attribute! {
    /// PRIORITY (RFC 8445 §16.1): the priority a peer-reflexive candidate found by this check would have.
    /// On the wire any 32 bits; a candidate's priority is 1 to 2^31 - 1.
    Priority(u32), PRIORITY
}
flag_attribute! {
    /// USE-CANDIDATE (RFC 8445 §16.1): the controlling agent nominates the pair.
    UseCandidate, USE_CANDIDATE
}
number_attribute! {
    /// ICE-CONTROLLED (RFC 8445 §16.1): the sender is controlled; the number is its tiebreaker.
    IceControlled(u64), ICE_CONTROLLED
}
number_attribute! {
    /// ICE-CONTROLLING (RFC 8445 §16.1): the sender is controlling; the number is its tiebreaker.
    IceControlling(u64), ICE_CONTROLLING
}
number_attribute! {
    /// NOMINATION (renomination draft of 2026 §3.3): the greater number is the later nomination, compared
    /// for one generation and component.
    Nomination(u32), NOMINATION
}
number_attribute! {
    /// The nomination attribute of the older renomination draft (02 §4), under the number browsers gave it.
    /// The draft uses the lower 24 bits; browsers write 32.
    LegacyNomination(u32), LEGACY_NOMINATION
}

/// TRANSACTION_TRANSMIT_COUNTER (RFC 7982 §3.1): which transmission of a request was answered, and how many
/// answers were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionTransmitCounter {
    /// How often the request was sent with this transaction id, the one that carries it included.
    pub request: u8,
    /// How often an answer was sent; 0 in requests.
    pub response: u8,
}

impl<'a> Attribute<'a> for TransactionTransmitCounter {
    const TYPE: AttributeType = AttributeType::TRANSACTION_TRANSMIT_COUNTER;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [_, _, request, response] = take(Self::TYPE, value)?;
        Ok(Self { request, response })
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        *out.first_chunk_mut()? = [0, 0, self.request, self.response];
        Some(())
    }
}
