//! Channels: short names for peers (RFC 8656 §12).
//!
//! ```text
//!  bind ──▶ Wanted ──sent──▶ Asked ──success──▶ Bound ⇄ (renewed while wanted)
//!              ▲               │ refused,          │ until
//!              │               ▼ unanswered        ▼
//!              └─── bind ──── Idle ──5 minutes after the binding has ended──▶ (gone)
//! ```
//!
//! While an entry is here its number and its peer belong together and to nothing else, which is all that
//! RFC 8656 §12 asks for after a binding has expired.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use floe_stun::{ChannelNumber, Instant, Random};

use crate::error::{ChannelError, RequestError};
use crate::refresh::{Lease, pause};
use crate::request::{Asking, Attempts};

/// RFC 8656 §12: how long a binding lasts.
pub(crate) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// RFC 8656 §12: how long after its end neither number nor peer is bound otherwise.
const COOL_DOWN: Duration = Duration::from_secs(300);
/// Channels kept, those that cool down among them. One is bound for each selected pair over this allocation,
/// so that this is far more than a session has; peers without one are reached by Send indications.
/// When it is full, nothing is dropped (the cool-down forbids it) and the new binding is refused.
pub const MAX_CHANNELS: usize = 64;
/// RFC 8656 §12: the first and the last number a client may use.
const FIRST_NUMBER: u16 = 0x4000;
const NUMBERS: u16 = 0x1000;

#[derive(Debug)]
enum State {
    Asking(Asking),
    Bound(Lease),
    Idle { error: ChannelError, again_at: Instant },
}

#[derive(Debug)]
struct Binding {
    peer: SocketAddr,
    number: ChannelNumber,
    /// Whether it is to be renewed.
    wanted: bool,
    /// Refusals in a row; each makes the back-off longer.
    refusals: u8,
    /// When number and peer may go different ways, as far as the server may have bound them up to now.
    free_at: Instant,
    /// Until when the server may have bound them although no answer came, to the first request or to a renewal.
    perhaps_until: Instant,
    state: State,
}

/// What `bind` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    Asked,
    Bound(ChannelNumber),
    Refused(ChannelError),
}

/// The channels of one allocation.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    bindings: Vec<Binding>,
    /// Peers that wait for a number: one is drawn where random values are at hand.
    unnumbered: Vec<SocketAddr>,
    /// The number to try next; its start is random, so that an old server state is seldom met.
    next: Option<u16>,
}

impl Channels {
    /// The number bound to `peer` and until when, if one is at `now`.
    pub(crate) fn bound(&self, peer: SocketAddr, now: Instant) -> Option<(ChannelNumber, Instant)> {
        self.bindings.iter().find_map(|binding| match binding.state {
            State::Bound(lease) if binding.peer == peer && lease.is_live(now) => {
                Some((binding.number, lease.until()))
            }
            _ => None,
        })
    }

    /// Whose data comes with `number`. RFC 8656 §12: from the moment that the request is sent, not only after
    /// its answer, which ChannelData can overtake. The flag says that the binding is confirmed.
    pub(crate) fn peer(&self, number: ChannelNumber, now: Instant) -> Option<(SocketAddr, bool)> {
        let binding = self.bindings.iter().find(|binding| binding.number == number)?;
        match binding.state {
            State::Bound(lease) if lease.is_live(now) => Some((binding.peer, true)),
            State::Asking(Asking::InFlight) => Some((binding.peer, false)),
            // A request whose answers were all lost, the first or a renewal, may have been carried out: then everything
            // of this peer comes over the channel, and what was dropped here would be lost for good.
            State::Bound(_) | State::Asking(_) | State::Idle { .. } => {
                (now < binding.perhaps_until).then_some((binding.peer, false))
            }
        }
    }

    pub(crate) fn bind(&mut self, now: Instant, peer: SocketAddr) -> Bind {
        if self.unnumbered.contains(&peer) {
            return Bind::Asked;
        }
        let Some(binding) = self.bindings.iter_mut().find(|binding| binding.peer == peer) else {
            if self.bindings.len().saturating_add(self.unnumbered.len()) >= MAX_CHANNELS {
                return Bind::Refused(ChannelError::TableFull);
            }
            self.unnumbered.push(peer);
            return Bind::Asked;
        };
        binding.wanted = true;
        match binding.state {
            State::Asking(_) => Bind::Asked,
            State::Bound(lease) if lease.is_live(now) => Bind::Bound(binding.number),
            State::Idle { error, again_at } if now < again_at => Bind::Refused(error),
            // The same number for the same peer may be bound again without waiting.
            State::Bound(_) | State::Idle { .. } => {
                binding.state = State::Asking(Asking::NEW);
                Bind::Asked
            }
        }
    }

    /// The bindings `which` names are no longer renewed.
    pub(crate) fn release(&mut self, which: impl Fn(SocketAddr) -> bool) {
        self.unnumbered.retain(|peer| !which(*peer));
        for binding in self.bindings.iter_mut().filter(|binding| which(binding.peer)) {
            binding.wanted = false;
        }
    }

    /// Gives every new peer a number.
    pub(crate) fn assign(&mut self, now: Instant, rng: &mut Random) {
        for peer in core::mem::take(&mut self.unnumbered) {
            let Some(number) = self.free_number(rng) else { continue };
            let state = State::Asking(Asking::NEW);
            let (free_at, perhaps_until) = (now, Instant::ORIGIN);
            self.bindings.push(Binding {
                peer,
                number,
                wanted: true,
                refusals: 0,
                free_at,
                perhaps_until,
                state,
            });
        }
    }

    /// A binding to be asked for now, marked as asked: a new one or, the flag says, one to be renewed.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(SocketAddr, ChannelNumber, Attempts, bool)> {
        self.bindings.iter_mut().find_map(|binding| {
            let (attempts, renewal) = match &mut binding.state {
                State::Asking(Asking::Waiting(attempts)) => (*attempts, false),
                State::Bound(lease) if binding.wanted && lease.is_live(now) && lease.is_due(now) => {
                    lease.begin();
                    // The lease may end before it is known what became of the request.
                    binding.perhaps_until = now.after(CHANNEL_LIFETIME);
                    (Attempts::NEW, true)
                }
                _ => return None,
            };
            if !renewal {
                binding.state = State::Asking(Asking::InFlight);
            }
            Some((binding.peer, binding.number, attempts, renewal))
        })
    }

    /// The server bound or renewed the channel. Returns whether that is news.
    pub(crate) fn grant(&mut self, now: Instant, started: Instant, number: ChannelNumber) -> bool {
        let Some(binding) = self.binding_mut(number) else { return false };
        let lease = Lease::granted(now, started, CHANNEL_LIFETIME);
        binding.refusals = 0;
        // The lease is counted from when the request was sent first; the server's binding may have begun with a later copy
        // of it, and RFC 8656 §12 has what follows wait for the end of that one.
        binding.perhaps_until = binding.perhaps_until.max(now.after(CHANNEL_LIFETIME));
        if let State::Bound(held) = &mut binding.state {
            held.extend(lease);
            return false;
        }
        binding.state = State::Bound(lease);
        binding.wanted
    }

    /// The request for `number` failed; returns the error where none is bound now.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        error: RequestError,
    ) -> Option<ChannelError> {
        let binding = self.binding_mut(number)?;
        // An unanswered request may have been carried out, even the last copy of it.
        if error == RequestError::TimedOut {
            binding.perhaps_until = now.after(CHANNEL_LIFETIME);
        }
        match &mut binding.state {
            State::Bound(lease) => {
                lease.fail(now, error);
                None
            }
            State::Asking(_) => {
                let refused = ChannelError::Request(error);
                binding.free_at = now.after(CHANNEL_LIFETIME).after(COOL_DOWN);
                let again_at = now.after(pause(error, binding.refusals));
                binding.refusals = binding.refusals.saturating_add(1);
                binding.state = State::Idle { error: refused, again_at };
                Some(refused).filter(|_| binding.wanted)
            }
            State::Idle { .. } => None,
        }
    }

    /// The credentials have changed: renewals that failed need not wait.
    pub(crate) fn retry_at_once(&mut self, now: Instant) {
        for binding in &mut self.bindings {
            if let State::Bound(lease) = &mut binding.state {
                lease.retry_at_once(now);
            }
        }
    }

    /// To be asked for again, after a pause or at once.
    pub(crate) fn ask_again(&mut self, number: ChannelNumber, asking: Asking) {
        if let Some(binding) = self.binding_mut(number)
            && matches!(binding.state, State::Asking(_))
        {
            binding.state = State::Asking(asking);
        }
    }

    /// Ends pauses, bindings and cool-downs whose time has come. Returns one peer whose binding ran out although
    /// it was wanted; to be called until there is none.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<SocketAddr> {
        self.bindings
            .retain(|binding| !(matches!(binding.state, State::Idle { .. }) && binding.free_at <= now));
        for binding in &mut self.bindings {
            match binding.state {
                State::Asking(Asking::Paused(until, attempts)) if until <= now => {
                    binding.state = State::Asking(Asking::Waiting(attempts));
                }
                State::Bound(lease) if !lease.is_live(now) => {
                    binding.state = State::Idle { error: ChannelError::Expired, again_at: now };
                    binding.free_at = lease.until().max(binding.perhaps_until).after(COOL_DOWN);
                    if binding.wanted {
                        return Some(binding.peer);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The next instant at which something is due; `now` if something is at once.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if !self.unnumbered.is_empty() {
            return Some(now);
        }
        self.bindings.iter().filter_map(|binding| binding.deadline(now)).min()
    }

    /// Whether the address has a channel that is wanted: its permission is kept for it.
    pub(crate) fn wants(&self, peer: IpAddr) -> bool {
        self.bindings.iter().any(|binding| binding.wanted && binding.peer.ip() == peer)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next number to try, for tests of the end of the range.
    #[cfg(test)]
    pub(crate) fn start_at(&mut self, offset: u16) {
        self.next = Some(offset);
    }

    fn binding_mut(&mut self, number: ChannelNumber) -> Option<&mut Binding> {
        self.bindings.iter_mut().find(|binding| binding.number == number)
    }

    /// RFC 8656 §12: a number of the range that no entry holds, going round from a random start.
    fn free_number(&mut self, rng: &mut Random) -> Option<ChannelNumber> {
        let mut offset = match self.next {
            Some(next) => next,
            None => u16::try_from(rng.below(u64::from(NUMBERS))).unwrap_or_default(),
        };
        for _ in 0..=MAX_CHANNELS {
            let number = ChannelNumber::new(FIRST_NUMBER.saturating_add(offset))?;
            offset = offset.wrapping_add(1) & NUMBERS.wrapping_sub(1);
            if self.binding_mut(number).is_none() {
                self.next = Some(offset);
                return Some(number);
            }
        }
        None
    }
}

impl Binding {
    fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Asking(Asking::Waiting(_)) => Some(now),
            State::Asking(Asking::Paused(until, _)) => Some(until),
            State::Asking(Asking::InFlight) => None,
            State::Bound(lease) => Some(lease.deadline(self.wanted)),
            State::Idle { .. } => Some(self.free_at),
        }
    }
}
