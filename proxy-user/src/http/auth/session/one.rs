//! One session.

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    holder::{Holder, Refresh, SignedOn},
    id::{SessionId, SessionKey},
};
use crate::{
    http::{
        auth::{lease::Lease, secrets::Fingerprint},
        sso::User,
    },
    record::Timestamp,
};

/// What does not change about a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::http::auth) struct Facts {
    /// For which service.
    pub(in crate::http::auth) service: String,
    /// At which host.
    pub(in crate::http::auth) host: String,
    /// From which address it was opened.
    pub(in crate::http::auth) client: IpAddr,
    pub(in crate::http::auth) opened: Timestamp,
    pub(in crate::http::auth) expires: Timestamp,
    /// What opened it.
    pub(in crate::http::auth) secret: Fingerprint,
}

/// A session that is open.
pub(in crate::http::auth) struct Session {
    pub(in crate::http::auth) key: SessionKey,
    pub(in crate::http::auth) facts: Facts,
    pub(in crate::http::auth) holder: Holder,
    revoked: Mutex<CancellationToken>,
    held: Arc<()>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    facts: Facts,
    holder: KeptHolder,
}

#[derive(Serialize, Deserialize)]
enum KeptHolder {
    Password,
    Pin,
    User { user: User, refresh: Option<Vec<u8>>, confirmed: Timestamp },
}

impl Session {
    pub(super) fn new(key: SessionKey, facts: Facts, holder: Holder) -> Self {
        Self { key, facts, holder, revoked: Mutex::default(), held: Arc::default() }
    }

    /// For requests that it lets pass.
    pub(in crate::http::auth) fn lease(&self) -> Lease {
        let revoked = self.revoked.lock().clone();
        Lease::of_session(revoked, self.facts.expires, Arc::clone(&self.held))
    }

    /// Whether a lease is in use.
    pub(in crate::http::auth) fn is_held(&self) -> bool {
        Arc::strong_count(&self.held) > 1
    }

    /// Ends what its leases let pass. What is asked for anew is judged anew.
    pub(in crate::http::auth) fn cut(&self) {
        std::mem::take(&mut *self.revoked.lock()).cancel();
    }

    /// Ends it: its leases too, those that are still to be given as well.
    pub(super) fn end(&self) {
        self.revoked.lock().cancel();
    }

    pub(in crate::http::auth) fn user(&self) -> Option<Arc<User>> {
        match &self.holder {
            Holder::User(signed_on) => Some(signed_on.user()),
            Holder::Password | Holder::Pin => None,
        }
    }

    /// The browser shows its id.
    pub(super) fn unseal(&self, id: &SessionId) {
        if let Holder::User(signed_on) = &self.holder {
            signed_on.unseal(id);
        }
    }

    /// As the file keeps it.
    pub(super) fn kept(&self) -> Vec<u8> {
        let holder = match &self.holder {
            Holder::Password => KeptHolder::Password,
            Holder::Pin => KeptHolder::Pin,
            Holder::User(signed_on) => signed_on.with(|state| KeptHolder::User {
                user: User::clone(&state.user),
                refresh: state.refresh.sealed(),
                confirmed: state.confirmed,
            }),
        };
        let kept = Kept { facts: self.facts.clone(), holder };
        // Plain data into memory: postcard has nothing to refuse.
        postcard::to_stdvec(&kept).unwrap_or_default()
    }

    /// Out of the file; `None` where another Weir wrote it in another way.
    pub(super) fn of_kept(key: [u8; 32], bytes: &[u8]) -> Option<Self> {
        let Kept { facts, holder } = postcard::from_bytes(bytes).ok()?;
        let holder = match holder {
            KeptHolder::Password => Holder::Password,
            KeptHolder::Pin => Holder::Pin,
            KeptHolder::User { user, refresh, confirmed } => {
                let refresh = refresh.map_or(Refresh::Never, Refresh::Sealed);
                Holder::User(SignedOn::new(Arc::new(user), refresh, confirmed).into())
            }
        };
        Some(Self::new(SessionKey(key), facts, holder))
    }
}
