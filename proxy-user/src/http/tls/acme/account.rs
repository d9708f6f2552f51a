//! The account with an authority, whose key is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, NewAccount};
use sha2::{Digest, Sha256};

use super::transport::Transport;
use crate::{
    config::Acme,
    http::tls::{TlsError, files},
};

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Authority(#[from] Error),
    #[error("the account cannot be written: {0}")]
    Write(#[from] serde_json::Error),
}

/// The account that is kept, else a new one.
pub(super) async fn open(
    acme: &Acme,
    directory: &Path,
    transport: Transport,
) -> Result<Account, AccountError> {
    let path = path(acme, directory);
    let builder = Account::builder_with_http(Box::new(transport));
    if let Some(credentials) = kept(&path) {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact = format!("mailto:{}", acme.email);
    let contact = [contact.as_str()];
    let new = NewAccount {
        contact: if acme.email.is_empty() { &[] } else { &contact },
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let binding = acme.eab.as_ref().map(|eab| ExternalAccountKey::new(eab.kid.clone(), &eab.key));
    let (account, credentials) =
        builder.create(&new, acme.directory.clone(), binding.as_ref()).await?;
    files::put(&path, &serde_json::to_vec(&credentials)?)?;
    Ok(account)
}

/// Forgets the account: the authority does.
pub(super) fn forget(acme: &Acme, directory: &Path) {
    // Where it cannot be removed the next order fails as this one did, and says so.
    let _ = fs::remove_file(path(acme, directory));
}

fn kept(path: &Path) -> Option<AccountCredentials> {
    let bytes = files::read(path).ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|error| {
            tracing::warn!("{}: a new ACME account is made: {error}", path.display());
        })
        .ok()
}

/// Another address, or another binding, makes another account.
fn path(acme: &Acme, directory: &Path) -> PathBuf {
    let kid = acme.eab.as_ref().map_or("", |eab| &eab.kid);
    let digest = Sha256::digest(format!("{}\0{}\0{kid}", acme.directory, acme.email));
    let [a, b, c, d, ..] = digest.0;
    directory.join(format!("account-{a:02x}{b:02x}{c:02x}{d:02x}.json"))
}
