//! What the user of an agent may ask of it.

use alloc::vec::Vec;
use core::fmt;

use floe_check::{NominateError, PairId, RemoteOutcome};
use floe_gather::Interface;
use floe_pair::{Candidate, CandidateLine, ComponentId, StreamId, Transport, TransportAddress, Ufrag};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life},
    generation::{Belongs, Early},
    io::{Dscp, Ecn, Transmit, TransmitKind},
    path::{Frame, PathError},
};

/// What became of a remote candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is paired, or will be as soon as it can; or it was known.
    Added,
    /// The parameters it belongs to are not known yet: it waits for them. Of more than 128 the oldest go.
    Held,
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
    /// It belongs to a generation of the past (RFC 8838 §9).
    Generation,
    /// This agent has no such component (RFC 8445 §6.1.2.2).
    Component,
    /// It came after the peer's end of candidates for its data stream (RFC 8838 §14).
    Ended,
    /// The policy for pairs denies its address.
    Denied,
    /// There are as many as the limit allows, all of higher priority.
    Full,
}

/// A call that does not fit the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiError {
    /// The agent has no such data stream.
    NoSuchStream(StreamId),
    /// The agent was closed.
    Closed,
    /// The peer's password is another and its user fragment is not: a restart changes both (RFC 8445 §9).
    ParametersChanged,
    /// These parameters of the peer were left behind by a restart.
    OldGeneration,
    /// Credentials for a restart of which one is like before (RFC 8445 §9).
    SameCredentials,
    /// RFC 8839 §5.4 allows up to 32 characters to be sent; the number given.
    UfragTooLong(usize),
    /// Another agent has this user fragment, so that checks could not be told apart; said by those who drive several.
    UfragInUse,
    /// A restart waits for the peer's answer.
    RestartPending,
    /// No restart waits for the peer's answer.
    NoRestart,
    /// The agent has no such component.
    NoSuchComponent(StreamId, ComponentId),
    /// Without this component, or with it, those of its data stream would not count from 1 without a gap
    /// (RFC 8839 §5.1).
    ComponentGap(StreamId, ComponentId),
    /// The generation in force has no such pair.
    NoSuchPair(PairId),
    /// This pair is not kept: [`KEPT_LIMIT`](floe_check::KEPT_LIMIT) others of its component are.
    TooManyKept(PairId),
    /// The pair is not nominated.
    Nominate(NominateError),
    /// More data streams than an agent takes.
    TooManyStreams,
    /// It is the last component, and an agent has at least one.
    LastComponent,
    /// No TURN server with this number is configured.
    NoSuchServer(usize),
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
        if let [only] = self.components.as_slice() {
            self.gatherer.start(now, &[(only.stream, only.id)]);
        } else {
            let components = self.components().collect::<Vec<_>>();
            self.gatherer.start(now, &components);
        }
        self.stale = true;
    }

    /// The addresses of this host, all of them, now and whenever they change.
    pub fn handle_interfaces(&mut self, now: Instant, interfaces: &[Interface]) {
        let now = self.advance(now);
        if self.life == Life::Open {
            self.gatherer.handle_interfaces(now, interfaces);
            self.release_left(now);
            self.give_absent_back();
            self.free_skipped(now);
            self.stale = true;
        }
    }

    /// A candidate of the peer. The extension `ufrag` of the line tells its generation; without it the newest one the
    /// peer has told of is meant. One whose generation is not known yet is held until its parameters come.
    ///
    /// # Errors
    /// [`ApiError`] where the call does not fit the agent. A candidate of no use is no error.
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        stream: StreamId,
        line: &CandidateLine,
    ) -> Result<Added, ApiError> {
        let now = self.open(now)?;
        if !self.components.iter().any(|component| component.stream == stream) {
            return Err(ApiError::NoSuchStream(stream));
        }
        // One that is no user fragment is an extension like any other, and names no generation.
        let ufrag = line.ufrag().and_then(|ufrag| ufrag.parse::<Ufrag>().ok());
        let belongs = self.belongs(ufrag.as_ref());
        let candidate = match self.judge(stream, line, belongs) {
            Ok(candidate) => candidate,
            Err(reason) => {
                self.note_component(belongs, ufrag, stream, line.component());
                return Ok(Added::Ignored(self.ledger.on_ignored(reason)));
            }
        };
        if let (Belongs::Unknown, Some(ufrag)) = (belongs, ufrag) {
            self.generations.hold(ufrag, Early::Candidate(stream, candidate));
            return Ok(Added::Held);
        }
        let added = self.take_candidate(now, belongs, stream, candidate);
        self.stale = true;
        Ok(added)
    }

    /// A candidate of no use tells all the same that the peer has its component (RFC 8445 §6.1.2.2).
    fn note_component(
        &mut self,
        belongs: Belongs,
        ufrag: Option<Ufrag>,
        stream: StreamId,
        component: ComponentId,
    ) {
        if let (Belongs::Unknown, Some(ufrag)) = (belongs, ufrag) {
            if self.component(stream, component).is_some() {
                self.generations.hold(ufrag, Early::Component(stream, component));
            }
            return;
        }
        if let Some(checks) = self.checks_beside(belongs) {
            checks.note_remote_component(stream, component);
        }
        if let Some(checks) = self.checks_of(belongs) {
            checks.note_remote_component(stream, component);
        }
    }

    /// Gives a candidate of use to the checks of its generation.
    pub(crate) fn take_candidate(
        &mut self,
        now: Instant,
        belongs: Belongs,
        stream: StreamId,
        candidate: Candidate,
    ) -> Added {
        let (kind, address) = (candidate.kind, candidate.address);
        if let Some(checks) = self.checks_beside(belongs) {
            let _ = checks.add_remote_candidate(now, stream, candidate.clone());
        }
        let checks = self.checks_of(belongs);
        let outcome = checks.map(|checks| checks.add_remote_candidate(now, stream, candidate));
        let reason = match outcome {
            Some(RemoteOutcome::Taken) => {
                self.ledger.on_remote(kind, address);
                return Added::Added;
            }
            None => Ignored::Generation,
            Some(RemoteOutcome::NoComponent) => Ignored::Component,
            Some(RemoteOutcome::Ended) => Ignored::Ended,
            Some(RemoteOutcome::Denied) => Ignored::Denied,
            Some(RemoteOutcome::Full) => Ignored::Full,
        };
        Added::Ignored(self.ledger.on_ignored(reason))
    }

    /// Whether a signalled candidate is of use.
    fn judge(&self, stream: StreamId, line: &CandidateLine, belongs: Belongs) -> Result<Candidate, Ignored> {
        // RFC 8838 §9: a candidate of another generation belongs to no checklist of this one.
        if belongs == Belongs::Past {
            return Err(Ignored::Generation);
        }
        let candidate = line.candidate().ok_or(Ignored::Name)?;
        if candidate.transport != Transport::Udp {
            return Err(Ignored::Transport);
        }
        // A datagram to port 0 fails, and costs some systems more than the datagram.
        if candidate.address.port() == 0 || !candidate.address.is_unicast() {
            return Err(Ignored::Address);
        }
        if self.component(stream, candidate.component).is_none() {
            return Err(Ignored::Component);
        }
        Ok(candidate)
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
        let framed = self.frame(now, stream, component, payload.len())?;
        if framed.is_none() && self.life != Life::Open {
            return Err(SendError::NoPath);
        }
        let sent = framed.map(|frame| write(&frame, payload, buffer));
        self.resume_consent(now, stream, component);
        if let Some(sent) = sent {
            return sent;
        }
        // A new generation may have a pair that takes over from one whose consent has ended at rest.
        if let Some(frame) = self.frame(now, stream, component, payload.len())? {
            return write(&frame, payload, buffer);
        }
        // No handle: a relayed pair without a channel, over Send indications (RFC 8656 §11).
        let route = self.route(stream, component).ok_or(SendError::NoPath)?;
        if now >= route.valid_until {
            return Err(SendError::Path(PathError::Expired));
        }
        let dscp = self.dscp;
        let relay = self.gatherer.relay_mut(route.base).ok_or(SendError::NoPath)?;
        let peer = route.remote.socket_addr();
        let len = relay
            .client
            .send_indication(now, peer, payload, buffer, &mut self.random)
            .map_err(SendError::Relay)?;
        Ok(data(relay.place, relay.server, len, dscp))
    }

    /// The frame of the component's handle, if that is good for anything: where it was a channel that ended, Send
    /// indications are left.
    fn frame(
        &self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        len: usize,
    ) -> Result<Option<Frame>, SendError> {
        let part = self.component(stream, component).ok_or(SendError::NoSuchComponent(stream, component))?;
        match part.path.as_ref().map(|path| path.frame(now, len)) {
            Some(Ok(frame)) => Ok(Some(frame)),
            Some(Err(error @ PathError::TooLong(_))) => Err(SendError::Path(error)),
            Some(Err(PathError::Expired)) | None => Ok(None),
        }
    }

    /// Consent that rests is asked for again, and where it has ended regained a round trip later.
    fn resume_consent(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        if self.suspends() {
            self.all_checks_mut().for_each(|checks| checks.data_sent(now, stream, component));
            self.pump(now);
        }
    }

    /// Ends the agent: no check and no data from now on, every allocation is released (at most 3 s), then every
    /// socket. [`Event::Closed`](crate::Event::Closed) is the last event.
    pub fn close(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.life != Life::Open {
            return;
        }
        self.life = Life::Closing;
        for component in &mut self.components {
            component.early.clear();
        }
        self.give_back(|_, _| true);
        self.gatherer.close(now);
        self.generations.clear();
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
            Self::Ended => "it came after the end of candidates",
            Self::Denied => "the policy denies its address",
            Self::Full => "there are too many others",
        })
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStream(stream) => write!(f, "the agent has no data stream {}", stream.0),
            Self::Closed => f.write_str("the agent was closed"),
            Self::ParametersChanged => {
                f.write_str("the password of the peer changed and its user fragment did not")
            }
            Self::OldGeneration => f.write_str("parameters from before a restart of the peer"),
            Self::SameCredentials => f.write_str("a restart changes user fragment and password both"),
            Self::UfragTooLong(given) => {
                write!(f, "a user fragment of {given} characters, at most 32 may be sent")
            }
            Self::UfragInUse => f.write_str("another agent has this user fragment"),
            Self::RestartPending => f.write_str("a restart waits for the answer of the peer"),
            Self::NoRestart => f.write_str("no restart waits for the answer of the peer"),
            Self::NoSuchComponent(stream, component) => {
                write!(f, "the agent has no component {} in data stream {}", component.get(), stream.0)
            }
            Self::ComponentGap(stream, component) => {
                write!(
                    f,
                    "component {} is not the next, or not the last, of data stream {}",
                    component.get(),
                    stream.0
                )
            }
            Self::NoSuchPair(pair) => write!(f, "there is no pair {} in this generation", pair.0),
            Self::TooManyKept(pair) => {
                let most = floe_check::KEPT_LIMIT;
                write!(
                    f,
                    "pair {} is not kept: {most} others of its component are, which is the most",
                    pair.0
                )
            }
            Self::Nominate(error) => error.fmt(f),
            Self::TooManyStreams => f.write_str("an agent takes no more data streams"),
            Self::LastComponent => f.write_str("the last component of an agent cannot be removed"),
            Self::NoSuchServer(server) => write!(f, "no TURN server with the number {server} is configured"),
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
