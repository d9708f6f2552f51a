//! Everything that authentication keeps.

use std::{io, path::Path, sync::Arc};

use arc_swap::ArcSwap;

use super::{
    header_leases::HeaderLeases,
    journal::Journal,
    keys::Signer,
    lockout::Lockout,
    secrets::{Fingerprint, Secrets},
    session::Sessions,
    sign_on::SignOn,
    tickets::Tickets,
    view::{View, opens},
};
use crate::{
    config::{Auth, Service},
    http::sso::permits,
    record::Timestamp,
    store::{Audit, StoreError},
};

/// Decides who may use which service. One for the whole daemon, of all its reloads.
pub struct Authenticator {
    pub(super) sessions: Arc<Sessions>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) lockout: Arc<Lockout>,
    pub(super) header_leases: HeaderLeases,
    pub(super) tickets: Tickets,
    pub(super) signer: Signer,
    pub(super) sign_on: Arc<dyn SignOn>,
    pub(super) journal: Journal,
    pub(super) view: ArcSwap<View>,
}

impl Authenticator {
    /// Keeps sessions and its key below `data_dir`. Until [`Self::reload`] it knows no
    /// service.
    ///
    /// # Errors
    /// The key cannot be read or made, or the host gives no randomness.
    pub fn new(data_dir: &Path, sign_on: Arc<dyn SignOn>, audit: Audit) -> io::Result<Self> {
        let sessions = Arc::new(Sessions::new(data_dir));
        Ok(Self {
            secrets: Arc::new(Secrets::new().map_err(io::Error::other)?),
            lockout: Arc::default(),
            header_leases: HeaderLeases::default(),
            tickets: Tickets::default(),
            signer: Signer::open(data_dir)?,
            sign_on,
            journal: Journal { sessions: Arc::clone(&sessions), audit },
            view: ArcSwap::default(),
            sessions,
        })
    }

    /// Puts a configuration in force, the first one too. What a changed secret opened
    /// ends; what is open for users who are on no list any more is cut.
    pub fn reload(&self, services: &[Arc<Service>]) {
        let view = Arc::new(View::new(services));
        self.view.store(Arc::clone(&view));
        self.secrets.forget();
        self.lockout.retain(|service| view.auth(service).is_some());
        self.header_leases.retain(|service, secret| {
            view.auth(service).is_some_and(|auth| has_header(auth, secret))
        });
        for session in self.sessions.all() {
            match view.auth(&session.facts.service) {
                Some(auth) if !opens(auth, &session) => drop(self.sessions.end(session.key)),
                Some(auth) if is_listed(auth, &session) => {}
                // A service that is gone may come back.
                _ => session.cut(),
            }
        }
    }

    /// Whether single sign-on comes back to that host for all services of a provider:
    /// then [`Self::own`] is to be asked there too, whosever host it is. `host`: in lower
    /// case, without port.
    pub fn is_callback_host(&self, host: &str) -> bool {
        self.view.load().is_callback_host(host)
    }

    /// Lets go of the file of sessions for good, so that another process can open it.
    /// Blocks.
    pub fn close(&self) {
        self.sessions.close();
    }

    /// Damage of the file of sessions that was found since it was last asked.
    pub fn damaged(&self) -> Vec<StoreError> {
        self.sessions.damaged()
    }

    /// Reads the sessions, where another process had them until now. Blocks.
    ///
    /// # Errors
    /// It still has them.
    pub fn load(&self) -> Result<(), StoreError> {
        self.sessions.load(Timestamp::now())
    }
}

fn has_header(auth: &Auth, secret: Fingerprint) -> bool {
    auth.headers.iter().any(|header| Fingerprint::of_secret(&header.hash) == secret)
}

/// Whether the lists let in who has the session.
pub(super) fn is_listed(auth: &Auth, session: &super::session::Session) -> bool {
    let Some(user) = session.user() else { return true };
    auth.sso.as_ref().is_some_and(|rule| permits(&rule.allow, &user))
}
