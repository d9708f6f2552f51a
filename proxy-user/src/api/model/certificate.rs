//! Certificates in `/api/status`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rfc3339;
use crate::record::Timestamp;

/// The certificate of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Certificate)]
pub struct CertificateStatus {
    /// Of a service over TLS.
    pub domain: String,
    /// `cert_dir`, `acme`, `self_signed`, or `none`.
    pub source: String,
    /// The certificate's names.
    pub names: Vec<String>,
    /// Its end, where there is one.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub not_after: Option<Timestamp>,
    /// What is wrong with it, or with the order for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<String>,
    /// The order for it, where an authority is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub acme: Option<OrderStatus>,
}

/// The order for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CertificateOrder)]
pub struct OrderStatus {
    /// Whether one is under way.
    pub ordering: bool,
    /// Why the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub last_error: Option<String>,
    /// When the next one is made.
    #[serde(with = "rfc3339::option", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_try: Option<Timestamp>,
}
