//! Default candidates and destinations (RFC 8839 §3, §4.2.1.2, §4.3).

use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Destination, Media, RtcpDestination, RtcpMux, new_candidates};
use crate::{CandidateLine, CandidateType, ComponentId, ConnectionAddress, Protocol, TcpType, Transport};

/// The candidate of a component that is most likely to work with somebody who does not use ICE: relayed before
/// reflexive before host, UDP before TCP, IPv4 before IPv6, then the one of the highest priority. With `protocol`
/// only candidates of it count.
///
/// `None` if there is none: none that was hidden behind a name, is link-local or is simultaneous-open TCP.
pub fn default_candidate(
    candidates: &[CandidateLine],
    component: ComponentId,
    protocol: Option<Protocol>,
) -> Option<&CandidateLine> {
    let reach = |kind| match kind {
        CandidateType::Relayed => 3,
        CandidateType::ServerReflexive => 2,
        CandidateType::PeerReflexive => 1,
        CandidateType::Host => 0_u8,
    };
    let fits = |line: &&CandidateLine| {
        // RFC 6544 §4.3: simultaneous-open candidates are no defaults.
        let transport = line.transport() != Transport::Tcp(TcpType::SimultaneousOpen);
        let asked = protocol.is_none_or(|protocol| line.transport().protocol() == protocol);
        let reachable = line
            .candidate()
            .is_some_and(|candidate| candidate.address.is_unicast() && !candidate.address.is_link_local());
        line.component() == component && transport && asked && reachable
    };
    let rank = |line: &&CandidateLine| {
        let is_v4 = matches!(line.address(), ConnectionAddress::Ip(IpAddr::V4(_)));
        let is_udp = line.transport() == Transport::Udp;
        // RFC 6544 §4.3: an active candidate is the better default where there is only TCP.
        let is_active = line.transport() == Transport::Tcp(TcpType::Active);
        (is_udp, reach(line.kind()), is_v4, is_active, line.priority())
    };
    // Of equals the first: `max_by_key` would take the last.
    candidates.iter().filter(fits).rev().max_by_key(rank)
}

impl Media {
    /// Makes the best of the candidates the default destination, over the protocol of the `m=` line: its port, the
    /// `c=` line and `a=rtcp`. Without a candidate of that protocol it is the placeholder, `0.0.0.0` or `::` port 9.
    pub fn set_default_destination(&mut self) {
        let protocol = self.line.transport();
        let chosen =
            |component| default_candidate(&self.candidates, component, protocol).map(Destination::from);
        let first = chosen(ComponentId::RTP);
        // RFC 8840 §4.1.1: where RTP has no address RTCP can have none.
        let second = chosen(ComponentId::RTCP).filter(|_| first.is_some());
        let is_v6 = matches!(self.connection, Some(ConnectionAddress::Ip(IpAddr::V6(_))));
        let placeholder = if is_v6 { Destination::PLACEHOLDER_V6 } else { Destination::PLACEHOLDER_V4 };
        // RFC 8839 §4.3.2: with no candidate of the protocol only the placeholder makes no mismatch.
        self.set_destinations(&first.unwrap_or(placeholder), second.as_ref());
    }

    /// Writes the default destinations of the first component and, if there is one, of RTCP into the lines that tell
    /// them.
    pub(super) fn set_destinations(&mut self, first: &Destination, second: Option<&Destination>) {
        self.line = self.line.clone().with_port(first.port);
        self.connection = Some(first.address.clone());
        // RFC 8839 §4.2.2: told only where it is not what is taken without it.
        self.rtcp.destination = None;
        let implied = self.default_destination(ComponentId::RTCP);
        if let Some(told) = second.filter(|second| implied.as_ref() != Some(*second)) {
            let address = Some(&told.address).filter(|address| **address != first.address).cloned();
            self.rtcp.destination = Some(RtcpDestination { port: told.port, address });
        }
    }

    /// The section of an offer or answer with these candidates, all of them, and the default destination that belongs to
    /// them. What the other side reads of very many is for it to say
    /// ([`MAX_CANDIDATES`](super::MAX_CANDIDATES)): the ones that matter should come first.
    #[must_use]
    pub fn with_candidates(mut self, candidates: impl IntoIterator<Item = CandidateLine>) -> Self {
        self.candidates = candidates.into_iter().collect();
        self.set_default_destination();
        self
    }

    /// The section for an offer while no pair is nominated: all that was told before, in its order, and after it what
    /// was gathered since (RFC 8839 §4.4.1.2.1). The default destination stays, unless it was the placeholder.
    #[must_use]
    pub fn with_more_candidates(mut self, gathered: &[CandidateLine]) -> Self {
        let new: Vec<CandidateLine> = new_candidates(&self.candidates, gathered).cloned().collect();
        self.candidates.extend(new);
        if self.default_destination(ComponentId::RTP).is_none_or(|default| default.is_placeholder()) {
            self.set_default_destination();
        }
        self
    }

    /// The section as it stands in an offer that removes it: port 0, no attribute of ICE (RFC 8839 §4.4.1.1.2).
    #[must_use]
    pub fn removed(self) -> Self {
        let Self { line, connection, mid, .. } = self;
        Self { connection, mid, ..Self::new(line.with_port(0)) }
    }

    /// The section of an answer that refuses ICE, because the default destination of the offer is none of its
    /// candidates: `ice-mismatch` and no candidates (RFC 8839 §4.2.5).
    #[must_use]
    pub fn with_mismatch(mut self) -> Self {
        self.candidates.clear();
        (self.remote_candidates, self.mismatch, self.end_of_candidates) = (None, true, false);
        self
    }

    /// Which components the section has, as far as it tells: RTP alone where there is no RTP, where RTP and RTCP can
    /// only share a transport, or where there is no RTCP; else both.
    ///
    /// Of an offer these are the components to gather candidates for. With the answer,
    /// [`agreed_components`] says which of them are used.
    pub fn components(&self) -> &'static [ComponentId] {
        // RFC 8839 §4.2.2: candidates for both wherever RTP and RTCP have ports of their own.
        let alone = !self.line.is_rtp()
            || self.rtcp.mux == RtcpMux::Only
            || self.rtcp.silence == super::RtcpSilence::Everybody;
        if alone { &[ComponentId::RTP] } else { &[ComponentId::RTP, ComponentId::RTCP] }
    }
}

/// Which components a section has once it was answered: RTP alone as well where both sides take RTP and RTCP on one
/// transport (RFC 5761 §5.1.1). The candidates of the other component can be given up.
pub fn agreed_components(offer: &Media, answer: &Media) -> &'static [ComponentId] {
    let shared = offer.rtcp.mux != RtcpMux::No && answer.rtcp.mux != RtcpMux::No;
    let (one, other) = (offer.components(), answer.components());
    if shared {
        &[ComponentId::RTP]
    } else if one.len() < other.len() {
        one
    } else {
        other
    }
}
