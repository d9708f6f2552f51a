//! Certificates: where they come from, which one a client gets, and how targets' are judged.
//!
//! A handshake looks into one [`Index`](index::Index), which is replaced whole. What goes
//! into it is kept apart by where it comes from: `cert_dir` (`directory.rs`), an authority
//! (`acme/`), and nobody (`self_signed.rs`).

mod acme;
mod certificates;
mod challenges;
mod client;
mod directory;
mod error;
mod files;
mod index;
mod kept;
mod names;
mod pair;
mod self_signed;
mod server;
mod sources;
mod state;
#[cfg(test)]
mod tests;
mod validity;

pub use certificates::Certificates;
pub use client::{Trust, client_config};
pub use error::TlsError;
pub use state::{AcmeState, CertificateState, Source};
