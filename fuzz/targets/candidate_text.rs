//! Any text as a candidate line: nothing panics, and a line that is read, printed and read again is the same line.

#![no_main]

use floe_pair::{Candidate, CandidateLine};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(line) = text.parse::<CandidateLine>() else { return };
    let printed = line.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&line), "{printed}");
    let extensions: Vec<_> =
        line.extensions().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(extensions.iter().all(|(name, value)| line.extensions().any(|known| known == (name, value))));
    // What the checks work with can be told again: all but extensions and names survives.
    if let Some(candidate) = line.candidate() {
        let told = CandidateLine::from(&candidate).to_string();
        let heard: Option<Candidate> = told.parse::<CandidateLine>().expect("a line of our own").candidate();
        assert_eq!(heard, Some(candidate), "{told}");
    }
});
