//! What a service over HTTP is: types.

use std::{fmt, path::PathBuf, time::Duration};

use hyper::header::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::{Auth, Balance, Health, Target};

/// `[http]`
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// What an `http` service does with requests.
#[allow(
    clippy::struct_excessive_bools,
    reason = "switches, which have nothing to do with each other"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Whether TLS ends here.
    pub tls: bool,
    /// Whether `http://domain` on port 80 answers with a redirect. Only of services that
    /// listen on port 443.
    pub redirect_http: bool,
    /// Whether a target gets the `Host` that the client asked for, or its own.
    pub pass_host_header: bool,
    /// Whether a target's redirects to itself are turned into ones to the service.
    pub rewrite_redirects: bool,
    /// At least one, each path once, the longest path first.
    pub routes: Vec<Route>,
    /// Who may come; `None`: everyone.
    pub auth: Option<Auth>,
}

/// `[[service.NAME.route]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Begins with `/`, and ends with one only where it is nothing else. Percent-encoded
    /// where it has to be and nowhere else, without empty and dot segments.
    pub path: String,
    /// At least one.
    pub targets: Vec<WebTarget>,
    /// Which of them a request gets.
    pub balance: Balance,
    /// How they are looked at; `None`: what becomes of requests tells enough.
    pub health: Option<WebHealth>,
    /// Whether targets get the path without `path`.
    pub strip_prefix: bool,
    /// Whether nobody has to sign in.
    pub public: bool,
    /// Set on each request.
    pub request_headers: Vec<(HeaderName, HeaderValue)>,
    /// To the head of the answer.
    pub timeout: Duration,
    /// Whether any certificate of a target is good.
    pub skip_tls_verify: bool,
}

/// `health` of an `http` service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebHealth {
    /// How often, and how long an answer is waited for.
    pub health: Health,
    /// What is asked for: a path, with a query perhaps. An answer below 500 is health.
    pub path: String,
}

impl Default for WebHealth {
    fn default() -> Self {
        Self { health: Health::default(), path: "/".to_owned() }
    }
}

/// A target over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebTarget {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub target: Target,
}

impl fmt::Display for WebTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.target)
    }
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http://`: HTTP/1.1.
    Http,
    /// `h2c://`: HTTP/2 without TLS, which needs no negotiation (RFC 9113, 3.3), as gRPC
    /// servers speak it.
    H2c,
    /// `https://`: HTTP/2 or HTTP/1.1, as the target chooses.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::H2c => "h2c",
            Self::Https => "https",
        }
    }

    /// As requests name it.
    pub const fn of_requests(self) -> &'static str {
        match self {
            Self::Http | Self::H2c => "http",
            Self::Https => "https",
        }
    }

    /// Where the target's URL names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::H2c => 80,
            Self::Https => 443,
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug)]
pub struct Tls {
    /// `NAME.crt` and `NAME.key` pairs.
    pub cert_dir: PathBuf,
    /// Whether a domain that has no certificate gets one that nobody vouches for.
    pub self_signed: bool,
    /// Where certificates are ordered.
    pub acme: Option<Acme>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { cert_dir: "/var/lib/weir/certs".into(), self_signed: true, acme: None }
    }
}

/// `tls.acme`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Of the authority (RFC 8555, 7.1.1).
    pub directory: String,
    /// Whom the authority may write to.
    pub email: String,
    /// How control over a domain is shown.
    pub challenge: AcmeChallenge,
    /// Whom to trust as the directory's server, instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// External account binding (RFC 8555, 7.3.4).
    pub eab: Option<Eab>,
}

/// `tls.acme.challenge`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// RFC 8737.
    TlsAlpn01,
    /// RFC 8555, 8.3.
    Http01,
}

/// `tls.acme.eab`
#[derive(Clone, PartialEq, Eq)]
pub struct Eab {
    /// The key's identifier.
    pub kid: String,
    /// The MAC key, out of `hmac_file`, decoded.
    pub key: Vec<u8>,
}

impl fmt::Debug for Eab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Eab").field("kid", &self.kid).finish_non_exhaustive()
    }
}
