//! What valid files mean.

use std::time::Duration;

use proxy_common::country::Country;

use super::{files, read};
use crate::config::{
    AccessMode, Denial, Hook, Keep, ListenAddress, Matching, SinkKind, Target, load,
};

#[test]
fn an_empty_file_has_the_defaults() {
    let config = read("").unwrap().config;
    assert_eq!(config.data_dir.to_str(), Some("/var/lib/weir"));
    assert_eq!(config.kernel.max_flows.get(), 262_144);
    assert_eq!(config.kernel.hook.default, Hook::Tc);
    assert!(config.kernel.interfaces.is_none() && config.kernel.required);
    assert_eq!(config.log.keep, Keep::For(Duration::from_hours(168)));
    assert_eq!((config.log.max_bytes, config.log.noise_max_bytes), (8 << 30, 2 << 30));
    assert_eq!(config.log.commit_interval, Duration::from_millis(100));
    assert_eq!(config.log.deny_records_per_second, 1000);
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:8790");
    assert_eq!(config.api.control_group, "weir");
    assert_eq!(config.global.country_exempt.len(), 9);
    assert!(config.services.is_empty() && config.geoip.is_none());
}

#[test]
fn the_short_form_is_match_any() {
    let short = read(
        "[service.ssh]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\n\
         allow = [\"de\", \"203.0.113.7\"]\nblock = [\"FR\", \"198.51.100.0/24\"]\n",
    );
    let long = read(
        "[service.ssh]\nmode = \"tcp\"\nlisten = [\":22\"]\ntargets = [\"host\"]\n\
         [service.ssh.access]\nmatch = \"any\"\nallowed_countries = [\"DE\"]\n\
         allowed_cidrs = [\"203.0.113.7/32\"]\nblocked_countries = [\"FR\"]\n\
         blocked_cidrs = [\"198.51.100.0/24\"]\n",
    );
    let (short, long) = (short.unwrap().config, long.unwrap().config);
    assert_eq!(format!("{:?}", short.services), format!("{:?}", long.services));
    let service = &short.services[0];
    assert_eq!(service.target, Target::Host);
    assert_eq!(service.access.matching, Matching::Any);
    let germany = Country::from_code(b"DE").unwrap();
    assert!(service.access.allowed_countries.unwrap().contains(germany));
}

#[test]
fn empty_lists_are_not_set() {
    let text = "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = []\n\
                [service.a.access]\nallowed_cidrs = []\nallowed_countries = []\n";
    let loaded = read(text).unwrap();
    assert!(!loaded.config.services[0].access.restricts());
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].message.contains("open to all"), "{:?}", loaded.warnings);
}

#[test]
fn the_full_form_is_read() {
    let text = r#"
        data_dir = "/srv/weir"
        [kernel]
        interfaces = ["eth0"]
        hook = { eth0 = "xdp-native" }
        [geoip]
        database = "/srv/geo.mmdb"
        update = { url = "https://example.com/geo.mmdb", every = "3d" }
        [global_access]
        mode = "observe"
        country_exempt_defaults = false
        never_deny_cidrs = ["10.0.0.0/8"]
        deny = "reset"
        [log]
        keep = "forever"
        max_bytes = "1GiB"
        [[sink]]
        kind = "jsonl"
        path = "-"
        filter = { verdict = ["denied"] }
        [service.db]
        mode = "tcp"
        domain = "DB.example.com"
        listen = ["0.0.0.0:5432", "[::1]:5432"]
        target = "db.internal:5432"
        idle_timeout = "2h"
        max_connections = 5
        [service.db.access]
        deny = "drop"
        [service.off]
        mode = "tcp"
        listen = 1
        target = "host"
        enabled = false
    "#;
    let config = read(text).unwrap().config;
    assert_eq!(config.kernel.hook.by_interface, [("eth0".to_owned(), Hook::XdpNative)]);
    assert_eq!(config.geoip.unwrap().update.unwrap().every, Duration::from_hours(72));
    assert_eq!(config.global.access.mode, AccessMode::Observe);
    assert!(config.global.country_exempt.is_empty());
    assert_eq!(config.sinks[0].kind, SinkKind::JsonlStdout);
    assert_eq!(config.services.len(), 1, "a service that is not enabled is left out");
    let db = &config.services[0];
    assert_eq!(db.host(), "db.example.com");
    assert_eq!(db.deny, Denial::Drop);
    assert_eq!(db.listen[0].address, ListenAddress::AnyV4);
    assert_eq!(db.target, Target::Name { host: "db.internal".into(), port: 5432 });
    assert_eq!(db.max_connections.get(), 5);
}

#[test]
fn includes_add_services_in_the_order_of_names() {
    let service = |name: &str, port: u16| {
        format!("[service.{name}]\nmode = \"tcp\"\nlisten = {port}\ntarget = \"host\"\n")
    };
    let (_dir, path) = files(
        "include = [\"conf.d/*.toml\", \"none/*.toml\"]\n",
        &[("conf.d/b.toml", &service("b", 2)), ("conf.d/a.toml", &service("a", 1))],
    );
    let loaded = load(&path).unwrap();
    let names: Vec<&str> = loaded.config.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn the_digest_tells_configurations_apart() {
    let (one, two) = (read("").unwrap(), read("# a comment\n").unwrap());
    assert_ne!(one.config.digest, two.config.digest);
}
