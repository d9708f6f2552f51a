//! What a browser has of its session, and what Weir keeps of that.

use ring::hmac::{self, HMAC_SHA256};
use sha2::{Digest, Sha256};

use crate::http::{
    auth::random::{NoRandomness, decode, encode, random},
    sealing::SealingKey,
};

/// What is sealed.
const SEALED: &str = "refresh token";

/// 256 random bits: who has them has the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http::auth) struct SessionId([u8; 32]);

/// By which Weir knows a session: the hash of its id, out of which nobody gets the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::http::auth) struct SessionKey(pub(super) [u8; 32]);

impl SessionId {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        random().map(Self)
    }

    /// Out of a cookie.
    pub(in crate::http::auth) fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    /// For a cookie.
    pub(in crate::http::auth) fn cookie(&self) -> String {
        encode(&self.0)
    }

    pub(in crate::http::auth) fn key(&self) -> SessionKey {
        SessionKey(Sha256::digest(self.0).into())
    }

    pub(super) fn seal(&self) -> Seal {
        let id = hmac::Key::new(HMAC_SHA256, &self.0);
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&id, SEALED.as_bytes()).as_ref());
        Seal(key)
    }
}

impl SessionKey {
    /// What people name the session by: nobody can use it. In digits that a command line
    /// takes for no option.
    pub(in crate::http::auth) fn name(&self) -> String {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        format!("{:016x}", u64::from_be_bytes(first))
    }
}

/// Closes what is kept beside a session, so that it can be read only while its browser
/// shows the id.
pub(super) struct Seal([u8; 32]);

impl Seal {
    fn key(&self) -> Option<SealingKey> {
        SealingKey::new(&self.0).ok()
    }

    pub(super) fn close(&self, text: &str) -> Option<Vec<u8>> {
        self.key()?.seal(SEALED, text.as_bytes().to_vec()).ok()
    }

    pub(super) fn open(&self, sealed: &[u8]) -> Option<String> {
        String::from_utf8(self.key()?.open(SEALED, sealed)?).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_id_comes_back_from_its_cookie_and_no_other_text_is_one() {
        let id = SessionId::new().unwrap();
        assert!(SessionId::parse(&id.cookie()) == Some(id));
        assert!(SessionId::new().unwrap() != id);
        let cookie = id.cookie();
        for bad in
            ["", "x", &cookie[1..], &format!("{cookie}A"), &cookie.replace(&cookie[..1], "=")]
        {
            assert!(SessionId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_the_id_opens_what_is_kept_beside_its_session() {
        let (id, other) = (SessionId::new().unwrap(), SessionId::new().unwrap());
        let sealed = id.seal().close("token").unwrap();
        assert_eq!(id.seal().open(&sealed).as_deref(), Some("token"));
        assert_eq!(other.seal().open(&sealed), None);
        assert_eq!(id.seal().open(&sealed[..5]), None);
    }
}
