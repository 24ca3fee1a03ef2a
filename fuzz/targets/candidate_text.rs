//! Any text as a candidate line: nothing panics, and a line that is read, printed and read again is the same line.

#![no_main]

use floe_pair::CandidateLine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(line) = text.parse::<CandidateLine>() else { return };
    let printed = line.to_string();
    assert_eq!(printed.parse().as_ref(), Ok(&line), "{printed}");
    let extensions: Vec<_> =
        line.extensions().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(extensions.iter().all(|(name, value)| line.extensions().any(|known| known == (name, value))));
    // What the checks work with can be told again: all but extensions, names and the port of an active end survives.
    if let Some(candidate) = line.candidate() {
        let told = CandidateLine::from(&candidate);
        let heard = told.to_string().parse::<CandidateLine>().expect("a line of our own");
        assert_eq!(heard, told);
        let again = heard.candidate().expect("an address");
        assert_eq!(CandidateLine::from(&again), told);
        assert_eq!(
            (again.kind, again.transport, again.priority),
            (candidate.kind, candidate.transport, candidate.priority)
        );
        assert_eq!((again.component, again.foundation), (candidate.component, candidate.foundation));
        assert_eq!(again.address.ip(), candidate.address.ip());
    }
});
