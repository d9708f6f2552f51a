//! `weir reload`

use std::{
    io::{self, BufRead},
    sync::mpsc,
    thread,
};

use anyhow::{Result, bail};
use hyper::Method;

use super::{
    OK, Place,
    args::Reload,
    out::{say, tell},
};
use crate::api::model::{ReloadRequest, Reloaded};

pub(super) fn run(place: &Place, options: &Reload) -> Result<u8> {
    let client = place.client();
    let seconds = options.confirm.map(|time| u32::try_from(time.as_secs().max(1)));
    let request = ReloadRequest { confirm_seconds: seconds.transpose()? };
    let body = serde_json::to_value(request)?;
    let reloaded: Reloaded = client.ask(Method::POST, "/api/reload", Some(&body))?;
    for warning in &reloaded.warnings {
        tell(format_args!("{warning} (warning)"));
    }
    say(format_args!("generation {} is in force", reloaded.generation))?;
    let Some(time) = options.confirm else { return Ok(OK) };
    tell(format_args!("press Enter within {} s to keep it", time.as_secs()));
    let (sender, pressed) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // The end of the input is no confirmation.
        if io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
            let _ = sender.send(());
        }
    });
    if pressed.recv_timeout(time).is_err() {
        bail!("not confirmed: the configuration before comes back");
    }
    client.ask::<serde_json::Value>(Method::POST, "/api/reload/confirm", None)?;
    say("confirmed")?;
    Ok(OK)
}
