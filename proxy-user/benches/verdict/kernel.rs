//! Programs, run by `BPF_PROG_TEST_RUN`, and what they take.

use std::time::Duration;

use aya::programs::{TestRun, TestRunOptions};
use proxy_common::packet::Segment;
use proxy_user::datapath::{Generation, Maps, Programs, load_other};
use serde_json::{Value, json};

use crate::{Result, frames::Frame};

/// In a round. Their events fit into the ring buffer.
pub(crate) const PACKETS: u32 = 50_000;
const ROUNDS: usize = 15;
/// Runs of a single packet.
const COLD_RUNS: usize = 101;
/// Overwritten before each of them: more than processors have of caches.
const CACHES: usize = 64 << 20;

/// The program that judges at a hook, and what does nothing there.
pub(crate) struct HookPrograms {
    pub(crate) name: &'static str,
    pub(crate) judges: &'static str,
    empty: &'static str,
}

pub(crate) const TC: HookPrograms =
    HookPrograms { name: "tc", judges: "weir_bench_ingress", empty: "weir_bench_tc_empty" };
pub(crate) const XDP: HookPrograms =
    HookPrograms { name: "xdp", judges: "weir_bench_xdp", empty: "weir_bench_xdp_empty" };

/// Frames of as many clients as the mask has places for.
pub(crate) struct Client {
    pub(crate) frame: Frame,
    mask: u32,
}

impl Client {
    /// Of IPv4, by two to the power of `bits`.
    pub(crate) fn v4(frame: &Frame, bits: u32) -> Self {
        Self { frame: frame.clone(), mask: u32::MAX.checked_shr(32 - bits).unwrap_or(0) }
    }

    /// Of IPv6.
    pub(crate) fn v6(frame: &Frame) -> Self {
        Self { frame: frame.clone(), mask: 0 }
    }

    /// Another frame of the same clients.
    pub(crate) fn sends(&self, frame: &Frame) -> Self {
        Self { frame: frame.clone(), mask: self.mask }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.frame.bytes();
        bytes[..4].copy_from_slice(&self.mask.to_ne_bytes());
        bytes
    }
}

pub(crate) struct Kernel {
    programs: Programs,
    maps: Maps,
    caches: Vec<u64>,
}

impl Kernel {
    pub(crate) fn new(object: &[u8]) -> Result<Self> {
        let (programs, mut maps) = load_other(object, 1 << 17)?;
        maps.tables.set_locals(&["192.0.2.1/32".parse()?, "2001:db8::1/128".parse()?])?;
        Ok(Self { programs, maps, caches: vec![0; CACHES / size_of::<u64>()] })
    }

    pub(crate) fn install(&mut self, generation: &Generation) -> Result {
        Ok(self.maps.tables.install(generation)?)
    }

    /// Runs a program so many times; what one took.
    pub(crate) fn run(
        &mut self,
        program: &'static str,
        client: &Client,
        times: u32,
    ) -> Result<Duration> {
        self.run_bytes(program, &client.bytes(), times)
    }

    fn run_bytes(&mut self, program: &'static str, frame: &[u8], times: u32) -> Result<Duration> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = times;
        let result = if program.contains("xdp") {
            self.programs.xdp(program)?.test_run(options)?
        } else {
            self.programs.classifier(program)?.test_run(options)?
        };
        Ok(result.duration)
    }

    /// Has every client open a connection.
    pub(crate) fn open(&mut self, client: &Client) -> Result {
        let clients = client.mask + 1;
        let answer = client.frame.reply().segment(Segment::SYN | Segment::ACK, 100, 8, 0);
        self.run(TC.judges, client, clients)?;
        self.run("weir_bench_egress", &client.sends(&answer), clients)?;
        let last = client.frame.segment(Segment::ACK, 8, 101, 0);
        self.run(TC.judges, &client.sends(&last), clients)?;
        let flows = self.maps.flows.all().count();
        self.drain();
        if flows < clients as usize * 99 / 100 {
            return Err(format!("{flows} flows of {clients}").into());
        }
        Ok(())
    }

    /// What a packet takes after others like it. Rounds of both programs alternate, so that a
    /// machine that slows down slows both.
    pub(crate) fn warm(
        &mut self,
        hook: &HookPrograms,
        client: &Client,
        packets: u32,
    ) -> Result<Value> {
        let (mut judging, mut empty) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            judging.push(self.run(hook.judges, client, packets)?);
            empty.push(self.run(hook.empty, client, packets)?);
            self.drain();
        }
        Ok(net(judging, empty))
    }

    /// What a packet takes when nothing of it, of the tables and of the program is in the
    /// processor's caches.
    pub(crate) fn cold(&mut self, hook: &HookPrograms, client: &Client) -> Result<Value> {
        let (mut judging, mut empty) = (Vec::new(), Vec::new());
        let mut frame = client.bytes();
        for run in 0..COLD_RUNS {
            // The client's address; where it varies by its mask, it is of that still.
            let seed = u32::try_from(run)?.wrapping_mul(0x9e37_79b9);
            if client.frame.from.is_ipv4() {
                let known = u32::from_be_bytes(frame[26..30].try_into()?);
                let next = known & !client.mask | seed & client.mask;
                frame[26..30].copy_from_slice(&next.to_be_bytes());
            } else {
                frame[30..34].copy_from_slice(&seed.to_be_bytes());
            }
            for (program, figures) in [(hook.judges, &mut judging), (hook.empty, &mut empty)] {
                self.overwrite_caches();
                figures.push(self.run_bytes(program, &frame, 1)?);
            }
        }
        self.drain();
        Ok(net(judging, empty))
    }

    fn overwrite_caches(&mut self) {
        for word in &mut self.caches {
            *word = word.wrapping_add(1);
        }
        std::hint::black_box(&self.caches);
    }

    fn drain(&mut self) {
        while self.maps.events.take().is_some() {}
    }
}

fn net(judging: Vec<Duration>, empty: Vec<Duration>) -> Value {
    let sorted = |mut figures: Vec<Duration>| {
        figures.sort_unstable();
        let at = |place: usize| u64::try_from(figures[place].as_nanos()).unwrap_or(u64::MAX);
        (at(figures.len() / 2), at(0), at(figures.len() - 1))
    };
    let (judging, empty) = (sorted(judging), sorted(empty));
    let shown = |(median, min, max)| json!({ "median": median, "min": min, "max": max });
    json!({
        "net_ns": judging.0.saturating_sub(empty.0),
        "whole_ns": shown(judging),
        "empty_ns": shown(empty),
    })
}
