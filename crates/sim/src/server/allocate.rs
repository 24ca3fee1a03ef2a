//! Allocate requests (RFC 8656 §7.2) and the opening of relayed transport addresses.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use floe_stun::{
    Instant, Message,
    attribute::{
        AdditionalAddressFamily, AddressErrorCode, AddressFamily, ErrorCode, EvenPort, Lifetime,
        RequestedAddressFamily, RequestedTransport, ReservationToken, XorMappedAddress, XorRelayedAddress,
    },
};

use super::{
    FaultKind, RelayRequestId, Server, ServerRequest, Timer,
    allocation::{Allocation, FiveTuple, Relay},
    canonical,
    reply::ReplyTo,
};

/// How long the driver may take to open a relayed address; then the client hears 508, long before its transaction
/// ends (39.5 s).
const OPENING_DEADLINE: Duration = Duration::from_secs(5);
/// Random even ports tried for EVEN-PORT.
const EVEN_PORT_TRIES: u8 = 16;
/// RFC 8656 §7.2: ports come from the dynamic range, 49152 to 65535.
const DYNAMIC_PORTS: core::ops::RangeInclusive<u16> = 49_152..=65_535;

/// A family that was wanted and is not there, and the error code that says why.
type Missing = (AddressFamily, u16);

/// An Allocate request that waits for its relayed addresses.
#[derive(Debug)]
pub(super) struct Opening {
    to: ReplyTo,
    lifetime: Duration,
    wanted: Vec<Wanted>,
    missing: Option<Missing>,
    deadline: Instant,
}

#[derive(Debug)]
struct Wanted {
    id: RelayRequestId,
    ip: IpAddr,
    even_tries: u8,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Asked,
    Opened(SocketAddr),
    Failed,
}

impl Opening {
    /// Whether `to` is the very request this waits for.
    pub(super) fn is_for(&self, to: &ReplyTo) -> bool {
        self.to.id == to.id && self.to.method == to.method
    }
}

/// What a valid Allocate request asks for.
struct Plan {
    ips: Vec<IpAddr>,
    even: bool,
    lifetime: Duration,
    missing: Option<Missing>,
}

impl Server {
    pub(super) fn on_allocate(&mut self, to: &ReplyTo, message: &Message<'_>) {
        match self.plan(to, message) {
            Ok(plan) => self.open(to, &plan),
            Err(code) => self.refuse(to, code),
        }
    }

    /// The checks of RFC 8656 §7.2 in their order, from the second on.
    fn plan(&self, to: &ReplyTo, message: &Message<'_>) -> Result<Plan, u16> {
        if self.allocations.contains_key(&to.tuple) || self.openings.contains_key(&to.tuple) {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let bad = |_| ErrorCode::BAD_REQUEST;
        match message.get::<RequestedTransport>().map_err(bad)? {
            Some(RequestedTransport::UDP) => {}
            Some(_) => return Err(ErrorCode::UNSUPPORTED_TRANSPORT),
            None => return Err(ErrorCode::BAD_REQUEST),
        }
        let token = message.get::<ReservationToken>().map_err(bad)?;
        let even = message.get::<EvenPort>().map_err(bad)?;
        let requested = message.get::<RequestedAddressFamily>().map_err(bad)?;
        let additional = message.get::<AdditionalAddressFamily>().map_err(bad)?;
        if token.is_some() {
            let mixed = even.is_some() || requested.is_some() || additional.is_some();
            // No port is ever reserved here, so that no token is valid.
            return Err(if mixed { ErrorCode::BAD_REQUEST } else { ErrorCode::INSUFFICIENT_CAPACITY });
        }
        if requested.is_some() && additional.is_some() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        let (ips, missing) = self.relay_ips(requested, additional)?;
        if even.is_some_and(|even| even.reserve) {
            let mixed = additional.is_some();
            return Err(if mixed { ErrorCode::BAD_REQUEST } else { ErrorCode::INSUFFICIENT_CAPACITY });
        }
        self.check_quota(to)?;
        let lifetime = self.granted(message.get::<Lifetime>().map_err(bad)?);
        Ok(Plan { ips, even: even.is_some(), lifetime, missing })
    }

    /// The addresses to open relays on and, where both families were wanted, the one that cannot be had.
    fn relay_ips(
        &self,
        requested: Option<RequestedAddressFamily>,
        additional: Option<AdditionalAddressFamily>,
    ) -> Result<(Vec<IpAddr>, Option<Missing>), u16> {
        let unsupported = ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED;
        let of = |family| self.relay_ips.iter().copied().find(|ip| AddressFamily::of(ip) == family);
        let (v4, v6) = (of(AddressFamily::Ipv4), of(AddressFamily::Ipv6));
        match additional {
            // RFC 8656 §18.11: IPv6 is the only family that can be additional.
            Some(AdditionalAddressFamily(AddressFamily::Ipv4)) => Err(ErrorCode::BAD_REQUEST),
            Some(AdditionalAddressFamily(AddressFamily::Ipv6)) => match (v4, v6) {
                (Some(v4), Some(v6)) => Ok((vec![v4, v6], None)),
                (Some(v4), None) => Ok((vec![v4], Some((AddressFamily::Ipv6, unsupported)))),
                (None, Some(v6)) => Ok((vec![v6], Some((AddressFamily::Ipv4, unsupported)))),
                (None, None) => Err(ErrorCode::INSUFFICIENT_CAPACITY),
            },
            None => {
                let family = requested.map_or(AddressFamily::Ipv4, |requested| requested.0);
                of(family).map(|ip| (vec![ip], None)).ok_or(unsupported)
            }
        }
    }

    fn check_quota(&self, to: &ReplyTo) -> Result<(), u16> {
        let account = to.signature.map(|signature| signature.account);
        let opening = |opening: &&Opening| opening.to.signature.map(|signature| signature.account) == account;
        let held = self.allocations.values().filter(|allocation| Some(allocation.owner) == account).count();
        let own = held.saturating_add(self.openings.values().filter(opening).count());
        if own >= self.limits.allocations_per_user {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let all = self.allocations.len().saturating_add(self.openings.len());
        if all >= self.limits.allocations { Err(ErrorCode::INSUFFICIENT_CAPACITY) } else { Ok(()) }
    }

    /// RFC 8656 §7.2: what the client wishes counts only between the default and the longest lifetime.
    pub(super) fn granted(&self, wish: Option<Lifetime>) -> Duration {
        let wish = wish.map_or(Duration::ZERO, |lifetime| Duration::from_secs(lifetime.0.into()));
        wish.min(self.lifetimes.longest_allocation).max(self.lifetimes.allocation)
    }

    fn open(&mut self, to: &ReplyTo, plan: &Plan) {
        let deadline = self.now.after(OPENING_DEADLINE);
        let even_tries = if plan.even { EVEN_PORT_TRIES } else { 0 };
        let wanted: Vec<Wanted> =
            plan.ips.iter().map(|ip| self.ask_for_relay(to.tuple, *ip, even_tries)).collect();
        self.timers.insert((deadline, Timer::Opening(to.tuple)));
        let opening = Opening { to: *to, lifetime: plan.lifetime, wanted, missing: plan.missing, deadline };
        self.openings.insert(to.tuple, opening);
    }

    fn ask_for_relay(&mut self, tuple: FiveTuple, ip: IpAddr, even_tries: u8) -> Wanted {
        let id = RelayRequestId(self.next_request);
        self.next_request = self.next_request.wrapping_add(1);
        let port = (even_tries > 0).then(|| self.random_even_port());
        self.requests.push_back(ServerRequest::OpenRelay { id, ip, port });
        self.asked.insert(id, tuple);
        Wanted { id, ip, even_tries: even_tries.saturating_sub(1), outcome: Outcome::Asked }
    }

    /// RFC 6056: ports are random, so that nobody guesses the next one.
    fn random_even_port(&mut self) -> u16 {
        let (low, high) = (*DYNAMIC_PORTS.start(), *DYNAMIC_PORTS.end());
        let offset = self.random.below(u64::from(high.abs_diff(low)).saturating_add(1));
        low.saturating_add(u16::try_from(offset).unwrap_or_default()) & !1
    }

    /// The driver's answer to [`ServerRequest::OpenRelay`].
    pub(super) fn on_relay_opened(&mut self, id: RelayRequestId, result: Result<SocketAddr, ()>) {
        let opened = result.ok().map(canonical).filter(|address| !self.relays.contains_key(address));
        let tuple = self.asked.remove(&id);
        let Some(tuple) = tuple.filter(|tuple| self.openings.contains_key(tuple)) else {
            // Too late: the client was told that there is none.
            self.requests.extend(opened.map(|address| ServerRequest::CloseRelay { address }));
            return;
        };
        let retry = self.settle(tuple, id, opened);
        if let Some((ip, tries)) = retry {
            let again = self.ask_for_relay(tuple, ip, tries);
            if let Some(opening) = self.openings.get_mut(&tuple) {
                opening.wanted.retain(|wanted| wanted.id != id);
                opening.wanted.push(again);
            }
        }
        self.finish_opening(tuple);
    }

    /// Notes an outcome; returns what to ask for again if an even port was wanted and was taken.
    fn settle(
        &mut self,
        tuple: FiveTuple,
        id: RelayRequestId,
        opened: Option<SocketAddr>,
    ) -> Option<(IpAddr, u8)> {
        let opening = self.openings.get_mut(&tuple)?;
        let wanted = opening.wanted.iter_mut().find(|wanted| wanted.id == id)?;
        match opened {
            Some(address) => wanted.outcome = Outcome::Opened(address),
            None if wanted.even_tries > 0 => return Some((wanted.ip, wanted.even_tries)),
            None => wanted.outcome = Outcome::Failed,
        }
        None
    }

    /// What has not been opened by the deadline has failed.
    pub(super) fn give_up_opening(&mut self, tuple: FiveTuple) {
        if let Some(opening) = self.openings.get_mut(&tuple) {
            for wanted in opening.wanted.iter_mut().filter(|wanted| wanted.outcome == Outcome::Asked) {
                self.asked.remove(&wanted.id);
                wanted.outcome = Outcome::Failed;
            }
        }
        self.finish_opening(tuple);
    }

    /// Answers once every relayed address is opened or has failed.
    fn finish_opening(&mut self, tuple: FiveTuple) {
        let settled =
            |opening: &Opening| opening.wanted.iter().all(|wanted| wanted.outcome != Outcome::Asked);
        if !self.openings.get(&tuple).is_some_and(settled) {
            return;
        }
        let Some(opening) = self.openings.remove(&tuple) else { return };
        self.timers.remove(&(opening.deadline, Timer::Opening(tuple)));
        let mut opened = Vec::new();
        let mut missing = opening.missing;
        for wanted in &opening.wanted {
            match wanted.outcome {
                Outcome::Opened(address) => opened.push(address),
                _ => missing = Some((AddressFamily::of(&wanted.ip), ErrorCode::INSUFFICIENT_CAPACITY)),
            }
        }
        let Some(signature) = opening.to.signature.filter(|_| !opened.is_empty()) else {
            self.refuse(&opening.to, ErrorCode::INSUFFICIENT_CAPACITY);
            return;
        };
        let until = self.now.after(opening.lifetime);
        let relays: Vec<Relay> = opened.iter().map(|address| Relay { address: *address, until }).collect();
        self.relays.extend(opened.iter().map(|address| (*address, tuple)));
        self.timers.insert((until, Timer::Expiry(tuple)));
        self.allocations.insert(tuple, Allocation::new(signature.account, relays));
        self.tell_allocated(&opening, &opened, missing);
    }

    fn tell_allocated(&mut self, opening: &Opening, relayed: &[SocketAddr], missing: Option<Missing>) {
        let to = &opening.to;
        let relayed_lie = self.faults.take(to.method, |kind| match kind {
            FaultKind::Relayed(address) => Some(address),
            _ => None,
        });
        let mapped = self.mapped_to_tell(to);
        let lifetime = self.lifetime_to_tell(to, opening.lifetime);
        self.succeed(to, |writer| {
            for address in relayed {
                writer.put(&XorRelayedAddress(relayed_lie.unwrap_or(*address)))?;
            }
            writer.put(&Lifetime(lifetime))?;
            writer.put(&XorMappedAddress(mapped))?;
            match missing {
                Some((family, code)) => writer.put(&AddressErrorCode::new(family, code, "")),
                None => Ok(()),
            }
        });
    }

    /// The reflexive address of the client, or what a fault puts in its place.
    pub(super) fn mapped_to_tell(&mut self, to: &ReplyTo) -> SocketAddr {
        let lie = self.faults.take(to.method, |kind| match kind {
            FaultKind::Mapped(address) => Some(address),
            _ => None,
        });
        lie.unwrap_or(to.tuple.client)
    }

    /// Seconds of LIFETIME, or what a fault puts in their place.
    pub(super) fn lifetime_to_tell(&mut self, to: &ReplyTo, truth: Duration) -> u32 {
        let lie = self.faults.take(to.method, |kind| match kind {
            FaultKind::Lifetime(seconds) => Some(seconds),
            _ => None,
        });
        lie.unwrap_or_else(|| u32::try_from(truth.as_secs()).unwrap_or(u32::MAX))
    }
}
