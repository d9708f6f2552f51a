//! Every fault that there is, each with its line and column.

mod encryption;
mod later;
mod modes;
mod sections;
mod services;
mod sign_in;
mod web;

use std::path::Path;

use proptest::prelude::*;

use super::{files, read};
use crate::config::load;

/// A service that is as it should be, to stand before a fault.
const SSH: &str = "[service.ssh]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\n";

/// A text, and its faults as `LINE:COL: message`.
type Faulty = (&'static str, &'static [&'static str]);

/// The faults of a file, in a directory that they call DIR.
fn told(path: &Path, dir: &Path) -> Vec<String> {
    let faults = load(path).map_or_else(|faults| faults.0, |_| Vec::new());
    let (prefix, dir) = (format!("{}:", path.display()), dir.to_string_lossy());
    let told = faults.into_iter().map(|fault| fault.to_string());
    let told = told.map(|told| told.trim_start_matches(&prefix).replace(&prefix, "F:"));
    told.map(|told| told.replace(&*dir, "DIR")).collect()
}

#[test]
fn every_fault_is_told_with_its_place() {
    let mut wrong = Vec::new();
    let http = [web::FAULTS, sign_in::FAULTS, encryption::FAULTS].concat();
    for (text, expected) in
        [sections::FAULTS, services::FAULTS, modes::FAULTS, later::FAULTS, &http].concat()
    {
        let (dir, path) = files(text, &[("secret", "x"), ("empty", "")]);
        let told = told(&path, dir.path());
        if told != expected {
            wrong.push(format!("{text}\n  told {told:#?}\n  expected {expected:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_faults_are_told_at_once() {
    let text = format!("{SSH}alow = []\n[log]\nkeep = 5\n[kernel]\nhook = \"x\"\n");
    assert_eq!(read(&text).expect_err("three faults").0.len(), 3);
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let faults = load("/nonexistent/weir.toml".as_ref()).expect_err("no file");
    assert!(faults.to_string().starts_with("/nonexistent/weir.toml:1:1: cannot be read: "));
}

#[test]
fn one_key_in_two_files_is_a_fault_that_names_both() {
    let (dir, path) = files(
        "include = [\"conf.d/*.toml\"]\n[log]\nkeep = \"7d\"\n",
        &[("conf.d/a.toml", "[log]\nkeep = \"1d\"\n"), ("conf.d/b.toml", "include = []\n")],
    );
    let told = load(&path)
        .expect_err("two faults")
        .to_string()
        .replace(&*dir.path().to_string_lossy(), "D");
    assert_eq!(
        told,
        "D/conf.d/a.toml:2:1: \"keep\" is set at D/weir.toml:3:1 already\n\
         D/conf.d/b.toml:1:1: an included file includes no others"
    );
}

#[test]
fn what_is_included_must_be_there_unless_it_is_a_pattern() {
    let told = |main: &str| {
        let (dir, path) = files(main, &[("other/a.toml", "[log]\nkeep = 5\n")]);
        let faults = load(&path).map(drop).map_err(|faults| faults.to_string());
        faults.map_err(|told| told.replace(&*dir.path().to_string_lossy(), "D"))
    };
    assert_eq!(
        told("include = [\n  \"conf.d/a.toml\",\n  \"none/*.toml\",\n]\n"),
        Err("D/weir.toml:2:3: include \"conf.d/a.toml\": No such file or directory (os error 2)"
            .into())
    );
    let inner = "D/other/a.toml:2:8: keep takes a string, not an integer";
    assert_eq!(told("include = [\"other/a.toml\"]\n"), Err(inner.into()));
    assert_eq!(told("include = [\"other/*.toml\"]\n"), Err(inner.into()));
    assert_eq!(
        told("include = [\"other\"]\n"),
        Err("D/other:1:1: cannot be read: Is a directory (os error 21)".into())
    );
    assert_eq!(
        told("include = [\"a***\"]\n"),
        Err("D/weir.toml:1:12: include \"a***\": Pattern syntax error near position 3: \
             wildcards are either regular `*` or recursive `**`"
            .into())
    );
    assert_eq!(told("include = \"conf.d\"\n").map_err(|told| told.len() > 1), Err(true));
    assert_eq!(told(""), Ok(()));
}

#[test]
fn a_file_that_is_not_text_is_a_fault() {
    let (dir, path) = files("", &[("conf.d/a.toml", "")]);
    std::fs::write(dir.path().join("conf.d/a.toml"), [0xff, 0xfe]).unwrap();
    let told = load(&path).expect_err("no text").to_string();
    assert!(told.ends_with("conf.d/a.toml:1:1: cannot be read: is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0"), "{told}");
}

/// Nothing that the file does not name opens a door: also a file with a fault in its
/// beginning includes nothing.
#[test]
fn what_includes_a_file_that_cannot_be_parsed_has_is_not_guessed() {
    let (_dir, path) = files("include = []\nx = \n", &[("conf.d/a.toml", "y = 1\n")]);
    assert_eq!(load(&path).expect_err("a fault").0.len(), 1);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = read(&text);
    }

    /// A configuration with a fault anywhere is refused as a whole.
    #[test]
    fn no_entry_degrades_into_a_missing_one(word in "[a-z0-9./:]{1,20}") {
        let text = format!("{SSH}allow = [{word:?}]\n");
        if let Ok(loaded) = read(&text) {
            prop_assert!(loaded.config.services[0].access.restricts(), "{word}");
        }
    }

    #[test]
    fn no_service_degrades_into_none(
        listen in proptest::collection::vec("[0-9:.]{0,8}", 0..3),
        targets in proptest::collection::vec("(host|[a-z0-9.:]{0,8})", 0..3),
    ) {
        let text = format!("[service.a]\nmode = \"tcp\"\nlisten = {listen:?}\ntargets = {targets:?}\n");
        if let Ok(loaded) = read(&text) {
            prop_assert_eq!(loaded.config.services.len(), 1);
            prop_assert_eq!(loaded.config.services[0].listen.len(), listen.len());
            prop_assert!(!listen.is_empty());
        }
    }
}
