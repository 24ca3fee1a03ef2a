//! Servers: their addresses, which of them can be asked from where, and which of their answers can be true.

use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

use floe_pair::TransportAddress;
use floe_stun::Instant;
use floe_turn::{
    Credentials,
    uri::{Host, Transport, Uri},
};

use crate::{
    config::{Config, MAX_SERVERS, Policy},
    error::ServerError,
    interface::is_link_local,
    progress::Times,
    rest::Rest,
};

/// Addresses of one server and family that are tried, the first ones of what a resolver says. A name may
/// have a thousand; each would be asked from every address of this host.
pub const MAX_SERVER_ADDRESSES: usize = 4;

/// A STUN or TURN server to ask.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it is and what it speaks.
    pub url: Uri,
    /// Long-term credentials for a TURN server.
    pub credentials: Option<Credentials>,
    /// When they run out, if that is known: [`Event::CredentialsWanted`](crate::Event::CredentialsWanted) comes in time.
    pub until: Option<Instant>,
}

impl Server {
    /// A server; credentials only count for TURN.
    pub const fn new(url: Uri, credentials: Option<Credentials>) -> Self {
        Self { url, credentials, until: None }
    }

    /// The same with credentials that run out then.
    #[must_use]
    pub const fn until(mut self, until: Instant) -> Self {
        self.until = Some(until);
        self
    }
}

/// What is known of the addresses of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// A name that nobody was asked about yet.
    Wanted,
    /// The resolver was asked, then.
    Asked(Instant),
    /// It was asked, and a generation has begun since: the network over which it was may be gone.
    AskedBefore(Instant),
    /// The resolver gave no answer: a restart asks again.
    Unresolved,
    /// The usable ones, best first.
    Known(Vec<TransportAddress>),
    /// There are none, or nothing is asked of this server.
    None,
}

/// A configured server while gathering goes on.
#[derive(Clone, Debug)]
pub(crate) struct ServerState {
    pub(crate) addresses: Addresses,
    /// Whether some job could ask it.
    pub(crate) reached: bool,
    /// It was reported as one that gave nothing in time, and no job says more.
    pub(crate) late: bool,
    /// Of two waiting requests the kind that goes next: the Allocate, else the Binding request.
    pub(crate) allocate_next: bool,
    pub(crate) times: Times,
    pub(crate) rest: Option<Rest>,
    /// Of IPv4 and IPv6 what it has no relayed addresses of, or grants others in place of.
    pub(crate) families: [Option<Rest>; 2],
    /// Servers that it has redirected to, and that rest.
    pub(crate) elsewhere: Vec<(TransportAddress, Rest)>,
    /// When other credentials are to be asked for.
    pub(crate) wanted_at: Option<Instant>,
    /// When they were asked for last, since some came.
    pub(crate) asked_for: Option<Instant>,
    /// When they are asked for again, if they are wanted yet.
    pub(crate) again_at: Option<Instant>,
}

impl Addresses {
    /// Whether the resolver is, or is to be, asked.
    pub(crate) const fn are_awaited(&self) -> bool {
        matches!(self, Self::Wanted | Self::Asked(_) | Self::AskedBefore(_))
    }
}

impl ServerState {
    /// Looks at a configured server; the error is to be reported.
    pub(crate) fn new(server: &Server, config: &Config) -> (Self, Option<ServerError>) {
        let (addresses, error) = if server.url.transport() != Transport::Udp || server.url.is_secure() {
            (Addresses::None, Some(ServerError::UnsupportedTransport))
        } else if config.policy == Policy::RelayOnly && !server.url.is_turn() {
            (Addresses::None, None)
        } else {
            match server.url.host() {
                Host::Name(_) => (Addresses::Wanted, None),
                Host::Address(ip) => known(&[*ip], server.url.port(), config.loopback),
            }
        };
        let (times, rest, families, elsewhere) = (Times::default(), None, [None, None], Vec::new());
        let (reached, late, allocate_next) = (false, false, false);
        // The first is timed when gathering begins.
        let (wanted_at, asked_for, again_at) = (None, None, None);
        let state = Self {
            addresses,
            reached,
            late,
            allocate_next,
            times,
            rest,
            families,
            elsewhere,
            wanted_at,
            asked_for,
            again_at,
        };
        (state, error)
    }

    /// The addresses that can be asked from `local`. RFC 4007 §6: a link-local one is on the link of `local`, and has its
    /// scope in answers too (RFC 8489 §6.3); no URI and no record of a name can say which.
    pub(crate) fn reachable(&self, local: TransportAddress) -> Vec<TransportAddress> {
        self.reached_from(local).collect()
    }

    /// Whether there are any.
    pub(crate) fn can_be_asked(&self, local: TransportAddress) -> bool {
        self.reached_from(local).next().is_some()
    }

    fn reached_from(&self, local: TransportAddress) -> impl Iterator<Item = TransportAddress> {
        let known = if let Addresses::Known(known) = &self.addresses { known.as_slice() } else { &[] };
        let scoped = known.iter().map(move |server| server.with_scope(local.scope()));
        scoped.filter(move |server| can_reach(local, *server))
    }
}

/// The usable ones among addresses of a server.
pub(crate) fn known(ips: &[IpAddr], port: u16, loopback: bool) -> (Addresses, Option<ServerError>) {
    let mut usable: Vec<TransportAddress> = Vec::new();
    for address in ips.iter().map(|ip| TransportAddress::new(*ip, port)) {
        let fits = address.is_unicast() && port != 0 && (loopback || !address.is_loopback());
        let family = usable.iter().filter(|known| known.same_family(address)).count();
        if fits && family < MAX_SERVER_ADDRESSES && !usable.contains(&address) {
            usable.push(address);
        }
    }
    if usable.is_empty() {
        (Addresses::None, Some(ServerError::NoUsableAddress))
    } else {
        (Addresses::Known(usable), None)
    }
}

/// How long before credentials run out others are asked for: who gives them may have to ask for them in turn, and then there
/// are an allocation to be made and a pair to be checked.
const CREDENTIALS_AHEAD: Duration = Duration::from_secs(60);

/// When others are asked for in place of credentials that run out then: of those that last shorter, when half of the time is
/// over.
pub(crate) fn asks_at(now: Instant, until: Instant) -> Instant {
    let left = until.since(now);
    now.after(left.saturating_sub(CREDENTIALS_AHEAD.min(left.checked_div(2).unwrap_or_default())))
}

/// By what number a candidate is told from others of its type and local address: that of the server, or a second one.
pub(crate) fn source_of(server: usize, alternate: bool) -> u8 {
    u8::try_from(server.saturating_add(if alternate { MAX_SERVERS } else { 0 })).unwrap_or(u8::MAX)
}

/// Whether a datagram from `local` can arrive at `server`: same family, and neither loopback nor link-local
/// addresses talk to others.
pub(crate) fn can_reach(local: TransportAddress, server: TransportAddress) -> bool {
    local.same_family(server)
        && local.is_loopback() == server.is_loopback()
        && is_link_local(local.ip()) == is_link_local(server.ip())
}

/// Whether an address told by a server can be a candidate of a host at `local` (RFC 8445 §19.3: a lying
/// server must at least not make us point at ourselves or at everybody).
pub(crate) fn is_plausible(told: TransportAddress, local: TransportAddress, loopback: bool) -> bool {
    told.same_family(local)
        && told.is_unicast()
        && told.port() != 0
        && (loopback || !told.is_loopback())
        && (is_link_local(local.ip()) || !is_link_local(told.ip()))
}

/// The addresses of one server that one job has still to try, one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    /// In reverse, so that the next is the last.
    left: Vec<TransportAddress>,
    next_at: Option<Instant>,
}

impl Targets {
    /// The first is due at once.
    pub(crate) fn new(now: Instant, mut addresses: Vec<TransportAddress>) -> Self {
        addresses.reverse();
        Self { left: addresses, next_at: Some(now) }
    }

    /// The next one if it is due. The one after it is not due before [`Self::wait`] or [`Self::hurry`].
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TransportAddress> {
        if self.next_at.is_none_or(|at| now < at) {
            return None;
        }
        self.next_at = None;
        self.left.pop()
    }

    /// The one before was asked: the next is due at `at` unless it answers.
    pub(crate) fn wait(&mut self, at: Instant) {
        self.next_at = Some(at);
    }

    /// The one before failed: the next is due at once.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next_at = Some(now);
    }

    /// No other one is asked.
    pub(crate) fn clear(&mut self) {
        self.left.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.left.is_empty() { None } else { self.next_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn at(text: &str) -> TransportAddress {
        text.parse().expect("a literal")
    }

    #[test]
    fn t28_addresses_that_no_candidate_has() {
        let local = at("192.0.2.7:5000");
        let refused = [
            "0.0.0.0:1000",
            "224.0.0.1:1000",
            "239.255.255.255:1000",
            "255.255.255.255:1000",
            "127.0.0.1:1000",
            "127.9.9.9:1000",
            "169.254.1.1:1000",
            "198.51.100.1:0",
            "[2001:db8::1]:1000",
            "[::1]:1000",
        ];
        for told in refused {
            assert!(!is_plausible(at(told), local, false), "{told}");
        }
        assert!(is_plausible(at("198.51.100.1:1000"), local, false));
        assert!(is_plausible(at("127.0.0.1:1000"), local, true));
        // IPv4-mapped is IPv4.
        assert!(is_plausible(at("[::ffff:198.51.100.1]:1000"), local, false));
        assert!(!is_plausible(at("[ff02::1]:1000"), at("[2001:db8::7]:5000"), false));
        assert!(!is_plausible(at("[::]:1000"), at("[2001:db8::7]:5000"), false));
        assert!(!is_plausible(at("198.51.100.1:1000"), at("[2001:db8::7]:5000"), false));
    }

    #[test]
    fn t32_a_thousand_addresses_are_cut_to_some_of_each_family() {
        let mut ips: Vec<IpAddr> = Vec::new();
        for i in 0..1000_u32 {
            ips.push(core::net::Ipv4Addr::from(0xc633_6400 | (i & 0xff)).into());
            ips.push(core::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(i)).into());
        }
        let (Addresses::Known(usable), None) = known(&ips, 3478, false) else { panic!("usable addresses") };
        let v4 = usable.iter().filter(|address| address.is_ipv4()).count();
        assert_eq!((v4, usable.len()), (MAX_SERVER_ADDRESSES, MAX_SERVER_ADDRESSES * 2));
    }

    #[test]
    fn t32_names_do_not_lead_to_this_host_or_to_everybody() {
        let ips: Vec<IpAddr> = ["127.0.0.1", "::1", "0.0.0.0", "224.0.0.5", "::ffff:127.0.0.1"]
            .iter()
            .map(|ip| ip.parse().expect("a literal"))
            .collect();
        assert_eq!(known(&ips, 3478, false), (Addresses::None, Some(ServerError::NoUsableAddress)));
        let (found, _) = known(&ips, 3478, true);
        assert_eq!(found, Addresses::Known(vec![at("127.0.0.1:3478"), at("[::1]:3478")]));
    }

    #[test]
    fn addresses_are_tried_in_turn() {
        let start = Instant::from_millis(10);
        let mut targets = Targets::new(start, vec![at("192.0.2.1:1"), at("192.0.2.2:1"), at("192.0.2.3:1")]);
        assert_eq!(targets.take_due(start), Some(at("192.0.2.1:1")));
        assert_eq!((targets.take_due(start), targets.poll_timeout()), (None, None), "it was not asked yet");
        targets.wait(Instant::from_millis(20));
        assert_eq!(targets.poll_timeout(), Some(Instant::from_millis(20)));
        assert_eq!(targets.take_due(Instant::from_millis(19)), None);
        assert_eq!(targets.take_due(Instant::from_millis(20)), Some(at("192.0.2.2:1")));
        targets.hurry(Instant::from_millis(21));
        assert_eq!(targets.take_due(Instant::from_millis(21)), Some(at("192.0.2.3:1")));
        targets.hurry(Instant::from_millis(22));
        assert_eq!((targets.is_empty(), targets.poll_timeout()), (true, None));
    }
}
