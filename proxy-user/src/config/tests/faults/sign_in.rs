//! Faults of who may use a service over HTTP, and of who signs users in.

use super::Faulty;

/// A service over HTTP that is as it should be, and lines of it, the fourth and on.
macro_rules! site {
    ($lines:literal) => {
        concat!("[service.a]\ndomain = \"a.org\"\ntarget = \"http://db\"\n", $lines)
    };
}

/// The same with a provider, whose table is lines 5 to 8.
macro_rules! sso {
    ($line:literal) => {
        concat!(
            "[service.a]\ndomain = \"a.org\"\ntarget = \"http://db\"\n",
            $line,
            "\n[sso.corp]\nissuer = \"https://idp.org\"\nclient_id = \"weir\"\n",
            "client_secret_file = \"DIR/secret\"\n"
        )
    };
}

/// A provider, of which lines 1 to 4 are as they should be, and nothing else.
macro_rules! provider {
    ($lines:literal) => {
        concat!(
            "[sso.corp]\nissuer = \"https://idp.org\"\nclient_id = \"weir\"\n",
            "client_secret_file = \"DIR/secret\"\n",
            $lines
        )
    };
}

pub(super) const FAULTS: &[Faulty] = &[
    // Hashes.
    (
        site!("password = \"secret\""),
        &["4:12: password: not an argon2id hash as \"weir hash\" prints it"],
    ),
    (
        site!("pin = \"sha256:00\""),
        &["4:7: pin: a sha256 of what people choose is soon guessed: use \"weir hash\""],
    ),
    (site!("password = 5"), &["4:12: password takes a string, not an integer"]),
    (
        site!(
            "auth.password = { hash = \"$argon2i$v=19$m=19456,t=2,p=1$c29tZSBzYWx0$aGFzaGhhc2g\" }"
        ),
        &["4:26: password.hash: not an argon2id hash as \"weir hash\" prints it"],
    ),
    (
        site!("auth.pin = { hsh = \"HASH\" }"),
        &[
            "4:6: [service.a.auth.pin] has no hash, as \"weir hash\" prints it",
            "4:14: unknown key \"hsh\" in [service.a.auth.pin]; did you mean \"hash\"?",
        ],
    ),
    (site!("auth.password = \"HASH\""), &["4:17: password takes a table, not a string"]),
    // The forms.
    (
        site!("password = \"HASH\"\nauth.password = { hash = \"HASH\" }"),
        &["4:1: password and auth.password are two forms of one thing"],
    ),
    (
        site!("[service.a.auth]\nsession_lifetime = \"1h\""),
        &["4:12: [service.a.auth] names nothing to sign in by: password, pin, headers, sso"],
    ),
    (site!("auth = true"), &["4:8: auth takes a table, not a boolean"]),
    (
        site!("pin = \"HASH\"\n[service.a.auth]\nsession_lifetime = \"a day\"\nlockouts = {}"),
        &[
            "6:20: session_lifetime takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"a day\"",
            "7:1: unknown key \"lockouts\" in [service.a.auth]; did you mean \"lockout\"?",
        ],
    ),
    (
        site!("pin = \"HASH\"\nauth.lockout = { attempts = 0, window = \"0s\", tries = 1 }"),
        &[
            "5:29: attempts must be from 1 to 1000",
            "5:41: window takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"0s\"",
            "5:47: unknown key \"tries\" in [service.a.auth.lockout]; [service.NAME] has a key \"targets\"",
        ],
    ),
    // Headers.
    (site!("auth.headers = []"), &["4:16: headers is empty: nobody could come by one"]),
    (
        site!("auth.headers = [5, {}]"),
        &[
            "4:17: headers takes tables: { name = \"X-Api-Key\", hash = \"sha256:...\" }",
            "4:20: an entry of headers has no hash",
            "4:20: an entry of headers has no name",
        ],
    ),
    (
        site!("auth.headers = { name = \"X-Api-Key\", hash = \"HASH\" }"),
        &["4:16: headers takes tables: { name = \"X-Api-Key\", hash = \"sha256:...\" }"],
    ),
    (
        site!("[[service.a.auth.headers]]\nname = \"Cookie\"\nhash = \"sha256:12\""),
        &[
            "5:8: headers: header \"Cookie\" has a meaning of its own, and can be no secret",
            "6:8: headers: hash: sha256: is followed by 64 hexadecimal digits",
        ],
    ),
    (
        site!("[[service.a.auth.headers]]\nname = \"X_Weir-Key\"\nhash = \"HASH\""),
        &["5:8: headers: header \"X_Weir-Key\": X-Weir- headers are Weir's own"],
    ),
    (
        site!("[[service.a.auth.headers]]\nname = \"Connection\"\nhash = \"HASH\""),
        &["5:8: headers: header \"Connection\" belongs to a connection, and goes no further"],
    ),
    (
        site!("[[service.a.auth.headers]]\nname = \"X Key\"\nhash = \"HASH\""),
        &["5:8: headers: \"X Key\" is no name of a header"],
    ),
    // Without TLS.
    (
        site!("password = \"HASH\"\ntls = false"),
        &[
            "4:1: whoever is on the way could read what users sign in with: tls = false goes with loopback or with http.trusted_proxies only",
        ],
    ),
    (
        site!(
            "tls = false\nlisten = [\"127.0.0.1:80\", \"192.0.2.1:80\"]\nauth.pin = { hash = \"HASH\" }"
        ),
        &[
            "6:1: whoever is on the way could read what users sign in with: tls = false goes with loopback or with http.trusted_proxies only",
        ],
    ),
    // Whom a provider lets in.
    (site!("sso = \"corp\""), &["4:7: there is no provider [sso.corp]"]),
    (sso!("sso = \"crop\""), &["4:7: there is no provider [sso.crop]; did you mean \"corp\"?"]),
    (
        sso!("auth.sso = { provider = \"idp\", allow_any_user = true }"),
        &["4:25: there is no provider [sso.idp]"],
    ),
    (
        sso!("auth.sso = { allow_any_user = true }"),
        &["4:6: [service.a.auth.sso] has no provider: the NAME of an [sso.NAME]"],
    ),
    (
        sso!("auth.sso = { provider = \"corp\" }"),
        &[
            "4:6: [service.a.auth.sso] says of nobody that they may come: allowed_groups, allowed_emails or allowed_domains, or allow_any_user = true",
        ],
    ),
    (
        sso!("auth.sso = { provider = \"corp\", allowed_groups = [], allow_any_user = false }"),
        &[
            "4:6: [service.a.auth.sso] says of nobody that they may come: allowed_groups, allowed_emails or allowed_domains, or allow_any_user = true",
        ],
    ),
    (
        sso!("auth.sso = { provider = \"corp\", allowed_groups = [\"a\"], allow_any_user = true }"),
        &["4:57: allow_any_user makes the lists beside it pointless"],
    ),
    (
        sso!(
            "auth.sso = { provider = \"corp\", allowed_groups = [\"\"], allowed_emails = [\"ann\"], allowed_domains = [\"@b.org\"] }"
        ),
        &[
            "4:51: allowed_groups: a group has a name",
            "4:74: allowed_emails: \"ann\" is no e-mail",
            "4:101: allowed_domains: \"@b.org\" is no domain: what follows the @ of an e-mail",
        ],
    ),
    (
        sso!("sso = \"corp\"\nauth.sso = { provider = \"corp\", allow_any_user = true }"),
        &["4:1: sso and auth.sso are two forms of one thing"],
    ),
    // Providers.
    ("sso = 5", &["1:7: sso takes a table, not an integer"]),
    ("[sso]\ncorp = 5", &["2:8: sso.corp takes a table"]),
    (
        "[sso.corp]",
        &[
            "1:6: [sso.corp] has no client_id",
            "1:6: [sso.corp] has no client_secret_file",
            "1:6: [sso.corp] has no issuer",
        ],
    ),
    // A faulty provider is there, all the same.
    (
        site!(
            "sso = \"corp\"\n[sso.corp]\nissuer = \"http://idp.org\"\nclient_id = \"\"\nclient_secret_file = \"DIR/secret\""
        ),
        &["6:10: issuer takes an https:// URL, not \"http://idp.org\"", "7:13: client_id is empty"],
    ),
    (
        provider!("scopes = [\"email\"]\ngroups_claim = \"\"\nrecheck = \"never\"\nissuers = 1"),
        &[
            "5:1: scopes lacks \"openid\", without which nobody is signed in",
            "6:16: groups_claim is empty",
            "7:11: recheck takes a duration like \"5s\", \"1h30m\" or \"7d\", not \"never\"",
            "8:1: unknown key \"issuers\" in [sso.corp]; did you mean \"issuer\"?",
        ],
    ),
    (
        provider!("scopes = [\"openid\", \"a b\"]\ncallback = \"https://a.org/sso\""),
        &[
            "5:21: scopes: \"a b\" is no scope",
            "6:12: callback takes https://HOST or https://HOST:PORT, not \"https://a.org/sso\"",
        ],
    ),
    (
        provider!("callback = \"http://a.org\""),
        &["5:12: callback takes an https:// URL, not \"http://a.org\""],
    ),
    (provider!("ca_file = \"DIR/secret\""), &["5:1: DIR/secret: holds no certificate"]),
    (
        provider!("ca_file = \"DIR/absent\""),
        &["5:1: DIR/absent: cannot be read: No such file or directory (os error 2)"],
    ),
    (
        "[sso.corp]\nissuer = \"https://idp.org?a\"\nclient_id = \"weir\"\nclient_secret_file = \"DIR/absent\"",
        &[
            "2:1: issuer has a query, which no issuer has",
            "4:1: DIR/absent: cannot be read: No such file or directory (os error 2)",
        ],
    ),
    (
        "[sso.corp]\nissuer = \"https://idp.org#a\"\nclient_id = \"weir\"\nclient_secret_file = \"DIR\"",
        &["2:10: issuer takes an https:// URL, not \"https://idp.org#a\"", "4:1: DIR: is no file"],
    ),
    (
        "[sso.corp]\nissuer = \"https://idp.org\"\nclient_id = \"weir\"\nclient_secret_file = \"DIR/empty\"",
        &["4:1: DIR/empty: is empty"],
    ),
];
