//! The loop: what happens next, and what follows from it.

use core::time::Duration;
use std::net::SocketAddr;

use floe_agent::{AgentKey, Answer, Handled, Received, Request, RequestFailure};
use floe_pair::Place;
use floe_stun::Instant;

use super::{
    AgentId, Arrived, Content, Fate, Heard, HostId, Network, Node, Packet, RealmId, ServerId, emit::Trouble,
    queue::Occurrence, realm::Attachment,
};

/// Steps at one instant before the run counts as stalled: far more than any sane burst of datagrams makes.
const MAX_STEPS_AT_ONE_INSTANT: u32 = 100_000;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// The condition holds.
    Met,
    /// The time limit was reached.
    TimeLimit,
    /// Nothing is going to happen any more.
    Idle,
    /// Something wants to act again and again at one instant: a fault of an agent or of the simulator.
    Stalled,
}

impl Network {
    /// Runs until `condition` holds, which is asked before every step, or until nothing more happens before
    /// `limit`. The clock then stands at the last thing that happened, or at `limit` if that was reached.
    pub fn run_until(&mut self, mut condition: impl FnMut(&Self) -> bool, limit: Instant) -> Ended {
        loop {
            if condition(self) {
                return Ended::Met;
            }
            match self.next_at() {
                None => return Ended::Idle,
                Some(at) if at > limit => {
                    self.move_clock(limit);
                    return Ended::TimeLimit;
                }
                Some(at) => {
                    self.move_clock(at);
                    self.steps = self.steps.saturating_add(1);
                    if self.steps > MAX_STEPS_AT_ONE_INSTANT {
                        return Ended::Stalled;
                    }
                    self.step();
                }
            }
        }
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now.after(time);
        if self.run_until(|_| false, until) != Ended::Stalled {
            self.move_clock(until);
        }
    }

    fn move_clock(&mut self, to: Instant) {
        if to > self.now {
            (self.now, self.steps) = (to, 0);
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let hosts = self.hosts.iter().filter_map(|host| host.deadline);
        let servers = self.servers.iter().filter_map(|server| server.deadline);
        self.queue.next_at().into_iter().chain(hosts).chain(servers).min()
    }

    /// One occurrence, or the timers of one node. Inputs come before timers.
    fn step(&mut self) {
        let now = self.now;
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if let Some(occurrence) = self.queue.pop_due(now) {
            self.happen(occurrence);
        } else if let Some(index) = self.hosts.iter().position(|host| due(host.deadline)) {
            if let Some(host) = self.hosts.get_mut(index) {
                host.hub.handle_timeout(now);
            }
            self.drain_host(HostId(index));
        } else if let Some(index) = self.servers.iter().position(|server| due(server.deadline)) {
            if let Some(server) = self.servers.get_mut(index) {
                server.server.handle_timeout(now);
            }
            self.drain_server(ServerId(index));
        }
    }

    fn happen(&mut self, occurrence: Occurrence) {
        match occurrence {
            Occurrence::Arrival { node: Node::Host(id), realm, packet } => {
                self.arrive_at_host(id, realm, packet);
            }
            Occurrence::Arrival { node: Node::Server(id), realm, packet } => {
                self.arrive_at_server(id, realm, packet);
            }
            Occurrence::Arrival { node: Node::Gate(index), realm, packet } => {
                self.pass_gate(index, realm, packet);
            }
            Occurrence::Descent { node, link, realm, packet } => {
                self.go_down(self.now, Attachment { node, link }, realm, packet);
            }
            Occurrence::Injection { realm, packet } => self.be_injected(realm, packet),
            Occurrence::Signal { to, recalls, signal } => self.hear(to, recalls, signal),
            Occurrence::Answer { host, agent, id, answer } => {
                if let Some(node) = self.hosts.get_mut(host.0) {
                    node.hub.handle_answer(self.now, agent, id, answer);
                }
                self.drain_host(host);
            }
        }
    }

    fn arrive_at_host(&mut self, id: HostId, realm: RealmId, mut packet: Packet) {
        let Some(node) = self.hosts.get_mut(id.0) else { return };
        let Content::Datagram(payload) = &mut packet.content else {
            // Agents take no ICMP: it is not authenticated, and proves nothing (RFC 8445 §19.2).
            return self.drop_packet(realm, packet, Fate::Delivered);
        };
        let Some(socket) = node.socket_at(packet.to) else {
            self.trace.note(self.now, realm, &packet, Fate::NoSocket);
            return self.report(realm, &packet, packet.to.ip(), Trouble::NoSocket);
        };
        if let Some(heard) = node.bare.get_mut(&socket) {
            heard.push(Heard { at: self.now, from: packet.from, payload: payload.clone() });
            return self.drop_packet(realm, packet, Fate::Delivered);
        }
        self.trace.note(self.now, realm, &packet, Fate::Delivered);
        let Content::Datagram(payload) = &mut packet.content else { return };
        let source = node.seen_source(packet.from, packet.to.ip());
        if let Some(watch) = &mut self.watch {
            let place = Place { socket, local_ip: packet.to.ip() };
            watch.on_receive(self.now, id, place, source, payload);
        }
        let ecn = floe_agent::Ecn::NotCapable;
        let received = Received { socket, local_ip: packet.to.ip(), source, ecn, payload };
        let mut is_data = false;
        if let (Some(key), Handled::Data { stream, component, payload }) =
            node.hub.handle_datagram(self.now, received)
        {
            is_data = true;
            if let Some(mailbox) = node.mailboxes.get_mut(&key) {
                mailbox.keep(Arrived { at: self.now, stream, component, payload: payload.to_vec() });
            }
        }
        self.recycle(packet);
        if is_data {
            self.drain_after_data(id);
        } else {
            self.drain_host(id);
        }
    }

    fn arrive_at_server(&mut self, id: ServerId, realm: RealmId, packet: Packet) {
        let Some(node) = self.servers.get_mut(id.0) else { return };
        let served = node.receive(self.now, &packet);
        let fate = if served { Fate::Delivered } else { Fate::NoSocket };
        if !served {
            self.trace.note(self.now, realm, &packet, fate);
            return self.report(realm, &packet, packet.to.ip(), Trouble::NoSocket);
        }
        self.drop_packet(realm, packet, fate);
        self.drain_server(id);
    }

    /// Does everything a host's agents want done, in the order their outputs are to be drained.
    pub(super) fn drain_host(&mut self, id: HostId) {
        self.drain(id);
        let Some(node) = self.hosts.get(id.0) else { return };
        let Some(watch) = &mut self.watch else { return };
        for key in node.mailboxes.keys() {
            if let Some(agent) = node.hub.agent(*key) {
                watch.on_settled(self.now, AgentId { host: id, key: *key }, agent);
            }
        }
    }

    /// The same after application data, which changes no pair: where nothing follows from it, nobody has to look.
    pub(super) fn drain_after_data(&mut self, id: HostId) {
        if self.drain(id) {
            self.drain_host(id);
        }
    }

    /// Whether there was anything to do.
    fn drain(&mut self, id: HostId) -> bool {
        let mut acted = false;
        let mut buffer = core::mem::take(&mut self.buffer);
        while let Some(node) = self.hosts.get_mut(id.0) {
            if let Some((key, transmit)) = node.hub.poll_transmit(&mut buffer) {
                if let Some(watch) = &mut self.watch {
                    watch.on_transmit(
                        self.now,
                        AgentId { host: id, key },
                        &transmit,
                        buffer.get(..transmit.len).unwrap_or_default(),
                    );
                }
                let mut bytes = self.spare.pop().unwrap_or_default();
                bytes.clear();
                bytes.extend_from_slice(buffer.get(..transmit.len).unwrap_or_default());
                self.trace.depart();
                self.leave(id, transmit.from, transmit.to.socket_addr(), bytes);
            } else if let Some((key, request)) = node.hub.poll_request() {
                self.serve_agent(id, key, request);
            } else if let Some((key, event)) = node.hub.poll_event() {
                if let Some(watch) = &mut self.watch {
                    watch.on_event(self.now, AgentId { host: id, key }, &event);
                }
                if let Some(mailbox) = node.mailboxes.get_mut(&key) {
                    mailbox.note(self.now, event.clone());
                }
                self.forward(AgentId { host: id, key }, &event);
            } else if let Some((key, stream, component, len)) = node.hub.poll_data(&mut buffer) {
                if let Some(mailbox) = node.mailboxes.get_mut(&key) {
                    let payload = buffer.get(..len).unwrap_or_default().to_vec();
                    mailbox.keep(Arrived { at: self.now, stream, component, payload });
                }
            } else {
                node.deadline = node.hub.poll_timeout();
                break;
            }
            acted = true;
        }
        self.buffer = buffer;
        acted
    }

    fn serve_agent(&mut self, host: HostId, agent: AgentKey, request: Request) {
        let Some(node) = self.hosts.get_mut(host.0) else { return };
        match request {
            Request::BindUdp { id, local, .. } => {
                let answer = node.bind(local);
                node.hub.handle_answer(self.now, agent, id, answer);
            }
            Request::Resolve { id, name, .. } => {
                let failed = || (Answer::Failed(RequestFailure::NotFound), Duration::ZERO);
                let (answer, delay) = self
                    .names
                    .get(&name)
                    .cloned()
                    .map_or_else(failed, |(ips, delay)| (Answer::Resolved(ips), delay));
                self.queue.push(self.now.after(delay), Occurrence::Answer { host, agent, id, answer });
            }
            Request::Close { socket } => node.close(socket),
            // Streams, names and port mappings are not part of this network yet.
            other => {
                if let Some(id) = other.id() {
                    let answer = Answer::Failed(RequestFailure::Unsupported);
                    node.hub.handle_answer(self.now, agent, id, answer);
                }
            }
        }
    }

    fn drain_server(&mut self, id: ServerId) {
        while let Some(node) = self.servers.get_mut(id.0) {
            let realm = node.realm;
            if let Some(transmit) = node.server.poll_transmit() {
                let (from, to): (SocketAddr, SocketAddr) = (transmit.from, transmit.to);
                self.emit(
                    Node::Server(id),
                    realm,
                    Packet { from, to, content: Content::Datagram(transmit.bytes) },
                );
            } else if let Some(request) = node.server.poll_request() {
                node.serve(self.now, request);
            } else {
                node.deadline = node.server.poll_timeout();
                break;
            }
        }
    }
}
