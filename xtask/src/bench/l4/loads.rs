//! What is put on a way, and what it made of it.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::ns::Namespace;

use super::{
    super::load::{BULK, CLOSING, WEB, iperf3, rate, wrk},
    cpu,
};

/// Sessions of datagrams at a time.
pub(super) const SESSIONS: u64 = 8;
const STREAMS: u32 = 8;
/// Payload bytes of a datagram.
const LENGTH: u32 = 64;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// One connection carries all it can
    Bulk,
    /// Eight connections carry all they can
    Streams,
    /// Requests over 64 kept connections
    Requests,
    /// Connections with one request each, 64 at a time
    Connections,
    /// Datagrams, as many as the client can send
    Datagrams,
}

/// What is told of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    /// In the load's unit a second; the more the better
    Rate,
    /// Seconds of all processors for a GiB, or for 100,000 of the load's unit
    Cpu,
    /// Milliseconds until a request is answered, the middle one's
    Median,
    /// The same, of the slowest but 1 %
    Tail,
    /// Part of the datagrams
    Lost,
}

/// Figures of one run.
pub(super) type Sample = Vec<(Figure, f64)>;

impl Figure {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "cpu_seconds",
            Self::Median => "p50_ms",
            Self::Tail => "p99_ms",
            Self::Lost => "lost",
        }
    }
}

impl Load {
    pub(super) const ALL: [Self; 5] =
        [Self::Bulk, Self::Streams, Self::Requests, Self::Connections, Self::Datagrams];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "throughput of one connection",
            Self::Streams => "throughput of 8 connections",
            Self::Requests => "requests over 64 kept connections",
            Self::Connections => "connections, 64 at a time",
            Self::Datagrams => "datagrams of 64 bytes, 8 sessions",
        }
    }

    /// What its rate counts, and of what its time of processors is.
    pub(super) const fn units(self) -> (&'static str, &'static str) {
        match self {
            Self::Bulk | Self::Streams => ("Gb/s", "a GiB"),
            Self::Requests | Self::Connections | Self::Datagrams => ("a second", "100,000"),
        }
    }

    /// Puts it on the way to `address`.
    pub(super) fn run(self, clients: &Namespace, address: IpAddr) -> Result<Sample> {
        let before = cpu::busy()?;
        let (units, mut sample) = self.put(clients, address)?;
        sample.push((Figure::Cpu, (cpu::busy()? - before) / units));
        Ok(sample)
    }

    /// GiB or hundreds of thousands that passed, and figures.
    fn put(self, clients: &Namespace, address: IpAddr) -> Result<(f64, Sample)> {
        let (bulk, web) = (SocketAddr::new(address, BULK), SocketAddr::new(address, WEB));
        match self {
            Self::Bulk => received(&iperf3(clients, bulk, &[])?),
            Self::Streams => {
                received(&iperf3(clients, bulk, &["--parallel", &STREAMS.to_string()])?)
            }
            Self::Requests => answered(&wrk(clients, web, &["--latency"])?),
            Self::Connections => {
                answered(&wrk(clients, web, &[&CLOSING[..], &["--latency"]].concat())?)
            }
            Self::Datagrams => {
                let (length, sessions) = (LENGTH.to_string(), SESSIONS.to_string());
                let sent = ["--udp", "--bitrate", "0", "--length", &length];
                let more = [&sent[..], &["--parallel", &sessions]].concat();
                arrived(&iperf3(clients, bulk, &more)?)
            }
        }
    }
}

fn received(report: &Value) -> Result<(f64, Sample)> {
    let figure = |key| number(report, "sum_received", key);
    let gib = figure("bytes")? / f64::from(1 << 30);
    Ok((gib, vec![(Figure::Rate, figure("bits_per_second")? / 1e9)]))
}

fn arrived(report: &Value) -> Result<(f64, Sample)> {
    let figure = |key| number(report, "sum", key);
    let (sent, lost) = (figure("packets")?, figure("lost_packets")?);
    let arrived = sent - lost;
    let rate = arrived / figure("seconds")?;
    Ok((arrived / 1e5, vec![(Figure::Rate, rate), (Figure::Lost, lost / sent)]))
}

fn number(report: &Value, sum: &str, key: &str) -> Result<f64> {
    report["end"][sum][key].as_f64().with_context(|| format!("{key}: {report}"))
}

fn answered(report: &str) -> Result<(f64, Sample)> {
    let figures = || {
        let count = report.lines().find_map(|line| line.split_once(" requests in "))?.0;
        let sample = vec![
            (Figure::Rate, rate(report)?),
            (Figure::Median, percentile(report, "50%")?),
            (Figure::Tail, percentile(report, "99%")?),
        ];
        Some((count.trim().parse::<f64>().ok()? / 1e5, sample))
    };
    figures().with_context(|| report.to_owned())
}

/// Milliseconds, of wrk's report.
fn percentile(report: &str, name: &str) -> Option<f64> {
    let time = report.lines().find_map(|line| line.trim().strip_prefix(name))?.trim();
    let (number, scale) = if let Some(number) = time.strip_suffix("us") {
        (number, 1e-3)
    } else if let Some(number) = time.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (time.strip_suffix('s')?, 1e3)
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrks_report_is_read_with_its_units() {
        let report = "  Latency Distribution\n     50%  538.00us\n     99%    1.50s\n  \
                      200000 requests in 2.00s, 3.00MB read\nRequests/sec:  99999.50\n";
        let expected =
            vec![(Figure::Rate, 99_999.5), (Figure::Median, 0.538), (Figure::Tail, 1500.0)];
        assert_eq!(answered(report).ok(), Some((2.0, expected)));
    }
}
