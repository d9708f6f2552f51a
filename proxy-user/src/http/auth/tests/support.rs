//! A service that asks who comes, and browsers that come.

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHasher};
use bytes::Bytes;
use hyper::{HeaderMap, Request, Response, header::HeaderValue};
use proxy_common::reason::Reason;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::{
    Authenticator, Decision, Guarded, Identity, Lease, SignOn, Turned, Visitor,
    now::{Now, later},
};
pub(in crate::http) use super::provider::Provider;
use crate::{
    config::{
        Access, Auth, Denial, Destination, Forwarding, Lockout, Mode, ProxyProtocol, SecretHash,
        Service, SsoAllow, SsoProvider, SsoRule, Web,
    },
    http::sso::{SsoError, User},
    record::AuthMethod,
    store::Audit,
};

pub(in crate::http) const HOST: &str = "wiki.example.com";
pub(in crate::http) const ORIGIN: &str = "https://wiki.example.com";
pub(in crate::http) const HOUR: Duration = Duration::from_hours(1);

/// A hash that takes no time.
pub(in crate::http) fn argon2(secret: &str) -> SecretHash {
    let weak = argon2::Params::new(8, 1, 1, None).unwrap();
    let hash = Argon2::from(weak).hash_password(secret.as_bytes()).unwrap();
    SecretHash::Argon2id(hash.to_string())
}

pub(in crate::http) fn sha256(key: &str) -> SecretHash {
    SecretHash::Sha256(Sha256::digest(key).into())
}

/// Lets nobody in yet.
pub(in crate::http) fn auth() -> Auth {
    Auth {
        session_lifetime: 24 * HOUR,
        password: None,
        pin: None,
        headers: Vec::new(),
        sso: None,
        lockout: Lockout::default(),
    }
}

pub(in crate::http) fn password() -> Auth {
    Auth { password: Some(argon2("open sesame")), ..auth() }
}

pub(in crate::http) fn provider() -> SsoProvider {
    SsoProvider {
        name: "corp".into(),
        issuer: "https://idp.example.com".into(),
        client_id: "weir".into(),
        client_secret: "secret".into(),
        scopes: Vec::new(),
        groups_claim: "groups".into(),
        callback: None,
        recheck: HOUR,
        ca_file: None,
    }
}

/// Lets in who is in the group `dev`.
pub(in crate::http) fn sso(provider: SsoProvider) -> Auth {
    let groups = vec!["dev".to_owned()];
    let allow = SsoAllow::Listed { groups, emails: Vec::new(), domains: Vec::new() };
    Auth { sso: Some(SsoRule { provider: Arc::new(provider), allow }), ..auth() }
}

pub(in crate::http) fn user(groups: &[&str]) -> User {
    let groups = groups.iter().map(|&group| group.to_owned()).collect();
    User { id: "7".into(), email: Some("ann@example.com".into()), groups }
}

pub(in crate::http) fn unreachable() -> SsoError {
    SsoError::Unreachable { issuer: "corp".into(), why: "no route".into() }
}

pub(in crate::http) fn refused() -> SsoError {
    SsoError::Refused { issuer: "corp".into(), error: "invalid_grant".into(), description: None }
}

pub(in crate::http) fn invalid() -> SsoError {
    SsoError::Invalid { issuer: "corp".into(), why: "bad signature".into() }
}

/// A service, and the daemon that guards it.
pub(in crate::http) struct World {
    pub(in crate::http) dir: TempDir,
    pub(in crate::http) provider: Arc<Provider>,
    sign_on: Arc<dyn SignOn>,
    pub(in crate::http) authenticator: Arc<Authenticator>,
    pub(in crate::http) auth: Auth,
    pub(in crate::http::auth) now: Now,
}

fn authenticator(dir: &Path, sign_on: &Arc<dyn SignOn>) -> Arc<Authenticator> {
    Arc::new(Authenticator::new(dir, Arc::clone(sign_on), Audit::new(dir)).unwrap())
}

pub(in crate::http::auth) fn service(name: &str, auth: &Auth) -> Arc<Service> {
    let web = Web {
        tls: true,
        redirect_http: true,
        pass_host_header: true,
        rewrite_redirects: true,
        routes: Vec::new(),
        auth: Some(auth.clone()),
    };
    Arc::new(Service {
        name: name.into(),
        mode: Mode::Http,
        domain: Some(HOST.into()),
        listen: Vec::new(),
        destination: Destination::Web(Box::new(web)),
        access: Access::OPEN,
        deny: Denial::Drop,
        connect_timeout: HOUR,
        idle_timeout: HOUR,
        max_connections: 1.try_into().unwrap(),
        proxy_protocol: ProxyProtocol::default(),
        forwarding: Forwarding::default(),
    })
}

impl World {
    pub(in crate::http) fn new(auth: Auth) -> Self {
        let provider = Provider::new(Ok(user(&["dev"])));
        let provider = Arc::new(provider);
        let sign_on = Arc::<Provider>::clone(&provider);
        Self { provider, ..Self::signing_on_by(sign_on, auth) }
    }

    /// With single sign-on that is not [`Self::provider`]'s.
    pub(in crate::http) fn signing_on_by(sign_on: Arc<dyn SignOn>, auth: Auth) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authenticator = authenticator(dir.path(), &sign_on);
        authenticator.reload(&[service("wiki", &auth)]);
        let provider = Arc::new(Provider::new(Ok(user(&[]))));
        Self { dir, provider, sign_on, authenticator, auth, now: Now::read() }
    }

    pub(in crate::http) fn reload(&mut self, auth: Auth) {
        self.authenticator.reload(&[service("wiki", &auth)]);
        self.auth = auth;
    }

    pub(in crate::http) fn restart(&mut self) {
        self.authenticator.close();
        self.authenticator = authenticator(self.dir.path(), &self.sign_on);
        self.authenticator.reload(&[service("wiki", &self.auth)]);
    }

    pub(in crate::http) fn pass(&mut self, time: Duration) {
        self.now = Now { wall: later(self.now.wall, time), steady: self.now.steady + time };
    }

    pub(in crate::http) fn browser(&self) -> Browser<'_> {
        Browser::new(self)
    }

    pub(in crate::http) fn audited(&self) -> Vec<(String, String)> {
        let (entries, _) = self.authenticator.journal.audit.list(0, 100).unwrap();
        entries.into_iter().rev().map(|entry| (entry.event, entry.who)).collect()
    }
}

/// Keeps cookies for each host, and goes where it is sent.
pub(in crate::http) struct Browser<'a> {
    pub(in crate::http) world: &'a World,
    pub(in crate::http) client: IpAddr,
    pub(in crate::http) host: &'static str,
    pub(in crate::http) service: &'static str,
    /// Whether it speaks without TLS.
    pub(in crate::http) plain: bool,
    /// Sent with every request.
    pub(in crate::http) headers: HeaderMap,
    cookies: BTreeMap<(&'static str, String), String>,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        let accept = HeaderValue::from_static("text/html,*/*;q=0.8");
        Self {
            world,
            client: [192, 0, 2, 1].into(),
            host: HOST,
            service: "wiki",
            plain: false,
            headers: HeaderMap::from_iter([(hyper::header::ACCEPT, accept)]),
            cookies: BTreeMap::new(),
        }
    }

    pub(in crate::http) fn jar(&self) -> BTreeMap<(&'static str, String), String> {
        self.cookies.clone()
    }

    pub(in crate::http) fn with_jar(
        self,
        cookies: BTreeMap<(&'static str, String), String>,
    ) -> Self {
        Self { cookies, ..self }
    }

    /// Without what lets it in at once.
    pub(in crate::http) fn lose_session(&mut self) {
        self.cookies.remove(&(self.host, "__Host-weir".to_owned())).unwrap();
    }

    fn head(&self, method: &str, uri: &str) -> hyper::http::request::Parts {
        let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
        *request.headers_mut() = self.headers.clone();
        let cookies = self.cookies.iter().filter(|((host, _), _)| *host == self.host);
        let cookies: Vec<String> =
            cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        }
        request.into_parts().0
    }

    fn keep(&mut self, response: &Response<Bytes>) {
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("; HttpOnly"), "{text}");
            assert_eq!(text.contains("; Secure"), !self.plain, "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            let key = (self.host, name.to_owned());
            if text.contains("Max-Age=0;") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }

    async fn at<T>(
        &mut self,
        (method, uri): (&str, &str),
        run: impl AsyncFnOnce(&Authenticator, &Visitor<'_>, Now) -> T,
    ) -> T {
        let parts = self.head(method, uri);
        let guarded = (self.host == HOST || self.service != "wiki")
            .then_some(Guarded { service: self.service, auth: &self.world.auth });
        let visitor = Visitor {
            guarded,
            host: self.host,
            origin: &format!("https://{}", self.host),
            client: self.client,
            parts: &parts,
            request_id: Uuid::from_u128(7),
            secure: !self.plain,
        };
        run(&self.world.authenticator, &visitor, self.world.now).await
    }

    /// Asks for something of the service.
    pub(in crate::http) async fn get(&mut self, uri: &str) -> Decision {
        self.ask("GET", uri).await
    }

    pub(in crate::http) async fn ask(&mut self, method: &str, uri: &str) -> Decision {
        let check = async |all: &Authenticator, visitor: &Visitor<'_>, now| {
            all.check_at(visitor, now).await
        };
        let decision = self.at((method, uri), check).await;
        if let Decision::Turned(turned) = &decision {
            self.keep(&turned.response);
        }
        decision
    }

    /// Asks for something of Weir's own.
    pub(in crate::http) async fn own(&mut self, method: &str, uri: &str, body: &str) -> Turned {
        let own = async |all: &Authenticator, visitor: &Visitor<'_>, now| {
            all.own_at(visitor, body.as_bytes(), now).await
        };
        let turned = self.at((method, uri), own).await;
        self.keep(&turned.response);
        turned
    }

    /// Sends a form of the page it looks at.
    pub(in crate::http) async fn post(&mut self, uri: &str, body: &str) -> Turned {
        let origin = format!("https://{}", self.host);
        self.headers.insert("origin", origin.parse().unwrap());
        let turned = self.own("POST", uri, body).await;
        self.headers.remove("origin");
        turned
    }

    pub(in crate::http) async fn log_in(&mut self, secret: &str) -> Turned {
        self.post("/.weir/login", secret).await
    }

    /// Signs on by the provider, from the start.
    pub(in crate::http) async fn sign_on(&mut self) -> Turned {
        let departure = self.own("GET", "/.weir/sso/start?return_to=/a%3Fb", "").await;
        assert_eq!(place(&departure), "https://idp.example.com/authorize");
        self.own("GET", "/.weir/sso/callback?code=1", "").await
    }
}

/// Status, reason and method, as the record has them.
pub(in crate::http) fn told(turned: &Turned) -> (u16, Option<Reason>, AuthMethod) {
    (turned.response.status().as_u16(), turned.reason, turned.method)
}

pub(in crate::http) fn place(turned: &Turned) -> &str {
    turned.response.headers()["location"].to_str().unwrap()
}

pub(in crate::http) fn text(turned: &Turned) -> &str {
    std::str::from_utf8(turned.response.body()).unwrap()
}

pub(in crate::http) fn passed(decision: Decision) -> Identity {
    match decision {
        Decision::Pass(identity) => identity,
        Decision::Turned(turned) => panic!("turned: {:?}", told(&turned)),
    }
}

pub(in crate::http) fn turned(decision: Decision) -> Turned {
    match decision {
        Decision::Turned(turned) => *turned,
        Decision::Pass(identity) => panic!("passed: {identity:?}"),
    }
}

/// Waits until what a lease let pass is over.
pub(in crate::http) async fn ended(lease: Lease) {
    tokio::time::timeout(Duration::from_secs(10), lease.over()).await.expect("it goes on");
}
