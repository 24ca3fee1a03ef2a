use core::time::Duration;
use std::string::{String, ToString};

use proptest::prelude::*;
use serde_json::{Value, from_str, from_value, json, to_string, to_value};

use super::{address, any_candidate, line};
use crate::{Candidate, CandidateLine, ComponentId, Foundation, Parameters, Priority, TransportAddress};

#[test]
fn values_are_written_as_people_read_them() {
    let read = line("candidate:2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998");
    let candidate = read.candidate().expect("an address");
    let expected = json!({
        "component": 1, "kind": "srflx", "transport": "udp", "address": "192.0.2.3:45664",
        "priority": 1_694_498_815, "foundation": "2", "related": "203.0.113.141:8998",
    });
    assert_eq!(to_value(&candidate).expect("no failure"), expected);
    assert_eq!(to_value(&read).expect("no failure"), Value::from(read.to_string()));
    assert_eq!(to_value(address("[fe80::1%2]:5")).expect("no failure"), json!("[fe80::1%2]:5"));
}

#[test]
fn values_out_of_range_are_refused() {
    assert!(from_value::<ComponentId>(json!(0)).is_err() && from_value::<ComponentId>(json!(257)).is_err());
    assert!(from_value::<Priority>(json!(0)).is_err() && from_value::<Priority>(json!(1_u64 << 31)).is_err());
    assert!(from_value::<Foundation>(json!("")).is_err() && from_value::<Foundation>(json!("a b")).is_err());
    assert!(from_value::<TransportAddress>(json!("192.0.2.1")).is_err());
    assert!(from_value::<CandidateLine>(json!("candidate:")).is_err());
}

#[test]
fn oth_03_parameters_are_checked_when_they_are_read() {
    let text = r#"{"ufrag":"abcd","pwd":"asd88fgpdd777uzjYhagZg","lite":false,"options":"ice2 trickle","pacing":null}"#;
    let parameters: Parameters = from_str(text).expect("well-formed");
    assert!(parameters.options.has("trickle") && !parameters.lite);
    assert_eq!(parameters.proposed_pacing(), Duration::from_millis(50));
    assert_eq!(to_string(&parameters).expect("no failure"), text);
    for (good, bad) in [("abcd", "abc"), ("asd88fgpdd777uzjYhagZg", "short")] {
        assert!(from_str::<Parameters>(&text.replace(good, bad)).is_err());
    }
}

proptest! {
    #[test]
    fn candidates_come_back(candidate in any_candidate()) {
        let text: String = to_string(&candidate).expect("no failure");
        prop_assert_eq!(from_str::<Candidate>(&text).expect("what was written"), candidate);
    }
}
