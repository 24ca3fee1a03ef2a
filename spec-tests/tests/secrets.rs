//! What can be printed of a session that has run shows no secret (T39).

use std::fmt::Write as _;

use floe::{Agent, Config, Endpoint};
use floe_agent::{
    Event, Hub, Policy,
    pair::{
        CandidateLine,
        sdp::{Description, Fragment},
    },
    stun::{AttributeType, Message},
};
use spec_tests::wire::{RTP, STREAM, address, ms, relay, signal::Signalling};

/// Each secret as text, as the list of its bytes, and in hexadecimal digits.
#[track_caller]
fn assert_hidden(shown: &str, secrets: &[Vec<u8>]) {
    for secret in secrets {
        let bytes = format!("{secret:?}");
        let hex = secret.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let text = String::from_utf8_lossy(secret).into_owned();
        for form in [text.as_str(), bytes.trim_matches(['[', ']']), &hex] {
            let found = shown.find(form);
            assert!(found.is_none(), "{form} in {:?}", found.and_then(|at| shown.get(at..at + 80)));
        }
    }
}

#[test]
fn t39_what_is_shown_of_a_restarted_session_over_relays_holds_no_secret() {
    let (mut world, _server) = relay::relayed([true, true], ms(40), |_, config| {
        config.gathering.policy = Policy::RelayOnly;
        config.full_report = true;
    });
    let mut signalling = Signalling::new(&world, ms(60));
    assert!(signalling.run_to_selection(&mut world, ms(10_000)));
    let mut secrets = vec![b"correct horse".to_vec()];
    let mut shown = String::new();
    for round in 0..2 {
        for side in &world.sides {
            let parameters = side.agent.local_parameters();
            secrets.push(parameters.pwd.expose().as_bytes().to_vec());
            let text = format!(
                "v=0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 RTP/AVP 0\r\n",
                parameters.ufrag.as_str(),
                parameters.pwd.expose()
            );
            let description: Description = text.parse().expect("a description");
            let fragment = Fragment::new(parameters);
            let _ = write!(shown, "{description:?}{fragment:?}{parameters:?}");
            // What is wrong with a password is told without it.
            let wrong = text.replace("a=ice-pwd:", "a=ice-pwd:\u{e9}").parse::<Description>();
            let error = wrong.expect_err("no ice-char");
            let _ = write!(shown, "{error:?}{error}");
            let report = side.agent.report();
            let _ = write!(shown, "{:?}{:?}{report:?}{report}", side.agent, side.events);
            let _ = write!(shown, "{:?}{:?}", side.agent.path(STREAM, RTP), report.for_peer());
            let _ = write!(shown, "{:?}", side.agent.pairs().collect::<Vec<_>>());
        }
        if round == 0 {
            world.sides[0].agent.restart(world.now).expect("open");
            world.collect(0);
            // Shown while both generations are there as well.
            let _ = write!(shown, "{:?}", world.sides[0].agent);
            signalling.run(&mut world, ms(10_000));
            assert!(world.is_completed());
        }
    }
    let restarted = |(_, event): &(_, Event)| matches!(event, Event::Restarted { .. });
    assert!(world.sides.iter().all(|side| side.events.iter().any(restarted)));
    let nonces = world.log.iter().filter(|one| one.from == address(relay::SERVER)).filter_map(|one| {
        let message = Message::parse(&one.bytes).ok()?;
        Some(message.raw(AttributeType::NONCE)?.to_vec())
    });
    secrets.extend(nonces);
    assert!(secrets.len() >= 7, "four passwords, that of the server, nonces");
    let [left, right] = world.sides;
    let mut hub = Hub::new();
    hub.insert(left.agent);
    hub.insert(right.agent);
    let _ = write!(shown, "{hub:?}");
    assert!(shown.contains("192.0.2.1"), "it is told of the server");
    assert_hidden(&shown, &secrets);
}

#[tokio::test]
async fn t39_what_the_driver_shows_holds_no_secret() {
    let builder = Endpoint::builder();
    let mut shown = format!("{builder:?}");
    let endpoints = [builder.build().await.expect("bound"), Endpoint::new().await.expect("bound")];
    // A server of this host that nobody plays.
    let settings = |config: Config| {
        config.loopback().server("turn:127.0.0.1:1", "ada", "correct horse").expect("well-formed")
    };
    let configs = [Config::controlling(), Config::controlled()].map(settings);
    let _ = write!(shown, "{configs:?}");
    let [a, b] = configs;
    let (a, b) = (endpoints[0].agent(a).expect("made"), endpoints[1].agent(b).expect("made"));
    a.set_remote_parameters(b.local_parameters()).expect("open");
    b.set_remote_parameters(a.local_parameters()).expect("open");
    let told = async |from: &Agent, to: &Agent| {
        while let Some(event) = from.event().await {
            if let Event::LocalCandidate { candidate, .. } = event {
                let _ = to.add_remote_candidate(&CandidateLine::from(&candidate));
            }
        }
    };
    let connected = async { tokio::join!(a.connected(), b.connected()) };
    let connections = tokio::select! {
        () = told(&a, &b) => panic!("closed"),
        () = told(&b, &a) => panic!("closed"),
        both = connected => both,
    };
    let _ = write!(shown, "{endpoints:?}{a:?}{b:?}{connections:?}");
    let passwords = [&a, &b].map(|agent| agent.local_parameters().pwd.expose().as_bytes().to_vec());
    assert!(shown.contains("127.0.0.1"), "it is told of the server: {shown}");
    assert_hidden(&shown, &[passwords[0].clone(), passwords[1].clone(), b"correct horse".to_vec()]);
}
