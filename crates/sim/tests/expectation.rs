//! The expectation table against the simulated NATs: bare datagrams, no ICE.
//!
//! Two hosts behind two NATs know a server that tells each its outer address, as STUN does, and tell each other what
//! they learned. Then each sends to every address at which it knows or has seen the other, again and again. What
//! comes back tells whether the two can talk.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a failed expectation is the test's failure"
)]

use core::time::Duration;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use floe_sim::{
    expectation::{NatKind, direct_is_possible},
    net::{Admits, BareSocket, Dependence, FirewallConfig, HostAddress, Link, NatConfig, Network, RealmId},
    server::Prefix,
};

/// Rounds in which each side sends to every address it knows. Two are enough wherever it works at all.
const ROUNDS: usize = 6;
const STEP: Duration = Duration::from_millis(100);

fn link() -> Link {
    Link::delay(Duration::from_millis(5))
}

fn place(network: &mut Network, realm: RealmId, ip: IpAddr) -> BareSocket {
    let host = network.add_host(&[HostAddress::new(realm, ip, link())]).unwrap();
    network.open_bare(host, ip).unwrap()
}

fn behind(network: &mut Network, kind: NatKind, number: u8) -> BareSocket {
    let outer = IpAddr::from([203, 0, 113, number]);
    let inner = IpAddr::from([10, number, 0, 2]);
    let realm = match (kind, kind.behaviour()) {
        (NatKind::None, _) => return place(network, RealmId::PUBLIC, IpAddr::from([198, 51, 100, number])),
        (_, Some((mapping, filtering))) => {
            network.add_nat(NatConfig::new(outer, mapping, filtering)).unwrap()
        }
        _ => {
            let realm = network.add_realm();
            let inside = Prefix::new(IpAddr::from([10, number, 0, 0]), 16).unwrap();
            let wall = FirewallConfig::new(vec![inside], Admits::Nothing { tell: false });
            network.add_gate(realm, wall).unwrap();
            realm
        }
    };
    place(network, realm, inner)
}

/// One of the two.
struct Peer {
    socket: BareSocket,
    /// Where the other might be: told by it, or seen as a source.
    others: BTreeSet<SocketAddr>,
    /// Something came that could only be sent after something of ours had arrived.
    answered: bool,
}

/// Each side asks the server for its outer address, by a datagram that comes back as an answer.
fn outer_addresses(network: &mut Network, peers: &[Peer; 2]) -> [Option<SocketAddr>; 2] {
    let server = place(network, RealmId::PUBLIC, IpAddr::from([192, 0, 2, 1]));
    let to = network.bare_address(server).unwrap();
    peers.each_ref().map(|peer| {
        network.send_bare(peer.socket, to, b"where am I?");
        network.run_for(STEP);
        let seen = network.take_bare(server).first().map(|heard| heard.from)?;
        network.send_bare(server, seen, b"there");
        network.run_for(STEP);
        assert_eq!(network.take_bare(peer.socket).len(), 1, "the server's answer comes in");
        Some(seen)
    })
}

/// Whether the two can exchange datagrams.
fn can_talk(network: &mut Network, sockets: [BareSocket; 2]) -> bool {
    let mut peers = sockets.map(|socket| Peer { socket, others: BTreeSet::new(), answered: false });
    let outer = outer_addresses(network, &peers);
    for (index, seen) in outer.into_iter().enumerate() {
        let own = network.bare_address(peers[index].socket);
        peers[1 - index].others.extend([seen, own].into_iter().flatten());
    }
    for _ in 0..ROUNDS {
        for peer in &mut peers {
            let greeting: &[u8] = if peer.answered { b"and I hear you" } else { b"hello" };
            for to in &peer.others {
                network.send_bare(peer.socket, *to, greeting);
            }
        }
        network.run_for(STEP);
        for peer in &mut peers {
            for heard in network.take_bare(peer.socket) {
                peer.others.insert(heard.from);
                peer.answered = true;
            }
        }
    }
    // Both have heard the other; one that does so says so, which has to arrive as well.
    peers.iter().all(|peer| peer.answered)
}

#[test]
fn p12_the_expectation_table_is_what_bare_datagrams_find() {
    for seed in 1..=8 {
        for a in NatKind::ALL {
            for b in NatKind::ALL {
                let mut network = Network::new([seed; 32]);
                let sockets = [behind(&mut network, a, 1), behind(&mut network, b, 2)];
                let found = can_talk(&mut network, sockets);
                assert_eq!(found, direct_is_possible(a, b), "{a} and {b}, seed {seed}");
            }
        }
    }
}

#[test]
fn p12_behind_one_nat_hosts_meet_on_their_lan_or_by_hairpinning() {
    use Dependence::EndpointIndependent as Eim;
    for hairpinning in [false, true] {
        for one_lan in [false, true] {
            let mut network = Network::new([1; 32]);
            let mut carrier = NatConfig::new(IpAddr::from([203, 0, 113, 1]), Eim, Eim);
            carrier.hairpinning = hairpinning;
            let carrier = network.add_nat(carrier).unwrap();
            let sockets = [2_u8, 3].map(|number| {
                if one_lan {
                    return place(&mut network, carrier, IpAddr::from([10, 0, 0, number]));
                }
                // Two homes behind one carrier: what they know of each other is private.
                let mut home = NatConfig::new(IpAddr::from([100, 64, 0, number]), Eim, Eim);
                home.outer = carrier;
                let home = network.add_nat(home).unwrap();
                place(&mut network, home, IpAddr::from([192, 168, number, 2]))
            });
            let found = can_talk(&mut network, sockets);
            assert_eq!(found, one_lan || hairpinning, "one LAN: {one_lan}, hairpinning: {hairpinning}");
        }
    }
}
