//! `/api/sessions`

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::record::Timestamp;

/// A session of a user of a service, open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// What it is revoked by; of no use to sign in.
    pub id: String,
    /// The service.
    pub service_id: String,
    /// The host that it is good for.
    pub host: String,
    /// How it was opened: `oidc`, `password` or `pin`.
    pub auth_method: String,
    /// Whose it is, where single sign-on tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_id: Option<String>,
    /// Their e-mail address, where the provider has verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_email: Option<String>,
    /// From where it was opened.
    #[schema(value_type = String)]
    pub source_ip: IpAddr,
    /// When it was opened.
    #[serde(with = "rfc3339")]
    pub opened_at: Timestamp,
    /// When it ends by itself.
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
}

/// What became of sessions that were revoked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedSessions {
    /// How many there were.
    pub revoked: u64,
}
