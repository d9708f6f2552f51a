//! slowhttptest's attacks, while somebody else asks once a second.

use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Verdict,
    web::{PORT, Web, url},
};

/// Connections of an attack, how many of them a second are made, and how long it lasts in
/// seconds.
const CONNECTIONS: [&str; 6] = ["-c", "1000", "-r", "200", "-l", "25"];
/// How often somebody else asks, and how long that may take.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    Headers,
    Body,
    Reading,
}

impl Attack {
    const fn name(self) -> &'static str {
        match self {
            Self::Headers => "slow headers",
            Self::Body => "slow body",
            Self::Reading => "slow reading",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Headers => &["-H", "-i", "3"],
            Self::Body => &["-B", "-i", "3", "-s", "8192"],
            Self::Reading => &["-X", "-n", "3", "-w", "64", "-y", "256", "-z", "32"],
        }
    }

    fn path(self) -> &'static str {
        if self == Self::Reading { "/large" } else { "/" }
    }
}

/// Attacks a site, and tells how another client fared.
pub(super) fn attack(web: &Web<'_>, attack: Attack) -> Result<Vec<Verdict>> {
    let mut command = web.command("slowhttptest");
    command.args(CONNECTIONS).args(attack.arguments()).args(["-v", "0", "-u"]);
    command.arg(url(attack.path())).stdin(Stdio::null()).stdout(Stdio::null());
    let mut attacking = command.spawn().context("slowhttptest")?;
    let (mut times, mut most_open, mut failed) = (Vec::new(), 0, 0);
    while is_running(&mut attacking)? {
        let begun = Instant::now();
        match ask(web)? {
            Some(took) => times.push(took),
            None => failed += 1,
        }
        most_open = most_open.max(open(web)?);
        thread::sleep(INTERVAL.saturating_sub(begun.elapsed()));
    }
    let slowest = times.iter().max().copied().unwrap_or_default();
    let is_good = failed == 0 && times.len() > 10 && slowest < INTERVAL && most_open > 500;
    let text = format!(
        "{}: {most_open} connections open; of another client's requests, {} were answered (the \
         slowest in {slowest:?}) and {failed} were not",
        attack.name(),
        times.len(),
    );
    Ok(vec![Verdict { text, is_good }])
}

fn is_running(child: &mut Child) -> Result<bool> {
    Ok(child.try_wait()?.is_none())
}

/// Fetches a page on a connection of its own; how long that took.
fn ask(web: &Web<'_>) -> Result<Option<Duration>> {
    let mut curl = web.command("curl");
    curl.args(["--silent", "--fail", "--max-time", "5", "--output", "/dev/null", "--cacert"]);
    curl.arg(web.authority()).args(["--write-out", "%{time_total}"]);
    let output = curl.arg(url("/")).output()?;
    let took = String::from_utf8_lossy(&output.stdout).parse().ok();
    Ok(took.filter(|_| output.status.success()).map(Duration::from_secs_f64))
}

/// How many connections the site has.
fn open(web: &Web<'_>) -> Result<usize> {
    let filter = format!("ss -Htn state established sport = :{PORT}");
    Ok(web.namespace.run(&filter)?.lines().count())
}
