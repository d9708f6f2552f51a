//! Every matching record, oldest first, as a download.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::rows::Rows;
use crate::api::{
    app::App,
    description::{Failed, Refused},
    error::ApiError,
    export::Format,
    params::{self, FilterParameters, FormatParameter, Params},
};

/// Every matching record, oldest first: what is committed when it starts.
///
/// A failure on the way breaks the connection off.
#[utoipa::path(
    get,
    path = "/api/events/proxy/export",
    operation_id = "exportRecords",
    tag = "Records",
    params(FilterParameters, FormatParameter),
    responses(
        (
            status = 200,
            description = "JSON lines, or CSV with a line of names.",
            content((String = "application/x-ndjson"), (String = "text/csv")),
        ),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn export(
    State(app): State<App>,
    mut params: Params,
) -> Result<Response, ApiError> {
    let filter = params::filter(&mut params)?;
    let format = params::format(&mut params)?;
    params.finish()?;
    let through = *app.backend.committed().borrow();
    let mut export = Export { rows: Rows::after(app, filter, None), through, format };
    // A store that fails at once is told by the status.
    let first = export.next().await?;
    let headers = [
        (CONTENT_TYPE, format.content_type()),
        (CONTENT_DISPOSITION, format.content_disposition()),
    ];
    let head = stream::iter([Ok(format.head())]);
    Ok((headers, Body::from_stream(head.chain(rest(export, first)))).into_response())
}

/// `part` and what follows it. A failure breaks the connection off, so that no client
/// takes a part for the whole.
fn rest(
    export: Export,
    part: Option<Bytes>,
) -> impl stream::Stream<Item = Result<Bytes, io::Error>> {
    stream::try_unfold((export, part), |(mut export, part)| async {
        let Some(part) = part else { return Ok(None) };
        let next = export.next().await.map_err(|error| io::Error::other(error.message))?;
        Ok(Some((part, (export, next))))
    })
}

struct Export {
    rows: Rows,
    through: Option<Uuid>,
    format: Format,
}

impl Export {
    /// The next records, encoded, or `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(through) = self.through else { return Ok(None) };
        let batch = self.rows.next(through).await?;
        if batch.is_empty() { Ok(None) } else { Ok(Some(self.format.encode(&batch)?)) }
    }
}
