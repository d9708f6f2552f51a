#![allow(clippy::unwrap_used, reason = "tests")]

mod headers;
mod lockout;
mod own;
mod passwords;
mod recheck;
mod sign_on;
mod support;
