//! Rules of the workspace that no compiler checks: which crate may use which, what the core may not name, how
//! long a file may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use spec_tests::tools::root;

/// Crates without I/O, clock and ambient randomness, lowest first.
const CORE: [&str; 6] = ["stun", "pair", "turn", "gather", "check", "agent"];

/// For each crate under `crates/` the crates of the workspace it may use.
const EDGES: [(&str, &[&str]); 9] = [
    ("stun", &[]),
    ("pair", &[]),
    ("turn", &["stun"]),
    ("gather", &["pair", "stun", "turn"]),
    ("check", &["pair", "stun"]),
    ("agent", &["check", "gather", "pair", "stun", "turn"]),
    ("floe", &["agent", "check", "gather", "pair", "stun", "turn"]),
    ("sim", &["agent", "check", "gather", "pair", "stun", "turn"]),
    ("cli", &["floe", "sim"]),
];

/// What would bring a clock, ambient randomness, an order that changes from run to run, threads or sockets into
/// the core: equal inputs have to give equal outputs.
const FORBIDDEN: [&str; 12] = [
    "std::time",
    "SystemTime",
    "thread_rng",
    "rand::rng(",
    "OsRng",
    "getrandom",
    "HashMap",
    "HashSet",
    "RandomState",
    "spawn",
    "UdpSocket",
    "Mutex",
];

/// A file longer than this holds more than one thing.
const LONGEST_FILE: usize = 600;

/// A crate of the workspace as cargo sees it.
struct Package {
    /// The name of its directory.
    directory: String,
    /// Dependencies of the workspace itself, by directory.
    inner: BTreeSet<String>,
    /// Dependencies from elsewhere, by name.
    outer: BTreeSet<String>,
}

/// The crates under `crates/` with what they need to be built and run; what only their tests need is left out.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let crates = root().join("crates");
    let directory = |path: &str| {
        Path::new(path).strip_prefix(&crates).ok().map(|name| name.to_string_lossy().into_owned())
    };
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().expect("a list of packages") {
        let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
        let Some(name) = manifest.parent().and_then(Path::to_str).and_then(directory) else { continue };
        let (mut inner, mut outer) = (BTreeSet::new(), BTreeSet::new());
        for dependency in package["dependencies"].as_array().expect("a list of dependencies") {
            if dependency["kind"] == "dev" {
                continue;
            }
            match dependency["path"].as_str() {
                Some(path) => {
                    inner.insert(directory(path).unwrap_or_else(|| format!("{path}, outside crates/")))
                }
                None => outer.insert(dependency["name"].as_str().expect("a name").to_owned()),
            };
        }
        packages.push(Package { directory: name, inner, outer });
    }
    packages
}

/// All files below `directory` with the extension `rs`, in order.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every line of `text` that names something forbidden.
fn forbidden_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().zip(1..).map(|(line, number)| (number, line));
    numbered.filter(|(_, line)| FORBIDDEN.iter().any(|word| line.contains(word)))
}

#[track_caller]
fn assert_none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn edges_between_crates_are_those_of_the_architecture() {
    let allowed: BTreeMap<_, _> = EDGES.into();
    let packages = packages();
    let mut faults = Vec::new();
    for Package { directory, inner, .. } in &packages {
        let Some(allowed) = allowed.get(directory.as_str()) else {
            faults.push(format!("{directory} is not in the table"));
            continue;
        };
        let extra = inner.iter().filter(|used| !allowed.contains(&used.as_str()));
        faults.extend(extra.map(|used| format!("{directory} uses {used}")));
    }
    assert_none(&faults, "dependencies that the architecture does not have");
    assert_eq!(packages.len(), EDGES.len(), "crates in the table and on the disk");
}

#[test]
fn edges_to_other_projects_have_their_reason_in_docs_design() {
    let design = read(&root().join("docs/design.md"));
    let used: BTreeSet<_> = packages().into_iter().flat_map(|package| package.outer).collect();
    let faults: Vec<_> = used.into_iter().filter(|name| !design.contains(&format!("`{name}`"))).collect();
    assert_none(&faults, "dependencies without a line in docs/design.md");
}

#[test]
fn law_1_nothing_ambient_below_the_driver() {
    let mut faults = Vec::new();
    for directory in CORE.iter().chain(&["sim"]) {
        let files = sources(&root().join("crates").join(directory).join("src"));
        assert!(!files.is_empty(), "no sources in {directory}");
        for file in files {
            let text = read(&file);
            let lines = forbidden_lines(&text);
            faults.extend(lines.map(|(number, line)| format!("{}:{number}: {}", shown(&file), line.trim())));
        }
    }
    assert_none(&faults, "words that the core may not hold, not even in a comment");
}

#[test]
fn law_1_each_forbidden_word_would_be_found() {
    for word in FORBIDDEN {
        let text = format!("fn first() {{}}\n    let x = {word}::new();\n");
        assert_eq!(forbidden_lines(&text).map(|(number, _)| number).collect::<Vec<_>>(), [2], "{word}");
    }
    assert_eq!(forbidden_lines("use alloc::collections::BTreeMap;").count(), 0);
}

#[test]
fn core_crates_are_no_std() {
    let without: Vec<_> = CORE
        .into_iter()
        .filter(|name| !read(&root().join("crates").join(name).join("src/lib.rs")).contains("#![no_std]"))
        .map(str::to_owned)
        .collect();
    assert_none(&without, "core crates without #![no_std]");
}

#[test]
fn files_are_short_enough_to_read() {
    let mut faults = Vec::new();
    for directory in ["crates", "spec-tests", "fuzz", "bench"] {
        for file in sources(&root().join(directory)) {
            let lines = read(&file).lines().count();
            if lines >= LONGEST_FILE {
                faults.push(format!("{}: {lines} lines", shown(&file)));
            }
        }
    }
    assert_none(&faults, &format!("files of {LONGEST_FILE} lines and more"));
}

/// The names of all test functions.
fn test_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in ["crates", "spec-tests"].iter().flat_map(|directory| sources(&root().join(directory))) {
        let mut marked = false;
        for line in read(&file).lines().map(str::trim_start) {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let function = line.trim_start_matches("async ").strip_prefix("fn ").filter(|_| marked);
            if let Some((name, _)) = function.and_then(|rest| rest.split_once(['(', '<'])) {
                names.insert(name.to_owned());
                marked = false;
            }
        }
    }
    names
}

#[test]
fn every_deviation_names_tests_and_each_of_them_exists() {
    let (names, text) = (test_names(), read(&root().join("docs/deviations.md")));
    assert!(names.len() > 500, "{} tests", names.len());
    let mut faults = Vec::new();
    // Behind the heading and the line below it.
    for row in text.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let place = row.split(" | ").next().unwrap_or_default();
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let tests: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() || cell.split('`').step_by(2).any(|between| !["", ", "].contains(&between)) {
            faults.push(format!("{place}: '{cell}' is not a list of tests"));
        }
        for test in tests {
            let known = match test.strip_suffix('…') {
                Some(beginning) => names.iter().any(|name| name.starts_with(beginning)),
                None => names.contains(test),
            };
            if !known {
                faults.push(format!("{place}: there is no test {test}"));
            }
        }
    }
    assert_none(&faults, "docs/deviations.md");
}

/// What the code map of the architecture names: files, and directories with everything in them.
fn code_map() -> BTreeSet<PathBuf> {
    let text = read(&root().join("docs/architecture.md"));
    let map =
        text.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a code map");
    let mut named = BTreeSet::new();
    for row in map.lines().filter(|line| line.starts_with("| ")) {
        let mut directory = Path::new("");
        // Between backticks; the first name of a row has its directory, for the others too.
        let words = row.split('`').skip(1).step_by(2).map(|word| (word, Path::new(word)));
        let is_file = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
        for (word, path) in words.filter(|(word, path)| is_file(path) || word.ends_with('/')) {
            if word.contains("/src/") {
                directory = path.parent().unwrap_or(directory);
                named.insert(root().join("crates").join(path));
            } else {
                named.insert(root().join("crates").join(directory).join(path));
            }
        }
    }
    named
}

#[test]
fn every_source_file_is_in_the_code_map_and_everything_in_it_exists() {
    let named = code_map();
    let gone = named.iter().filter(|path| !path.exists()).map(|path| shown(path));
    assert_none(&gone.collect::<Vec<_>>(), "named in docs/architecture.md, and not there");
    let is_test =
        |path: &Path| path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
    let mut missing = Vec::new();
    for directory in EDGES.map(|(directory, _)| directory) {
        for file in sources(&root().join("crates").join(directory).join("src")) {
            if !is_test(&file) && !file.ancestors().any(|path| named.contains(path)) {
                missing.push(shown(&file));
            }
        }
    }
    assert_none(&missing, "sources without a row in the code map of docs/architecture.md");
}
