//! Misbehaviour on demand: what a client has to survive.

use core::time::Duration;
use std::net::SocketAddr;

use floe_stun::Method;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// What arrives is not looked at.
    Silence,
    /// The answer leaves so much later.
    Delay(Duration),
    /// A request that would have been served is answered with this error code, 300 to 699. 401 and 438 carry REALM
    /// and NONCE as always; the others are signed where the request was.
    Error(u16),
    /// A request that would have been served is answered with 300 and this ALTERNATE-SERVER.
    Redirect(SocketAddr),
    /// XOR-MAPPED-ADDRESS says this.
    Mapped(SocketAddr),
    /// XOR-RELAYED-ADDRESS says this.
    Relayed(SocketAddr),
    /// LIFETIME says so many seconds.
    Lifetime(u32),
    /// Answers that must be signed are not.
    Unsigned,
    /// One byte of the answer is wrong.
    Corrupted,
    /// Only the first half of the answer is sent.
    Truncated,
    /// Random bytes in place of the answer.
    Noise,
}

/// A [`FaultKind`] with what it applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Only this method; `None`: all. Data from the client counts as [`Method::SEND`], data from a peer as
    /// [`Method::DATA`], in every framing.
    pub method: Option<Method>,
    /// How often it happens before it is over; `None`: for ever.
    pub times: Option<u32>,
    /// What happens.
    pub kind: FaultKind,
}

/// The faults in force; the first that fits an occasion is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A server that misbehaves in one way, for every method and for ever.
    pub fn always(kind: FaultKind) -> Self {
        Self::default().with(Fault { method: None, times: None, kind })
    }

    /// A server that misbehaves in one way for one method.
    pub fn on(method: Method, kind: FaultKind) -> Self {
        Self::default().with(Fault { method: Some(method), times: None, kind })
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.0.push(fault);
        self
    }

    /// The first fault for `method` that `pick` recognises; it is used up by one.
    pub(super) fn take<T>(&mut self, method: Method, pick: impl Fn(FaultKind) -> Option<T>) -> Option<T> {
        for fault in &mut self.0 {
            let fits = fault.method.is_none_or(|wanted| wanted == method) && fault.times != Some(0);
            if let (true, Some(value)) = (fits, pick(fault.kind)) {
                fault.times = fault.times.map(|times| times.saturating_sub(1));
                return Some(value);
            }
        }
        None
    }

    /// Whether what arrives is to be ignored.
    pub(super) fn silent(&mut self, method: Method) -> bool {
        self.take(method, |kind| (kind == FaultKind::Silence).then_some(())).is_some()
    }
}
