//! What a header's secret lets pass ends when the secret is taken out of the
//! configuration.

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{lease::Lease, secrets::Fingerprint};
use crate::record::KeyedMap;

/// A secret of a service.
type Secret = (String, Fingerprint);

#[derive(Default)]
pub(super) struct HeaderLeases(Mutex<KeyedMap<Secret, CancellationToken>>);

impl HeaderLeases {
    pub(super) fn lease(&self, service: &str, secret: Fingerprint) -> Lease {
        let mut leases = self.0.lock();
        Lease::of_secret(leases.entry((service.to_owned(), secret)).or_default().clone())
    }

    /// Ends what secrets opened that there are no more.
    pub(super) fn retain(&self, exists: impl Fn(&str, Fingerprint) -> bool) {
        self.0.lock().retain(|(service, secret), revoked| {
            let exists = exists(service, *secret);
            if !exists {
                revoked.cancel();
            }
            exists
        });
    }
}
