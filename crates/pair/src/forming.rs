//! Which candidates go together (RFC 8445 §6.1.2.2, RFC 6544 §6.2).

use core::fmt;

use crate::{Candidate, TcpType, Transport};

/// Why a local and a remote candidate make no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Unpairable {
    /// They are for different components.
    Component,
    /// UDP with TCP, or TCP directions that do not meet.
    Transport,
    /// IPv4 with IPv6.
    Family,
    /// IPv6 link-local with another scope or with what is not link-local.
    LinkLocal,
    /// The remote address is no place to send to: unspecified, multicast, broadcast, or port 0.
    Destination,
}

impl fmt::Display for Unpairable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Component => "different components",
            Self::Transport => "transports that do not meet",
            Self::Family => "different address families",
            Self::LinkLocal => "link-local and not of one link",
            Self::Destination => "remote address that cannot be sent to",
        })
    }
}

impl core::error::Error for Unpairable {}

/// Whether a local and a remote candidate of one data stream make a pair. A pair whose local candidate is passive
/// TCP is one, but no check is sent for it: [`Transport::sends_checks`].
///
/// # Errors
/// The first rule that stands against it.
pub fn pairing(local: &Candidate, remote: &Candidate) -> Result<(), Unpairable> {
    meeting(local, remote)?;
    if is_destination(remote) { Ok(()) } else { Err(Unpairable::Destination) }
}

/// What [`pairing`] says but for the one rule that is about the remote candidate alone, [`is_destination`].
///
/// # Errors
/// The first rule that stands against it.
#[inline]
pub fn meeting(local: &Candidate, remote: &Candidate) -> Result<(), Unpairable> {
    let (here, there) = (&local.address, &remote.address);
    if local.component != remote.component {
        return Err(Unpairable::Component);
    }
    if !local.transport.pairs_with(remote.transport) {
        return Err(Unpairable::Transport);
    }
    if !here.same_family(*there) {
        return Err(Unpairable::Family);
    }
    // RFC 8445 §6.1.2.2: IPv6 link-local only with link-local. What was signalled has no scope (RFC 4007 §6), and is on the
    // link of whoever sends to it; where both sides have one it has to be the same.
    let other_link = || here.scope() != 0 && there.scope() != 0 && here.scope() != there.scope();
    if here.is_ipv6() && (here.is_link_local() != there.is_link_local() || other_link()) {
        return Err(Unpairable::LinkLocal);
    }
    Ok(())
}

/// Whether the address of a remote candidate is a place to send to. One of which it is not makes no pair.
#[inline]
pub fn is_destination(remote: &Candidate) -> bool {
    // 0.0.0.0 reaches this host itself on some systems, past every rule for loopback addresses. The port of an active
    // candidate is never connected to.
    let port_needed = remote.transport != Transport::Tcp(TcpType::Active);
    remote.address.is_unicast() && (remote.address.port() != 0 || !port_needed)
}

/// Whether a local and a remote candidate of one data stream make a pair; [`pairing`] says why not.
pub fn can_pair(local: &Candidate, remote: &Candidate) -> bool {
    pairing(local, remote).is_ok()
}
