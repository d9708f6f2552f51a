//! Sessions, as an administrator sees them.

use std::{net::IpAddr, sync::Arc};

use super::{Authenticator, journal::Event, now::Now, session::Session};
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
    /// Every session that is open, the newest first. Blocks.
    ///
    /// # Errors
    /// Another process has the sessions.
    pub fn list(&self) -> Result<Vec<OpenSession>, StoreError> {
        let now = Now::read().wall;
        self.sessions.load(now)?;
        let all = self.sessions.all();
        let open = all.iter().filter(|session| session.facts.expires > now);
        let mut open: Vec<OpenSession> = open.map(|session| OpenSession::new(session)).collect();
        open.sort_by(|a, b| b.opened_at.cmp(&a.opened_at).then_with(|| a.name.cmp(&b.name)));
        Ok(open)
    }

    /// Ends the session of that name, for good; whether there was one. `who`: for the
    /// audit log. Blocks.
    ///
    /// # Errors
    /// Another process has the sessions.
    pub fn revoke(&self, name: &str, who: &str) -> Result<bool, StoreError> {
        self.sessions.load(Now::read().wall)?;
        let all = self.sessions.all();
        let Some(session) = all.iter().find(|session| session.key.name() == name) else {
            return Ok(false);
        };
        let ended = self.sessions.end(session.key);
        self.journal.note_now(Event::Revoked, session, Some(who.to_owned()))?;
        Ok(ended)
    }

    /// The same for every session, or for those of one service; how many there were. They
    /// are one entry of the audit log.
    ///
    /// # Errors
    /// Another process has the sessions.
    pub fn revoke_all(&self, service: Option<&str>, who: &str) -> Result<u64, StoreError> {
        self.sessions.load(Now::read().wall)?;
        let mut all = self.sessions.all();
        all.retain(|session| service.is_none_or(|name| name == session.facts.service));
        let ended = all.iter().filter(|session| self.sessions.end(session.key)).count() as u64;
        if ended > 0 {
            self.journal.note_revoked(ended, service, who)?;
        }
        Ok(ended)
    }
}
