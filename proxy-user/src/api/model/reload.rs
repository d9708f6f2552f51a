//! `/api/reload`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::record::Timestamp;

/// A reload that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// Go back unless confirmed within so many seconds; absent: stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 4_294_967_295_u32, format = Int64)]
    pub confirm_seconds: Option<u32>,
}

/// A reload that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The policy in force in the kernel.
    pub generation: u64,
    /// SHA-256 of the configuration in force, hexadecimal.
    pub config_digest: String,
    /// When it is undone unless confirmed.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub confirm_until: Option<Timestamp>,
    /// What the operator should know, one sentence each.
    pub warnings: Vec<String>,
}
