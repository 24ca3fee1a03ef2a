//! Agents without I/O at the level of datagrams: one against messages written by hand ([`Bench`]), or two with a wire
//! between them that a test can listen to, delay, cut and write on ([`World`]).

mod bench;
mod message;
pub mod relay;
pub mod signal;
mod world;

pub use bench::{Arrival, Bench, HOST, Sent, consents, host_candidate, next_parameters, remote_parameters};
pub use message::{
    Answer, Ask, NEXT_PWD, NEXT_UFRAG, OUR_PWD, OUR_UFRAG, THEIR_PWD, THEIR_UFRAG, answer, indication,
    read_answer, read_answer_under,
};
pub use world::{Datagram, Fate, Node, World};

use std::time::Duration;

use floe_agent::{
    pair::{ComponentId, StreamId, TransportAddress},
    stun::Instant,
};

/// The data stream of an agent that has one.
pub const STREAM: StreamId = StreamId(0);
/// Its first component.
pub const RTP: ComponentId = ComponentId::RTP;

/// An instant, from the origin.
pub fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A time.
pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An address written as text.
#[track_caller]
pub fn address(text: &str) -> TransportAddress {
    text.parse().expect("an IP address and a port")
}
