//! Users are confirmed from time to time, by refresh token (`recheck`).
//!
//! A provider that does not answer ends no session. For [`GRACE`] after the time it goes
//! on; then it lets nothing pass until the provider has answered. Who has no refresh
//! token, since the provider gives none, cannot be confirmed and has the session to its
//! end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::stream::{self, StreamExt as _};

use super::{
    Authenticator,
    authenticator::is_listed,
    journal::{Event, Journal},
    now::later,
    session::{Asked, Holder, Session, SignedOn},
    sign_on::SignOn,
    view::provider,
};
use crate::{config::SsoProvider, http::sso::SsoError, record::Timestamp};

/// How long a session goes on unconfirmed while the provider does not answer.
const GRACE: Duration = Duration::from_mins(5);
/// How long a provider that does not answer is not asked again for the same session.
pub(super) const AGAIN: Duration = Duration::from_secs(15);
/// About how many users a provider is asked at once on Weir's own account.
pub(super) const AT_A_TIME: usize = 32;

/// Whether a user still is signed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// The session has ended.
    Over,
    /// The provider has not answered for too long.
    Unsure,
}

/// What there is to do about a session.
enum Due {
    Nothing(Standing),
    /// To ask; the standing is the one where there is no answer.
    Ask(Standing),
}

fn due(asked: Option<Asked>, provider: &SsoProvider, now: Timestamp) -> Due {
    let Some(asked) = asked else { return Due::Nothing(Standing::Good) };
    let end = later(asked.confirmed, provider.recheck);
    if now < end {
        return Due::Nothing(Standing::Good);
    }
    let unanswered = if now < later(end, GRACE) { Standing::Good } else { Standing::Unsure };
    match asked.failed {
        Some(failed) if now < later(failed, AGAIN) => Due::Nothing(unanswered),
        _ => Due::Ask(unanswered),
    }
}

impl Authenticator {
    /// Asks the provider, where it is time to.
    pub(super) async fn standing(
        &self,
        session: &Arc<Session>,
        provider: &Arc<SsoProvider>,
        now: Timestamp,
    ) -> Standing {
        let Holder::User(signed_on) = &session.holder else { return Standing::Good };
        let unanswered = match due(signed_on.asked(), provider, now) {
            Due::Nothing(standing) => return standing,
            Due::Ask(unanswered) => unanswered,
        };
        if unanswered == Standing::Good && signed_on.asking.try_lock().is_err() {
            // Somebody else is asking, and there is time to wait for the answer.
            return Standing::Good;
        }
        let question = Question {
            sign_on: Arc::clone(&self.sign_on),
            journal: self.journal.clone(),
            session: Arc::clone(session),
            provider: Arc::clone(provider),
            now,
        };
        // A task of its own: what the answer holds must not be lost with the client.
        let standing = tokio::spawn(question.ask()).await.unwrap_or(unanswered);
        let view = self.view.load();
        let auth = view.auth(&session.facts.service);
        if standing == Standing::Unsure || !auth.is_some_and(|auth| is_listed(auth, session)) {
            session.cut();
        }
        standing
    }

    /// Sessions of users whose requests go on and on, by their provider's name: others are
    /// asked about when they make one.
    pub(super) fn held(&self) -> HashMap<String, Vec<Arc<Session>>> {
        let view = self.view.load();
        let mut held: HashMap<String, Vec<Arc<Session>>> = HashMap::new();
        for session in self.sessions.all() {
            let auth = view.auth(&session.facts.service);
            if let Some(provider) = auth.and_then(provider).filter(|_| session.is_held()) {
                held.entry(provider.name.clone()).or_default().push(session);
            }
        }
        held
    }

    /// Asks about them, where it is time to.
    pub(super) async fn recheck_held(&self, held: Vec<Arc<Session>>, now: impl Fn() -> Timestamp) {
        let ask = async |session: Arc<Session>| {
            // Not what was in force at the first of them: there may be many.
            let view = self.view.load_full();
            let auth = view.auth(&session.facts.service);
            if let Some(provider) = auth.and_then(provider).filter(|_| session.is_held()) {
                self.standing(&session, provider, now()).await;
            }
        };
        stream::iter(held).for_each_concurrent(AT_A_TIME, ask).await;
    }
}

struct Question {
    sign_on: Arc<dyn SignOn>,
    journal: Journal,
    session: Arc<Session>,
    provider: Arc<SsoProvider>,
    now: Timestamp,
}

impl Question {
    async fn ask(self) -> Standing {
        let session = Arc::clone(&self.session);
        let Holder::User(signed_on) = &session.holder else { return Standing::Good };
        let _asking = signed_on.asking.lock().await;
        let unanswered = match due(signed_on.asked(), &self.provider, self.now) {
            Due::Nothing(standing) => return standing,
            Due::Ask(unanswered) => unanswered,
        };
        let Some(token) = signed_on.refresh_token() else { return Standing::Good };
        let user = signed_on.user();
        match self.sign_on.confirm(&self.provider, &user, &token).await {
            Ok((known, refresh)) if known.id == user.id => {
                self.journal.sessions.confirm(&session, (known, refresh), self.now);
                self.keep().await;
                Standing::Good
            }
            Err(error @ (SsoError::Unreachable { .. } | SsoError::Host(_))) => {
                self.no_answer(signed_on, &error, unanswered)
            }
            Ok(_) | Err(_) => {
                self.end().await;
                Standing::Over
            }
        }
    }

    fn no_answer(&self, signed_on: &SignedOn, why: &SsoError, unanswered: Standing) -> Standing {
        tracing::warn!(provider = self.provider.name, "a user cannot be confirmed: {why}");
        signed_on.note_failure(self.now);
        unanswered
    }

    /// A refresh token that was used up must not come back.
    async fn keep(&self) {
        let sessions = Arc::clone(&self.journal.sessions);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || sessions.flush()).await {
            tracing::warn!("a confirmed session is to be written later: {error}");
        }
    }

    async fn end(&self) {
        self.journal.sessions.end(self.session.key);
        let by = Some(self.provider.name.clone());
        if let Err(error) = self.journal.note(Event::Refused, &self.session, by).await {
            tracing::warn!("the end of a session is not kept: {error}");
        }
    }
}
