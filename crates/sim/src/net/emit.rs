//! From one node to the next: links, gates, and errors that go back.

use std::net::{IpAddr, SocketAddr};

use floe_stun::Instant;

use super::{
    Content, Fate, Network, Node, Packet, RealmId, Unreachable, gate::Outbound, link::Crossing,
    queue::Occurrence, realm::Attachment,
};

/// What an ICMP error reports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    NoSocket,
    TooBig(u16),
    Prohibited,
}

impl Trouble {
    /// Type and code (RFC 792, RFC 4443).
    fn number(self, ipv4: bool) -> (u8, u8) {
        match (self, ipv4) {
            (Self::NoSocket, true) => (3, 3),
            (Self::NoSocket, false) => (1, 4),
            (Self::TooBig(_), true) => (3, 4),
            (Self::TooBig(_), false) => (2, 0),
            (Self::Prohibited, true) => (3, 13),
            (Self::Prohibited, false) => (1, 1),
        }
    }
}

impl Network {
    /// Puts a datagram on its way from `sender` in `realm`. Within one node it arrives at once; between two it
    /// crosses the links of both.
    pub(super) fn emit(&mut self, sender: Node, realm: RealmId, packet: Packet) {
        let Some(space) = self.realms.get(realm.0) else { return };
        let own = space.sender(sender, packet.from.ip());
        let (Some(own), Some(next)) = (own, space.route(packet.to.ip())) else {
            return self.drop_packet(realm, packet, Fate::NoRoute);
        };
        if next.node == sender {
            self.trace.note(self.now, realm, &packet, Fate::Sent);
            return self.queue.push(self.now, Occurrence::Arrival { node: next.node, realm, packet });
        }
        let Some(lanes) = self.links.get_mut(own.link) else { return };
        let bytes = packet.ip_bytes();
        match lanes.up.cross(self.now, bytes, self.calm, &mut self.chances) {
            Crossing::Lost => self.drop_packet(realm, packet, Fate::Lost),
            Crossing::TooBig(mtu) => self.drop_too_big(realm, &packet, mtu),
            Crossing::Arrives(at, copy) => {
                if let Some(copy_at) = copy {
                    self.trace.note(self.now, realm, &packet, Fate::Duplicated);
                    self.cross_realm(copy_at, own, next, realm, packet.clone());
                }
                self.cross_realm(at, own, next, realm, packet);
            }
        }
    }

    /// From `at` on a datagram is between the links of its sender and its receiver.
    fn cross_realm(
        &mut self,
        at: Instant,
        own: Attachment,
        next: Attachment,
        realm: RealmId,
        packet: Packet,
    ) {
        let Some(lanes) = self.links.get_mut(own.link) else { return };
        match lanes.weather.cross(at, packet.ip_bytes(), self.calm, &mut self.chances) {
            Crossing::Lost => self.drop_packet(realm, packet, Fate::Lost),
            Crossing::TooBig(mtu) => self.drop_too_big(realm, &packet, mtu),
            Crossing::Arrives(at, copy) => {
                self.trace.note(self.now, realm, &packet, Fate::Sent);
                if !self.intruders.is_empty() {
                    self.be_seen(realm, &packet);
                }
                if let Some(copy_at) = copy {
                    self.trace.note(self.now, realm, &packet, Fate::Duplicated);
                    self.descend(copy_at, next, realm, packet.clone());
                }
                self.descend(at, next, realm, packet);
            }
        }
    }

    fn drop_too_big(&mut self, realm: RealmId, packet: &Packet, mtu: u16) {
        self.trace.note(self.now, realm, packet, Fate::TooBig);
        self.report(realm, packet, packet.to.ip(), Trouble::TooBig(mtu));
    }

    /// A datagram from nowhere in particular: it crosses the link of its receiver only.
    pub(super) fn inject(&mut self, realm: RealmId, packet: Packet) {
        match self.realms.get(realm.0).and_then(|space| space.route(packet.to.ip())) {
            Some(next) => self.descend(self.now, next, realm, packet),
            None => self.drop_packet(realm, packet, Fate::NoRoute),
        }
    }

    /// From `at` on a datagram is on the link down to the node it goes to.
    fn descend(&mut self, at: Instant, next: Attachment, realm: RealmId, packet: Packet) {
        let Attachment { node, link } = next;
        if at > self.now && self.links.get(link).is_some_and(|lanes| lanes.down.has_memory()) {
            self.queue.push(at, Occurrence::Descent { node, link, realm, packet });
        } else {
            self.go_down(at, next, realm, packet);
        }
    }

    pub(super) fn go_down(&mut self, at: Instant, next: Attachment, realm: RealmId, packet: Packet) {
        let Some(lanes) = self.links.get_mut(next.link) else { return };
        match lanes.down.cross(at, packet.ip_bytes(), self.calm, &mut self.chances) {
            Crossing::Lost => self.drop_packet(realm, packet, Fate::Lost),
            Crossing::TooBig(mtu) => self.drop_too_big(realm, &packet, mtu),
            Crossing::Arrives(at, copy) => {
                let node = next.node;
                if let Some(copy_at) = copy {
                    self.trace.note(self.now, realm, &packet, Fate::Duplicated);
                    self.queue.push(copy_at, Occurrence::Arrival { node, realm, packet: packet.clone() });
                }
                self.queue.push(at, Occurrence::Arrival { node, realm, packet });
            }
        }
    }

    /// Tells the sender of a datagram by ICMP what became of it; nobody is told about what is no datagram.
    pub(super) fn report(&mut self, realm: RealmId, packet: &Packet, reporter: IpAddr, trouble: Trouble) {
        if !matches!(packet.content, Content::Datagram(_)) {
            return;
        }
        let (kind, code) = trouble.number(packet.from.is_ipv4());
        let mtu = if let Trouble::TooBig(mtu) = trouble { u32::from(mtu) } else { 0 };
        let about = (packet.from, packet.to);
        let content = Content::Unreachable(Box::new(Unreachable { kind, code, mtu, about }));
        let error = Packet { from: SocketAddr::new(reporter, 0), to: packet.from, content };
        self.trace.note(self.now, realm, &error, Fate::Sent);
        self.inject(realm, error);
    }

    pub(super) fn pass_gate(&mut self, index: usize, realm: RealmId, packet: Packet) {
        let Some(gate) = self.gates.get_mut(index) else { return };
        let (outer, inner) = (gate.outer, gate.inner);
        if realm != inner {
            return self.enter_gate(index, realm, packet);
        }
        match gate.outbound(self.now, packet) {
            Outbound::Leaves(packet) => self.emit(Node::Gate(index), outer, packet),
            Outbound::TurnsBack(packet) => self.enter_gate(index, outer, packet),
            Outbound::Filtered(packet) => self.drop_packet(realm, packet, Fate::Filtered),
            Outbound::Rejected(packet) => {
                self.trace.note(self.now, realm, &packet, Fate::Filtered);
                self.report(realm, &packet, packet.to.ip(), Trouble::Prohibited);
            }
        }
    }

    fn enter_gate(&mut self, index: usize, realm: RealmId, packet: Packet) {
        let Some(gate) = self.gates.get_mut(index) else { return };
        let inner = gate.inner;
        match gate.inbound(self.now, packet) {
            Ok(packet) => self.emit(Node::Gate(index), inner, packet),
            Err(packet) => self.drop_packet(realm, packet, Fate::Filtered),
        }
    }

    /// The end of a datagram's way.
    pub(super) fn drop_packet(&mut self, realm: RealmId, packet: Packet, fate: Fate) {
        self.trace.note(self.now, realm, &packet, fate);
        self.recycle(packet);
    }

    /// Keeps the memory of a datagram that is of no use any more.
    pub(super) fn recycle(&mut self, packet: Packet) {
        if let Content::Datagram(bytes) = packet.content
            && self.spare.len() < super::MAX_SPARE
        {
            self.spare.push(bytes);
        }
    }
}
