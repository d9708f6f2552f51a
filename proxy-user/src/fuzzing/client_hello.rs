//! The beginning of a TLS connection.

use crate::relay::front::hello::{Broken, Hello, MOST_BYTES, Reader};

/// Reads what should be a `ClientHello`. It is read alike in one piece and in many, and
/// its name is one that a service can have.
///
/// # Panics
/// Where it is not.
pub fn client_hello(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let whole = Reader::default().look(bytes);
    let step = bytes.last().map_or(1, |last| usize::from(*last) + 1);
    assert_eq!(in_pieces(bytes, step), whole);
    if let Ok(Some(Hello { server_name: Some(name), .. })) = whole {
        assert!(!name.is_empty() && name.len() <= 253 && name.is_ascii(), "{name:?}");
        assert_eq!(name, name.to_ascii_lowercase());
    }
}

fn in_pieces(bytes: &[u8], step: usize) -> Result<Option<Hello>, Broken> {
    let mut reader = Reader::default();
    for end in (0..bytes.len()).step_by(step) {
        match reader.look(&bytes[..end]) {
            Ok(None) => {}
            found => return found,
        }
    }
    reader.look(bytes)
}
