//! `weir explain`

use anyhow::Result;

use super::{
    DENIED, OK, Place, Wrong,
    args::Explain,
    client::query,
    network,
    out::{say, tell, write},
};
use crate::{
    geo::Database,
    http::lead,
    policy::{Explanation, compile},
};

pub(super) fn run(place: &Place, options: &Explain) -> Result<u8> {
    let client = place.client();
    let explanation: Explanation = if client.finds_daemon()? {
        let ip = options.ip.to_string();
        let mut pairs = vec![("ip", ip.as_str())];
        pairs.extend(options.service.as_deref().map(|service| ("service", service)));
        pairs.extend(options.url.as_deref().map(|url| ("url", url)));
        client.get(&format!("/api/explain{}", query(pairs)))?
    } else {
        judge_file(place, options)?
    };
    if options.json {
        say(serde_json::to_string_pretty(&explanation)?)?;
    } else {
        write(explanation.to_string().as_bytes())?;
    }
    Ok(if explanation.allowed() { OK } else { DENIED })
}

/// No daemon runs: the file's own answer, for this host.
fn judge_file(place: &Place, options: &Explain) -> Result<Explanation> {
    let config = place.load()?.config;
    tell(format_args!("no daemon runs; this is what {} says", place.config.display()));
    let database = match &config.geoip {
        Some(geoip) => {
            Database::open(&geoip.database).inspect_err(|error| tell(error)).ok().map(Into::into)
        }
        None => None,
    };
    let gateways = network::now().gateways;
    let policy = compile(&config, database, &gateways, None)?;
    let lead = options.url.as_deref().map(|url| lead(&config.services, url));
    let lead = lead.transpose().map_err(Wrong)?;
    let service = lead.as_ref().map(|lead| lead.service.as_str()).or(options.service.as_deref());
    let explanation = policy.explain(service, options.ip);
    let explanation = explanation
        .ok_or_else(|| Wrong(format!("there is no service {:?}", service.unwrap_or(""))))?;
    Ok(Explanation { url: lead, ..explanation })
}
