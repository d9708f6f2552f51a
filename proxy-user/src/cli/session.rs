//! `weir session`

use anyhow::Result;
use hyper::Method;

use super::{OK, Place, args, out::tell, table::Table};
use crate::api::model::{Data, Session};

pub(super) fn run(place: &Place, command: &args::Session) -> Result<u8> {
    let client = place.client();
    match command {
        args::Session::List => {
            let Data { data } = client.get::<Data<Session>>("/api/sessions")?;
            let mut table = Table::new(&[
                "NAME", "SERVICE", "HOST", "METHOD", "USER", "FROM", "OPENED", "EXPIRES",
            ]);
            for session in data {
                table.row([
                    session.name,
                    session.service_id,
                    session.host,
                    session.auth_method,
                    session.user_email.or(session.user_id).unwrap_or_default(),
                    session.source_ip.to_string(),
                    session.opened_at.to_string(),
                    session.expires_at.to_string(),
                ]);
            }
            table.print()?;
        }
        args::Session::Revoke { name } => {
            let path = format!("/api/sessions/{name}");
            client.ask::<serde_json::Value>(Method::DELETE, &path, None)?;
            tell(format_args!("session {name} is revoked"));
        }
    }
    Ok(OK)
}
