//! Reading of SDP line by line: what ICE looks at is handed out, all else is passed over.

use super::destination::parse_connection;
use super::{
    Attribute, BundleGroup, MAX_LENGTH, MediaLine, Mid, Pacing, RemoteCandidates, RtcpDestination, SdpError,
    SdpFault,
};
use crate::{CandidateError, CandidateLine, ConnectionAddress, IceOptions, Pwd, Ufrag};

/// A line of SDP that concerns ICE.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Line {
    /// `m=`: a media section begins.
    Media(MediaLine),
    /// `c=` with an address of the internet.
    Connection(ConnectionAddress),
    /// `b=RS`: whether senders have bandwidth for RTCP (RFC 3556 §2).
    SenderReports(bool),
    /// `b=RR`: whether those have some who only receive.
    ReceiverReports(bool),
    /// An attribute.
    Attribute(Attribute),
    /// A candidate that may be fine and is of no use here (RFC 8839 §5.1): the session goes on without it.
    IgnoredCandidate(CandidateError),
}

/// What the lines belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// An offer or an answer.
    Description,
    /// The body of an INFO request.
    Fragment,
}

/// The lines of `text` that concern ICE with their numbers, from 1. Lines end with CRLF or LF. Names of attributes
/// count in any case.
///
/// Each line stands for itself: an error leaves all others readable. Of a text longer than [`MAX_LENGTH`] only the
/// error comes.
pub fn lines(text: &str) -> Lines<'_> {
    Lines::new(text, Body::Description)
}

/// Iterator that [`lines`] returns.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: Option<&'a str>,
    number: usize,
    body: Body,
    too_long: Option<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, body: Body) -> Self {
        let too_long = Some(text.len()).filter(|length| *length > MAX_LENGTH);
        Self { rest: Some(text).filter(|_| too_long.is_none()), number: 0, body, too_long }
    }

    fn read(&self, line: &str) -> Result<Option<Line>, SdpFault> {
        let Some((kind, value)) = line.split_once('=') else { return Ok(None) };
        match kind {
            "a" => attribute(value),
            // RFC 8840 §4.4: nothing in such a line counts, so that nothing in it can be wrong.
            "m" if self.body == Body::Fragment => {
                Ok(Some(Line::Media(value.parse().unwrap_or_else(|_| MediaLine::pseudo()))))
            }
            _ if self.body == Body::Fragment => Ok(None),
            "m" => value.parse().map(|line| Some(Line::Media(line))).map_err(|_| SdpFault::MediaLine),
            "c" => {
                let address = parse_connection(value).map_err(|()| SdpFault::Connection)?;
                Ok(address.map(Line::Connection))
            }
            "b" => Ok(bandwidth(value)),
            _ => Ok(None),
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<(usize, Line), SdpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(length) = self.too_long.take() {
            return Some(Err(SdpError { line: 1, fault: SdpFault::TooLong(length) }));
        }
        while let Some(rest) = self.rest {
            let (line, rest) = match rest.split_once('\n') {
                Some((line, rest)) => (line, Some(rest)),
                None => (rest, None),
            };
            self.rest = rest;
            self.number = self.number.saturating_add(1);
            match self.read(line.trim_end_matches('\r')) {
                Ok(None) => {}
                Ok(Some(line)) => return Some(Ok((self.number, line))),
                Err(fault) => return Some(Err(SdpError { line: self.number, fault })),
            }
        }
        None
    }
}

/// Reads what stands behind `b=`; `None` for what is not about RTCP, or is no number.
fn bandwidth(text: &str) -> Option<Line> {
    let (kind, value) = text.split_once(':')?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let some = value.bytes().any(|byte| byte != b'0');
    match kind {
        _ if !is_number => None,
        _ if kind.eq_ignore_ascii_case("RS") => Some(Line::SenderReports(some)),
        _ if kind.eq_ignore_ascii_case("RR") => Some(Line::ReceiverReports(some)),
        _ => None,
    }
}

/// Reads what stands behind `a=`; `None` for an attribute that does not concern ICE.
fn attribute(text: &str) -> Result<Option<Line>, SdpFault> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let Some(kind) = Attribute::NAMES.iter().find(|known| known.eq_ignore_ascii_case(name.trim_end())) else {
        return Ok(None);
    };
    // Agents differ in the spaces they leave around a value; none of the values may have any at its ends.
    let value = value.trim_matches(' ');
    Ok(Some(Line::Attribute(match *kind {
        "candidate" => match value.parse::<CandidateLine>() {
            Ok(line) => Attribute::Candidate(line),
            // RFC 8839 §5.1: a type, transport or address that is not known costs this line only.
            Err(error) if error.is_ignorable() => return Ok(Some(Line::IgnoredCandidate(error))),
            Err(error) => return Err(SdpFault::Candidate(error)),
        },
        "remote-candidates" => {
            Attribute::RemoteCandidates(RemoteCandidates::parse(value).ok_or(SdpFault::RemoteCandidates)?)
        }
        "ice-ufrag" => Attribute::Ufrag(value.parse::<Ufrag>().map_err(SdpFault::Ufrag)?),
        "ice-pwd" => Attribute::Pwd(value.parse::<Pwd>().map_err(SdpFault::Pwd)?),
        "ice-options" => Attribute::Options(value.parse::<IceOptions>().map_err(SdpFault::Options)?),
        "ice-lite" => Attribute::Lite,
        "ice-mismatch" => Attribute::Mismatch,
        "ice-pacing" => Attribute::Pacing(Pacing::parse(value).ok_or(SdpFault::Pacing)?),
        "end-of-candidates" => Attribute::EndOfCandidates,
        "mid" => Attribute::Mid(Mid::new(value).ok_or(SdpFault::Mid)?),
        "group" => match BundleGroup::parse(value) {
            Some(group) => Attribute::Bundle(group.map_err(|()| SdpFault::Bundle)?),
            None => return Ok(None),
        },
        "bundle-only" => Attribute::BundleOnly,
        // RFC 8840 §9.2 writes the attribute without a value; it says nothing then.
        "rtcp" if value.is_empty() => return Ok(None),
        "rtcp" => Attribute::Rtcp(RtcpDestination::parse(value).ok_or(SdpFault::Rtcp)?),
        "rtcp-mux" => Attribute::RtcpMux,
        "rtcp-mux-only" => Attribute::RtcpMuxOnly,
        _ => return Ok(None),
    })))
}
