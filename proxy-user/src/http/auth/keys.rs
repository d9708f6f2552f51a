//! What browsers keep for Weir, signed.

use std::{io, path::Path};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac::{self, HMAC_SHA256};
use serde::{Serialize, de::DeserializeOwned};

use super::key_file;

/// What is signed: a signature for one purpose is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A device cookie.
    Device,
    /// A way from a service's host to the common callback host.
    Link,
}

/// Signs what browsers keep for Weir.
pub(super) struct Signer {
    device: hmac::Key,
    link: hmac::Key,
}

impl Signer {
    /// With the key in `auth.key` below `data_dir`, which is made where there is none.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        Ok(Self::new(&key_file::kept(data_dir, "auth.key")?))
    }

    fn new(secret: &[u8]) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, secret);
        let derive =
            |purpose: &[u8]| hmac::Key::new(HMAC_SHA256, hmac::sign(&master, purpose).as_ref());
        Self { device: derive(b"device"), link: derive(b"link") }
    }

    fn key(&self, purpose: Purpose) -> &hmac::Key {
        match purpose {
            Purpose::Device => &self.device,
            Purpose::Link => &self.link,
        }
    }

    /// `content` as text that a cookie or URL takes. It can be read, but not changed.
    pub(super) fn sign(&self, purpose: Purpose, content: &impl Serialize) -> String {
        // Plain data into memory: postcard has nothing to refuse.
        let bytes = postcard::to_stdvec(content).unwrap_or_default();
        let tag = hmac::sign(self.key(purpose), &bytes);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(tag))
    }

    /// What was signed, unless it was not by us.
    pub(super) fn verify<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        let (content, tag) = text.split_once('.')?;
        let content = URL_SAFE_NO_PAD.decode(content).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(self.key(purpose), &content, &tag).ok()?;
        postcard::from_bytes(&content).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_was_signed_before_a_restart_is_good_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let text = Signer::open(dir.path()).unwrap().sign(Purpose::Device, &("wiki", 7u64));
        let signer = Signer::open(dir.path()).unwrap();
        assert_eq!(signer.verify(Purpose::Device, &text), Some(("wiki".to_owned(), 7u64)));
        assert_eq!(signer.verify::<(String, u64)>(Purpose::Link, &text), None);
    }

    #[test]
    fn what_was_changed_or_signed_elsewhere_is_not_good() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let signer = Signer::open(dir.path()).unwrap();
        let text = signer.sign(Purpose::Device, &7u64);
        let forged = Signer::open(other.path()).unwrap().sign(Purpose::Device, &7u64);
        let (content, tag) = text.split_once('.').unwrap();
        let changed = format!("{}.{tag}", URL_SAFE_NO_PAD.encode([8]));
        for bad in [&forged, &changed, content, "", ".", &format!("{content}.")] {
            assert_eq!(signer.verify::<u64>(Purpose::Device, bad), None, "{bad}");
        }
    }
}
