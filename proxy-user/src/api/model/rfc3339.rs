//! A time as RFC 3339 in JSON, for `#[serde(with)]`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use crate::record::Timestamp;

/// Writes it as records do: UTC, milliseconds.
pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Reads any RFC 3339 time.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
    Ok(Timestamp(time.as_millisecond()))
}

/// The same where there may be none.
pub mod option {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::record::Timestamp;

    /// Writes it, or null.
    pub fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        struct Inner(#[serde(with = "super")] Timestamp);
        Ok(Option::<Inner>::deserialize(deserializer)?.map(|inner| inner.0))
    }
}
