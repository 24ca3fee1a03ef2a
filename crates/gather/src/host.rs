//! Addresses of this host, the sockets on them, and the requests that lead there.

use alloc::{boxed::Box, vec::Vec};
use core::net::IpAddr;

use floe_pair::{BaseId, CandidateType, ComponentId, Few, Place, StreamId, TransportAddress};
use floe_stun::Instant;
use floe_turn::uri::Host as ServerHost;

use crate::{
    candidates::{Added, Found},
    config::Policy,
    error::ServerError,
    event::{Event, Limit},
    gatherer::{Gatherer, Stage},
    interface::{Interface, SkipReason, Verdicts},
    locals::{Local, LocalId, Use},
    request::{Answer, Request, RequestFailure, RequestId},
    server::{Addresses, known},
};

/// Names a host candidate that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostKey {
    pub(crate) local: LocalId,
    pub(crate) stream: StreamId,
    pub(crate) component: ComponentId,
}

/// Names a job: one server asked from one address for one component. Sorted by server, whose jobs share a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobKey {
    pub(crate) server: usize,
    pub(crate) local: LocalId,
    pub(crate) stream: StreamId,
    pub(crate) component: ComponentId,
}

impl JobKey {
    pub(crate) const fn host(self) -> HostKey {
        HostKey { local: self.local, stream: self.stream, component: self.component }
    }
}

/// What the answer to a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// The socket of a host candidate.
    Host(HostKey),
    /// The socket of an allocation on `server`; `ports` were used up before it.
    Relay { key: JobKey, server: TransportAddress, ports: u8 },
    /// The addresses of a server.
    Resolve { server: usize },
}

impl Ask {
    const fn host(self) -> Option<HostKey> {
        match self {
            Self::Host(key) => Some(key),
            Self::Relay { key, .. } => Some(key.host()),
            Self::Resolve { .. } => None,
        }
    }
}

/// A host candidate and its socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Host {
    /// The driver was asked for a socket, then.
    Asked(Instant),
    /// It is a candidate.
    Bound { base: BaseId, place: Place, address: TransportAddress },
    /// There is no socket for it.
    Failed,
}

impl Gatherer {
    /// The addresses this host has now; before or after [`Self::start`], and again whenever they change
    /// (RFC 8445 §5.1.1.4): what is new is gathered from, what is gone takes its candidates along. An address in use that is
    /// there, and that the rules of RFC 8445 §5.1.1.1 skip by now, keeps what it has, and nothing more is gathered from it:
    /// [`Self::restart`] leaves it to the generations before, and [`Self::release_left`] lets it go with them;
    /// [`Self::release_skipped`] does where nobody uses it any more.
    pub fn handle_interfaces(&mut self, now: Instant, interfaces: &[Interface]) {
        self.now = self.now.max(now);
        if self.stage == Stage::Closed {
            return;
        }
        let verdicts = Verdicts::new(interfaces, self.config.rules(), &|one| self.gathers_from(one));
        self.used = Few::new();
        self.used.reserve(verdicts.accepted().count());
        for interface in verdicts.accepted() {
            self.used.push(((&*interface.name).into(), interface.ip));
        }
        let skip = |(interface, verdict): (&Interface, Option<SkipReason>)| {
            verdict.map(|reason| (interface.name.clone(), interface.ip, reason))
        };
        self.report_skipped(verdicts.iter().filter_map(skip).collect());
        self.update_locals(&verdicts);
        self.interfaces_known = true;
        self.jobs.touch();
        self.fill();
        self.settle();
    }

    /// Reports what was not skipped for the same reason the last time, of as many as are kept for that.
    fn report_skipped(&mut self, mut skipped: Vec<(Box<str>, IpAddr, SkipReason)>) {
        skipped.truncate(crate::interface::MAX_INTERFACES);
        for skip in &skipped {
            if !self.skipped.contains(skip) {
                let (name, ip, reason) = skip.clone();
                self.out.notice(Event::InterfaceSkipped { name, ip, reason });
            }
        }
        self.skipped = skipped;
    }

    /// Begins whatever the addresses, servers and components known so far make possible and is not begun yet.
    pub(crate) fn fill(&mut self) {
        if matches!(self.stage, Stage::Idle | Stage::Closed) {
            return;
        }
        self.jobs.touch();
        if self.stage == Stage::Concluded {
            // A new address of this host may still be of use, and costs no server anything.
            if self.config.policy != Policy::RelayOnly {
                self.ask_hosts();
            }
            return;
        }
        self.ask_names();
        if self.config.policy != Policy::RelayOnly {
            self.ask_hosts();
        }
        if self.servers.is_empty() {
            return;
        }
        if self.config.policy != Policy::RelayOnly {
            self.fill_reflexive();
        }
        self.fill_relays();
    }

    /// A number no pending request has.
    pub(crate) fn ask(&mut self, ask: Ask) -> RequestId {
        let id = RequestId(self.number());
        self.asked.insert(id, ask);
        id
    }

    /// Each name is resolved once in the life of the gatherer (T32): a name that changes meanwhile leads nowhere else.
    /// One that could not be resolved is asked about again by a restart, and once more where that came while it was asked.
    fn ask_names(&mut self) {
        for index in 0..self.servers.len() {
            let Some(state) =
                self.servers.get_mut(index).filter(|state| state.addresses == Addresses::Wanted)
            else {
                continue;
            };
            state.addresses = Addresses::Asked(self.now);
            let Some(url) = self.config.servers.get(index).map(|server| &server.url) else { continue };
            let ServerHost::Name(name) = url.host() else { continue };
            let (name, port) = (name.clone(), url.port());
            let id = self.ask(Ask::Resolve { server: index });
            self.out.request(Request::Resolve { id, name, port });
        }
    }

    pub(crate) fn resolved(&mut self, server: usize, answer: Answer) {
        let loopback = self.config.loopback;
        let Some(port) = self.config.servers.get(server).map(|server| server.url.port()) else { return };
        let (addresses, error) = match answer {
            Answer::Resolved(ips) => known(&ips, port, loopback),
            Answer::Failed(failure) => (Addresses::Unresolved, Some(ServerError::Resolve(failure))),
            other => {
                self.decline(&other);
                (Addresses::Unresolved, Some(ServerError::Resolve(RequestFailure::Other)))
            }
        };
        let Some(state) = self.servers.get_mut(server) else { return };
        if addresses == Addresses::Unresolved && matches!(state.addresses, Addresses::AskedBefore(_)) {
            // RFC 8445 §9: what is gathered for a generation is asked for in it.
            state.addresses = Addresses::Wanted;
            return;
        }
        state.addresses = addresses;
        if let Some(error) = error {
            self.out.notice(Event::ServerFailed { server, local: None, address: None, error });
        }
    }

    /// RFC 8445 §5.1.1.1: a socket on each address for each component.
    pub(crate) fn ask_hosts(&mut self) {
        self.turns.hold(|held| held.hosts_wait = false);
        let limit = self.limits().hosts;
        self.expect_hosts(limit);
        let mut hosts = self.hosts.keys().filter(|key| self.is_gathered(key.local)).count();
        for place in 0..self.locals.len() {
            let Some(&Local { id: local, address, purpose, .. }) = self.locals.get(place) else { return };
            if purpose != Use::Gathered {
                continue;
            }
            for place in 0..self.components.len() {
                let Some(&(stream, component)) = self.components.key_at(place) else { break };
                let key = HostKey { local, stream, component };
                if self.hosts.contains_key(&key) {
                    continue;
                }
                if hosts >= limit {
                    self.turns.hold(|held| held.hosts_wait = true);
                    self.out.limit(Limit::Hosts);
                    return;
                }
                hosts = hosts.saturating_add(1);
                self.hosts.insert(key, Host::Asked(self.now));
                let id = self.ask(Ask::Host(key));
                self.out.request(Request::BindUdp { id, local: address, shareable: true });
            }
        }
    }

    /// Makes room for the host candidates that are still to come, once and for all of them.
    fn expect_hosts(&mut self, limit: usize) {
        let all = self.locals.len().saturating_mul(self.components.len()).min(limit);
        let more = all.saturating_sub(self.hosts.len());
        if more > 0 {
            self.hosts.reserve(more);
            self.asked.reserve(more);
            self.out.expect_requests(more);
            self.places.reserve(more);
            self.bases.reserve(more);
            self.table.reserve(more);
        }
    }

    pub(crate) fn host_answered(&mut self, key: HostKey, answer: Answer) {
        let Some(known) = self.locals.iter().find(|local| local.id == key.local) else {
            return self.decline(&answer);
        };
        let (local, is_withheld) = (known.address, known.is_withheld());
        let (place, address) = match self.bound_place(local, answer) {
            Ok(bound) => bound,
            Err(failure) => {
                self.hosts.insert(key, Host::Failed);
                let HostKey { stream, component, .. } = key;
                return self.out.notice(Event::HostFailed { stream, component, local, failure });
            }
        };
        let base = BaseId(self.number());
        self.places.insert(place, base);
        self.bases.insert(base, place);
        self.hosts.insert(key, Host::Bound { base, place, address });
        let found = Found {
            stream: key.stream,
            component: key.component,
            kind: CandidateType::Host,
            address,
            base,
            base_ip: address.ip(),
            local,
            server: None,
            source: 0,
            related: None,
        };
        self.add_found(&found, is_withheld);
    }

    /// The place a socket asked for on `local` is at. A place somebody lives at cannot be told apart from it.
    pub(crate) fn bound_place(
        &mut self,
        local: TransportAddress,
        answer: Answer,
    ) -> Result<(Place, TransportAddress), RequestFailure> {
        let (socket, bound) = match answer {
            Answer::Bound { socket, local } => (socket, local),
            Answer::Failed(failure) => return Err(failure),
            other => {
                self.decline(&other);
                return Err(RequestFailure::Other);
            }
        };
        let place = Place { socket, local_ip: local.ip() };
        let elsewhere = bound.ip() != local.ip() && !bound.is_unspecified();
        if bound.port() == 0 || elsewhere || self.places.contains_key(&place) {
            self.free(socket);
            return Err(RequestFailure::Other);
        }
        Ok((place, local.with_port(bound.port())))
    }

    /// Adds a candidate; says so when there are too many.
    pub(crate) fn add_candidate(&mut self, found: &Found) -> Added {
        self.add_found(found, self.is_withheld(found.local))
    }

    /// The same where it is known whether what is found on the address is withheld from the generation in force.
    fn add_found(&mut self, found: &Found, is_withheld: bool) -> Added {
        debug_assert_eq!(is_withheld, self.is_withheld(found.local), "an address is known once");
        let added = self.table.add(found);
        match added {
            Added::Full => self.out.limit(Limit::Candidates),
            Added::New if is_withheld => self.table.withhold(found.base),
            Added::New | Added::Redundant => {}
        }
        added
    }

    /// Ends every job of these hosts, and gives back what it holds.
    pub(crate) fn drop_jobs(&mut self, dropped: impl Fn(HostKey) -> bool) {
        let withdrawn: Vec<_> = self
            .asked
            .iter()
            .filter(|(_, ask)| ask.host().is_some_and(&dropped))
            .map(|(id, _)| *id)
            .collect();
        for id in withdrawn {
            self.asked.remove(&id);
            self.out.withdraw(id);
        }
        self.reflexive.retain(|key, _| !dropped(key.host()));
        self.transactions.retain(|_, key| !dropped(key.host()));
        self.relay_jobs.retain(|key, _| !dropped(key.host()));
        self.forget_given_back(&dropped);
        let hosts: Vec<_> =
            self.hosts.iter().filter(|(key, _)| dropped(**key)).map(|(key, host)| (*key, *host)).collect();
        for (key, host) in hosts {
            self.hosts.remove(&key);
            if let Host::Bound { base, place, .. } = host {
                self.places.remove(&place);
                self.bases.remove(&base);
                self.retire(base);
                self.free(place.socket);
            }
        }
        let relays: Vec<_> = self
            .relays
            .iter()
            .filter(|(_, entry)| dropped(entry.key.host()))
            .map(|(base, _)| *base)
            .collect();
        for base in relays {
            self.retire(base);
            self.release(base);
        }
        self.jobs.touch();
    }

    /// Takes back the candidates of a base.
    pub(crate) fn retire(&mut self, base: BaseId) {
        if self.table.remove_base(base) && self.stage != Stage::Closed {
            self.out.gone(base);
        }
    }
}
