//! A login under way, kept by the browser: in a cookie that only Weir can read. So nothing
//! that strangers begin takes memory, and a restart ends no login.

use std::io;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine as _};
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{cookie, error::StateFault};
use crate::{http::sealing::SealingKey, record::Timestamp};

/// How long a user may take at the provider.
pub(super) const LIFETIME_MS: i64 = 10 * 60 * 1000;

/// A login under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The provider's name.
    pub(super) provider: String,
    /// The service's.
    pub(super) service: String,
    /// The service's.
    pub(super) origin: String,
    /// The path that was asked for, with its query.
    pub(super) return_to: String,
    /// What the ID token must hold (OpenID Connect Core, 3.1.2.1).
    pub(super) nonce: String,
    /// What the code is exchanged with (RFC 7636).
    pub(super) verifier: String,
    /// When it is over.
    pub(super) expires: Timestamp,
}

impl Attempt {
    /// The value of the cookie of that name. A return address that does not fit into a
    /// cookie loses its query, or is the service's first page.
    pub(super) fn seal(mut self, key: &SealingKey, name: &str) -> io::Result<String> {
        loop {
            let plain = postcard::to_stdvec(&self).map_err(io::Error::other)?;
            let value = BASE64.encode(key.seal(name, plain)?);
            if name.len() + value.len() <= cookie::LONGEST || self.return_to == "/" {
                return Ok(value);
            }
            self.return_to = match self.return_to.split_once('?') {
                Some((path, _)) => path.to_owned(),
                None => "/".to_owned(),
            };
        }
    }

    /// The login that the browser says it comes back from; and its cookie's name.
    pub(super) fn of(
        key: &SealingKey,
        state: &str,
        cookies: &HeaderMap,
        now: Timestamp,
    ) -> Result<(Self, String), StateFault> {
        let names = [true, false].into_iter().filter_map(|secure| cookie::name(state, secure));
        let mut brought =
            names.filter_map(|name| cookie::value(cookies, &name).map(|value| (name, value)));
        let (name, value) = brought.next().ok_or(StateFault::Missing)?;
        let sealed = BASE64.decode(value).map_err(|_| StateFault::Forged)?;
        let plain = key.open(&name, &sealed).ok_or(StateFault::Forged)?;
        let attempt: Self = postcard::from_bytes(&plain).map_err(|_| StateFault::Forged)?;
        if now >= attempt.expires {
            return Err(StateFault::Expired);
        }
        Ok((attempt, name))
    }
}
