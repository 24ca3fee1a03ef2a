//! STUN from public fuzz corpora and captures, where a copy of the collection is at hand.
//!
//! `FLOE_CORPORA` names the folder; without it, `shared/corpora` beside the workspace is looked for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use floe_stun::classify::{DatagramClass, Source, classify, looks_like_stun};
use floe_stun::{AttributeType, FingerprintError, Message, ParseError};

use crate::common::{hex, touch};

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("FLOE_CORPORA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = named.unwrap_or(beside);
    if folder.join("stun").is_dir() {
        return Some(folder);
    }
    println!("skipped: no corpora in {} (set FLOE_CORPORA)", folder.display());
    None
}

/// The columns of a table of captures, without its heading, with the line each row stands on.
fn rows(path: &Path) -> Vec<(usize, Vec<String>)> {
    let text = fs::read_to_string(path).unwrap();
    let split = |line: &str| line.split('\t').map(str::to_owned).collect();
    text.lines().enumerate().skip(1).map(|(index, line)| (index + 1, split(line))).collect()
}

/// Every item by the name the table of verdicts has for it.
fn items(folder: &Path) -> BTreeMap<String, Box<[u8]>> {
    let mut items = BTreeMap::new();
    for sub in fs::read_dir(folder.join("stun")).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&sub).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            items.insert(name, fs::read(&file).unwrap().into_boxed_slice());
        }
    }
    for file in fs::read_dir(folder.join("vectors")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "bin") {
            let name = file.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            items.insert(name, fs::read(&file).unwrap().into_boxed_slice());
        }
    }
    for table in ["stun-udp.tsv", "stun-udp-odd.tsv", "stun-tcp-segments.tsv"] {
        for (line, columns) in rows(&folder.join("captures").join(table)) {
            let bytes = hex(columns.last().unwrap());
            items.insert(format!("captures/{table}:{line}"), bytes.into_boxed_slice());
        }
    }
    items
}

#[test]
fn s05_every_item_of_the_corpora_is_read_or_refused() {
    let Some(folder) = folder() else { return };
    let items = items(&folder);
    assert!(items.len() > 1_000, "{} items", items.len());
    let mut read = 0;
    for (name, bytes) in &items {
        if let Ok(message) = Message::parse(bytes) {
            read += 1;
            assert!(looks_like_stun(bytes) || bytes[0] > 3, "{name}");
            touch(&message);
        }
        // And every beginning of it.
        for end in (0..bytes.len().min(256)).step_by(3) {
            let cut: Box<[u8]> = bytes[..end].into();
            assert!(end == bytes.len() || Message::parse(&cut).map(|m| touch(&m)).is_err() || end >= 20);
        }
    }
    println!("{read} of {} items are messages", items.len());
}

#[test]
fn captured_messages_are_judged_as_the_table_says() {
    let Some(folder) = folder() else { return };
    for (line, columns) in rows(&folder.join("captures/stun-udp.tsv")) {
        let [_, kind, well_formed, fingerprint, text] = columns.as_slice() else { panic!("line {line}") };
        let bytes = hex(text);
        let parsed = Message::parse(&bytes);
        if well_formed == "no" {
            assert!(parsed.is_err(), "line {line}");
            continue;
        }
        let message = match parsed {
            Ok(message) => message,
            // The table's "well formed" means that the attributes fill the message. One product sends a
            // MESSAGE-INTEGRITY of 32 bytes, which RFC 8489 §14.5 does not have.
            Err(ParseError::ProtectionLength { kind: AttributeType::MESSAGE_INTEGRITY, length: 32 }) => {
                assert_eq!(fingerprint, "none");
                continue;
            }
            Err(error) => panic!("line {line}: {error}"),
        };
        assert_eq!(format!("{:02x}{:02x}", bytes[0], bytes[1]), *kind);
        let expected = match fingerprint.as_str() {
            "ok" => Ok(()),
            "BAD" => Err(FingerprintError::Mismatch),
            _ => Err(FingerprintError::Absent),
        };
        assert_eq!(message.verify_fingerprint(), expected, "line {line}");
    }
}

#[test]
fn odd_messages_are_refused_or_kept_from_ice() {
    let Some(folder) = folder() else { return };
    for (line, columns) in rows(&folder.join("captures/stun-udp-odd.tsv")) {
        let [_, why, text] = columns.as_slice() else { panic!("line {line}") };
        let bytes = hex(text);
        match why.as_str() {
            "first-byte-4-to-63" => {
                assert_ne!(classify(&bytes, Source::Other), DatagramClass::Stun, "line {line}");
                assert!(!looks_like_stun(&bytes));
            }
            _ => assert!(Message::parse(&bytes).is_err(), "line {line}: {why}"),
        }
    }
}

#[test]
fn three_other_decoders_are_not_contradicted_where_they_agree() {
    let Some(folder) = folder() else { return };
    let items = items(&folder);
    let (mut agreed, mut contradicted) = (0, Vec::new());
    for (_, columns) in rows(&folder.join("verdicts.tsv")) {
        let verdicts = &columns[2..];
        let bytes = items.get(&columns[0]).unwrap_or_else(|| panic!("no item {}", columns[0]));
        assert_eq!(bytes.len().to_string(), columns[1], "{}", columns[0]);
        if verdicts.iter().all(|verdict| *verdict == verdicts[0]) {
            agreed += 1;
            let ours = if Message::parse(bytes).is_ok() { "accept" } else { "reject" };
            if ours != verdicts[0] {
                contradicted.push(format!("{}: we {ours}, {:?}", columns[0], Message::parse(bytes).err()));
            }
        }
    }
    assert!(agreed > 900, "{agreed}");
    assert!(contradicted.is_empty(), "{contradicted:#?}");
}
