//! Every session: looked up in memory, kept in a file behind it.

use std::{
    mem::take,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    holder::{Holder, Refresh, SignedOn},
    id::{SessionId, SessionKey},
    one::{Facts, Session},
};
use crate::{
    http::{auth::random::NoRandomness, sso::User},
    record::{AuthMethod, KeyedMap, Timestamp},
    store::{SessionBook, SessionChange, StoreError},
};

/// Sessions at a time. Beyond, the service that has the most gives its oldest, so that
/// one that is flooded costs the others nothing.
const MOST: usize = 65_536;
/// Sessions that one user has at a service: more are not needed, but could be made by a
/// user who is on no list.
const MOST_OF_USER: usize = 16;

/// What a session is opened by.
pub(in crate::http::auth) enum Opener {
    Password,
    Pin,
    User(User, Option<String>),
}

impl Opener {
    pub(in crate::http::auth) const fn method(&self) -> AuthMethod {
        match self {
            Self::Password => AuthMethod::Password,
            Self::Pin => AuthMethod::Pin,
            Self::User(..) => AuthMethod::Oidc,
        }
    }
}

pub(in crate::http::auth) struct Sessions {
    book: SessionBook,
    open: RwLock<KeyedMap<SessionKey, Arc<Session>>>,
    /// What the file does not have yet.
    pending: Mutex<KeyedMap<SessionKey, Option<Vec<u8>>>>,
    /// Held while the file is written: changes get there in their order.
    writing: Mutex<()>,
    loaded: AtomicBool,
    most: usize,
}

impl Sessions {
    pub(in crate::http::auth) fn new(data_dir: &Path) -> Self {
        Self::of(data_dir, MOST)
    }

    fn of(data_dir: &Path, most: usize) -> Self {
        Self {
            book: SessionBook::new(data_dir),
            open: RwLock::default(),
            pending: Mutex::default(),
            writing: Mutex::default(),
            loaded: AtomicBool::new(false),
            most,
        }
    }

    pub(in crate::http::auth) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// Reads the file, where that is still to be done. While another process has it,
    /// nobody knows who has a session; what cannot be read for another reason has none.
    /// Blocks.
    pub(in crate::http::auth) fn load(&self, now: Timestamp) -> Result<(), StoreError> {
        let _turn = self.writing.lock();
        if self.is_loaded() {
            return Ok(());
        }
        let kept = match self.book.load() {
            Err(error @ StoreError::Locked(_)) => return Err(error),
            Err(error) => {
                tracing::warn!("sessions are lost: {error}");
                Vec::new()
            }
            Ok(kept) => kept,
        };
        let (mut open, mut pending) = (self.open.write(), self.pending.lock());
        for (key, bytes) in kept {
            let session = Session::of_kept(key, &bytes);
            match session.filter(|session| session.facts.expires > now) {
                // What is pending is newer than the file.
                Some(session) if !pending.contains_key(&session.key) => {
                    open.entry(session.key).or_insert_with(|| Arc::new(session));
                }
                Some(_) => {}
                None => drop(pending.insert(SessionKey(key), None)),
            }
        }
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }

    /// Opens a session. It is known at once; [`Self::flush`] keeps it.
    pub(in crate::http::auth) fn open(
        &self,
        facts: Facts,
        opener: Opener,
    ) -> Result<(SessionId, Arc<Session>), NoRandomness> {
        let id = SessionId::new()?;
        let holder = match opener {
            Opener::Password => Holder::Password,
            Opener::Pin => Holder::Pin,
            Opener::User(user, refresh) => {
                self.make_room_of_user(&facts.service, &user.id);
                let refresh = refresh.map_or(Refresh::Never, |token| Refresh::By(token, id.seal()));
                Holder::User(SignedOn::new(Arc::new(user), refresh, facts.opened).into())
            }
        };
        self.make_room();
        let session = Arc::new(Session::new(id.key(), facts, holder));
        self.pending.lock().insert(session.key, Some(session.kept()));
        self.open.write().insert(session.key, Arc::clone(&session));
        Ok((id, session))
    }

    /// The session of that id, unless it has ended.
    pub(in crate::http::auth) fn find(
        &self,
        id: &SessionId,
        now: Timestamp,
    ) -> Option<Arc<Session>> {
        let session = self.open.read().get(&id.key()).map(Arc::clone)?;
        (session.facts.expires > now).then_some(())?;
        session.unseal(id);
        Some(session)
    }

    /// Every session, in any order.
    pub(in crate::http::auth) fn all(&self) -> Vec<Arc<Session>> {
        self.open.read().values().map(Arc::clone).collect()
    }

    /// Ends a session; whether it was open.
    pub(in crate::http::auth) fn end(&self, key: SessionKey) -> bool {
        let Some(session) = self.open.write().remove(&key) else { return false };
        session.end();
        self.pending.lock().insert(key, None);
        true
    }

    /// A user was confirmed.
    pub(in crate::http::auth) fn confirm(
        &self,
        session: &Session,
        (user, refresh): (User, Option<String>),
        now: Timestamp,
    ) {
        let Holder::User(signed_on) = &session.holder else { return };
        signed_on.confirm(user, refresh, now);
        // One that has ended meanwhile stays so.
        if self.open.read().contains_key(&session.key) {
            self.pending.lock().insert(session.key, Some(session.kept()));
        }
    }

    /// Ends what has expired.
    pub(in crate::http::auth) fn sweep(&self, now: Timestamp) {
        let over = |session: &Arc<Session>| session.facts.expires <= now;
        let all = self.all();
        for session in all.iter().filter(|session| over(session)) {
            self.end(session.key);
        }
    }

    /// Writes what the file does not have yet. Blocks.
    pub(in crate::http::auth) fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.writing.lock();
        let changes = take(&mut *self.pending.lock());
        if changes.is_empty() {
            return Ok(());
        }
        let changes: Vec<SessionChange> =
            changes.into_iter().map(|(key, kept)| (key.0, kept)).collect();
        let written = self.book.write(&changes);
        if written.is_err() {
            let mut pending = self.pending.lock();
            for (key, kept) in changes {
                pending.entry(SessionKey(key)).or_insert(kept);
            }
        }
        written
    }

    /// Lets go of the file for good, so that another process can open it. Blocks.
    pub(in crate::http::auth) fn close(&self) {
        if let Err(error) = self.flush() {
            tracing::warn!("sessions are not kept: {error}");
        }
        self.book.close();
    }

    /// Damage that was found since it was last asked; the file is set aside.
    pub(in crate::http::auth) fn damaged(&self) -> Vec<StoreError> {
        self.book.damaged()
    }

    fn make_room(&self) {
        if self.open.read().len() < self.most {
            return;
        }
        let all = self.all();
        let mut counts: KeyedMap<&str, usize> = KeyedMap::default();
        for session in &all {
            *counts.entry(&session.facts.service).or_default() += 1;
        }
        let fullest = counts.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name);
        let of_it = all.iter().filter(|session| Some(session.facts.service.as_str()) == fullest);
        if let Some(oldest) = of_it.min_by_key(|session| session.facts.opened) {
            self.end(oldest.key);
        }
    }

    fn make_room_of_user(&self, service: &str, user: &str) {
        let is_theirs = |session: &&Arc<Session>| {
            session.facts.service == service && session.user().is_some_and(|u| u.id == user)
        };
        let open = self.open.read();
        let theirs: Vec<&Arc<Session>> = open.values().filter(is_theirs).collect();
        let oldest = theirs.iter().min_by_key(|session| session.facts.opened);
        let oldest = oldest.filter(|_| theirs.len() >= MOST_OF_USER).map(|session| session.key);
        drop(open);
        if let Some(oldest) = oldest {
            self.end(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
