//! Where the programs of the tests are, and what happens when one is not there.

use std::{
    env,
    ffi::OsStr,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// How many of the seeds of a sweep there are: `FLOE_SEEDS` makes it longer.
pub fn seeds(usual: u32) -> u32 {
    env::var("FLOE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The root of the repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The value, or `None` after the reason was printed: the caller then returns and the test is skipped.
///
/// Where the environment says `CI=true` a skipped test is a failed one.
#[track_caller]
pub fn or_skip<T>(found: Result<T, String>) -> Option<T> {
    match found {
        Ok(value) => Some(value),
        Err(reason) => {
            assert!(env::var_os("CI").as_deref() != Some(OsStr::new("true")), "skipped in CI: {reason}");
            // Straight to standard error: the test harness would swallow a print of a test that passes.
            let _ = writeln!(std::io::stderr(), "skipped: {reason}");
            None
        }
    }
}

/// A program on the search path or in the directories of system programs.
///
/// # Errors
/// A text for people that says what is missing and how to get it.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{name} is not installed; './test setup' installs it"))
}

/// The Python of the virtual environment that holds aioice.
///
/// # Errors
/// A text for people that says what is missing and how to get it.
pub fn python_with_aioice() -> Result<PathBuf, String> {
    let python = root().join(".venv/bin/python");
    let works = Command::new(&python)
        .args(["-c", "import aioice"])
        .output()
        .is_ok_and(|output| output.status.success());
    if works { Ok(python) } else { Err("aioice is not in .venv; './test setup' installs it".into()) }
}

/// The Python of the system, which Debian's description of libnice is for.
///
/// # Errors
/// A text for people that says what is missing and how to get it.
pub fn python_with_libnice() -> Result<PathBuf, String> {
    let python = PathBuf::from("/usr/bin/python3");
    let works = Command::new(&python)
        .args(["-c", "import gi; gi.require_version('Nice', '0.1')"])
        .output()
        .is_ok_and(|output| output.status.success());
    if works {
        Ok(python)
    } else {
        Err("libnice (gir1.2-nice-0.1, python3-gi) is not installed; './test setup' installs it".into())
    }
}

/// The `floe` program, built by cargo on first use.
pub fn floe() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = Command::new(cargo)
            .current_dir(root())
            .args(["build", "--quiet", "-p", "floe-cli", "--bin", "floe"])
            .output()
            .expect("cargo starts");
        assert!(build.status.success(), "floe does not build:\n{}", String::from_utf8_lossy(&build.stderr));
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        // A relative CARGO_TARGET_DIR counts from where cargo ran.
        root().join(target).join("debug").join(format!("floe{}", env::consts::EXE_SUFFIX))
    })
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
