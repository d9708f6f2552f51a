//! HTTP services.

pub mod sso;
