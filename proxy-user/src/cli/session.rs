//! `weir session`

use anyhow::Result;
use hyper::Method;

use super::{
    OK, Place, args,
    client::query,
    out::{say, tell},
    table::Table,
};
use crate::api::model::{Data, RevokedSessions, Session};

pub(super) fn run(place: &Place, command: &args::Session) -> Result<u8> {
    let client = place.client();
    match command {
        args::Session::List(options) => {
            let Data { data } = client.get::<Data<Session>>("/api/sessions")?;
            if options.json {
                say(serde_json::to_string_pretty(&data)?)?;
            } else {
                table(data).print()?;
            }
        }
        args::Session::Revoke(args::Revoke { id: Some(id), .. }) => {
            let path = format!("/api/sessions/{id}");
            client.ask::<serde_json::Value>(Method::DELETE, &path, None)?;
            tell(format_args!("session {id} is revoked"));
        }
        args::Session::Revoke(args::Revoke { id: None, service, .. }) => {
            let service = service.as_deref().map(|name| ("service", name));
            let path = format!("/api/sessions{}", query(service));
            let RevokedSessions { revoked } = client.ask(Method::DELETE, &path, None)?;
            tell(format_args!("sessions revoked: {revoked}"));
        }
    }
    Ok(OK)
}

fn table(sessions: Vec<Session>) -> Table {
    let mut table = Table::new(&["ID", "SERVICE", "METHOD", "USER", "FROM", "OPENED", "EXPIRES"]);
    for session in sessions {
        table.row([
            session.id,
            session.service_id,
            session.auth_method,
            session.user_email.or(session.user_id).unwrap_or_default(),
            session.source_ip.to_string(),
            session.opened_at.to_string(),
            session.expires_at.to_string(),
        ]);
    }
    table
}
