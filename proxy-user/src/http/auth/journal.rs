//! What is written when somebody signs in or out: the session, and the audit log.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::spawn_blocking;

use super::session::{Session, Sessions};
use crate::store::{Audit, StoreError};

/// Why a session is there, or is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    SignedIn,
    SignedOut,
    /// The provider does not know the user any more.
    Refused,
    Revoked,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Refused => "session_refused",
            Self::Revoked => "session_revoked",
        }
    }
}

/// For the audit log.
struct Entry {
    event: Event,
    who: String,
    details: BTreeMap<String, String>,
}

impl Entry {
    fn new(event: Event, session: &Session, by: Option<String>) -> Self {
        let who = by.unwrap_or_else(|| holder(session));
        Self { event, who, details: details(session) }
    }
}

/// Keeps what happens to sessions.
#[derive(Clone)]
pub(super) struct Journal {
    pub(super) sessions: Arc<Sessions>,
    pub(super) audit: Audit,
}

impl Journal {
    /// Writes the change of a session durably, and then the audit log. `by`: who did it;
    /// else who has the session.
    pub(super) async fn note(
        &self,
        event: Event,
        session: &Session,
        by: Option<String>,
    ) -> Result<(), StoreError> {
        let entry = Entry::new(event, session, by);
        let journal = self.clone();
        let written = spawn_blocking(move || journal.write(entry));
        // A panic of the store's is an error of the store's already.
        written.await.unwrap_or(Ok(()))
    }

    /// As [`Self::note`]. Blocks.
    pub(super) fn note_now(
        &self,
        event: Event,
        session: &Session,
        by: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(Entry::new(event, session, by))
    }

    /// Writes that so many sessions ended at once, all or those of one service. Blocks.
    pub(super) fn note_revoked(
        &self,
        count: u64,
        service: Option<&str>,
        who: &str,
    ) -> Result<(), StoreError> {
        let mut details = BTreeMap::from([("sessions".to_owned(), count.to_string())]);
        details.extend(service.map(|name| ("service".to_owned(), name.to_owned())));
        self.write(Entry { event: Event::Revoked, who: who.to_owned(), details })
    }

    fn write(&self, Entry { event, who, details }: Entry) -> Result<(), StoreError> {
        let kept = match self.sessions.flush() {
            Err(error @ StoreError::HandedOver(_)) => return Err(error),
            kept => kept,
        };
        if let Err(error) = kept.and(self.audit.append(event.name(), &who, details)) {
            tracing::warn!("a change of a session is to be written later: {error}");
        }
        Ok(())
    }
}

fn holder(session: &Session) -> String {
    let user = session.user().map(|user| user.name().to_owned());
    user.unwrap_or_else(|| session.facts.client.to_string())
}

fn details(session: &Session) -> BTreeMap<String, String> {
    let facts = &session.facts;
    let mut details = BTreeMap::from([
        ("session".to_owned(), session.key.name()),
        ("service".to_owned(), facts.service.clone()),
        ("host".to_owned(), facts.host.clone()),
        ("auth_method".to_owned(), session.holder.method().as_str().to_owned()),
        ("source_ip".to_owned(), facts.client.to_string()),
    ]);
    if let Some(user) = session.user() {
        details.insert("user_id".to_owned(), user.id.clone());
        details.extend(user.email.clone().map(|email| ("user_email".to_owned(), email)));
    }
    details
}
