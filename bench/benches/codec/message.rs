//! The two messages, and what a codec has to do with them.

use std::net::{Ipv4Addr, SocketAddr};

/// The password of both messages, 24 characters.
pub(crate) const PASSWORD: &str = "Vq3+pXk8/LmT0aZ7cRdN5sYw";
/// The USERNAME of the request.
pub(crate) const USERNAME: &str = "evtj:h6vY";
/// The transaction id of what is built.
pub(crate) const ID: [u8; 12] = *b"floe-bench-1";

/// USERNAME (9), PRIORITY, ICE-CONTROLLING, USE-CANDIDATE, MESSAGE-INTEGRITY, FINGERPRINT.
pub(crate) const REQUEST_BYTES: usize = 92;
/// XOR-MAPPED-ADDRESS of IPv4, MESSAGE-INTEGRITY, FINGERPRINT.
pub(crate) const RESPONSE_BYTES: usize = 64;

/// What is read from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) username: [u8; 9],
    pub(crate) priority: u32,
    pub(crate) tiebreaker: u64,
    pub(crate) use_candidate: bool,
}

/// What stands in the request.
pub(crate) const VALUES: Values = Values {
    username: *b"evtj:h6vY",
    priority: 0x6E00_1EFF,
    tiebreaker: 0x932F_F9B1_5126_3B36,
    use_candidate: true,
};

/// What stands in the response.
pub(crate) const MAPPED: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 32_853);

/// Room for any of the messages.
#[derive(Debug)]
pub(crate) struct Buffer(pub(crate) [u8; 128]);

impl Default for Buffer {
    fn default() -> Self {
        Self([0xAA; 128])
    }
}

/// One contestant. What can be kept from one message to the next (a key, a buffer) is kept in `self`.
pub(crate) trait Codec {
    const NAME: &str;
    /// Whether a wrong FINGERPRINT is noticed.
    const CHECKS_FINGERPRINT: bool = true;

    fn new() -> Self;
    /// Parses, verifies FINGERPRINT and MESSAGE-INTEGRITY, reads; `None` when something is wrong.
    fn check_request(&mut self, bytes: &[u8]) -> Option<Values>;
    fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr>;
    /// Writes [`VALUES`] and returns the length.
    fn build_request(&mut self, buffer: &mut Buffer) -> usize;
    /// Writes [`MAPPED`] and returns the length.
    fn build_response(&mut self, buffer: &mut Buffer) -> usize;
}
