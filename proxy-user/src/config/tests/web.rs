//! What valid services over HTTP mean, and what is said for all of them.

use std::time::Duration;

use super::{config_with, published, read, warnings, web_of};
use crate::config::{Balance, Denial, Listen, ListenAddress, Lockout, Mode, Route, SecretHash};

fn any(port: u16) -> Listen {
    Listen { address: ListenAddress::Any, port }
}

#[test]
fn a_site_behind_a_password_takes_four_lines() {
    let wiki = published(
        "[service.wiki]\ndomain = \"Wiki.example.com\"\ntarget = \"http://10.0.0.7:8080\"\n\
         password = \"HASH\"\n",
    );
    assert_eq!((wiki.mode, wiki.host()), (Mode::Http, "wiki.example.com"));
    assert_eq!(wiki.listen, [any(443)]);
    assert_eq!(wiki.idle_timeout, Duration::from_hours(1));
    assert_eq!(wiki.redirect_listen().collect::<Vec<_>>(), [any(80)]);
    let web = wiki.web().unwrap();
    assert!(web.tls && web.redirect_http && web.pass_host_header && web.rewrite_redirects);
    let [route] = web.routes.as_slice() else { panic!("{:?}", web.routes) };
    assert_eq!(
        (route.path.as_str(), route.targets[0].to_string()),
        ("/", "http://10.0.0.7:8080".into())
    );
    assert_eq!((route.timeout, &route.health), (Duration::from_mins(1), &None));
    assert!(!route.public && !route.strip_prefix && !route.skip_tls_verify);
    let auth = web.auth.as_ref().unwrap();
    assert_eq!(auth.password, Some(SecretHash::Argon2id(super::HASH.into())));
    assert_eq!(auth.session_lifetime, Duration::from_hours(24));
    assert_eq!(auth.lockout, Lockout::default());
    assert!(auth.pin.is_none() && auth.sso.is_none() && auth.headers.is_empty());
}

#[test]
fn the_mode_follows_from_targets_and_routes() {
    let domain = "[service.a]\ndomain = \"a.example.com\"\n";
    for lines in [
        "target = \"https://10.0.0.7\"",
        "target = \"h2c://10.0.0.7\"",
        "targets = [\"HTTP://10.0.0.7\", \"http://b\"]",
        "mode = \"http\"\ntarget = \"http://10.0.0.7\"",
        "route = [{ path = \"/\", target = \"http://10.0.0.7\" }]",
    ] {
        assert_eq!(published(&format!("{domain}{lines}\n")).mode, Mode::Http, "{lines}");
    }
}

#[test]
fn without_tls_it_listens_on_port_80_and_redirects_nothing() {
    let plain = published(
        "[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\ntls = false\n",
    );
    assert_eq!(plain.listen, [any(80)]);
    assert!(!plain.web().unwrap().tls && !plain.web().unwrap().redirect_http);
}

#[test]
fn redirects_are_for_port_443_and_can_be_switched_off() {
    let redirects = |lines: &str| {
        let start = "[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n";
        published(&format!("{start}{lines}\n")).redirect_listen().collect::<Vec<_>>()
    };
    assert_eq!(redirects("redirect_http = false"), []);
    assert_eq!(redirects("listen = 8443"), []);
    let one = ListenAddress::One([192, 0, 2, 1].into());
    assert_eq!(
        redirects("listen = [\"192.0.2.1:443\", \":8443\"]"),
        [Listen { address: one, port: 80 }]
    );
}

#[test]
fn routes_are_in_the_order_in_which_they_match() {
    let text = r#"
        [service.app]
        domain = "*.example.com"
        targets = ["http://10.0.0.7", "http://10.0.0.8"]
        balance = "least_conn"
        health = { interval = "5s", path = "/healthz?deep=1" }
        pass_host_header = false
        rewrite_redirects = false
        [[service.app.route]]
        path = "/api"
        target = "https://10.0.0.9:8443"
        strip_prefix = true
        public = true
        request_headers = { "X-Env" = "prod", authorization = "Basic eDp5" }
        timeout = "5s"
        skip_tls_verify = true
        [[service.app.route]]
        path = "/api/v2/"
        target = "http://v2"
    "#;
    let web = web_of(text);
    let paths: Vec<&str> = web.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/api/v2", "/api", "/"]);
    assert!(!web.pass_host_header && !web.rewrite_redirects && web.auth.is_none());
    let api = &web.routes[1];
    assert!(api.strip_prefix && api.public && api.skip_tls_verify);
    assert_eq!(api.timeout, Duration::from_secs(5));
    let headers: Vec<_> =
        api.request_headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(headers, [("x-env", &b"prod"[..]), ("authorization", b"Basic eDp5")]);
    let health = |route: &Route| {
        let health = route.health.as_ref().unwrap();
        (health.health.interval, health.health.timeout, health.path.clone())
    };
    let seconds = Duration::from_secs;
    for route in &web.routes {
        assert_eq!(health(route), (seconds(5), seconds(2), "/healthz?deep=1".into()));
        assert_eq!(route.balance, Balance::LeastConn);
    }
}

#[test]
fn several_targets_are_asked_for_their_root() {
    let web =
        web_of("[service.a]\ndomain = \"a.example.com\"\ntargets = [\"http://a\", \"http://b\"]\n");
    let health = web.routes[0].health.as_ref().unwrap();
    assert_eq!((health.path.as_str(), health.health.interval), ("/", Duration::from_secs(10)));
}

#[test]
fn trusted_proxies_are_prefixes() {
    let http = config_with("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\n", &[]).http;
    let shown: Vec<String> = http.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32"]);
}

#[test]
fn services_over_http_share_ports_by_name() {
    let site = |name: &str, rest: &str| {
        format!("[service.{name}]\ntarget = \"http://10.0.0.7\"\n{rest}\n")
    };
    let text = [
        site("a", "domain = \"a.example.com\""),
        site("any", "domain = \"*.example.com\""),
        site("plain", "domain = \"a.example.com\"\ntls = false"),
        site("plain-b", "domain = \"b.example.com\"\ntls = false"),
        "[service.mail]\nmode = \"tls\"\nlisten = 443\ndomain = \"m.org\"\ntarget = \"m:1\"\n"
            .into(),
        "[service.rest]\nmode = \"tcp\"\nlisten = 443\ntarget = \"r:1\"\n".into(),
        "[service.quic]\nmode = \"udp\"\nlisten = [80, 443]\ntarget = \"r:1\"\n".into(),
    ];
    let loaded = read(&text.concat()).unwrap();
    assert_eq!(loaded.config.services.len(), 7);
    let redirects = loaded.warnings.iter().filter(|w| w.message.contains("redirected"));
    assert_eq!(redirects.count(), 0, "{:?}", loaded.warnings);
}

/// What all services are told to do with a denial is not what one over HTTP does.
#[test]
fn a_request_that_is_denied_is_answered() {
    let site = "[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n";
    assert_eq!(published(&format!("[global_access]\ndeny = \"reset\"\n{site}")).deny, Denial::Drop);
}

#[test]
fn a_redirect_that_cannot_be_is_warned_about() {
    let site = "[service.a]\ndomain = \"a.example.com\"\ntarget = \"http://10.0.0.7\"\n\
                allow = [\"::/0\"]\nredirect_http = true\n";
    assert_eq!(warnings(site), [""; 0]);
    let no = |at: usize, owner: &str, warned: &[String]| {
        let end = ", so that http://a.example.com is not redirected";
        assert!(
            warned.iter().any(
                |w| w.starts_with(&format!("{at}: port 80 is {owner}'s (")) && w.ends_with(end)
            ),
            "{warned:?}"
        );
    };
    let tcp = "[service.b]\nmode = \"tcp\"\nlisten = \"192.0.2.1:80\"\ntarget = \"db:1\"\n";
    no(5, "service b", &warnings(&format!("{site}{tcp}")));
    no(7, "the API", &warnings(&format!("[api]\nlisten = \"127.0.0.1:80\"\n{site}")));
    let plain = |accept: &str| {
        format!(
            "[service.b]\ndomain = \"b.example.com\"\ntarget = \"http://10.0.0.8\"\ntls = false\n\
             allow = [\"::/0\"]\nproxy_protocol = {{ accept_from = [\"{accept}\"] }}\n"
        )
    };
    let behind = format!("{site}proxy_protocol = {{ accept_from = [\"10.0.0.1\"] }}\n");
    assert_eq!(warnings(&format!("{behind}{}", plain("10.0.0.1"))), [""; 0]);
    let [warned] = &warnings(&format!("{behind}{}", plain("10.0.0.2")))[..] else { panic!() };
    assert!(warned.starts_with("5: port 80 is shared with service b by Host ("), "{warned}");
    let end = "accept_from is another and holds for http://a.example.com too";
    assert!(warned.ends_with(end), "{warned}");
    let elsewhere = "listen = 8443\n";
    assert_eq!(
        warnings(&format!("{site}{elsewhere}")),
        ["5: redirect_http has no effect: it is for https:// at port 443"]
    );
}
