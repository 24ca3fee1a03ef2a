use std::format;
use std::string::{String, ToString};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{any_address, any_candidate, ice_chars};
use crate::{CandidateLine, HostName};

/// Text that is a candidate line in most of its fields, with pairs at its end that the grammar knows in odd places.
fn nearly_a_line() -> impl Strategy<Value = String> {
    let field = |good: &'static [&'static str]| prop_oneof![60 => proptest::sample::select(good).prop_map(String::from), 1 => "[ -~]{0,6}"];
    let start = (
        field(&["candidate:1", "a=candidate:a+/", "7"]),
        field(&["1", "256"]),
        field(&["udp", "UDP", "udp", "tcp tcp", "TCP tcp"]),
        field(&["1", "2130706431"]),
        field(&["192.0.2.1", "2001:db8::1", "a.example", "fe80::1%2"]),
        field(&["5", "9"]),
        field(&["typ host", "typ srflx", "TYP relay"]),
    );
    let words = ["raddr", "rport", "tcptype", "192.0.2.2", "7", "active", "so", "generation", "0", "", " "];
    let rest = proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..14);
    (start, rest).prop_map(|((a, b, transport, d, e, f, g), rest)| {
        let (transport, tcp_type) = match transport.split_once(' ') {
            Some((transport, _)) => (transport, "x y tcptype so"),
            None => (&*transport, ""),
        };
        format!("{a} {b} {transport} {d} {e} {f} {g} {} {tcp_type}", rest.join(" "))
    })
}

#[test]
fn most_of_the_texts_that_are_nearly_lines_are_lines() {
    let mut runner = TestRunner::deterministic();
    let mut read = 0;
    for _ in 0..1_000 {
        let text = nearly_a_line().new_tree(&mut runner).expect("a text").current();
        read += usize::from(text.parse::<CandidateLine>().is_ok());
    }
    assert!(read > 500, "{read} of 1000");
}

proptest! {
    #[test]
    fn oth_02_what_is_signalled_is_read_back(candidate in any_candidate()) {
        let written = CandidateLine::from(&candidate);
        let read: CandidateLine = written.to_string().parse().expect("our own line");
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(read.candidate(), Some(candidate));
    }

    #[test]
    fn oth_02_extensions_are_read_back_in_order(
        candidate in any_candidate(),
        added in proptest::collection::vec(("[a-zA-Z0-9.!%*_+`'~-]{1,12}", "[!-~]{0,12}"), 0..12),
        name in "[a-z]{4,20}[.]local",
        address in any_address(),
    ) {
        let added: std::vec::Vec<_> =
            added.into_iter().filter(|(name, _)| !["raddr", "rport", "tcptype"].contains(&&*name.to_lowercase())).collect();
        let mut written = CandidateLine::from(&candidate);
        for (name, value) in &added {
            written = written.with_extension(name, value).expect("a token and visible text");
        }
        let read: CandidateLine = written.to_string().parse().expect("our own line");
        prop_assert_eq!(&read, &written);
        let found = read.extensions().map(|(name, value)| (String::from(name), String::from(value)));
        prop_assert_eq!(found.collect::<std::vec::Vec<_>>(), added);

        let named = written.with_name(HostName::new(&name).expect("a name"));
        let read: CandidateLine = named.to_string().parse().expect("our own line");
        prop_assert_eq!(&read, &named);
        prop_assert_eq!(read.candidate(), None);
        prop_assert_eq!(read.resolved(address.ip()).address, address.with_scope(0).with_port(read.port()));
    }

    #[test]
    fn oth_02_what_was_read_is_written_so_that_it_reads_the_same(text in nearly_a_line()) {
        if let Ok(read) = text.parse::<CandidateLine>() {
            let written = read.to_string();
            let again: CandidateLine = written.parse().expect("what was written");
            prop_assert_eq!(&again, &read, "{}", written);
            prop_assert_eq!(again.to_string(), written);
        }
    }

    #[test]
    fn p10_no_text_makes_it_panic(text in "\\PC{0,200}", cut in any::<prop::sample::Index>(), foundation in ice_chars(1..=32)) {
        let _ = text.parse::<CandidateLine>();
        let _ = format!("candidate:{foundation} 1 udp 1 192.0.2.1 5 typ host {text}").parse::<CandidateLine>();
        let whole = "a=candidate:1 1 tcp 1 2001:db8::1 9 typ srflx raddr 192.0.2.1 rport 7 tcptype active generation 0\r\n";
        let _ = whole[..cut.index(whole.len())].parse::<CandidateLine>();
    }
}
