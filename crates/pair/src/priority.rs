//! Priorities of candidates and of pairs.

use core::fmt;
use core::num::NonZeroU32;

use crate::{CandidateType, ComponentId, OutOfRange, Role, TcpType, Transport, TypePreference};

/// Candidate priority, 1 to 2^31 - 1, the larger preferred (RFC 8445 §5.1.2, RFC 8839 §5.1).
/// The bound is what keeps [`PairPriority::new`] within 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "u32", into = "u32")
)]
pub struct Priority(NonZeroU32);

impl Priority {
    /// The lowest priority.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// The priority `value`; `None` for 0 and from 2^31 on.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) if value.get() < 1 << 31 => Some(Self(value)),
            _ => None,
        }
    }

    /// Priority by the recommended formula (RFC 8445 §5.1.2.1).
    pub const fn compute(kind: TypePreference, local: LocalPreference, component: ComponentId) -> Self {
        let low = 256_u32.saturating_sub(component.get() as u32);
        // The three terms share no bit, so `|` is the formula's `+`; the type preference has 7 bits, so the sum 31.
        let value = (kind.get() as u32) << 24 | (local.get() as u32) << 8 | low;
        // Only component 256 of the lowest type and preference comes to 0, which is no priority.
        match Self::new(value) {
            Some(priority) => priority,
            None => Self::MIN,
        }
    }

    /// The same priority with the type preference exchanged: local preference and component stay.
    #[must_use]
    pub const fn with_type(self, kind: TypePreference) -> Self {
        match Self::new(self.get() & 0x00FF_FFFF | (kind.get() as u32) << 24) {
            Some(priority) => priority,
            None => Self::MIN,
        }
    }

    /// The number, 1 to 2^31 - 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<Priority> for u32 {
    fn from(priority: Priority) -> Self {
        priority.get()
    }
}

impl TryFrom<u32> for Priority {
    type Error = OutOfRange;

    fn try_from(value: u32) -> Result<Self, OutOfRange> {
        Self::new(value).ok_or(OutOfRange { value })
    }
}

/// Preference among the local addresses of one candidate type, 0 to 65535, the larger preferred
/// (RFC 8445 §5.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalPreference(u16);

impl LocalPreference {
    /// For a host with a single address.
    pub const MAX: Self = Self(u16::MAX);
    /// Largest preference among addresses of one direction: 13 bits are left beside the direction (RFC 6544 §4.2).
    pub const MAX_OTHER: u16 = (1 << 13) - 1;

    /// The preference `value`.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// Direction of the connection and preference of the address in one number; `other` above 8191 counts as 8191.
    pub const fn directed(kind: CandidateType, transport: Transport, other: u16) -> Self {
        let other = if other < Self::MAX_OTHER { other } else { Self::MAX_OTHER };
        // RFC 6544 §4.2: 2^13 * direction + other. UDP takes the direction that TCP leaves free: its preferences are
        // above and apart from those of TCP, and the best of them is 65535.
        let direction: u16 = match (transport, kind.is_reflexive()) {
            (Transport::Udp, _) => 7,
            (Transport::Tcp(TcpType::Active), false) | (Transport::Tcp(TcpType::SimultaneousOpen), true) => 6,
            (Transport::Tcp(TcpType::Passive), false) | (Transport::Tcp(TcpType::Active), true) => 4,
            (Transport::Tcp(TcpType::SimultaneousOpen), false) | (Transport::Tcp(TcpType::Passive), true) => {
                2
            }
        };
        Self(direction << 13 | other)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Order of a pair in its checklist, the larger first (RFC 8445 §6.1.2.3); both agents compute the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PairPriority(u64);

impl PairPriority {
    /// Priority of the pair for the agent in this role. The role is an argument so that no caller can swap the G
    /// and D of the formula.
    pub const fn new(role: Role, local: Priority, remote: Priority) -> Self {
        let (local, remote) = (local.get(), remote.get());
        let (least, greatest) = if local < remote { (local, remote) } else { (remote, local) };
        // Whether G is greater than D.
        let greater = match role {
            Role::Controlling => local > remote,
            Role::Controlled => remote > local,
        };
        // Both are under 2^31: the three terms share no bit, so `|` is the formula's `+`.
        Self((least as u64) << 32 | (greatest as u64) << 1 | greater as u64)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PairPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
