//! Local preferences of this host's addresses: unique, and with the address families interleaved.

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
    reliable: bool,
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
    pub fn new(addresses: impl IntoIterator<Item = LocalAddress>) -> Self {
        let addresses = addresses.into_iter();
        let mut preferences = Self::default();
        preferences.ranked.reserve(addresses.size_hint().0.min(Self::MAX_ADDRESSES));
        for LocalAddress { address, reliable } in addresses {
            let address = address.with_port(0);
            let known = &preferences.ranked;
            if known.len() < Self::MAX_ADDRESSES && known.iter().all(|known| known.address != address) {
                preferences.ranked.push(Ranked { address, rank: 0, reliable, gone: false });
            }
        }
        interleave(&mut preferences.ranked);
        preferences
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
            self.ranked.push(Ranked { address, rank: next, reliable: true, gone: false });
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

/// Ranks addresses in the order of their preference, and puts them into it.
fn interleave(addresses: &mut [Ranked]) {
    let is = |v6: bool| move |local: &&Ranked| local.reliable && local.address.is_ipv6() == v6;
    let count = |v6: bool| u16::try_from(addresses.iter().filter(is(v6)).count()).unwrap_or(u16::MAX);
    let (v4_count, v6_count) = (count(false), count(true));
    let reliable_count = v4_count.saturating_add(v6_count);
    // RFC 8421 §4: so many IPv6 addresses go first; without IPv4 there is nothing to interleave with.
    let head_start = reliable_count.checked_div(v4_count).unwrap_or(0).min(v6_count);
    // RFC 8445 §5.1.2.1: 65535 is for a single address, so rank 0 stays free where there are several.
    let first = u16::from(addresses.len() > 1);
    // So many of each kind have their rank.
    let (mut v4, mut v6, mut unreliable) = (0_u16, 0_u16, 0_u16);
    for local in addresses.iter_mut() {
        let (before, own) = if !local.reliable {
            // RFC 8421 §3 and §5: addresses of unreliable interfaces come last and are not interleaved.
            (reliable_count, &mut unreliable)
        } else if local.address.is_ipv4() {
            (v6_count.min(head_start.saturating_add(v4)), &mut v4)
        } else {
            (v4_count.min(v6.saturating_add(1).saturating_sub(head_start)), &mut v6)
        };
        local.rank = first.saturating_add(before).saturating_add(*own);
        *own = own.saturating_add(1);
    }
    addresses.sort_unstable_by_key(|local| local.rank);
}
