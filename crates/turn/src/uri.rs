//! STUN and TURN URIs (RFC 7064, RFC 7065).
//!
//! ```
//! use floe_turn::uri::{Host, Transport, Uri};
//!
//! let uri: Uri = "turn:[2001:db8::1]?transport=tcp".parse()?;
//! assert!(uri.is_turn() && !uri.is_secure());
//! assert_eq!(uri.host(), &Host::Address("2001:db8::1".parse()?));
//! assert_eq!((uri.port(), uri.transport()), (3478, Transport::Tcp));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

#[cfg(test)]
mod tests;

/// Port of STUN and TURN over UDP and TCP where the URI has none.
pub const DEFAULT_PORT: u16 = 3478;
/// Port of STUN and TURN over TLS and DTLS where the URI has none.
pub const DEFAULT_SECURE_PORT: u16 = 5349;
/// Longest host name in characters (RFC 1035 §2.3.4, with the final dot).
const MAX_NAME_CHARS: usize = 254;
/// Longest label of a host name in characters (RFC 1035 §2.3.4).
const MAX_LABEL_CHARS: usize = 63;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// `stun`: Binding requests over UDP.
    Stun,
    /// `stuns`: Binding requests over TLS.
    Stuns,
    /// `turn`: a relay over UDP or TCP.
    Turn,
    /// `turns`: a relay over TLS or DTLS.
    Turns,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Stun, Self::Stuns, Self::Turn, Self::Turns];

    /// The scheme as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A name to be resolved, in ASCII and as it was written.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

/// What the messages travel in between us and the server; with a secure scheme inside DTLS or TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP, with a secure scheme DTLS (RFC 7350).
    Udp,
    /// TCP, with a secure scheme TLS.
    Tcp,
}

/// A STUN or TURN server as a URI. `Display` writes it in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri {
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    transport: Option<Transport>,
}

impl Uri {
    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The server's name or address.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port to connect to: the one given, else the default of the scheme.
    pub const fn port(&self) -> u16 {
        match self.port {
            Some(port) => port,
            None if self.is_secure() => DEFAULT_SECURE_PORT,
            None => DEFAULT_PORT,
        }
    }

    /// The port that the URI names. Resolution by SRV records takes place only without one (RFC 5928 §3).
    pub const fn explicit_port(&self) -> Option<u16> {
        self.port
    }

    /// The transport: the one given, else UDP for the plain schemes and TCP for the secure ones.
    pub const fn transport(&self) -> Transport {
        match self.transport {
            Some(transport) => transport,
            None if self.is_secure() => Transport::Tcp,
            None => Transport::Udp,
        }
    }

    /// The transport that the URI names. NAPTR records choose only without one (RFC 5928 §3).
    pub const fn explicit_transport(&self) -> Option<Transport> {
        self.transport
    }

    /// Whether the messages are protected by TLS or DTLS.
    pub const fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Stuns | Scheme::Turns)
    }

    /// Whether the server is a relay.
    pub const fn is_turn(&self) -> bool {
        matches!(self.scheme, Scheme::Turn | Scheme::Turns)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        match &self.host {
            Host::Name(name) => f.write_str(name)?,
            Host::Address(IpAddr::V4(ip)) => write!(f, "{ip}")?,
            Host::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            Some(Transport::Udp) => f.write_str("?transport=udp"),
            Some(Transport::Tcp) => f.write_str("?transport=tcp"),
            None => Ok(()),
        }
    }
}

/// Why a text is not a STUN or TURN URI. Positions are left out: the texts are short, and may be secret to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// No colon ends a scheme, or the scheme is another one.
    UnknownScheme,
    /// `//` follows the scheme: these URIs are not hierarchical.
    Slashes,
    /// There is no host.
    EmptyHost,
    /// The host is neither a name of letters, digits, `-`, `_` and `.`, nor an address.
    InvalidHost,
    /// What stands in brackets, or is made of digits and dots only, is not an IP address.
    InvalidAddress,
    /// An IPv6 address without brackets.
    MissingBrackets,
    /// The port is not a number from 1 to 65535.
    InvalidPort,
    /// A query follows a `stun` or `stuns` URI, which has none.
    UnexpectedQuery,
    /// The query is not `transport=` and a value, once.
    InvalidQuery,
    /// The transport is neither `udp` nor `tcp`.
    UnknownTransport,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownScheme => "the scheme must be stun:, stuns:, turn: or turns:",
            Self::Slashes => "the host follows the scheme without slashes, as in turn:example.org",
            Self::EmptyHost => "the host is missing",
            Self::InvalidHost => "the host must be a name of ASCII letters, digits, - _ . or an IP address",
            Self::InvalidAddress => "the host is not an IP address, though it looks like one",
            Self::MissingBrackets => "an IPv6 address must stand in brackets, as in turn:[2001:db8::1]",
            Self::InvalidPort => "the port must be a number from 1 to 65535",
            Self::UnexpectedQuery => "stun: and stuns: take no query; only turn: and turns: do",
            Self::InvalidQuery => "the query must be ?transport=udp or ?transport=tcp",
            Self::UnknownTransport => "the transport must be udp or tcp",
        })
    }
}

impl core::error::Error for UriError {}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::UnknownScheme)?;
        // RFC 3986 §3.1: schemes are equal whatever their case.
        let scheme = Scheme::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(UriError::UnknownScheme)?;
        if rest.starts_with("//") {
            return Err(UriError::Slashes);
        }
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (host, port) = parse_place(place)?;
        let transport = match (scheme, query) {
            (_, None) => None,
            // RFC 7064 §3.1: the STUN schemes end after the port.
            (Scheme::Stun | Scheme::Stuns, Some(_)) => return Err(UriError::UnexpectedQuery),
            (Scheme::Turn | Scheme::Turns, Some(query)) => Some(parse_query(query)?),
        };
        Ok(Self { scheme, host, port, transport })
    }
}

/// `host [ ":" port ]` of RFC 3986 §3.2.2.
fn parse_place(place: &str) -> Result<(Host, Option<u16>), UriError> {
    if let Some(bracketed) = place.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or(UriError::InvalidAddress)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UriError::InvalidAddress)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(UriError::InvalidHost),
        };
        return Ok((Host::Address(IpAddr::V6(address)), port));
    }
    if place.parse::<Ipv6Addr>().is_ok() {
        return Err(UriError::MissingBrackets);
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(parse_port(port)?)),
        None => (place, None),
    };
    Ok((parse_host(host)?, port))
}

fn parse_host(host: &str) -> Result<Host, UriError> {
    if host.is_empty() {
        return Err(UriError::EmptyHost);
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let address: Ipv4Addr = host.parse().map_err(|_| UriError::InvalidAddress)?;
        return Ok(Host::Address(IpAddr::V4(address)));
    }
    // RFC 3986 allows more in a name than any resolver does; percent-encoded and other characters would only
    // fail later and less clearly. The underscore is met in practice.
    let is_label = |label: &str| {
        (1..=MAX_LABEL_CHARS).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    if host.len() > MAX_NAME_CHARS || !labels.split('.').all(is_label) {
        return Err(UriError::InvalidHost);
    }
    Ok(Host::Name(host.into()))
}

fn parse_port(port: &str) -> Result<u16, UriError> {
    // `u16::from_str` takes a sign too, which a port has not.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UriError::InvalidPort);
    }
    port.parse().ok().filter(|port| *port > 0).ok_or(UriError::InvalidPort)
}

fn parse_query(query: &str) -> Result<Transport, UriError> {
    let (key, value) = query.split_once('=').ok_or(UriError::InvalidQuery)?;
    // RFC 5234 §2.3: literal text of the grammar is equal whatever its case.
    if !key.eq_ignore_ascii_case("transport") || value.is_empty() || value.contains(['&', '=']) {
        return Err(UriError::InvalidQuery);
    }
    if value.eq_ignore_ascii_case("udp") {
        Ok(Transport::Udp)
    } else if value.eq_ignore_ascii_case("tcp") {
        Ok(Transport::Tcp)
    } else {
        Err(UriError::UnknownTransport)
    }
}
