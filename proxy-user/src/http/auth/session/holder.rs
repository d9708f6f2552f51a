//! Who has a session: someone who knew a secret, or a user.

use std::sync::Arc;

use parking_lot::Mutex;

use super::id::{Seal, SessionId};
use crate::{
    http::sso::User,
    record::{AuthMethod, Timestamp},
};

pub(in crate::http::auth) enum Holder {
    Password,
    Pin,
    User(Box<SignedOn>),
}

impl Holder {
    pub(in crate::http::auth) const fn method(&self) -> AuthMethod {
        match self {
            Self::Password => AuthMethod::Password,
            Self::Pin => AuthMethod::Pin,
            Self::User(_) => AuthMethod::Oidc,
        }
    }
}

/// A user of a provider, who is confirmed from time to time.
pub(in crate::http::auth) struct SignedOn {
    state: Mutex<State>,
    /// Held while the provider is asked: a refresh token may be good only once.
    pub(in crate::http::auth) asking: tokio::sync::Mutex<()>,
}

pub(super) struct State {
    pub(super) user: Arc<User>,
    pub(super) refresh: Refresh,
    pub(super) confirmed: Timestamp,
    /// When the provider was last asked and did not answer.
    failed: Option<Timestamp>,
}

/// How a user is confirmed.
pub(super) enum Refresh {
    /// The provider gave nothing to do it by.
    Never,
    /// By a token that can be read when the browser shows its id.
    Sealed(Vec<u8>),
    /// By this token.
    By(String, Seal),
}

impl Refresh {
    /// As it is kept.
    pub(super) fn sealed(&self) -> Option<Vec<u8>> {
        match self {
            Self::Never => None,
            Self::Sealed(bytes) => Some(bytes.clone()),
            Self::By(token, seal) => seal.close(token),
        }
    }
}

/// When a user was last asked about.
#[derive(Clone, Copy, Debug)]
pub(in crate::http::auth) struct Asked {
    /// With an answer.
    pub(in crate::http::auth) confirmed: Timestamp,
    /// Without one, after that.
    pub(in crate::http::auth) failed: Option<Timestamp>,
}

impl SignedOn {
    pub(super) fn new(user: Arc<User>, refresh: Refresh, confirmed: Timestamp) -> Self {
        let state = State { user, refresh, confirmed, failed: None };
        Self { state: Mutex::new(state), asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.lock())
    }

    pub(in crate::http::auth) fn user(&self) -> Arc<User> {
        Arc::clone(&self.state.lock().user)
    }

    /// `None` where the user cannot be asked about.
    pub(in crate::http::auth) fn asked(&self) -> Option<Asked> {
        let state = self.state.lock();
        let Refresh::By(..) = state.refresh else { return None };
        Some(Asked { confirmed: state.confirmed, failed: state.failed })
    }

    /// By which the provider is asked.
    pub(in crate::http::auth) fn refresh_token(&self) -> Option<String> {
        match &self.state.lock().refresh {
            Refresh::By(token, _) => Some(token.clone()),
            Refresh::Never | Refresh::Sealed(_) => None,
        }
    }

    /// The browser shows its id: what is sealed by it can be read from now on. What does
    /// not open was changed, and nobody can be confirmed by it.
    pub(super) fn unseal(&self, id: &SessionId) {
        let mut state = self.state.lock();
        if let Refresh::Sealed(bytes) = &state.refresh {
            let seal = id.seal();
            state.refresh = match seal.open(bytes) {
                Some(token) => Refresh::By(token, seal),
                None => Refresh::Never,
            };
        }
    }

    pub(super) fn confirm(&self, user: User, refresh: Option<String>, now: Timestamp) {
        let mut state = self.state.lock();
        state.user = Arc::new(user);
        state.confirmed = now;
        state.failed = None;
        if let (Some(fresh), Refresh::By(token, _)) = (refresh, &mut state.refresh) {
            *token = fresh;
        }
    }

    /// The provider does not answer.
    pub(in crate::http::auth) fn note_failure(&self, now: Timestamp) {
        self.state.lock().failed = Some(now);
    }
}
