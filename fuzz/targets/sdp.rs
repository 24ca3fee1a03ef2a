//! Any text as a description, as a trickle fragment and as a browser's candidate: nothing panics, and what is read, printed
//! and read again is printed the same.

#![no_main]

use std::hint::black_box;

use floe_pair::sdp::{
    Description, Fragment, IceCandidateInit, Trickled, announced, check_offer_after, check_subsequent, lines,
};
use libfuzzer_sys::fuzz_target;

fn description(text: &str) {
    let Ok(read) = text.parse::<Description>() else { return };
    assert!(lines(text).all(|line| line.is_ok()), "what reads as a whole reads line by line: {text}");
    let printed = read.to_string();
    let again = printed.parse::<Description>().expect("a description of our own");
    assert_eq!(again.to_string(), printed);
    for section in 0..=read.media.len() {
        assert_eq!(read.ice_use(section).is_some(), section < read.media.len());
        black_box((read.parameters(section), read.is_old_hold(section), again.unbundled_ice_use(section)));
    }
    black_box((read.session_use(), read.trickles()));
    // Compared with itself nothing restarts, and nothing changes that only a restart may.
    assert_eq!(check_subsequent(&read, &read), Ok(()));
    black_box(check_offer_after(&read, &again, &read).is_ok());
    for media in &read.media {
        black_box((announced(media), media.components()));
    }
    if let Ok(all) = Fragment::of(&read) {
        fragment(&all.to_string());
    }
    let without = read.without_ice().to_string();
    let plain = without.parse::<Description>().expect("a description of our own");
    assert!(plain.media.iter().all(|media| media.candidates.is_empty()), "{without}");
}

fn fragment(text: &str) {
    let Ok(read) = text.parse::<Fragment>() else { return };
    let printed = read.to_string();
    let again = printed.parse::<Fragment>().expect("a fragment of our own");
    assert_eq!(again.to_string(), printed);
    assert_eq!(read.sections().count(), again.sections().count());
    for ((mid, media), (same, section)) in read.sections().zip(again.sections()) {
        assert_eq!((mid, &media.candidates), (same, &section.candidates));
        assert_eq!(read.has_ended(mid), again.has_ended(mid));
        assert_eq!(read.parameters(mid).is_some(), again.parameters(mid).is_some());
    }
}

/// The values of `RTCIceCandidateInit`, one a line: candidate, tag, number, user fragment. An empty line is no value.
fn candidate(text: &str) {
    let mut values = text.split('\n').map(|value| Some(value.to_owned()).filter(|value| !value.is_empty()));
    let mut value = || values.next().flatten();
    let init = IceCandidateInit {
        candidate: value().unwrap_or_default(),
        sdp_mid: value(),
        sdp_m_line_index: value().and_then(|value| value.parse().ok()),
        username_fragment: value(),
    };
    let Ok(read) = Trickled::try_from(&init) else { return };
    let told = IceCandidateInit::from(&read);
    assert_eq!(Trickled::try_from(&told).as_ref(), Ok(&read), "{told:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    description(text);
    fragment(text);
    candidate(text);
});
