//! What was found once stays found.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

/// A target of `fuzz/targets`, and what it runs.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 4] = [
    ("client_hello", super::client_hello),
    ("frame", super::frame),
    ("proxy_header", super::proxy_header),
    ("record", super::record),
];

#[test]
fn what_the_corpora_keep_is_read_again() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let kept: Vec<_> = fs::read_dir(&corpora).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(kept.len(), TARGETS.len(), "every target has a corpus");
    for (name, target) in TARGETS {
        let files = fs::read_dir(corpora.join(name)).unwrap();
        let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            target(&fs::read(&file).unwrap());
        }
    }
}
