//! What the client tells its owner.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::ChannelNumber;
use floe_stun::attribute::AddressFamily;

use crate::error::{AllocateError, ChannelError, LostReason, PermissionError};

/// A change that the owner of the client should know of. Data is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The allocation is there (RFC 8656 §7.3).
    Allocated {
        /// The relayed transport address; of a dual allocation the IPv4 one, if it was granted.
        relayed: SocketAddr,
        /// The IPv6 relayed transport address of a dual allocation.
        second: Option<SocketAddr>,
        /// The address and port the server sees us at; `None` if it told none or one that cannot be.
        mapped: Option<SocketAddr>,
        /// How long the allocation lives without a refresh.
        lifetime: Duration,
    },
    /// A dual allocation was granted without one of its families: 440 is final, after 508 a minute's rest is due.
    FamilyRefused {
        /// The family that was refused.
        family: AddressFamily,
        /// The error code of the ADDRESS-ERROR-CODE attribute.
        code: u16,
    },
    /// There will be no allocation. [`AllocateError::retry`] says what may be done.
    AllocateFailed(AllocateError),
    /// The server asks to use another one instead (300, RFC 8489 §10): [`crate::Client::follow`] does so.
    Redirected(SocketAddr),
    /// The server lets datagrams of this peer through; also the answer to `permit` where that was so already.
    PermissionGranted(IpAddr),
    /// There is no permission for this peer, or there is none any longer.
    PermissionRefused(IpAddr, PermissionError),
    /// The channel is bound to the peer.
    ChannelBound(SocketAddr, ChannelNumber),
    /// No channel is bound to the peer, or none is any longer.
    ChannelRefused(SocketAddr, ChannelError),
    /// The server answered 401 to the credentials with which it had granted the allocation. They may have run
    /// out: [`crate::Client::set_password`] takes a new password, another user name takes another client.
    CredentialsWanted,
    /// An ICMP error came back to the relayed transport address (RFC 8656 §11.6). Not authenticated: a hint.
    PeerUnreachable {
        /// Where the datagram was sent to; port 0 if the server could not tell.
        peer: SocketAddr,
        /// ICMP type, in the numbering of the family of `peer`.
        kind: u8,
        /// ICMP code.
        code: u8,
    },
    /// The allocation is gone, with its permissions and channels.
    Lost(LostReason),
    /// The answer to [`crate::Client::close`]: nothing is sent any more, the socket may be closed.
    Released,
}
