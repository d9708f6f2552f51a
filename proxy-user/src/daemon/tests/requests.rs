//! Requests of HTTP on their way to the store.

use super::{Daemon, until};
use crate::{
    flow::Requests,
    record::tests::request,
    store::{Filter, Order, Paging, Query, Sort},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_in_the_store_and_counted() {
    let daemon = Daemon::start(|_| String::new()).await;
    Requests::ended(&daemon.core.inbox, Box::new(request()));
    let id = request().http.unwrap().request_id.to_string();
    let query = Query {
        filter: Filter { search: Some(id), ..Filter::default() },
        sort: Sort::default(),
        order: Order::default(),
        paging: Paging::Page(1),
        page_size: 10,
    };
    let mut found = Vec::new();
    until("the record is committed", async || {
        found = daemon.core.store.query(&query).unwrap().records;
        !found.is_empty()
    })
    .await;

    assert_eq!(found.iter().map(|record| &record.draft).collect::<Vec<_>>(), [&request()]);
    assert_eq!(daemon.status().await.requests["wiki"].allowed, 1);
}
