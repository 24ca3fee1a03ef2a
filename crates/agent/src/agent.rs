//! The agent itself: its parts, its making and its getters.

use alloc::vec::Vec;

use floe_check::{ChecklistSet, PairReport, SelectedPair};
use floe_gather::Gatherer;
use floe_pair::{
    BaseId, ComponentId, IceOptions, Parameters, Place, Pwd, Role, StreamId, TieBreaker, TransportAddress,
    Ufrag,
};
use floe_stun::{Instant, Random};

use crate::{
    config::{AgentConfig, ConfigError, Demultiplexing},
    early::EarlyData,
    event::{Event, Events, State},
    io::Dscp,
    path::PathHandle,
    report::Ledger,
};

/// A full ICE agent (RFC 8445) without I/O. See the [crate] for its four kinds of methods.
#[derive(Debug)]
pub struct Agent {
    pub(crate) random: Random,
    /// The latest instant any input carried.
    pub(crate) now: Instant,
    pub(crate) checks: ChecklistSet,
    pub(crate) gatherer: Gatherer,
    pub(crate) components: Vec<Component>,
    pub(crate) slots: Slots,
    pub(crate) events: Events,
    pub(crate) dscp: Dscp,
    pub(crate) demultiplexing: Demultiplexing,
    pub(crate) life: Life,
    /// Bases that the checklist set knows.
    pub(crate) bases: Vec<BaseId>,
    pub(crate) ledger: Ledger,
}

/// What the agent keeps for one component beside its pairs.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) stream: StreamId,
    pub(crate) id: ComponentId,
    pub(crate) path: Option<PathHandle>,
    /// How many paths there have been.
    pub(crate) paths: u32,
    pub(crate) early: EarlyData,
}

/// The agent's own pacing (RFC 8445 §14.2): one new transaction each Ta, over gathering and checks.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// When the last transaction started.
    pub(crate) last: Option<Instant>,
    /// The slot of the process that is reserved for this agent.
    pub(crate) reserved: Option<Instant>,
    /// Whether the last slot that both could have used went to gathering.
    pub(crate) gathering_had_the_last: bool,
}

/// How far the agent's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Open,
    Closing,
    Closed,
}

impl Agent {
    /// Makes an agent. It does nothing before [`Agent::gather`] or the peer's parameters.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that cannot be used.
    pub fn new(config: AgentConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut random = Random::from_seed(config.seed.0);
        let (ufrag, pwd) = match config.credentials {
            Some(own) => own,
            None => (Ufrag::random(|out| random.ice_chars(out)), Pwd::random(|out| random.ice_chars(out))),
        };
        let mut options = IceOptions::ice2();
        if config.trickle {
            options = options.with_trickle();
        }
        let parameters = Parameters { ufrag, pwd, lite: false, options, pacing: Some(config.checks.ta) };
        let tiebreaker = TieBreaker(random.u64());
        // RFC 8445 §14.2: checks and gathering have one pace.
        let mut gathering = floe_gather::Config { ta: config.checks.ta, ..config.gathering };
        if !config.trickle {
            // All candidates are signalled in one message, which waits for the last.
            gathering.patience = gathering.patience.min(gathering.deadline);
        }
        let gatherer = Gatherer::new(gathering).map_err(ConfigError::Gathering)?;
        let mut checks = ChecklistSet::new(config.checks, config.role, tiebreaker, parameters);
        let mut components = Vec::new();
        for (stream, ids) in config.streams {
            for id in ids {
                checks.add_component(stream, id);
                components.push(Component { stream, id, path: None, paths: 0, early: EarlyData::default() });
            }
        }
        Ok(Self {
            random,
            now: Instant::ORIGIN,
            checks,
            gatherer,
            components,
            slots: Slots::default(),
            events: Events::default(),
            dscp: config.dscp,
            demultiplexing: config.demultiplexing,
            life: Life::Open,
            bases: Vec::new(),
            ledger: Ledger::new(config.full_report),
        })
    }

    /// What to tell the peer: user fragment, password, ice-options and the proposal for Ta (RFC 8839 §5).
    pub fn local_parameters(&self) -> &Parameters {
        self.checks.local_parameters()
    }

    /// What the peer told, once it has.
    pub fn remote_parameters(&self) -> Option<&Parameters> {
        self.checks.remote_parameters()
    }

    /// The role now.
    pub fn role(&self) -> Role {
        self.checks.role()
    }

    /// The state now.
    pub fn state(&self) -> State {
        match self.life {
            Life::Open => state(self.checks.state()),
            Life::Closing | Life::Closed => State::Closed,
        }
    }

    /// The way the component's data goes now, for senders; `None` while there is none, and while data has to
    /// go through [`Agent::send`] because no channel is bound yet.
    pub fn path(&self, stream: StreamId, component: ComponentId) -> Option<PathHandle> {
        self.component(stream, component)?.path.clone()
    }

    /// The selected pair of a component (RFC 8445 §8.1.1).
    pub fn selected(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.checks.selected(stream, component)
    }

    /// All pairs with their states and counts.
    pub fn pairs(&self) -> impl Iterator<Item = PairReport> + '_ {
        self.checks.pairs()
    }

    /// How full the tables of the checks are.
    pub fn usage(&self) -> floe_check::Usage {
        self.checks.usage()
    }

    /// Whether everything has been given back after [`Agent::close`].
    pub fn is_closed(&self) -> bool {
        self.life == Life::Closed
    }

    /// The socket and address that a base sends from; an allocation sends from its TURN client's.
    pub fn place_of(&self, base: BaseId) -> Option<Place> {
        self.gatherer.place_of(base).or_else(|| Some(self.gatherer.relay(base)?.place))
    }

    pub(crate) fn component(&self, stream: StreamId, id: ComponentId) -> Option<&Component> {
        self.components.iter().find(|component| component.stream == stream && component.id == id)
    }

    pub(crate) fn component_mut(&mut self, stream: StreamId, id: ComponentId) -> Option<&mut Component> {
        self.components.iter_mut().find(|component| component.stream == stream && component.id == id)
    }

    /// Takes a `now` from the past as the last one.
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// The pair a component sends on: the selected one, else the best valid one (RFC 8445 §12.1).
    pub(crate) fn sending_pair(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.checks.selected(stream, component).or_else(|| self.checks.best_valid(stream, component))
    }

    /// Whether data from `source` is accepted on `base`, and for which component.
    #[inline]
    pub(crate) fn valid(&self, base: BaseId, source: TransportAddress) -> Option<(StreamId, ComponentId)> {
        self.checks.is_valid(base, source)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}

pub(crate) fn state(state: floe_check::State) -> State {
    match state {
        floe_check::State::New => State::New,
        floe_check::State::Checking => State::Checking,
        floe_check::State::Connected => State::Connected,
        floe_check::State::Completed => State::Completed,
        floe_check::State::Disconnected => State::Disconnected,
        floe_check::State::Failed => State::Failed,
    }
}
