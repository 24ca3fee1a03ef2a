//! The `m=` line, as far as ICE looks at it.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use super::destination::parse_port;
use super::mid::is_token_char;
use crate::Protocol;

/// An `m=` line (RFC 8866 §5.14) without the letter: media, port, protocol and formats. The number of ports after a
/// slash is not kept, because with ICE every section has one transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MediaLine {
    media: Box<str>,
    port: u16,
    /// Protocol and formats, one space between any two words.
    rest: Box<str>,
}

impl MediaLine {
    /// The longest line in bytes. Thirty formats of three digits take an eighth of it.
    pub const MAX_LENGTH: usize = 1024;

    /// What a trickle fragment has where the line of the offer or answer is not known (RFC 8840 §4.4):
    /// `audio 9 RTP/AVP 0`.
    pub fn pseudo() -> Self {
        // RFC 8840 §4.4: exactly these values.
        Self { media: "audio".into(), port: 9, rest: "RTP/AVP 0".into() }
    }

    /// The kind of media: `audio`, `video`, `application` and others.
    pub fn media(&self) -> &str {
        &self.media
    }

    /// The port of the default destination; 0 for a section that is not in use.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The same line with another port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The protocol: `RTP/AVP`, `UDP/TLS/RTP/SAVPF` and others.
    pub fn protocol(&self) -> &str {
        self.rest.split(' ').next().unwrap_or_default()
    }

    /// The formats, as written.
    pub fn formats(&self) -> &str {
        self.rest.split_once(' ').map_or("", |(_, formats)| formats)
    }

    /// The transport below the protocol; `None` for one that ICE does not know.
    pub fn transport(&self) -> Option<Protocol> {
        let begins = |word: &str| {
            let start = self.protocol().get(..word.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(word))
        };
        // RTP/AVP and its kin are over UDP unless they say otherwise (RFC 8866 §5.14).
        if begins("UDP") || begins("RTP/") || begins("DTLS/") {
            Some(Protocol::Udp)
        } else if begins("TCP") {
            Some(Protocol::Tcp)
        } else {
            None
        }
    }

    /// Whether the section is for RTP, so that RTCP may be beside it.
    pub fn is_rtp(&self) -> bool {
        self.protocol().split('/').any(|word| word.eq_ignore_ascii_case("RTP"))
    }
}

/// Reads the line without or with `m=` before it and a line end after it.
impl FromStr for MediaLine {
    type Err = MediaLineError;

    fn from_str(text: &str) -> Result<Self, MediaLineError> {
        let text = text.trim_end_matches(['\r', '\n']);
        let text = text.strip_prefix("m=").unwrap_or(text);
        let mut words = text.splitn(3, ' ');
        let (Some(media), Some(port), Some(rest)) = (words.next(), words.next(), words.next()) else {
            return Err(MediaLineError);
        };
        let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let rest = rest.trim_end_matches(' ');
        let has_formats = rest.split_once(' ').is_some_and(|(protocol, _)| !protocol.is_empty());
        let port = parse_port(port.split('/').next().unwrap_or(port)).ok_or(MediaLineError)?;
        let well_formed = !media.is_empty() && media.bytes().all(is_token_char) && rest.bytes().all(visible);
        if well_formed && has_formats && text.len() <= Self::MAX_LENGTH {
            Ok(Self { media: media.into(), port, rest: rest.into() })
        } else {
            Err(MediaLineError)
        }
    }
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.media, self.port, self.rest)
    }
}

/// The text is no `m=` line: media, port, protocol and at least one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaLineError;

impl fmt::Display for MediaLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = MediaLine::MAX_LENGTH;
        write!(f, "a media line is media, port, protocol and formats, at most {most} bytes")
    }
}

impl core::error::Error for MediaLineError {}
