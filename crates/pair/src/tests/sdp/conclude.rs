use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::super::{address, line};
use super::{HOST, REFLEXIVE, RTCP, RTP, SECTION, lite, parameters, sdp, section};
use crate::sdp::{
    Announced, Conclusion, Description, IceUse, Media, NeededOffer, Race, Selected, Session, Standing,
    announced, conclusion, needed_offer, race,
};
use crate::{ComponentId, Role};

const LOCAL_RTP: &str = "candidate:2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.0.1 rport 8998";
const LOCAL_RTCP: &str = "candidate:2 2 udp 1694498814 192.0.2.3 45711 typ srflx raddr 10.0.0.1 rport 8999";

fn selected(local: &str, remote: &str) -> Selected {
    Selected { local: line(local), remote: address(remote) }
}

fn both() -> Vec<Selected> {
    // Not in the order of the components.
    Vec::from([selected(LOCAL_RTCP, "198.51.100.1:3479"), selected(LOCAL_RTP, "198.51.100.1:3478")])
}

fn ours() -> Media {
    section(&format!(
        "m=audio 50000 RTP/AVP 0\r\nc=IN IP4 192.0.2.15\r\na=mid:1\r\n{HOST}{REFLEXIVE}a={LOCAL_RTCP}\r\n"
    ))
}

#[test]
fn rfc8839_4_4_1_2_2_after_nomination_the_selected_candidates_and_no_others() {
    let expected = format!(
        "m=audio 45664 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\na=rtcp:45711\r\na=mid:1\r\na={LOCAL_RTP}\r\na={LOCAL_RTCP}\r\n"
    );
    let remote = "a=remote-candidates:1 198.51.100.1 3478 2 198.51.100.1 3479\r\n";
    assert_eq!(ours().concluded(Role::Controlling, &both()).to_string(), format!("{expected}{remote}"));
    assert_eq!(ours().concluded(Role::Controlled, &both()).to_string(), expected, "only who controls");
}

#[test]
fn rfc8839_5_2_remote_candidates_in_no_other_case() {
    let before =
        Media { remote_candidates: ours().concluded(Role::Controlling, &both()).remote_candidates, ..ours() };
    assert!(before.remote_candidates.is_some());
    assert_eq!(before.clone().concluded(Role::Controlled, &both()).remote_candidates, None);
    assert_eq!(
        before.clone().concluded(Role::Controlling, &[]).remote_candidates,
        None,
        "nothing is concluded"
    );
    assert_eq!(before.answering(&[], &[]).expect("no pair is missing").remote_candidates, None);
    let restarted = ours().with_candidates([line(LOCAL_RTP)]);
    assert_eq!(restarted.remote_candidates, None);
}

/// The description of a lite agent, as its peer reads it.
fn told_by_lite(section: &Media) -> Description {
    let told = sdp(&format!("{}{section}", Session::new(&lite("ice2"))));
    assert!(told.parameters(0).is_some_and(|parameters| parameters.lite));
    assert_eq!(told.ice_use(0), Some(IceUse::Usable), "each default destination is a candidate");
    told
}

#[test]
fn rfc8839_4_4_1_3_a_lite_agent_tells_all_while_it_runs_and_its_choice_when_it_has_completed() {
    let hosts = [
        "candidate:1 1 udp 2130706431 192.0.2.3 45664 typ host",
        "candidate:1 2 udp 2130706430 192.0.2.3 45711 typ host",
        "candidate:2 1 udp 2130706175 2001:db8::3 45664 typ host",
        "candidate:2 2 udp 2130706174 2001:db8::3 45711 typ host",
    ]
    .map(line);
    let empty = section("m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n");
    let running = empty.with_candidates(hosts.clone());
    assert_eq!(told_by_lite(&running).media[0].candidates, hosts);
    // A later offer while ICE is Running: nothing that was told is left out.
    let again = told_by_lite(&running.clone().with_more_candidates(&hosts));
    assert_eq!(again.media[0].to_string(), running.to_string());
    // Who controls another lite agent says which of its candidates it has chosen, and who is controlled does not.
    let chosen = [
        selected("candidate:2 1 udp 2130706175 2001:db8::3 45664 typ host", "[2001:db8::9]:3478"),
        selected("candidate:2 2 udp 2130706174 2001:db8::3 45711 typ host", "[2001:db8::9]:3479"),
    ];
    let told = told_by_lite(&running.clone().concluded(Role::Controlling, &chosen));
    assert_eq!(told.media[0].candidates, hosts[2..]);
    let theirs = [
        pair(RTP, "[2001:db8::9]:3478", "[2001:db8::3]:45664"),
        pair(RTCP, "[2001:db8::9]:3479", "[2001:db8::3]:45711"),
    ];
    assert_eq!(announced(&told.media[0]).as_deref(), Some(&theirs[..]));
    let told = told_by_lite(&running.concluded(Role::Controlled, &chosen));
    assert_eq!((&told.media[0].candidates[..], announced(&told.media[0])), (&hosts[2..], None));
}

#[test]
fn rfc8839_4_4_1_2_2_one_component_may_be_all() {
    let one = [selected("candidate:1 1 udp 9 2001:db8::1 7 typ host", "[2001:db8::2]:8")];
    let text = ours().concluded(Role::Controlling, &one).to_string();
    let expected = "m=audio 7 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\na=mid:1\r\n\
        a=candidate:1 1 udp 9 2001:db8::1 7 typ host\r\na=remote-candidates:1 2001:db8::2 8\r\n";
    assert_eq!(text, expected);
    let unchanged = ours().concluded(Role::Controlling, &[]).to_string();
    assert_eq!(unchanged, ours().to_string());
}

#[test]
fn rfc8839_4_3_4_when_an_offer_is_needed() {
    use Conclusion::{AsSignalled, Failed, OtherPair};
    let (new, old) = (parameters("ice2"), parameters(""));
    for (sections, by_new, by_old) in [
        (&[][..], NeededOffer::None, NeededOffer::None),
        (&[AsSignalled, AsSignalled], NeededOffer::None, NeededOffer::None),
        (&[AsSignalled, OtherPair], NeededOffer::WithNext, NeededOffer::Now),
        (&[AsSignalled, Failed], NeededOffer::Now, NeededOffer::Now),
        (&[OtherPair, Failed], NeededOffer::Now, NeededOffer::Now),
    ] {
        let needed = |role, peer| needed_offer(role, peer, sections.iter().copied());
        assert_eq!(needed(Role::Controlling, &new), by_new, "{sections:?}");
        assert_eq!(needed(Role::Controlling, &old), by_old, "{sections:?}");
        assert_eq!(needed(Role::Controlled, &old), NeededOffer::None);
    }
}

#[test]
fn rfc8839_4_3_4_the_pair_of_the_default_candidates_needs_no_offer() {
    let theirs = section("m=audio 3478 RTP/AVP 0\r\nc=IN IP4 198.51.100.1\r\n");
    let of_defaults = section(&format!("{SECTION}a=rtcp:45711\r\n{REFLEXIVE}a={LOCAL_RTCP}\r\n"));
    assert_eq!(conclusion(&of_defaults, &theirs, &both()), Conclusion::AsSignalled);
    assert_eq!(conclusion(&ours(), &theirs, &both()), Conclusion::OtherPair, "ours is another");
    let moved = section("m=audio 3478 RTP/AVP 0\r\nc=IN IP4 198.51.100.1\r\na=rtcp:4000\r\n");
    assert_eq!(conclusion(&of_defaults, &moved, &both()), Conclusion::OtherPair, "theirs is another");
    assert_eq!(conclusion(&of_defaults, &theirs, &[]), Conclusion::Failed);
    let narrowed = of_defaults.clone().concluded(Role::Controlled, &both());
    assert_eq!(conclusion(&narrowed, &theirs, &both()), Conclusion::AsSignalled);
}

fn pair(component: crate::ComponentId, local: &str, remote: &str) -> Announced {
    Announced { component, local: address(local), remote: address(remote) }
}

#[test]
fn rfc8839_4_4_2_the_pairs_that_an_offer_announces() {
    let offer = ours().concluded(Role::Controlling, &both());
    let expected = [
        pair(RTP, "198.51.100.1:3478", "192.0.2.3:45664"),
        pair(RTCP, "198.51.100.1:3479", "192.0.2.3:45711"),
    ];
    assert_eq!(announced(&offer).as_deref(), Some(&expected[..]));
    assert_eq!(announced(&ours()), None, "without the attribute");
    let third = section(&format!("{SECTION}a=remote-candidates:3 192.0.2.1 5\r\n"));
    assert_eq!(announced(&third), None, "nothing tells where component 3 is");
    let named = section("m=audio 5 RTP/AVP 0\r\nc=IN IP4 a.example\r\na=remote-candidates:1 192.0.2.1 5\r\n");
    assert_eq!(announced(&named), None, "a name is no address");
}

/// Components above RTCP have no default candidate.
#[test]
fn rfc8839_4_3_4_a_section_of_three_components_is_as_signalled_and_announces_all() {
    const LOCAL_THIRD: &str =
        "candidate:2 3 udp 1694498813 192.0.2.3 45800 typ srflx raddr 10.0.0.1 rport 9000";
    let theirs = section("m=audio 3478 RTP/AVP 0\r\nc=IN IP4 198.51.100.1\r\n");
    let ours = section(&format!("{SECTION}a=rtcp:45711\r\n{REFLEXIVE}a={LOCAL_RTCP}\r\na={LOCAL_THIRD}\r\n"));
    let mut three = both();
    three.push(selected(LOCAL_THIRD, "198.51.100.1:3480"));
    assert_eq!(conclusion(&ours, &theirs, &three), Conclusion::AsSignalled);
    let offer = ours.clone().concluded(Role::Controlling, &three);
    // As the peer reads it.
    let read = section(&offer.to_string());
    let third = ComponentId::new(3).expect("in range");
    let expected = [
        pair(RTP, "198.51.100.1:3478", "192.0.2.3:45664"),
        pair(RTCP, "198.51.100.1:3479", "192.0.2.3:45711"),
        pair(third, "198.51.100.1:3480", "192.0.2.3:45800"),
    ];
    assert_eq!(announced(&read).as_deref(), Some(&expected[..]));
    let several = Media { candidates: [offer.candidates.clone(), offer.candidates].concat(), ..read };
    assert_eq!(announced(&several), None, "nothing tells which candidate is meant");
    // As many as a stream has components, each with a host address, two reflexive ones and a relay.
    let all = (1..=256_u32).flat_map(|component| {
        (1..=4_u32).map(move |number| {
            line(&format!(
                "candidate:{number} {component} udp {number} 192.0.2.{number} {} typ host",
                1_000 + component
            ))
        })
    });
    let full = section(SECTION).with_candidates(all);
    assert_eq!(section(&full.to_string()).candidates.len(), 1_024);
}

#[test]
fn rfc8839_4_4_2_who_wins_the_race() {
    use Standing::{Failed, InProgress, NotBegun, Valid};
    let media = pair(RTP, "198.51.100.1:3478", "192.0.2.3:45664");
    let control = pair(RTCP, "198.51.100.1:3479", "192.0.2.3:45711");
    let relayed = Announced { local: address("198.51.100.9:50000"), ..media };
    let elsewhere = Announced { remote: address("203.0.113.1:7"), ..media };
    for (checklist, expected) in [
        (&[(media, Valid), (control, Valid)][..], Race::Won),
        (&[(media, Valid), (control, InProgress)], Race::Wait),
        (&[(media, InProgress), (control, InProgress)], Race::Wait),
        (&[(media, Valid), (control, Failed)], Race::Lost),
        (&[(media, Failed), (relayed, InProgress), (control, Valid)], Race::Wait),
        (&[(media, Failed), (relayed, NotBegun), (control, Valid)], Race::Lost),
        (&[(media, NotBegun), (control, Valid)], Race::Wait),
        (&[(relayed, Valid), (media, NotBegun), (control, Valid)], Race::Wait),
        // Nothing is left that could become the pair.
        (&[(elsewhere, Failed), (control, Valid)], Race::Lost),
        (&[(elsewhere, InProgress), (control, Valid)], Race::Lost),
        (&[(relayed, Valid), (control, Valid)], Race::Lost),
        (&[], Race::Lost),
    ] {
        assert_eq!(race(&[media, control], checklist), expected, "{checklist:?}");
    }
    assert_eq!(race(&[], &[]), Race::Won);
}

#[test]
fn rfc8839_4_4_2_the_answer_has_what_the_offer_named() {
    let reflexive = "candidate:7 1 udp 9 198.51.100.1 3478 typ prflx raddr 10.0.0.2 rport 3478";
    let host = "candidate:1 2 udp 9 198.51.100.1 3479 typ host";
    // The offerer names what it sees of us: what a NAT of ours made of the first was never told.
    let answerer = section("m=audio 9 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n").with_candidates([
        line("candidate:9 1 udp 1 198.51.100.9 50000 typ relay raddr 198.51.100.1 rport 3478"),
        line("candidate:1 1 udp 9 10.0.0.2 3478 typ host"),
        line(host),
    ]);
    let pairs = announced(&ours().concluded(Role::Controlling, &both())).expect("the attribute");
    let relayed = "candidate:9 1 udp 1 198.51.100.9 50000 typ relay raddr 198.51.100.1 rport 3478";
    let mut valid = Vec::from([
        selected(relayed, "192.0.2.3:45664"),
        selected(reflexive, "203.0.113.1:7"),
        selected(host, "192.0.2.3:45711"),
    ]);
    assert!(answerer.clone().answering(&pairs, &valid).is_none(), "to another candidate of the peer");
    valid.push(selected(reflexive, "192.0.2.3:45664"));
    let expected =
        format!("m=audio 3478 RTP/AVP 0\r\nc=IN IP4 198.51.100.1\r\na={reflexive}\r\na={host}\r\n");
    assert_eq!(answerer.answering(&pairs, &valid).expect("all are valid").to_string(), expected);
}
