//! What the user of an agent may ask of it.

use alloc::vec::Vec;
use core::fmt;

use floe_gather::Interface;
use floe_pair::{CandidateLine, ComponentId, Parameters, StreamId, Transport, TransportAddress};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life},
    event::{Event, State},
    io::{Dscp, Ecn, Transmit, TransmitKind},
    path::{Frame, PathError},
};

/// What became of a remote candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It is paired, or will be as soon as it can.
    Added,
    /// It is of no use; nothing else is disturbed.
    Ignored(Ignored),
}

/// Why a remote candidate is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ignored {
    /// Its address is a name (RFC 8839 §5.1).
    Name,
    /// Its transport is not checked.
    Transport,
    /// Nothing can be sent there: no port, an unspecified, multicast or broadcast address.
    Address,
    /// It belongs to another generation (RFC 8838 §15).
    Generation,
    /// This agent has no such component (RFC 8445 §6.1.2.2).
    Component,
}

/// A call that does not fit the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiError {
    /// The agent has no such data stream.
    NoSuchStream(StreamId),
    /// The agent was closed.
    Closed,
    /// The peer's parameters were given before, and were others.
    ParametersChanged,
}

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The agent has no such component.
    NoSuchComponent(StreamId, ComponentId),
    /// No pair of the component is valid yet, or none any more.
    NoPath,
    /// Consent has ended, or the payload is too long.
    Path(PathError),
    /// The TURN client refused it.
    Relay(floe_turn::SendError),
    /// The buffer is shorter than the datagram; the length that is needed.
    BufferTooSmall(usize),
}

impl Agent {
    /// Begins to gather candidates. Without this the agent has none; again is without effect.
    pub fn gather(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.life != Life::Open {
            return;
        }
        let components =
            self.components.iter().map(|component| (component.stream, component.id)).collect::<Vec<_>>();
        self.gatherer.start(now, &components);
        self.pump(now);
    }

    /// The addresses of this host, all of them, now and whenever they change.
    pub fn handle_interfaces(&mut self, now: Instant, interfaces: &[Interface]) {
        let now = self.advance(now);
        if self.life == Life::Open {
            self.gatherer.handle_interfaces(now, interfaces);
            self.pump(now);
        }
    }

    /// What the peer signalled: user fragment, password, options (RFC 8839 §5).
    ///
    /// # Errors
    /// [`ApiError::ParametersChanged`] where others were given before, [`ApiError::Closed`].
    pub fn set_remote_parameters(&mut self, now: Instant, parameters: Parameters) -> Result<(), ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if let Some(before) = self.checks.remote_parameters() {
            let same = before.ufrag == parameters.ufrag && before.pwd.expose() == parameters.pwd.expose();
            return if same { Ok(()) } else { Err(ApiError::ParametersChanged) };
        }
        self.checks.set_remote_parameters(now, parameters);
        self.gatherer.set_ta(self.checks.ta_in_force());
        self.pump(now);
        Ok(())
    }

    /// A candidate of the peer.
    ///
    /// # Errors
    /// [`ApiError`] where the call does not fit the agent. A candidate of no use is no error.
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        stream: StreamId,
        line: &CandidateLine,
    ) -> Result<Added, ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if !self.components.iter().any(|component| component.stream == stream) {
            return Err(ApiError::NoSuchStream(stream));
        }
        // RFC 8838 §15: a candidate of another generation belongs to no checklist of this one.
        if let (Some(of), Some(current)) = (line.ufrag(), self.checks.remote_parameters())
            && of != current.ufrag.as_str()
        {
            return Ok(Added::Ignored(self.ledger.on_ignored(Ignored::Generation)));
        }
        let Some(candidate) = line.candidate() else {
            return Ok(Added::Ignored(self.ledger.on_ignored(Ignored::Name)));
        };
        if candidate.transport != Transport::Udp {
            return Ok(Added::Ignored(self.ledger.on_ignored(Ignored::Transport)));
        }
        // A datagram to port 0 fails, and costs some systems more than the datagram.
        if candidate.address.port() == 0 || !candidate.address.is_unicast() {
            return Ok(Added::Ignored(self.ledger.on_ignored(Ignored::Address)));
        }
        if self.component(stream, candidate.component).is_none() {
            return Ok(Added::Ignored(self.ledger.on_ignored(Ignored::Component)));
        }
        self.ledger.on_remote(&candidate);
        self.checks.add_remote_candidate(now, stream, candidate);
        self.pump(now);
        Ok(Added::Added)
    }

    /// The peer has no more candidates (RFC 8838 §14).
    pub fn remote_gathering_complete(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.life == Life::Open {
            for component in &self.components {
                self.checks.remote_gathering_complete(now, component.stream);
            }
            self.pump(now);
        }
    }

    /// Frames one datagram of a component into `buffer`, for the driver to send. Works on every path; where
    /// [`Agent::path`] has a handle, that is the cheaper way.
    ///
    /// # Errors
    /// [`SendError`]; nothing is kept for later.
    pub fn send(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        payload: &[u8],
        buffer: &mut [u8],
    ) -> Result<Transmit, SendError> {
        let now = self.advance(now);
        let part = self.component(stream, component).ok_or(SendError::NoSuchComponent(stream, component))?;
        match part.path.as_ref().map(|path| path.frame(now, payload.len())) {
            Some(Ok(frame)) => return write(&frame, payload, buffer),
            Some(Err(error @ PathError::TooLong(_))) => return Err(SendError::Path(error)),
            // Where it was a channel that ended, Send indications are left.
            Some(Err(PathError::Expired)) | None => {}
        }
        if self.life != Life::Open {
            return Err(SendError::NoPath);
        }
        // No handle: a relayed pair without a channel, over Send indications (RFC 8656 §11).
        let pair = self.sending_pair(stream, component).ok_or(SendError::NoPath)?;
        if now >= pair.valid_until {
            return Err(SendError::Path(PathError::Expired));
        }
        let dscp = self.dscp;
        let relay = self.gatherer.relay_mut(pair.base).ok_or(SendError::NoPath)?;
        let peer = pair.remote.socket_addr();
        let len = relay
            .client
            .send_indication(now, peer, payload, buffer, &mut self.random)
            .map_err(SendError::Relay)?;
        Ok(data(relay.place, relay.server, len, dscp))
    }

    /// Ends the agent: no check and no data from now on, every allocation is released (at most 3 s), then every
    /// socket. [`Event::Closed`] is the last event.
    pub fn close(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.life != Life::Open {
            return;
        }
        self.life = Life::Closing;
        for component in &mut self.components {
            component.early.clear();
        }
        self.gatherer.close(now);
        self.emit(Event::State(State::Closed));
        // This takes the paths back as well.
        self.pump(now);
    }
}

fn data(from: floe_pair::Place, to: TransportAddress, len: usize, dscp: Dscp) -> Transmit {
    Transmit { from, to, len, dscp, ecn: Ecn::NotCapable, kind: TransmitKind::Data }
}

fn write(frame: &Frame, payload: &[u8], buffer: &mut [u8]) -> Result<Transmit, SendError> {
    let header = frame.header();
    let len = header.len().saturating_add(payload.len());
    let too_small = SendError::BufferTooSmall(len);
    let (head, rest) = buffer.split_at_mut_checked(header.len()).ok_or(too_small)?;
    head.copy_from_slice(header);
    rest.get_mut(..payload.len()).ok_or(too_small)?.copy_from_slice(payload);
    Ok(data(frame.from, frame.to, len, frame.dscp))
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "its address is a name",
            Self::Transport => "its transport is not checked",
            Self::Address => "nothing can be sent to its address",
            Self::Generation => "it belongs to another generation",
            Self::Component => "there is no such component",
        })
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStream(stream) => write!(f, "the agent has no data stream {}", stream.0),
            Self::Closed => f.write_str("the agent was closed"),
            Self::ParametersChanged => f.write_str("other parameters of the peer were given before"),
        }
    }
}

impl core::error::Error for ApiError {}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchComponent(stream, component) => {
                write!(f, "the agent has no component {} in data stream {}", component.get(), stream.0)
            }
            Self::NoPath => f.write_str("no pair of the component is valid"),
            Self::Path(error) => error.fmt(f),
            Self::Relay(error) => write!(f, "relay: {error}"),
            Self::BufferTooSmall(needed) => {
                write!(f, "the buffer is shorter than the {needed} bytes that are needed")
            }
        }
    }
}

impl core::error::Error for SendError {}
