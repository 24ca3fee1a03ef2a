//! Connection address of a candidate line: an IP address or a name.

use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What stands in the address field of a candidate line or of a default destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionAddress {
    /// An address; never IPv4-mapped.
    Ip(IpAddr),
    /// A name, which only an extension gives a meaning to.
    Name(HostName),
    /// Something else (RFC 8866 §9, `extn-addr`), as written: a name with an underscore, say. Only default destinations
    /// have it, never a candidate.
    Other(Box<str>),
}

/// Why an address field could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressError {
    /// It looks like an IP address and is none.
    Malformed,
    /// Neither an IP address nor a name.
    UnknownFamily,
}

impl ConnectionAddress {
    /// Reads an address field (RFC 8839 §5.1: a colon means IPv6).
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        if text.contains(':') {
            // A zone names an interface of the sender's host; here it means nothing, though some agents send it.
            let address = text.split_once('%').map_or(text, |(address, _)| address);
            return match address.parse::<Ipv6Addr>() {
                Ok(ip) => Ok(Self::Ip(IpAddr::V6(ip).to_canonical())),
                Err(_) if address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.') => {
                    Err(AddressError::Malformed)
                }
                Err(_) => Err(AddressError::UnknownFamily),
            };
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return text
                .parse::<Ipv4Addr>()
                .map(|ip| Self::Ip(ip.into()))
                .map_err(|_| AddressError::Malformed);
        }
        HostName::new(text).map(Self::Name).ok_or(AddressError::UnknownFamily)
    }

    /// Reads the address of a default destination, where more than names and IP addresses may stand.
    pub(crate) fn parse_default(text: &str) -> Result<Self, AddressError> {
        let is_text = !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        match Self::parse(text) {
            Err(AddressError::UnknownFamily) if is_text => Ok(Self::Other(text.into())),
            read => read,
        }
    }

    /// The IP address; `None` for a name.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for ConnectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => fmt::Display::fmt(ip, f),
            Self::Name(name) => fmt::Display::fmt(name, f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Host name of a candidate line: 4 to 253 letters, digits, hyphens and dots, not all digits and dots
/// (RFC 8866 §9, `FQDN`). Kept as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The shortest name the grammar knows.
    pub const MIN_LENGTH: usize = 4;
    /// The longest name DNS knows, in bytes without a final dot.
    pub const MAX_LENGTH: usize = 253;

    /// The name `text`; `None` if it is none.
    pub fn new(text: &str) -> Option<Self> {
        let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let looks_like_ip = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let fits = (Self::MIN_LENGTH..=Self::MAX_LENGTH).contains(&text.len());
        (fits && !looks_like_ip && text.bytes().all(name_byte)).then(|| Self(text.into()))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of an mDNS candidate: a UUID and `.local`, in any case. Only such names are resolved.
    pub fn is_mdns_candidate(&self) -> bool {
        let Some((uuid, suffix)) = self.0.split_once('.') else { return false };
        let mut groups = uuid.split('-');
        let hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
        let well_formed =
            [8, 4, 4, 4, 12].iter().all(|&length| groups.next().is_some_and(|g| g.len() == length && hex(g)));
        well_formed && groups.next().is_none() && suffix.eq_ignore_ascii_case("local")
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
