//! Sessions as they are, and everything that may happen to them: whatever it is, nothing loops, deadlines stay
//! true, no data comes from strangers, and closing gives everything back.

use core::cell::Cell;
use std::{net::SocketAddr, rc::Rc};

use proptest::prelude::*;

use crate::world::{Id, STREAM, World, asking, ms};

/// What only strangers send.
const STRANGE: &[u8] = b"\x17 from nobody";

#[derive(Clone, Copy, Debug)]
enum Happening {
    Run(u64),
    /// Time passes and nobody is called.
    Sleep(u64),
    /// A datagram that was sent once arrives on any socket of a node, from where it came or from a stranger,
    /// perhaps with a byte changed.
    Replay {
        which: usize,
        socket: usize,
        stranger: bool,
        change: Option<(usize, u8)>,
    },
    /// Data from a stranger.
    Data {
        socket: usize,
        port: u16,
    },
    Send(usize),
    /// An agent hears of another agent's address.
    Misled(usize, usize),
    Lossy(bool),
    Close(usize),
    Remove(usize),
    Pair(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    let change = prop::option::of((any::<usize>(), any::<u8>()));
    prop_oneof![
        8 => (0..300_u64).prop_map(Happening::Run),
        2 => (0..60_000_u64).prop_map(Happening::Run),
        1 => prop_oneof![0..100_u64, 0..40_000_u64, Just(36_000_000)].prop_map(Happening::Sleep),
        12 => (any::<usize>(), any::<usize>(), any::<bool>(), change)
            .prop_map(|(which, socket, stranger, change)| Happening::Replay { which, socket, stranger, change }),
        3 => (any::<usize>(), 1..60_000_u16).prop_map(|(socket, port)| Happening::Data { socket, port }),
        4 => any::<usize>().prop_map(Happening::Send),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Happening::Misled(a, b)),
        2 => any::<bool>().prop_map(Happening::Lossy),
        1 => any::<usize>().prop_map(Happening::Close),
        1 => any::<usize>().prop_map(Happening::Remove),
        1 => (10..1_000_u32).prop_map(Happening::Pair),
    ]
}

struct Chaos {
    world: World,
    agents: Vec<Id>,
    lossy: Rc<Cell<bool>>,
    strangers: u32,
}

impl Chaos {
    fn new(shared: bool) -> Self {
        let mut world = World::new(2);
        world.strict = true;
        if shared {
            world.share(0);
            world.share(1);
        }
        let lossy = Rc::new(Cell::new(false));
        let (loses, mut count) = (Rc::clone(&lossy), 0_u32);
        world.lost = Box::new(move |_, _, _| {
            count += 1;
            loses.get() && !count.is_multiple_of(3)
        });
        let mut chaos = Self { world, agents: vec![], lossy, strangers: 0 };
        chaos.pair(1);
        chaos.pair(2);
        chaos
    }

    fn pair(&mut self, seed: u32) {
        let scheme = if seed.is_multiple_of(2) { "turn" } else { "stun" };
        let ids = self.world.pair_with([0, 1], seed, |config| asking(scheme, config));
        self.agents.extend(ids);
    }

    fn pick(&self, number: usize) -> Option<Id> {
        self.agents.get(number.checked_rem(self.agents.len())?).copied()
    }

    fn socket(&self, number: usize) -> (usize, floe_pair::SocketId) {
        let all: Vec<_> = (0..2)
            .flat_map(|node| self.world.nodes[node].ports.keys().map(move |socket| (node, *socket)))
            .collect();
        all.get(number % all.len().max(1)).copied().unwrap_or((0, floe_pair::SocketId(0)))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Run(time) => self.world.run_for(ms(time)),
            Happening::Sleep(time) => self.world.now = self.world.now.after(ms(time)),
            Happening::Replay { which, socket, stranger, change } => {
                let count = self.world.sent.len().max(1);
                let Some(sent) = self.world.sent.get(which % count).cloned() else { return };
                let (node, socket) = self.socket(socket);
                let from = if stranger {
                    self.strangers += 1;
                    SocketAddr::new("203.0.113.200".parse().unwrap(), self.strangers.try_into().unwrap_or(1))
                } else {
                    let sender = &self.world.nodes[sent.by.0];
                    let port = sender.ports.values().next().copied().unwrap_or(9);
                    SocketAddr::new(crate::world::ip(sent.by.0), port)
                };
                let mut bytes = sent.bytes;
                let len = bytes.len();
                if let Some((at, value)) = change {
                    bytes[at % len] = value;
                }
                self.world.deliver(node, socket, from, &mut bytes);
            }
            Happening::Data { socket, port } => {
                let (node, socket) = self.socket(socket);
                let stranger = SocketAddr::new("203.0.113.201".parse().unwrap(), port);
                self.world.deliver(node, socket, stranger, &mut STRANGE.to_vec());
            }
            Happening::Send(agent) => {
                if let Some(id) = self.pick(agent) {
                    self.world.send(id, b"\x80 data");
                }
            }
            Happening::Misled(agent, other) => {
                let (Some(id), Some(other)) = (self.pick(agent), self.pick(other)) else { return };
                let address = crate::world::ip(other.0);
                let port = self.world.nodes[other.0].ports.values().next_back().copied().unwrap_or(9);
                let line = format!("candidate:x 1 udp 99 {address} {port} typ host").parse().unwrap();
                let _ = self.world.command(id, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
            }
            Happening::Lossy(lossy) => self.lossy.set(lossy),
            Happening::Close(agent) => {
                if let Some(id) = self.pick(agent) {
                    self.world.command(id, |now, agent| agent.close(now));
                }
            }
            Happening::Remove(agent) => {
                let Some((node, key)) = self.pick(agent) else { return };
                self.agents.retain(|id| *id != (node, key));
                let mut agent = self.world.nodes[node].hub.remove(key).unwrap();
                self.world.drain(node);
                // Whoever takes an agent out closes its sockets.
                agent.close(self.world.now);
                while let Some(request) = agent.poll_request() {
                    if let floe_agent::Request::Close { socket } = request
                        && self.world.nodes[node].shared != Some(socket)
                    {
                        self.world.nodes[node].ports.remove(&socket);
                    }
                }
                // An allocation is not waited for here.
                let kept = self.world.nodes[node].shared;
                if self.world.nodes[node].hub.is_empty() {
                    self.world.nodes[node].ports.retain(|socket, _| Some(*socket) == kept);
                }
            }
            Happening::Pair(seed) => self.pair(seed),
        }
    }

    fn end(mut self) {
        self.lossy.set(false);
        for id in self.agents.clone() {
            self.world.command(id, |now, agent| agent.close(now));
        }
        self.world.run_for(ms(5_000));
        for id in &self.agents {
            assert!(self.world.agent(*id).is_closed());
        }
        let polls = self.world.timed_out;
        self.world.run_for(ms(1_000_000));
        assert_eq!(self.world.timed_out, polls, "nothing goes on");
        for node in &self.world.nodes {
            assert!(node.data.iter().all(|(_, data)| data != STRANGE), "nothing of strangers");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn p33_p34_p37_s14_whatever_happens_sessions_end_in_order(
        shared in any::<bool>(),
        happenings in prop::collection::vec(happening(), 1..120),
    ) {
        let mut chaos = Chaos::new(shared);
        for happening in happenings {
            chaos.happen(happening);
        }
        chaos.end();
    }
}
