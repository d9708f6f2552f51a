//! `/api/events/audit`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::record::Timestamp;

/// Something that Weir did or that was done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// When.
    #[serde(with = "rfc3339")]
    pub timestamp: Timestamp,
    /// What, such as `start`, `reload`, `token_created`, `target_down`, `gap`.
    pub event: String,
    /// Who asked for it; "weir" for what happened by itself.
    pub who: String,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}
