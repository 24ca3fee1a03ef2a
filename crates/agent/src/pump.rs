//! The composition: what one part of the agent says is carried to the others.

use core::net::IpAddr;

use floe_check::{PairReport, Renomination, Route};
use floe_gather::Gatherer;
use floe_pair::{BaseId, ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Component, Life},
    event::Event,
    generation::Phase,
    io::Dscp,
    path::{Framing, Path, PathHandle},
};

impl Agent {
    /// Carries what was told to the agent to its parts: once for all that came in a row.
    #[inline]
    pub(crate) fn catch_up(&mut self) {
        if self.stale {
            self.pump(self.now);
        }
    }

    /// Carries events between gathering, allocations and checks until none is left, then brings the paths up
    /// to date.
    pub(crate) fn pump(&mut self, now: Instant) {
        self.stale = false;
        let candidates = self.gatherer.unreported();
        if candidates > 0 {
            // They come together, and with their end.
            self.events.expect(candidates.saturating_add(2));
            self.checks.expect_bases(candidates);
        }
        while self.carry(now) {}
        if self.slots.reserved.is_some() {
            self.keep_slot_in_use();
        }
        if self.may_lead_elsewhere() {
            self.update_paths();
        }
        self.note_closed();
    }

    /// Kept for a wish that comes later, a slot would be one that nobody knows of any more.
    #[inline(never)]
    fn keep_slot_in_use(&mut self) {
        if !self.wants_slot() {
            self.slots.reserved = None;
        }
    }

    /// Whether data may go another way than at the last look. What allocations and earlier generations carry is looked at each
    /// time, and once more when the last of them has gone.
    #[inline]
    fn may_lead_elsewhere(&mut self) -> bool {
        let manifold =
            self.life != Life::Open || self.gatherer.has_relays() || !self.generations.earlier.is_empty();
        let was_manifold = core::mem::replace(&mut self.manifold, manifold);
        self.checks.take_rerouted() || manifold || was_manifold
    }

    /// Carries one event on; says whether there was any. Mostly there is none: what is done with each stands apart.
    #[inline]
    fn carry(&mut self, now: Instant) -> bool {
        if let Some(event) = self.gatherer.poll_event() {
            self.on_gathering(now, event);
        } else if let Some(event) = self.checks.poll_event() {
            self.ledger.on_checks(now, &event, &self.checks);
            self.on_checks(now, self.generations.number, &event);
        } else {
            // Most agents never restart.
            return !self.generations.earlier.is_empty() && self.carry_earlier(now);
        }
        true
    }

    /// The same for the generations before the one in force.
    #[inline(never)]
    fn carry_earlier(&mut self, now: Instant) -> bool {
        if let Some((generation, event)) = self.poll_earlier(now) {
            self.on_checks(now, generation, &event);
        } else if self.settle_generations(now) {
            // What was kept for a generation that is gone.
            self.free_again(now);
        } else {
            return false;
        }
        true
    }

    /// The end of a closing agent: every allocation is released, and the driver has taken every request.
    #[inline]
    pub(crate) fn note_closed(&mut self) {
        if self.life == Life::Closing && self.gatherer.is_closed() {
            self.life = Life::Closed;
        }
    }

    #[inline(never)]
    fn on_gathering(&mut self, now: Instant, event: floe_gather::Event) {
        if self.life != Life::Open {
            return;
        }
        let again = matches!(&event, floe_gather::Event::Candidate { candidate, base, .. }
            if self.all_checks().any(|checks| checks.knows_local(*base, candidate.address)));
        if !again {
            self.ledger.on_gathering(now, &event);
        }
        match event {
            floe_gather::Event::Candidate { stream, candidate, base } => {
                self.on_local(now, stream, &candidate, base);
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
            floe_gather::Event::CredentialsWanted { server } => {
                self.emit(Event::CredentialsWanted { server });
            }
            floe_gather::Event::Turn(base, event) => self.on_turn(now, base, event),
            floe_gather::Event::DeadlinePassed => self.emit(Event::GatheringDeadline),
            floe_gather::Event::Complete => self.end_local(now),
            _ => {}
        }
    }

    fn on_base_gone(&mut self, now: Instant, base: BaseId) {
        for checks in self.all_checks_mut() {
            checks.remove_base(now, base);
        }
        for component in &mut self.components {
            component.early.forget(base);
        }
    }

    fn on_turn(&mut self, now: Instant, base: BaseId, event: floe_turn::Event) {
        match event {
            floe_turn::Event::PermissionGranted(peer) => {
                self.live_checks_mut().for_each(|checks| checks.admit(now, base, peer));
            }
            floe_turn::Event::PermissionRefused(peer, _) => {
                self.all_checks_mut().for_each(|checks| checks.refuse(now, base, peer));
            }
            floe_turn::Event::Lost(reason) => {
                self.on_base_gone(now, base);
                self.emit(Event::RelayLost { reason });
            }
            // Of an allocation that another one takes the place of; else the gatherer asks for credentials.
            floe_turn::Event::CredentialsWanted => {
                self.live_checks_mut().for_each(|checks| checks.base_ends(now, base));
            }
            // A refused channel leaves Send indications; an ICMP error is not authenticated and proves nothing (T7).
            _ => {}
        }
    }

    /// The next thing that the checks of an earlier generation say, and which one's.
    fn poll_earlier(&mut self, now: Instant) -> Option<(u32, floe_check::Event)> {
        let Self { generations, ledger, .. } = self;
        generations.earlier.iter_mut().find_map(|earlier| {
            let event = earlier.checks.poll_event()?;
            if earlier.phase == Phase::Standing {
                ledger.on_checks(now, &event, &earlier.checks);
            }
            Some((earlier.number, event))
        })
    }

    /// What the checks of a generation say. One before an unanswered restart is heard like the one in force, but that it
    /// ends no gathering, which is for the generation that may follow; of a retired one there is but its consent.
    #[inline(never)]
    fn on_checks(&mut self, now: Instant, generation: u32, event: &floe_check::Event) {
        if self.life != Life::Open {
            return;
        }
        let in_force = generation == self.generations.number;
        match *event {
            floe_check::Event::AdmissionWanted { base, peer } => self.want_admission(now, base, peer),
            floe_check::Event::PairValid { stream, component, .. } => {
                self.emit(Event::PairValid { stream, component });
            }
            floe_check::Event::Selected { stream, component } => {
                self.on_selected(now, generation, stream, component);
            }
            // What another generation still carries is not lost.
            floe_check::Event::ConsentLost { stream, component }
                if in_force || self.route(stream, component).is_none() =>
            {
                self.emit(Event::ConsentLost { stream, component });
            }
            floe_check::Event::RoleSwitched(role) => {
                self.emit(Event::RoleSwitched(role));
                if !in_force {
                    self.checks.inherit_role(role);
                }
            }
            floe_check::Event::State(floe_check::State::Completed) if in_force => self.conclude(now),
            floe_check::Event::Moved { stream, component, reason } => {
                self.emit(Event::Moved { stream, component, reason });
            }
            floe_check::Event::RestartSuggested { stream, component, reason } => {
                self.emit(Event::RestartSuggested { stream, component, reason });
            }
            floe_check::Event::LimitReached { limit, stream, remote } => {
                self.emit(Event::CheckLimit { limit, stream, remote });
            }
            floe_check::Event::CandidatesFree { stream } if in_force => self.free_candidates(now, stream),
            floe_check::Event::RemoteLearned { stream, component, address } => {
                self.emit(Event::RemoteLearned { stream, component, address });
            }
            floe_check::Event::EventsLost(count) => self.emit(Event::EventsLost(count)),
            _ => {}
        }
    }

    /// The checks in force have their pairs. RFC 8445 §5.1.1.4, §8.3: candidates that were not selected need not be kept
    /// alive any more. RFC 8838 §13: after the nomination none is signalled, so that none need be found. Where the agents
    /// may still move, both go on.
    pub(crate) fn conclude(&mut self, now: Instant) {
        let completed = self.checks.state() == floe_check::State::Completed;
        if completed && self.checks.renomination() == Renomination::Off {
            self.gatherer.conclude(now);
            self.free_again(now);
        }
    }

    /// Frees what came since the candidates of a data stream were freed, or was kept then for another generation.
    pub(crate) fn free_again(&mut self, now: Instant) {
        self.release_left(now);
        self.free_skipped(now);
        let mut next = self.stream_after(None);
        while let Some(stream) = next {
            if self.checks.is_freed(stream) {
                self.free_candidates(now, stream);
            }
            next = self.stream_after(Some(stream));
        }
    }

    /// Lets go of addresses that the generation in force leaves out and no other uses.
    pub(crate) fn release_left(&mut self, now: Instant) {
        let Self { checks, generations, gatherer, .. } = self;
        let sets =
            || core::iter::once(&*checks).chain(generations.earlier.iter().map(|earlier| &earlier.checks));
        gatherer.release_left(now, |base| sets().any(|set| set.has_base(base)));
    }

    /// RFC 8445 §8.3.1: addresses of this host that the rules skip by now, and on which no pair of any generation stands, are
    /// not kept once what was not selected has been freed.
    pub(crate) fn free_skipped(&mut self, now: Instant) {
        if self.components.iter().any(|component| !self.checks.is_freed(component.stream)) {
            return;
        }
        let Self { checks, generations, gatherer, .. } = self;
        let sets =
            || core::iter::once(&*checks).chain(generations.earlier.iter().map(|earlier| &earlier.checks));
        gatherer.release_skipped(now, |base| sets().any(|set| set.is_base_used(base)));
    }

    /// RFC 8445 §8.3.1: gives allocations and permissions of a data stream back that no pair of any generation needs.
    pub(crate) fn free_candidates(&mut self, now: Instant, stream: StreamId) {
        let Self { checks, generations, gatherer, .. } = self;
        let sets =
            || core::iter::once(&*checks).chain(generations.earlier.iter().map(|earlier| &earlier.checks));
        gatherer.release_unused(now, |relay| {
            relay.stream != stream || sets().any(|set| set.is_base_used(relay.base))
        });
        gatherer.forget_peers(|of, base, ip| of != stream || sets().any(|set| set.is_peer_listed(base, ip)));
        self.free_skipped(now);
    }

    /// A base has to be opened for a peer: an allocation asks its server for the permission.
    fn want_admission(&mut self, now: Instant, base: BaseId, peer: IpAddr) {
        let Self { checks, generations, gatherer, .. } = self;
        let Some(relay) = gatherer.relay_mut(base) else {
            self.all_checks_mut().for_each(|checks| checks.refuse(now, base, peer));
            return;
        };
        // Both hold as many peers: where one of them had to make room in the checks, it does so here.
        let sets =
            || core::iter::once(&*checks).chain(generations.earlier.iter().map(|earlier| &earlier.checks));
        relay.client.forget_others(|ip| sets().any(|set| set.is_peer_held(base, ip)));
        relay.client.permit(now, peer);
    }

    fn on_selected(&mut self, now: Instant, generation: u32, stream: StreamId, component: ComponentId) {
        // RFC 8445 §12.1.1: a lite agent may not use it yet where another component has none, nor may any agent where another
        // one has failed. It is told all the same.
        let pair = self.checks_in(generation).and_then(|checks| checks.selected_pair(stream, component));
        let Some(PairReport { base, local, remote, .. }) = pair else { return };
        if let Some(relay) = self.gatherer.relay_mut(base) {
            // RFC 8445 §7.2.1: channels are worth their cost once ICE has chosen, not before.
            relay.client.bind_channel(now, remote.address.socket_addr());
        }
        self.forget_channels();
        self.emit(Event::Selected { stream, component, local, remote });
    }

    /// Makes each component's handle say what is true now.
    fn update_paths(&mut self) {
        for index in 0..self.components.len() {
            let Some((stream, id)) = self.components.get(index).map(|part| (part.stream, part.id)) else {
                return;
            };
            let route = if self.life == Life::Open { self.route(stream, id) } else { None };
            let Self { components, gatherer, dscp, .. } = self;
            let Some(part) = components.get_mut(index) else { return };
            let changed = match route {
                None => part.leave_path(),
                Some(Route { base, remote, valid_until }) => match gatherer.place_of(base) {
                    Some(from) => {
                        let path =
                            Path { from, to: remote, framing: Framing::Direct, dscp: *dscp, generation: 0 };
                        part.follow_path(path, valid_until)
                    }
                    None => match channel_path(gatherer, base, remote, *dscp) {
                        Some((path, until)) => part.follow_path(path, valid_until.min(until)),
                        None => part.leave_path(),
                    },
                },
            };
            if changed {
                self.emit(Event::PathChanged { stream, component: id });
            }
        }
    }
}

/// The way over an allocation and until when, unless data has to go through [`Agent::send`].
#[inline(never)]
fn channel_path(
    gatherer: &Gatherer,
    base: BaseId,
    remote: TransportAddress,
    dscp: Dscp,
) -> Option<(Path, Instant)> {
    let relay = gatherer.relay(base)?;
    let peer = remote.socket_addr();
    let (number, bound_until) = relay.client.channel(peer)?;
    let permitted_until = relay.client.permission(peer.ip())?;
    let framing = Framing::Channel(number);
    let path = Path { from: relay.place, to: relay.server, framing, dscp, generation: 0 };
    Some((path, bound_until.min(permitted_until)))
}

impl Component {
    /// Its data goes this way, until then; returns whether it did not before. A handle never changes its way: where that is
    /// another, the old handle is revoked and a new one takes its place.
    #[inline]
    fn follow_path(&mut self, path: Path, until: Instant) -> bool {
        if let Some(handle) = &self.path
            && *handle.path() == (Path { generation: handle.path().generation, ..path })
        {
            handle.extend(until);
            return false;
        }
        self.take_path(path, until);
        true
    }

    fn take_path(&mut self, path: Path, until: Instant) {
        self.leave_path();
        self.paths = self.paths.saturating_add(1);
        self.path = Some(PathHandle::new(Path { generation: self.paths, ..path }, until));
    }

    /// There is no way for its data; returns whether there was one.
    #[inline]
    fn leave_path(&mut self) -> bool {
        let Some(old) = self.path.take() else { return false };
        old.revoke();
        true
    }
}
