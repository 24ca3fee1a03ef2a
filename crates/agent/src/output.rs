//! What an agent wants done, drained after every input.

use floe_gather::Request;
use floe_pair::{BaseId, ComponentId, StreamId, TransportAddress};
use floe_stun::{Instant, channel};

use crate::{
    agent::{Agent, Life},
    event::{Event, State},
    io::{Ecn, Transmit, TransmitKind},
    states::shown,
};

/// Room for a check before it is wrapped for a TURN server: the longest one, with two user fragments of 256
/// characters, has under 700 bytes.
const LARGEST_CHECK: usize = 1024;
const CHANNEL_HEADER: usize = 4;

impl Agent {
    /// The next datagram to send, written into `buffer`. 1500 bytes are enough unless credentials are unusually
    /// long; [`MAX_REQUEST_BYTES`](floe_turn::MAX_REQUEST_BYTES) always are. What does not fit is lost.
    #[inline]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        self.catch_up();
        // It is asked once more after each datagram and each input, and then there is none.
        let silent = self.generations.earlier.is_empty() && !self.checks.has_transmits();
        if silent && !self.gatherer.has_transmits() { None } else { self.next_transmit(buffer) }
    }

    fn next_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        while self.life == Life::Open {
            let Some(check) = self.poll_check(buffer) else { break };
            self.ledger.on_sent(check.kind, buffer.get(..check.len).unwrap_or_default());
            let kind = kind(check.kind);
            if let Some(from) = self.gatherer.place_of(check.from) {
                let (dscp, ecn) = (self.dscp, Ecn::NotCapable);
                return Some(Transmit { from, to: check.to, len: check.len, dscp, ecn, kind });
            }
            // What the allocation cannot carry any more is lost like any datagram.
            if let Some(transmit) = self.wrap(check.from, check.to, check.len, buffer, kind) {
                return Some(transmit);
            }
        }
        if self.gatherer.has_transmits() { self.next_gathering(buffer) } else { None }
    }

    /// The next datagram of gathering. Apart: once the checks have begun, hardly any is left.
    #[inline(never)]
    fn next_gathering(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let sent = self.gatherer.poll_transmit(buffer)?;
        let kind = if self.gatherer.relay_at(sent.place, sent.to).is_some() {
            TransmitKind::Relay
        } else {
            TransmitKind::Gathering
        };
        let (dscp, ecn) = (self.dscp, Ecn::NotCapable);
        Some(Transmit { from: sent.place, to: sent.to, len: sent.len, dscp, ecn, kind })
    }

    /// The next check, answer or keepalive of any generation, the one in force first.
    #[inline]
    fn poll_check(&mut self, buffer: &mut [u8]) -> Option<floe_check::CheckTransmit> {
        let check = self.checks.poll_transmit(buffer);
        if check.is_some() || self.generations.earlier.is_empty() {
            return check;
        }
        self.generations.earlier.iter_mut().rev().find_map(|earlier| earlier.checks.poll_transmit(buffer))
    }

    /// The next thing that only the driver can do.
    #[inline]
    pub fn poll_request(&mut self) -> Option<Request> {
        // It is asked after every input, and hardly ever wants anything.
        let quiet = self.life == Life::Open && !self.stale && !self.gatherer.has_requests();
        if quiet { None } else { self.next_request() }
    }

    fn next_request(&mut self) -> Option<Request> {
        loop {
            let request = self.gatherer.poll_request();
            if request.is_none() && self.stale {
                self.catch_up();
                continue;
            }
            self.note_closed();
            let adopted = request.as_ref().and_then(|request| self.adopt(request));
            let Some((id, answer)) = adopted else { return request };
            self.handle_answer(self.now, id, answer);
        }
    }

    /// The next event. The states are told after all others, those of the data streams first, as the difference to what
    /// was told before: one change for everything that happened meanwhile.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.catch_up();
        // It is asked after every input, and mostly there is nothing to say.
        if self.is_quiet() {
            if self.told.state == State::Completed {
                self.events.release_memory();
            }
            return None;
        }
        self.next_event()
    }

    /// Whether an agent with one component, that has no earlier generation, has told everything.
    #[inline]
    fn is_quiet(&self) -> bool {
        let [only] = self.components.as_slice() else { return false };
        self.life == Life::Open
            && self.generations.earlier.is_empty()
            && self.events.is_empty()
            && [self.told.state, only.told] == [shown(self.checks.state()); 2]
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop() {
            return Some(event);
        }
        let state = self.state();
        if let Some(event) = self.stream_news(state) {
            return Some(event);
        }
        if core::mem::replace(&mut self.told.state, state) != state {
            if state == State::Failed {
                self.emit(Event::Failed(self.failure()));
            }
            return Some(Event::State(state));
        }
        if state == State::Completed {
            self.events.release_memory();
        }
        let closed = self.life == Life::Closed;
        (core::mem::replace(&mut self.told.closed, closed) != closed).then_some(Event::Closed)
    }

    /// The next datagram that came before its pair was valid and may be had now: copied into `buffer`, cut to
    /// its length.
    pub fn poll_data(&mut self, buffer: &mut [u8]) -> Option<(StreamId, ComponentId, usize)> {
        let Self { components, checks, generations, .. } = self;
        let earlier = || generations.earlier.iter().map(|earlier| &earlier.checks);
        let is_valid = |base, source| {
            core::iter::once(&*checks).chain(earlier()).any(|checks| checks.is_valid(base, source).is_some())
        };
        components.iter_mut().filter(|component| !component.early.is_empty()).find_map(|component| {
            let held = component.early.release(is_valid)?;
            let len = held.len().min(buffer.len());
            buffer.get_mut(..len)?.copy_from_slice(held.get(..len)?);
            Some((component.stream, component.id, len))
        })
    }

    /// When [`Agent::handle_timeout`] has something to do: nothing is due before, something is then. While events were
    /// not read since the last input that is at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stale {
            return Some(self.now);
        }
        let open = self.life == Life::Open;
        let checks = if open { self.checks.poll_timeout() } else { None };
        let earlier = if open { self.generations.poll_timeout() } else { None };
        let parts = first(first(checks, earlier), self.gatherer.poll_timeout());
        first(parts, self.slot_deadline()).map(|at| at.max(self.now))
    }

    /// Wraps a check of `len` bytes at the start of `buffer` for the allocation it leaves from. Apart, for the room it
    /// takes on the stack.
    #[inline(never)]
    fn wrap(
        &mut self,
        base: BaseId,
        to: TransportAddress,
        len: usize,
        buffer: &mut [u8],
        kind: TransmitKind,
    ) -> Option<Transmit> {
        let relay = self.gatherer.relay_mut(base)?;
        let peer = to.socket_addr();
        let len = match relay.client.channel(peer) {
            Some((number, until)) if self.now < until => {
                let whole = len.checked_add(CHANNEL_HEADER)?;
                buffer.get_mut(..whole)?.copy_within(..len, CHANNEL_HEADER);
                let header = channel::write_header(number, u16::try_from(len).ok()?);
                buffer.get_mut(..CHANNEL_HEADER)?.copy_from_slice(&header);
                whole
            }
            _ => {
                let mut check = [0; LARGEST_CHECK];
                let check = check.get_mut(..len)?;
                check.copy_from_slice(buffer.get(..len)?);
                relay.client.send_indication(self.now, peer, check, buffer, &mut self.random).ok()?
            }
        };
        let (dscp, ecn) = (self.dscp, Ecn::NotCapable);
        Some(Transmit { from: relay.place, to: relay.server, len, dscp, ecn, kind })
    }
}

/// The earlier of two deadlines, where there are two.
#[inline]
fn first(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn kind(kind: floe_check::TransmitKind) -> TransmitKind {
    match kind {
        floe_check::TransmitKind::Check => TransmitKind::Check,
        floe_check::TransmitKind::Response => TransmitKind::Response,
        floe_check::TransmitKind::Consent => TransmitKind::Consent,
        floe_check::TransmitKind::Keepalive => TransmitKind::Keepalive,
    }
}
