//! `/api/sessions`

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::rfc3339;
use crate::record::Timestamp;

/// Somebody who is signed in to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What it is revoked by; of no use to sign in.
    pub name: String,
    /// For which service.
    pub service_id: String,
    /// At which host.
    pub host: String,
    /// How it was opened: `password`, `pin` or `oidc`.
    pub auth_method: String,
    /// Whose it is, where single sign-on tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user's, where it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// From where it was opened.
    pub source_ip: IpAddr,
    /// When it was opened.
    #[serde(with = "rfc3339")]
    pub opened_at: Timestamp,
    /// When it ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
}
