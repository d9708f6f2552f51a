//! Matching records in the order of their ids, a batch at a time.

use uuid::Uuid;

use crate::{
    api::{Span, app::App, error::ApiError},
    record::Record,
    store::Filter,
};

/// How many records are held at once.
const BATCH: usize = 2000;

/// A reader that remembers how far it has come. No transaction of the store stays
/// open between two batches, however slow the client is.
pub(super) struct Rows {
    app: App,
    filter: Filter,
    after: Option<Uuid>,
}

impl Rows {
    /// Reads on after that record.
    pub(super) fn after(app: App, filter: Filter, after: Option<Uuid>) -> Self {
        Self { app, filter, after }
    }

    /// The next batch up to `through`; empty where everything is read.
    pub(super) async fn next(&mut self, through: Uuid) -> Result<Vec<Record>, ApiError> {
        if self.after >= Some(through) {
            return Ok(Vec::new());
        }
        let (span, filter) = (Span { after: self.after, through }, self.filter.clone());
        let records = self.app.ask(move |backend| backend.after(span, &filter, BATCH)).await?;
        self.after = match records.last() {
            Some(last) if records.len() == BATCH => Some(last.id),
            _ => Some(through),
        };
        Ok(records)
    }
}
