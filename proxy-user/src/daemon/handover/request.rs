//! The record of a request between processes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    record::Draft,
    store::codec::{decode, encode},
};

/// Bytes of a record in a frame, each of which is up to four there.
const MOST_BYTES: usize = 12 << 10;

/// A record as the store would keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request(Vec<u8>);

impl Request {
    /// What another process is told; `None` of a record that no frame can hold, which the
    /// limits of its texts do not allow.
    pub(super) fn of(draft: &Draft) -> Option<Self> {
        let bytes = encode(draft, Vec::new());
        if bytes.len() > MOST_BYTES {
            let (service, bytes) = (draft.service_id.as_str(), bytes.len());
            tracing::error!(service, bytes, "the record of a request is lost: it is too long");
            return None;
        }
        Some(Self(bytes))
    }

    /// What another process told; `None`: of a shape that is not known.
    pub(super) fn read(&self) -> Option<Draft> {
        decode(Uuid::nil(), &self.0).map(|record| record.draft)
    }
}
