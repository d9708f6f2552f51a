//! Secrets that visitors show, and how they are compared.

mod fingerprint;
mod pool;

use parking_lot::Mutex;
use ring::hmac::{self, HMAC_SHA256};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    lockout::Tag,
    random::{NoRandomness, random},
};
use crate::{config::SecretHash, record::KeyedSet};

pub(super) use self::{
    fingerprint::Fingerprint,
    pool::{Busy, Pool},
};

/// Compares secrets with what the configuration holds of them.
pub(super) struct Secrets {
    /// Made anew with each process.
    key: hmac::Key,
    pool: Pool,
    /// Right values for argon2id hashes, each under `key`. Each hash has one.
    right: Mutex<KeyedSet<[u8; 32]>>,
}

impl Secrets {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let key = hmac::Key::new(HMAC_SHA256, &random::<32>()?);
        Ok(Self { key, pool: Pool::new(), right: Mutex::default() })
    }

    /// Whether that is a key of 256 random bits which has this hash. Takes the same time
    /// for every value of a length.
    pub(super) fn is_key(hash: &SecretHash, value: &[u8]) -> bool {
        match hash {
            SecretHash::Sha256(hash) => Sha256::digest(value).as_slice().ct_eq(&hash[..]).into(),
            SecretHash::Argon2id(_) => false,
        }
    }

    /// The place of the hash that is of `value`. `often`: it comes with every request, so
    /// that a right one is hashed once.
    pub(super) async fn find(
        &self,
        hashes: &[SecretHash],
        value: &[u8],
        often: bool,
    ) -> Result<Option<usize>, Busy> {
        let known = |hash| self.digest(Fingerprint::of_secret(hash).as_bytes(), value);
        if often {
            let right = self.right.lock();
            if let Some(place) = hashes.iter().position(|hash| right.contains(&known(hash))) {
                return Ok(Some(place));
            }
        }
        for (place, hash) in hashes.iter().enumerate() {
            if self.verify(hash, value).await? {
                if often {
                    self.right.lock().insert(known(hash));
                }
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Whether `value` is the secret that was hashed.
    async fn verify(&self, hash: &SecretHash, value: &[u8]) -> Result<bool, Busy> {
        match hash {
            SecretHash::Sha256(_) => Ok(Self::is_key(hash, value)),
            SecretHash::Argon2id(hash) => self.pool.verify(value.to_vec(), hash.clone()).await,
        }
    }

    /// Forgets which values are right.
    pub(super) fn forget(&self) {
        self.right.lock().clear();
    }

    /// What a try is known by: the value, and what it was compared with.
    pub(super) fn tag<'a>(
        &self,
        hashes: impl Iterator<Item = &'a SecretHash>,
        value: &[u8],
    ) -> Tag {
        let prints = hashes.flat_map(|hash| Fingerprint::of_secret(hash).as_bytes().to_vec());
        Tag(self.digest(&prints.collect::<Vec<u8>>(), value))
    }

    fn digest(&self, context: &[u8], value: &[u8]) -> [u8; 32] {
        let mut signer = hmac::Context::with_key(&self.key);
        signer.update(&(context.len() as u64).to_be_bytes());
        signer.update(context);
        signer.update(value);
        let mut digest = [0; 32];
        digest.copy_from_slice(signer.sign().as_ref());
        digest
    }
}

#[cfg(test)]
impl Secrets {
    /// There is no place to hash in until that is dropped.
    pub(super) fn close_pool(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.pool.close()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use argon2::{Argon2, PasswordHasher};

    use super::*;

    fn argon2(secret: &str) -> SecretHash {
        let weak = argon2::Params::new(8, 1, 1, None).unwrap();
        let hash = Argon2::from(weak).hash_password(secret.as_bytes()).unwrap();
        SecretHash::Argon2id(hash.to_string())
    }

    #[tokio::test]
    async fn a_key_is_compared_by_its_sha256() {
        let secrets = Secrets::new().unwrap();
        let hash = SecretHash::Sha256(Sha256::digest(b"key").into());
        assert_eq!(secrets.verify(&hash, b"key").await, Ok(true));
        assert_eq!(secrets.verify(&hash, b"kez").await, Ok(false));
        assert!(!Secrets::is_key(&argon2("key"), b"key"), "that would take a hash");
    }

    /// With nothing left to hash in, only what is remembered is found.
    #[tokio::test]
    async fn a_right_value_is_hashed_once_and_is_right_for_its_own_hash_alone() {
        let secrets = Secrets::new().unwrap();
        let hashes = [argon2("one"), argon2("other")];
        assert_eq!(secrets.find(&hashes, b"other", true).await, Ok(Some(1)));
        assert_eq!(secrets.find(&hashes, b"wrong", true).await, Ok(None));
        let pool = secrets.close_pool();
        assert_eq!(secrets.find(&hashes, b"other", true).await, Ok(Some(1)), "whichever it is");
        assert_eq!(secrets.find(&hashes[..1], b"other", true).await, Err(Busy));
        assert_eq!(secrets.find(&hashes, b"one", true).await, Err(Busy));
        assert_eq!(secrets.find(&hashes, b"other", false).await, Err(Busy));
        secrets.forget();
        assert_eq!(secrets.find(&hashes, b"other", true).await, Err(Busy));
        drop(pool);
        assert_eq!(secrets.find(&hashes, b"one", false).await, Ok(Some(0)));
    }

    #[test]
    fn a_try_is_known_by_value_and_secret() {
        let secrets = Secrets::new().unwrap();
        let (one, other) = (argon2("one"), argon2("other"));
        let tag = |hash, value: &[u8]| secrets.tag([hash].into_iter(), value);
        assert_eq!(tag(&one, b"a"), tag(&one, b"a"));
        assert_ne!(tag(&one, b"a"), tag(&one, b"b"));
        assert_ne!(tag(&one, b"a"), tag(&other, b"a"));
    }
}
