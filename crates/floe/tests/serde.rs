//! What applications send and store as JSON.
#![cfg(feature = "serde")]

use floe::{
    Added, Endpoint,
    pair::sdp::{IceCandidateInit, SectionName, Trickled},
};

#[cfg(test)]
mod support;
use support::{carry, connect, pair, soon};

#[tokio::test]
async fn counts_and_reports_are_values() {
    let (a, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
    let json = serde_json::to_value(to_b.stats()).unwrap();
    assert_eq!((&json["sent_datagrams"], &json["sent_bytes"]), (&1.into(), &5.into()));
    let json = serde_json::to_value(Endpoint::new().await.unwrap().stats()).unwrap();
    assert_eq!((&json["agents"], &json["unclaimed"]), (&0.into(), &0.into()));
    assert!(serde_json::to_value(a.report().unwrap()).unwrap().is_object());
}

#[tokio::test]
async fn candidates_go_as_those_of_browsers() {
    let (a, b) = pair().await;
    a.set_remote_parameters(b.local_parameters()).unwrap();
    for one in soon(b.gathered()).await {
        let ufrag = one.line.ufrag().unwrap().parse().unwrap();
        let told = Trickled::Candidate { line: one.line, section: SectionName::Index(0), ufrag: Some(ufrag) };
        let json = serde_json::to_string(&IceCandidateInit::from(&told)).unwrap();
        let init: IceCandidateInit = serde_json::from_str(&json).unwrap();
        assert_eq!(init.username_fragment.as_deref(), Some(b.local_parameters().ufrag.as_str()));
        let Trickled::Candidate { line, .. } = Trickled::try_from(&init).unwrap() else { panic!("{json}") };
        assert_eq!(a.add_remote_candidate(&line), Ok(Added::Added));
    }
}
