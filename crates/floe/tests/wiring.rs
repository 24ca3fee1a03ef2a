//! Every setting and command of the handles reaches the core: each is seen by what it does.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    time::Duration,
};

use floe::{
    Added, Agent, ApiError, Config, Demultiplexing, Endpoint, Event, Ignored, Interface, InterfaceFlags,
    ListInterfaces, MoveReason, NominateError, PairId, PairPolicy, RemoteRule, Renomination, State,
    check::{AddressPrefix, KEPT_LIMIT},
    pair::{CandidateLine, ComponentId, IceOptions, Pwd, StreamId, Ufrag},
};

#[cfg(test)]
mod support;
use hosts::{Host, agent, many_paths, moved, offered, policy_moved, renominating, slow_endpoint, until};
use support::{carry, connect, pair, signal, soon};

const STREAM: StreamId = StreamId(0);
const RTP: ComponentId = ComponentId::RTP;

#[cfg(test)]
mod hosts {
    use super::*;

    /// A host with addresses 127.0.0.1 and so on, up to the number; the first of them may be gone or have flags by now.
    #[derive(Clone)]
    pub(crate) struct Host(pub(crate) Arc<AtomicU8>, Arc<Mutex<Option<InterfaceFlags>>>);

    impl Host {
        pub(crate) fn new(addresses: u8) -> Self {
            let good = Some(InterfaceFlags::NONE);
            Self(Arc::new(AtomicU8::new(addresses)), Arc::new(Mutex::new(good)))
        }

        /// It has another address, and this has become of the first.
        pub(crate) fn change(&self, addresses: u8, first: Option<InterfaceFlags>) {
            *self.1.lock().unwrap() = first;
            self.0.store(addresses, Ordering::SeqCst);
        }

        pub(crate) async fn endpoint(&self) -> Endpoint {
            Endpoint::builder().interfaces(self.clone()).build().await.unwrap()
        }
    }

    impl ListInterfaces for Host {
        fn list(&self) -> io::Result<Vec<Interface>> {
            let count = self.0.load(Ordering::SeqCst);
            if count == 0 {
                return Err(io::Error::other("nobody knows"));
            }
            let interface = |last: u8| Interface {
                name: format!("test{last}").into(),
                index: last.into(),
                ip: IpAddr::from([127, 0, 0, last]),
                prefix_len: 32,
                flags: InterfaceFlags::UP | InterfaceFlags::LOOPBACK,
            };
            let mut list: Vec<_> = (1..=count).map(interface).collect();
            match *self.1.lock().unwrap() {
                Some(flags) => list[0].flags = list[0].flags.union(flags),
                None => drop(list.remove(0)),
            }
            Ok(list)
        }
    }

    /// A host that is slow to tell what it has seen: each time not before it may, or the gate is gone.
    pub(crate) struct Slow {
        pub(crate) host: Host,
        pub(crate) entered: Mutex<mpsc::Sender<()>>,
        pub(crate) open: Mutex<mpsc::Receiver<()>>,
    }

    impl ListInterfaces for Slow {
        fn list(&self) -> io::Result<Vec<Interface>> {
            let list = self.host.list();
            self.entered.lock().unwrap().send(()).unwrap();
            // An error where the other end is gone, or a test has failed.
            let _ = self.open.lock().unwrap().recv_timeout(Duration::from_secs(20));
            list
        }
    }

    /// Two agents on hosts with so many addresses, not connected yet.
    pub(crate) async fn many_paths(addresses: u8, config: impl Fn(Config) -> Config) -> (Agent, Agent) {
        let agent = async |role: Config| {
            Host::new(addresses).endpoint().await.agent(config(role.loopback())).unwrap()
        };
        (agent(Config::controlling()).await, agent(Config::controlled()).await)
    }

    /// The last numbers of the addresses that an agent's offer has.
    pub(crate) async fn offered(agent: &Agent) -> Vec<u8> {
        let last = |ip| if let IpAddr::V4(ip) = ip { ip.octets()[3] } else { 0 };
        let offer = soon(agent.gathered()).await;
        offer.iter().map(|one| last(one.line.candidate().unwrap().address.ip())).collect()
    }

    /// An endpoint on a host that is slow to list, with two agents that have their candidates; what tells of each listing
    /// that was begun, and what lets one end.
    pub(crate) async fn slow_endpoint(
        host: &Host,
    ) -> (Endpoint, [Agent; 2], mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((entered, entries), (gate, open)) = (mpsc::channel(), mpsc::channel());
        let slow = Slow { host: host.clone(), entered: entered.into(), open: open.into() };
        gate.send(()).unwrap();
        let endpoint = soon(Endpoint::builder().interfaces(slow).build()).await.unwrap();
        let agents = [(); 2].map(|()| endpoint.agent(Config::controlling().loopback()).unwrap());
        for agent in &agents {
            soon(agent.gathered()).await;
        }
        assert_eq!(entries.try_iter().count(), 1, "the endpoint looks once for all agents");
        (endpoint, agents, entries, gate)
    }

    pub(crate) async fn agent(config: Config) -> Agent {
        Host::new(1).endpoint().await.agent(config.loopback()).unwrap()
    }

    /// Waits for what no event may tell of.
    pub(crate) async fn until(wanted: impl Fn() -> bool) {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        soon(async {
            while !wanted() {
                ticks.tick().await;
            }
        })
        .await;
    }

    pub(crate) async fn moved(agent: &Agent, to: impl Fn(PairId) -> bool) {
        let arrived = || agent.selected(STREAM, RTP).is_some_and(|pair| to(pair.id));
        until(arrived).await;
    }

    /// Two agents that renominate and have several valid pairs: the selected one, and another.
    pub(crate) async fn renominating() -> (Agent, Agent, PairId, PairId) {
        let (a, b) = many_paths(2, |config| config.renomination(true)).await;
        connect(&a, &b).await;
        until(|| a.state() == State::Completed && b.state() == State::Completed).await;
        let first = a.selected(STREAM, RTP).unwrap().id;
        let other = || a.pairs().into_iter().find(|pair| pair.valid && !pair.selected && pair.listed);
        until(|| other().is_some()).await;
        let other = other().unwrap().id;
        (a, b, first, other)
    }

    pub(crate) async fn policy_moved(agent: &Agent) {
        while !matches!(soon(agent.event()).await.unwrap(), Event::Moved { reason: MoveReason::Policy, .. }) {
        }
    }
}

#[tokio::test]
async fn options_are_told_to_the_peer() {
    let trickle = IceOptions::TRICKLE;
    let options = async |config: Config| agent(config).await.local_parameters().options;
    let usual = options(Config::controlling()).await;
    assert!(usual.has(trickle) && !usual.has(IceOptions::RENOMINATION2));
    assert!(!options(Config::controlling().trickle(false)).await.has(trickle));
    assert!(options(Config::controlling().trickle(true)).await.has(trickle));
    let renominates = options(Config::controlling().trickle(false).renomination(true)).await;
    assert!(renominates.has(IceOptions::RENOMINATION2) && !renominates.has(trickle));
}

#[tokio::test]
async fn renomination_is_in_force_where_both_want_it() {
    for (ours, theirs, expected) in [
        (true, true, Renomination::Renomination2),
        (true, false, Renomination::Off),
        (false, true, Renomination::Off),
    ] {
        let a = agent(Config::controlling().renomination(ours)).await;
        let b = agent(Config::controlled().renomination(theirs)).await;
        assert_eq!(a.renomination(), Renomination::Off, "not agreed yet");
        connect(&a, &b).await;
        assert_eq!((a.renomination(), b.renomination()), (expected, expected));
        a.restart().unwrap();
        assert_eq!(a.renomination(), expected, "the peer has not answered");
    }
}

#[tokio::test]
async fn the_proposal_for_the_pace_is_told_to_the_peer() {
    let ta = Duration::from_millis(35);
    assert_eq!(agent(Config::controlling().pacing(ta)).await.local_parameters().pacing, Some(ta));
    assert_eq!(agent(Config::controlling()).await.local_parameters().pacing, Some(Duration::from_millis(5)));
}

#[tokio::test]
async fn what_the_policy_denies_is_ignored() {
    let deny = RemoteRule::deny(AddressPrefix::new(Ipv4Addr::new(192, 0, 2, 0).into(), 24));
    let policy = PairPolicy { remotes: vec![deny], ..PairPolicy::default() };
    let a = agent(Config::controlling().policy(policy)).await;
    let add = |ip: &str| {
        let line =
            format!("candidate:1 1 udp 2130706431 {ip} 9000 typ host").parse::<CandidateLine>().unwrap();
        a.add_remote_candidate(&line).unwrap()
    };
    assert_eq!(add("192.0.2.1"), Added::Ignored(Ignored::Denied));
    assert_eq!(add("192.0.3.1"), Added::Added);
}

#[tokio::test]
async fn relay_only_agents_tell_no_host_candidate() {
    assert!(!soon(agent(Config::controlling()).await.gathered()).await.is_empty());
    assert!(soon(agent(Config::controlling().relay_only()).await.gathered()).await.is_empty());
}

#[tokio::test]
async fn credentials_are_those_that_were_given() {
    let (ufrag, pwd): (Ufrag, Pwd) = ("mine1234".parse().unwrap(), "0123456789abcdefghijkl".parse().unwrap());
    let local = agent(Config::controlling().credentials(ufrag.clone(), pwd.clone())).await.local_parameters();
    assert_eq!((local.ufrag, local.pwd.expose()), (ufrag, pwd.expose()));
}

#[tokio::test]
async fn only_a_full_report_lists_pairs() {
    for (full, is_listed) in [(false, false), (true, true)] {
        let config = Config::controlling();
        let a = agent(if full { config.full_report() } else { config }).await;
        connect(&a, &agent(Config::controlled()).await).await;
        assert_eq!(!a.report().unwrap().pair_list.is_empty(), is_listed);
    }
}

#[tokio::test]
async fn the_setting_says_which_datagrams_are_data() {
    let a = agent(Config::controlling()).await;
    let b = agent(Config::controlled().demultiplexing(Demultiplexing::Rfc7983)).await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_a, &to_b, &[5; 20]).await;
    // RFC 7983 §7: nobody's, and DTLS.
    to_b.send(&[5; 20]).await.unwrap();
    carry(&to_b, &to_a, &[22; 20]).await;
}

#[tokio::test]
async fn the_best_ranked_pair_is_moved_to() {
    let (a, _b, first, other) = renominating().await;
    a.rank(first, -10).unwrap();
    policy_moved(&a).await;
    moved(&a, |to| to != first).await;
    a.rank(first, 10).unwrap();
    moved(&a, |to| to == first).await;
    a.rank(other, 20).unwrap();
    moved(&a, |to| to == other).await;
    assert_eq!(a.rank(PairId(u32::MAX), 1), Err(ApiError::NoSuchPair(PairId(u32::MAX))));
}

#[tokio::test]
async fn a_vetoed_pair_is_left_and_not_nominated() {
    let (a, _b, first, _) = renominating().await;
    a.veto(first, true).unwrap();
    policy_moved(&a).await;
    moved(&a, |to| to != first).await;
    assert_eq!(a.nominate(first), Err(ApiError::Nominate(NominateError::NotValid)));
    a.veto(first, false).unwrap();
    until(|| !matches!(a.nominate(first), Err(ApiError::Nominate(NominateError::UnderWay)))).await;
    moved(&a, |to| to == first).await;
}

#[tokio::test]
async fn a_pinned_pair_is_stayed_on_whatever_the_ranks() {
    let (a, _b, first, other) = renominating().await;
    a.rank(first, 10).unwrap();
    a.pin(other, true).unwrap();
    policy_moved(&a).await;
    moved(&a, |to| to == other).await;
    a.pin(other, false).unwrap();
    moved(&a, |to| to == first).await;
}

#[tokio::test]
async fn a_pair_is_nominated_by_command() {
    let (a, b, _, other) = renominating().await;
    a.nominate(other).unwrap();
    policy_moved(&a).await;
    moved(&a, |to| to == other).await;
    let controlled = b.pairs().first().unwrap().id;
    assert_eq!(b.nominate(controlled), Err(ApiError::Nominate(NominateError::NotControlling)));
}

#[tokio::test]
async fn pairs_are_kept_up_to_a_limit_and_let_go() {
    let (a, b) = many_paths(3, |config| config).await;
    let candidates = soon(b.gathered()).await;
    soon(a.gathered()).await;
    a.set_remote_parameters(b.local_parameters()).unwrap();
    for one in candidates {
        assert_eq!(a.add_remote_candidate(&one.line), Ok(Added::Added));
    }
    until(|| a.pairs().len() > KEPT_LIMIT).await;
    let ids: Vec<_> = a.pairs().iter().map(|pair| pair.id).take(KEPT_LIMIT + 1).collect();
    let (last, kept) = ids.split_last().unwrap();
    for id in kept {
        a.keep(*id, true).unwrap();
    }
    assert_eq!(a.keep(*last, true), Err(ApiError::TooManyKept(*last)));
    a.keep(kept[0], false).unwrap();
    a.keep(*last, true).unwrap();
}

#[tokio::test]
async fn the_end_of_candidates_is_for_the_stream_and_the_generation_it_names() {
    let other = StreamId(3);
    let config = Config::controlling().streams(vec![(STREAM, vec![RTP]), (other, vec![RTP])]);
    let (a, b) = (agent(config).await, agent(Config::controlled()).await);
    let line = |port: u16| -> CandidateLine {
        format!("candidate:1 1 udp 2130706431 192.0.2.1 {port} typ host").parse().unwrap()
    };
    let (theirs, unknown) = (b.local_parameters(), "unknown1".parse::<Ufrag>().unwrap());
    a.set_remote_parameters(theirs.clone()).unwrap();
    assert_eq!(a.remote_parameters().unwrap().ufrag, theirs.ufrag);
    assert_eq!(a.remote_stream_complete(other, Some(&unknown)), Ok(Added::Held));
    assert_eq!(a.remote_gathering_complete_of(Some(&unknown)), Ok(Added::Held));
    assert_eq!(a.add_remote_candidate_to(other, &line(1000)), Ok(Added::Added));
    assert_eq!(a.remote_stream_complete(other, Some(&theirs.ufrag)), Ok(Added::Added));
    assert_eq!(a.add_remote_candidate_to(other, &line(1001)), Ok(Added::Ignored(Ignored::Ended)));
    assert_eq!(a.add_remote_candidate(&line(1001)), Ok(Added::Added), "the first stream goes on");
    assert_eq!(a.remote_gathering_complete_of(Some(&theirs.ufrag)), Ok(Added::Added));
    assert_eq!(a.add_remote_candidate(&line(1002)), Ok(Added::Ignored(Ignored::Ended)));
    let none = StreamId(9);
    assert_eq!(a.remote_stream_complete(none, None), Err(ApiError::NoSuchStream(none)));
    assert_eq!(a.usage().unwrap().remotes, 2);
    assert_eq!(a.components(), [(STREAM, RTP), (other, RTP)]);
}

#[tokio::test]
async fn a_restart_may_have_credentials_of_the_application() {
    let endpoint = Host::new(1).endpoint().await;
    let a = endpoint.agent(Config::controlling().loopback()).unwrap();
    let third = endpoint.agent(Config::controlled().loopback()).unwrap();
    let b = agent(Config::controlled()).await;
    connect(&a, &b).await;
    assert!(!a.is_restarting());
    let pwd: Pwd = "0123456789abcdefghijkl".parse().unwrap();
    let ufrag: Ufrag = "mine1234".parse().unwrap();
    let taken = third.local_parameters().ufrag;
    assert_eq!(a.restart_with(taken, pwd.clone()).unwrap_err(), ApiError::UfragInUse);
    let local = a.restart_with(ufrag.clone(), pwd.clone()).unwrap();
    assert_eq!((&local.ufrag, local.pwd.expose()), (&ufrag, pwd.expose()));
    assert!(a.is_restarting());
    assert!(a.remote_parameters().is_none(), "of the new generation");
    let twice = endpoint.agent(Config::controlled().credentials(ufrag, pwd));
    assert!(matches!(twice, Err(floe::AgentError::UfragInUse)));
    tokio::join!(signal(&a, &b), signal(&b, &a));
    assert!(!a.is_restarting());
    soon(a.connected()).await.unwrap();
    let (to_b, to_a) = (a.connection(), b.connection());
    carry(&to_b, &to_a, b"hello").await;
    assert!(matches!(
        a.restart_with("mine1234".parse().unwrap(), a.local_parameters().pwd),
        Err(ApiError::SameCredentials)
    ));
}

#[tokio::test]
async fn p17_a_new_address_is_used_as_soon_as_the_interfaces_are_listed_again() {
    let host = Host::new(1);
    let endpoint = host.endpoint().await;
    let a = endpoint.agent(Config::controlling().loopback().renomination(true)).unwrap();
    let b = agent(Config::controlled().renomination(true)).await;
    let (to_b, to_a) = connect(&a, &b).await;
    until(|| a.state() == State::Completed && b.state() == State::Completed).await;
    let new = IpAddr::from([127, 0, 0, 2]);
    host.0.store(2, Ordering::SeqCst);
    soon(endpoint.refresh_interfaces()).await.unwrap();
    until(|| a.pairs().iter().any(|pair| pair.valid && pair.local.address.ip() == new)).await;
    carry(&to_b, &to_a, b"hello").await;
    // Where nothing can be said of them, agents keep those they know.
    host.0.store(0, Ordering::SeqCst);
    assert_eq!(soon(endpoint.refresh_interfaces()).await.unwrap_err().to_string(), "nobody knows");
    carry(&to_a, &to_b, b"hello").await;
    assert!(a.pairs().iter().any(|pair| pair.valid && pair.local.address.ip() == new));
}

#[tokio::test]
async fn an_address_that_is_gone_is_used_no_more() {
    let host = Host::new(2);
    let endpoint = host.endpoint().await;
    let a = endpoint.agent(Config::controlling().loopback()).unwrap();
    let sockets = || endpoint.stats().sockets;
    assert_eq!(soon(a.gathered()).await.len(), 2);
    assert_eq!(sockets(), 2);
    host.0.store(1, Ordering::SeqCst);
    soon(endpoint.refresh_interfaces()).await.unwrap();
    until(|| sockets() == 1).await;
    let (_, b) = pair().await;
    let (to_b, to_a) = connect(&a, &b).await;
    carry(&to_b, &to_a, b"hello").await;
}

/// A host that changes its network tells so in steps, and the application restarts at each.
#[tokio::test]
async fn p17_a_restart_lists_the_interfaces_however_fresh_the_list_is() {
    let host = Host::new(1);
    let endpoint = host.endpoint().await;
    let a = endpoint.agent(Config::controlling().loopback()).unwrap();
    assert_eq!(soon(a.gathered()).await.len(), 1);
    for addresses in 2..4 {
        host.0.store(addresses, Ordering::SeqCst);
        a.restart().unwrap();
        until(|| endpoint.stats().sockets == addresses.into()).await;
    }
    host.0.store(4, Ordering::SeqCst);
    let (ufrag, pwd) = ("mine1234".parse().unwrap(), "0123456789abcdefghijkl".parse().unwrap());
    let b = endpoint.agent(Config::controlled().loopback()).unwrap();
    soon(b.gathered()).await;
    b.restart_with(ufrag, pwd).unwrap();
    until(|| endpoint.stats().sockets == 8).await;
}

/// RFC 8445 §9, RFC 8838 §13: a new generation is complete when the addresses there are by then are in it. What is listed
/// at the restart already may be older.
#[tokio::test]
async fn p17_a_restart_is_complete_once_the_interfaces_are_listed_again_and_so_is_one_that_follows() {
    // Nothing but the end of gathering is waited for.
    let patient = |mut config: Config| {
        config.gathering_mut().deadline = Duration::from_secs(1_000);
        config.gathering_mut().patience = Duration::from_secs(1_000);
        config.loopback()
    };
    let (host_a, host_b) = (Host::new(1), Host::new(1));
    let (on_a, on_b) = (host_a.endpoint().await, host_b.endpoint().await);
    let (a, b) = (on_a.agent(patient(Config::controlling())), on_b.agent(patient(Config::controlled())));
    let (a, b) = (a.unwrap(), b.unwrap());
    connect(&a, &b).await;
    for addresses in 2..4 {
        host_a.0.store(addresses, Ordering::SeqCst);
        host_b.0.store(addresses, Ordering::SeqCst);
        b.set_remote_parameters(a.restart().unwrap()).unwrap();
        assert_eq!(soon(a.gathered()).await.len(), addresses.into());
        assert_eq!(soon(b.gathered()).await.len(), addresses.into());
        a.set_remote_parameters(b.local_parameters()).unwrap();
    }
    // Where they cannot be listed those of before count.
    host_a.0.store(0, Ordering::SeqCst);
    a.restart().unwrap();
    assert_eq!(soon(a.gathered()).await.len(), 3);
    host_a.0.store(4, Ordering::SeqCst);
    a.rollback().unwrap();
    a.restart_with("mine1234".parse().unwrap(), "0123456789abcdefghijkl".parse().unwrap()).unwrap();
    assert_eq!(soon(a.gathered()).await.len(), 4);
}

/// RFC 8445 §9, §5.1.1.1: an offer has the addresses there are when it is made, and of those the ones to use by then.
#[tokio::test]
async fn p17_a_restart_tells_no_address_that_is_gone_or_deprecated_by_then() {
    for first in [None, Some(InterfaceFlags::DEPRECATED)] {
        let host = Host::new(1);
        let endpoint = host.endpoint().await;
        let a = endpoint.agent(Config::controlling().loopback()).unwrap();
        let b = agent(Config::controlled()).await;
        let (to_b, to_a) = connect(&a, &b).await;
        assert_eq!(offered(&a).await, [1]);
        host.change(2, first);
        a.restart().unwrap();
        assert_eq!(offered(&a).await, [2], "{first:?}");
        if first.is_some() {
            // The session that goes on has what it had, also where the restart is taken back.
            carry(&to_b, &to_a, b"hello").await;
            a.rollback().unwrap();
            assert_eq!((offered(&a).await, endpoint.stats().sockets), (vec![1], 2));
            carry(&to_a, &to_b, b"hello").await;
            let fork = a.fork().unwrap();
            until(|| fork.report().unwrap().local.host == 2).await;
            assert_eq!(endpoint.stats().sockets, 2, "it shares both");
            a.restart().unwrap();
            assert_eq!(offered(&a).await, [2]);
        }
        tokio::join!(signal(&a, &b), signal(&b, &a));
        let new = IpAddr::from([127, 0, 0, 2]);
        until(|| a.selected(STREAM, RTP).is_some_and(|pair| pair.local.address.ip() == new)).await;
        carry(&to_b, &to_a, b"hello").await;
    }
}

/// RFC 8838 §13: the end of candidates is told after those of the newer list, and only once.
#[tokio::test]
async fn p17_an_older_list_that_differs_completes_no_restart() {
    let host = Host::new(1);
    let (_endpoint, [a, c], entries, gate) = slow_endpoint(&host).await;
    host.change(2, None);
    c.restart().unwrap();
    until(|| entries.try_recv().is_ok()).await;
    a.restart().unwrap();
    // The list that is under way has the second address, and the one for this restart the third.
    host.change(3, None);
    gate.send(()).unwrap();
    assert_eq!(offered(&c).await, [2]);
    assert_eq!(a.report().unwrap().local.host, 1, "it waits for the newer one");
    drop(gate);
    assert_eq!(offered(&a).await, [2, 3]);
}

/// A monitor that tells of each step of a change, faster than the addresses can be listed.
#[tokio::test]
async fn p17_restarts_in_a_burst_wait_for_the_first_list_that_is_newer() {
    let host = Host::new(1);
    let (_endpoint, [a, _], entries, gate) = slow_endpoint(&host).await;
    host.change(2, None);
    for _ in 0..9 {
        a.restart().unwrap();
    }
    until(|| entries.try_recv().is_ok()).await;
    a.restart().unwrap();
    gate.send(()).unwrap();
    assert_eq!(offered(&a).await, [2], "while they are listed once more");
    until(|| entries.try_recv().is_ok()).await;
    drop(gate);
}

#[tokio::test]
async fn p17_interfaces_that_are_being_listed_at_a_restart_are_listed_once_more() {
    let host = Host::new(1);
    let (endpoint, [a, c], entries, gate) = slow_endpoint(&host).await;
    c.close();
    soon(c.closed()).await;
    a.restart().unwrap();
    until(|| entries.try_recv().is_ok()).await;
    // The list that is on its way knows of one address.
    host.0.store(2, Ordering::SeqCst);
    a.restart().unwrap();
    a.restart().unwrap();
    a.rollback().unwrap();
    a.restart().unwrap();
    drop(gate);
    assert_eq!(soon(a.gathered()).await.len(), 2, "the older list does not count");
    assert_eq!(endpoint.stats().sockets, 2);
    assert_eq!(entries.try_iter().count(), 1, "once more for both");
}
