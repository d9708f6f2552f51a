//! Sessions, as an administrator sees them.

use std::{net::IpAddr, sync::Arc};

use super::{Authenticator, journal::Event, session::Session};
use crate::{
    http::sso::User,
    record::{AuthMethod, Timestamp},
    store::StoreError,
};

/// A session that is open.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// What it is named by; of no use to sign in.
    pub name: String,
    /// For which service.
    pub service: String,
    /// At which host.
    pub host: String,
    /// How it was opened.
    pub method: AuthMethod,
    /// Whose it is, where single sign-on tells.
    pub user: Option<Arc<User>>,
    /// From where it was opened.
    pub source_ip: IpAddr,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl OpenSession {
    fn new(session: &Session) -> Self {
        let facts = &session.facts;
        Self {
            name: session.key.name(),
            service: facts.service.clone(),
            host: facts.host.clone(),
            method: session.holder.method(),
            user: session.user(),
            source_ip: facts.client,
            opened_at: facts.opened,
            expires_at: facts.expires,
        }
    }
}

impl Authenticator {
    /// Every session that is open, the newest first.
    pub fn list(&self) -> Vec<OpenSession> {
        let now = Timestamp::now();
        let all = self.sessions.all();
        let open = all.iter().filter(|session| session.facts.expires > now);
        let mut open: Vec<OpenSession> = open.map(|session| OpenSession::new(session)).collect();
        open.sort_by(|a, b| b.opened_at.cmp(&a.opened_at).then_with(|| a.name.cmp(&b.name)));
        open
    }

    /// Ends the session of that name, for good; whether there was one. `who`: for the
    /// audit log. Blocks.
    ///
    /// # Errors
    /// Another process has the sessions.
    pub fn revoke(&self, name: &str, who: &str) -> Result<bool, StoreError> {
        let all = self.sessions.all();
        let Some(session) = all.iter().find(|session| session.key.name() == name) else {
            return Ok(false);
        };
        let ended = self.sessions.end(session.key);
        self.journal.note_now(Event::Revoked, session, Some(who.to_owned()))?;
        Ok(ended)
    }
}
