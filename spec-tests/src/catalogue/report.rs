//! What a run of the catalogue's tests has shown.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    Kind, Level, Requirement, TestName,
    run::{Outcome, Outcomes},
};

/// How a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All its tests pass.
    Passing,
    /// A test fails, or did not run.
    Failing,
    /// Departed from, with a reason; its tests pass.
    Deviation,
    /// Not met yet; what tests it has pass.
    Open,
}

impl Status {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Passing, Self::Deviation, Self::Open, Self::Failing];

    /// The status of a requirement whose tests ended like this.
    pub fn of(requirement: &Requirement, outcomes: &Outcomes) -> Self {
        let all = requirement.tests.iter().all(|test| outcomes.get(test) == Some(&Outcome::Passed));
        match requirement.kind() {
            _ if !all => Self::Failing,
            Kind::Met => Self::Passing,
            Kind::Deviation(_) => Self::Deviation,
            Kind::Open(_) => Self::Open,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passing => "passing",
            Self::Failing => "failing",
            Self::Deviation => "deviation",
            Self::Open => "open",
        })
    }
}

/// One requirement as programs read it.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    rfc: &'a str,
    section: &'a str,
    level: Level,
    status: Status,
    tests: Vec<String>,
}

/// The catalogue with how each of its tests ended.
pub struct Report<'a> {
    catalogue: &'a [Requirement],
    outcomes: &'a Outcomes,
}

impl<'a> Report<'a> {
    /// Puts both together.
    pub fn new(catalogue: &'a [Requirement], outcomes: &'a Outcomes) -> Self {
        Self { catalogue, outcomes }
    }

    /// Whether nothing fails.
    pub fn is_good(&self) -> bool {
        self.with(Status::Failing).next().is_none()
    }

    /// The requirements of one status.
    pub fn with(&self, status: Status) -> impl Iterator<Item = &'a Requirement> + '_ {
        let outcomes = self.outcomes;
        self.catalogue.iter().filter(move |requirement| Status::of(requirement, outcomes) == status)
    }

    /// `{"requirements":[…]}`.
    ///
    /// # Errors
    /// None that a catalogue could cause.
    pub fn json(&self) -> serde_json::Result<String> {
        let line = |requirement: &'a Requirement| Line {
            id: &requirement.id,
            rfc: &requirement.rfc,
            section: &requirement.section,
            level: requirement.level,
            status: Status::of(requirement, self.outcomes),
            tests: requirement.tests.iter().map(TestName::to_string).collect(),
        };
        let lines: Vec<_> = self.catalogue.iter().map(line).collect();
        serde_json::to_string(&BTreeMap::from([("requirements", lines)]))
    }
}

impl fmt::Display for Report<'_> {
    /// Per text the ids of each status, then what went wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (text, requirements) in by_text(self.catalogue) {
            let of = |status| {
                let fits = |one: &&&Requirement| Status::of(one, self.outcomes) == status;
                requirements.iter().filter(fits).map(|one| one.id.as_str()).collect::<Vec<_>>()
            };
            let counts = Status::ALL.map(|status| format!("{} {status}", of(status).len()));
            writeln!(f, "{text}: {}", counts.join(", "))?;
            for status in Status::ALL {
                let ids = of(status);
                if !ids.is_empty() {
                    writeln!(f, "  {status:9} {}", ids.join(" "))?;
                }
            }
        }
        for requirement in self.with(Status::Failing) {
            writeln!(f, "\n{} ({}): {}", requirement.id, requirement.place(), requirement.says)?;
            for test in &requirement.tests {
                match self.outcomes.get(test) {
                    Some(Outcome::Passed) => {}
                    Some(outcome) => writeln!(f, "  {test}: {outcome}")?,
                    None => writeln!(f, "  {test}: did not run")?,
                }
            }
        }
        Ok(())
    }
}

/// The requirements by the text that asks for them: RFCs by number, drafts, then what floe asks of itself.
pub(super) fn by_text(catalogue: &[Requirement]) -> Vec<(String, Vec<&Requirement>)> {
    let mut texts: BTreeMap<(u8, u32, &str), Vec<&Requirement>> = BTreeMap::new();
    for requirement in catalogue {
        let number = requirement.rfc.parse().ok();
        let rank = match (number, requirement.rfc.as_str()) {
            // ICE itself stands in front of what it is made of.
            (Some(8445), _) => 0,
            (Some(_), _) => 1,
            (None, "floe") => 3,
            (None, _) => 2,
        };
        texts.entry((rank, number.unwrap_or_default(), &requirement.rfc)).or_default().push(requirement);
    }
    let name = |rfc: &str| if rfc.parse::<u32>().is_ok() { format!("RFC {rfc}") } else { rfc.to_owned() };
    texts.into_iter().map(|((_, _, rfc), requirements)| (name(rfc), requirements)).collect()
}
