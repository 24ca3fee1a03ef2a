//! Requests about an allocation that exists: Refresh, CreatePermission, ChannelBind (RFC 8656 §8.2, §10.2, §12.2).

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use floe_stun::{
    ChannelNumber, Message,
    attribute::{AddressFamily, ErrorCode, Lifetime, RequestedAddressFamily, XorPeerAddress},
};

use super::{
    Server, ServerRequest, Timer,
    allocation::{Allocation, FiveTuple, InstallError, Relay},
    reply::ReplyTo,
};

impl Server {
    /// The allocation a request is about. RFC 8656 §5: 437 if there is none, 441 if it is somebody else's.
    fn allocation_of(&mut self, to: &ReplyTo) -> Result<&mut Allocation, u16> {
        let allocation = self.allocations.get_mut(&to.tuple).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let own = to.signature.is_some_and(|signature| signature.account == allocation.owner);
        if own { Ok(allocation) } else { Err(ErrorCode::WRONG_CREDENTIALS) }
    }

    pub(super) fn on_refresh(&mut self, to: &ReplyTo, message: &Message<'_>) {
        match self.refresh(to, message) {
            Ok(lifetime) => {
                let lifetime = self.lifetime_to_tell(to, lifetime);
                self.succeed(to, |writer| writer.put(&Lifetime(lifetime)));
            }
            Err(code) => self.refuse(to, code),
        }
    }

    fn refresh(&mut self, to: &ReplyTo, message: &Message<'_>) -> Result<Duration, u16> {
        let bad = |_| ErrorCode::BAD_REQUEST;
        let wish = message.get::<Lifetime>();
        let family = message.get::<RequestedAddressFamily>();
        let lifetime = self.granted(wish.as_ref().ok().copied().flatten());
        let until = self.now.after(lifetime);
        let allocation = self.allocation_of(to)?;
        let (wish, family) = (wish.map_err(bad)?, family.map_err(bad)?.map(|family| family.0));
        let meant =
            |relay: &Relay| family.is_none_or(|family| AddressFamily::of(&relay.address.ip()) == family);
        if !allocation.relays.iter().any(meant) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        let before = allocation.next_expiry();
        let ending = wish == Some(Lifetime(0));
        if ending {
            let ended = allocation.end_relays(meant);
            self.close_relays(&ended);
        } else {
            for relay in allocation.relays.iter_mut().filter(|relay| meant(relay)) {
                relay.until = until;
            }
        }
        if let Some(before) = before {
            self.timers.remove(&(before, Timer::Expiry(to.tuple)));
        }
        self.settle_allocation(to.tuple);
        Ok(if ending { Duration::ZERO } else { lifetime })
    }

    /// Ends the relayed addresses whose time is over.
    pub(super) fn expire(&mut self, tuple: FiveTuple) {
        let now = self.now;
        let Some(allocation) = self.allocations.get_mut(&tuple) else { return };
        let ended = allocation.end_relays(|relay| relay.until <= now);
        self.close_relays(&ended);
        self.settle_allocation(tuple);
    }

    /// Sets the timer of an allocation, or removes it if nothing is left of it.
    fn settle_allocation(&mut self, tuple: FiveTuple) {
        match self.allocations.get(&tuple).map(Allocation::next_expiry) {
            Some(Some(until)) => {
                self.timers.insert((until, Timer::Expiry(tuple)));
            }
            Some(None) => {
                self.allocations.remove(&tuple);
            }
            None => {}
        }
    }

    fn close_relays(&mut self, ended: &[SocketAddr]) {
        for address in ended {
            self.relays.remove(address);
            self.requests.push_back(ServerRequest::CloseRelay { address: *address });
        }
    }

    pub(super) fn on_create_permission(&mut self, to: &ReplyTo, message: &Message<'_>) {
        match self.create_permission(to, message) {
            Ok(()) => self.succeed(to, |_| Ok(())),
            Err(code) => self.refuse(to, code),
        }
    }

    fn create_permission(&mut self, to: &ReplyTo, message: &Message<'_>) -> Result<(), u16> {
        let (now, lifetime, limit) = (self.now, self.lifetimes.permission, self.limits.permissions);
        self.allocation_of(to)?;
        let peers = permission_peers(message, limit)?;
        for peer in &peers {
            self.check_peer(to, *peer)?;
        }
        self.allocation_of(to)?.permit(now, &peers, lifetime, limit).map_err(code_of)
    }

    pub(super) fn on_channel_bind(&mut self, to: &ReplyTo, message: &Message<'_>) {
        match self.channel_bind(to, message) {
            Ok(()) => self.succeed(to, |_| Ok(())),
            Err(code) => self.refuse(to, code),
        }
    }

    fn channel_bind(&mut self, to: &ReplyTo, message: &Message<'_>) -> Result<(), u16> {
        let (now, lifetimes, limits) = (self.now, self.lifetimes, self.limits);
        self.allocation_of(to)?;
        let bad = ErrorCode::BAD_REQUEST;
        let number = message.get::<ChannelNumber>().ok().flatten().ok_or(bad)?;
        let XorPeerAddress(peer) = message.get::<XorPeerAddress>().ok().flatten().ok_or(bad)?;
        self.check_peer(to, peer.ip())?;
        if !self.may_send_to(peer) {
            return Err(ErrorCode::FORBIDDEN);
        }
        let allocation = self.allocation_of(to)?;
        allocation.may_bind(now, number, peer, limits.channels).map_err(code_of)?;
        // RFC 8656 §12.2: the binding brings the permission with it.
        allocation.permit(now, &[peer.ip()], lifetimes.permission, limits.permissions).map_err(code_of)?;
        allocation.bind(now, number, peer, lifetimes.channel);
        Ok(())
    }

    /// RFC 8656 §10.2 and §12.2: 443 if the allocation has no address of the peer's family, 403 if policy says no.
    fn check_peer(&mut self, to: &ReplyTo, peer: IpAddr) -> Result<(), u16> {
        if self.allocation_of(to)?.relay_for(peer).is_none() {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        if self.peers.permits(peer) {
            return Ok(());
        }
        self.counters.peers_denied = self.counters.peers_denied.saturating_add(1);
        Err(ErrorCode::FORBIDDEN)
    }

    /// Whether datagrams may go to `peer`: policy allows its address, its port can be sent to, and it is not one of
    /// our own listening addresses, through which traffic could go round in a loop (RFC 8656 §21.1.7).
    pub(super) fn may_send_to(&self, peer: SocketAddr) -> bool {
        peer.port() != 0 && self.peers.permits(peer.ip()) && !self.listen.contains(&peer)
    }
}

/// The addresses of every XOR-PEER-ADDRESS. RFC 8656 §10.2: one at least, all of them valid.
fn permission_peers(message: &Message<'_>, limit: usize) -> Result<Vec<IpAddr>, u16> {
    let mut peers = Vec::new();
    for peer in message.get_all::<XorPeerAddress>() {
        if peers.len() >= limit {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let XorPeerAddress(peer) = peer.map_err(|_| ErrorCode::BAD_REQUEST)?;
        peers.push(peer.ip());
    }
    peers.sort_unstable();
    peers.dedup();
    if peers.is_empty() { Err(ErrorCode::BAD_REQUEST) } else { Ok(peers) }
}

fn code_of(error: InstallError) -> u16 {
    match error {
        InstallError::Full => ErrorCode::INSUFFICIENT_CAPACITY,
        InstallError::Conflict => ErrorCode::BAD_REQUEST,
    }
}
