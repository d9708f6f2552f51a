//! Faults of `udp` and `tls` services, of the PROXY protocol, and of shared ports.

use super::Faulty;

/// Two services on one port: the first as given, the second at lines 6 and on.
macro_rules! beside {
    ($first:literal, $second:literal) => {
        concat!(
            "[service.a]\nmode = \"tls\"\nlisten = 443\ntarget = \"10.0.0.7:443\"\n",
            $first,
            "\n[service.b]\ntarget = \"10.0.0.8:443\"\n",
            $second
        )
    };
}

pub(super) const FAULTS: &[Faulty] = &[
    // Names.
    (
        "[service.a]\nmode = \"tls\"\nlisten = 443\ntarget = \"db:5\"",
        &["1:10: [service.a] has no domain: the name that its clients ask for"],
    ),
    (
        "[service.a]\nmode = \"tls\"\nlisten = 443\ntarget = \"db:5\"\ndomain = \"*.*.example.com\"",
        &["5:10: domain \"*.*.example.com\" is no host name"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 443\ntarget = \"db:5\"\ndomain = \"*.example.com\"",
        &["5:10: domain \"*.example.com\" is no host name"],
    ),
    (
        "[service.a]\nmode = \"tls\"\nlisten = 443\ntarget = \"host\"\ndomain = \"a.example.com\"",
        &["4:10: target = \"host\" is for tcp and udp services"],
    ),
    // The PROXY protocol.
    (
        "[service.a]\nmode = \"udp\"\nlisten = 53\ntarget = \"db:5\"\nproxy_protocol = { send = \"v1\" }",
        &["5:1: proxy_protocol is for tcp, tls and http services that Weir listens for"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 53\ntarget = \"host\"\nproxy_protocol = { accept_from = [\"10.0.0.7\"] }",
        &["5:1: proxy_protocol is for tcp, tls and http services that Weir listens for"],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 53\ntarget = \"db:5\"\nproxy_protocol = { send = \"v3\" }",
        &["5:27: send is \"off\" or \"v1\" or \"v2\", not \"v3\""],
    ),
    (
        "[service.a]\nmode = \"tcp\"\nlisten = 53\ntarget = \"db:5\"\nproxy_protocol = { accept_from = [\"10.0.0.7/8\"], sent = \"v1\" }",
        &[
            "5:35: accept_from: \"10.0.0.7/8\" has bits set after its prefix; 10.0.0.0/8 is the prefix",
            "5:50: unknown key \"sent\" in [service.a.proxy_protocol]; did you mean \"send\"?",
        ],
    ),
    // Shared ports.
    (
        beside!("domain = \"x.org\"", "mode = \"tls\"\nlisten = 443\ndomain = \"X.org\""),
        &["9:10: port 443 is shared with service a by server name (F:3:10), and so is the domain"],
    ),
    (
        beside!(
            "domain = \"x.org\"",
            "mode = \"tls\"\nlisten = \"192.0.2.1:443\"\ndomain = \"y.org\""
        ),
        &[
            "9:10: port 443 is shared with service a by server name (F:3:10), which takes the same listen entry",
        ],
    ),
    (
        beside!(
            "domain = \"x.org\"",
            "mode = \"tcp\"\nlisten = 443\nproxy_protocol = { accept_from = [\"10.0.0.7\"] }"
        ),
        &[
            "9:10: port 443 is shared with service a by server name (F:3:10), which takes the same proxy_protocol.accept_from",
        ],
    ),
    (
        beside!(
            "domain = \"x.org\"",
            "mode = \"tcp\"\nlisten = 443\naccess = { deny = \"reset\" }"
        ),
        &[
            "9:10: port 443 is shared with service a by server name (F:3:10), where deny = \"reset\" is not possible",
        ],
    ),
    (
        beside!(
            "domain = \"x.org\"\n[service.c]\nmode = \"tcp\"\nlisten = 443\ntarget = \"db:5\"",
            "mode = \"tcp\"\nlisten = 443"
        ),
        &["13:10: port 443 is service c's already (F:8:10)"],
    ),
    (
        "[service.a]\nmode = \"udp\"\nlisten = 53\ntarget = \"127.0.0.1:53\"",
        &["4:10: the target is a listener of service a"],
    ),
];
