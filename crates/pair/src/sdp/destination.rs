//! Addresses beside the candidates: default destinations, `a=rtcp` and `a=remote-candidates`.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{CandidateLine, ComponentId, ConnectionAddress, TransportAddress};

/// Address and port as SDP has them: where somebody without ICE would send, or a candidate somebody else has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The address or name.
    pub address: ConnectionAddress,
    /// The port.
    pub port: u16,
}

impl Destination {
    /// What stands where no candidate is told as the default: `0.0.0.0` port 9 (RFC 8839 §4.3.1).
    pub const PLACEHOLDER_V4: Self =
        Self { address: ConnectionAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port: 9 };

    /// The same for IPv6: `::` port 9.
    pub const PLACEHOLDER_V6: Self =
        Self { address: ConnectionAddress::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), port: 9 };

    /// Whether this is one of the two placeholders.
    pub fn is_placeholder(&self) -> bool {
        self.port == 9 && self.address.ip().is_some_and(|ip| ip.is_unspecified())
    }

    /// The place; `None` for a name.
    pub fn transport_address(&self) -> Option<TransportAddress> {
        self.address.ip().map(|ip| TransportAddress::new(ip, self.port))
    }
}

/// Without the scope, which means nothing to others.
impl From<TransportAddress> for Destination {
    fn from(address: TransportAddress) -> Self {
        Self { address: ConnectionAddress::Ip(address.ip()), port: address.port() }
    }
}

/// The address a candidate is told with.
impl From<&CandidateLine> for Destination {
    fn from(line: &CandidateLine) -> Self {
        Self { address: line.address().clone(), port: line.port() }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.address, self.port)
    }
}

/// Reads `IN IP4 192.0.2.1`; what follows a slash (TTL and number of multicast addresses) is left out.
/// `Ok(None)` for a network or an address type that is not known.
pub(super) fn parse_connection(value: &str) -> Result<Option<ConnectionAddress>, ()> {
    let mut words = value.split(' ').filter(|word| !word.is_empty());
    let (Some(network), Some(kind), Some(address)) = (words.next(), words.next(), words.next()) else {
        return Err(());
    };
    let known = ["IP4", "IP6"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    if !network.eq_ignore_ascii_case("IN") || !known {
        return Ok(None);
    }
    let address = address.split('/').next().unwrap_or(address);
    // RFC 8839 §4.2.5: with ICE nobody sends to a default destination that is no address, and the session goes on.
    ConnectionAddress::parse_default(address).map(Some).map_err(|_| ())
}

/// `IN IP4 192.0.2.1`. A name counts as IPv4: which family it stands for only resolving it tells.
pub(super) struct Connection<'a>(pub(super) &'a ConnectionAddress);

impl fmt::Display for Connection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if matches!(self.0, ConnectionAddress::Ip(IpAddr::V6(_))) { "IP6" } else { "IP4" };
        write!(f, "IN {family} {}", self.0)
    }
}

/// Value of `a=rtcp` (RFC 3605 §2.1): the port of RTCP, and its address where that differs from the one of RTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RtcpDestination {
    /// The port.
    pub port: u16,
    /// The address; `None`: that of the `c=` line.
    pub address: Option<ConnectionAddress>,
}

impl RtcpDestination {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (port, address) = match value.split_once(' ') {
            Some((port, address)) => (port, parse_connection(address).ok()?),
            None => (value, None),
        };
        Some(Self { port: parse_port(port)?, address })
    }
}

impl fmt::Display for RtcpDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.port)?;
        self.address.as_ref().map_or(Ok(()), |address| write!(f, " {}", Connection(address)))
    }
}

/// One to five digits up to 65535.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Value of `a=remote-candidates` (RFC 8839 §5.2): for each component the candidate of the peer that was selected.
/// One a component, in their order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCandidates(Vec<(ComponentId, Destination)>);

impl RemoteCandidates {
    /// These candidates; `None` if there is none or two differ for one component.
    pub fn new(candidates: impl IntoIterator<Item = (ComponentId, Destination)>) -> Option<Self> {
        let mut found = Self(Vec::new());
        candidates.into_iter().try_for_each(|(component, destination)| found.add(component, destination))?;
        (!found.0.is_empty()).then_some(found)
    }

    /// Adds a candidate; `None` if its component has another. Sorted, and one a component: never more than there are
    /// components.
    fn add(&mut self, component: ComponentId, destination: Destination) -> Option<()> {
        match self.0.binary_search_by_key(&component, |(component, _)| *component) {
            Ok(at) => self.0.get(at).filter(|(_, known)| *known == destination).map(|_| ()),
            Err(at) => {
                self.0.insert(at, (component, destination));
                Some(())
            }
        }
    }

    /// Component and candidate, in the order of the components.
    pub fn iter(&self) -> impl Iterator<Item = (ComponentId, &Destination)> {
        self.0.iter().map(|(component, destination)| (*component, destination))
    }

    /// The candidate of a component.
    pub fn get(&self, component: ComponentId) -> Option<&Destination> {
        self.iter().find(|(known, _)| *known == component).map(|(_, destination)| destination)
    }

    /// Reads triples of component, address and port.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let mut candidates = Vec::new();
        while let Some(component) = words.next() {
            let digits = component.len() <= 3 && component.bytes().all(|byte| byte.is_ascii_digit());
            let component =
                if digits { component.parse().ok().and_then(ComponentId::new)? } else { return None };
            let address = ConnectionAddress::parse(words.next()?).ok()?;
            let port = parse_port(words.next()?)?;
            candidates.push((component, Destination { address, port }));
        }
        Self::new(candidates)
    }

    /// Adds those of one more line; `None` where the two contradict each other.
    pub(super) fn join(&mut self, other: Self) -> Option<()> {
        other.0.into_iter().try_for_each(|(component, destination)| self.add(component, destination))
    }
}

impl fmt::Display for RemoteCandidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (component, destination)) in self.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{component} {destination}")?;
        }
        Ok(())
    }
}
