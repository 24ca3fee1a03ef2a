//! What a server is told at construction.

use core::time::Duration;
use std::net::{IpAddr, SocketAddr};

use super::{Faults, PeerPolicy};

/// Configuration of a [`Server`](super::Server). [`ServerConfig::new`] fills in the defaults; every field may be
/// changed before the server is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The addresses the server is reached at, as bound: ports are the real ones, never 0. Data is never relayed
    /// to any of them (RFC 8656 §21.1.7).
    pub listen: Vec<SocketAddr>,
    /// Local addresses relayed transport addresses are opened on; the first of each family is used. Empty: the
    /// server answers STUN only.
    pub relay_ips: Vec<IpAddr>,
    /// REALM of the long-term credentials, at most 127 bytes; the rest is cut off.
    pub realm: String,
    /// SOFTWARE in authenticated answers to Allocate and Refresh. Unauthenticated answers never carry it.
    pub software: Option<String>,
    /// Who may allocate.
    pub users: Vec<User>,
    /// What the server offers beside MD5 keys and plain user names.
    pub security: Security,
    /// Where data may be relayed to.
    pub peers: PeerPolicy,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// How much of everything there may be.
    pub limits: Limits,
    /// How the server misbehaves; none by default.
    pub faults: Faults,
}

impl ServerConfig {
    /// A well-behaved server with these addresses, no users and the deny list of [`PeerPolicy::default`].
    pub fn new(listen: Vec<SocketAddr>, relay_ips: Vec<IpAddr>) -> Self {
        Self {
            listen,
            relay_ips,
            realm: "floe.invalid".to_owned(),
            software: Some("floe-sim".to_owned()),
            users: Vec::new(),
            security: Security::Rfc8489,
            peers: PeerPolicy::default(),
            lifetimes: Lifetimes::default(),
            limits: Limits::default(),
            faults: Faults::default(),
        }
    }

    /// Adds a user; name and password are taken as prepared bytes (RFC 8489 §14.3, §9.2.2).
    #[must_use]
    pub fn with_user(mut self, name: &str, password: &str) -> Self {
        self.users.push(User { name: name.to_owned(), password: password.to_owned() });
        self
    }
}

/// A user of the long-term credential mechanism. The server keeps keys only, never the password.
#[derive(Clone)]
pub struct User {
    /// USERNAME, prepared.
    pub name: String,
    /// Password, prepared.
    pub password: String,
}

impl core::fmt::Debug for User {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which form of the long-term credential mechanism the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// As RFC 5389: MD5 keys, a plain nonce, no password algorithms.
    Rfc5389,
    /// As RFC 8489 §9.2: nonces start with the nonce cookie, SHA-256 keys and anonymous user names are offered.
    Rfc8489,
}

/// Lifetimes. The RFC's values unless a test wants shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an allocation that asks for nothing longer, 600 s (RFC 8656 §3.2).
    pub allocation: Duration,
    /// Longest lifetime granted, 3600 s (RFC 8656 §7.2).
    pub longest_allocation: Duration,
    /// Of a nonce; an older one is answered with 438. One hour is the longest RFC 8656 §5 recommends.
    pub nonce: Duration,
    /// Of a permission, 300 s (RFC 8656 §9).
    pub permission: Duration,
    /// Of a channel binding, 600 s (RFC 8656 §12).
    pub channel: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            allocation: Duration::from_secs(600),
            longest_allocation: Duration::from_secs(3600),
            nonce: Duration::from_secs(3600),
            permission: Duration::from_secs(300),
            channel: Duration::from_secs(600),
        }
    }
}

/// Bounds of every table a client can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Allocations in all, those being opened included; the next one is answered with 508.
    pub allocations: usize,
    /// Allocations of one user; the next one is answered with 486.
    pub allocations_per_user: usize,
    /// Permissions of one allocation; more are answered with 508.
    pub permissions: usize,
    /// Channels of one allocation; more are answered with 508.
    pub channels: usize,
    /// Answers a second to unauthenticated requests of one source address, so that the server is a poor reflector.
    pub unauthenticated_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 4096,
            allocations_per_user: 1024,
            permissions: 128,
            channels: 128,
            unauthenticated_per_second: 500,
        }
    }
}
