use std::string::ToString;

use super::*;

#[track_caller]
fn parse(text: &str) -> Uri {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn rfc7065_appendix_a_and_rfc7064_appendix_a() {
    let table = [
        ("stun:example.org", Scheme::Stun, None, None, 3478, Transport::Udp),
        ("stuns:example.org", Scheme::Stuns, None, None, 5349, Transport::Tcp),
        ("stun:example.org:8000", Scheme::Stun, Some(8000), None, 8000, Transport::Udp),
        ("turn:example.org", Scheme::Turn, None, None, 3478, Transport::Udp),
        ("turns:example.org", Scheme::Turns, None, None, 5349, Transport::Tcp),
        ("turn:example.org:8000", Scheme::Turn, Some(8000), None, 8000, Transport::Udp),
        ("turn:example.org?transport=udp", Scheme::Turn, None, Some(Transport::Udp), 3478, Transport::Udp),
        ("turn:example.org?transport=tcp", Scheme::Turn, None, Some(Transport::Tcp), 3478, Transport::Tcp),
        ("turns:example.org?transport=tcp", Scheme::Turns, None, Some(Transport::Tcp), 5349, Transport::Tcp),
        ("turns:example.org?transport=udp", Scheme::Turns, None, Some(Transport::Udp), 5349, Transport::Udp),
    ];
    for (text, scheme, port, explicit_transport, effective_port, transport) in table {
        let uri = parse(text);
        assert_eq!(uri.scheme(), scheme, "{text}");
        assert_eq!(uri.host(), &Host::Name("example.org".into()), "{text}");
        assert_eq!(uri.explicit_port(), port, "{text}");
        assert_eq!(uri.explicit_transport(), explicit_transport, "{text}");
        assert_eq!((uri.port(), uri.transport()), (effective_port, transport), "{text}");
        assert_eq!(uri.is_secure(), text.starts_with("stuns") || text.starts_with("turns"), "{text}");
        assert_eq!(uri.is_turn(), text.starts_with("turn"), "{text}");
        assert_eq!(uri.to_string(), text);
    }
}

#[test]
fn addresses_and_odd_but_legal_forms() {
    let table = [
        ("turn:192.0.2.1", "turn:192.0.2.1"),
        ("turn:192.0.2.1:65535", "turn:192.0.2.1:65535"),
        ("turn:[2001:db8::1]", "turn:[2001:db8::1]"),
        ("turns:[2001:DB8:0:0::1]:443?transport=tcp", "turns:[2001:db8::1]:443?transport=tcp"),
        ("TURN:Example.Org?Transport=UDP", "turn:Example.Org?transport=udp"),
        ("stun:example.org.", "stun:example.org."),
        ("stun:a", "stun:a"),
        ("stun:turn_1.example.org", "stun:turn_1.example.org"),
        ("stun:1.example.org", "stun:1.example.org"),
        ("stun:example.org:03478", "stun:example.org:3478"),
    ];
    for (text, canonical) in table {
        let uri = parse(text);
        assert_eq!(uri.to_string(), canonical, "{text}");
        assert_eq!(parse(canonical), uri, "{text}");
    }
}

#[test]
fn what_is_refused_and_why() {
    use UriError as E;
    let table = [
        ("", E::UnknownScheme),
        ("example.org", E::UnknownScheme),
        ("http:example.org", E::UnknownScheme),
        ("turn :example.org", E::UnknownScheme),
        ("turn://example.org", E::Slashes),
        ("turn:", E::EmptyHost),
        ("turn::3478", E::EmptyHost),
        ("turn:?transport=udp", E::EmptyHost),
        ("turn:alice@example.org", E::InvalidHost),
        ("turn:example org", E::InvalidHost),
        ("turn:ex%61mple.org", E::InvalidHost),
        ("turn:b\u{fc}cher.example", E::InvalidHost),
        ("turn:example..org", E::InvalidHost),
        ("turn:example.org/path", E::InvalidHost),
        ("turn:.", E::InvalidAddress),
        ("turn:256.0.2.1", E::InvalidAddress),
        ("turn:192.0.2", E::InvalidAddress),
        ("turn:[192.0.2.1]", E::InvalidAddress),
        ("turn:[2001:db8::1", E::InvalidAddress),
        ("turn:[fe80::1%25eth0]", E::InvalidAddress),
        ("turn:[2001:db8::1]x", E::InvalidHost),
        ("turn:2001:db8::1", E::MissingBrackets),
        ("turn:example.org:", E::InvalidPort),
        ("turn:example.org:0", E::InvalidPort),
        ("turn:example.org:+80", E::InvalidPort),
        ("turn:example.org:65536", E::InvalidPort),
        ("turn:example.org:80:80", E::InvalidPort),
        ("stun:example.org?transport=udp", E::UnexpectedQuery),
        ("stuns:example.org?", E::UnexpectedQuery),
        ("turn:example.org?", E::InvalidQuery),
        ("turn:example.org?transport", E::InvalidQuery),
        ("turn:example.org?transport=", E::InvalidQuery),
        ("turn:example.org?proto=udp", E::InvalidQuery),
        ("turn:example.org?transport=udp&x=y", E::InvalidQuery),
        ("turn:example.org?transport=sctp", E::UnknownTransport),
        ("turn:example.org?transport=tls", E::UnknownTransport),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Uri>(), Err(error), "{text}");
    }
    let long = "a".repeat(64);
    assert_eq!(std::format!("stun:{long}.org").parse::<Uri>(), Err(E::InvalidHost), "a label too long");
    let name = std::vec!["a".repeat(60); 5].join(".");
    assert_eq!(std::format!("stun:{name}").parse::<Uri>(), Err(E::InvalidHost), "a name too long");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(stuns?:|turns?:)?[a-z0-9.:\\[\\]?=%@/_-]{0,40}") {
        if let Ok(uri) = text.parse::<Uri>() {
            let printed = uri.to_string();
            proptest::prop_assert_eq!(printed.parse::<Uri>(), Ok(uri));
        }
    }
}
