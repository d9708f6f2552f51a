//! `weir status`

use anyhow::Result;

use super::{
    OK, Place,
    args::Json,
    table::{Table, duration},
};
use crate::api::model::Status;

pub(super) fn run(place: &Place, options: &Json) -> Result<u8> {
    let status: Status = place.client().get("/api/status")?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        show(&status)?;
    }
    Ok(OK)
}

fn show(status: &Status) -> Result<()> {
    println!(
        "weir {}, since {}, generation {}, configuration {}",
        status.version,
        status.started_at,
        status.generation,
        status.config_digest.get(..12).unwrap_or(&status.config_digest),
    );
    for warning in &status.warnings {
        println!("warning: {warning}");
    }
    println!();
    services(status).print()?;
    println!();
    let mut interfaces = Table::new(&["INTERFACE", "HOOK", "WHY"]);
    for interface in &status.interfaces {
        interfaces.row([interface.name.clone(), interface.hook.clone(), interface.why.clone()]);
    }
    interfaces.print()?;
    println!();
    let mut maps = Table::new(&["MAP", "ENTRIES", "CAPACITY"]);
    for map in &status.maps {
        maps.row([map.name.clone(), map.entries.to_string(), map.capacity.to_string()]);
    }
    maps.print()?;
    println!();
    books(status);
    Ok(())
}

fn services(status: &Status) -> Table {
    let mut table = Table::new(&[
        "SERVICE", "PLANE", "LISTEN", "TARGET", "OPEN", "ACCEPTED", "DENIED", "ACCESS",
    ]);
    for service in &status.services {
        let denied: Vec<String> =
            service.denied.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        table.row([
            service.name.clone(),
            service.plane.as_str().to_owned(),
            service.listen.join(" "),
            service.target.clone(),
            service.open.to_string(),
            service.accepted.to_string(),
            if denied.is_empty() { "0".to_owned() } else { denied.join(", ") },
            service.access.clone(),
        ]);
    }
    table
}

fn books(status: &Status) {
    if let Some(geoip) = &status.geoip {
        let built =
            geoip.built_at.map_or("not loaded".to_owned(), |built| format!("built {built}"));
        println!("country database {}: {built}", geoip.path);
    }
    let writer = &status.writer;
    println!(
        "records: {} committed, {} queued, lag {}, {} dropped",
        writer.committed,
        writer.queued,
        duration(writer.lag_ms),
        writer.dropped
    );
    let losses: Vec<_> = status.losses.iter().filter(|loss| loss.count > 0).collect();
    if losses.is_empty() {
        println!("losses: none");
    }
    for loss in losses {
        println!("loss: {} {} ({})", loss.count, loss.name, loss.meaning);
    }
}
