//! HTTP: TLS, restrictions on each request, sign-in, forwarding, and one record for each
//! request.
//!
//! A connection comes from the relay ([`Guest`]) and is served where it is accepted, to
//! its end (`connection.rs`). Each request goes through `answer.rs`, step by step; its
//! record (`exchange.rs`) goes along and is handed over when the last byte of the answer
//! is gone, or earlier where it breaks off.

mod answer;
pub mod auth;
mod body;
mod connection;
mod examine;
mod exchange;
mod forward;
mod forwarded;
mod forwarded_for;
mod handshake;
mod headers;
mod hidden;
mod lead;
mod linger;
mod malformed;
mod outbound;
pub mod pages;
mod path;
mod pulse;
mod redirects;
mod refusal;
mod request_id;
mod rewound;
mod sealing;
mod sign_in;
pub mod sso;
mod taken;
mod target;
pub mod tls;
mod traffic;
mod tunnel;
mod upstream;

pub use lead::lead;

use std::{future::Future, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use hyper::header::HeaderValue;
use ipnet::IpNet;
use tls::{Certificates, TlsError, Trust};

use self::{
    auth::Authenticator, connection::serve, examine::examination, hidden::Hidden,
    upstream::ClientTls,
};
use crate::{
    config::{self, Route, Service, WebTarget},
    flow::Requests,
    relay::{Examination, Guest, Host},
};

/// Reads requests and has them answered.
pub struct Http(Arc<Inner>);

/// What all connections share.
struct Inner {
    requests: Arc<dyn Requests>,
    certificates: Arc<Certificates>,
    auth: Arc<Authenticator>,
    client_tls: ClientTls,
    settings: ArcSwap<Settings>,
    hidden: Hidden,
    /// What this process calls itself in `Via`.
    pseudonym: HeaderValue,
}

/// What a reload may change.
#[derive(Default)]
struct Settings {
    trusted_proxies: Vec<IpNet>,
}

impl Http {
    /// Nothing is trusted before [`Self::apply`].
    ///
    /// # Errors
    /// There is no TLS to targets.
    pub fn new(
        requests: Arc<dyn Requests>,
        certificates: Arc<Certificates>,
        auth: Arc<Authenticator>,
    ) -> Result<Self, TlsError> {
        let (verifying, trusting) = (tls::client_config(Trust::System)?, Trust::Anyone);
        let client_tls = ClientTls::new(&verifying, &tls::client_config(trusting)?);
        let name = format!("1.1 weir-{:016x}", uuid::Uuid::new_v4().as_u64_pair().1);
        let inner = Inner {
            requests,
            certificates,
            auth,
            client_tls,
            settings: ArcSwap::default(),
            hidden: Hidden::default(),
            pseudonym: HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("1.1 weir")),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Puts other settings in force.
    pub fn apply(&self, http: &config::Http) {
        let settings = Settings { trusted_proxies: http.trusted_proxies.clone() };
        self.0.settings.store(Arc::new(settings));
    }
}

impl Host for Http {
    fn serve(&self, guest: Guest) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(serve(Arc::clone(&self.0), guest))
    }

    fn examination(
        &self,
        service: &Service,
        route: &Route,
        target: &WebTarget,
    ) -> Option<Examination> {
        examination(&self.0, service, route, target)
    }
}
