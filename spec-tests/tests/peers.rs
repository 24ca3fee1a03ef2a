//! floe against other agents and servers, each in a process of its own, on loopback.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::UdpSocket,
    process::{Child, Stdio},
    time::Duration,
};

use floe::pair::CandidateLine;
use floe_stun::{
    Class, MessageWriter, Method, Sha1Key, TransactionId,
    attribute::{IceControlling, Priority, Username},
};
use serde_json::{Value, json};
use spec_tests::{
    coturn::Coturn,
    interop::{Plan, Session, Side},
    peer::{
        Implementation::{self, Aioice, Floe, Libnice},
        Said, Talk,
    },
    tools::or_skip,
};

/// How long coturn may take to notice that an allocation was released.
const RELEASE_WAIT: Duration = Duration::from_secs(10);
/// What to set to how many times two agents shall meet in each test.
const RUNS: &str = "FLOE_PEER_RUNS";
/// Without [`RUNS`]: what comes once in a while is seen once in a while.
const DEFAULT_RUNS: usize = 3;
/// The components of RTP and RTCP.
const RTP_AND_RTCP: u64 = 2;

/// A process that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets two agents meet as often as asked for; a meeting ends with `then`.
fn meet(
    controlling: Implementation,
    controlled: Implementation,
    plan: &Plan,
    mut then: impl FnMut(&mut Session) -> Result<(), String>,
) {
    let runs = env::var(RUNS).map_or(DEFAULT_RUNS, |runs| runs.parse().expect("a number of runs"));
    for run in 1..=runs {
        // Shown when the run fails.
        println!("run {run} of {runs}");
        let Some(mut session) = or_skip(Session::connect(controlling, controlled, plan)) else { return };
        let Some(()) = or_skip(then(&mut session)) else { return };
        session.close();
    }
}

/// Connects, sends 20 datagrams each way on every component, closes.
fn talk(controlling: Implementation, controlled: Implementation, plan: &Plan) {
    meet(controlling, controlled, plan, |session| {
        session.exchange();
        Ok(())
    });
}

/// Each agent begins a generation, then both at once; there is data before, between, during and after.
fn talk_and_restart(controlling: Implementation, controlled: Implementation, components: u64) {
    let plan = Plan { components, ..Plan::default() };
    meet(controlling, controlled, &plan, |session| {
        session.exchange();
        for sides in [&[Side::Controlling][..], &[Side::Controlled], &Side::BOTH] {
            println!("restart of {sides:?}");
            session.restart(sides)?;
            session.exchange();
        }
        Ok(())
    });
}

/// One agent asks a server that never answers: it has connected by what it told before gathering ends.
fn talk_while_gathering(controlling: Implementation, controlled: Implementation, gathering: Side) {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = silent.local_addr().expect("it is bound");
    let mut plan = Plan::default();
    plan.servers[gathering as usize] = vec![json!({"url": format!("stun:{address}")})];
    meet(controlling, controlled, &plan, |session| {
        assert!(
            session.connected_while_gathering(gathering),
            "candidates were not told before all were known"
        );
        session.exchange();
        Ok(())
    });
}

/// The same through coturn and nothing else; afterwards coturn holds nothing.
fn talk_by_relay(controlling: Implementation, controlled: Implementation) {
    let Some(coturn) = or_skip(Coturn::start()) else { return };
    let plan = Plan { policy: "relay", ..Plan::default() }.server(&coturn.turn_server());
    meet(controlling, controlled, &plan, |session| {
        for side in Side::BOTH {
            assert_eq!(session.selected(side, 1).types(), ("relay", "relay"), "{side:?}");
        }
        session.exchange();
        assert!(coturn.allocations() >= 2, "each agent holds an allocation while connected");
        Ok(())
    });
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

/// A line of bytes that are no text is one more line that is no command; a server's scheme is read as a URI's; what is not
/// supported is told to be so.
#[test]
fn floe_says_what_is_wrong_and_goes_on() {
    let Some(mut talk) = or_skip(Talk::start(Floe)) else { return };
    talk.peer.send_bytes(b"\xff\n");
    let error = |talk: &Talk| talk.expect("error")["message"].as_str().unwrap_or_default().to_owned();
    assert!(error(&talk).contains("UTF-8"));
    let unsupported = [
        json!({"servers": [{"url": "turns:192.0.2.1", "username": "u", "credential": "c"}]}),
        json!({"servers": [{"url": "turn:192.0.2.1?transport=tcp", "username": "u", "credential": "c"}]}),
        json!({"servers": [{"url": "stuns:192.0.2.1"}]}),
        json!({"lite": true, "policy": "relay"}),
    ];
    for mut start in unsupported {
        (start["cmd"], start["role"]) = (json!("start"), json!("controlled"));
        talk.peer.send(&start);
        let message = error(&talk);
        assert!(message.starts_with("unsupported:"), "{start}: {message}");
    }
    let server = json!({"url": "TURN:127.0.0.1", "username": "u", "credential": "c"});
    talk.peer.send(&json!({"cmd": "start", "role": "controlled", "servers": [server]}));
    talk.expect("local-parameters");
    talk.peer.end_commands();
    talk.expect_end();
}

/// Whoever reads slowly slows down what is told, and not the agent (RFC 7675 §5.1: it would lose its peer's consent).
#[test]
fn floe_answers_its_peer_while_nobody_reads_what_it_says() {
    /// Of the 64 KiB of a pipe the last page may stay unused in part.
    const FULL: u64 = 60_000;
    let mut child = Implementation::Floe.command().expect("floe is built");
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map(Ended).expect("floe starts");
    let mut commands = child.0.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.0.stdout.take().expect("a pipe")).lines();
    writeln!(commands, r#"{{"cmd": "start", "role": "controlled", "options": {{"loopback": true}}}}"#)
        .unwrap();
    let mut next = |name: &str| -> Value {
        let mut events = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        events.find(|event| event["event"] == name).expect("an event")
    };
    let parameters = next("local-parameters");
    let candidate: CandidateLine = next("local-candidate")["candidate"].as_str().unwrap().parse().unwrap();
    let to = candidate.candidate().expect("a usable candidate").address.socket_addr();
    let _ = next("gathering-complete");
    let [ufrag, pwd] = ["ufrag", "pwd"].map(|field| parameters[field].as_str().unwrap());
    let socket = UdpSocket::bind((to.ip(), 0)).expect("a socket");
    socket.set_read_timeout(Some(RELEASE_WAIT)).expect("a time");
    let mut number = 0_u64;
    let mut ask = || {
        number += 1;
        let mut buffer = [0; 256];
        let mut id = TransactionId([0; 12]);
        id.0[4..].copy_from_slice(&number.to_be_bytes());
        let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
        writer.put(&Username::new(format!("{ufrag}:peer").as_bytes()).unwrap()).unwrap();
        writer.put(&Priority(1_845_501_695)).unwrap();
        writer.put(&IceControlling(1)).unwrap();
        let len = writer.sign_sha1(&Sha1Key::new(pwd.as_bytes())).unwrap().fingerprint().unwrap();
        socket.send_to(&buffer[..len], to).expect("sent");
        socket.recv_from(&mut buffer).expect("an answer while nobody reads");
    };
    ask();
    // As many as fit into the pipe of the commands; what they say does not fit into the other one.
    for _ in 0..3_000 {
        writeln!(commands, r#"{{"cmd":"stats"}}"#).unwrap();
    }
    let written = |child: &Ended| -> u64 {
        let counts = fs::read_to_string(format!("/proc/{}/io", child.0.id())).expect("its counts");
        let count = counts.lines().find_map(|line| line.strip_prefix("wchar: "));
        count.and_then(|count| count.parse().ok()).expect("bytes written")
    };
    while written(&child) < FULL {
        ask();
    }
    (0..100).for_each(|_| ask());
}

#[test]
fn aioice_keeps_the_protocol() {
    protocol(Aioice);
}

#[test]
fn libnice_keeps_the_protocol() {
    protocol(Libnice);
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
    talk(Aioice, Aioice, &Plan { components: RTP_AND_RTCP, ..Plan::default() });
}

#[test]
fn floe_with_libnice() {
    talk(Floe, Libnice, &Plan { components: RTP_AND_RTCP, ..Plan::default() });
}

#[test]
fn libnice_with_floe() {
    talk(Libnice, Floe, &Plan { components: RTP_AND_RTCP, ..Plan::default() });
}

#[test]
fn libnice_with_libnice() {
    talk(Libnice, Libnice, &Plan { components: RTP_AND_RTCP, ..Plan::default() });
}

#[test]
fn floe_with_libnice_without_trickle() {
    talk(Floe, Libnice, &Plan { components: RTP_AND_RTCP, trickle: false, ..Plan::default() });
}

#[test]
fn libnice_with_floe_without_trickle() {
    talk(Libnice, Floe, &Plan { components: RTP_AND_RTCP, trickle: false, ..Plan::default() });
}

#[test]
fn floe_with_aioice_while_floe_gathers() {
    talk_while_gathering(Floe, Aioice, Side::Controlling);
}

#[test]
fn aioice_with_floe_while_floe_gathers() {
    talk_while_gathering(Aioice, Floe, Side::Controlled);
}

#[test]
fn floe_with_libnice_while_floe_gathers() {
    talk_while_gathering(Floe, Libnice, Side::Controlling);
}

#[test]
fn libnice_with_floe_while_floe_gathers() {
    talk_while_gathering(Libnice, Floe, Side::Controlled);
}

#[test]
fn floe_with_libnice_while_libnice_gathers() {
    talk_while_gathering(Floe, Libnice, Side::Controlled);
}

#[test]
fn libnice_with_floe_while_libnice_gathers() {
    talk_while_gathering(Libnice, Floe, Side::Controlling);
}

#[test]
fn floe_with_floe_and_restarts() {
    talk_and_restart(Floe, Floe, 1);
}

#[test]
fn floe_with_libnice_and_restarts() {
    talk_and_restart(Floe, Libnice, RTP_AND_RTCP);
}

#[test]
fn libnice_with_floe_and_restarts() {
    talk_and_restart(Libnice, Floe, RTP_AND_RTCP);
}

#[test]
fn libnice_with_libnice_and_restarts() {
    talk_and_restart(Libnice, Libnice, RTP_AND_RTCP);
}

#[test]
fn floe_with_floe_both_lite() {
    let plan = Plan { components: RTP_AND_RTCP, lite: true, ..Plan::default() };
    meet(Floe, Floe, &plan, |session| {
        session.exchange();
        session.restart(&Side::BOTH)?;
        session.exchange();
        Ok(())
    });
}

#[test]
fn floe_with_floe_and_a_server() {
    let Some(coturn) = or_skip(Coturn::start()) else { return };
    talk(Floe, Floe, &Plan::default().server(&coturn.turn_server()));
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

#[test]
fn floe_with_libnice_by_relay() {
    talk_by_relay(Floe, Libnice);
}

#[test]
fn libnice_with_floe_by_relay() {
    talk_by_relay(Libnice, Floe);
}
