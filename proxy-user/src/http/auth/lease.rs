//! How long what was allowed stays allowed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::now::until;
use crate::record::Timestamp;

/// Of a request that was let pass: an upgrade or a stream that goes on ends with it.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Cancelled when it is over before its time; `None` where nothing ends it.
    revoked: Option<CancellationToken>,
    expires: Option<Timestamp>,
    /// Tells that it is in use.
    _held: Option<Arc<()>>,
}

impl Lease {
    /// Of who needed nothing to pass.
    pub const fn unlimited() -> Self {
        Self { revoked: None, expires: None, _held: None }
    }

    pub(super) const fn of_secret(revoked: CancellationToken) -> Self {
        Self { revoked: Some(revoked), expires: None, _held: None }
    }

    pub(super) const fn of_session(
        revoked: CancellationToken,
        expires: Timestamp,
        held: Arc<()>,
    ) -> Self {
        Self { revoked: Some(revoked), expires: Some(expires), _held: Some(held) }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.revoked.as_ref().is_some_and(CancellationToken::is_cancelled)
            || self.expires.is_some_and(|expires| expires <= Timestamp::now())
    }

    /// Ready when it is over: the session has ended or was revoked, its secret was
    /// changed, its user is no longer on the lists.
    pub async fn over(&self) {
        let revoked = async {
            match &self.revoked {
                Some(revoked) => revoked.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let expired = async {
            match self.expires {
                // Wall clock and timer may drift apart, so the end is looked at again.
                Some(expires) => {
                    while let left @ 1.. = until(expires, Timestamp::now()).as_millis() {
                        let left = u64::try_from(left).unwrap_or(u64::MAX).min(60_000);
                        tokio::time::sleep(std::time::Duration::from_millis(left)).await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = revoked => {}
            () = expired => {}
        }
    }
}
