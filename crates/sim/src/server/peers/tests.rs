//! Tests of the peer deny list.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[track_caller]
fn denied(policy: &PeerPolicy, texts: &[&str]) {
    for text in texts {
        assert!(!policy.permits(ip(text)), "{text} must be denied");
    }
}

#[track_caller]
fn allowed(policy: &PeerPolicy, texts: &[&str]) {
    for text in texts {
        assert!(policy.permits(ip(text)), "{text} must be allowed");
    }
}

/// One address inside each IPv4 range nobody on the internet can be reached at.
const SPECIAL_V4: [&str; 20] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
];

#[test]
fn s17_special_purpose_ranges_are_denied_by_default() {
    denied(&PeerPolicy::default(), &SPECIAL_V4);
    denied(
        &PeerPolicy::default(),
        &[
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ],
    );
    allowed(&PeerPolicy::default(), &["8.8.8.8", "172.15.255.255", "172.32.0.1", "223.255.255.255"]);
    allowed(&PeerPolicy::default(), &["2a00:1450::1", "2606:4700:4700::1111", "2001:4860:4860::8888"]);
}

#[test]
fn s17_every_spelling_of_an_ipv4_address_is_judged_as_that_address() {
    // Even somebody who opens every IPv6 range does not open what hides behind it.
    let open = PeerPolicy { allow: vec![Prefix::new(ip("::"), 0).unwrap()], ..PeerPolicy::default() };
    allowed(&open, &["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "fe80::1"]);
    for text in SPECIAL_V4 {
        let IpAddr::V4(v4) = ip(text) else { continue };
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let spellings = [
            format!("::ffff:{text}"),
            format!("::{text}"),
            format!("::ffff:0:{text}"),
            format!("64:ff9b::{text}"),
            format!("64:ff9b:1:808:808::{text}"),
            format!("64:ff9b:1:{high:x}:{c:x}:{d:x}00:808:808"),
            format!("2002:{high:x}:{low:x}::1"),
            format!("2001:0:{high:x}:{low:x}::f7f7:f7f7"),
            format!("2001:0:808:808:0:0:{:x}:{:x}", !high, !low),
            format!("2a00:1450::5efe:{text}"),
            format!("2a00:1450::200:5efe:{text}"),
        ];
        for spelling in spellings {
            denied(&open, &[&spelling]);
        }
    }
}

#[test]
fn s17_allowing_loopback_opens_loopback_and_nothing_else() {
    let policy = PeerPolicy { allow_loopback: true, ..PeerPolicy::default() };
    allowed(&policy, &["127.0.0.1", "127.1.2.3", "::1"]);
    denied(&policy, &["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"]);
    denied(&policy, &["0.0.0.0", "::", "10.0.0.1", "::2"]);
}

#[test]
fn the_ranges_denied_win_over_the_ranges_allowed() {
    let prefix = |text: &str, bits| Prefix::new(ip(text), bits).unwrap();
    let policy = PeerPolicy {
        allow_loopback: true,
        allow: vec![prefix("192.0.2.0", 24)],
        deny: vec![prefix("192.0.2.128", 25), prefix("8.0.0.0", 8), prefix("::1", 128)],
    };
    allowed(&policy, &["192.0.2.1", "9.9.9.9", "127.0.0.1"]);
    denied(&policy, &["192.0.2.129", "8.8.8.8", "::1", "198.51.100.1"]);
}

#[test]
fn a_prefix_is_never_longer_than_its_family() {
    assert_eq!(Prefix::new(ip("10.0.0.0"), 33), None);
    assert_eq!(Prefix::new(ip("fe80::"), 129), None);
    let all = Prefix::new(ip("0.0.0.0"), 0).unwrap();
    assert!(all.contains(ip("255.1.2.3")) && !all.contains(ip("::1")), "families do not match each other");
    let one = Prefix::new(ip("10.0.0.1"), 32).unwrap();
    assert!(one.contains(ip("10.0.0.1")) && !one.contains(ip("10.0.0.0")));
}
