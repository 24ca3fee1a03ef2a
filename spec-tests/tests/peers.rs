//! floe against other agents and servers, each in a process of its own, on loopback.

use std::time::Duration;

use spec_tests::{
    coturn::Coturn,
    interop::{Plan, Session, Side},
    peer::{Implementation, Implementation::Aioice, Implementation::Floe, Said, Talk},
    tools::or_skip,
};

/// How long coturn may take to notice that an allocation was released.
const RELEASE_WAIT: Duration = Duration::from_secs(10);

/// Connects, sends 20 datagrams each way on every component, closes.
fn talk(controlling: Implementation, controlled: Implementation, plan: &Plan) {
    let Some(mut session) = or_skip(Session::connect(controlling, controlled, plan)) else { return };
    session.exchange();
    session.close();
}

/// The same through coturn and nothing else; afterwards coturn holds nothing.
fn talk_by_relay(controlling: Implementation, controlled: Implementation) {
    let Some(coturn) = or_skip(Coturn::start()) else { return };
    let plan = Plan { servers: vec![coturn.turn_server()], policy: "relay", ..Plan::default() };
    let Some(mut session) = or_skip(Session::connect(controlling, controlled, &plan)) else { return };
    for side in Side::BOTH {
        assert_eq!(session.selected(side, 1).types(), ("relay", "relay"), "{side:?}");
    }
    session.exchange();
    assert!(coturn.allocations() >= 2, "each agent holds an allocation while connected");
    session.close();
    assert_eq!(coturn.wait_for_allocations(0, RELEASE_WAIT), 0, "allocations after both agents have closed");
}

/// What is no command gets an error and changes nothing; the end of the commands is a `close`.
fn protocol(implementation: Implementation) {
    let Some(mut talk) = or_skip(Talk::start(implementation)) else { return };
    for line in ["", "no JSON", "[1]", "{}", r#"{"cmd": "no such command"}"#, r#"{"cmd": 7}"#] {
        talk.peer.send_line(line);
        let Said::Event(event) = talk.next() else { panic!("no event after the line {line:?}") };
        assert_eq!(event["event"], "error", "after the line {line:?}");
    }
    talk.start_agent("controlling");
    let parameters = talk.expect("local-parameters");
    assert!(parameters["ufrag"].is_string() && parameters["pwd"].is_string(), "{parameters}");
    let candidate = talk.expect("local-candidate");
    assert!(
        candidate["candidate"].as_str().is_some_and(|text| text.starts_with("candidate:")),
        "{candidate}"
    );
    assert_eq!(candidate["ufrag"], parameters["ufrag"]);
    talk.expect("gathering-complete");
    talk.peer.end_commands();
    talk.expect_end();
}

#[test]
fn floe_keeps_the_protocol() {
    protocol(Floe);
}

#[test]
fn aioice_keeps_the_protocol() {
    protocol(Aioice);
}

#[test]
fn floe_with_floe() {
    talk(Floe, Floe, &Plan::default());
}

#[test]
fn floe_with_aioice() {
    talk(Floe, Aioice, &Plan::default());
}

#[test]
fn aioice_with_floe() {
    talk(Aioice, Floe, &Plan::default());
}

#[test]
fn aioice_with_aioice() {
    talk(Aioice, Aioice, &Plan { components: 2, ..Plan::default() });
}

#[test]
fn floe_with_floe_and_a_server() {
    let Some(coturn) = or_skip(Coturn::start()) else { return };
    talk(Floe, Floe, &Plan { servers: vec![coturn.turn_server()], ..Plan::default() });
    assert_eq!(coturn.wait_for_allocations(0, RELEASE_WAIT), 0, "allocations after both agents have closed");
}

#[test]
fn floe_with_floe_by_relay() {
    talk_by_relay(Floe, Floe);
}

#[test]
fn floe_with_aioice_by_relay() {
    talk_by_relay(Floe, Aioice);
}

#[test]
fn aioice_with_floe_by_relay() {
    talk_by_relay(Aioice, Floe);
}

#[test]
fn aioice_with_aioice_by_relay() {
    talk_by_relay(Aioice, Aioice);
}
