//! Faults of services, and of services with each other.

use super::Faulty;

pub(super) const FAULTS: &[Faulty] = &[
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
        &["2:8: mode is \"http\" or \"tcp\" or \"udp\" or \"tls\", not \"ssh\""],
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
        "[service.a]\nmode = \"tcp\"\nlisten = []\ntarget = \"host\"",
        &["3:1: listen is empty: a port, say"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = true\ntarget = \"host\"",
        &[
            "3:10: listen takes a port, \":PORT\", \"0.0.0.0:PORT\", \"[::]:PORT\" or \"ADDRESS:PORT\", or an array of them",
        ],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntargets = []",
        &["4:1: targets is empty: \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = 5",
        &["4:10: target takes a string, not an integer"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntargets = [5]",
        &["4:12: targets takes strings, not an integer"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nenabled = 1",
        &["5:11: enabled takes true or false, not an integer"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\naccess = { deny = \"no\" }",
        &["5:19: deny is \"drop\" or \"reset\", not \"no\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\naccess = { mode = \"off\" }",
        &["5:19: mode is \"enforce\" or \"observe\", not \"off\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\naccess = \"DE\"",
        &["5:10: access takes a table, not a string"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nallow = \"DE\"",
        &["5:9: allow takes an array of strings, not a string"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"host\"\nenabled = false\nalow = []",
        &["6:1: unknown key \"alow\" in [service.a]; did you mean \"allow\"?"],
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
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nidle_timeout = \"36501d\"",
        &["5:16: idle_timeout is longer than 100 years"],
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
    // Several targets.
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntargets = [\"db:5\", \"host\"]",
        &["4:20: \"host\" stands alone: the host's own process, or targets"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntargets = [\"db:5\", \"10.0.0.5:5\", \"DB:5\"]",
        &["4:34: target \"DB:5\" is there twice"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntargets = [\"db:5\", \"db\"]",
        &["4:20: target \"db\" is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nbalance = \"leastconn\"",
        &[
            "5:11: balance is \"round_robin\" or \"least_conn\" or \"source_hash\", not \"leastconn\"; did you mean \"least_conn\"?",
        ],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nhealth = { interval = \"1s\", timeout = \"2s\" }",
        &["5:29: health.timeout is longer than health.interval"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nhealth = { intervall = \"1s\" }",
        &["5:12: unknown key \"intervall\" in [service.a.health]; did you mean \"interval\"?"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 22\ntarget = \"db:5\"\nhealth = \"10s\"",
        &["5:10: health takes a table, not a string"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 50\ntargets = [\"db:5\", \"127.0.0.1:8790\", \"localhost:50\"]",
        &["4:20: the target is the API's listener", "4:38: the target is a listener of service a"],
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
    (
        "[api]\nlisten = \"127.0.0.1:99\"\n[service.a]\nmode = \"tcp\"\nlisten = \"127.0.0.1:99\"\ntarget = \"host\"",
        &["5:10: port 99 is the API's already (F:2:1)"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"localhost:8790\"",
        &["4:10: the target is the API's listener"],
    ),
    (
        "[api]\nlisten = \"[::1]:99\"\n[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"[::1]:99\"",
        &["6:10: the target is the API's listener"],
    ),
];
