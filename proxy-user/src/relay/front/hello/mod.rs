//! Reads the server's name and the TLS version out of a `ClientHello` (RFC 8446, 4.1.2; RFC
//! 5246, 7.4.1.2) that comes in any pieces, cut by packets and by records.
//!
//! rustls reads one too, but refuses versions that a target may well take, and keeps a copy
//! of its own. Here the bytes stay with the caller, who passes them on.

mod message;
mod records;
#[cfg(test)]
pub(in crate::relay) mod tests;

pub use records::Reader;

use crate::record::TlsVersion;

/// The most that is read of a connection for its `ClientHello`, bytes, record headers
/// included.
pub const MOST_BYTES: usize = 64 * 1024;

/// What a `ClientHello` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name in lower case; `None` where it names none, or what cannot be a host's name.
    pub server_name: Option<String>,
    /// The highest version that it offers, of those that are known. SSL 3 is not.
    pub version: Option<TlsVersion>,
}

/// Why bytes are no `ClientHello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Something else than TLS, or than its handshake.
    #[error("no TLS handshake")]
    NoHandshake,
    /// A handshake that does not begin with a `ClientHello`.
    #[error("a handshake message that is no ClientHello")]
    NoClientHello,
    /// A record without a byte, or with more than 2^14.
    #[error("a TLS record of a length that none can have")]
    RecordLength,
    /// A record that goes on after the `ClientHello`.
    #[error("a TLS record that holds more than the ClientHello")]
    Trailing,
    /// Beyond [`MOST_BYTES`].
    #[error("a ClientHello of more than 64 KiB")]
    TooLong,
    /// Lengths within the message contradict each other.
    #[error("a ClientHello whose lengths contradict each other")]
    Malformed,
    /// A field that has no such value.
    #[error("a ClientHello with a value that its field cannot have")]
    Value,
    /// Two names: whoever reads one may be served by the other.
    #[error("a ClientHello with more than one server name")]
    TwoNames,
}
