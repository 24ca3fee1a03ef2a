//! The shapes that many attributes share: a 32-bit number, a 64-bit number, bytes.

/// An attribute that is one unsigned number in network byte order.
macro_rules! number_attribute {
    ($(#[$doc:meta])* $name:ident($number:ident), $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(
            /// The number.
            pub $number,
        );

        impl<'a> $crate::attribute::Attribute<'a> for $name {
            const TYPE: $crate::AttributeType = $crate::AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: $crate::TransactionId) -> Result<Self, $crate::AttributeError> {
                $crate::attribute::take(Self::TYPE, value).map(|bytes| Self($number::from_be_bytes(bytes)))
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                size_of::<$number>()
            }

            #[inline]
            fn encode(&self, _: $crate::TransactionId, out: &mut [u8]) -> Option<()> {
                *out.first_chunk_mut()? = self.0.to_be_bytes();
                Some(())
            }
        }
    };
}

/// An attribute without a value: being there is all it says.
macro_rules! flag_attribute {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name;

        impl<'a> $crate::attribute::Attribute<'a> for $name {
            const TYPE: $crate::AttributeType = $crate::AttributeType::$kind;

            #[inline]
            fn decode(_: &'a [u8], _: $crate::TransactionId) -> Result<Self, $crate::AttributeError> {
                Ok(Self)
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                0
            }

            #[inline]
            fn encode(&self, _: $crate::TransactionId, _: &mut [u8]) -> Option<()> {
                Some(())
            }
        }
    };
}

/// An attribute whose value is bytes that the codec does not look into. The longest value that may be read is
/// the table's; `$send` is the longest that [`new`](Self::new) makes.
macro_rules! bytes_attribute {
    ($(#[$doc:meta])* $name:ident, $kind:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name<'a>(
            /// The bytes, at most 65528.
            pub &'a [u8],
        );

        impl<'a> $crate::attribute::Attribute<'a> for $name<'a> {
            const TYPE: $crate::AttributeType = $crate::AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: $crate::TransactionId) -> Result<Self, $crate::AttributeError> {
                Ok(Self(value))
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            #[inline]
            fn encode(&self, _: $crate::TransactionId, out: &mut [u8]) -> Option<()> {
                $crate::attribute::put(out, self.0)
            }
        }

        impl core::fmt::Debug for $name<'_> {
            /// Shows the length only: the bytes are the application's, or a secret.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({} bytes)"), self.0.len())
            }
        }
    };
}

pub(super) use {bytes_attribute, flag_attribute, number_attribute};
