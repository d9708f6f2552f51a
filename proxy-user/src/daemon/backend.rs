//! The daemon as the API sees it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::watch};
use uuid::Uuid;

use super::{
    core::{ApplyError, Core},
    datapath::Datapath,
    reload::{ReloadError, hex},
};
use crate::{
    api::{
        AuditPage, Backend, Bearer, Failure, Part, Span, Visit, Who,
        model::{AuditEvent, Created, Flow, NewToken, Reloaded, Scope, Session, Status, Token},
    },
    http::{auth::OpenSession, lead},
    policy::Explanation,
    record::{Record, Timestamp},
    store::{self, Filter, Page, Query, StoreError},
};

/// The daemon behind the API.
pub(super) struct ApiBackend {
    core: Arc<Core>,
    runtime: Handle,
}

impl ApiBackend {
    /// To be made on the daemon's runtime.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, runtime: Handle::current() }
    }
}

fn internal(error: StoreError) -> Failure {
    match error {
        StoreError::TokenExists(_) => Failure::Conflict(error.to_string()),
        StoreError::CursorGone(_) => Failure::Invalid(error.to_string()),
        StoreError::Closed(_) | StoreError::HandedOver(_) | StoreError::Locked(_) => {
            Failure::Unavailable(error.to_string())
        }
        other => Failure::Internal(Box::new(other)),
    }
}

impl From<ReloadError> for Failure {
    /// Faults and taken ports are the asker's to mend.
    fn from(error: ReloadError) -> Self {
        match error {
            ReloadError::Faulty(_) | ReloadError::NotApplied(ApplyError::Listen(_)) => {
                Self::Invalid(error.to_string())
            }
            ReloadError::NotApplied(ApplyError::Stopping) => Self::Unavailable(error.to_string()),
            ReloadError::NotApplied(ApplyError::Kernel(_)) => Self::Internal(Box::new(error)),
        }
    }
}

impl Backend for ApiBackend {
    fn query(&self, query: &Query) -> Result<Page, Failure> {
        self.core.store.query(query).map_err(internal)
    }

    fn get(&self, id: Uuid) -> Result<Option<Record>, Failure> {
        self.core.store.get(id).map_err(internal)
    }

    fn after(&self, span: Span, filter: &Filter, limit: usize) -> Result<Vec<Record>, Failure> {
        self.core.store.after(span.after, span.through, filter, limit).map_err(internal)
    }

    fn summary(&self, filter: &Filter) -> Result<serde_json::Value, Failure> {
        let summary = self.core.store.summary(filter).map_err(internal)?;
        serde_json::to_value(summary).map_err(|error| Failure::Internal(error.into()))
    }

    fn committed(&self) -> watch::Receiver<Option<Uuid>> {
        self.core.writer.committed()
    }

    fn audit(&self, part: Part) -> Result<AuditPage, Failure> {
        let skipped = part.page.saturating_sub(1).saturating_mul(part.page_size as u64);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let (entries, total) = self.core.audit.list(skipped, part.page_size).map_err(internal)?;
        let event = |entry: store::AuditEntry| AuditEvent {
            timestamp: entry.timestamp,
            event: entry.event,
            who: entry.who,
            details: entry.details,
        };
        Ok(AuditPage { events: entries.into_iter().map(event).collect(), total })
    }

    fn flows(&self) -> Result<Vec<Flow>, Failure> {
        self.core.flows()
    }

    fn explain(
        &self,
        ip: IpAddr,
        service: Option<&str>,
        url: Option<&str>,
    ) -> Result<serde_json::Value, Failure> {
        let (policy, config) = (self.core.gate.0.load(), self.core.config.load());
        let lead = url.map(|url| lead(&config.services, url)).transpose();
        let lead = lead.map_err(|why| Failure::Invalid(format!("url: {why}")))?;
        let service = lead.as_ref().map(|lead| lead.service.as_str()).or(service);
        let explained = policy.explain(service, ip).ok_or_else(|| {
            Failure::Invalid(format!("there is no service {:?}", service.unwrap_or("")))
        })?;
        serde_json::to_value(Explanation { url: lead, ..explained })
            .map_err(|error| Failure::Internal(error.into()))
    }

    fn status(&self) -> Result<Status, Failure> {
        self.core.status()
    }

    fn ready(&self) -> bool {
        self.core.ready()
    }

    fn verify_token(&self, secret: &str) -> Option<Bearer> {
        let token = self.core.tokens.verify(secret)?;
        Some(Bearer { name: token.name, scope: scope(token.scope) })
    }

    fn note_visit(&self, visit: Visit, name: &str, from: IpAddr) -> Result<(), Failure> {
        let (event, who) = match visit {
            Visit::SignedIn => ("signed_in", format!("token {name}")),
            Visit::SignedOut => ("signed_out", format!("token {name}")),
            Visit::Refused => ("session_refused", "unknown".to_owned()),
        };
        let details = [("at", "dashboard".to_owned()), ("source_ip", from.to_string())];
        let details = details.map(|(name, value)| (name.to_owned(), value)).into();
        self.core.audit.append(event, &who, details).map_err(internal)
    }

    fn reload(&self, who: &Who, confirm: Option<Duration>) -> Result<Reloaded, Failure> {
        let warnings = self.runtime.block_on(self.core.reload(&who.to_string(), confirm))?;
        let generation = self.core.datapath.lock().as_ref().map_or(0, Datapath::generation);
        let lifetime = confirm.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        Ok(Reloaded {
            generation: generation.into(),
            config_digest: hex(&self.core.config.load().digest),
            confirm_until: lifetime.map(|ms| Timestamp(Timestamp::now().0.saturating_add(ms))),
            warnings,
        })
    }

    fn confirm_reload(&self, who: &Who) -> Result<(), Failure> {
        if !self.runtime.block_on(self.core.confirm()) {
            return Err(Failure::Conflict("no reload waits to be confirmed".into()));
        }
        self.core.note("reload", &who.to_string(), "confirmed");
        Ok(())
    }

    fn list_tokens(&self) -> Result<Vec<Token>, Failure> {
        Ok(self.core.tokens.list().map_err(internal)?.into_iter().map(token).collect())
    }

    fn create_token(&self, who: &Who, new: &NewToken) -> Result<Created, Failure> {
        let scope = match new.scope {
            Scope::Read => store::Scope::Read,
            Scope::Metrics => store::Scope::Metrics,
        };
        let expires = new.expires_seconds.map(Duration::from_secs);
        let (made, secret) =
            self.core.tokens.create(&new.name, scope, expires).map_err(internal)?;
        self.core.note("token_created", &who.to_string(), &new.name);
        Ok(Created { token: token(made), secret })
    }

    fn revoke_token(&self, who: &Who, name: &str) -> Result<bool, Failure> {
        let revoked = self.core.tokens.revoke(name).map_err(internal)?;
        if revoked {
            self.core.note("token_revoked", &who.to_string(), name);
        }
        Ok(revoked)
    }

    fn list_sessions(&self) -> Result<Vec<Session>, Failure> {
        Ok(self.core.auth.list().map_err(internal)?.into_iter().map(session).collect())
    }

    fn revoke_session(&self, who: &Who, id: &str) -> Result<bool, Failure> {
        self.core.auth.revoke(id, &who.to_string()).map_err(internal)
    }

    fn revoke_sessions(&self, who: &Who, service: Option<&str>) -> Result<u64, Failure> {
        self.core.auth.revoke_all(service, &who.to_string()).map_err(internal)
    }
}

fn session(open: OpenSession) -> Session {
    let user = open.user.as_deref();
    Session {
        id: open.name,
        service_id: open.service,
        host: open.host,
        auth_method: open.method.as_str().to_owned(),
        user_id: user.map(|user| user.id.clone()),
        user_email: user.and_then(|user| user.email.clone()),
        source_ip: open.source_ip,
        opened_at: open.opened_at,
        expires_at: open.expires_at,
    }
}

fn scope(scope: store::Scope) -> Scope {
    match scope {
        store::Scope::Read => Scope::Read,
        store::Scope::Metrics => Scope::Metrics,
    }
}

fn token(token: store::Token) -> Token {
    Token {
        name: token.name,
        scope: scope(token.scope),
        created_at: token.created_at,
        expires_at: token.expires_at,
    }
}
