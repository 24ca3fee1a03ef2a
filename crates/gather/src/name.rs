//! The name of an interface.

use alloc::boxed::Box;
use core::ops::Deref;

/// Names up to this length have no memory of their own: nearly all, where systems allow 15 bytes.
const SHORT: usize = 14;

/// The name of an interface, for reports, in as little room as a box takes.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    Short {
        bytes: [u8; SHORT],
        length: u8,
    },
    /// Boxed once more, so that it is no larger than a short one.
    Long(Box<Box<str>>),
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { bytes, length }
            }
            _ => Self::Long(Box::new(text.into())),
        }
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            // It was a text when it came.
            Self::Short { bytes, length } => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                str::from_utf8(text).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_was_however_long() {
        for text in [
            "",
            "eth0",
            "enx0123456789a",
            "enx0123456789ab",
            "Ethernet 2",
            "Локальная сеть",
            "é234567890123",
            "é2345678901234",
        ] {
            assert_eq!(&*Name::from(text), text);
        }
        assert_eq!(size_of::<Name>(), size_of::<Box<str>>());
    }
}
