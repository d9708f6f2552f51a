//! `weir explain`

use anyhow::{Result, bail};
use hyper::Method;

use super::{
    DENIED, OK, Place, WRONG,
    args::Explain,
    client::{Answer, query},
};
use crate::{
    geo::Database,
    policy::{Explanation, TableIds, compile},
};

pub(super) fn run(place: &Place, options: &Explain) -> Result<u8> {
    let client = place.client();
    let explanation = if client.is_answered() {
        let ip = options.ip.to_string();
        let mut pairs = vec![("ip", ip.as_str())];
        pairs.extend(options.service.as_deref().map(|service| ("service", service)));
        let path = format!("/api/explain{}", query(pairs));
        match client.ask::<Explanation>(Method::GET, &path, None)? {
            Answer::Good(explanation) => explanation,
            Answer::Refused(_, message) => bail!(message),
        }
    } else {
        match judge_file(place, options)? {
            Some(explanation) => explanation,
            None => return Ok(WRONG),
        }
    };
    if options.json {
        println!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        print!("{explanation}");
    }
    Ok(if explanation.allowed() { OK } else { DENIED })
}

/// No daemon runs: the file's own answer.
fn judge_file(place: &Place, options: &Explain) -> Result<Option<Explanation>> {
    let Some(loaded) = place.load() else { return Ok(None) };
    eprintln!("no daemon runs; this is what {} says", place.config.display());
    let database = match &loaded.config.geoip {
        Some(geoip) => Database::open(&geoip.database)
            .inspect_err(|error| eprintln!("{error}"))
            .ok()
            .map(Into::into),
        None => None,
    };
    let policy = compile(&loaded.config, database, &[], &mut TableIds::from(1), None);
    match policy.explain(options.service.as_deref(), options.ip) {
        Some(explanation) => Ok(Some(explanation)),
        None => bail!("there is no service {:?}", options.service.as_deref().unwrap_or("")),
    }
}
