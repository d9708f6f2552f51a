//! What the API needs of the daemon.

use std::{net::IpAddr, time::Duration};

use tokio::sync::watch;
use uuid::Uuid;

use super::model::{AuditEvent, Created, Flow, NewToken, Reloaded, Scope, Session, Status, Token};
use crate::{
    record::Record,
    store::{Filter, Page, Query},
};

/// The daemon as the API sees it. Methods may block unless they say otherwise: each
/// call is made from a thread for blocking work.
pub trait Backend: Send + Sync + 'static {
    /// One page of records.
    fn query(&self, query: &Query) -> Result<Page, Failure>;

    /// The record of that id.
    fn get(&self, id: Uuid) -> Result<Option<Record>, Failure>;

    /// At most `limit` matching records of `span`, in the order of their ids. Fewer
    /// mean that there are no more in it.
    fn after(&self, span: Span, filter: &Filter, limit: usize) -> Result<Vec<Record>, Failure>;

    /// Time series and top lists over what matches, as the store shapes them.
    fn summary(&self, filter: &Filter) -> Result<serde_json::Value, Failure>;

    /// The id of the last committed record, now and whenever it changes. Must not
    /// block.
    fn committed(&self) -> watch::Receiver<Option<Uuid>>;

    /// Part of the audit log, newest first.
    fn audit(&self, part: Part) -> Result<AuditPage, Failure>;

    /// Everything that is open now, in any order.
    fn flows(&self) -> Result<Vec<Flow>, Failure>;

    /// The policy's answer for an address, by every service or the one of that name,
    /// as the policy room shapes it. An unknown service is [`Failure::Invalid`].
    /// With a URL, it is about the service that the URL leads to.
    fn explain(
        &self,
        ip: IpAddr,
        service: Option<&str>,
        url: Option<&str>,
    ) -> Result<serde_json::Value, Failure>;

    /// How the daemon is.
    fn status(&self) -> Result<Status, Failure>;

    /// Whether the services are up and their policy is in force. Must not block.
    fn ready(&self) -> bool;

    /// Whose token that is, if it is one and has not expired. Compares hashes in
    /// constant time. Must not block.
    fn verify_token(&self, secret: &str) -> Option<Bearer>;

    /// Notes in the audit log who came to the dashboard or left it. `name`: of the token;
    /// "" where it was a wrong one.
    fn note_visit(&self, visit: Visit, name: &str, from: IpAddr) -> Result<(), Failure>;

    /// Reads the configuration again and puts it in force; goes back to the one before
    /// unless it is confirmed within `confirm`. A faulty file is [`Failure::Invalid`],
    /// with every fault in its message.
    fn reload(&self, who: &Who, confirm: Option<Duration>) -> Result<Reloaded, Failure>;

    /// Keeps the configuration that waits to be confirmed; [`Failure::Conflict`] where
    /// none does.
    fn confirm_reload(&self, who: &Who) -> Result<(), Failure>;

    /// Every token, by name.
    fn list_tokens(&self) -> Result<Vec<Token>, Failure>;

    /// Makes a token; [`Failure::Conflict`] where one has that name.
    fn create_token(&self, who: &Who, token: &NewToken) -> Result<Created, Failure>;

    /// Ends a token; `false` where none has that name.
    fn revoke_token(&self, who: &Who, name: &str) -> Result<bool, Failure>;

    /// Every session of services' users that is open, the newest first.
    fn list_sessions(&self) -> Result<Vec<Session>, Failure>;

    /// Ends a session; `false` where none has that id.
    fn revoke_session(&self, who: &Who, id: &str) -> Result<bool, Failure>;

    /// Ends every session, or those of one service; how many there were.
    fn revoke_sessions(&self, who: &Who, service: Option<&str>) -> Result<u64, Failure>;
}

/// A stretch of the store: above `after`, up to and including `through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Exclusive; `None` from the first record on. Need not be the id of a record.
    pub after: Option<Uuid>,
    /// Inclusive.
    pub through: Uuid,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The n-th page, from 1.
    pub page: u64,
    /// How many on a page, 1 to 1000.
    pub page_size: usize,
}

/// A part of the audit log.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// Newest first.
    pub events: Vec<AuditEvent>,
    /// How many there are over all pages.
    pub total: u64,
}

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The token's name.
    pub name: String,
    /// What it may read.
    pub scope: Scope,
}

/// What became of somebody at the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Signed in with a token.
    SignedIn,
    /// Signed out.
    SignedOut,
    /// Refused for a while, after too many wrong tokens.
    Refused,
}

/// The process at the other end of the control socket, for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// User id.
    pub uid: u32,
    /// Process id; `None` where it is in a namespace that cannot be seen from here.
    pub pid: Option<i32>,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uid {}", self.uid)?;
        self.pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

/// Why the daemon could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked cannot be: shown to the client, status 400.
    #[error("{0}")]
    Invalid(String),
    /// Not in the present state: shown to the client, status 409.
    #[error("{0}")]
    Conflict(String),
    /// Not now: shown to the client, status 503.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of ours: logged, not shown, status 500.
    #[error("{0}")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}
