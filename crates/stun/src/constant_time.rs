//! The one comparison of a secret with what the wire claims it to be.

use subtle::ConstantTimeEq;

/// Whether two authentication tags are equal, in time that does not depend on where they differ.
///
/// The differences of all words are gathered before the one comparison, which `subtle` hides from the
/// optimizer.
#[inline]
pub(crate) fn tags_are_equal<const N: usize>(computed: &[u32; N], claimed: &[u32; N]) -> bool {
    let differences = computed.iter().zip(claimed).fold(0, |all, (one, other)| all | (one ^ other));
    differences.ct_eq(&0).into()
}
