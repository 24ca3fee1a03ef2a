//! What happens in the life of a session: restarts, streams that come and go, forks, lite agents.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use floe::{
    Added, Agent, ApiError, Config, Endpoint, Event, Ignored, State,
    pair::{CandidateLine, ComponentId, Role, StreamId},
};

#[cfg(test)]
mod support;
use support::{carry, connect, pair, signal, soon};

const STREAM: StreamId = StreamId(0);

/// Carries whatever one says to the other for as long as it lives.
fn forward(from: &Arc<Agent>, to: &Arc<Agent>) {
    let (from, to) = (Arc::clone(from), Arc::clone(to));
    tokio::spawn(async move {
        let _ = to.set_remote_parameters(from.local_parameters());
        while let Some(event) = from.event().await {
            let of = |generation| from.parameters_of(generation);
            match event {
                Event::Restarted { generation } => {
                    let _ = of(generation).map(|parameters| to.set_remote_parameters(parameters));
                }
                Event::LocalCandidate { stream, candidate, generation } => {
                    let Some(parameters) = of(generation) else { continue };
                    let line = CandidateLine::from(&candidate);
                    let Ok(line) = line.with_extension("ufrag", parameters.ufrag.as_str()) else { continue };
                    let _ = to.add_remote_candidate_to(stream, &line);
                }
                Event::GatheringComplete { generation } => {
                    let Some(parameters) = of(generation) else { continue };
                    let _ = to.remote_gathering_complete_of(Some(&parameters.ufrag));
                }
                _ => {}
            }
        }
    });
}

async fn completed(agent: &Agent) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    soon(async {
        while agent.state() != State::Completed {
            ticks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn p17_no_datagram_is_lost_by_restarts_of_either_side() {
    let (a, b) = pair().await;
    let (a, b) = (Arc::new(a), Arc::new(b));
    forward(&a, &b);
    forward(&b, &a);
    let (to_b, to_a) = (soon(a.connected()).await.unwrap(), soon(b.connected()).await.unwrap());
    completed(&a).await;
    completed(&b).await;
    let reader = tokio::spawn(async move {
        let (mut buffer, mut numbers) = ([0; 64], vec![]);
        while numbers.last() != Some(&599_u32) {
            let len = soon(to_a.recv(&mut buffer)).await.unwrap();
            numbers.push(u32::from_be_bytes(buffer[..len].try_into().unwrap()));
        }
        numbers
    });
    let first = a.local_parameters();
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    for number in 0..600_u32 {
        match number {
            100 | 301 => drop(a.restart().unwrap()),
            300 => drop(b.restart().unwrap()),
            _ => {}
        }
        to_b.send(&number.to_be_bytes()).await.unwrap();
        ticks.tick().await;
    }
    assert_eq!(reader.await.unwrap(), (0..600).collect::<Vec<_>>());
    assert!(a.generation() >= 2 && a.generation() == b.generation());
    assert_ne!(a.local_parameters().ufrag, first.ufrag);
    completed(&a).await;
    completed(&b).await;
}

#[tokio::test]
async fn each_generation_gathers_its_own_candidates() {
    let (a, b) = pair().await;
    connect(&a, &b).await;
    let before = soon(a.gathered()).await;
    let new = a.restart().unwrap();
    assert_eq!(new.ufrag, a.restart().unwrap().ufrag, "one is under way");
    let after = soon(a.gathered()).await;
    assert!(!after.is_empty() && after.iter().all(|candidate| candidate.generation == 1));
    // All of a candidate but the generation it is for.
    let lines = |candidates: &[floe::LocalCandidate]| -> Vec<_> {
        let line =
            |one: &floe::LocalCandidate| CandidateLine::from(&one.line.candidate().unwrap()).to_string();
        let mut lines: Vec<_> = candidates.iter().map(line).collect();
        lines.sort();
        lines
    };
    for (of, candidates) in [(0, &before), (1, &after)] {
        let ufrag = a.parameters_of(of).unwrap().ufrag;
        assert!(candidates.iter().all(|one| one.line.ufrag() == Some(ufrag.as_str())), "{candidates:?}");
    }
    assert_eq!(lines(&before), lines(&after), "the sockets are the same");
    a.rollback().unwrap();
    assert_eq!(a.rollback(), Err(ApiError::NoRestart));
    assert_eq!(lines(&soon(a.gathered()).await), lines(&before));
    // However often: what is in force stays known.
    a.restart().unwrap();
    a.rollback().unwrap();
    assert_eq!(lines(&soon(a.gathered()).await), lines(&before));
    // And now in earnest, without trickling.
    a.restart().unwrap();
    signal(&a, &b).await;
    signal(&b, &a).await;
    assert_eq!((a.generation(), b.generation()), (3, 1));
    completed(&a).await;
    carry(&a.connection(), &b.connection(), b"hello").await;
}

/// Signalling may delay a candidate until after a restart.
#[tokio::test]
async fn p17_a_late_candidate_of_an_old_generation_is_not_taken_for_a_new_one() {
    let (a, b) = pair().await;
    let late: Vec<_> = soon(b.gathered()).await.iter().map(ToString::to_string).collect();
    connect(&a, &b).await;
    let offer = b.restart().unwrap();
    a.set_remote_parameters(offer).unwrap();
    b.set_remote_parameters(a.local_parameters()).unwrap();
    for line in late {
        let added = a.add_remote_candidate(&line.parse().unwrap());
        assert_eq!(added, Ok(Added::Ignored(Ignored::Generation)));
    }
    for candidate in soon(b.gathered()).await {
        assert_eq!(a.add_remote_candidate(&candidate.line), Ok(Added::Added));
    }
}

/// Signalling may overtake itself as well: what names a generation waits for its parameters, and so does its end.
#[tokio::test]
async fn candidates_and_their_end_may_come_before_the_parameters() {
    let (a, b) = pair().await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        for candidate in soon(from.gathered()).await {
            assert_eq!(to.add_remote_candidate(&candidate.line), Ok(Added::Held));
        }
        to.remote_gathering_complete().unwrap();
    }
    a.set_remote_parameters(b.local_parameters()).unwrap();
    b.set_remote_parameters(a.local_parameters()).unwrap();
    let (to_b, to_a) = soon(async { tokio::join!(a.connected(), b.connected()) }).await;
    carry(&to_b.unwrap(), &to_a.unwrap(), b"hello").await;
}

#[tokio::test]
async fn components_come_and_go() {
    let (a, b) = pair().await;
    connect(&a, &b).await;
    let other = StreamId(7);
    let sockets = a.pairs().len();
    let to_b = a.add_component(other, ComponentId::RTP).unwrap();
    let to_a = b.add_component(other, ComponentId::RTP).unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        for candidate in soon(from.gathered()).await.iter().filter(|one| one.stream == other) {
            let _ = to.add_remote_candidate_to(other, &candidate.line).unwrap();
        }
    }
    soon(async { tokio::join!(to_b.connected(), to_a.connected()) }).await.0.unwrap();
    carry(&to_b, &to_a, b"over the new one").await;
    a.remove_stream(other).unwrap();
    assert!(to_b.is_closed());
    assert!(a.connection_of(other, ComponentId::RTP).is_none());
    assert_eq!(a.remove_component(STREAM, ComponentId::RTP), Err(ApiError::LastComponent));
    carry(&a.connection(), &b.connection(), b"over the old one").await;
    assert!(a.pairs().len() <= sockets);
    // The next one is the first once the first is gone.
    let new = StreamId(9);
    assert_eq!(
        a.add_component(new, ComponentId::RTCP).err(),
        Some(ApiError::ComponentGap(new, ComponentId::RTCP)),
        "RFC 8839 §5.1: a stream begins with component 1"
    );
    a.add_component(new, ComponentId::RTP).unwrap();
    a.remove_stream(STREAM).unwrap();
    assert_eq!(a.connection().id(), (new, ComponentId::RTP));
    assert!(!a.connection().is_closed());
    let line = "candidate:1 1 udp 9 192.0.2.1 7 typ host".parse().unwrap();
    assert!(a.add_remote_candidate(&line).is_ok());
}

#[tokio::test]
async fn what_was_gathered_is_for_the_components_there_are() {
    let endpoint = Endpoint::new().await.unwrap();
    let agent = endpoint.agent(Config::controlling().loopback()).unwrap();
    let before = soon(agent.gathered()).await.len();
    let agent = &agent;
    let of = |stream| async move {
        soon(agent.gathered()).await.iter().filter(|one| one.stream == stream).count()
    };
    for number in 1..4 {
        let stream = StreamId(number);
        agent.add_component(stream, ComponentId::RTP).unwrap();
        assert_eq!(
            (of(STREAM).await, of(stream).await),
            (before, before),
            "waited for the candidates of the new one"
        );
        agent.remove_stream(stream).unwrap();
        assert_eq!(of(stream).await, 0);
    }
    assert_eq!(soon(agent.gathered()).await.len(), before);
}

#[tokio::test]
async fn one_offer_has_several_answers() {
    let offering = Endpoint::new().await.unwrap();
    let offer = offering.agent(Config::controlling().loopback()).unwrap();
    let mut answers = vec![];
    for _ in 0..3 {
        let answering = Endpoint::new().await.unwrap();
        let answer = answering.agent(Config::controlled().loopback()).unwrap();
        signal(&offer, &answer).await;
        answers.push((answer, answering));
    }
    let mut sides = vec![];
    for (answer, _) in &answers {
        let side = offer.fork().unwrap();
        assert_eq!(side.local_parameters().ufrag, offer.local_parameters().ufrag);
        signal(answer, &side).await;
        sides.push(side);
    }
    // The first was a template only.
    offer.close();
    soon(offer.closed()).await;
    for (side, (answer, _)) in sides.iter().zip(&answers) {
        let (to, from) = (soon(side.connected()).await.unwrap(), soon(answer.connected()).await.unwrap());
        carry(&to, &from, b"hello").await;
        carry(&from, &to, b"hello back").await;
    }
    for side in &sides {
        side.close();
    }
    for side in &sides {
        soon(side.closed()).await;
    }
    assert_eq!(offering.stats().sockets, 0, "the last has closed them");
}

#[tokio::test]
async fn p36_components_added_to_forks_on_a_shared_port_have_ports_of_their_own() {
    let endpoint = Endpoint::shared((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let port = endpoint.shared_addresses()[0].port();
    let agent = endpoint.agent(Config::controlling().loopback()).unwrap();
    soon(agent.gathered()).await;
    let fork = agent.fork().unwrap();
    let ports = async |agent: &Agent| -> Vec<_> {
        soon(agent.gathered()).await.iter().map(|one| one.line.candidate().unwrap().address.port()).collect()
    };
    // What the offer has told the fork does not tell again.
    assert_eq!(ports(&fork).await, []);
    for (agent, told) in [(&fork, vec![]), (&agent, vec![port])] {
        agent.add_component(StreamId(1), ComponentId::RTP).unwrap();
        let ports = ports(agent).await;
        assert_eq!((&ports[..told.len()], ports.len()), (&told[..], told.len() + 1), "one more");
        assert_ne!(ports.last(), Some(&port), "a port of its own");
    }
}

#[tokio::test]
async fn ice_10_a_full_agent_connects_to_a_lite_one_and_controls() {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let lite = one.agent(Config::controlling().loopback().lite()).unwrap();
    let full = two.agent(Config::controlled().loopback()).unwrap();
    assert!(lite.local_parameters().lite);
    let (from_lite, from_full) = connect(&lite, &full).await;
    completed(&full).await;
    completed(&lite).await;
    assert_eq!((full.role(), lite.role()), (Some(Role::Controlling), Some(Role::Controlled)));
    carry(&from_lite, &from_full, b"hello").await;
    carry(&from_full, &from_lite, b"hello").await;
}

/// Loopback has an address of each family, so that there are two pairs for each component and nobody checks them.
#[tokio::test]
async fn ice_10_two_lite_agents_agree_on_a_pair_for_each_component() {
    let (one, two) = (Endpoint::new().await.unwrap(), Endpoint::new().await.unwrap());
    let parts = [ComponentId::RTP, ComponentId::RTCP];
    let lite = |config: Config| config.loopback().lite().streams(vec![(STREAM, parts.to_vec())]);
    let a = one.agent(lite(Config::controlling())).unwrap();
    let b = two.agent(lite(Config::controlled())).unwrap();
    connect(&a, &b).await;
    if a.pairs().iter().filter(|pair| pair.component == ComponentId::RTP).count() < 2 {
        println!("skipped: loopback has no IPv6 address");
        return;
    }
    for part in parts {
        assert!(a.is_provisional(STREAM, part) && b.is_provisional(STREAM, part));
        assert_eq!((a.state(), b.state()), (State::Connected, State::Connected));
        let chosen = a.selected(STREAM, part).unwrap();
        let (near, far) = (chosen.local.address, chosen.remote);
        assert_eq!(b.reconcile(STREAM, part, far, far), Ok(false), "there is no such pair");
        // As the updated lists would say it: the answerer first.
        assert_eq!(b.reconcile(STREAM, part, far, near), Ok(true));
        assert_eq!(a.reconcile(STREAM, part, near, far), Ok(true));
        assert!(!a.is_provisional(STREAM, part) && !b.is_provisional(STREAM, part));
        let (to_b, to_a) = (a.connection_of(STREAM, part).unwrap(), b.connection_of(STREAM, part).unwrap());
        carry(&to_b, &to_a, b"to").await;
        carry(&to_a, &to_b, b"fro").await;
    }
    completed(&a).await;
    completed(&b).await;
    let pair = a.selected(STREAM, ComponentId::RTP).unwrap();
    a.close();
    assert_eq!(
        a.reconcile(STREAM, ComponentId::RTP, pair.local.address, pair.remote),
        Err(ApiError::Closed),
        "while it closes as well"
    );
}
