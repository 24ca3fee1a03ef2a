//! What a gatherer is made from.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use floe_stun::Transaction;

use crate::{interface::InterfaceRules, server::Server};

/// Servers of one configuration. Each is asked from every interface address for every component; sixteen is
/// far above what any service hands out.
pub const MAX_SERVERS: usize = 16;

/// Components up to which [`Limits`] are in force as they are set: by default an allocation for each of them.
pub const LIMITED_COMPONENTS: usize = 16;

/// Components of one gatherer: 64 data streams of as many as there can be (RFC 8839 §5.1).
pub(crate) const MAX_COMPONENTS: usize = 64 * 256;

/// RFC 8445 §14.2: the least pacing interval.
pub(crate) const MIN_TA: Duration = Duration::from_millis(5);
/// A peer that wants a longer one would hold up everything.
pub(crate) const MAX_TA: Duration = Duration::from_millis(500);

/// The shortest time between two keepalives of a server-reflexive candidate that may be configured.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// Which candidates are gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Host, server-reflexive and relayed ones.
    #[default]
    All,
    /// Relayed ones only: nothing is sent to anybody but TURN servers, and no candidate names another
    /// address of this host.
    RelayOnly,
}

/// What a gatherer is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The servers to ask; an earlier one is preferred to a later one. At most [`MAX_SERVERS`].
    pub servers: Vec<Server>,
    /// Which candidates are gathered.
    pub policy: Policy,
    /// Whether loopback addresses become candidates (tests and demonstrations), and servers may name them.
    pub loopback: bool,
    /// Whether link-local addresses become candidates.
    pub link_local: bool,
    /// Whether the interfaces are told again after each [`Gatherer::restart`], changed or not: no candidate is one of the
    /// new generation before, and gathering is not complete; [`Config::deadline`] after the restart those told last count
    /// all the same. Otherwise they count at once.
    ///
    /// [`Gatherer::restart`]: crate::Gatherer::restart
    pub relisted: bool,
    /// How long after the start it is waited for, at the latest, by who signals all candidates in one message:
    /// [`Event::DeadlinePassed`] then says so, and of each server that gave nothing that it did not. Gathering
    /// goes on.
    ///
    /// [`Event::DeadlinePassed`]: crate::Event::DeadlinePassed
    pub deadline: Duration,
    /// How long after the start gathering is complete at the latest; not above [`Config::deadline`] where no
    /// candidate can be signalled after that. What comes later is still reported. By default the time in which
    /// a request that is lost again and again may yet be answered (RFC 8489 §6.2.1).
    pub patience: Duration,
    /// The pacing interval, 5 to 500 ms, until [`Gatherer::set_ta`] tells another: the retransmission timer grows
    /// with it and with what is still asked for, to 2 s at most (RFC 8445 §14.3).
    ///
    /// [`Gatherer::set_ta`]: crate::Gatherer::set_ta
    pub ta: Duration,
    /// Time between two Binding requests that keep a server-reflexive candidate alive, and until ICE has concluded,
    /// and again from a restart on, the longest between two Refresh requests of an allocation; at least 1 s.
    pub refresh: Duration,
    /// How much there may be of anything.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            policy: Policy::All,
            loopback: false,
            link_local: false,
            relisted: false,
            deadline: Duration::from_secs(5),
            patience: Transaction::TI,
            ta: Duration::from_millis(5),
            // The Tr of RFC 8445 §11, below the shortest binding timeout seen in NATs.
            refresh: Duration::from_secs(15),
            limits: Limits::default(),
        }
    }
}

/// How much there may be of anything; beyond it nothing is begun and [`Event::LimitReached`] says so. Binding jobs and allocations
/// that are held back begin when others have failed, or have had no answer for 2 s, in one generation up to eight times as many as
/// the limit; a restart goes on with those whose turn is next. The first server of each address comes before the second of any.
/// One address may take all there is room for, so that each component has what one gives; where there are more components than
/// the limit, the first ones are asked for from each address. What addresses have
/// that the rules of RFC 8445 §5.1.1.1 skip by now counts for nothing but the candidates that stand.
///
/// More than [`LIMITED_COMPONENTS`] components have them once for each so many, begun ones too.
///
/// [`Event::LimitReached`]: crate::Event::LimitReached
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets for host candidates: interface addresses times components.
    pub hosts: usize,
    /// Binding jobs at a time: host candidates times servers, without those that have ended or have had no answer for 2 s.
    pub reflexive: usize,
    /// Allocations wanted at a time, without those that a server has not answered for: late answers may make more. Servers count
    /// them against a quota of the user.
    pub relays: usize,
    /// Candidates that stand at a time.
    pub candidates: usize,
}

impl Limits {
    /// What is in force with so many components.
    pub(crate) fn of(self, components: usize) -> Self {
        let times = components.div_ceil(LIMITED_COMPONENTS).max(1);
        Self {
            hosts: self.hosts.saturating_mul(times),
            reflexive: self.reflexive.saturating_mul(times),
            relays: self.relays.saturating_mul(times),
            candidates: self.candidates.saturating_mul(times),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        // 64 addresses with RTP and RTCP fit, or eight with sixteen components, and some servers.
        Self { hosts: 128, reflexive: 256, relays: 16, candidates: 256 }
    }
}

impl Config {
    pub(crate) fn rules(&self) -> InterfaceRules {
        InterfaceRules { loopback: self.loopback, link_local: self.link_local }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.servers.len() > MAX_SERVERS {
            return Err(ConfigError::TooManyServers { given: self.servers.len() });
        }
        if self.ta < MIN_TA || self.ta > MAX_TA {
            return Err(ConfigError::Ta(self.ta));
        }
        if self.refresh < MIN_REFRESH {
            return Err(ConfigError::Refresh(self.refresh));
        }
        Ok(())
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// More than [`MAX_SERVERS`].
    TooManyServers {
        /// How many there are.
        given: usize,
    },
    /// [`Config::ta`] is out of range.
    Ta(Duration),
    /// [`Config::refresh`] is too short.
    Refresh(Duration),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyServers { given } => write!(f, "{given} servers, at most {MAX_SERVERS} are allowed"),
            Self::Ta(given) => write!(f, "pacing interval of {} ms, not within 5 and 500", given.as_millis()),
            Self::Refresh(given) => {
                write!(
                    f,
                    "keepalive interval of {} ms, at least {} are needed",
                    given.as_millis(),
                    MIN_REFRESH.as_millis()
                )
            }
        }
    }
}

impl core::error::Error for ConfigError {}
