//! The allocation itself: reading and judging what the server grants (RFC 8656 §7.3).

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::attribute::{
    AddressErrorCode, AddressFamily, AlternateServer, Lifetime, XorMappedAddress, XorRelayedAddress,
};
use floe_stun::{Instant, Message};

use crate::config::Families;
use crate::error::{AllocateError, RequestError};
use crate::refresh::Lease;

/// Shortest lifetime that can be kept up: half of it is the least interval between two renewals.
const MIN_LIFETIME: u32 = 2;
/// Longest lifetime that is believed: servers grant an hour at most, and a client that comes back once in a
/// hundred years would not notice that the server has forgotten it.
const MAX_LIFETIME: u32 = 3_600;
/// Relayed addresses that are read from an answer: one of each family.
const MAX_RELAYED: usize = 2;

/// An allocation the server holds for us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocation {
    pub(crate) relayed: SocketAddr,
    pub(crate) second: Option<SocketAddr>,
    pub(crate) mapped: Option<SocketAddr>,
    pub(crate) lease: Lease,
    /// How the last attempt to renew it failed, since it was last renewed.
    pub(crate) last_error: Option<RequestError>,
}

impl Allocation {
    /// RFC 8656 §10.1, §12.1: peers can only be of a family that is held.
    pub(crate) fn holds_family_of(&self, peer: &IpAddr) -> bool {
        let same = |relayed: &SocketAddr| relayed.is_ipv4() == peer.is_ipv4();
        same(&self.relayed) || self.second.as_ref().is_some_and(same)
    }
}

/// What an Allocate success response grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) relayed: SocketAddr,
    pub(crate) second: Option<SocketAddr>,
    pub(crate) mapped: Option<SocketAddr>,
    pub(crate) lifetime: Duration,
    /// The family that was not granted, and the error code.
    pub(crate) refused: Option<(AddressFamily, u16)>,
}

impl Grant {
    /// Reads an authenticated success response of `server`.
    ///
    /// # Errors
    ///
    /// It cannot be used. The server holds an allocation all the same, which is to be deleted.
    pub(crate) fn read(
        message: &Message<'_>,
        wish: Families,
        server: SocketAddr,
    ) -> Result<Self, AllocateError> {
        const MALFORMED: AllocateError = AllocateError::Request(RequestError::Malformed);
        let mut found: [Option<SocketAddr>; MAX_RELAYED] = [None; MAX_RELAYED];
        for (slot, address) in found.iter_mut().zip(message.get_all::<XorRelayedAddress>()) {
            let XorRelayedAddress(address) = address.map_err(|_| MALFORMED)?;
            // RFC 8656 §7.3: a family that was not asked for cannot be used.
            if !wish.includes(&address) || !is_credible(address, server) {
                return Err(AllocateError::UnusableAddress(address));
            }
            *slot = Some(address);
        }
        let (relayed, second) = match found {
            [Some(v4), Some(v6)] | [Some(v6), Some(v4)] if v4.is_ipv4() && v6.is_ipv6() => (v4, Some(v6)),
            // Two addresses of one family: the second one was never asked for.
            [Some(_), Some(twin)] => return Err(AllocateError::UnusableAddress(twin)),
            [Some(only), None] => (only, None),
            [None, _] => return Err(MALFORMED),
        };
        let Ok(Some(Lifetime(seconds))) = message.get::<Lifetime>() else { return Err(MALFORMED) };
        let lifetime = usable_lifetime(seconds).ok_or(AllocateError::UnusableLifetime(seconds))?;
        let refused = match message.get::<AddressErrorCode<'_>>() {
            Ok(Some(error)) if wish == Families::Dual => Some((error.family(), error.code())),
            _ => None,
        };
        let mapped = match message.get::<XorMappedAddress>() {
            Ok(Some(XorMappedAddress(address))) if is_credible(address, server) => Some(address),
            // The relay works without; only no server-reflexive candidate can be made of it.
            _ => None,
        };
        let mapped = mapped.filter(|mapped| mapped.is_ipv4() == server.is_ipv4());
        Ok(Self { relayed, second, mapped, lifetime, refused })
    }

    pub(crate) fn into_allocation(self, now: Instant, started: Instant) -> Allocation {
        let lease = Lease::granted(now, started, self.lifetime);
        Allocation {
            relayed: self.relayed,
            second: self.second,
            mapped: self.mapped,
            lease,
            last_error: None,
        }
    }
}

/// The lifetime as a duration, long ones cut short; `None` for one too short to be kept up.
pub(crate) fn usable_lifetime(seconds: u32) -> Option<Duration> {
    (seconds >= MIN_LIFETIME).then(|| Duration::from_secs(u64::from(seconds.min(MAX_LIFETIME))))
}

/// The server to go to instead (RFC 8489 §10): the first that is of the family we came with and can be one.
pub(crate) fn alternate_server(message: &Message<'_>, server: SocketAddr) -> Option<SocketAddr> {
    message
        .get_all::<AlternateServer>()
        .filter_map(Result::ok)
        .map(|AlternateServer(address)| address)
        .find(|address| address.is_ipv4() == server.is_ipv4() && is_credible(*address, server))
}

/// Whether an address that `server` tells can be an address somebody reaches. A server of this machine or link
/// may tell one of this machine or link; any other has no business pointing us at ourselves.
fn is_credible(address: SocketAddr, server: SocketAddr) -> bool {
    let ip = address.ip();
    let server = server.ip();
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !is_broadcast(ip)
        && (!ip.is_loopback() || server.is_loopback())
        && (!is_link_local(ip) || is_link_local(server) || server.is_loopback())
        && !is_mapped(ip)
}

fn is_broadcast(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.is_broadcast())
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// RFC 8445 §5.1.1.1: IPv4-mapped IPv6 addresses are no candidates.
fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}
