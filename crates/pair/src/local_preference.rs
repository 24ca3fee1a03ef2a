//! Local preferences of this host's addresses: unique, and with the address families interleaved.

use alloc::vec::Vec;

use crate::{CandidateType, Few, LocalPreference, Transport, TransportAddress};

/// One address of this host, as far as preferences go. Its port does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: TransportAddress,
    /// Whether the interface is one to rely on. Without knowledge all are (RFC 8421 §3).
    pub reliable: bool,
}

/// Gives each address of this host its local preferences (RFC 8445 §5.1.2.1, RFC 8421).
///
/// An address has a rank. Within it there is a number for each *source* of candidates of one type: the server a
/// reflexive or relayed candidate came from, 0 for the first and for host candidates. Address and source together
/// take 13 bits, beside the direction of TCP (RFC 6544 §4.2), so candidates of one type and component never share a
/// preference.
#[derive(Clone, Debug, Default)]
pub struct LocalPreferences {
    ranked: Few<Ranked>,
}

#[derive(Clone, Debug)]
struct Ranked {
    /// Port 0 always: all bases of one address share its rank.
    address: TransportAddress,
    rank: u16,
    gone: bool,
}

impl LocalPreferences {
    /// Addresses that can hold a rank at a time: what 13 bits leave beside the sources. A host with more of them
    /// would not get all its pairs checked anyway.
    pub const MAX_ADDRESSES: usize = 255;
    /// Servers of one kind for one address that get preferences of their own.
    pub const MAX_SOURCES: u8 = 32;

    /// Ranks for the addresses known when gathering begins, best first within each family. Repeated addresses count
    /// once; what is beyond [`Self::MAX_ADDRESSES`] gets no rank.
    pub fn new(addresses: &[LocalAddress]) -> Self {
        if let [only] = addresses {
            let ranked = Ranked { address: only.address.with_port(0), rank: 0, gone: false };
            return Self { ranked: Few::One(ranked) };
        }
        let mut unique: Vec<LocalAddress> = Vec::with_capacity(addresses.len().min(Self::MAX_ADDRESSES));
        for local in addresses {
            let address = local.address.with_port(0);
            if unique.len() < Self::MAX_ADDRESSES && unique.iter().all(|known| known.address != address) {
                unique.push(LocalAddress { address, ..*local });
            }
        }
        // RFC 8445 §5.1.2.1: 65535 is for a single address, so rank 0 stays free where there are several.
        let first = u16::from(unique.len() > 1);
        let ranked = interleave(&unique)
            .zip(first..)
            .map(|(address, rank)| Ranked { address, rank, gone: false })
            .collect();
        Self { ranked: Few::Many(ranked) }
    }

    /// Makes sure that an address that appeared later has a rank: the one it had before, or an unused one below all
    /// others. When none is left the rank of an address that is gone is taken over. Returns whether it has one.
    pub fn insert(&mut self, address: TransportAddress) -> bool {
        let address = address.with_port(0);
        if let Some(known) = self.ranked.iter_mut().find(|known| known.address == address) {
            known.gone = false;
            return true;
        }
        let next = self.ranked.iter().map(|known| known.rank).max().map_or(0, |rank| rank.saturating_add(1));
        if usize::from(next) <= Self::MAX_ADDRESSES {
            self.ranked.push(Ranked { address, rank: next, gone: false });
            return true;
        }
        if let Some(free) = self.ranked.iter_mut().rev().find(|known| known.gone) {
            (free.address, free.gone) = (address, false);
            return true;
        }
        false
    }

    /// The address is gone. Its rank is not given away while others are free, since the peer may still hold
    /// candidates with its priorities.
    pub fn remove(&mut self, address: TransportAddress) {
        let address = address.with_port(0);
        if let Some(known) = self.ranked.iter_mut().find(|known| known.address == address) {
            known.gone = true;
        }
    }

    /// Preference of a candidate that comes from the server numbered `source`. `base` is the address of this host
    /// behind it, for a relayed candidate the one the server was reached from; its port does not matter.
    /// `None` if the address has no rank or `source` is not below [`Self::MAX_SOURCES`].
    pub fn get(
        &self,
        base: TransportAddress,
        kind: CandidateType,
        transport: Transport,
        source: u8,
    ) -> Option<LocalPreference> {
        let base = base.with_port(0);
        let rank = self.ranked.iter().find(|known| known.address == base && !known.gone)?.rank;
        if source >= Self::MAX_SOURCES {
            return None;
        }
        let below = rank.checked_mul(u16::from(Self::MAX_SOURCES))?.checked_add(source.into())?;
        Some(LocalPreference::directed(kind, transport, LocalPreference::MAX_OTHER.checked_sub(below)?))
    }
}

/// The addresses in the order of their preference.
fn interleave(addresses: &[LocalAddress]) -> impl Iterator<Item = TransportAddress> {
    let reliable = |local: &&LocalAddress| local.reliable;
    let v4_count = addresses.iter().filter(reliable).filter(|local| local.address.is_ipv4()).count();
    let reliable_count = addresses.iter().filter(reliable).count();
    // RFC 8421 §4: so many IPv6 addresses go first; without IPv4 there is nothing to interleave with.
    let head_start = reliable_count.checked_div(v4_count).unwrap_or(0);

    let mut v4 = addresses.iter().filter(reliable).map(|local| local.address).filter(|a| a.is_ipv4());
    let mut v6 = addresses.iter().filter(reliable).map(|local| local.address).filter(|a| a.is_ipv6());
    let mut ordered = Vec::with_capacity(addresses.len());
    ordered.extend(v6.by_ref().take(head_start));
    loop {
        let before = ordered.len();
        ordered.extend(v4.next());
        ordered.extend(v6.next());
        if ordered.len() == before {
            break;
        }
    }
    // RFC 8421 §3 and §5: addresses of unreliable interfaces come last and are not interleaved.
    ordered.extend(addresses.iter().filter(|local| !local.reliable).map(|local| local.address));
    ordered.into_iter()
}
