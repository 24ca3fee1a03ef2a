//! Rules about the source text that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 20);
    files
}

#[test]
fn t22_authentication_tags_are_compared_in_one_place_and_through_subtle() {
    let mut places = Vec::new();
    for (path, text) in sources() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if text.contains("use subtle") {
            places.push(name.clone());
            assert!(text.contains(".ct_eq("), "{name}");
        }
        if name == "integrity.rs" {
            // What comes out of the HMAC goes into that comparison, and into no other.
            let verify = text.split("fn verify").nth(1).unwrap().split("fn sign").next().unwrap();
            assert_eq!(verify.matches("tags_are_equal(").count(), verify.matches(".mac::<").count());
            assert!(!verify.contains("=="), "{name} compares something with ==");
        }
    }
    assert_eq!(places, ["constant_time.rs"]);
}

#[test]
fn t38_the_codec_has_no_unsafe_code_and_its_arithmetic_is_checked() {
    let crate_manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(crate_manifest.contains("[lints]\nworkspace = true"));
    for (path, text) in sources() {
        assert!(!text.contains("unsafe "), "{}", path.display());
        for lint in ["arithmetic_side_effects", "indexing_slicing", "unwrap_used", "expect_used", "panic"] {
            let allowed = text.contains(&format!("clippy::{lint}")) && !path.ends_with("tests.rs");
            assert!(!allowed, "{} allows {lint}", path.display());
        }
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let Ok(workspace) = fs::read_to_string(workspace) else {
        println!("skipped: the lints of the workspace are not at hand");
        return;
    };
    assert!(workspace.contains("unsafe_code = \"forbid\""));
    assert!(workspace.contains("arithmetic_side_effects = \"deny\""));
    assert!(workspace.contains("overflow-checks = true"));
}
