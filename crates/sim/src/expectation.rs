//! What is possible between two hosts behind two different NATs: a table that knows nothing of any agent.
//!
//! It holds for hosts that both have a STUN server, for NATs whose filter state is bound to the mapping and whose
//! ports are random, and for agents that predict nothing. Tests prove it against the NATs of [`net`](crate::net) with
//! bare datagrams, without ICE.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::net::Dependence;

/// What stands between a host and the public address space, in the terms of RFC 4787: mapping, then filtering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// Nothing.
    None,
    /// Endpoint-independent mapping and filtering.
    EimEif,
    /// Endpoint-independent mapping, address-dependent filtering.
    EimAdf,
    /// Endpoint-independent mapping, address-and-port-dependent filtering.
    EimApdf,
    /// Address-dependent mapping and filtering.
    AdmAdf,
    /// Address-and-port-dependent mapping and filtering.
    ApdmApdf,
    /// No UDP at all.
    UdpBlocked,
}

impl NatKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::EimEif,
        Self::EimAdf,
        Self::EimApdf,
        Self::AdmAdf,
        Self::ApdmApdf,
        Self::UdpBlocked,
    ];

    /// Its name in scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::EimEif => "eim-eif",
            Self::EimAdf => "eim-adf",
            Self::EimApdf => "eim-apdf",
            Self::AdmAdf => "adm-adf",
            Self::ApdmApdf => "apdm-apdf",
            Self::UdpBlocked => "udp-blocked",
        }
    }

    /// Mapping and filtering; `None` where there is no NAT.
    pub const fn behaviour(self) -> Option<(Dependence, Dependence)> {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        match self {
            Self::None | Self::UdpBlocked => None,
            Self::EimEif => Some((EndpointIndependent, EndpointIndependent)),
            Self::EimAdf => Some((EndpointIndependent, AddressDependent)),
            Self::EimApdf => Some((EndpointIndependent, AddressAndPortDependent)),
            Self::AdmAdf => Some((AddressDependent, AddressDependent)),
            Self::ApdmApdf => Some((AddressAndPortDependent, AddressAndPortDependent)),
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).unwrap_or_default()
    }
}

impl fmt::Display for NatKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for NatKind {
    type Err = NoSuchKind;

    fn from_str(text: &str) -> Result<Self, NoSuchKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NoSuchKind)
    }
}

/// A text names no [`NatKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchKind;

impl fmt::Display for NoSuchKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no kind of NAT has this name; the names are")?;
        NatKind::ALL.iter().try_for_each(|kind| write!(f, " {kind}"))
    }
}

impl core::error::Error for NoSuchKind {}

/// Whether two hosts can exchange datagrams without a relay. Rows and columns in the order of [`NatKind::ALL`].
const DIRECT: [[u8; 7]; 7] = [
    //  none, EIM/EIF, EIM/ADF, EIM/APDF, ADM/ADF, APDM/APDF, UDP blocked
    *b"yyyyyy-", // none
    *b"yyyyyy-", // EIM/EIF
    *b"yyyyyy-", // EIM/ADF
    *b"yyyy---", // EIM/APDF
    *b"yyy----", // ADM/ADF
    *b"yyy----", // APDM/APDF
    *b"-------", // UDP blocked
];

/// Whether two hosts behind these can exchange datagrams without a relay.
pub fn direct_is_possible(a: NatKind, b: NatKind) -> bool {
    DIRECT.get(a.index()).and_then(|row| row.get(b.index())) == Some(&b'y')
}

/// Whether two hosts behind these can exchange datagrams at all. `relay`: at least one side has a TURN server that it
/// reaches over UDP.
pub fn is_connectable(a: NatKind, b: NatKind, relay: bool) -> bool {
    let udp = a != NatKind::UdpBlocked && b != NatKind::UdpBlocked;
    if relay { udp } else { direct_is_possible(a, b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> impl Iterator<Item = (NatKind, NatKind)> {
        NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.into_iter().map(move |b| (a, b)))
    }

    #[test]
    fn the_table_has_the_counts_it_should_and_is_symmetric() {
        let count = |relay| cells().filter(|(a, b)| is_connectable(*a, *b, relay)).count();
        assert_eq!((count(false), count(true)), (28, 36));
        assert!(cells().all(|(a, b)| direct_is_possible(a, b) == direct_is_possible(b, a)));
        assert!(cells().all(|(a, b)| !direct_is_possible(a, b) || is_connectable(a, b, true)));
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in NatKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert_eq!("nat".parse::<NatKind>(), Err(NoSuchKind));
    }
}
