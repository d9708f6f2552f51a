//! One body of 5 GiB.

use std::{
    fmt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::{lab::SERVER4, wait::SOON, weir::Weir};

use super::{
    DOMAIN, Place, TLS,
    generator::{LENGTH, PATH},
};

/// Which way, and by which protocol.
#[derive(Clone, Copy)]
pub(super) struct Transfer {
    direction: &'static str,
    protocol: &'static str,
}

/// How it went.
pub(super) struct Measured {
    transfer: Transfer,
    seconds: f64,
    /// The most bytes of memory that Weir had resident, and what it had before.
    pub(super) peak: u64,
    before: u64,
}

impl Transfer {
    pub(super) const ALL: [Self; 4] = [
        Self { direction: "up", protocol: "http1.1" },
        Self { direction: "down", protocol: "http1.1" },
        Self { direction: "up", protocol: "http2" },
        Self { direction: "down", protocol: "http2" },
    ];

    pub(super) fn run(self, place: &Place<'_>, weir: &Weir<'_>) -> Result<Measured> {
        let before = weir.resident()?;
        let seconds = self.transfer(place)?;
        let record = weir.wait_for_event("service_id=site", SOON)?;
        let bytes = &record[format!("bytes_{}load", self.direction)];
        ensure!(*bytes == LENGTH, "recorded: {record}");
        let version = if self.protocol == "http2" { "2" } else { "1.1" };
        ensure!(record["http_version"].as_str() == Some(version), "recorded: {record}");
        Ok(Measured { transfer: self, seconds, peak: weir.peak()?, before })
    }

    /// The seconds that curl needs.
    fn transfer(self, place: &Place<'_>) -> Result<f64> {
        let mut curl = place.lab.clients.bound_command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--output", "/dev/null"]);
        curl.arg(format!("--{}", self.protocol)).arg("--cacert").arg(place.authority.certificate());
        curl.arg("--resolve").arg(format!("{DOMAIN}:{TLS}:{SERVER4}"));
        curl.args(["--write-out", "%{time_total}"]);
        let up = self.direction == "up";
        let mut zeros = None;
        if up {
            let mut head = Command::new("head");
            head.args(["--bytes", &LENGTH.to_string(), "/dev/zero"]);
            let mut child = head.stdout(Stdio::piped()).spawn().context("head")?;
            curl.stdin(child.stdout.take().context("a pipe")?);
            curl.args(["--request", "POST", "--header", "Expect:", "--upload-file", "-"]);
            zeros = Some(child);
        }
        let path = if up { "/" } else { PATH };
        let output = curl.arg(format!("https://{DOMAIN}:{TLS}{path}")).output()?;
        if let Some(mut zeros) = zeros {
            zeros.wait()?;
        }
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).parse()?)
    }
}

impl Measured {
    fn gigabits(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let bits = (LENGTH * 8) as f64;
        bits / self.seconds / 1e9
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "direction": self.transfer.direction,
            "protocol": self.transfer.protocol,
            "bytes": LENGTH,
            "seconds": self.seconds,
            "gigabits_per_second": self.gigabits(),
            "resident_before": self.before,
            "resident_peak": self.peak,
        })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Transfer { direction, protocol } = self.transfer;
        write!(
            f,
            "5 GiB {direction}, {protocol}: {:.1} Gb/s, at most {} MiB resident ({} before)",
            self.gigabits(),
            self.peak >> 20,
            self.before >> 20
        )
    }
}
