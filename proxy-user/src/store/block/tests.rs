//! Blocks: what comes back of records.
