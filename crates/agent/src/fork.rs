//! Forking: several answers to one offer, each a session of its own (RFC 8839 §7.3).

use alloc::vec::Vec;
use core::fmt;

use floe_gather::{Answer, Request, RequestId};
use floe_pair::{
    BaseId, Candidate, CandidateType, ComponentId, IceOptions, SocketId, StreamId, TransportAddress,
};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life},
    config::{AgentConfig, ConfigError},
};

/// A socket of the agent that was forked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    stream: StreamId,
    component: ComponentId,
    socket: SocketId,
    local: TransportAddress,
}

impl Adopted {
    /// Whether it is of this component.
    pub(crate) fn is_for(&self, stream: StreamId, component: ComponentId) -> bool {
        (self.stream, self.component) == (stream, component)
    }
}

/// Why an agent cannot be forked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForkError {
    /// It is closed, or closing.
    Closed,
    /// Its settings make no other agent.
    Config(ConfigError),
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the agent is closed"),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ForkError {}

impl Agent {
    /// Makes another agent for a further answer to the offer of this one: it has the same user fragment, password,
    /// settings, components and role, and for its host candidates the same sockets as far as this agent has bound them
    /// by now, but is a session of its own, with its own tiebreaker and its own peer. To be called before this agent has
    /// a peer, or after; as often as there are answers.
    ///
    /// The fork is told its interfaces and to gather like any other agent. It takes the addresses of the offer that are
    /// there, also those that the rules of RFC 8445 §5.1.1.1 skip by now, until it restarts. Sockets of this agent that it
    /// has no use for, since it was told of no interface with their address or was closed before, are closed like those that
    /// it has used. Mappings of STUN servers are asked for again and are the same ones where the NAT gives one to each
    /// socket. An allocation belongs to one agent: the fork gets its own from the same servers. What the
    /// offer had no room for, a relayed candidate above all, is a candidate to trickle, or where the end of candidates
    /// was told, one that the peer learns of by checks.
    ///
    /// [`Hub::fork`](crate::Hub::fork) has datagrams find their agent. Who has no hub gives each request to the agent
    /// whose peer the second part of its user name names, and closes a socket when no agent uses it any more.
    ///
    /// # Errors
    /// [`ForkError::Closed`].
    pub fn fork(&self, now: Instant, seed: [u8; 32]) -> Result<Self, ForkError> {
        if self.life != Life::Open {
            return Err(ForkError::Closed);
        }
        let local = self.local_parameters();
        let mut config = AgentConfig::new(seed, self.role());
        config.checks.clone_from(self.checks.config());
        config.gathering.clone_from(self.gatherer.config());
        config.credentials = Some((local.ufrag.clone(), local.pwd.clone()));
        config.trickle = local.options.has(IceOptions::TRICKLE);
        config.renomination = local.options.has(IceOptions::RENOMINATION2);
        config.lite = local.lite;
        (config.dscp, config.demultiplexing) = (self.dscp, self.demultiplexing);
        config.full_report = self.ledger.is_full();
        config.streams = Vec::new();
        for component in &self.components {
            match config.streams.iter_mut().find(|(stream, _)| *stream == component.stream) {
                Some((_, components)) => components.push(component.id),
                None => config.streams.push((component.stream, [component.id].into())),
            }
        }
        let mut fork = Self::new(config).map_err(ForkError::Config)?;
        fork.advance(now);
        fork.generations.ended.clone_from(&self.generations.ended);
        // What is withheld is not in the offer; it may come to be, on the same sockets.
        let hosts = || self.hosts(self.gatherer.candidates());
        fork.gatherer.take_over(hosts().map(|adopted| adopted.local));
        fork.adopted = hosts().chain(self.hosts(self.gatherer.withheld())).collect();
        Ok(fork)
    }

    /// The sockets of those of these that are host candidates.
    fn hosts<'a>(
        &self,
        known: impl Iterator<Item = (StreamId, &'a Candidate, BaseId)>,
    ) -> impl Iterator<Item = Adopted> {
        let hosts = known.filter(|(_, candidate, _)| candidate.kind == CandidateType::Host);
        hosts.filter_map(|(stream, candidate, base)| {
            let socket = self.gatherer.place_of(base)?.socket;
            let (component, local) = (candidate.component, candidate.address);
            Some(Adopted { stream, component, socket, local })
        })
    }

    /// The sockets of the agent this one was forked from.
    pub(crate) fn adopted_sockets(&self) -> Vec<SocketId> {
        let mut sockets: Vec<_> = self.adopted.iter().map(|adopted| adopted.socket).collect();
        sockets.sort_unstable();
        sockets.dedup();
        sockets
    }

    /// Gives sockets of the forked agent back that will not be adopted: the driver is asked to close them, which counts
    /// once no other agent uses them.
    pub(crate) fn give_back(&mut self, unwanted: impl Fn(&Self, &Adopted) -> bool) {
        let adopted = core::mem::take(&mut self.adopted);
        let (gone, kept): (Vec<_>, Vec<_>) = adopted.into_iter().partition(|known| unwanted(self, known));
        self.adopted = gone;
        let sockets = self.adopted_sockets();
        self.adopted = kept;
        for socket in sockets {
            if self.adopted.iter().all(|known| known.socket != socket) {
                self.gatherer.give_back(socket);
            }
        }
    }

    /// Those with an address that this host does not have.
    pub(crate) fn give_absent_back(&mut self) {
        if !self.adopted.is_empty() {
            self.give_back(|agent, known| !agent.gatherer.is_local(known.local));
        }
    }

    /// The answer to a request that a socket of the forked agent meets. Each is given once.
    pub(crate) fn adopt(&mut self, request: &Request) -> Option<(RequestId, Answer)> {
        if self.adopted.is_empty() {
            return None;
        }
        let Request::BindUdp { id, local, shareable: true } = request else { return None };
        let of = self.gatherer.host_asked(*id)?;
        let fits = |known: &Adopted| known.is_for(of.0, of.1) && known.local.with_port(0) == *local;
        let index = self.adopted.iter().position(fits)?;
        let Adopted { socket, local, .. } = self.adopted.swap_remove(index);
        Some((*id, Answer::Bound { socket, local }))
    }
}
