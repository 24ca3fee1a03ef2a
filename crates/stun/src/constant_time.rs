//! The one comparison of a secret with what the wire claims it to be.

use subtle::ConstantTimeEq;

/// Whether an authentication tag is the one the wire claims, in time that does not depend on where they differ.
///
/// The differences of all words are gathered before the one comparison, which `subtle` hides from the
/// optimizer.
#[inline]
pub(crate) fn tags_are_equal<const N: usize>(computed: &[u32; N], claimed: &[[u8; 4]; N]) -> bool {
    let differences =
        computed.iter().zip(claimed).fold(0, |all, (one, other)| all | (one ^ u32::from_be_bytes(*other)));
    differences.ct_eq(&0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_difference_is_seen() {
        let (computed, tag) = ([0x0123_4567; 5], [[0x01, 0x23, 0x45, 0x67]; 5]);
        assert!(tags_are_equal(&computed, &tag));
        for bit in 0..160_usize {
            let mut other = tag;
            other[bit / 32][bit / 8 % 4] ^= 1 << (bit % 8);
            assert!(!tags_are_equal(&computed, &other), "bit {bit}");
        }
    }
}
