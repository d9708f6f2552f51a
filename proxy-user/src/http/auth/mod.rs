//! Who may use a service: sessions, secrets in headers, passwords, PINs, single sign-on.

mod admin;
mod authenticator;
mod begin;
mod check;
pub(in crate::http) mod cookies;
mod credentials;
mod decision;
mod device;
mod form;
mod header_leases;
mod headers;
mod journal;
pub(in crate::http) mod key_file;
mod keys;
mod lease;
mod lockout;
mod login;
mod logout;
mod now;
mod own;
pub(in crate::http) mod random;
mod recheck;
mod return_to;
mod same_origin;
mod secrets;
mod session;
mod sign_on;
mod sign_on_failures;
mod single_sign_on;
#[cfg(test)]
pub(in crate::http) mod tests;
mod tickets;
mod upkeep;
mod view;
mod visitor;

pub use admin::OpenSession;
pub use authenticator::Authenticator;
pub use cookies::{remove_own_cookies, sets_own_cookie};
pub use decision::{Decision, Identity, Turned};
pub use headers::{credential_headers, identity_headers};
pub use lease::Lease;
pub use own::{LONGEST_FORM, is_own};
pub use sign_on::{Later, SignOn};
pub use visitor::{Guarded, Visitor};
