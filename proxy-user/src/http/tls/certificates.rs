//! The certificates of all services.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::{ServerConfig, server::ClientHello};
use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    CertificateState, Source, TlsError,
    acme::{Authority, Orders},
    challenges::Challenges,
    index::Index,
    server::Server,
    sources::Sources,
};
use crate::{config::Tls, record::Timestamp};

/// Between two looks at `cert_dir`, and at which orders are due.
const POLL: Duration = Duration::from_secs(2);

/// The certificates of all services, for handshakes; with [`Self::run`] they follow files
/// and authorities.
pub struct Certificates {
    data_dir: PathBuf,
    index: Arc<ArcSwap<Index>>,
    challenges: Arc<Challenges>,
    server: Server,
    sources: Mutex<Sources>,
    applied: Notify,
}

/// Certificates to be ordered.
pub(super) struct Wanted {
    /// Of whom.
    pub(super) authority: Arc<Authority>,
    /// For whom, and when: at once, or to renew one.
    pub(super) domains: Vec<(String, Timestamp)>,
}

impl Certificates {
    /// Loads what there is for these domains, each in lower case, some of them `*.` and a
    /// name. What is made or ordered is kept below `data_dir`. Blocks.
    ///
    /// # Errors
    /// The system has no randomness to give. A pair that cannot be used is one of
    /// [`Self::faults`].
    pub fn open(data_dir: &Path, tls: &Tls, domains: Vec<String>) -> Result<Arc<Self>, TlsError> {
        let index = Arc::new(ArcSwap::from_pointee(Index::default()));
        let challenges = Arc::new(Challenges::default());
        let certificates = Self {
            data_dir: data_dir.to_owned(),
            server: Server::new(Arc::clone(&index), Arc::clone(&challenges))?,
            index,
            challenges,
            sources: Mutex::new(Sources::new(data_dir, tls)),
            applied: Notify::new(),
        };
        certificates.apply(tls, domains);
        Ok(Arc::new(certificates))
    }

    /// Follows another configuration. Blocks.
    pub fn apply(&self, tls: &Tls, domains: Vec<String>) {
        let mut sources = self.sources.lock();
        sources.follow(&self.data_dir, tls, domains);
        let now = Timestamp::now();
        sources.poll(now);
        self.renew(&mut sources, now);
        self.applied.notify_one();
    }

    /// How a client is answered, with HTTP's protocols or, where an authority validates a
    /// domain (RFC 8737), with that one's. `None`: the client has to be refused. Its name is
    /// no service's, or there is no certificate for it.
    pub fn config_for(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        self.server.config_for(hello)
    }

    /// What `/.well-known/acme-challenge/TOKEN` answers over plain HTTP (RFC 8555, 8.3).
    pub fn http01(&self, token: &str) -> Option<String> {
        self.challenges.token(token)
    }

    /// Follows files and orders certificates, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = Orders::default();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = self.applied.notified() => {}
            }
            let certificates = Arc::clone(&self);
            // A panic there is reported by its own hook, and the next look is another's.
            let _ = spawn_blocking(move || certificates.poll()).await;
            orders.begin(&self);
        }
    }

    /// How each domain stands.
    pub fn states(&self) -> Vec<CertificateState> {
        let sources = self.sources.lock();
        let (index, now) = (self.index.load(), Timestamp::now());
        let state = |domain: &String| {
            let due = due(&index, domain, now);
            let acme = sources.authority().zip(due).map(|(a, due)| a.state(domain, due));
            CertificateState::new(domain.clone(), index.best(domain, now), acme, now)
        };
        sources.domains().iter().map(state).collect()
    }

    /// What is wrong with files: pairs that cannot be used, or are of no service's domain.
    pub fn faults(&self) -> Vec<String> {
        self.sources.lock().faults()
    }

    pub(super) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// What is to be ordered, where anybody is asked for certificates.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let sources = self.sources.lock();
        let authority = Arc::clone(sources.authority()?);
        let (index, now) = (self.index.load(), Timestamp::now());
        let due = |domain: &String| Some((domain.clone(), due(&index, domain, now)?));
        Some(Wanted { authority, domains: sources.domains().iter().filter_map(due).collect() })
    }

    /// Takes what an authority has signed. Blocks.
    pub(super) fn keep(
        &self,
        authority: &Arc<Authority>,
        domain: &str,
        pem: &str,
    ) -> Result<(), TlsError> {
        let mut sources = self.sources.lock();
        sources.keep(authority, domain, pem)?;
        self.renew(&mut sources, Timestamp::now());
        Ok(())
    }

    pub(super) fn poll(&self) {
        let mut sources = self.sources.lock();
        let now = Timestamp::now();
        if sources.poll(now) {
            self.renew(&mut sources, now);
            for fault in sources.faults() {
                tracing::warn!("{fault}");
            }
        }
    }

    fn renew(&self, sources: &mut Sources, now: Timestamp) {
        self.index.store(Arc::new(sources.index(now)));
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

/// When a domain's certificate is to be ordered; `None`: it is nothing to order. Wildcards
/// need a challenge that no listener can answer (RFC 8555, 7.1.3).
fn due(index: &Index, domain: &str, now: Timestamp) -> Option<Timestamp> {
    if domain.starts_with("*.") {
        return None;
    }
    let Some(best) = index.best(domain, now) else { return Some(now) };
    let validity = best.pair.validity;
    match best.source {
        Source::CertDir => (!validity.holds(now)).then_some(now),
        Source::Acme => Some(validity.renew_at()),
        Source::SelfSigned => Some(now),
    }
}
