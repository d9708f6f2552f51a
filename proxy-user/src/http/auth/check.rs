//! May this request pass?

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use proxy_common::reason::Reason;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    Authenticator,
    authenticator::is_listed,
    cookies::Cookie,
    decision::{Decision, Identity, Turned, problem},
    login::ask,
    now::Now,
    recheck::Standing,
    session::{Holder, Session, SessionId},
    view::{opens, provider},
    visitor::{Guarded, Visitor},
};
use crate::{
    http::pages::{Hop, Refused, respond, retry_after},
    record::{AuthMethod, Timestamp},
};

/// How long a request with a session waits for the process before to let go of them.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether a browser has a session.
enum Found {
    Session(Arc<Session>),
    Nothing,
    /// Another process still has the file.
    NotKnown,
}

impl Authenticator {
    /// By a session, by a header, or not: then the answer asks to sign in.
    pub async fn check(&self, visitor: &Visitor<'_>) -> Decision {
        self.check_at(visitor, Now::read()).await
    }

    pub(super) async fn check_at(&self, visitor: &Visitor<'_>, now: Now) -> Decision {
        let Some(guarded) = visitor.guarded else { return Decision::Pass(Identity::anonymous()) };
        let by_session = match self.session(visitor, &guarded, now.wall).await {
            Found::Session(session) => self.admit(visitor, &guarded, &session, now.wall).await,
            Found::Nothing => None,
            Found::NotKnown => return not_known(visitor).into(),
        };
        let turned = match by_session {
            Some(pass @ Decision::Pass(_)) => return pass,
            turned => turned,
        };
        match self.header(visitor, &guarded, now).await {
            Some(pass @ Decision::Pass(_)) => pass,
            by_header => turned.or(by_header).unwrap_or_else(|| ask(visitor, &guarded).into()),
        }
    }

    /// The session of the browser, if what opened it still opens the service.
    async fn session(&self, visitor: &Visitor<'_>, guarded: &Guarded<'_>, now: Timestamp) -> Found {
        let ids = session_ids(visitor);
        if ids.is_empty() {
            return Found::Nothing;
        }
        if !self.wait_for_sessions(now).await {
            return Found::NotKnown;
        }
        let mine = |session: &Arc<Session>| is_for(session, visitor, guarded);
        let found = ids.iter().filter_map(|id| self.sessions.find(id, now)).find(mine);
        match found {
            Some(session) if opens(guarded.auth, &session) => Found::Session(session),
            Some(session) => {
                self.sessions.end(session.key);
                Found::Nothing
            }
            None => Found::Nothing,
        }
    }

    /// Whether the sessions are known, once the process before has let go of them.
    async fn wait_for_sessions(&self, now: Timestamp) -> bool {
        let end = Instant::now() + PATIENCE;
        while !self.sessions.is_loaded() {
            let sessions = Arc::clone(&self.sessions);
            let loaded = spawn_blocking(move || sessions.load(now)).await;
            if !matches!(loaded, Ok(Ok(()))) {
                if Instant::now() >= end {
                    return false;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        true
    }

    /// What a session is good for; `None` where the provider has just ended it.
    async fn admit(
        &self,
        visitor: &Visitor<'_>,
        guarded: &Guarded<'_>,
        session: &Arc<Session>,
        now: Timestamp,
    ) -> Option<Decision> {
        // Before it is judged: what is changed meanwhile then ends it.
        let lease = session.lease();
        if let (Holder::User(_), Some(provider)) = (&session.holder, provider(guarded.auth)) {
            match self.standing(session, provider, now).await {
                Standing::Good => {}
                Standing::Over => return None,
                Standing::Unsure => return Some(unsure(visitor, session).into()),
            }
            if !is_listed(guarded.auth, session) {
                return Some(refused(visitor, session).into());
            }
        }
        let (method, user) = (session.holder.method(), session.user());
        Some(Decision::Pass(Identity { method, user, lease }))
    }
}

pub(super) fn session_ids(visitor: &Visitor<'_>) -> Vec<SessionId> {
    let cookies = Cookie::Session.read(visitor.headers(), visitor.secure);
    cookies.filter_map(SessionId::parse).collect()
}

/// Whether the session is for this service at this host.
pub(super) fn is_for(session: &Session, visitor: &Visitor<'_>, guarded: &Guarded<'_>) -> bool {
    session.facts.service == guarded.service && session.facts.host == visitor.host
}

fn refused(visitor: &Visitor<'_>, session: &Session) -> Turned {
    let user = session.user();
    let name = user.as_ref().map_or("", |user| user.name());
    let page = Refused { request_id: visitor.request_id, host: visitor.host, name };
    let text = format!(
        "403 No access\n{name} is not among those that may come here.\nRequest {}",
        visitor.request_id
    );
    let response = respond(StatusCode::FORBIDDEN, visitor.headers(), &page, &text);
    Turned::new(response, Some(Reason::SsoDenied), AuthMethod::Oidc).of_user(user)
}

/// The provider has not confirmed the user for too long.
fn unsure(visitor: &Visitor<'_>, session: &Session) -> Turned {
    let text = "The sign-in service does not answer, and cannot confirm that you are still \
                signed in. You stay signed in here until it does.";
    let at = (StatusCode::SERVICE_UNAVAILABLE, Some(Hop::Provider));
    let mut response = problem(visitor, at, text, None);
    retry_after(&mut response, super::recheck::AGAIN);
    Turned::new(response, Some(Reason::MissingSsoSession), AuthMethod::Oidc).of_user(session.user())
}

fn not_known(visitor: &Visitor<'_>) -> Turned {
    let text = "Weir is being restarted. Try again in a moment.";
    let at = (StatusCode::SERVICE_UNAVAILABLE, Some(Hop::Weir));
    let mut response = problem(visitor, at, text, None);
    retry_after(&mut response, Duration::from_secs(1));
    Turned::new(response, Some(Reason::ConnectionLimit), AuthMethod::None)
}
