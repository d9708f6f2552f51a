//! Faults of everything but services.

use super::Faulty;

pub(super) const FAULTS: &[Faulty] = &[
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
    (
        "[geoip]\ndatabase = \"/a\"\nupdate = { url = \"ftp://x\" }",
        &["3:18: url takes an http:// or https:// URL, not \"ftp://x\""],
    ),
    ("[geoip]\nstale_after_days = 0", &["2:20: stale_after_days must be from 1 to 3650"]),
    (
        "[geoip]\nupdate = { url = \"https://\" }",
        &["2:18: url takes an http:// or https:// URL, not \"https://\""],
    ),
    (
        "[geoip]\nupdate = { url = \"https://x\", sha256_url = \"x\" }",
        &["2:44: sha256_url takes an http:// or https:// URL, not \"x\""],
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
    (
        "[log]\non_store_failure = \"halt\"",
        &["2:20: on_store_failure is \"proxy\" or \"refuse\", not \"halt\""],
    ),
    (
        "[log]\nmax_bytes = \"1GiB\"\nnoise_max_bytes = \"1GiB\"",
        &[
            "3:1: noise_max_bytes is part of max_bytes and must be less: nothing would be left for records of what was served",
        ],
    ),
    (
        "[log]\nnoise_max_bytes = \"9GiB\"",
        &[
            "2:1: noise_max_bytes is part of max_bytes and must be less: nothing would be left for records of what was served",
        ],
    ),
    (
        "[log]\ndeny_records_per_second = -1",
        &["2:27: deny_records_per_second must be from 0 to 1000000"],
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
    ("[[sink]]\npath = \"-\"", &["1:1: [[sink]] has no kind: \"jsonl\" or \"syslog\""]),
    ("[[sink]]\nkind = \"jsonl\"", &["1:1: [[sink]] has no path: of a file, or \"-\" for stdout"]),
    (
        "[[sink]]\nkind = \"jsonl\"\npath = \"-\"\nfilter = { verdict = [\"no\"] }",
        &["4:23: verdict is \"allowed\" or \"denied\" or \"error\", not \"no\""],
    ),
    (
        "[[sink]]\nkind = \"syslog\"\npath = \"/a\"",
        &[
            "1:1: [[sink]] has no address: \"udp://HOST:PORT\", \"tcp://HOST:PORT\" or \"unix:///PATH\"",
            "3:1: \"path\" is not of kind \"syslog\", which has \"address\"",
        ],
    ),
    (
        "[[sink]]\nkind = \"syslog\"\naddress = \"udp://log\"",
        &[
            "3:11: address takes \"udp://HOST:PORT\", \"tcp://HOST:PORT\" or \"unix:///PATH\", not \"udp://log\"",
        ],
    ),
    (
        "[[sink]]\nkind = \"syslog\"\naddress = \"unix://log\"",
        &[
            "3:11: address takes \"udp://HOST:PORT\", \"tcp://HOST:PORT\" or \"unix:///PATH\", not \"unix://log\"",
        ],
    ),
    (
        "[[sink]]\nkind = \"jsonl\"\naddress = \"tcp://log:514\"\npath = \"-\"",
        &["3:1: \"address\" is not of kind \"jsonl\", which has \"path\""],
    ),
    ("sink = 5", &["1:8: sink takes tables: [[sink]]"]),
    ("[api]\ncontrol_group = 5", &["2:17: control_group takes a string, not an integer"]),
    (
        "[api]\nlisten = \"127.0.0.1:0\"",
        &["2:10: listen takes \"ADDRESS:PORT\", not \"127.0.0.1:0\""],
    ),
    ("[[sink]]\nkind = \"kafka\"", &["2:8: kind is \"jsonl\" or \"syslog\", not \"kafka\""]),
    (
        "[[sink]]\nkind = \"jsonl\"\npath = \"-\"\nfilter = { service = [\"a\"] }",
        &["4:12: unknown key \"service\" in [sink.filter]; the top level has such a key"],
    ),
    // Prefixes and countries.
    (
        "[global_access]\ncountry_exempt_cidrs = [\"x\"]",
        &["2:25: country_exempt_cidrs: \"x\" is neither an address nor a prefix like 192.0.2.0/24"],
    ),
    (
        "[global_access]\nnever_deny_cidrs = [\"::ffff:192.0.2.1/120\"]",
        &[
            "2:21: never_deny_cidrs: \"::ffff:192.0.2.1/120\" has bits set after its prefix; 192.0.2.0/24 is the prefix",
        ],
    ),
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
];
