//! Settings of one checklist set.

use core::time::Duration;

use floe_pair::DEFAULT_PAIR_LIMIT;

use crate::policy::PairPolicy;

/// Settings, fixed when the set is made. Values outside their range are taken as the nearest one inside; an
/// agent refuses a `ta` outside its range instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our proposal for Ta, 5 to 500 ms (RFC 8445 §14.2). In force is the higher one of both proposals.
    pub ta: Duration,
    /// Pairs over all checklists (RFC 8445 §6.1.2.5). In proportion of more than
    /// [`LIMITED_COMPONENTS`](crate::LIMITED_COMPONENTS) components.
    pub pair_limit: usize,
    /// Remote candidates over all checklists, peer-reflexive ones included. In proportion of more
    /// than [`LIMITED_COMPONENTS`](crate::LIMITED_COMPONENTS) components.
    pub remote_limit: usize,
    /// Consent checks (RFC 7675); `None` for peers that are known to have no answer to them: then keepalives are sent.
    pub consent: Option<ConsentConfig>,
    /// For how long no checklist fails, from the moment both sides' parameters are known (RFC 8863 §4).
    pub patience: Duration,
    /// Tr: interval of keepalives where there is no consent, at least 15 s (RFC 8445 §11).
    pub keepalive: Duration,
    /// For how long candidates that were not selected are kept after all components have a selected pair
    /// (RFC 8445 §8.3.1).
    pub linger: Duration,
    /// Which remote addresses are checked, and which pairs are preferred.
    pub policy: PairPolicy,
    /// Where renomination is negotiated: valid pairs of each component that are kept beside the selected one, 0 to 2. The
    /// first is the best on another base, the second the best over a relay; where data goes over one, the best that does
    /// not.
    pub standby: u8,
    /// Renomination in the older form (draft 02, option `renomination`) with peers that do not know `renomination2`.
    pub legacy_renomination: bool,
}

impl Config {
    /// The least Ta (RFC 8445 §14.2: no more than one transaction each 5 ms).
    pub const MIN_TA: Duration = Duration::from_millis(5);
    /// The greatest Ta, of either side: beyond it a hundred pairs take longer than anybody's patience.
    pub const MAX_TA: Duration = Duration::from_millis(500);
    /// The least Tr (RFC 8445 §11).
    pub const MIN_KEEPALIVE: Duration = Duration::from_secs(15);
    /// The most standby pairs of a component: each costs a consent request each 5 s.
    pub const MAX_STANDBY: u8 = 2;

    pub(crate) fn bounded(mut self) -> Self {
        self.ta = self.ta.clamp(Self::MIN_TA, Self::MAX_TA);
        self.pair_limit = self.pair_limit.max(1);
        self.remote_limit = self.remote_limit.max(1);
        self.standby = self.standby.min(Self::MAX_STANDBY);
        self.keepalive = self.keepalive.max(Self::MIN_KEEPALIVE);
        self.consent = self.consent.map(ConsentConfig::bounded);
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ta: Self::MIN_TA,
            pair_limit: DEFAULT_PAIR_LIMIT,
            remote_limit: 256,
            consent: Some(ConsentConfig::default()),
            patience: Duration::from_millis(39_500),
            keepalive: Self::MIN_KEEPALIVE,
            linger: Duration::from_secs(3),
            policy: PairPolicy::default(),
            standby: Self::MAX_STANDBY,
            legacy_renomination: false,
        }
    }
}

/// How consent is kept (RFC 7675 §5.1). The interval is drawn from 0.8 to 1.2 times `interval`; consent always ends
/// 30 s after the last authenticated answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentConfig {
    /// Mean time from one request to the next, 5 to 12 s: above that a single lost request could end consent.
    pub interval: Duration,
    /// How long after the last answer a component counts as disconnected: from twice the mean interval, in which one
    /// request is answered at least where nothing is lost, to the 30 s in which consent ends. From 2.4 times the interval
    /// on (12 s by default) and a round trip a single lost request does not show.
    pub liveness: Duration,
    /// Requests stop while the application sends nothing (RFC 7675 §5.1), as
    /// [`ChecklistSet::data_sent`](crate::ChecklistSet::data_sent) tells. What is sent before consent ends, 30 s after the
    /// last answer, resumes them without a gap if the answer comes in time; what was sent past the agent is seen a second
    /// later at most, or 24 s after the last answer. After the end nothing may be sent until consent is regained, which
    /// takes a round trip; the mappings of NATs are kept by keepalives, each [`Config::keepalive`] from the last request on.
    pub suspend: bool,
}

impl ConsentConfig {
    /// When consent ends after the last authenticated answer (RFC 7675 §5.1).
    pub const EXPIRY: Duration = Duration::from_secs(30);
    /// The least mean interval: 4 s is the least of any one interval.
    pub const MIN_INTERVAL: Duration = Duration::from_secs(5);
    /// The highest mean interval: two of 1.2 times as much fit in before consent ends.
    pub const MAX_INTERVAL: Duration = Duration::from_secs(12);

    fn bounded(mut self) -> Self {
        self.interval = self.interval.clamp(Self::MIN_INTERVAL, Self::MAX_INTERVAL);
        self.liveness = self.liveness.clamp(self.interval.saturating_mul(2), Self::EXPIRY);
        self
    }
}

impl Default for ConsentConfig {
    fn default() -> Self {
        Self { interval: Self::MIN_INTERVAL, liveness: Duration::from_secs(25), suspend: false }
    }
}
