//! Nonces that need no memory: the time they were made and a MAC over it and the client's address.

use core::time::Duration;
use std::net::SocketAddr;

use floe_stun::{Instant, Random};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Hexadecimal digits of the time in milliseconds; the MAC behind it has 32, the first half of HMAC-SHA-256.
const TIME_DIGITS: usize = 16;

/// Makes and judges nonces. RFC 8489 §9.2.4: two clients never get the same one, so each is bound to its client's
/// address and port.
pub(super) struct NonceSource {
    key: Hmac<Sha256>,
    prefix: Vec<u8>,
    lifetime: Duration,
}

impl core::fmt::Debug for NonceSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NonceSource(redacted)")
    }
}

impl NonceSource {
    /// `prefix` is the nonce cookie with its feature bits, or empty.
    pub(super) fn new(prefix: &[u8], lifetime: Duration, random: &mut Random) -> Self {
        let mut secret = [0; 64];
        random.fill(&mut secret);
        let key = Hmac::new(&secret.into());
        Self { key, prefix: prefix.to_vec(), lifetime }
    }

    /// A nonce for this client, valid from now on.
    pub(super) fn mint(&self, now: Instant, client: SocketAddr) -> Vec<u8> {
        let time = format!("{:016x}", now.as_millis());
        let mac = self.mac(time.as_bytes(), client);
        [self.prefix.as_slice(), time.as_bytes(), mac.as_bytes()].concat()
    }

    /// Whether `nonce` was made here for this client and is not too old.
    pub(super) fn is_fresh(&self, now: Instant, client: SocketAddr, nonce: &[u8]) -> bool {
        let Some((time, mac)) =
            nonce.strip_prefix(self.prefix.as_slice()).and_then(|rest| rest.split_at_checked(TIME_DIGITS))
        else {
            return false;
        };
        let made = core::str::from_utf8(time).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(made) = made.map(Instant::from_millis) else { return false };
        // Not a secret worth a constant-time comparison: whoever forges a nonce still lacks the password.
        self.mac(time, client).as_bytes() == mac && now.since(made) < self.lifetime
    }

    fn mac(&self, time: &[u8], client: SocketAddr) -> String {
        let mut mac = self.key.clone();
        mac.update(time);
        mac.update(client.to_string().as_bytes());
        let tag = mac.finalize().into_bytes();
        let number = tag.first_chunk().copied().map_or(0, u128::from_be_bytes);
        format!("{number:032x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_lifetime_only() {
        let lifetime = Duration::from_secs(60);
        let source = NonceSource::new(b"obMatJos2AAAC", lifetime, &mut Random::from_seed([1; 32]));
        let (a, b) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.1:2".parse().unwrap());
        let start = Instant::from_millis(5_000);
        let nonce = source.mint(start, a);
        assert!(nonce.len() < 128 && nonce.starts_with(b"obMatJos2AAAC"));
        assert!(source.is_fresh(start.after(Duration::from_millis(59_999)), a, &nonce));
        assert!(!source.is_fresh(start.after(lifetime), a, &nonce), "too old");
        assert!(!source.is_fresh(start, b, &nonce), "another port");
        assert_ne!(nonce, source.mint(start, b));
        for cut in 0..nonce.len() {
            assert!(!source.is_fresh(start, a, &nonce[..cut]));
            let mut changed = nonce.clone();
            changed[cut] ^= 1;
            assert!(!source.is_fresh(start, a, &changed), "byte {cut}");
        }
    }
}
