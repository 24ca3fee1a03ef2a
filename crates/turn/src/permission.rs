//! Permissions: which peers the server lets through, one entry for each IP address (RFC 8656 §9, §10).
//!
//! ```text
//!  permit ──▶ Asking(Waiting) ──slot──▶ Asking(InFlight) ──success──▶ Granted ⇄ (renewed while wanted)
//!                 ▲   ▲  pause over         │      │                     │ until
//!                 │   └──Asking(Paused)◀────┘      └─refused─▶ Refused ◀─┘ ran out while wanted
//!                 └────────── permit, when the back-off is over ──┘
//! ```

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use floe_stun::Instant;

use crate::error::{PermissionError, RequestError};
use crate::refresh::{Lease, is_about_peer, pause};
use crate::request::{Asking, Attempts};

/// RFC 8656 §9: how long a permission lasts.
pub(crate) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Peers kept, by IP address. More than the remote candidates of a session have addresses; a peer that sends
/// us more cannot make the server work or this table grow. When it is full a refused or unwanted entry makes
/// room, else the new peer is refused.
pub const MAX_PERMISSIONS: usize = 64;
/// Peers renewed by one request: with the longest credentials it still fits the buffer of
/// [`crate::MAX_REQUEST_BYTES`].
pub(crate) const MAX_BATCH: usize = 16;
/// A permission that would be due within this time is renewed along with one that is due now.
const BATCH_WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug)]
enum State {
    Asking(Asking),
    Granted(Lease),
    Refused { error: PermissionError, again_at: Instant },
}

/// With whom a permission is renewed (RFC 8656 §10.1: one request may name several peers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// With all others that are due about then.
    Together,
    /// On its own until that was granted: a request failed, and maybe for the sake of another peer that it named.
    Apart,
    /// On its own: it was refused itself, and all would be that are named beside it.
    Alone,
}

#[derive(Debug)]
struct Entry {
    peer: IpAddr,
    /// Whether it is to be renewed.
    wanted: bool,
    renewal: Renewal,
    /// Refusals in a row; each makes the back-off longer.
    refusals: u8,
    state: State,
}

/// What `permit` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// It is or will be asked for; an answer follows.
    Asked,
    /// It is there.
    Granted,
    /// It was refused not long ago, or there is no room.
    Refused(PermissionError),
}

/// The permissions of one allocation, sorted by peer.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    entries: Vec<Entry>,
}

impl Permissions {
    /// Until when the server lets `peer` through, if it does at `now`.
    pub(crate) fn until(&self, peer: IpAddr, now: Instant) -> Option<Instant> {
        match self.entry(peer)?.state {
            State::Granted(lease) if lease.is_live(now) => Some(lease.until()),
            _ => None,
        }
    }

    /// RFC 8656 §11.4: whether datagrams of `peer` are to be believed at `now`.
    pub(crate) fn allows(&self, peer: IpAddr, now: Instant) -> bool {
        self.until(peer, now).is_some()
    }

    pub(crate) fn permit(&mut self, now: Instant, peer: IpAddr) -> Permit {
        let index = match self.position(peer) {
            Ok(index) => index,
            Err(_) if !self.make_room() => return Permit::Refused(PermissionError::TableFull),
            Err(_) => {
                let (Ok(index) | Err(index)) = self.position(peer);
                let state = State::Asking(Asking::NEW);
                self.entries.insert(index, Entry::new(peer, state));
                return Permit::Asked;
            }
        };
        let Some(entry) = self.entries.get_mut(index) else { return Permit::Asked };
        entry.wanted = true;
        match entry.state {
            State::Asking(_) => Permit::Asked,
            State::Granted(lease) if lease.is_live(now) => Permit::Granted,
            State::Refused { error, again_at } if now < again_at => Permit::Refused(error),
            State::Granted(_) | State::Refused { .. } => {
                entry.state = State::Asking(Asking::NEW);
                Permit::Asked
            }
        }
    }

    /// No longer renewed. An entry that only waits is gone at once, others when they end.
    pub(crate) fn forget(&mut self, peer: IpAddr) {
        self.forget_others(|other| other != peer);
    }

    /// The same for all whom `keep` does not name.
    pub(crate) fn forget_others(&mut self, keep: impl Fn(IpAddr) -> bool) {
        self.entries.retain_mut(|entry| {
            entry.wanted &= keep(entry.peer);
            entry.wanted || !matches!(entry.state, State::Asking(Asking::Waiting(_) | Asking::Paused(..)))
        });
    }

    /// Makes an entry for a peer whose ChannelBind is about to install the permission, if there is none.
    pub(crate) fn admit(&mut self, peer: IpAddr) {
        if self.position(peer).is_err() && self.make_room() {
            let (Ok(index) | Err(index)) = self.position(peer);
            let state = State::Asking(Asking::InFlight);
            self.entries.insert(index, Entry::new(peer, state));
        }
    }

    /// The server installed or renewed the permission, by whatever request. Returns whether that is news.
    pub(crate) fn grant(&mut self, now: Instant, started: Instant, peer: IpAddr) -> bool {
        let Some(entry) = self.entry_mut(peer) else { return false };
        let lease = Lease::granted(now, started, PERMISSION_LIFETIME);
        entry.refusals = 0;
        if entry.renewal == Renewal::Apart {
            entry.renewal = Renewal::Together;
        }
        match &mut entry.state {
            State::Granted(held) => {
                held.extend(lease);
                false
            }
            _ if lease.is_live(now) => {
                entry.state = State::Granted(lease);
                entry.wanted
            }
            // The answer took longer than what it grants, as on a host that slept: it is asked for once more.
            State::Asking(_) => {
                entry.state = State::Asking(Asking::NEW);
                false
            }
            State::Refused { .. } => false,
        }
    }

    /// The request for `peer` failed. What is granted stays granted until it ends; what was asked for the
    /// first time is refused, which is what this returns then.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        peer: IpAddr,
        error: RequestError,
    ) -> Option<PermissionError> {
        let Ok(index) = self.position(peer) else { return None };
        let entry = self.entries.get_mut(index)?;
        match &mut entry.state {
            State::Granted(lease) => {
                lease.fail(now, error);
                entry.renewal = match (error, entry.renewal) {
                    // It was named alone: a batch would have been split.
                    (RequestError::Refused { code }, _) if is_about_peer(code) => Renewal::Alone,
                    // RFC 8489 §6.3.4: many requests in place of one are no help for a server that has a problem.
                    (_, Renewal::Together) if !lease.is_repeated(error) => Renewal::Apart,
                    (_, renewal) => renewal,
                };
                None
            }
            State::Asking(_) => {
                let refused = PermissionError::Request(error);
                let again_at = now.after(pause(error, entry.refusals));
                entry.refusals = entry.refusals.saturating_add(1);
                entry.state = State::Refused { error: refused, again_at };
                Some(refused).filter(|_| entry.wanted)
            }
            State::Refused { .. } => None,
        }
    }

    /// A batch was refused, which says nothing about any one of its peers: each is asked for on its own, at once.
    pub(crate) fn split(&mut self, now: Instant, peers: &[IpAddr]) {
        for entry in self.entries.iter_mut().filter(|entry| peers.contains(&entry.peer)) {
            entry.renewal = Renewal::Apart;
            if let State::Granted(lease) = &mut entry.state {
                lease.renew_at_once(now);
            }
        }
    }

    /// The credentials have changed: renewals that failed need not wait.
    pub(crate) fn retry_at_once(&mut self, now: Instant) {
        for entry in &mut self.entries {
            if let State::Granted(lease) = &mut entry.state {
                lease.retry_at_once(now);
            }
        }
    }

    /// Back to waiting for a slot, or for a pause to end first.
    pub(crate) fn ask_again(&mut self, peer: IpAddr, asking: Asking) {
        if let Some(entry) = self.entry_mut(peer)
            && matches!(entry.state, State::Asking(_))
        {
            entry.state = State::Asking(asking);
        }
    }

    /// Whether a peer waits for a slot.
    pub(crate) fn wants_slot(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.state, State::Asking(Asking::Waiting(_))))
    }

    /// The next peer that waits for a slot; it counts as asked from here on.
    pub(crate) fn take_waiting(&mut self) -> Option<(IpAddr, Attempts)> {
        self.entries.iter_mut().find_map(|entry| match entry.state {
            State::Asking(Asking::Waiting(attempts)) => {
                entry.state = State::Asking(Asking::InFlight);
                Some((entry.peer, attempts))
            }
            _ => None,
        })
    }

    /// Peers to be renewed by one request now, marked as asked; empty if none is due.
    ///
    /// RFC 8656 §10.1: one request may name several peers. Whoever is due alone goes alone.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut peers = Vec::new();
        let Some(first) = self.entries.iter_mut().find(|entry| entry.lease_due(now)) else { return peers };
        first.begin();
        peers.push(first.peer);
        if first.renewal != Renewal::Together {
            return peers;
        }
        let horizon = now.after(BATCH_WINDOW);
        for entry in self.entries.iter_mut().filter(|entry| entry.joins_batch(horizon)) {
            if peers.len() >= MAX_BATCH {
                break;
            }
            entry.begin();
            peers.push(entry.peer);
        }
        peers
    }

    /// Ends pauses and permissions whose time has come. Returns one peer whose permission ran out although it
    /// was wanted; to be called until there is none.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<IpAddr> {
        self.entries.retain(|entry| entry.wanted || !entry.has_ended(now));
        for entry in &mut self.entries {
            match entry.state {
                State::Asking(Asking::Paused(until, attempts)) if until <= now => {
                    entry.state = State::Asking(Asking::Waiting(attempts));
                }
                State::Granted(lease) if !lease.is_live(now) => {
                    let again_at = now;
                    entry.state = State::Refused { error: PermissionError::Expired, again_at };
                    return Some(entry.peer);
                }
                _ => {}
            }
        }
        None
    }

    /// The next instant at which something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.entries.iter().filter_map(Entry::deadline).min()
    }

    /// Removes one peer of this kind, and returns it.
    pub(crate) fn remove_first(&mut self, which: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let index = self.entries.iter().position(|entry| which(&entry.peer))?;
        Some(self.entries.remove(index).peer)
    }

    pub(crate) fn clear(&mut self) {
        self.entries = Vec::new();
    }

    fn position(&self, peer: IpAddr) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&peer, |entry| entry.peer)
    }

    fn entry(&self, peer: IpAddr) -> Option<&Entry> {
        self.entries.get(self.position(peer).ok()?)
    }

    fn entry_mut(&mut self, peer: IpAddr) -> Option<&mut Entry> {
        let index = self.position(peer).ok()?;
        self.entries.get_mut(index)
    }

    /// Whether there is room for one more, if need be by dropping a refused entry, else an unwanted one.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < MAX_PERMISSIONS {
            return true;
        }
        let refused = self.entries.iter().position(|entry| matches!(entry.state, State::Refused { .. }));
        let index = refused.or_else(|| self.entries.iter().position(|entry| !entry.wanted));
        let Some(index) = index else { return false };
        self.entries.remove(index);
        true
    }
}

impl Entry {
    const fn new(peer: IpAddr, state: State) -> Self {
        Self { peer, wanted: true, renewal: Renewal::Together, refusals: 0, state }
    }

    fn lease_due(&self, now: Instant) -> bool {
        self.wanted && matches!(self.state, State::Granted(lease) if lease.is_live(now) && lease.is_due(now))
    }

    fn joins_batch(&self, horizon: Instant) -> bool {
        let together = self.wanted && self.renewal == Renewal::Together;
        together && matches!(self.state, State::Granted(lease) if lease.is_due(horizon))
    }

    fn begin(&mut self) {
        if let State::Granted(lease) = &mut self.state {
            lease.begin();
        }
    }

    fn has_ended(&self, now: Instant) -> bool {
        match self.state {
            State::Granted(lease) => !lease.is_live(now),
            State::Refused { again_at, .. } => again_at <= now,
            State::Asking(_) => false,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Asking(Asking::Paused(until, _)) => Some(until),
            State::Asking(_) => None,
            State::Granted(lease) => Some(lease.deadline(self.wanted)),
            // Nobody waits for this; it only ends the entry.
            State::Refused { again_at, .. } => (!self.wanted).then_some(again_at),
        }
    }
}
