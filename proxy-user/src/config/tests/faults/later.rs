//! What later versions bring: refused by name, never left out.

use super::Faulty;

/// A line of a service that is as it should be otherwise, and the key in it.
macro_rules! of_service {
    ($line:literal, $key:literal) => {
        of_service!($line, $key, "5:1")
    };
    ($line:literal, $key:literal, $place:literal) => {
        (
            concat!("[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"\n", $line),
            &[concat!($place, ": \"", $key, "\" in [service.a] is not supported yet")],
        )
    };
}

pub(super) const FAULTS: &[Faulty] = &[
    // Tables.
    ("[tls]\nacme = \"a@b.c\"", &["1:2: \"tls\" in the top level is not supported yet"]),
    ("[http]", &["1:2: \"http\" in the top level is not supported yet"]),
    ("[sso.corp]", &["1:2: \"sso\" in the top level is not supported yet"]),
    ("[kernel]\nnat_ports = \"1-2\"", &["2:1: \"nat_ports\" in [kernel] is not supported yet"]),
    ("[kernel]\nnat_addresses = []", &["2:1: \"nat_addresses\" in [kernel] is not supported yet"]),
    ("[api]\ntls = true", &["2:1: \"tls\" in [api] is not supported yet"]),
    ("[api.tls]\ncert = \"/a\"", &["1:1: tls takes true or false, not a table"]),
    (
        "[[sink]]\nkind = \"syslog\"\naddress = \"udp://127.0.0.1:514\"",
        &[
            "2:8: kind \"syslog\" is not supported yet",
            "3:1: \"address\" in [sink] is not supported yet",
        ],
    ),
    // Modes.
    (
        "[service.a]\nmode = \"http\"\nlisten = 80\ntarget = \"10.0.0.7:80\"",
        &["2:8: mode \"http\" is not supported yet"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"http://10.0.0.7\"",
        &["4:10: target \"http://10.0.0.7\": HTTP services are not supported yet"],
    ),
    (
        "[service.wiki]\ndomain = \"wiki.example.com\"\ntarget = \"http://10.0.0.7:8080\"\npassword = \"$argon2id$\"",
        &[
            "3:10: target \"http://10.0.0.7:8080\": HTTP services are not supported yet",
            "4:1: \"password\" in [service.wiki] is not supported yet",
        ],
    ),
    (
        "[service.wiki]\ntargets = [\"https://10.0.0.7\"]",
        &["2:12: target \"https://10.0.0.7\": HTTP services are not supported yet"],
    ),
    // Keys of services.
    of_service!("forward = \"auto\"", "forward"),
    of_service!("source = \"proxy\"", "source"),
    of_service!("tls = true", "tls"),
    of_service!("redirect_http = true", "redirect_http"),
    of_service!("pass_host_header = true", "pass_host_header"),
    of_service!("rewrite_redirects = true", "rewrite_redirects"),
    of_service!("password = \"$argon2id$\"", "password"),
    of_service!("pin = \"$argon2id$\"", "pin"),
    of_service!("sso = \"corp\"", "sso"),
    of_service!("headers = []", "headers"),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"\nhealth = { path = \"/\" }",
        &["5:12: \"path\" in [service.a.health] is not supported yet"],
    ),
    of_service!("[[service.a.route]]\npath = \"/\"", "route", "5:13"),
    of_service!("[service.a.auth]\nsession_lifetime = \"24h\"", "auth", "5:12"),
];
