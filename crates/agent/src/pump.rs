//! The composition: what one part of the agent says is carried to the others.

use core::net::IpAddr;

use floe_check::Admission;
use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, StreamId};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life, state},
    event::Event,
    path::{Framing, Path, PathHandle},
};

impl Agent {
    /// Carries events between gathering, allocations and checks until none is left, then brings the paths up
    /// to date.
    pub(crate) fn pump(&mut self, now: Instant) {
        loop {
            if let Some(event) = self.gatherer.poll_event() {
                self.on_gathering(now, event);
            } else if let Some(event) = self.checks.poll_event() {
                self.on_checks(now, event);
            } else {
                break;
            }
        }
        if !self.wants_slot() {
            // Kept for a wish that comes later, the slot would be one that nobody knows of any more.
            self.slots.reserved = None;
        }
        self.update_paths();
        self.note_closed();
    }

    /// The end of a closing agent: every allocation is released, and the driver has taken every request.
    pub(crate) fn note_closed(&mut self) {
        if self.life == Life::Closing && self.gatherer.is_closed() {
            self.life = Life::Closed;
            self.emit(Event::Closed);
        }
    }

    fn on_gathering(&mut self, now: Instant, event: floe_gather::Event) {
        if self.life != Life::Open {
            return;
        }
        self.ledger.on_gathering(now, &event);
        match event {
            floe_gather::Event::Candidate { stream, candidate, base } => {
                self.on_candidate(now, stream, candidate, base);
            }
            floe_gather::Event::BaseGone { base } => self.on_base_gone(now, base),
            floe_gather::Event::ServerFailed { server, local, address, error } => {
                self.emit(Event::ServerFailed { server, local, address, error });
            }
            floe_gather::Event::InterfaceSkipped { name, ip, reason } => {
                self.emit(Event::InterfaceSkipped { name, ip, reason });
            }
            floe_gather::Event::HostFailed { local, failure, .. } => {
                self.emit(Event::HostFailed { local, failure });
            }
            floe_gather::Event::LimitReached(limit) => self.emit(Event::GatherLimit(limit)),
            floe_gather::Event::EventsLost(count) => self.emit(Event::EventsLost(count)),
            floe_gather::Event::Turn(base, event) => self.on_turn(now, base, event),
            floe_gather::Event::DeadlinePassed => self.emit(Event::GatheringDeadline),
            floe_gather::Event::Complete => {
                for component in &self.components {
                    self.checks.local_gathering_complete(now, component.stream);
                }
                self.emit(Event::GatheringComplete);
            }
            _ => {}
        }
    }

    fn on_candidate(&mut self, now: Instant, stream: StreamId, candidate: Candidate, base: BaseId) {
        if !self.bases.contains(&base) {
            self.bases.push(base);
            // RFC 8445 §7.2.1: a relay has to permit each peer before a check can leave it.
            let relayed = candidate.kind == CandidateType::Relayed;
            self.checks.add_base(base, if relayed { Admission::PerPeer } else { Admission::Open });
        }
        self.emit(Event::LocalCandidate { stream, candidate: candidate.clone() });
        self.checks.add_local_candidate(now, stream, candidate, base);
    }

    fn on_base_gone(&mut self, now: Instant, base: BaseId) {
        self.checks.remove_base(now, base);
        self.bases.retain(|known| *known != base);
        for component in &mut self.components {
            component.early.forget(base);
        }
    }

    fn on_turn(&mut self, now: Instant, base: BaseId, event: floe_turn::Event) {
        match event {
            floe_turn::Event::PermissionGranted(peer) => self.checks.admit(now, base, peer),
            floe_turn::Event::PermissionRefused(peer, _) => self.checks.refuse(now, base, peer),
            floe_turn::Event::Lost(reason) => {
                self.on_base_gone(now, base);
                self.emit(Event::RelayLost { reason });
            }
            floe_turn::Event::CredentialsWanted => self.emit(Event::CredentialsWanted),
            // A refused channel leaves Send indications; an ICMP error is not authenticated and proves nothing (T7).
            _ => {}
        }
    }

    fn on_checks(&mut self, now: Instant, event: floe_check::Event) {
        if self.life != Life::Open {
            return;
        }
        self.ledger.on_checks(now, &event, &self.checks);
        match event {
            floe_check::Event::AdmissionWanted { base, peer } => match self.gatherer.relay_mut(base) {
                Some(relay) => relay.client.permit(now, peer),
                None => self.checks.refuse(now, base, peer),
            },
            floe_check::Event::PairValid { stream, component, .. } => {
                self.emit(Event::PairValid { stream, component });
            }
            floe_check::Event::Selected { stream, component } => self.on_selected(now, stream, component),
            floe_check::Event::ConsentLost { stream, component } => {
                self.emit(Event::ConsentLost { stream, component });
            }
            floe_check::Event::RoleSwitched(role) => self.emit(Event::RoleSwitched(role)),
            floe_check::Event::State(new) => {
                if new == floe_check::State::Completed {
                    // RFC 8445 §5.1.1.4, §8.3: candidates that were not selected need not be kept alive any more.
                    // RFC 8838 §13: after the nomination none is signalled, so that none need be found.
                    self.gatherer.conclude(now);
                }
                self.emit(Event::State(state(new)));
                if new == floe_check::State::Failed {
                    self.emit(Event::Failed(self.failure()));
                }
            }
            floe_check::Event::LimitReached { limit, stream, remote } => {
                self.emit(Event::CheckLimit { limit, stream, remote });
            }
            floe_check::Event::CandidatesFree { stream } => self.free_candidates(now, stream),
            floe_check::Event::RemoteLearned { stream, component, address } => {
                self.emit(Event::RemoteLearned { stream, component, address });
            }
            floe_check::Event::EventsLost(count) => self.emit(Event::EventsLost(count)),
            _ => {}
        }
    }

    /// RFC 8445 §8.3.1: gives allocations and permissions of a data stream back that no pair of it needs.
    fn free_candidates(&mut self, now: Instant, stream: StreamId) {
        let Self { checks, gatherer, bases, .. } = self;
        let kept = |base, ip: Option<IpAddr>| {
            let mut listed = checks.pairs().filter(|pair| pair.listed && pair.base == base);
            listed.any(|pair| ip.is_none_or(|ip| pair.remote.address.ip() == ip))
        };
        gatherer.release_unused(now, |relay| relay.stream != stream || kept(relay.base, None));
        for base in bases.iter().copied() {
            if let Some(relay) = gatherer.relay_mut(base).filter(|relay| relay.stream == stream) {
                relay.client.forget_others(|ip| kept(base, Some(ip)));
            }
        }
    }

    fn on_selected(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let Some(pair) = self.checks.selected(stream, component) else { return };
        if let Some(relay) = self.gatherer.relay_mut(pair.base) {
            // RFC 8445 §7.2.1: channels are worth their cost once ICE has chosen, not before.
            relay.client.bind_channel(now, pair.remote.socket_addr());
        }
        self.emit(Event::Selected { stream, component, local: pair.local, remote: pair.remote_candidate });
    }

    /// Makes each component's handle say what is true now. A handle never changes its way: where the way is
    /// another, the old handle is revoked and a new one takes its place.
    fn update_paths(&mut self) {
        for index in 0..self.components.len() {
            let Some((stream, id)) =
                self.components.get(index).map(|component| (component.stream, component.id))
            else {
                return;
            };
            let wanted = if self.life == Life::Open { self.wanted_path(stream, id) } else { None };
            let Some(component) = self.components.get_mut(index) else { return };
            let changed = match (&component.path, wanted) {
                (None, None) => false,
                (Some(handle), Some((path, until)))
                    if Path { generation: handle.path().generation, ..path } == *handle.path() =>
                {
                    handle.extend(until);
                    false
                }
                (old, wanted) => {
                    if let Some(old) = old {
                        old.revoke();
                    }
                    component.path = wanted.map(|(path, until)| {
                        component.paths = component.paths.saturating_add(1);
                        PathHandle::new(Path { generation: component.paths, ..path }, until)
                    });
                    true
                }
            };
            if changed {
                self.emit(Event::PathChanged { stream, component: id });
            }
        }
    }

    /// The way of the component's pair and until when, unless its data has to go through [`Agent::send`].
    fn wanted_path(&self, stream: StreamId, component: ComponentId) -> Option<(Path, Instant)> {
        let pair = self.sending_pair(stream, component)?;
        let dscp = self.dscp;
        if let Some(from) = self.gatherer.place_of(pair.base) {
            let path = Path { from, to: pair.remote, framing: Framing::Direct, dscp, generation: 0 };
            return Some((path, pair.valid_until));
        }
        let relay = self.gatherer.relay(pair.base)?;
        let peer = pair.remote.socket_addr();
        let (number, bound_until) = relay.client.channel(peer)?;
        let permitted_until = relay.client.permission(peer.ip())?;
        let path = Path {
            from: relay.place,
            to: relay.server,
            framing: Framing::Channel(number),
            dscp,
            generation: 0,
        };
        Some((path, pair.valid_until.min(bound_until).min(permitted_until)))
    }
}
