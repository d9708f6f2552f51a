//! What valid files mean.

use std::time::Duration;

use proxy_common::country::Country;

use super::{files, read};
use crate::config::{
    AccessMode, Balance, Denial, Destination, Health, Hook, Keep, ListenAddress, Matching, Mode,
    ProxyProtocol, SendProxy, SinkKind, Target, load,
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
fn a_country_rule_needs_a_database_and_there_is_a_default() {
    let path = |text: &str| read(text).unwrap().config.geoip.map(|geoip| geoip.database);
    let default = Some("/var/lib/weir/geo.mmdb".into());
    assert_eq!(path("[global_access]\nblocked_countries = [\"FR\"]\n"), default);
    assert_eq!(
        path("[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = [\"DE\"]\n"),
        default
    );
    assert_eq!(path("[geoip]\nstale_after_days = 3\n"), default);
    assert_eq!(path("[global_access]\nblocked_cidrs = [\"192.0.2.0/24\"]\n"), None);
}

#[test]
fn noise_leaves_room_for_the_rest() {
    let noise = |text: &str| read(text).unwrap().config.log.noise_max_bytes;
    assert_eq!(noise("[log]\nmax_bytes = \"1GiB\"\n"), 256 << 20);
    assert_eq!(noise("[log]\nmax_bytes = \"1TiB\"\n"), 2 << 30);
    assert_eq!(noise("[log]\nmax_bytes = \"1GiB\"\nnoise_max_bytes = \"1023MiB\"\n"), 1023 << 20);
}

fn warnings(text: &str) -> Vec<String> {
    read(text).unwrap().warnings.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn what_is_only_observed_is_open() {
    let service = "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\n";
    let observed = "mode = \"observe\"\nblocked_cidrs = [\"192.0.2.0/24\"]\n";
    let access = format!("{service}[service.a.access]\n{observed}");
    assert_eq!(warnings(&access), ["service a is open to all: its restrictions are only observed"]);
    let global = format!("{service}[global_access]\n{observed}");
    assert_eq!(warnings(&global), ["service a is open to all: its restrictions are only observed"]);
    let enforced = "[global_access]\nblocked_cidrs = [\"198.51.100.0/24\"]\n";
    assert_eq!(warnings(&format!("{access}{enforced}")), [""; 0]);
}

#[test]
fn a_database_over_plain_http_is_warned_about() {
    let warned = |update: &str| {
        let told = warnings(&format!("[geoip]\nupdate = {{ {update} }}\n"));
        told.iter().any(|warning| warning.contains("plain http"))
    };
    assert!(warned("url = \"http://example.com/geo.mmdb\""));
    assert!(warned("url = \"http://example.com/a\", sha256_url = \"http://example.com/b\""));
    assert!(!warned("url = \"http://example.com/a\", sha256_url = \"https://example.com/b\""));
    for trusted in
        ["https://example.com", "http://127.0.0.1:8080", "http://[::1]", "http://localhost"]
    {
        assert!(!warned(&format!("url = \"{trusted}/geo.mmdb\"")), "{trusted}");
    }
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
    assert_eq!(service.destination, Destination::Host);
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
    assert_eq!(db.targets(), [Target::Name { host: "db.internal".into(), port: 5432 }]);
    assert_eq!(db.max_connections.get(), 5);
}

fn targets_of(lines: &str) -> crate::config::Targets {
    let text = format!("[service.a]\nmode = \"tcp\"\nlisten = 1\n{lines}\n");
    match read(&text).unwrap().config.services[0].destination.clone() {
        Destination::Targets(targets) => targets,
        other => panic!("{other:?}: {lines}"),
    }
}

#[test]
fn targets_are_looked_at_where_there_are_several_or_it_is_asked_for() {
    let health = |lines| targets_of(lines).health.map(|h| (h.interval, h.timeout));
    let seconds =
        |interval, timeout| Some((Duration::from_secs(interval), Duration::from_secs(timeout)));
    assert_eq!(health("target = \"db:5\""), None);
    assert_eq!(health("target = \"db:5\"\nhealth = {}"), seconds(10, 2));
    assert_eq!(health("targets = [\"db:5\", \"db:6\"]"), seconds(10, 2));
    assert_eq!(health("target = \"db:5\"\nhealth = { interval = \"1s\" }"), seconds(1, 1));
    assert_eq!(health("target = \"db:5\"\nhealth = { timeout = \"20s\" }"), seconds(20, 20));
    let both = "target = \"db:5\"\nhealth = { interval = \"9s\", timeout = \"3s\" }";
    assert_eq!(health(both), seconds(9, 3));
    assert_eq!(Health::default().interval, Duration::from_secs(10));
}

#[test]
fn nobody_connects_to_targets_of_datagrams() {
    let text = "[service.a]\nmode = \"udp\"\nlisten = 1\ntargets = [\"db:5\", \"db:6\"]\n\
                allow = [\"::/0\"]\n";
    let health = |text: &str| {
        let loaded = read(text).unwrap();
        let Destination::Targets(targets) = &loaded.config.services[0].destination else {
            panic!("a guard");
        };
        (targets.health, loaded.warnings.iter().map(|w| w.line).collect::<Vec<_>>())
    };
    assert_eq!(health(text), (None, vec![]));
    assert_eq!(health(&format!("{text}health = {{}}\n")), (None, vec![6]));
}

#[test]
fn targets_are_used_in_turn_unless_it_is_said_otherwise() {
    let two = "targets = [\"10.0.0.5:5\", \"DB.internal:5\"]";
    let targets = targets_of(two);
    assert_eq!(targets.balance, Balance::RoundRobin);
    let shown: Vec<String> = targets.list.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.5:5", "db.internal:5"]);
    for (word, balance) in
        [("least_conn", Balance::LeastConn), ("source_hash", Balance::SourceHash)]
    {
        assert_eq!(targets_of(&format!("{two}\nbalance = {word:?}")).balance, balance);
    }
}

#[test]
fn a_guard_has_nothing_to_balance() {
    let text = "[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"host\"\nallow = [\"::/0\"]\n\
                balance = \"least_conn\"\nhealth = {}\nmax_connections = 5\n";
    let warnings = read(text).unwrap().warnings;
    let told: Vec<_> = warnings.iter().map(|w| (w.line, w.message.as_str())).collect();
    let of = |key: &str| format!("{key} has no effect where target = \"host\"");
    let (balance, health, most) = (of("balance"), of("health"), of("max_connections"));
    assert_eq!(told, [(6, &*balance), (7, &*health), (8, &*most)]);
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
fn by_default_what_is_in_conf_d_beside_the_file_is_included() {
    let log = ("conf.d/a.toml", "[log]\nkeep = \"forever\"\n");
    let (_dir, path) = files("", &[log]);
    assert_eq!(load(&path).unwrap().config.log.keep, Keep::Forever);
    let (_dir, path) = files("include = []\n", &[log]);
    assert_eq!(load(&path).unwrap().config.log.keep, Keep::For(Duration::from_hours(168)));
}

#[test]
fn the_name_of_the_directory_is_no_pattern() {
    let (dir, _) =
        files("", &[("[a]*/weir.toml", ""), ("[a]*/conf.d/b.toml", "data_dir = \"/b\"\n")]);
    let config = load(&dir.path().join("[a]*/weir.toml")).unwrap().config;
    assert_eq!(config.data_dir.to_str(), Some("/b"));
}

#[test]
fn the_daemon_is_found_by_what_is_included_and_in_spite_of_faults() {
    let (_dir, path) = files(
        "include = [\"more.toml\"]\nbogus = 1\n[kernel]\nbpffs = \"/b\"\n",
        &[("more.toml", "runtime_dir = \"/r\"\n")],
    );
    let found = crate::config::whereabouts(&path);
    assert_eq!(found.runtime_dir, Some("/r".into()));
    assert_eq!(found.bpffs, Some("/b".into()));
}

#[test]
fn the_digest_tells_configurations_apart() {
    let (one, two) = (read("").unwrap(), read("# a comment\n").unwrap());
    assert_ne!(one.config.digest, two.config.digest);
}

#[test]
fn services_share_a_port_by_server_name_and_by_protocol() {
    let listening = "listen = 443\ntarget = \"10.0.0.7:443\"\n";
    let service = |name: &str, mode: &str, rest: &str| {
        format!("[service.{name}]\nmode = \"{mode}\"\n{listening}{rest}\n")
    };
    let text = [
        service("exact", "tls", "domain = \"A.example.com\""),
        service("wildcard", "tls", "domain = \"*.example.com\""),
        service("fallback", "tcp", ""),
        service("quic", "udp", ""),
    ];
    let services = read(&text.concat()).unwrap().config.services;
    assert_eq!(services[0].domain.as_deref(), Some("a.example.com"));
    assert_eq!(services[1].domain.as_deref(), Some("*.example.com"));
    assert_eq!((services[2].mode, services[3].mode), (Mode::Tcp, Mode::Udp));
    assert_eq!(services[2].idle_timeout, Duration::from_hours(1));
    assert_eq!(services[3].idle_timeout, Duration::from_secs(30));
}

#[test]
fn the_proxy_protocol_is_off_unless_it_is_asked_for() {
    let text = "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"10.0.0.7:22\"\n";
    let proxy_protocol = |text: &str| read(text).unwrap().config.services[0].proxy_protocol.clone();
    assert_eq!(proxy_protocol(text), ProxyProtocol::default());
    let asked = "proxy_protocol = { accept_from = [\"10.0.0.0/8\", \"192.0.2.1\"], send = \"v2\" }";
    let read = proxy_protocol(&format!("{text}{asked}\n"));
    assert_eq!((read.accept_from.len(), read.send), (2, SendProxy::V2));
}
