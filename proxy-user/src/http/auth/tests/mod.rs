#![allow(clippy::unwrap_used, reason = "tests")]

mod admin;
mod hanging;
mod headers;
mod lockout;
mod own;
mod passwords;
mod provider;
mod recheck;
mod sign_on;
pub(in crate::http) mod support;
