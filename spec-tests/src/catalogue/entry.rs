//! One requirement.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How strongly a text asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Level {
    /// An absolute requirement (RFC 2119).
    #[serde(rename = "MUST")]
    Must,
    /// An absolute prohibition.
    #[serde(rename = "MUST NOT")]
    MustNot,
    /// A recommendation, for or against.
    #[serde(rename = "SHOULD")]
    Should,
    /// A procedure that is described without a key word.
    #[serde(rename = "described")]
    Described,
    /// No standard: what floe wants of itself.
    #[serde(rename = "floe")]
    Floe,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::Described => "described",
            Self::Floe => "floe",
        })
    }
}

/// A test: package, target and path as libtest prints it, written `package/target path::of::test`. The target is
/// `lib` or the name of an integration test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct TestName {
    /// The package, as cargo knows it.
    pub package: String,
    /// `lib`, or the name of an integration test.
    pub target: String,
    /// Modules and function.
    pub path: String,
}

/// A text that names no test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNameError(String);

impl fmt::Display for TestNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is not of the form 'package/target path::of::test'", self.0)
    }
}

impl std::error::Error for TestNameError {}

impl FromStr for TestName {
    type Err = TestNameError;

    fn from_str(text: &str) -> Result<Self, TestNameError> {
        let parts = || {
            let (place, path) = text.split_once(' ')?;
            let (package, target) = place.split_once('/')?;
            let whole = [package, target, path].iter().all(|part| !part.is_empty() && !part.contains(' '));
            whole.then(|| Self { package: package.into(), target: target.into(), path: path.into() })
        };
        parts().ok_or_else(|| TestNameError(text.into()))
    }
}

impl TryFrom<String> for TestName {
    type Error = TestNameError;

    fn try_from(text: String) -> Result<Self, TestNameError> {
        text.parse()
    }
}

impl fmt::Display for TestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.package, self.target, self.path)
    }
}

impl TestName {
    /// The function's name.
    pub fn function(&self) -> &str {
        self.path.rsplit("::").next().unwrap_or(&self.path)
    }
}

/// The place in floe that does what a requirement asks, and how it is turned into its opposite.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Path from the root of the repository.
    pub file: String,
    /// The function, or the constant, in which the fragment stands.
    pub function: String,
    /// A fragment of the source that occurs once in the file.
    pub turn: String,
    /// What takes its place.
    pub into: String,
}

/// What a requirement is to floe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Met, and shown by tests.
    Met,
    /// Departed from, or read in one of two ways, for this reason.
    Deviation(&'a str),
    /// Not met yet; this is missing.
    Open(&'a str),
}

/// One requirement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// Never given twice.
    pub id: String,
    /// Number of the RFC or name of the draft; `floe` for what no text asks.
    pub rfc: String,
    /// Section or sections; empty where there is none.
    #[serde(default)]
    pub section: String,
    /// How strongly it is asked for.
    pub level: Level,
    /// The requirement in words of our own.
    pub says: String,
    /// What shows that it is met.
    #[serde(default)]
    pub tests: Vec<TestName>,
    /// What does it.
    pub guard: Option<Guard>,
    /// Why floe departs from it.
    deviation: Option<String>,
    /// What is missing.
    open: Option<String>,
}

impl Requirement {
    /// What it is to floe. One that is both open and departed from is open.
    pub fn kind(&self) -> Kind<'_> {
        match (&self.open, &self.deviation) {
            (Some(missing), _) => Kind::Open(missing),
            (None, Some(reason)) => Kind::Deviation(reason),
            (None, None) => Kind::Met,
        }
    }

    /// Whether both were given.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.open.is_some() && self.deviation.is_some()
    }

    /// The text and the section, for people.
    pub fn place(&self) -> String {
        let text = if self.rfc.starts_with(|first: char| first.is_ascii_digit()) {
            format!("RFC {}", self.rfc)
        } else {
            self.rfc.clone()
        };
        if self.section.is_empty() { text } else { format!("{text} §{}", self.section) }
    }
}
