//! The orders that are under way.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{Authority, progress::Failed};
use crate::{
    http::tls::{Certificates, certificates::Wanted},
    record::Timestamp,
};

/// At a time: a start with many new domains does not run into the authority's limits on
/// requests, and those that hang leave room for others.
const MOST: usize = 8;
/// For one order in all.
const TIMEOUT: Duration = Duration::from_mins(5);

/// They end with this.
#[derive(Default)]
pub(in crate::http::tls) struct Orders {
    tasks: JoinSet<()>,
}

impl Orders {
    /// Begins those whose time has come. Each ends by itself, however the others do.
    pub(in crate::http::tls) fn begin(&mut self, certificates: &Arc<Certificates>) {
        while self.tasks.try_join_next().is_some() {}
        let Some(Wanted { authority, domains }) = certificates.wanted() else { return };
        let now = Timestamp::now();
        for (domain, due) in domains {
            if self.tasks.len() >= MOST {
                return;
            }
            if authority.begin(&domain, due, now) {
                let certificates = Arc::clone(certificates);
                self.tasks.spawn(run(certificates, Arc::clone(&authority), domain));
            }
        }
    }
}

async fn run(certificates: Arc<Certificates>, authority: Arc<Authority>, domain: String) {
    let obtained = AssertUnwindSafe(obtain(&certificates, &authority, &domain)).catch_unwind();
    // One that panics has to end as well, else it would be under way for ever.
    match obtained.await.unwrap_or_else(|_| Err(failed("the order ended unexpectedly"))) {
        Ok(()) => {
            tracing::info!("{domain}: has a certificate of {}", authority.acme().directory);
            authority.succeeded(&domain);
        }
        Err(failed) => {
            tracing::warn!("{domain}: no certificate could be had: {}", failed.error);
            let mut random = [0];
            // Without it orders that failed together come back together.
            let _ = getrandom(&mut random, GetRandomFlags::NONBLOCK);
            authority.failed(&domain, failed, random[0], Timestamp::now());
        }
    }
}

async fn obtain(
    certificates: &Arc<Certificates>,
    authority: &Arc<Authority>,
    domain: &str,
) -> Result<(), Failed> {
    let order = authority.order(domain, certificates.challenges());
    let late = |_| failed("the order takes too long");
    let pem = timeout(TIMEOUT, order).await.map_err(late)??;
    let (certificates, authority) = (Arc::clone(certificates), Arc::clone(authority));
    let domain = domain.to_owned();
    let kept = spawn_blocking(move || certificates.keep(&authority, &domain, &pem)).await;
    match kept {
        Ok(kept) => kept.map_err(|error| failed(&error.to_string())),
        Err(error) => Err(failed(&error.to_string())),
    }
}

fn failed(error: &str) -> Failed {
    Failed { error: error.to_owned(), asked: None }
}
