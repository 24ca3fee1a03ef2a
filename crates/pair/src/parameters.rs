//! What one side signals besides its candidates.

use core::time::Duration;

use crate::{IceOptions, Pwd, Ufrag};

/// Parameters of one agent for one generation (RFC 8445 §5.3).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// Username fragment.
    pub ufrag: Ufrag,
    /// Password.
    pub pwd: Pwd,
    /// Whether the agent is a lite implementation (RFC 8445 §2.5).
    pub lite: bool,
    /// Extensions it can use.
    pub options: IceOptions,
    /// Its proposal for Ta; `None` counts as 50 ms (RFC 8839 §5.5).
    pub pacing: Option<Duration>,
}

impl Parameters {
    /// Ta of an agent that proposes none (RFC 8839 §5.5).
    pub const DEFAULT_PACING: Duration = Duration::from_millis(50);

    /// Parameters of a full agent without options and without a proposal for Ta.
    pub const fn new(ufrag: Ufrag, pwd: Pwd, options: IceOptions) -> Self {
        Self { ufrag, pwd, lite: false, options, pacing: None }
    }

    /// The proposal for Ta in force: 50 ms where there is none.
    pub fn proposed_pacing(&self) -> Duration {
        self.pacing.unwrap_or(Self::DEFAULT_PACING)
    }
}
