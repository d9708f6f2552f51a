#![allow(clippy::unwrap_used, reason = "tests")]

mod database;
mod holder;
mod update;

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use weir_tests::mmdb::{Place, Schema, build};

use super::{Database, GeoError};

const BUILT: u64 = 1_700_000_000;

fn bytes(schema: Schema, places: &[(&str, Place)]) -> Vec<u8> {
    let places: Vec<_> = places.iter().map(|(net, place)| (net.parse().unwrap(), *place)).collect();
    build(schema, &places, BUILT)
}

fn germany() -> Vec<u8> {
    bytes(Schema::Country, &[("198.51.100.0/24", Place::country("DE"))])
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("geo.mmdb");
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn open(bytes: &[u8]) -> Result<Database, GeoError> {
    let (_dir, path) = file(bytes);
    Database::open(&path)
}
