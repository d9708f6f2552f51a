//! `weir token`

use anyhow::Result;
use hyper::Method;

use super::{
    OK, Place,
    args::{self, Scope},
    out::{say, tell},
    table::Table,
};
use crate::api::model::{self, Created, Data, NewToken};

pub(super) fn run(place: &Place, command: &args::Token) -> Result<u8> {
    let client = place.client();
    match command {
        args::Token::Create { name, expires, scope } => {
            let new = NewToken {
                name: name.clone(),
                scope: match scope {
                    Scope::Read => model::Scope::Read,
                    Scope::Metrics => model::Scope::Metrics,
                },
                expires_seconds: expires.map(|time| time.as_secs()),
            };
            let body = serde_json::to_value(new)?;
            let created: Created = client.ask(Method::POST, "/api/tokens", Some(&body))?;
            tell(format_args!("token {name}; this is shown once, only its hash is kept:"));
            say(created.secret)?;
        }
        args::Token::List => {
            let Data { data } = client.get::<Data<model::Token>>("/api/tokens")?;
            let mut table = Table::new(&["NAME", "SCOPE", "CREATED", "EXPIRES"]);
            for token in data {
                table.row([
                    token.name,
                    format!("{:?}", token.scope).to_lowercase(),
                    token.created_at.to_string(),
                    token.expires_at.map_or("never".to_owned(), |expires| expires.to_string()),
                ]);
            }
            table.print()?;
        }
        args::Token::Revoke { name } => {
            let path = format!("/api/tokens/{name}");
            client.ask::<serde_json::Value>(Method::DELETE, &path, None)?;
            tell(format_args!("token {name} is revoked"));
        }
    }
    Ok(OK)
}
