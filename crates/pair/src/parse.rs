//! Reading a candidate line.

use alloc::string::String;
use core::str::FromStr;

use crate::line::push_extension;
use crate::name::AddressError;
use crate::{
    CandidateError, CandidateLine, CandidateType, ComponentId, ConnectionAddress, Field, Foundation,
    Priority, Protocol, RelatedAddress, TcpType, Transport,
};

impl FromStr for CandidateLine {
    type Err = CandidateError;

    fn from_str(text: &str) -> Result<Self, CandidateError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(CandidateError::TooLong { length: text.len() });
        }
        let line = text.trim_end_matches(['\r', '\n']);
        if let Some(at) = line.bytes().position(|byte| !byte.is_ascii_graphic() && byte != b' ') {
            return Err(CandidateError::NotVisible { at });
        }
        let fields = line.strip_prefix("a=").unwrap_or(line);
        let mut fields = Fields { line, rest: Some(fields.strip_prefix("candidate:").unwrap_or(fields)) };

        let foundation = fields.next(Field::Foundation)?.read(|text| text.parse::<Foundation>().ok())?;
        let component =
            fields.next(Field::Component)?.number(3, |id| ComponentId::new(u16::try_from(id).ok()?))?;
        let protocol = fields.next(Field::Transport)?;
        let protocol =
            Protocol::from_word(protocol.text).ok_or(CandidateError::UnknownTransport { at: protocol.at })?;
        // RFC 8839 §5.1: 1 to 2^31 - 1.
        let priority = fields.next(Field::Priority)?.number(10, |n| Priority::new(u32::try_from(n).ok()?))?;
        let address = fields.next(Field::Address)?.address()?;
        let port_word = fields.next(Field::Port)?;
        let port = port_word.number(5, |port| u16::try_from(port).ok())?;
        fields.next(Field::Type)?.read(|word| word.eq_ignore_ascii_case("typ").then_some(()))?;
        let kind = fields.next(Field::Type)?;
        let kind = CandidateType::from_word(kind.text).ok_or(CandidateError::UnknownType { at: kind.at })?;

        let pairs = NamedValues::read(&Pairs(fields), protocol)?;
        let transport = match (protocol, pairs.tcp_type) {
            (Protocol::Udp, _) => Transport::Udp,
            (Protocol::Tcp, Some(tcp_type)) => Transport::Tcp(tcp_type),
            (Protocol::Tcp, None) => return Err(CandidateError::MissingTcpType),
        };
        // Sending to port 0 never works and can disturb a socket; an active candidate is never sent to.
        if port == 0 && transport != Transport::Tcp(TcpType::Active) {
            return Err(CandidateError::PortZero { at: port_word.at });
        }
        let (related, extensions) = (pairs.related, pairs.others.into());
        let line =
            Self { component, kind, transport, priority, foundation, address, port, related, extensions };
        // What was shortened on its way here is written in full: what is read can always be read again.
        let length = line.printed_length();
        if length > Self::MAX_LENGTH { Err(CandidateError::TooLong { length }) } else { Ok(line) }
    }
}

/// Cuts a line at its spaces. More than one between two fields counts as one: no field is empty, except the value of
/// an extension.
#[derive(Clone)]
struct Fields<'a> {
    /// The whole text, from which offsets count.
    line: &'a str,
    rest: Option<&'a str>,
}

/// One field with the place it stands at.
#[derive(Clone, Copy)]
struct Word<'a> {
    field: Field,
    text: &'a str,
    at: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self, field: Field) -> Result<Word<'a>, CandidateError> {
        self.rest = self.rest.map(|rest| rest.trim_start_matches(' '));
        self.next_maybe_empty(field)
            .filter(|word| !word.text.is_empty())
            .ok_or(CandidateError::Missing { field })
    }

    fn next_maybe_empty(&mut self, field: Field) -> Option<Word<'a>> {
        let rest = self.rest?;
        let at = self.line.len().saturating_sub(rest.len());
        let (text, rest) = match rest.split_once(' ') {
            Some((text, rest)) => (text, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        Some(Word { field, text, at })
    }
}

/// Pairs of name and value, as they stand at the end of a line.
#[derive(Clone)]
struct Pairs<'a>(Fields<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, Word<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.next(Field::Extension).ok()?;
        // A value may be empty, and the space before an empty last one is often cut off on the way.
        let end = Word { field: Field::Extension, text: "", at: self.0.line.len() };
        Some((name.text, self.0.next_maybe_empty(Field::Extension).unwrap_or(end)))
    }
}

impl Word<'_> {
    fn read<T>(self, read: impl FnOnce(&str) -> Option<T>) -> Result<T, CandidateError> {
        read(self.text).ok_or(CandidateError::Malformed { field: self.field, at: self.at })
    }

    /// A decimal number of at most `digits` digits that `check` accepts.
    fn number<T>(self, digits: usize, check: impl FnOnce(u64) -> Option<T>) -> Result<T, CandidateError> {
        let Self { field, text, at } = self;
        if text.len() > digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CandidateError::Malformed { field, at });
        }
        text.parse().ok().and_then(check).ok_or(CandidateError::OutOfRange { field, at })
    }

    fn address(self) -> Result<ConnectionAddress, CandidateError> {
        let Self { field, text, at } = self;
        ConnectionAddress::parse(text).map_err(|error| match error {
            AddressError::Malformed => CandidateError::Malformed { field, at },
            AddressError::UnknownFamily => CandidateError::UnknownAddressFamily { at },
        })
    }
}

/// What follows the candidate type.
struct NamedValues {
    tcp_type: Option<TcpType>,
    related: Option<RelatedAddress>,
    /// All others in the form of [`CandidateLine`].
    others: String,
}

impl NamedValues {
    /// Sorts the pairs of name and value. `raddr`, `rport` and `tcptype` count wherever they stand, the first of each
    /// that can be read: agents differ in the order they write them in.
    fn read(pairs: &Pairs<'_>, protocol: Protocol) -> Result<Self, CandidateError> {
        let (mut tcp_type, mut raddr, mut rport) = (None, None, None);
        for (index, (name, value)) in pairs.clone().enumerate() {
            let is = |word: &str| name.eq_ignore_ascii_case(word);
            if is("tcptype") && protocol == Protocol::Tcp && tcp_type.is_none() {
                let known = TcpType::from_word(value.text);
                tcp_type = Some((index, known.ok_or(CandidateError::UnknownTransport { at: value.at })?));
            } else if is("raddr") && raddr.is_none() {
                raddr = value.address().ok().map(|address| (index, address));
            } else if is("rport") && rport.is_none() {
                rport = value.number(5, |port| u16::try_from(port).ok()).ok().map(|port| (index, port));
            }
        }
        let mut taken = [None; 2];
        // One without the other, or one that cannot be read, is diagnostic text only: kept like any extension.
        let related = raddr.zip(rport).map(|((address_index, address), (port_index, port))| {
            taken = [Some(address_index), Some(port_index)];
            RelatedAddress { address, port }
        });
        let mut others = String::new();
        for (index, (name, value)) in pairs.clone().enumerate() {
            let here = Some(index);
            if !taken.contains(&here) && here != tcp_type.map(|(index, _)| index) {
                push_extension(&mut others, name, value.text);
            }
        }
        Ok(Self { tcp_type: tcp_type.map(|(_, tcp_type)| tcp_type), related, others })
    }
}
