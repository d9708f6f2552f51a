//! Reload: what changed is loaded, what broke is told and leaves the last one.

use std::{fs, net::IpAddr};

use weir_tests::mmdb::{Place, Schema};

use super::{bytes, file, germany};
use crate::geo::Holder;

fn country(holder: &Holder) -> String {
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let country = holder.current().and_then(|database| database.country(address));
    country.map_or_else(|| "-".into(), |country| country.to_string())
}

#[test]
fn a_changed_file_is_loaded_and_a_broken_one_is_not() {
    let (_dir, path) = file(&germany());
    let (mut holder, error) = Holder::open(&path);
    assert!(error.is_none());
    assert!(holder.poll().is_none());
    assert_eq!(country(&holder), "DE");

    // A rename, as updates do it: another inode in any case.
    let beside = path.with_extension("new");
    let france = bytes(Schema::Flat, &[("198.51.100.0/24", Place::country("FR"))]);
    fs::write(&beside, france).unwrap();
    fs::rename(&beside, &path).unwrap();
    assert!(holder.poll().is_some_and(|loaded| loaded.is_ok()));
    assert_eq!(country(&holder), "FR");

    fs::write(&path, b"broken").unwrap();
    assert!(holder.poll().is_some_and(|loaded| loaded.is_err()));
    assert!(holder.poll().is_none(), "told once");
    assert_eq!(country(&holder), "FR");

    fs::remove_file(&path).unwrap();
    assert!(holder.poll().is_some_and(|loaded| loaded.is_err()));
    assert!(holder.poll().is_none());
    assert_eq!(country(&holder), "FR");
}

#[test]
fn a_file_that_comes_later_is_loaded() {
    let (_dir, path) = file(b"");
    fs::remove_file(&path).unwrap();
    let (mut holder, error) = Holder::open(&path);
    assert!(error.is_some() && holder.current().is_none());
    fs::write(&path, germany()).unwrap();
    assert!(holder.poll().is_some_and(|loaded| loaded.is_ok()));
    assert_eq!(country(&holder), "DE");
}
