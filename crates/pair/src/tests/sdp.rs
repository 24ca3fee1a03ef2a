//! Tests of ICE in SDP, one file for each concept.

mod conclude;
mod default;
mod examples;
mod fragment;
mod ice_use;
mod init;
mod negotiate;
mod print;
mod property;
mod read;
mod subsequent;

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::sdp::{Description, Fragment, Media, SdpError, SdpFault};
use crate::{ComponentId, IceOptions, Parameters};

const UFRAG: &str = "8hhY";
const PWD: &str = "asd88fgpdd777uzjYhagZg";
const OTHER_PWD: &str = "YH75Fviy6338Vbrhrlp8Yh";
const RTP: ComponentId = ComponentId::RTP;
const RTCP: ComponentId = ComponentId::RTCP;

/// What every agent with ICE says of a session.
const SESSION: &str = "a=ice-options:ice2\r\na=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
const HOST: &str = "a=candidate:1 1 udp 2130706431 10.0.0.1 8998 typ host\r\n";
const REFLEXIVE: &str =
    "a=candidate:2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.0.1 rport 8998\r\n";
const SECTION: &str = "m=audio 45664 RTP/AVP 0\r\nc=IN IP4 192.0.2.3\r\n";

/// The description `text` is.
#[track_caller]
fn sdp(text: &str) -> Description {
    match text.parse() {
        Ok(description) => description,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// A session with ICE that has these sections.
#[track_caller]
fn session(sections: &str) -> Description {
    sdp(&format!("{SESSION}{sections}"))
}

/// The fragment `text` is.
#[track_caller]
fn fragment(text: &str) -> Fragment {
    match text.parse() {
        Ok(fragment) => fragment,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// The only section of `text`.
#[track_caller]
fn section(text: &str) -> Media {
    let mut media = session(text).media;
    assert_eq!(media.len(), 1, "{text}");
    media.remove(0)
}

#[track_caller]
fn fault(text: &str) -> (usize, SdpFault) {
    let SdpError { line, fault } = text.parse::<Description>().expect_err(text);
    (line, fault)
}

fn parameters(options: &str) -> Parameters {
    Parameters::new(
        UFRAG.parse().expect("a fragment"),
        PWD.parse().expect("a password"),
        options.parse::<IceOptions>().expect("tags"),
    )
}

fn lite(options: &str) -> Parameters {
    Parameters { lite: true, ..parameters(options) }
}

/// The candidates of a section, one a line.
fn candidates(media: &Media) -> String {
    let lines: Vec<String> = media.candidates.iter().map(|line| format!("{line}\n")).collect();
    lines.concat()
}
