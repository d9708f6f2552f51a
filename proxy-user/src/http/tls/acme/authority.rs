//! An authority: our account with it, and what was ordered there.

use std::{collections::HashMap, path::Path, sync::Arc};

use instant_acme::Account;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{
    account::{self, AccountError},
    order::{OrderError, order},
    progress::{Failed, Progress},
    transport::{Asked, Transport},
};
use crate::{
    config::Acme,
    http::tls::{AcmeState, challenges::Challenges, error::whole, kept::Kept},
    record::Timestamp,
};

/// What RFC 8555, 6.7 calls an account that the authority does not have.
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// `tls.acme`, with what it takes to use it.
pub(in crate::http::tls) struct Authority {
    acme: Acme,
    kept: Kept,
    /// Opened by the first order.
    account: tokio::sync::Mutex<Option<Account>>,
    asked: Asked,
    progress: Mutex<HashMap<String, Progress>>,
}

impl Authority {
    /// Keeps account and certificates below `data_dir`, those of each authority apart: what
    /// one for tests has signed is not taken for another's.
    pub(in crate::http::tls) fn new(acme: Acme, data_dir: &Path) -> Self {
        let kept = Kept::new(data_dir.join("acme").join(directory_name(&acme.directory)));
        Self {
            acme,
            kept,
            account: tokio::sync::Mutex::default(),
            asked: Asked::default(),
            progress: Mutex::default(),
        }
    }

    /// Its settings.
    pub(in crate::http::tls) fn acme(&self) -> &Acme {
        &self.acme
    }

    /// What it has signed.
    pub(in crate::http::tls) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// How orders for a domain stand whose certificate is to be renewed at `due`.
    pub(in crate::http::tls) fn state(&self, domain: &str, due: Timestamp) -> AcmeState {
        let progress = self.progress.lock();
        progress.get(domain).map_or_else(|| Progress::default().state(due), |p| p.state(due))
    }

    /// Begins an order where it is time.
    pub(super) fn begin(&self, domain: &str, due: Timestamp, now: Timestamp) -> bool {
        self.progress.lock().entry(domain.to_owned()).or_default().begin(due, now)
    }

    pub(super) fn succeeded(&self, domain: &str) {
        self.progress.lock().entry(domain.to_owned()).or_default().succeeded();
    }

    pub(super) fn failed(&self, domain: &str, failed: Failed, random: u8, now: Timestamp) {
        self.progress.lock().entry(domain.to_owned()).or_default().failed(failed, random, now);
    }

    /// Orders a certificate: key and chain, as PEM.
    pub(super) async fn order(
        &self,
        domain: &str,
        challenges: &Arc<Challenges>,
    ) -> Result<String, Failed> {
        match self.attempt(domain, challenges).await {
            // It was lost there, as those of authorities for tests are.
            Err(Attempt::Order(error)) if is_without_account(&error) => {
                self.forget_account().await;
                self.attempt(domain, challenges).await
            }
            outcome => outcome,
        }
        .map_err(|error| Failed { error: whole(&error), asked: self.asked.lock().take() })
    }

    async fn attempt(&self, domain: &str, challenges: &Arc<Challenges>) -> Result<String, Attempt> {
        let account = self.account().await?;
        Ok(order(&account, domain, self.acme.challenge, challenges).await?)
    }

    /// Orders that begin together open it once.
    async fn account(&self) -> Result<Account, AccountError> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let transport = Transport::new(&self.acme, Arc::clone(&self.asked))?;
        let account = account::open(&self.acme, self.kept.directory(), transport).await?;
        Ok(known.insert(account).clone())
    }

    async fn forget_account(&self) {
        *self.account.lock().await = None;
        account::forget(&self.acme, self.kept.directory());
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum Attempt {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

fn is_without_account(error: &OrderError) -> bool {
    match error {
        OrderError::Authority(instant_acme::Error::Api(problem)) => {
            problem.r#type.as_deref() == Some(NO_ACCOUNT)
        }
        _ => false,
    }
}

/// A name for a directory: the host to be read by people, a digest to be unique.
fn directory_name(url: &str) -> String {
    let host = url.split("//").nth(1).unwrap_or(url).split(['/', ':']).next().unwrap_or("");
    let host: String = host
        .chars()
        .take(64)
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'))
        .collect();
    let [a, b, c, d, ..] = Sha256::digest(url).0;
    format!("{host}-{a:02x}{b:02x}{c:02x}{d:02x}")
}
