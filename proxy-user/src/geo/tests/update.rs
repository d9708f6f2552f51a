//! Updates, from a server on loopback.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{file, germany};
use crate::{
    config::GeoipUpdate,
    geo::{UpdateError, Updated, update},
};

/// Serves `files` by path to as many requests as come; ends with the process.
fn serve(files: HashMap<&'static str, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let path = first.split(' ').nth(1).unwrap();
            let (status, body) = match files.get(path) {
                Some(body) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", &[][..]),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    format!("http://{address}")
}

fn settings(base: &str, sum: Option<&str>) -> GeoipUpdate {
    GeoipUpdate {
        url: format!("{base}/geo.mmdb"),
        sha256_url: sum.map(|path| format!("{base}{path}")),
        every: Duration::from_hours(1),
    }
}

fn sum(bytes: &[u8]) -> String {
    let bytes: Vec<String> =
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

#[test]
fn a_new_database_replaces_the_old_and_the_same_does_not() {
    let fresh = germany();
    let line = format!("{}  geo.mmdb\n", sum(&fresh));
    let base = serve([("/geo.mmdb", fresh.clone()), ("/sum", line.into())].into());
    let (dir, path) = file(b"old");
    let settings = settings(&base, Some("/sum"));
    assert_eq!(update(&settings, &path).unwrap(), Updated::Replaced);
    assert_eq!(fs::read(&path).unwrap(), fresh);
    assert_eq!(update(&settings, &path).unwrap(), Updated::Same);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_wrong_leaves_the_old_one() {
    let base = serve(
        [
            ("/geo.mmdb", germany()),
            ("/wrong", sum(b"another").into()),
            ("/none", b"no sum".to_vec()),
        ]
        .into(),
    );
    let (_dir, path) = file(b"old");
    let wrong = update(&settings(&base, Some("/wrong")), &path);
    assert!(matches!(wrong, Err(UpdateError::Checksum { .. })));
    let none = update(&settings(&base, Some("/none")), &path);
    assert!(matches!(none, Err(UpdateError::NoChecksum(_))));
    let absent = GeoipUpdate { url: format!("{base}/absent"), ..settings(&base, None) };
    assert!(matches!(update(&absent, &path), Err(UpdateError::Fetch { .. })));
    let garbage = serve([("/geo.mmdb", b"garbage".to_vec())].into());
    let unusable = update(&settings(&garbage, None), &path);
    assert!(matches!(unusable, Err(UpdateError::Unusable { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}
