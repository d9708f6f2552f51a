//! The country database over reloads.

use std::{fs, net::IpAddr, path::Path};

use proxy_common::reason::Reason::{self, CountryRestricted};
use weir_tests::mmdb::{Place, Schema, build};

use super::{Daemon, free_port, service};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));

/// A database that has the client in this country.
fn write(path: &Path, country: &'static str) {
    let places = [("198.51.100.0/24".parse().unwrap(), Place::country(country))];
    let beside = path.with_extension("new");
    fs::write(&beside, build(Schema::Country, &places, 1_700_000_000)).unwrap();
    fs::rename(beside, path).unwrap();
}

fn geoip(path: &Path) -> String {
    format!("[geoip]\ndatabase = '{}'\n", path.display())
}

fn judged(daemon: &Daemon) -> Option<Reason> {
    daemon.core.gate.0.load().judge("db", CLIENT).denied
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_judges_by_the_database_that_it_names_at_once_and_follows_it() {
    let target = ([127, 0, 0, 1], free_port()).into();
    let (open, german) = {
        let port = free_port();
        let with = |access| service("db", port, target, access);
        (with(""), with("allowed_countries = ['DE']"))
    };
    let daemon = Daemon::start(|_| open.clone()).await;
    let [first, second] = ["first.mmdb", "second.mmdb"].map(|name| daemon.path(name));
    write(&first, "DE");
    write(&second, "FR");

    daemon.reload(&(geoip(&first) + &german), None).await.unwrap();
    assert_eq!(judged(&daemon), None);
    assert!(daemon.core.geo.load().is_some());
    daemon.reload(&(geoip(&second) + &german), None).await.unwrap();
    assert_eq!(judged(&daemon), Some(CountryRestricted));
    write(&first, "FR");
    write(&second, "DE");
    daemon.core.poll_database().await;
    assert_eq!(judged(&daemon), None);

    let told = daemon.reload(&(geoip(&daemon.path("absent.mmdb")) + &german), None).await.unwrap();
    assert!(!told.iter().any(|told| told.contains("geoip")), "{told:?}");
    assert_eq!(judged(&daemon), None, "the database that is loaded stays");
    let status = daemon.status().await.geoip.unwrap();
    assert!(status.loaded && status.error.unwrap().contains("absent.mmdb"));
    write(&daemon.path("absent.mmdb"), "FR");
    daemon.core.poll_database().await;
    assert_eq!(judged(&daemon), Some(CountryRestricted));
    assert_eq!(daemon.status().await.geoip.unwrap().error, None);

    daemon.reload(&open, None).await.unwrap();
    assert!(daemon.core.geo.load().is_none(), "no rule asks for one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_is_refused_leaves_the_database() {
    let target = ([127, 0, 0, 1], free_port()).into();
    let port = free_port();
    let german = service("db", port, target, "allowed_countries = ['DE']");
    let daemon = Daemon::start(|place| {
        write(&place.path("old.mmdb"), "DE");
        geoip(&place.path("old.mmdb")) + &german
    })
    .await;
    write(&daemon.path("new.mmdb"), "FR");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = service("db", taken.local_addr().unwrap().port(), target, "");
    daemon.reload(&(geoip(&daemon.path("new.mmdb")) + &elsewhere), None).await.unwrap_err();
    assert_eq!(judged(&daemon), None);
    write(&daemon.path("old.mmdb"), "FR");
    daemon.core.poll_database().await;
    assert_eq!(judged(&daemon), Some(CountryRestricted), "the old file is not followed");
}
