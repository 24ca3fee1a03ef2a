//! What the catalogue names, looked up in the sources: test functions and guards.

use std::{fs, path::Path};

use super::{Guard, TestName};

/// The directory of a package, from the root.
pub(super) fn directory(package: &str) -> String {
    match package.strip_prefix("floe-") {
        Some(name) => format!("crates/{name}"),
        None if package == "floe" => "crates/floe".into(),
        None => package.into(),
    }
}

/// Whether a test function of this name stands in a file that its path leads to. The modules in front are files;
/// the ones behind may stand inline in the last of them.
pub(super) fn has_test(root: &Path, test: &TestName) -> bool {
    let package = root.join(directory(&test.package));
    let mut modules: Vec<&str> = test.path.split("::").collect();
    let Some(function) = modules.pop() else { return false };
    let (mut files, bases) = if test.target == "lib" {
        (vec![package.join("src/lib.rs")], vec![package.join("src")])
    } else {
        let tests = package.join("tests");
        let own = tests.join(&test.target);
        (vec![own.join("main.rs"), tests.join(format!("{}.rs", test.target))], vec![tests, own])
    };
    for outer in 1..=modules.len() {
        let relative = modules.iter().take(outer).copied().collect::<Vec<_>>().join("/");
        for base in &bases {
            files.push(base.join(format!("{relative}.rs")));
            files.push(base.join(&relative).join("mod.rs"));
        }
    }
    files.iter().any(|file| {
        let source = fs::read_to_string(file).unwrap_or_default();
        let found = source.find(&format!("fn {function}("));
        found.and_then(|at| source.get(..at)).is_some_and(is_marked)
    })
}

/// Whether the attributes and comments that end a text make what follows a test.
fn is_marked(above: &str) -> bool {
    let attributes = above.lines().rev().map(str::trim);
    let mut attributes = attributes.skip_while(|line| *line == "async" || line.is_empty());
    attributes
        .by_ref()
        .take_while(|line| line.starts_with(['#', '/']))
        .any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}

/// The item a byte of a source file belongs to: the last function or constant that begins before it.
fn item_at(text: &str, at: usize) -> Option<&str> {
    let above = text.get(..at)?;
    above.lines().filter_map(|line| item(line, "fn ").or_else(|| item(line, "const "))).next_back()
}

/// The name of the item that begins in this line.
fn item<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    // A keyword inside a word or a comment is none.
    const BEFORE: [&str; 7] =
        ["", "pub", "pub(crate)", "pub(super)", "const", "pub const", "pub(crate) const"];
    let (before, rest) = line.split_once(keyword)?;
    if !BEFORE.contains(&before.trim()) {
        return None;
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    // `const fn` is no constant.
    rest.get(..end).filter(|name| !name.is_empty() && *name != "fn")
}

/// What is wrong with a guard, if anything.
pub(super) fn guard_fault(root: &Path, guard: &Guard) -> Option<String> {
    let Ok(text) = fs::read_to_string(root.join(&guard.file)) else {
        return Some(format!("there is no file {}", guard.file));
    };
    if guard.turn == guard.into {
        return Some("its guard is turned into itself".into());
    }
    match text.matches(&guard.turn).count() {
        0 => return Some(format!("{} does not hold: {}", guard.file, guard.turn)),
        1 => {}
        count => return Some(format!("{} holds {count} times: {}", guard.file, guard.turn)),
    }
    // A fragment may begin with the function it stands in.
    let at = text.find(&guard.turn)?;
    let first_line = text.get(at..)?.lines().next().map_or(at, |line| at.saturating_add(line.len()));
    let found = item_at(&text, first_line);
    (found != Some(guard.function.as_str()))
        .then(|| format!("its guard stands in {}, not in {}", found.unwrap_or("no function"), guard.function))
}
