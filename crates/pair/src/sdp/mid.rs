//! Identification tags of media sections and the groups made of them (RFC 5888, RFC 8843).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::MAX_SECTIONS;

/// Whether `byte` may stand in a token of SDP (RFC 8866 §9).
pub(super) const fn is_token_char(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'~')
}

/// Identification tag of a media section, `a=mid` (RFC 5888 §4): a token of 1 to 255 characters. Case counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mid(Box<str>);

impl Mid {
    /// The longest tag in bytes: what the RTP header extension that carries it has room for (RFC 8843 §14).
    pub const MAX_LENGTH: usize = 255;

    /// The tag `text`; `None` if it is none.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        (fits && text.bytes().all(is_token_char)).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Mid {
    type Err = InvalidMid;

    fn from_str(text: &str) -> Result<Self, InvalidMid> {
        Self::new(text).ok_or(InvalidMid)
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is no identification tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMid;

impl fmt::Display for InvalidMid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an identification tag is a token of 1 to {} characters", Mid::MAX_LENGTH)
    }
}

impl core::error::Error for InvalidMid {}

/// Sections that share one transport, `a=group:BUNDLE` (RFC 8843 §7.1): no more tags than a description has sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleGroup(Vec<Mid>);

impl BundleGroup {
    /// The group of these tags, in order; `None` for more than [`MAX_SECTIONS`].
    pub fn new(mids: impl IntoIterator<Item = Mid>) -> Option<Self> {
        let mids: Vec<Mid> = mids.into_iter().take(MAX_SECTIONS.saturating_add(1)).collect();
        (mids.len() <= MAX_SECTIONS).then_some(Self(mids))
    }

    /// The tags in order. The first names the section whose transport is shared.
    pub fn mids(&self) -> &[Mid] {
        &self.0
    }

    /// Reads the value of `a=group`; `None` in the first place for other semantics than BUNDLE.
    pub(super) fn parse(value: &str) -> Option<Result<Self, ()>> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        words.next().filter(|semantics| semantics.eq_ignore_ascii_case("BUNDLE"))?;
        let mids = words.map(Mid::new).take(MAX_SECTIONS.saturating_add(1)).collect::<Option<Vec<_>>>();
        Some(mids.and_then(Self::new).ok_or(()))
    }
}

impl fmt::Display for BundleGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BUNDLE")?;
        self.0.iter().try_for_each(|mid| write!(f, " {mid}"))
    }
}
