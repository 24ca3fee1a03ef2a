//! What a client is made from.

use core::net::SocketAddr;
use core::time::Duration;

use crate::credential::Credentials;

/// Lifetime asked for unless set otherwise, in seconds: the default of RFC 8656 §3.2.
pub const DEFAULT_LIFETIME: u32 = 600;

/// Families of the relayed transport addresses to ask for.
///
/// RFC 8656 §7.1: REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY exclude each other, which is why this
/// is one choice and not two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Families {
    /// One IPv4 address. No attribute is sent for it, so that servers of RFC 5766 understand the request.
    #[default]
    V4,
    /// One IPv6 address.
    V6,
    /// One of each in one allocation. The server may grant only one of them.
    Dual,
}

impl Families {
    /// Whether an address of the family of `address` was asked for.
    pub(crate) const fn includes(self, address: &SocketAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::Dual => true,
        }
    }
}

/// Settings of a client; make one with [`ClientConfig::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server's transport address.
    pub server: SocketAddr,
    /// Who we are to the server; `None` for servers that ask nobody.
    pub credentials: Option<Credentials>,
    /// Families to ask for, [`Families::V4`] by default.
    pub families: Families,
    /// Lifetime to ask for, in seconds; `None` leaves it to the server. What it answers counts.
    pub lifetime: Option<u32>,
    /// First retransmission time-out of an Allocate request, 500 ms by default and at least (RFC 8489 §6.2.1); whoever gathers
    /// many candidates needs a longer one (RFC 8445 §14.3). All other requests have 500 ms.
    pub rto: Duration,
    /// The longest time from one renewal of the allocation to the next, at least 1 s; `None`, the default, leaves it to the
    /// lifetime. What keeps the mapping of a NAT on the way to the server while nothing else is sent there.
    pub keep: Option<Duration>,
}

impl ClientConfig {
    /// Defaults for this server.
    pub const fn new(server: SocketAddr, credentials: Option<Credentials>) -> Self {
        Self {
            server,
            credentials,
            families: Families::V4,
            lifetime: Some(DEFAULT_LIFETIME),
            rto: Duration::from_millis(500),
            keep: None,
        }
    }
}
