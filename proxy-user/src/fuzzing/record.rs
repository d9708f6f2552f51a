//! Records, as the store keeps them.

use uuid::Uuid;

use crate::store::codec::{decode, encode};

/// Reads what a store might hold. A record that can be read is written and read again
/// unchanged, and can be shown.
///
/// # Panics
/// Where it is not.
pub fn record(bytes: &[u8]) {
    let Some(record) = decode(Uuid::nil(), bytes) else { return };
    let again = decode(Uuid::nil(), &encode(&record.draft, Vec::new()));
    assert_eq!(again.as_ref(), Some(&record));
    assert!(serde_json::to_string(&record).is_ok());
}
