//! The agent itself: its parts, its making and its getters.

use alloc::vec::Vec;

use floe_check::{ChecklistSet, PairReport, PairStanding, Renomination, SelectedPair};
use floe_gather::Gatherer;
use floe_pair::{BaseId, ComponentId, IceOptions, Parameters, Place, Pwd, Role, StreamId, TieBreaker, Ufrag};
use floe_stun::{Instant, Random};

use crate::{
    commands::ApiError,
    config::{AgentConfig, ConfigError, Demultiplexing},
    early::EarlyData,
    event::{Event, Events, State},
    fork::Adopted,
    generation::Generations,
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
    /// Something was told to the agent, and has not been carried to its parts yet.
    pub(crate) stale: bool,
    /// At the last look data could go over more than the pairs of the generation in force.
    pub(crate) manifold: bool,
    pub(crate) checks: ChecklistSet,
    pub(crate) gatherer: Gatherer,
    pub(crate) components: Vec<Component>,
    pub(crate) slots: Slots,
    pub(crate) events: Events,
    pub(crate) dscp: Dscp,
    pub(crate) demultiplexing: Demultiplexing,
    pub(crate) life: Life,
    pub(crate) ledger: Ledger,
    /// The state last told, and whether the end was.
    pub(crate) told: Told,
    pub(crate) generations: Generations,
    /// Sockets of the agent that this one was forked from.
    pub(crate) adopted: Vec<Adopted>,
}

/// What of the agent's levels was told as events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) state: State,
    pub(crate) closed: bool,
}

/// What the agent keeps for one component beside its pairs.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) stream: StreamId,
    pub(crate) id: ComponentId,
    pub(crate) path: Option<PathHandle>,
    /// How many paths there have been.
    pub(crate) paths: u32,
    /// The state of its data stream that was told last.
    pub(crate) told: State,
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

impl Component {
    pub(crate) fn new(stream: StreamId, id: ComponentId) -> Self {
        Self { stream, id, path: None, paths: 0, told: State::New, early: EarlyData::default() }
    }
}

impl Agent {
    /// Makes an agent. It does nothing before [`Agent::gather`] or the peer's parameters.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that cannot be used.
    pub fn new(mut config: AgentConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let mut random = Random::from_seed(config.seed.0);
        let (ufrag, pwd) = match config.credentials.take() {
            Some(own) => own,
            None => draw(&mut random),
        };
        let mut gathering = core::mem::take(&mut config.gathering);
        if config.lite {
            // RFC 8445 §5.2: a lite agent has host candidates alone.
            gathering.servers = Vec::new();
        }
        let mut options = IceOptions::ice2();
        if config.trickle {
            options = options.with_trickle();
        }
        if config.renomination {
            options = options.with_renomination2();
            if config.checks.legacy_renomination {
                let legacy = IceOptions::from_tags(options.tags().chain([IceOptions::RENOMINATION]));
                options = legacy.unwrap_or(options);
            }
        }
        let parameters =
            Parameters { ufrag, pwd, lite: config.lite, options, pacing: Some(config.checks.ta) };
        let tiebreaker = TieBreaker(random.u64());
        // RFC 8445 §14.2: checks and gathering have one pace.
        gathering.ta = config.checks.ta;
        if !config.trickle {
            // All candidates are signalled in one message, which waits for the last.
            gathering.patience = gathering.patience.min(gathering.deadline);
        }
        let gatherer = Gatherer::new(gathering).map_err(ConfigError::Gathering)?;
        Ok(Self::made_of(random, gatherer, tiebreaker, parameters, config))
    }

    /// An agent of these parts. They are large: apart, they are put together where the agent is to be.
    #[inline(never)]
    fn made_of(
        random: Random,
        gatherer: Gatherer,
        tiebreaker: TieBreaker,
        parameters: Parameters,
        config: AgentConfig,
    ) -> Self {
        let count = config.streams.iter().map(|(_, ids)| ids.len()).sum();
        let mut components = Vec::with_capacity(count);
        for (stream, ids) in &config.streams {
            components.extend(ids.iter().map(|id| Component::new(*stream, *id)));
        }
        Self {
            checks: first_checks(config.checks, config.role, tiebreaker, parameters, &components),
            random,
            now: Instant::ORIGIN,
            stale: false,
            manifold: false,
            gatherer,
            components,
            slots: Slots::default(),
            events: Events::default(),
            dscp: config.dscp,
            demultiplexing: config.demultiplexing,
            life: Life::Open,
            ledger: Ledger::new(config.full_report),
            told: Told { state: State::New, closed: false },
            generations: Generations::default(),
            adopted: Vec::new(),
        }
    }

    /// What to tell the peer: user fragment, password, ice-options and the proposal for Ta (RFC 8839 §5).
    pub fn local_parameters(&self) -> &Parameters {
        self.checks.local_parameters()
    }

    /// The components, in the order in which they were added.
    pub fn components(&self) -> impl Iterator<Item = (StreamId, ComponentId)> + '_ {
        self.components.iter().map(|component| (component.stream, component.id))
    }

    /// What the peer told, once it has.
    pub fn remote_parameters(&self) -> Option<&Parameters> {
        self.checks.remote_parameters()
    }

    /// Which form of renomination both agents have agreed upon; [`Renomination::Off`] until the peer has told its
    /// parameters. While a restart is unanswered it is that of the generation before.
    pub fn renomination(&self) -> Renomination {
        let told = self.all_checks().find(|checks| checks.remote_parameters().is_some());
        told.map_or(Renomination::Off, ChecklistSet::renomination)
    }

    /// The role now.
    pub fn role(&self) -> Role {
        self.checks.role()
    }

    /// The state now. While a new generation has no pairs of its own it is that of what carries data:
    /// [`State::Connected`] as long as every component that the peer had has a pair, else [`State::Checking`].
    /// [`State::Failed`] is said of the new generation also while a pair of the one before still carries data
    /// ([`Agent::path`]): that pair goes when its consent ends, and a further restart keeps it.
    pub fn state(&self) -> State {
        if self.life != Life::Open {
            return State::Closed;
        }
        self.fold(self.checks.state(), |_| true)
    }

    /// The way the component's data goes now, for senders; `None` while there is none, and while data has to
    /// go through [`Agent::send`] because no channel is bound yet.
    pub fn path(&self, stream: StreamId, component: ComponentId) -> Option<PathHandle> {
        self.component(stream, component)?.path.clone()
    }

    /// The selected pair of a component (RFC 8445 §8.1.1); that of an earlier generation until the one in force has its
    /// own.
    pub fn selected(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.all_checks().find_map(|checks| checks.selected(stream, component))
    }

    /// All pairs with their states and counts.
    pub fn pairs(&self) -> impl Iterator<Item = PairReport> + '_ {
        self.checks.pairs()
    }

    /// Where all pairs stand.
    pub fn pair_standings(&self) -> impl Iterator<Item = PairStanding> + '_ {
        self.checks.pair_standings()
    }

    /// How full the tables of the checks are.
    pub fn usage(&self) -> floe_check::Usage {
        self.checks.usage()
    }

    /// Whether it gathers, so that the end of candidates is still to be told.
    pub fn is_gathering(&self) -> bool {
        self.gatherer.is_started() && !self.gatherer.is_complete()
    }

    /// Whether everything has been given back after [`Agent::close`].
    pub fn is_closed(&self) -> bool {
        self.life == Life::Closed
    }

    /// Whether a host candidate of this agent lives at a place.
    pub fn is_at(&self, place: Place) -> bool {
        self.gatherer.base_at(place).is_some()
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
    #[inline]
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// What every command begins with.
    pub(crate) fn open(&mut self, now: Instant) -> Result<Instant, ApiError> {
        let now = self.advance(now);
        if self.life == Life::Open { Ok(now) } else { Err(ApiError::Closed) }
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// The checks of the first generation.
#[inline(never)]
fn first_checks(
    config: floe_check::Config,
    role: Role,
    tiebreaker: TieBreaker,
    parameters: Parameters,
    components: &[Component],
) -> ChecklistSet {
    let mut checks = ChecklistSet::new(config, role, tiebreaker, parameters);
    for component in components {
        checks.add_component(Instant::ORIGIN, component.stream, component.id);
    }
    checks
}

/// Credentials of 128 random bits and more (RFC 8445 §5.3).
pub(crate) fn draw(random: &mut Random) -> (Ufrag, Pwd) {
    (Ufrag::random(|out| random.ice_chars(out)), Pwd::random(|out| random.ice_chars(out)))
}
