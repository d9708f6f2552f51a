//! What is measured, with h2load: requests on kept connections, handshakes, and how long
//! requests take at half of the peak.

use std::{fs, net::IpAddr};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;
use weir_tests::{lab::SERVER4, ns::Namespace};

use super::{
    DOMAIN,
    proxies::HTTPS,
    target::{LARGE, SMALL},
};
use crate::process::output;

const SECONDS: u32 = 3;
const WARM_UP: u32 = 1;
/// Requests that are under way at a time.
const CLIENTS: u32 = 64;
/// Connections that share them over HTTP/2.
const SHARED: u32 = 16;
const HANDSHAKES: u32 = 4000;

/// A figure, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// Requests a second, answered with so much
    Requests(Version, Size),
    /// Connections a second, one request each, 64 at a time; no session is resumed, since
    /// h2load offers none
    Handshakes,
    /// Milliseconds that 99 of 100 small requests take no longer than, at half of the rate
    /// that the same proxy made just before
    Latency(Version),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Http1,
    Http2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Small,
    Large,
}

impl Load {
    /// A peak comes before what is measured at half of it.
    pub(super) const ALL: [Self; 7] = [
        Self::Requests(Version::Http1, Size::Small),
        Self::Requests(Version::Http2, Size::Small),
        Self::Requests(Version::Http1, Size::Large),
        Self::Requests(Version::Http2, Size::Large),
        Self::Handshakes,
        Self::Latency(Version::Http1),
        Self::Latency(Version::Http2),
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests(Version::Http1, Size::Small) => "http1_1k_requests_per_second",
            Self::Requests(Version::Http2, Size::Small) => "http2_1k_requests_per_second",
            Self::Requests(Version::Http1, Size::Large) => "http1_100k_requests_per_second",
            Self::Requests(Version::Http2, Size::Large) => "http2_100k_requests_per_second",
            Self::Handshakes => "handshakes_per_second",
            Self::Latency(Version::Http1) => "http1_1k_p99_milliseconds_at_half_of_its_peak",
            Self::Latency(Version::Http2) => "http2_1k_p99_milliseconds_at_half_of_its_peak",
        }
    }

    /// The load whose peak this one goes by.
    pub(super) const fn of_peak(self) -> Option<Self> {
        match self {
            Self::Latency(version) => Some(Self::Requests(version, Size::Small)),
            Self::Requests(..) | Self::Handshakes => None,
        }
    }

    /// Puts it on the server; `peak` in requests a second, where it goes by one.
    pub(super) fn run(self, clients: &Namespace, peak: Option<f64>) -> Result<f64> {
        let kept = ["--duration", &SECONDS.to_string(), "--warm-up-time", &WARM_UP.to_string()]
            .map(str::to_owned)
            .to_vec();
        match (self, peak) {
            (Self::Requests(version, size), _) => {
                let path = match size {
                    Size::Small => SMALL.0,
                    Size::Large => LARGE.0,
                };
                rate(&h2load((clients, SERVER4), path, [kept, version.clients()].concat())?)
            }
            (Self::Handshakes, _) => {
                let each = ["--header", "Connection: close", "--requests", &HANDSHAKES.to_string()];
                let each = each.map(str::to_owned).to_vec();
                rate(&h2load(
                    (clients, SERVER4),
                    SMALL.0,
                    [each, Version::Http1.clients()].concat(),
                )?)
            }
            (Self::Latency(version), Some(peak)) => {
                let log = NamedTempFile::new()?;
                let each = peak / 2.0 / f64::from(version.connections());
                let paced =
                    [format!("--rps={each}"), format!("--log-file={}", log.path().display())];
                h2load(
                    (clients, SERVER4),
                    SMALL.0,
                    [kept, version.clients(), paced.to_vec()].concat(),
                )?;
                percentile(&fs::read_to_string(log.path())?)
            }
            (Self::Latency(_), None) => bail!("{}: there is no peak", self.name()),
        }
    }
}

impl Version {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1_1k",
            Self::Http2 => "http2_1k",
        }
    }

    const fn connections(self) -> u32 {
        match self {
            Self::Http1 => CLIENTS,
            Self::Http2 => SHARED,
        }
    }

    fn clients(self) -> Vec<String> {
        let clients = format!("--clients={}", self.connections());
        match self {
            Self::Http1 => vec!["--h1".to_owned(), clients],
            Self::Http2 => {
                vec![clients, format!("--max-concurrent-streams={}", CLIENTS / SHARED)]
            }
        }
    }
}

/// So many small requests, as fast as the server answers them.
pub(super) fn burst(
    version: Version,
    clients: &Namespace,
    server: IpAddr,
    requests: u32,
) -> Result<()> {
    let arguments = [vec![format!("--requests={requests}")], version.clients()].concat();
    rate(&h2load((clients, server), SMALL.0, arguments)?).map(drop)
}

fn h2load(
    (clients, server): (&Namespace, IpAddr),
    path: &str,
    arguments: Vec<String>,
) -> Result<String> {
    let mut command = clients.command("h2load");
    command.args(arguments).arg(format!("--connect-to={server}:{HTTPS}"));
    output(command.arg(format!("https://{DOMAIN}:{HTTPS}{path}")))
}

/// Requests a second, all of which were answered as they should be.
fn rate(report: &str) -> Result<f64> {
    let word_before = |mark: &str| {
        report.split_once(mark).and_then(|(before, _)| before.split_ascii_whitespace().last())
    };
    let none = |mark| word_before(mark) == Some("0");
    ensure!(none(" failed") && none(" 4xx") && none(" 5xx"), "h2load: {report}");
    let rate = word_before(" req/s").and_then(|rate| rate.parse().ok());
    rate.with_context(|| format!("h2load gave no rate: {report}"))
}

/// Of a log of h2load: lines of start, status and microseconds.
fn percentile(log: &str) -> Result<f64> {
    let time = |line: &str| line.split('\t').nth(2)?.parse::<f64>().ok();
    let mut times: Vec<f64> = log.lines().filter_map(time).collect();
    times.sort_by(f64::total_cmp);
    let time = times.get(times.len() * 99 / 100).context("h2load logged no request")?;
    Ok(time / 1000.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_rate_is_that_of_answers_as_they_should_be() {
        let report = |failed: u32, server: u32| {
            format!(
                "finished in 2.00s, 31234.50 req/s, 40MB/s\n\
                 requests: 9 total, 9 started, 9 done, 9 succeeded, {failed} failed, 0 errored\n\
                 status codes: 9 2xx, 0 3xx, 0 4xx, {server} 5xx\n"
            )
        };
        assert!((rate(&report(0, 0)).unwrap() - 31234.5).abs() < 1e-9);
        assert!(rate(&report(1, 0)).is_err());
        assert!(rate(&report(0, 10)).is_err());
    }

    #[test]
    fn one_of_a_hundred_may_take_longer() {
        let log: Vec<String> = (1..=200).map(|time| format!("1\t200\t{time}000\n")).collect();
        let log = log.concat();
        assert!((percentile(&log).unwrap() - 199.0).abs() < 1e-9);
        assert!(percentile("").is_err());
    }
}
