//! The beginning of a connection from a proxy.

use crate::relay::front::header::{MOST_BYTES, parse};

/// Reads what should be a PROXY header. What is found in its first bytes is what is found
/// when more have come, and no byte is taken that is not there.
///
/// # Panics
/// Where it is not.
pub fn proxy_header(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
    let told = (0..=bytes.len()).find_map(|end| match parse(&bytes[..end]) {
        Ok(found) => found.map(|found| (end, Some(found))),
        Err(_) => Some((end, None)),
    });
    let Some((end, told)) = told else { return };
    if let Some(found) = told {
        assert!(found.length <= end);
        assert_eq!(parse(bytes), Ok(Some(found)));
    } else {
        assert!(parse(bytes).is_err());
    }
}
