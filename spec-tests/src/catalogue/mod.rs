//! The catalogue of requirements: what the texts ask of floe, in words of its own, with the tests that show it and
//! the line of floe that does it.
//!
//! The data stands in `spec-tests/catalogue/*.toml`, one file a family, and is read when it is used: a change of it
//! needs no compiling. [`faults`] says what is wrong with it, [`run`] runs its tests, [`guards`] turns the lines that
//! do the work into their opposites and looks whether anybody notices.

mod conformance;
mod entry;
mod faults;
pub mod guards;
mod report;
pub mod run;
mod source;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

pub use conformance::conformance;
pub use entry::{Guard, Kind, Level, Requirement, TestName, TestNameError};
pub use faults::{FAMILIES, GUARDED, faults};
pub use report::{Report, Status};

/// The files, in the order in which they are shown.
const FILES: [&str; 16] = [
    "ice",
    "stun",
    "turn",
    "trickle",
    "consent",
    "tcp",
    "discovery",
    "other",
    "rfc8445",
    "rfc8421",
    "rfc8838",
    "rfc8863",
    "rfc7675",
    "sdp",
    "pains",
    "threats",
];

/// One file of the catalogue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    requirement: Vec<Requirement>,
}

/// Why the catalogue cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// A file is not there.
    File(PathBuf, io::Error),
    /// A file is not what it should be.
    Text(PathBuf, toml::de::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Text(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Text(_, error) => Some(error),
        }
    }
}

/// All requirements, in the order of the files.
///
/// # Errors
/// The file that cannot be read, with the place in it.
pub fn read(root: &Path) -> Result<Vec<Requirement>, ReadError> {
    let mut all = Vec::new();
    for name in FILES {
        let path = root.join("spec-tests/catalogue").join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).map_err(|error| ReadError::File(path.clone(), error))?;
        let file: File = toml::from_str(&text).map_err(|error| ReadError::Text(path, error))?;
        all.extend(file.requirement);
    }
    Ok(all)
}
