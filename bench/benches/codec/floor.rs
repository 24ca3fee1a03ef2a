//! The floor: a scan and a writer for these two messages and no other, written by hand.
//!
//! No codec for all of STUN can be much cheaper than this, because nearly all of it is SHA-1. The key schedule of
//! HMAC is done once: two kept midstates, which `sha1::block_api::compress` goes on from. [`Streamed`] feeds it as one
//! would write it first, piece by piece through a buffer of one block. [`InPlace`] lays out the padded blocks of these
//! short messages at once; that is the lower mark, and how floe itself does it.

use std::{
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use sha1::block_api::compress;

use crate::message::{
    Buffer, Codec, ID, MAPPED, PASSWORD, REQUEST_BYTES, RESPONSE_BYTES, USERNAME, VALUES, Values,
};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const REQUEST: u16 = 0x0001;
const RESPONSE: u16 = 0x0101;
const USERNAME_TYPE: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802A;
const FINGERPRINT_XOR: u32 = 0x5354_554E;

/// A floor with one of the two ways to compute the HMAC.
pub(crate) struct Floor<M> {
    midstates: Midstates,
    mac: PhantomData<M>,
}

/// SHA-1 after the block of the key, for both hashes of HMAC.
pub(crate) struct Midstates {
    inner: [u32; 5],
    outer: [u32; 5],
}

/// A way to compute the HMAC.
pub(crate) trait Mac {
    const NAME: &str;

    /// HMAC-SHA1 over `covered`, under a length field that ends behind MESSAGE-INTEGRITY.
    fn mac(midstates: &Midstates, covered: &[u8]) -> [u8; 20];
}

/// The length field: the header's 20 bytes are not counted, the 24 of the attribute are.
fn length_field(covered: &[u8]) -> [u8; 2] {
    u16::try_from(covered.len() + 4).unwrap_or_default().to_be_bytes()
}

fn to_bytes(state: [u32; 5]) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (place, word) in bytes.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// Piece by piece, through a buffer of one block.
pub(crate) struct Streamed {
    state: [u32; 5],
    block: [u8; 64],
    len: usize,
}

impl Streamed {
    fn new(state: [u32; 5]) -> Self {
        Self { state, block: [0; 64], len: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = self.len % 64;
            let (piece, rest) = bytes.split_at(bytes.len().min(64 - used));
            self.block[used..used + piece.len()].copy_from_slice(piece);
            self.len += piece.len();
            if self.len.is_multiple_of(64) {
                compress(&mut self.state, &[self.block]);
            }
            bytes = rest;
        }
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = (self.len as u64 + 64) * 8;
        self.update(&[0x80]);
        while self.len % 64 != 56 {
            let used = self.len % 64;
            self.update(&[0; 64][..if used < 56 { 56 - used } else { 64 - used }]);
        }
        self.update(&bits.to_be_bytes());
        to_bytes(self.state)
    }
}

impl Mac for Streamed {
    const NAME: &str = "floor";

    fn mac(midstates: &Midstates, covered: &[u8]) -> [u8; 20] {
        let mut inner = Self::new(midstates.inner);
        inner.update(&covered[..2]);
        inner.update(&length_field(covered));
        inner.update(&covered[4..]);
        let mut outer = Self::new(midstates.outer);
        outer.update(&inner.finish());
        outer.finish()
    }
}

/// All blocks at once; for at most 119 bytes.
pub(crate) struct InPlace;

impl Mac for InPlace {
    const NAME: &str = "floor, in place";

    fn mac(midstates: &Midstates, covered: &[u8]) -> [u8; 20] {
        let mut blocks = [[0; 64]; 2];
        let bytes = blocks.as_flattened_mut();
        bytes[..covered.len()].copy_from_slice(covered);
        bytes[2..4].copy_from_slice(&length_field(covered));
        bytes[covered.len()] = 0x80;
        let used = if covered.len() < 56 { 1 } else { 2 };
        let bits = (64 + covered.len() as u64) * 8;
        bytes[used * 64 - 8..used * 64].copy_from_slice(&bits.to_be_bytes());
        let mut state = midstates.inner;
        compress(&mut state, &blocks[..used]);

        let mut block = [0; 64];
        block[..20].copy_from_slice(&to_bytes(state));
        block[20] = 0x80;
        block[56..].copy_from_slice(&((64 + 20) * 8_u64).to_be_bytes());
        let mut state = midstates.outer;
        compress(&mut state, &[block]);
        to_bytes(state)
    }
}

/// Where the scan found things.
#[derive(Default)]
struct Scan {
    username: usize,
    priority: usize,
    tiebreaker: usize,
    mapped: usize,
    integrity: usize,
    use_candidate: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// One pass over the attributes; the order is not taken for granted, the lengths are.
fn scan(bytes: &[u8], kind: u16) -> Option<Scan> {
    if u16_at(bytes, 0)? != kind
        || usize::from(u16_at(bytes, 2)?) + 20 != bytes.len()
        || bytes.get(4..8)? != COOKIE
    {
        return None;
    }
    let (mut found, mut at) = (Scan::default(), 20);
    while at < bytes.len() {
        let (kind, len) = (u16_at(bytes, at)?, usize::from(u16_at(bytes, at + 2)?));
        let value = at + 4;
        match (kind, len) {
            (USERNAME_TYPE, 9) => found.username = value,
            (PRIORITY, 4) => found.priority = value,
            (ICE_CONTROLLING, 8) => found.tiebreaker = value,
            (USE_CANDIDATE, 0) => found.use_candidate = true,
            (XOR_MAPPED_ADDRESS, 8) => found.mapped = value,
            (MESSAGE_INTEGRITY, 20) => found.integrity = at,
            (FINGERPRINT, 4) if value + 4 == bytes.len() => {}
            _ => return None,
        }
        at = value + len.next_multiple_of(4);
    }
    (found.integrity != 0 && found.integrity + 32 == bytes.len()).then_some(found)
}

fn fingerprint(covered: &[u8]) -> u32 {
    crc32fast::hash(covered) ^ FINGERPRINT_XOR
}

impl<M: Mac> Floor<M> {
    /// FINGERPRINT, then MESSAGE-INTEGRITY, compared without a branch on where they differ.
    fn verify(&self, bytes: &[u8], integrity: usize) -> Option<()> {
        let end = bytes.len() - 8;
        if u32_at(bytes, bytes.len() - 4)? != fingerprint(&bytes[..end]) {
            return None;
        }
        let mac = M::mac(&self.midstates, &bytes[..integrity]);
        let claimed = &bytes[integrity + 4..integrity + 24];
        let difference =
            mac.iter().zip(claimed).fold(0, |difference, (ours, claimed)| difference | (ours ^ claimed));
        (difference == 0).then_some(())
    }

    /// Writes the two last attributes behind `at` bytes of message, whose length field is final.
    fn seal(&self, bytes: &mut [u8], at: usize) {
        let mac = M::mac(&self.midstates, &bytes[..at]);
        bytes[at..at + 4].copy_from_slice(&[0x00, 0x08, 0, 20]);
        bytes[at + 4..at + 24].copy_from_slice(&mac);
        let value = fingerprint(&bytes[..at + 24]);
        bytes[at + 24..at + 28].copy_from_slice(&[0x80, 0x28, 0, 4]);
        bytes[at + 28..at + 32].copy_from_slice(&value.to_be_bytes());
    }
}

fn write_header(bytes: &mut [u8], kind: u16) {
    let len = u16::try_from(bytes.len() - 20).unwrap_or_default();
    bytes[..2].copy_from_slice(&kind.to_be_bytes());
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes[4..8].copy_from_slice(&COOKIE);
    bytes[8..20].copy_from_slice(&ID);
}

impl<M: Mac> Codec for Floor<M> {
    const NAME: &str = M::NAME;

    fn new() -> Self {
        let midstate = |pad: u8| {
            let mut block = [pad; 64];
            block.iter_mut().zip(PASSWORD.bytes()).for_each(|(place, byte)| *place ^= byte);
            let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
            compress(&mut state, &[block]);
            state
        };
        Self { midstates: Midstates { inner: midstate(0x36), outer: midstate(0x5C) }, mac: PhantomData }
    }

    fn check_request(&mut self, bytes: &[u8]) -> Option<Values> {
        let found = scan(bytes, REQUEST)?;
        self.verify(bytes, found.integrity)?;
        Some(Values {
            username: bytes.get(found.username..found.username + 9)?.try_into().ok()?,
            priority: u32_at(bytes, found.priority)?,
            tiebreaker: u64::from_be_bytes(
                bytes.get(found.tiebreaker..found.tiebreaker + 8)?.try_into().ok()?,
            ),
            use_candidate: found.use_candidate,
        })
    }

    fn check_response(&mut self, bytes: &[u8]) -> Option<SocketAddr> {
        let found = scan(bytes, RESPONSE)?;
        self.verify(bytes, found.integrity)?;
        let cookie = u32::from_be_bytes(COOKIE);
        let port = u16_at(bytes, found.mapped + 2)? ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        let ip = Ipv4Addr::from(u32_at(bytes, found.mapped + 4)? ^ cookie);
        (u16_at(bytes, found.mapped)? == 1).then_some(SocketAddr::new(IpAddr::V4(ip), port))
    }

    fn build_request(&mut self, buffer: &mut Buffer) -> usize {
        let bytes = &mut buffer.0[..REQUEST_BYTES];
        write_header(bytes, REQUEST);
        bytes[20..24].copy_from_slice(&[0x00, 0x06, 0, 9]);
        bytes[24..33].copy_from_slice(USERNAME.as_bytes());
        bytes[33..36].fill(0);
        bytes[36..40].copy_from_slice(&[0x00, 0x24, 0, 4]);
        bytes[40..44].copy_from_slice(&VALUES.priority.to_be_bytes());
        bytes[44..48].copy_from_slice(&[0x80, 0x2A, 0, 8]);
        bytes[48..56].copy_from_slice(&VALUES.tiebreaker.to_be_bytes());
        bytes[56..60].copy_from_slice(&[0x00, 0x25, 0, 0]);
        self.seal(bytes, 60);
        REQUEST_BYTES
    }

    fn build_response(&mut self, buffer: &mut Buffer) -> usize {
        let bytes = &mut buffer.0[..RESPONSE_BYTES];
        write_header(bytes, RESPONSE);
        bytes[20..26].copy_from_slice(&[0x00, 0x20, 0, 8, 0, 1]);
        let SocketAddr::V4(mapped) = MAPPED else { return 0 };
        bytes[26..28].copy_from_slice(&(mapped.port() ^ 0x2112).to_be_bytes());
        bytes[28..32].copy_from_slice(&(u32::from(*mapped.ip()) ^ u32::from_be_bytes(COOKIE)).to_be_bytes());
        self.seal(bytes, 32);
        RESPONSE_BYTES
    }
}
