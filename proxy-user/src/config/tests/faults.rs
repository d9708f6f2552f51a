//! Every fault that there is, each with its line and column.

use proptest::prelude::*;

use super::{files, read};
use crate::config::load;

/// A service that is as it should be, to stand before a fault.
const SSH: &str = "[service.ssh]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\n";

/// `(text, faults)`; each fault as `LINE:COL: message`. `SSH` is four lines.
const FAULTS: &[(&str, &[&str])] = &[
    // TOML itself.
    ("data_dir = ", &["1:12: string values must be quoted, expected literal string"]),
    ("data_dir = \"/a\"\ndata_dir = \"/b\"", &["2:1: duplicate key"]),
    // Unknown keys: a near one, another table's, none.
    (
        "dta_dir = \"/a\"",
        &["1:1: unknown key \"dta_dir\" in the top level; did you mean \"data_dir\"?"],
    ),
    (
        "[kernel]\ninterface = [\"eth0\"]",
        &["2:1: unknown key \"interface\" in [kernel]; did you mean \"interfaces\"?"],
    ),
    ("[kernel]\nkeep = \"7d\"", &["2:1: unknown key \"keep\" in [kernel]; [log] has such a key"]),
    (
        "[log]\nallowed_cidr = []",
        &[
            "2:1: unknown key \"allowed_cidr\" in [log]; [service.NAME.access] has a key \"allowed_cidrs\"",
        ],
    ),
    ("[api]\nzzz = 1", &["2:1: unknown key \"zzz\" in [api], and no other table has one like it"]),
    (
        "[service.ssh]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallowed_cidrs = []",
        &[
            "5:1: unknown key \"allowed_cidrs\" in [service.ssh]; [service.NAME.access] has such a key",
        ],
    ),
    // What later versions bring.
    ("[tls]\nacme = \"a@b.c\"", &["1:2: \"tls\" in the top level is not supported yet"]),
    ("[http]", &["1:2: \"http\" in the top level is not supported yet"]),
    ("[sso.corp]", &["1:2: \"sso\" in the top level is not supported yet"]),
    ("[kernel]\nnat_ports = \"1-2\"", &["2:1: \"nat_ports\" in [kernel] is not supported yet"]),
    (
        "[service.a]\nmode = \"http\"\nlisten = 80\ntarget = \"10.0.0.7:80\"",
        &["2:8: mode \"http\" is not supported yet"],
    ),
    (
        "[service.a]\nmode = \"udp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"",
        &["2:8: mode \"udp\" is not supported yet"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"http://10.0.0.7\"",
        &["4:10: target \"http://10.0.0.7\": services over HTTP are not supported yet"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntargets = [\"10.0.0.7:80\", \"10.0.0.8:80\"]",
        &["4:27: more than one target is not supported yet"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"\npassword = \"x\"",
        &["5:1: \"password\" in [service.a] is not supported yet"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"\nproxy_protocol = { send = \"v1\" }",
        &["5:1: \"proxy_protocol\" in [service.a] is not supported yet"],
    ),
    ("[api]\ntls = true", &["2:1: \"tls\" in [api] is not supported yet"]),
    (
        "[[sink]]\nkind = \"syslog\"\naddress = \"udp://127.0.0.1:514\"",
        &[
            "2:8: kind \"syslog\" is not supported yet",
            "3:1: \"address\" in [sink] is not supported yet",
        ],
    ),
    // Types and ranges.
    ("data_dir = 5", &["1:12: data_dir takes a string, not an integer"]),
    ("data_dir = \"\"", &["1:12: data_dir is empty"]),
    ("kernel = 5", &["1:10: kernel takes a table, not an integer"]),
    ("[kernel]\nrequired = \"yes\"", &["2:12: required takes true or false, not a string"]),
    ("[kernel]\nmax_flows = 10", &["2:13: max_flows must be from 1024 to 16777216"]),
    (
        "[kernel]\nmax_flows = 99999999999999999999",
        &["2:13: max_flows must be from 1024 to 16777216"],
    ),
    ("[kernel]\nmax_flows = 1.5", &["2:13: max_flows takes an integer, not a float"]),
    (
        "[kernel]\ninterfaces = \"eth0\"",
        &["2:14: interfaces takes an array of strings, not a string"],
    ),
    ("[kernel]\ninterfaces = [\"eth0\", 5]", &["2:23: interfaces takes strings, not an integer"]),
    ("[kernel]\ninterfaces = [\"a/b\"]", &["2:15: interfaces: \"a/b\" names no interface"]),
    (
        "[kernel]\nhook = \"xdp\"",
        &[
            "2:8: hook is \"auto\" or \"tc\" or \"xdp-native\" or \"xdp-generic\", not \"xdp\"; did you mean \"xdp-native\"?",
        ],
    ),
    (
        "[kernel]\nhook = { eth0 = \"no\" }",
        &["2:17: hook is \"auto\" or \"tc\" or \"xdp-native\" or \"xdp-generic\", not \"no\""],
    ),
    ("[geoip]\nstale_after_days = 3", &["1:2: [geoip] has no database: the path of an MMDB file"]),
    (
        "[geoip]\ndatabase = \"/a\"\nupdate = { url = \"ftp://x\" }",
        &["3:18: url takes an http:// or https:// URL, not \"ftp://x\""],
    ),
    (
        "[geoip]\ndatabase = \"/a\"\nupdate = { every = \"7d\" }",
        &["3:1: [geoip.update] has no url"],
    ),
    (
        "[log]\nkeep = \"soon\"",
        &["2:8: keep takes a duration like \"7d\", \"forever\" or \"none\", not \"soon\""],
    ),
    ("[log]\nmax_bytes = \"8 gib\"", &["2:13: max_bytes takes a size like \"512MiB\" or \"8GiB\""]),
    (
        "[log]\non_overload = \"blok\"",
        &["2:15: on_overload is \"block\" or \"drop\", not \"blok\"; did you mean \"block\"?"],
    ),
    ("[log]\ncommit_interval_ms = 0", &["2:22: commit_interval_ms must be from 1 to 60000"]),
    // The API and sinks.
    (
        "[api]\nlisten = \"0.0.0.0:8790\"",
        &["2:10: the API beyond loopback needs tls, which is not supported yet"],
    ),
    ("[api]\nlisten = \"8790\"", &["2:10: listen takes \"ADDRESS:PORT\", not \"8790\""]),
    ("[api]\ndomain = \"a b\"", &["2:10: domain \"a b\" is no host name"]),
    (
        "[api]\nallow = [\"10.0.0.1/8\"]",
        &["2:10: allow: \"10.0.0.1/8\" has bits set after its prefix; 10.0.0.0/8 is the prefix"],
    ),
    ("[[sink]]\npath = \"-\"", &["1:1: [[sink]] has no kind: \"jsonl\""]),
    ("[[sink]]\nkind = \"jsonl\"", &["1:1: [[sink]] has no path: of a file, or \"-\" for stdout"]),
    (
        "[[sink]]\nkind = \"jsonl\"\npath = \"-\"\nfilter = { verdict = [\"no\"] }",
        &["4:23: verdict is \"allowed\" or \"denied\" or \"error\", not \"no\""],
    ),
    ("sink = 5", &["1:8: sink takes tables: [[sink]]"]),
    // Prefixes and countries.
    (
        "[global_access]\nblocked_cidrs = [\"203.0.113.7/24\"]",
        &[
            "2:18: blocked_cidrs: \"203.0.113.7/24\" has bits set after its prefix; 203.0.113.0/24 is the prefix",
        ],
    ),
    (
        "[global_access]\nblocked_cidrs = [\"300.0.0.0/8\"]",
        &[
            "2:18: blocked_cidrs: \"300.0.0.0/8\" is neither an address nor a prefix like 192.0.2.0/24",
        ],
    ),
    (
        "[global_access]\nallowed_countries = [\"UK\"]",
        &["2:22: allowed_countries: \"UK\" is no country: ISO 3166-1 alpha-2 codes like \"DE\""],
    ),
    ("[global_access]\nmode = \"off\"", &["2:8: mode is \"enforce\" or \"observe\", not \"off\""]),
    ("[global_access]\nmatch = \"some\"", &["2:9: match is \"all\" or \"any\", not \"some\""]),
    (
        "[global_access]\ndeny = \"reject\"",
        &["2:8: deny is \"drop\" or \"reset\", not \"reject\"; did you mean \"reset\"?"],
    ),
    // Services.
    (
        "[service.SSH]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"",
        &["1:10: \"SSH\": a service's name is 1 to 63 of a-z, 0-9 and -, and begins with no -"],
    ),
    ("[service]\nssh = 5", &["2:7: service.ssh takes a table"]),
    (
        "[service.a]\nlisten = 22\ntarget = \"host\"",
        &["1:10: [service.a] has no mode: write mode = \"tcp\""],
    ),
    (
        "[service.a]\nmode = \"ssh\"\nlisten = 22\ntarget = \"host\"",
        &["2:8: mode is \"tcp\", not \"ssh\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\ntarget = \"host\"",
        &["1:10: [service.a] has no listen: a port, say"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22",
        &["1:10: [service.a] has no target: \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 0\ntarget = \"host\"",
        &[
            "3:10: listen takes a port, \":PORT\", \"0.0.0.0:PORT\", \"[::]:PORT\" or \"ADDRESS:PORT\", or an array of them",
        ],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = [22, \"x\"]\ntarget = \"host\"",
        &[
            "3:15: listen takes a port, \":PORT\", \"0.0.0.0:PORT\", \"[::]:PORT\" or \"ADDRESS:PORT\", or an array of them",
        ],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"10.0.0.300:5\"",
        &["4:10: target \"10.0.0.300:5\" is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"0.0.0.0:5\"",
        &["4:10: target \"0.0.0.0:5\" is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db\"",
        &["4:10: target \"db\" is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\ntargets = [\"host\"]",
        &["5:1: target and targets are two forms of one thing"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nidle_timeout = \"1 hour\"",
        &["5:16: idle_timeout takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"1 hour\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nconnect_timeout = \"0s\"",
        &["5:19: connect_timeout takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"0s\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nmax_connections = 0",
        &["5:19: max_connections must be from 1 to 1000000"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\ndomain = \"-\"",
        &["5:10: domain \"-\" is no host name"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = [\"DE\", \"203.0.113.300\"]",
        &["5:16: allow: \"203.0.113.300\" is neither an address nor a prefix like 192.0.2.0/24"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = [\"QQ\"]",
        &["5:10: allow: \"QQ\" is no country: ISO 3166-1 alpha-2 codes like \"DE\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = [\"germany\"]",
        &["5:10: allow: \"germany\" is neither an address, a prefix nor a country code"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = [\"DE\"]\n[service.a.access]\nallowed_countries = [\"FR\"]",
        &["5:1: allow and access.allowed_countries are two forms of one thing"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nblock = [\"DE\"]\n[service.a.access]\nblocked_cidrs = [\"10.0.0.0/8\"]",
        &["5:1: block and access.blocked_cidrs are two forms of one thing"],
    ),
    // Services and each other.
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\n[service.b]\nmode = \"tcp\"\nlisten = \"127.0.0.1:22\"\ntarget = \"db:5\"",
        &["7:10: port 22 is service a's already (F:3:10)"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = [22, \":22\"]\ntarget = \"host\"",
        &["3:15: port 22 is service a's already (F:3:11)"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 8790\ntarget = \"host\"",
        &["3:10: port 8790 is the API's already (F:1:1)"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 5000\ntarget = \"127.0.0.1:5000\"",
        &["4:10: the target is a listener of service a"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = \"192.0.2.1:50\"\ntarget = \"localhost:60\"\n[service.b]\nmode = \"tcp\"\nlisten = 60\ntarget = \"192.0.2.1:50\"",
        &[
            "4:10: the target is a listener of service b",
            "8:10: the target is a listener of service a",
        ],
    ),
];

#[test]
fn every_fault_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (text, expected) in FAULTS {
        let (_dir, path) = files(text, &[]);
        let faults = load(&path).expect_err(text);
        let prefix = format!("{}:", path.display());
        let told: Vec<String> = faults
            .0
            .iter()
            .map(|f| f.to_string().trim_start_matches(&prefix).replace(&prefix, "F:"))
            .collect();
        if told != *expected {
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
}
