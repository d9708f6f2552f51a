//! Argon2id takes memory and time on purpose: how much of it at once is bounded.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use argon2::{Argon2, PasswordVerifier};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// For each that is hashed, so many may wait.
const WAITING: usize = 8;

/// Too much is waiting to be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http::auth) struct Busy;

/// Hashes as many at once as there are cores.
pub(in crate::http::auth) struct Pool {
    /// For each that is hashed or waits.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Pool {
    pub(in crate::http::auth) fn new() -> Self {
        Self::of(available_parallelism().map_or(1, NonZero::get))
    }

    fn of(cores: usize) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { places: semaphore(cores * (1 + WAITING)), turns: semaphore(cores) }
    }

    /// Whether `secret` is the one that was hashed. `hash`: in the PHC string format; one
    /// that is none is of no secret.
    pub(in crate::http::auth) async fn verify(
        &self,
        secret: Vec<u8>,
        hash: String,
    ) -> Result<bool, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        let verified = spawn_blocking(move || {
            // Held by the thread: it goes on also where the client does not wait for it.
            let _held = (place, turn);
            Argon2::default().verify_password(&secret, hash.as_str()).is_ok()
        });
        verified.await.map_err(|_| Busy)
    }
}

#[cfg(test)]
impl Pool {
    /// Has no place for anybody until that is dropped.
    pub(in crate::http::auth) fn close(&self) -> tokio::sync::OwnedSemaphorePermit {
        let all = u32::try_from(self.places.available_permits()).expect("a few");
        Arc::clone(&self.places).try_acquire_many_owned(all).expect("they are free")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use argon2::PasswordHasher;
    use futures_util::future::join_all;

    use super::*;

    fn hash(secret: &str) -> String {
        let weak = argon2::Params::new(8, 1, 1, None).unwrap();
        Argon2::from(weak).hash_password(secret.as_bytes()).unwrap().to_string()
    }

    #[tokio::test]
    async fn the_right_secret_is_told_from_wrong_ones() {
        let (pool, hash) = (Pool::of(1), hash("correct horse"));
        assert_eq!(pool.verify(b"correct horse".to_vec(), hash.clone()).await, Ok(true));
        for wrong in [&b""[..], b"correct hors", b"correct horse\0"] {
            assert_eq!(pool.verify(wrong.to_vec(), hash.clone()).await, Ok(false));
        }
        assert_eq!(pool.verify(Vec::new(), String::new()).await, Ok(false), "no hash, no secret");
    }

    #[tokio::test]
    async fn what_there_is_no_place_for_is_turned_away_and_not_kept_waiting() {
        let (pool, hash) = (Pool::of(1), hash("a"));
        let all = join_all((0..30).map(|_| pool.verify(b"a".to_vec(), hash.clone()))).await;
        let busy = all.iter().filter(|outcome| **outcome == Err(Busy)).count();
        // Places may become free while the others come.
        assert!((1..=30 - (1 + WAITING)).contains(&busy), "{busy}");
        assert_eq!(pool.verify(b"a".to_vec(), hash).await, Ok(true), "there is room again");
    }
}
