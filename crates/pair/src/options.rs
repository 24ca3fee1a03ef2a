//! Option tags (RFC 8839 §5.6, `ice-options`).

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// Options an agent signals: known tags can be asked for, all others are kept and printed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct IceOptions(
    /// What most agents signal takes no memory.
    Cow<'static, str>,
);

impl IceOptions {
    /// RFC 8445 is followed, not only RFC 5245 (RFC 8445 §10).
    pub const ICE2: &'static str = "ice2";
    /// Candidates may follow one by one (RFC 8838).
    pub const TRICKLE: &'static str = "trickle";
    /// The controlling agent may change its nomination (renomination draft of 2026).
    pub const RENOMINATION2: &'static str = "renomination2";
    /// The same in its older form (draft 02), which is spoken only where it is configured.
    pub const RENOMINATION: &'static str = "renomination";

    /// Longest text in bytes. Known tags are a tenth of it; the rest is room for tags to come.
    pub const MAX_LENGTH: usize = 512;
    /// Most tags. A dozen are known; each is compared with all others.
    pub const MAX_TAGS: usize = 64;

    /// Options of these tags, in order, each once.
    ///
    /// # Errors
    /// A tag that is empty or has a character that is not visible ASCII; more text than [`Self::MAX_LENGTH`] or more
    /// tags than [`Self::MAX_TAGS`].
    pub fn from_tags<'a>(tags: impl IntoIterator<Item = &'a str>) -> Result<Self, IceOptionsError> {
        let (mut text, mut count) = (String::new(), 0_usize);
        for tag in tags {
            // More than ice-chars is accepted: `google-ice` is a tag that browsers have sent.
            if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(IceOptionsError::NotATag);
            }
            if text.split(' ').any(|known| known == tag) {
                continue;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(tag);
            count = count.saturating_add(1);
            if text.len() > Self::MAX_LENGTH || count > Self::MAX_TAGS {
                return Err(IceOptionsError::TooLong);
            }
        }
        text.shrink_to_fit();
        Ok(Self(text.into()))
    }

    /// Only `ice2`, which every agent that follows RFC 8445 signals.
    pub fn ice2() -> Self {
        Self(Cow::Borrowed(Self::ICE2))
    }

    /// These options and `trickle`.
    #[must_use]
    pub fn with_trickle(self) -> Self {
        self.with(Self::TRICKLE)
    }

    /// These options and `renomination2`.
    #[must_use]
    pub fn with_renomination2(self) -> Self {
        self.with(Self::RENOMINATION2)
    }

    /// Adds a known tag. Without room for it the options stay as they are, which costs only an extension.
    fn with(self, tag: &str) -> Self {
        if self.0 == Self::ICE2 && tag == Self::TRICKLE {
            return Self(Cow::Borrowed("ice2 trickle"));
        }
        if self.has(tag) || self.0.len().saturating_add(tag.len()) >= Self::MAX_LENGTH {
            return self;
        }
        let space = if self.is_empty() { "" } else { " " };
        Self([self.as_str(), space, tag].concat().into())
    }

    /// Whether the tag is among the options. Case counts.
    pub fn has(&self, tag: &str) -> bool {
        // By bytes: tags are short, and a search made for long texts costs more than it finds.
        (1..=self.0.len()).contains(&tag.len())
            && self.0.as_bytes().split(|byte| *byte == b' ').any(|known| known == tag.as_bytes())
    }

    /// The tags in order.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|tag| !tag.is_empty())
    }

    /// The tags with one space between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no option.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Tags separated by spaces; none at all is fine.
impl FromStr for IceOptions {
    type Err = IceOptionsError;

    fn from_str(text: &str) -> Result<Self, IceOptionsError> {
        Self::from_tags(text.split(' ').filter(|tag| !tag.is_empty()))
    }
}

impl fmt::Display for IceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text is no list of option tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IceOptionsError {
    /// A tag is empty or has a character that is not visible ASCII.
    NotATag,
    /// All tags together are longer than [`IceOptions::MAX_LENGTH`], or more than [`IceOptions::MAX_TAGS`].
    TooLong,
}

impl fmt::Display for IceOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotATag => "an option tag is empty or has an invisible character",
            Self::TooLong => "the option tags are too long or too many",
        })
    }
}

impl core::error::Error for IceOptionsError {}
