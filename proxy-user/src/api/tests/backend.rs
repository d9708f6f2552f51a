//! A daemon in memory.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::samples;
use crate::{
    api::{
        AuditPage, Backend, Bearer, Failure, Part, Span, Visit, Who,
        model::{Created, Flow, NewToken, Reloaded, Scope, Session, Status, Token},
    },
    record::{Record, Timestamp},
    store::{Cursor, Filter, Page, Paging, Query},
};

/// What it holds, and what was done to it.
pub(super) struct Memory {
    records: Mutex<Vec<Record>>,
    committed: watch::Sender<Option<Uuid>>,
    tokens: Mutex<BTreeMap<String, Bearer>>,
    /// Changes that were asked for, with who.
    pub(super) changes: Mutex<Vec<String>>,
    /// Whether every question fails.
    pub(super) broken: Mutex<bool>,
    /// Whether it is ready.
    pub(super) ready: Mutex<bool>,
}

/// The secret of a token that reads everything.
pub(super) const READ: &str = "secret-read";
/// The secret of a token that reads metrics.
pub(super) const METRICS: &str = "secret-metrics";

impl Memory {
    pub(super) fn new() -> Self {
        let bearer = |name: &str, scope| Bearer { name: name.to_owned(), scope };
        let tokens = BTreeMap::from([
            (READ.to_owned(), bearer("reader", Scope::Read)),
            (METRICS.to_owned(), bearer("prometheus", Scope::Metrics)),
        ]);
        Self {
            records: Mutex::default(),
            committed: watch::Sender::new(None),
            tokens: Mutex::new(tokens),
            changes: Mutex::default(),
            broken: Mutex::new(false),
            ready: Mutex::new(true),
        }
    }

    pub(super) fn commit(&self, record: Record) -> Uuid {
        let id = record.id;
        self.records.lock().push(record);
        self.committed.send_replace(Some(id));
        id
    }

    pub(super) fn revoke(&self, secret: &str) {
        self.tokens.lock().remove(secret);
    }

    fn note(&self, who: &Who, change: &str) {
        self.changes.lock().push(format!("{who}: {change}"));
    }

    fn matching(&self, filter: &Filter) -> Result<Vec<Record>, Failure> {
        if *self.broken.lock() {
            return Err(Failure::Internal("no such disk".into()));
        }
        let wanted = |record: &&Record| {
            let draft = &record.draft;
            (filter.service_id.is_empty()
                || filter.service_id.iter().any(|id| *id == draft.service_id))
                && (filter.verdict.is_empty() || filter.verdict.contains(&draft.verdict))
        };
        Ok(self.records.lock().iter().filter(wanted).cloned().collect())
    }
}

impl Backend for Memory {
    /// Newest first, whatever the order asked.
    fn query(&self, query: &Query) -> Result<Page, Failure> {
        let mut records = self.matching(&query.filter)?;
        records.reverse();
        let total = records.len() as u64;
        let skip = match &query.paging {
            Paging::Page(page) => usize::try_from(page - 1).unwrap() * query.page_size,
            Paging::After(cursor) => {
                records.iter().position(|record| record.id == cursor.id).unwrap() + 1
            }
        };
        let more = records.len() > skip + query.page_size;
        let records: Vec<Record> = records.into_iter().skip(skip).take(query.page_size).collect();
        let next = records.last().filter(|_| more).map(|last| Cursor { id: last.id });
        Ok(Page { records, total, next })
    }

    fn get(&self, id: Uuid) -> Result<Option<Record>, Failure> {
        Ok(self.matching(&Filter::default())?.into_iter().find(|record| record.id == id))
    }

    fn after(&self, span: Span, filter: &Filter, limit: usize) -> Result<Vec<Record>, Failure> {
        let mut records = self.matching(filter)?;
        records.retain(|record| Some(record.id) > span.after && record.id <= span.through);
        records.truncate(limit);
        Ok(records)
    }

    fn summary(&self, filter: &Filter) -> Result<serde_json::Value, Failure> {
        Ok(json!({ "records": self.matching(filter)?.len() }))
    }

    fn committed(&self) -> watch::Receiver<Option<Uuid>> {
        self.committed.subscribe()
    }

    fn audit(&self, part: Part) -> Result<AuditPage, Failure> {
        let events = (0..part.page_size.min(3)).map(|_| samples::audit("reload")).collect();
        Ok(AuditPage { events, total: 3 })
    }

    fn flows(&self) -> Result<Vec<Flow>, Failure> {
        Ok(vec![
            samples::flow("ssh", 1, 10),
            samples::flow("ssh", 2, 30),
            samples::flow("db", 3, 20),
        ])
    }

    fn explain(
        &self,
        ip: IpAddr,
        service: Option<&str>,
        _: Option<&str>,
    ) -> Result<serde_json::Value, Failure> {
        if service == Some("unknown") {
            return Err(Failure::Invalid("service: no service \"unknown\"".to_owned()));
        }
        Ok(json!({ "ip": ip, "service": service }))
    }

    fn status(&self) -> Result<Status, Failure> {
        Ok(samples::status())
    }

    fn ready(&self) -> bool {
        *self.ready.lock()
    }

    fn verify_token(&self, secret: &str) -> Option<Bearer> {
        self.tokens.lock().get(secret).cloned()
    }

    fn note_visit(&self, visit: Visit, name: &str, from: IpAddr) -> Result<(), Failure> {
        self.changes.lock().push(format!("{visit:?} {name} {from}"));
        Ok(())
    }

    fn reload(&self, who: &Who, confirm: Option<Duration>) -> Result<Reloaded, Failure> {
        self.note(who, &format!("reload {confirm:?}"));
        Ok(Reloaded {
            generation: 8,
            config_digest: "11".repeat(32),
            confirm_until: confirm.map(|_| Timestamp(1_767_225_660_000)),
            warnings: Vec::new(),
        })
    }

    fn confirm_reload(&self, who: &Who) -> Result<(), Failure> {
        self.note(who, "confirm");
        Err(Failure::Conflict("no configuration waits to be confirmed".to_owned()))
    }

    fn list_tokens(&self) -> Result<Vec<Token>, Failure> {
        Ok(self.tokens.lock().values().map(|bearer| token(&bearer.name, bearer.scope)).collect())
    }

    fn create_token(&self, who: &Who, new: &NewToken) -> Result<Created, Failure> {
        self.note(who, &format!("create {} {:?}", new.name, new.expires_seconds));
        let bearer = Bearer { name: new.name.clone(), scope: new.scope };
        let secret = format!("secret-{}", new.name);
        self.tokens.lock().insert(secret.clone(), bearer);
        Ok(Created { token: token(&new.name, new.scope), secret })
    }

    fn revoke_token(&self, who: &Who, name: &str) -> Result<bool, Failure> {
        self.note(who, &format!("revoke {name}"));
        let mut tokens = self.tokens.lock();
        let before = tokens.len();
        tokens.retain(|_, bearer| bearer.name != name);
        Ok(tokens.len() < before)
    }

    fn list_sessions(&self) -> Result<Vec<Session>, Failure> {
        Ok(vec![samples::session()])
    }

    fn revoke_session(&self, who: &Who, id: &str) -> Result<bool, Failure> {
        self.note(who, &format!("revoke session {id}"));
        Ok(id == samples::session().id)
    }

    fn revoke_sessions(&self, who: &Who, service: Option<&str>) -> Result<u64, Failure> {
        self.note(who, &format!("revoke sessions {service:?}"));
        Ok(2)
    }
}

fn token(name: &str, scope: Scope) -> Token {
    let created_at = Timestamp(1_767_225_600_000);
    Token { name: name.to_owned(), scope, created_at, expires_at: None }
}
