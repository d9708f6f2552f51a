//! Records as they are committed, as server-sent events.

use std::time::Duration;

use axum::{
    Extension,
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use uuid::Uuid;

use super::rows::Rows;
use crate::{
    api::{
        access::Credential,
        app::App,
        description::{Failed, Refused},
        error::ApiError,
        params::{self, FilterParameters, Params},
    },
    record::Record,
};

/// A comment this often tells both ends that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Records as they are committed, as server-sent events.
///
/// `id` is the record's id, `data` the record. A comment every 15 seconds keeps the
/// connection. It ends with its token.
#[utoipa::path(
    get,
    path = "/api/events/proxy/stream",
    operation_id = "streamRecords",
    tag = "Records",
    params(
        FilterParameters,
        (
            "Last-Event-ID" = Option<Uuid>,
            Header,
            description = "Go on after this record; absent: what is committed from now on.",
        ),
    ),
    responses(
        (
            status = 200,
            description = "Events without an end.",
            body = String,
            content_type = "text/event-stream",
        ),
        Refused,
        Failed,
    ),
)]
pub(in crate::api) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    credential: Option<Extension<Credential>>,
    mut params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, ApiError> {
    let filter = params::filter(&mut params)?;
    params.finish()?;
    // Until the store is open nobody knows which record is the last.
    app.ask(|backend| backend.get(Uuid::nil())).await?;
    let committed = app.backend.committed();
    let after = last_event_id(&headers)?.or(*committed.borrow());
    let ended = app.shutdown.clone().cancelled_owned();
    let tail = Tail {
        rows: Rows::after(app.clone(), filter, after),
        committed,
        credential: credential.map(|Extension(credential)| credential),
        app,
    };
    let events = stream::unfold(tail, |mut tail| async {
        let batch = tail.next().await?;
        Some((stream::iter(batch.into_iter().map(event)), tail))
    });
    let events = events.flatten().take_until(ended);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(record: Record) -> Result<Event, axum::Error> {
    Event::default().id(record.id.to_string()).json_data(record)
}

/// A missing or empty header is none.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.parse().ok())
        .map(Some)
        .ok_or_else(|| ApiError::bad_request("Last-Event-ID: not the id of a record"))
}

struct Tail {
    app: App,
    rows: Rows,
    committed: watch::Receiver<Option<Uuid>>,
    credential: Option<Credential>,
}

impl Tail {
    /// The next records, or `None` where the stream ends: the token does, the store
    /// fails, the daemon stops. The client comes back with `Last-Event-ID`.
    async fn next(&mut self) -> Option<Vec<Record>> {
        loop {
            let through = *self.committed.borrow_and_update();
            if let Some(through) = through {
                let batch = self.rows.next(through).await.ok()?;
                if !batch.is_empty() {
                    return self.is_still_allowed().then_some(batch);
                }
            }
            self.committed.changed().await.ok()?;
        }
    }

    fn is_still_allowed(&self) -> bool {
        self.credential.as_ref().is_none_or(|credential| credential.holds(&self.app))
    }
}
