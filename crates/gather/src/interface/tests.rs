use super::*;
use alloc::vec;

const UP: InterfaceFlags = InterfaceFlags::UP;
const TEMPORARY: InterfaceFlags = InterfaceFlags::UP.union(InterfaceFlags::TEMPORARY);

fn on(name: &str, index: u32, ip: &str, prefix_len: u8, flags: InterfaceFlags) -> Interface {
    Interface { name: name.into(), index, ip: ip.parse().expect("a literal"), prefix_len, flags }
}

fn eth(ip: &str, flags: InterfaceFlags) -> Interface {
    on("eth0", 2, ip, if ip.contains(':') { 64 } else { 24 }, flags)
}

#[track_caller]
fn expect(rules: InterfaceRules, table: &[(Interface, Option<SkipReason>)]) {
    let interfaces: Vec<_> = table.iter().map(|(interface, _)| interface.clone()).collect();
    let verdicts = judge(&interfaces, rules);
    assert_eq!(verdicts.len(), table.len());
    for ((interface, expected), verdict) in table.iter().zip(verdicts) {
        assert_eq!(verdict, *expected, "{interface:?}");
    }
}

const DEFAULT: InterfaceRules = InterfaceRules { loopback: false, link_local: false };

#[test]
fn ice_01_no_loopback_site_local_or_compatible_address() {
    let lo = UP | InterfaceFlags::LOOPBACK;
    expect(
        DEFAULT,
        &[
            (eth("192.0.2.7", UP), None),
            (on("lo", 1, "127.0.0.1", 8, lo), Some(SkipReason::Loopback)),
            (on("lo", 1, "::1", 128, lo), Some(SkipReason::Loopback)),
            // The flag alone and the address alone are enough.
            (on("lo", 1, "198.51.100.1", 32, lo), Some(SkipReason::Loopback)),
            (eth("127.200.3.4", UP), Some(SkipReason::Loopback)),
            (eth("127.255.255.254", UP), Some(SkipReason::Loopback)),
            (eth("fec0::1", UP), Some(SkipReason::SiteLocal)),
            (eth("feff::1", UP), Some(SkipReason::SiteLocal)),
            (eth("::192.0.2.1", UP), Some(SkipReason::V4Compatible)),
            (eth("::ffff:192.0.2.1", UP), Some(SkipReason::V4Mapped)),
            (eth("0.0.0.0", UP), Some(SkipReason::NotUnicast)),
            (eth("::", UP), Some(SkipReason::NotUnicast)),
            (eth("224.0.0.1", UP), Some(SkipReason::NotUnicast)),
            (eth("255.255.255.255", UP), Some(SkipReason::NotUnicast)),
            (eth("192.0.2.8", InterfaceFlags::NONE), Some(SkipReason::Down)),
        ],
    );
}

#[test]
fn ice_01_loopback_only_after_an_explicit_setting() {
    let lo = UP | InterfaceFlags::LOOPBACK;
    let rules = InterfaceRules { loopback: true, ..DEFAULT };
    expect(
        rules,
        &[
            (on("lo", 1, "127.0.0.1", 8, lo), None),
            (on("lo", 1, "::1", 128, lo), None),
            (eth("fec0::1", UP), Some(SkipReason::SiteLocal)),
            (eth("169.254.1.1", UP), Some(SkipReason::LinkLocal)),
        ],
    );
}

#[test]
fn p30_temporary_before_stable_of_one_interface_and_prefix() {
    expect(
        DEFAULT,
        &[
            (eth("2001:db8:1::aaaa", UP), Some(SkipReason::Traceable)),
            (eth("2001:db8:1::5e1f", TEMPORARY), None),
            (eth("2001:db8:1::0ddd", TEMPORARY), Some(SkipReason::SamePrefix)),
            // A /128 of the same /64, as DHCPv6 gives it.
            (on("eth0", 2, "2001:db8:1::1234", 128, UP), Some(SkipReason::Traceable)),
            // Another prefix, and the same prefix on another interface, are other paths.
            (eth("2001:db8:2::aaaa", UP), None),
            (on("wlan0", 3, "2001:db8:1::bbbb", 64, UP), None),
            (on("wlan0", 3, "2001:db8:1::cccc", 64, UP), Some(SkipReason::SamePrefix)),
            (eth("192.0.2.7", UP), None),
        ],
    );
}

#[test]
fn p30_deprecated_and_tentative_addresses_never() {
    let deprecated = TEMPORARY | InterfaceFlags::DEPRECATED;
    expect(
        InterfaceRules { loopback: true, link_local: true },
        &[
            // A temporary address that may not be used hides nothing: the stable one is taken.
            (eth("2001:db8:1::5e1f", deprecated), Some(SkipReason::Deprecated)),
            (eth("2001:db8:1::aaaa", UP), None),
            (eth("2001:db8:9::1", UP | InterfaceFlags::TENTATIVE), Some(SkipReason::Tentative)),
        ],
    );
}

#[test]
fn p30_link_local_on_request_and_never_beside_a_temporary_address() {
    let rules = InterfaceRules { link_local: true, ..DEFAULT };
    let fe80 = |index| on("eth", index, "fe80::1", 64, UP);
    expect(DEFAULT, &[(fe80(2), Some(SkipReason::LinkLocal))]);
    expect(rules, &[(fe80(2), None), (fe80(3), None), (fe80(2), Some(SkipReason::Duplicate))]);
    expect(
        rules,
        &[
            (fe80(2), Some(SkipReason::LinkLocal)),
            (eth("2001:db8::1", TEMPORARY), None),
            (eth("169.254.7.7", UP), None),
        ],
    );
}

#[test]
fn the_list_of_addresses_is_bounded() {
    let many: Vec<_> = (0..=u8::MAX).map(|last| eth(&alloc::format!("192.0.2.{last}"), UP)).collect();
    let verdicts = judge(&many, DEFAULT);
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_none()).count(), MAX_INTERFACES);
    assert_eq!(verdicts.last(), Some(&Some(SkipReason::Limit)));
    assert_eq!(judge(&[], DEFAULT), vec![]);
}
