use std::env;
use std::fs;
use std::path::PathBuf;
use std::println;
use std::string::{String, ToString};

use crate::sdp::{Description, IceUse, SdpFault, SessionUse};
use crate::{CandidateLine, IceOptions, Pwd, Ufrag};

/// The folder of test data, if there is one: named by the environment, or beside the workspace.
fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    env::var_os("FLOE_CORPORA")
        .map_or(Some(beside), |folder| Some(folder.into()))
        .filter(|folder| folder.is_dir())
}

/// Whether the line was read; one that was must come back with all its words.
fn check(text: &str) -> bool {
    let Ok(read) = text.parse::<CandidateLine>() else { return false };
    let written = read.to_string();
    assert_eq!(written.parse().as_ref(), Ok(&read), "{text}");
    assert!(text.to_lowercase().contains(&written.to_lowercase()), "{text} became {written}");
    true
}

#[test]
fn p10_ice_lines_of_public_projects() {
    let Some(folder) = folder() else {
        println!("skipped: no folder of test data (FLOE_CORPORA)");
        return;
    };
    let table = fs::read_to_string(folder.join("candidate/sdp-ice-lines.tsv")).expect("a table of lines");
    let (mut read, mut refused) = (0, 0);
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let text = line.split_once('\t').map_or(line, |(_, text)| text);
        let good = match text.split_once(':') {
            Some(("candidate", _)) => check(text),
            Some(("ice-ufrag", value)) => value.parse::<Ufrag>().is_ok(),
            Some(("ice-pwd", value)) => value.parse::<Pwd>().is_ok(),
            Some(("ice-options", value)) => {
                value.parse::<IceOptions>().is_ok_and(|options| options.as_str() == value)
            }
            _ => panic!("unexpected line {text}"),
        };
        *if good { &mut read } else { &mut refused } += 1;
    }
    // Three fragments and three passwords have an underscore, which is no ice-char.
    assert_eq!((read, refused), (23, 6));
}

#[test]
fn p10_every_file_of_candidates_is_read_or_refused() {
    let Some(folder) = folder() else {
        println!("skipped: no folder of test data (FLOE_CORPORA)");
        return;
    };
    let mut files = 0;
    for kind in ["candidate/librice", "sdp/pjsip"] {
        for file in fs::read_dir(folder.join(kind)).expect("a folder") {
            let bytes = fs::read(file.expect("an entry").path()).expect("a file");
            let text = String::from_utf8_lossy(&bytes);
            for line in text.lines() {
                let is_candidate = line.trim_start_matches("a=").starts_with("candidate:");
                let read = check(line);
                assert!(is_candidate || !read, "{line}");
            }
            files += 1;
        }
    }
    assert!(files > 0);
}

#[test]
fn p10_descriptions_of_another_project_are_read() {
    let Some(folder) = folder() else {
        println!("skipped: no folder of test data (FLOE_CORPORA)");
        return;
    };
    let mut found = [0; 3];
    for file in fs::read_dir(folder.join("sdp/pjsip")).expect("a folder") {
        let bytes = fs::read(file.expect("an entry").path()).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        // They know nothing of ICE; one of them has broken lines.
        match text.parse::<Description>() {
            Ok(read) => {
                assert_eq!(read.session_use(), SessionUse::NoIce(IceUse::Unsupported), "{text}");
                assert_eq!(
                    read.to_string().parse::<Description>().map(|again| again.to_string()),
                    Ok(read.to_string())
                );
                found[0] += 1;
                found[1] += read.media.len();
            }
            Err(error) => {
                assert_eq!(error.fault, SdpFault::MediaLine, "{text}");
                found[2] += 1;
            }
        }
    }
    assert_eq!(found, [4, 8, 1], "read, with so many sections, and refused");
}
