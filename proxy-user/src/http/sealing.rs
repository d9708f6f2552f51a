//! What is kept where others may read it, so that they cannot: in a browser, in a file.

use std::io;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::auth::random::random;

/// Seals with AES-256-GCM. Nonces are random: 2^32 of a key are far off.
pub(super) struct SealingKey(LessSafeKey);

impl SealingKey {
    pub(super) fn new(secret: &[u8; 32]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret).map_err(|_| no_cipher())?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// What only this key opens, and only by the same name. An error where the system has
    /// no randomness.
    pub(super) fn seal(&self, name: &str, mut plain: Vec<u8>) -> io::Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random().map_err(io::Error::other)?;
        let (aad, once) = (Aad::from(name.as_bytes()), Nonce::assume_unique_for_key(nonce));
        let sealed = self.0.seal_in_place_append_tag(once, aad, &mut plain);
        sealed.map_err(|_| no_cipher())?;
        Ok([&nonce[..], &plain].concat())
    }

    /// What was sealed by that name; `None`: nothing was.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let (aad, once) = (Aad::from(name.as_bytes()), Nonce::assume_unique_for_key(*nonce));
        let mut opened = sealed.to_vec();
        let length = self.0.open_in_place(once, aad, &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

/// ring does not say more.
fn no_cipher() -> io::Error {
    io::Error::other("the cipher does not take the key or what it is to seal")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_another_made_or_changed_is_not_opened() {
        let key = SealingKey::new(&[1; 32]).unwrap();
        let sealed = key.seal("name", b"login".to_vec()).unwrap();
        let again = SealingKey::new(&[1; 32]).unwrap();
        assert_eq!(again.open("name", &sealed).as_deref(), Some(&b"login"[..]));
        assert_eq!(key.open("other", &sealed), None);
        assert_eq!(key.open("name", &sealed[..4]), None);
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key.open("name", &changed), None, "byte {place}");
        }
        assert_eq!(SealingKey::new(&[2; 32]).unwrap().open("name", &sealed), None);
    }
}
