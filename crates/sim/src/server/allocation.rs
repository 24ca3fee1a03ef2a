//! The state of one allocation: relayed addresses, permissions, channels (RFC 8656 §6, §9, §12).

use core::time::Duration;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use floe_stun::{ChannelNumber, Instant};

use super::auth::AccountId;

/// What identifies an allocation. The transport protocol is UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FiveTuple {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// A relayed transport address and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) address: SocketAddr,
    pub(super) until: Instant,
}

/// Why a permission or a channel was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstallError {
    /// The table is full.
    Full,
    /// The channel is bound to another peer, or the peer to another channel.
    Conflict,
}

/// One allocation. What has expired is treated as absent and is cleared away before a table grows, so that neither
/// permissions nor channels need a timer.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) owner: AccountId,
    /// One relayed address, or one of each family.
    pub(super) relays: Vec<Relay>,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
    numbers: BTreeMap<SocketAddr, ChannelNumber>,
}

impl Allocation {
    pub(super) fn new(owner: AccountId, relays: Vec<Relay>) -> Self {
        Self {
            owner,
            relays,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The relayed address peers of this family are reached from.
    pub(super) fn relay_for(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.relays.iter().map(|relay| relay.address).find(|relay| relay.is_ipv4() == peer.is_ipv4())
    }

    /// When the first of the relayed addresses ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.relays.iter().map(|relay| relay.until).min()
    }

    /// Takes out the relayed addresses that `ends` says are over, with the permissions and channels of their
    /// family; those of the other family stay (RFC 8656 §8.1).
    pub(super) fn end_relays(&mut self, ends: impl Fn(&Relay) -> bool) -> Vec<SocketAddr> {
        let ended: Vec<SocketAddr> =
            self.relays.iter().filter(|relay| ends(relay)).map(|relay| relay.address).collect();
        self.relays.retain(|relay| !ends(relay));
        for gone in &ended {
            self.permissions.retain(|ip, _| ip.is_ipv4() != gone.is_ipv4());
            self.channels.retain(|_, (peer, _)| peer.is_ipv4() != gone.is_ipv4());
            self.numbers.retain(|peer, _| peer.is_ipv4() != gone.is_ipv4());
        }
        ended
    }

    pub(super) fn permits(&self, now: Instant, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|until| now < *until)
    }

    /// Installs or refreshes permissions, all of them or none.
    pub(super) fn permit(
        &mut self,
        now: Instant,
        peers: &[IpAddr],
        lifetime: Duration,
        limit: usize,
    ) -> Result<(), InstallError> {
        self.permissions.retain(|_, until| now < *until);
        let new = peers.iter().filter(|peer| !self.permissions.contains_key(peer)).count();
        if self.permissions.len().saturating_add(new) > limit {
            return Err(InstallError::Full);
        }
        let until = now.after(lifetime);
        self.permissions.extend(peers.iter().map(|peer| (*peer, until)));
        Ok(())
    }

    /// Whether `number` may be bound to `peer` now (RFC 8656 §12.2).
    pub(super) fn may_bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        peer: SocketAddr,
        limit: usize,
    ) -> Result<(), InstallError> {
        self.channels.retain(|_, (_, until)| now < *until);
        self.numbers.retain(|_, bound| self.channels.contains_key(&bound.get()));
        match (self.channels.get(&number.get()), self.numbers.get(&peer)) {
            (Some((bound, _)), _) if *bound != peer => Err(InstallError::Conflict),
            (_, Some(bound)) if *bound != number => Err(InstallError::Conflict),
            (None, _) if self.channels.len() >= limit => Err(InstallError::Full),
            _ => Ok(()),
        }
    }

    /// Binds a channel; [`Allocation::may_bind`] has been asked.
    pub(super) fn bind(&mut self, now: Instant, number: ChannelNumber, peer: SocketAddr, lifetime: Duration) {
        self.channels.insert(number.get(), (peer, now.after(lifetime)));
        self.numbers.insert(peer, number);
    }

    /// The peer a channel is bound to.
    pub(super) fn peer_of(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        self.channels.get(&number.get()).filter(|(_, until)| now < *until).map(|(peer, _)| *peer)
    }

    /// The channel bound to a peer.
    pub(super) fn channel_of(&self, now: Instant, peer: SocketAddr) -> Option<ChannelNumber> {
        let number = *self.numbers.get(&peer)?;
        self.peer_of(now, number).map(|_| number)
    }
}
