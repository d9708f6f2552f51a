//! Faults of services over HTTP, but for who may use them.

use super::Faulty;

/// A service over HTTP that is as it should be, and a line of it, the fourth.
macro_rules! site {
    ($line:literal) => {
        concat!("[service.a]\ndomain = \"a.org\"\ntarget = \"http://db\"\n", $line)
    };
}

/// A service with a route that has its path and a further line, the fifth.
macro_rules! route {
    ($path:literal, $line:literal) => {
        concat!(
            "[service.a]\ndomain = \"a.org\"\n[[service.a.route]]\npath = \"",
            $path,
            "\"\n",
            $line
        )
    };
}

/// A path of a route, and what is wrong with it.
macro_rules! path {
    ($path:literal, $shown:literal, $why:literal) => {
        (
            route!($path, "target = \"http://db\""),
            &[concat!("4:8: path ", $shown, " ", $why)] as &[&str],
        )
    };
}

/// Two services on one port; the first has a domain.
macro_rules! beside {
    ($first:literal, $second:literal) => {
        concat!("[service.a]\ndomain = \"a.org\"\n", $first, "\n[service.b]\n", $second)
    };
}

pub(super) const FAULTS: &[Faulty] = &[
    // What it needs.
    (
        "[service.a]\ntarget = \"http://db\"",
        &["1:10: [service.a] has no domain: the name that its clients ask for"],
    ),
    (
        "[service.a]\ndomain = \"a b\"\ntarget = \"http://db\"",
        &["2:10: domain \"a b\" is no host name"],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\nmode = \"http\"",
        &["1:10: [service.a] has no target: a URL like \"http://10.0.0.7:8080\""],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\nmode = \"http\"\ntargets = []",
        &["4:1: targets is empty: a URL like \"http://10.0.0.7:8080\""],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\nmode = \"htp\"\ntarget = \"http://db\"",
        &[
            "3:8: mode is \"http\" or \"tcp\" or \"udp\" or \"tls\", not \"htp\"; did you mean \"http\"?",
        ],
    ),
    // Targets.
    (
        "[service.a]\ndomain = \"a.org\"\nmode = \"http\"\ntarget = \"10.0.0.7:80\"",
        &[
            "4:10: target \"10.0.0.7:80\" is not a URL like \"http://10.0.0.7:8080\", with http, https or h2c",
        ],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\nmode = \"http\"\ntarget = \"host\"",
        &["4:10: target = \"host\" is for tcp and udp services"],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\ntargets = [\"http://db\", \"https://db/x\", \"http://u:p@db\", \"http://DB/\"]",
        &[
            "3:25: target \"https://db/x\" goes on after its host: path and strip_prefix of a route say which paths it gets",
            "3:41: target \"http://u:p@db\" holds a user or a password: request_headers of a route can hold an Authorization",
            "3:58: target \"http://DB/\" is there twice",
        ],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\ntarget = \"http://10.0.0.300\"",
        &["3:10: target \"http://10.0.0.300\" names no host"],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\ntarget = \"http://db:0\"",
        &["3:10: target \"http://db:0\" is not a URL like \"http://10.0.0.7:8080\""],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\ntarget = \"https://localhost\"",
        &["3:10: the target is a listener of service a"],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\ntarget = \"http://127.0.0.1:8790\"",
        &["3:10: the target is the API's listener"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"http://10.0.0.7\"",
        &["4:10: target \"http://10.0.0.7\" is for http services: mode = \"http\""],
    ),
    // Routes.
    (
        "[service.a]\ndomain = \"a.org\"\nroute = 5",
        &["3:9: route takes tables: [[service.a.route]]"],
    ),
    ("[service.a]\ndomain = \"a.org\"\nroute = []", &["3:9: route is empty: [[service.a.route]]"]),
    (
        "[service.a]\ndomain = \"a.org\"\nroute = [5]",
        &["3:10: route takes tables: [[service.a.route]]"],
    ),
    (
        "[service.a]\ndomain = \"a.org\"\n[[service.a.route]]\npth = \"/\"",
        &[
            "3:1: [[service.a.route]] has no path: \"/api\", say",
            "3:1: [service.a.route] has no target: a URL like \"http://10.0.0.7:8080\"",
            "4:1: unknown key \"pth\" in [service.a.route]; did you mean \"path\"?",
        ],
    ),
    (
        site!("[[service.a.route]]\npath = \"/\"\ntarget = \"http://web\""),
        &["5:1: the path \"/\" is routed at F:3:1 already"],
    ),
    (
        route!(
            "/a",
            "target = \"http://db\"\n[[service.a.route]]\npath = \"/a/\"\ntarget = \"http://web\""
        ),
        &["7:1: the path \"/a\" is routed at F:4:1 already"],
    ),
    path!("api", "\"api\"", "does not begin with \"/\""),
    path!("/a//b", "\"/a//b\"", "holds \"//\""),
    path!("/a/../b", "\"/a/../b\"", "holds a segment \".\" or \"..\""),
    path!("/%2E/b", "\"/%2E/b\"", "holds a segment \".\" or \"..\""),
    path!("/a%2Fb", "\"/a%2Fb\"", "holds %2f: requests with it are never routed"),
    path!("/a?b", "\"/a?b\"", "holds '?', which no path does"),
    path!("/a%b", "\"/a%b\"", "has a \"%\" that two hexadecimal digits do not follow"),
    path!("/%FF", "\"/%FF\"", "is not UTF-8 when decoded"),
    path!("/%00", "\"/%00\"", "holds a control character when decoded"),
    (
        route!(
            "/",
            "target = \"http://db\"\nrequest_headers = { \"X y\" = \"\", Host = \"a\", te = \"b\", x-weir-user = \"c\" }"
        ),
        &[
            "6:21: request_headers: \"X y\" is no name of a header",
            "6:33: request_headers: header \"Host\": pass_host_header says which Host a target gets",
            "6:45: request_headers: header \"te\" belongs to a connection, and goes no further",
            "6:55: request_headers: header \"x-weir-user\": X-Weir- headers are Weir's own",
        ],
    ),
    (
        route!(
            "/",
            "target = \"http://db\"\nrequest_headers = { A = \"\\u0001\", B = 5, C = \"\", c = \"\" }"
        ),
        &[
            "6:25: request_headers: \"A\" takes visible ASCII characters",
            "6:39: request_headers: \"B\" takes a string, not an integer",
            "6:50: request_headers: header \"c\" is there twice",
        ],
    ),
    (
        route!("/", "target = \"http://db\"\ntimeout = \"0s\"\npublic = 1"),
        &[
            "6:11: timeout takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"0s\"",
            "7:10: public takes true or false, not an integer",
        ],
    ),
    // What all routes share.
    (
        site!("health = { path = \"healthz\" }"),
        &["4:19: health.path takes a path like \"/healthz\", not \"healthz\""],
    ),
    (
        site!("health = { path = \"/a b\" }"),
        &["4:19: health.path takes a path like \"/healthz\", not \"/a b\""],
    ),
    (
        site!("access = { deny = \"reset\" }"),
        &["4:12: deny = \"reset\" is not for http services, whose denials are answers"],
    ),
    (
        site!("proxy_protocol = { send = \"v2\" }"),
        &[
            "4:1: proxy_protocol.send is for tcp and tls services: targets over HTTP get X-Forwarded-For",
        ],
    ),
    (
        site!("skip_tls_verify = true"),
        &[
            "4:1: unknown key \"skip_tls_verify\" in [service.a]; [service.NAME.route] has such a key",
        ],
    ),
    // What only services over HTTP have.
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"db:1\"\ntls = true\npin = \"x\"\nhealth = { path = \"/\" }\n[[service.a.route]]\npath = \"/\"",
        &[
            "5:1: tls is for http services",
            "6:1: pin is for http services",
            "7:19: health.path is for http services",
            "8:13: route is for http services",
        ],
    ),
    (
        "[service.a]\nmode = \"udp\"\nlisten = 1\ntarget = \"host\"\nsso = \"corp\"\nredirect_http = false\npass_host_header = true\nrewrite_redirects = true\n[service.a.auth]",
        &[
            "5:1: sso is for http services",
            "6:1: redirect_http is for http services",
            "7:1: pass_host_header is for http services",
            "8:1: rewrite_redirects is for http services",
            "9:12: auth is for http services",
        ],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"db\"\npassword = \"HASH\"",
        &[
            "4:10: target \"db\" is not \"host\", \"ADDRESS:PORT\" or \"NAME:PORT\"",
            "5:1: password is for http services",
        ],
    ),
    // Ports.
    (
        beside!("target = \"http://db\"", "domain = \"A.org\"\ntarget = \"http://db\""),
        &["4:10: port 443 is shared with service a by server name (F:1:10), and so is the domain"],
    ),
    (
        beside!(
            "target = \"http://db\"",
            "domain = \"a.org\"\nmode = \"tls\"\nlisten = 443\ntarget = \"db:1\""
        ),
        &["7:10: port 443 is shared with service a by server name (F:1:10), and so is the domain"],
    ),
    (
        beside!(
            "target = \"http://db\"\ntls = false",
            "domain = \"a.org\"\ntarget = \"http://db\"\ntls = false"
        ),
        &["5:10: port 80 is shared with service a by Host (F:1:10), and so is the domain"],
    ),
    (
        beside!(
            "target = \"http://db\"\ntls = false\nlisten = 443",
            "domain = \"b.org\"\ntarget = \"http://db\""
        ),
        &["6:10: port 443 is service a's already (F:5:10), and one of them has tls = false"],
    ),
    (
        beside!(
            "target = \"http://db\"\ntls = false",
            "mode = \"tcp\"\nlisten = 80\ntarget = \"db:1\""
        ),
        &["7:10: port 80 is service a's already (F:1:10)"],
    ),
    (
        beside!("target = \"http://db\"", "mode = \"tcp\"\nlisten = 443\ntarget = \"host\""),
        &["6:10: port 443 is service a's already (F:1:10)"],
    ),
    (
        beside!(
            "target = \"http://db\"",
            "domain = \"b.org\"\ntarget = \"http://db\"\nproxy_protocol = { accept_from = [\"10.0.0.7\"] }"
        ),
        &[
            "4:10: port 443 is shared with service a by server name (F:1:10), which takes the same proxy_protocol.accept_from",
        ],
    ),
    (
        beside!(
            "target = \"http://db\"",
            "domain = \"b.org\"\ntarget = \"http://db\"\nlisten = \"[::1]:443\""
        ),
        &[
            "7:10: port 443 is shared with service a by server name (F:1:10), which takes the same listen entry",
        ],
    ),
    (
        beside!(
            "target = \"http://db\"\nlisten = [443, 443]",
            "domain = \"b.org\"\ntarget = \"http://db\"\nlisten = 8443"
        ),
        &["4:16: port 443 is service a's already (F:4:11)"],
    ),
    (
        "[api]\nlisten = \"127.0.0.1:443\"\n[service.a]\ndomain = \"a.org\"\ntarget = \"http://db\"",
        &["3:10: port 443 is the API's already (F:2:1)"],
    ),
    // Proxies.
    (
        "[http]\ntrusted_proxies = [\"10.0.0.1/8\"]",
        &[
            "2:20: trusted_proxies: \"10.0.0.1/8\" has bits set after its prefix; 10.0.0.0/8 is the prefix",
        ],
    ),
    (
        "[http]\ntrusted = []",
        &["2:1: unknown key \"trusted\" in [http]; did you mean \"trusted_proxies\"?"],
    ),
];
