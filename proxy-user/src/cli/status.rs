//! `weir status`

use anyhow::Result;

use super::{
    OK, Place,
    args::Json,
    out::say,
    table::{Table, duration},
};
use crate::api::model::{OrderStatus, ServiceStatus, Status};

pub(super) fn run(place: &Place, options: &Json) -> Result<u8> {
    let status: Status = place.client().get("/api/status")?;
    if options.json {
        say(serde_json::to_string_pretty(&status)?)?;
    } else {
        show(&status)?;
    }
    Ok(OK)
}

fn show(status: &Status) -> Result<()> {
    say(format_args!(
        "weir {}, since {}, generation {}, configuration {}",
        status.version,
        status.started_at,
        status.generation,
        status.config_digest.get(..12).unwrap_or(&status.config_digest),
    ))?;
    for warning in &status.warnings {
        say(format_args!("warning: {warning}"))?;
    }
    say("")?;
    services(status).print()?;
    say("")?;
    if status.services.iter().any(|service| !service.targets.is_empty()) {
        targets(status).print()?;
        say("")?;
    }
    if !status.certificates.is_empty() {
        certificates(status).print()?;
        say("")?;
    }
    let relayed = status
        .services
        .iter()
        .filter_map(|service| Some([service.name.clone(), service.plane_reason.clone()?]));
    let relayed: Vec<_> = relayed.collect();
    if !relayed.is_empty() {
        let mut reasons = Table::new(&["SERVICE", "WHY THE RELAY SERVES, AND NOT THE KERNEL"]);
        for row in relayed {
            reasons.row(row);
        }
        reasons.print()?;
        say("")?;
    }
    let mut interfaces = Table::new(&["INTERFACE", "HOOK", "WHY"]);
    for interface in &status.interfaces {
        interfaces.row([interface.name.clone(), interface.hook.clone(), interface.why.clone()]);
    }
    interfaces.print()?;
    say("")?;
    let mut maps = Table::new(&["MAP", "ENTRIES", "CAPACITY"]);
    for map in &status.maps {
        maps.row([map.name.clone(), map.entries.to_string(), map.capacity.to_string()]);
    }
    maps.print()?;
    say("")?;
    books(status)
}

fn services(status: &Status) -> Table {
    let mut table = Table::new(&[
        "SERVICE", "PLANE", "LISTEN", "TARGETS", "OPEN", "ACCEPTED", "DENIED", "ACCESS",
    ]);
    for service in &status.services {
        let denied: Vec<String> =
            service.denied.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        table.row([
            service.name.clone(),
            service.plane.as_str().to_owned(),
            service.listen.join(" "),
            behind(service),
            service.open.to_string(),
            service.accepted.to_string(),
            if denied.is_empty() { "0".to_owned() } else { denied.join(", ") },
            service.access.clone(),
        ]);
    }
    table
}

/// What a service has behind it, in a word.
fn behind(service: &ServiceStatus) -> String {
    match service.targets.as_slice() {
        [] => "host".to_owned(),
        [only] => only.target.clone(),
        several => {
            let up = several.iter().filter(|target| target.up).count();
            format!("{up} of {} up", several.len())
        }
    }
}

fn targets(status: &Status) -> Table {
    let mut table = Table::new(&["SERVICE", "TARGET", "STATE", "SINCE", "OPEN", "WHY"]);
    for service in &status.services {
        for target in &service.targets {
            table.row([
                service.name.clone(),
                target.target.clone(),
                if target.up { "up" } else { "down" }.to_owned(),
                target.since.to_string(),
                target.sessions.to_string(),
                target.error.clone().unwrap_or_default(),
            ]);
        }
    }
    table
}

fn certificates(status: &Status) -> Table {
    let mut table = Table::new(&["DOMAIN", "CERTIFICATE", "UNTIL", "NEXT ORDER", "PROBLEM"]);
    for certificate in &status.certificates {
        table.row([
            certificate.domain.clone(),
            certificate.source.clone(),
            certificate.not_after.map_or("-".to_owned(), |end| end.to_string()),
            certificate.acme.as_ref().map_or("-".to_owned(), next_order),
            certificate.problem.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn next_order(order: &OrderStatus) -> String {
    order.next_try.map_or("under way".to_owned(), |next| next.to_string())
}

fn books(status: &Status) -> Result<()> {
    if let Some(geoip) = &status.geoip {
        let built =
            geoip.built_at.map_or("not loaded".to_owned(), |built| format!("built {built}"));
        say(format_args!("country database {}: {built}", geoip.path))?;
    }
    let writer = &status.writer;
    say(format_args!(
        "records: {} committed, {} queued, lag {}, {} dropped",
        writer.committed,
        writer.queued,
        duration(writer.lag_ms),
        writer.dropped
    ))?;
    let losses: Vec<_> = status.losses.iter().filter(|loss| loss.count > 0).collect();
    if losses.is_empty() {
        say("losses: none")?;
    }
    for loss in losses {
        say(format_args!("loss: {} {} ({})", loss.count, loss.name, loss.meaning))?;
    }
    Ok(())
}
