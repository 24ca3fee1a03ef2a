//! Candidate line: the text of one candidate as signalled (RFC 8839 §5.1, RFC 6544 §4.5).

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

use crate::{
    Candidate, CandidateType, ComponentId, ConnectionAddress, Foundation, HostName, Priority, TcpType,
    Transport, TransportAddress,
};

/// One candidate as it is signalled: also one whose address is a name, and with extensions this agent does not know.
///
/// `FromStr` takes the text with or without `candidate:` and `a=candidate:` before it and a line end after it;
/// `Display` writes it from `candidate:` on. Unknown extensions are kept and written again in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CandidateLine {
    pub(crate) component: ComponentId,
    pub(crate) kind: CandidateType,
    pub(crate) transport: Transport,
    pub(crate) priority: Priority,
    pub(crate) foundation: Foundation,
    pub(crate) address: ConnectionAddress,
    pub(crate) port: u16,
    pub(crate) related: Option<RelatedAddress>,
    /// Names and values, one space between any two of them, in one allocation; empty where there is none.
    pub(crate) extensions: Box<str>,
}

/// Related address and port of a candidate line. `0.0.0.0` or `::` hides it, mostly with port 9.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelatedAddress {
    /// The address.
    pub address: ConnectionAddress,
    /// The port.
    pub port: u16,
}

impl CandidateLine {
    /// Longest text in bytes that is read or written. The fields take less than 700, two names included; the rest is for
    /// extensions.
    pub const MAX_LENGTH: usize = 2048;

    /// The component.
    pub const fn component(&self) -> ComponentId {
        self.component
    }

    /// The candidate type.
    pub const fn kind(&self) -> CandidateType {
        self.kind
    }

    /// The transport.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The priority.
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The foundation.
    pub const fn foundation(&self) -> &Foundation {
        &self.foundation
    }

    /// The address or name.
    pub const fn address(&self) -> &ConnectionAddress {
        &self.address
    }

    /// The name, where the address is one.
    pub const fn name(&self) -> Option<&HostName> {
        match &self.address {
            ConnectionAddress::Name(name) => Some(name),
            ConnectionAddress::Ip(_) | ConnectionAddress::Other(_) => None,
        }
    }

    /// The port; 9 for active TCP candidates.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The related address, where both `raddr` and `rport` could be read.
    pub const fn related(&self) -> Option<&RelatedAddress> {
        self.related.as_ref()
    }

    /// All extensions in order, without `raddr`, `rport` and `tcptype`.
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions { rest: Some(&*self.extensions).filter(|text| !text.is_empty()) }
    }

    /// Value of the first extension of this name. Case counts.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Username fragment of the generation the candidate belongs to, by the extension `ufrag` that browsers write.
    pub fn ufrag(&self) -> Option<&str> {
        self.extension("ufrag").filter(|ufrag| !ufrag.is_empty())
    }

    /// The candidate checks work with; `None` if the address is a name.
    pub fn candidate(&self) -> Option<Candidate> {
        self.address.ip().map(|ip| self.resolved(ip))
    }

    /// The candidate with `ip` in place of whatever address the line has: for a name that was resolved.
    pub fn resolved(&self, ip: IpAddr) -> Candidate {
        let related =
            self.related.as_ref().and_then(|r| Some(TransportAddress::new(r.address.ip()?, r.port)));
        Candidate {
            component: self.component,
            kind: self.kind,
            transport: self.transport,
            address: TransportAddress::new(ip, self.port),
            priority: self.priority,
            foundation: self.foundation,
            related,
        }
    }

    /// The same line with a name in place of the address, and no related address: an mDNS candidate.
    #[must_use]
    pub fn with_name(mut self, name: HostName) -> Self {
        (self.address, self.related) = (ConnectionAddress::Name(name), None);
        self
    }

    /// The same line with one more extension at its end.
    ///
    /// # Errors
    /// A name that is no token or that the grammar itself uses, a value that is not visible ASCII, or a line that
    /// would be longer than [`Self::MAX_LENGTH`].
    pub fn with_extension(mut self, name: &str, value: &str) -> Result<Self, ExtensionError> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
        let reserved = ["raddr", "rport", "tcptype"].iter().any(|word| name.eq_ignore_ascii_case(word));
        if name.is_empty() || reserved || !name.bytes().all(token) {
            return Err(ExtensionError::Name);
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ExtensionError::Value);
        }
        let mut text = String::from(core::mem::take(&mut self.extensions));
        push_extension(&mut text, name, value);
        self.extensions = text.into();
        if self.printed_length() > Self::MAX_LENGTH { Err(ExtensionError::TooLong) } else { Ok(self) }
    }

    /// Length in bytes of the text that `Display` writes.
    pub(crate) fn printed_length(&self) -> usize {
        let mut counter = Counter(0);
        // A counter takes every text.
        let _ = fmt::write(&mut counter, format_args!("{self}"));
        counter.0
    }
}

/// Appends name and value to the text that [`CandidateLine`] keeps its extensions in.
pub(crate) fn push_extension(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(name);
    text.push(' ');
    text.push_str(value);
}

/// Counts bytes written.
struct Counter(usize);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

impl From<&Candidate> for CandidateLine {
    fn from(candidate: &Candidate) -> Self {
        // RFC 6544 §4.5: an active candidate is signalled with the discard port, since nothing connects to it.
        let active = candidate.transport == Transport::Tcp(TcpType::Active);
        // RFC 8839 §5.1: a host candidate has no related address, all others have one. What is not known is hidden.
        let related = (candidate.kind != CandidateType::Host)
            .then(|| candidate.related.unwrap_or(candidate.address.concealed()));
        Self {
            component: candidate.component,
            kind: candidate.kind,
            transport: candidate.transport,
            priority: candidate.priority,
            foundation: candidate.foundation,
            address: ConnectionAddress::Ip(candidate.address.ip()),
            port: if active { 9 } else { candidate.address.port() },
            related: related
                .map(|r| RelatedAddress { address: ConnectionAddress::Ip(r.ip()), port: r.port() }),
            extensions: Box::default(),
        }
    }
}

impl fmt::Display for CandidateLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind, .. } = self;
        let protocol = transport.protocol();
        write!(f, "candidate:{foundation} {component} {protocol} {priority} {address} {port} typ {kind}")?;
        if let Some(RelatedAddress { address, port }) = &self.related {
            write!(f, " raddr {address} rport {port}")?;
        }
        if let Some(tcp_type) = transport.tcp_type() {
            write!(f, " tcptype {tcp_type}")?;
        }
        if !self.extensions.is_empty() {
            write!(f, " {}", self.extensions)?;
        }
        Ok(())
    }
}

/// Extensions of a candidate line as (name, value), in their order. A value may be empty.
#[derive(Clone, Debug)]
pub struct Extensions<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, after) = self.rest?.split_once(' ')?;
        let (value, rest) = match after.split_once(' ') {
            Some((value, rest)) => (value, Some(rest)),
            None => (after, None),
        };
        self.rest = rest;
        Some((name, value))
    }
}

/// Why an extension was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The name is no token, or one that the grammar itself uses.
    Name,
    /// The value has a character that is not visible ASCII.
    Value,
    /// The line would be longer than [`CandidateLine::MAX_LENGTH`].
    TooLong,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "extension name is no token or is reserved",
            Self::Value => "extension value is not visible ASCII",
            Self::TooLong => "candidate line would be too long",
        })
    }
}

impl core::error::Error for ExtensionError {}
