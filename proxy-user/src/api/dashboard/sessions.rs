//! Who is signed in.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use crate::api::error::ApiError;

/// How long a session lasts.
pub(super) const LIFETIME: Duration = Duration::from_hours(12);
/// Sessions at a time; one more ends the oldest.
const MOST: usize = 256;

/// What a session is found by: the SHA-256 of what its cookie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::api) struct SessionKey([u8; 32]);

impl SessionKey {
    fn of(cookie: &str) -> Self {
        Self(Sha256::digest(cookie).into())
    }
}

/// A session that is open.
#[derive(Clone)]
pub(in crate::api) struct Session {
    pub(in crate::api) key: SessionKey,
    /// The token that opened it, and that it ends with.
    pub(in crate::api) token: Arc<str>,
    opened: Instant,
}

/// Every session. They are in memory alone: a restart ends them.
#[derive(Default)]
pub(in crate::api) struct Sessions(Mutex<HashMap<SessionKey, Session>>);

impl Sessions {
    /// Opens one; what its cookie is to hold, 256 random bits.
    pub(super) fn open(&self, token: &str) -> Result<String, ApiError> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the host gives no randomness")
        })?;
        let cookie = URL_SAFE_NO_PAD.encode(bytes);
        let key = SessionKey::of(&cookie);
        let mut sessions = self.0.lock();
        if sessions.len() >= MOST {
            let oldest = sessions.values().min_by_key(|session| session.opened).map(|old| old.key);
            oldest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key, Session { key, token: token.into(), opened: Instant::now() });
        Ok(cookie)
    }

    /// The session of that cookie.
    pub(super) fn find(&self, cookie: &str) -> Option<Session> {
        self.of(SessionKey::of(cookie))
    }

    /// Whether that session is open.
    pub(in crate::api) fn holds(&self, key: SessionKey) -> bool {
        self.of(key).is_some()
    }

    /// Ends it.
    pub(super) fn close(&self, key: SessionKey) {
        self.0.lock().remove(&key);
    }

    fn of(&self, key: SessionKey) -> Option<Session> {
        let mut sessions = self.0.lock();
        let session = sessions.get(&key)?.clone();
        if session.opened.elapsed() < LIFETIME {
            return Some(session);
        }
        sessions.remove(&key);
        None
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.0.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_is_closed() {
        let sessions = Sessions::default();
        let cookie = sessions.open("secret").unwrap();
        let session = sessions.find(&cookie).unwrap();
        assert_eq!(&*session.token, "secret");
        assert!(sessions.find(&cookie[1..]).is_none());
        sessions.close(session.key);
        assert!(!sessions.holds(session.key));
    }

    #[test]
    fn more_than_there_may_be_end_the_oldest() {
        let sessions = Sessions::default();
        let cookies: Vec<String> = (0..=MOST).map(|_| sessions.open("secret").unwrap()).collect();
        assert!(sessions.find(&cookies[0]).is_none());
        assert!(cookies[1..].iter().all(|cookie| sessions.find(cookie).is_some()));
    }

    #[test]
    fn a_session_ends_by_itself() {
        let sessions = Sessions::default();
        let cookie = sessions.open("secret").unwrap();
        let past = Instant::now().checked_sub(LIFETIME).unwrap();
        sessions.0.lock().values_mut().for_each(|session| session.opened = past);
        assert!(sessions.find(&cookie).is_none());
        assert!(sessions.0.lock().is_empty());
    }
}
