//! Services over HTTP.

pub mod auth;
pub mod pages;
