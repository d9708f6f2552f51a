//! Which secret it was.

use sha2::{Digest, Sha256};

use crate::config::{SecretHash, SsoProvider};

/// Tells one secret, or one provider, from another, so that what it opened ends when it
/// is changed. It is made of what the configuration holds, not of the secret itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(in crate::http::auth) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(in crate::http::auth) fn of_secret(hash: &SecretHash) -> Self {
        match hash {
            SecretHash::Argon2id(text) => Self::of(&[b"argon2id", text.as_bytes()]),
            SecretHash::Sha256(hash) => Self::of(&[b"sha256", hash]),
        }
    }

    /// A provider is who vouches, and for whom it does; its own secret may be renewed.
    pub(in crate::http::auth) fn of_provider(provider: &SsoProvider) -> Self {
        Self::of(&[b"oidc", provider.issuer.as_bytes(), provider.client_id.as_bytes()])
    }

    pub(in crate::http::auth) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            // Lengths, so that no two lists of parts are the same bytes.
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}
