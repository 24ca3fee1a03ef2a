use alloc::vec::Vec;
use std::format;
use std::string::{String, ToString};

use crate::{CredentialError, IceOptions, IceOptionsError, Pwd, Ufrag};

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[test]
fn s03_every_length_is_taken_or_refused() {
    for length in 0..=1024 {
        let text = "a".repeat(length);
        let refused = Err(CredentialError::Length(length));
        let ufrag = text.parse::<Ufrag>().map(|ufrag| ufrag.as_str().len());
        assert_eq!(ufrag, if (4..=256).contains(&length) { Ok(length) } else { refused });
        let pwd = text.parse::<Pwd>().map(|pwd| pwd.expose().len());
        assert_eq!(pwd, if (22..=256).contains(&length) { Ok(length) } else { refused });
    }
}

#[test]
fn s13_a_short_one_of_the_two_never_passes() {
    let (short_ufrag, ufrag) = ("a".repeat(3), "a".repeat(4));
    let (short_pwd, pwd) = ("a".repeat(21), "a".repeat(22));
    assert_eq!(short_ufrag.parse::<Ufrag>(), Err(CredentialError::Length(3)));
    assert!(ufrag.parse::<Ufrag>().is_ok());
    assert_eq!(short_pwd.parse::<Pwd>().err(), Some(CredentialError::Length(21)));
    assert!(pwd.parse::<Pwd>().is_ok());
}

#[test]
fn oth_03_only_32_characters_are_sent_though_256_are_accepted() {
    let of_length = |length| "a".repeat(length).parse::<Ufrag>().map(|ufrag| ufrag.is_sendable());
    assert_eq!(of_length(4), Ok(true));
    assert_eq!(of_length(32), Ok(true));
    assert_eq!(of_length(33), Ok(false));
    assert_eq!(of_length(256), Ok(false));
}

#[test]
fn oth_03_alphabet_is_letters_digits_plus_and_slash() {
    for byte in 0..=u8::MAX {
        let mut text = [b'a'; 30];
        text[17] = byte;
        let expected = if ALPHABET.bytes().any(|known| known == byte) {
            None
        } else {
            Some(CredentialError::NotIceChar { index: 17 })
        };
        assert_eq!(Ufrag::from_bytes(&text).err(), expected);
        assert_eq!(Pwd::from_bytes(&text).err(), expected);
    }
    assert_eq!("ufräg".parse::<Ufrag>(), Err(CredentialError::NotIceChar { index: 3 }));
}

#[test]
fn p10_upper_case_and_every_ice_char_is_kept() {
    assert_eq!(ALPHABET.parse::<Ufrag>().expect("64 ice-chars").to_string(), ALPHABET);
    assert_eq!(ALPHABET.parse::<Pwd>().expect("64 ice-chars").expose(), ALPHABET);
    assert_ne!("ABCD".parse::<Ufrag>(), "abcd".parse::<Ufrag>());
}

#[test]
fn s13_own_credentials_have_48_and_144_bits() {
    let mut next = 0_usize;
    let mut fill = |out: &mut [u8]| {
        for byte in out {
            *byte = ALPHABET.as_bytes()[next];
            next = (next + 1) % 64;
        }
    };
    assert_eq!(Ufrag::random(&mut fill).as_str(), "ABCDEFGH");
    assert_eq!(Pwd::random(&mut fill).expose(), "IJKLMNOPQRSTUVWXYZabcdef");
}

#[test]
fn random_credentials_are_well_formed_whatever_fills_them() {
    for value in 0..=u8::MAX {
        let ufrag = Ufrag::random(|out| out.fill(value));
        assert!(ufrag.as_str().parse::<Ufrag>().is_ok(), "{value}");
        assert!(ufrag.is_sendable());
        assert!(Pwd::random(|out| out.fill(value)).expose().parse::<Pwd>().is_ok(), "{value}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let pwd: Pwd = "asd88fgpdd777uzjYhagZg".parse().expect("the password of the RFC's example");
    assert_eq!(format!("{pwd:?}"), "Pwd(redacted)");
    let error = "asd88fgpdd777uzjYhag-secret".parse::<Pwd>().expect_err("a hyphen");
    assert_eq!(error.to_string(), "byte 20 is not a letter, a digit, plus or slash");
}

#[test]
fn ice_options_are_kept_in_order_and_once() {
    let options: IceOptions = "ice2  rtp+ecn trickle ice2 google-ice".parse().expect("tags");
    assert_eq!(options.as_str(), "ice2 rtp+ecn trickle google-ice");
    assert!(options.has("trickle") && options.has("rtp+ecn") && !options.has("rtp") && !options.has("ICE2"));
    assert_eq!(options.tags().count(), 4);
    assert_eq!("".parse(), Ok(IceOptions::default()));
    assert!(!IceOptions::default().has(""));
    assert_eq!(IceOptions::from_tags(["ice2", ""]), Err(IceOptionsError::NotATag));
    assert_eq!(IceOptions::from_tags(["ice2", "a b"]), Err(IceOptionsError::NotATag));
    assert_eq!("ice2\r\na=x".parse::<IceOptions>(), Err(IceOptionsError::NotATag));
}

#[test]
fn ice_options_of_our_own() {
    let options = IceOptions::ice2().with_trickle().with_renomination2().with_trickle();
    assert_eq!(options.as_str(), "ice2 trickle renomination2");
}

#[test]
fn s03_ice_options_have_a_bound() {
    let tags = (0..400).map(|number| format!("t{number}")).collect::<Vec<_>>().join(" ");
    assert_eq!(tags.parse::<IceOptions>(), Err(IceOptionsError::TooLong));
    let tags = |count: u8| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>().join(" ");
    assert_eq!(
        tags(64).parse::<IceOptions>().map(|options| options.tags().count()),
        Ok(IceOptions::MAX_TAGS)
    );
    assert_eq!(tags(65).parse::<IceOptions>(), Err(IceOptionsError::TooLong));
    let full: IceOptions = "a".repeat(IceOptions::MAX_LENGTH).parse().expect("as long as it may be");
    assert_eq!(full.clone().with_trickle(), full);
}

#[test]
fn fragments_of_every_length_are_kept_and_sort_as_texts_do() {
    let texts: Vec<String> = (4..=256).map(|length| "+ab9".chars().cycle().take(length).collect()).collect();
    for text in &texts {
        let ufrag: Ufrag = text.parse().expect("ice-chars");
        assert_eq!(
            (ufrag.as_str(), ufrag.as_bytes(), ufrag.to_string()),
            (&**text, text.as_bytes(), text.clone())
        );
        assert_eq!(format!("{ufrag:?}"), format!("Ufrag({text:?})"));
        for other in ["+ab9", "+ab9+ab9+ab9+ab9+ab9+a", "+ab9+ab9+ab9+ab9+ab9+ab", "zzzz", "/zzz"] {
            let known: Ufrag = other.parse().expect("ice-chars");
            assert_eq!(ufrag.cmp(&known), text.as_str().cmp(other), "{text} and {other}");
            assert_eq!(ufrag == known, text == other);
        }
    }
}
