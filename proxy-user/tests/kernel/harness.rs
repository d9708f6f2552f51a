//! Programs and maps of a test's own, unpinned.

use aya::programs::{TestRun, TestRunOptions};
use proxy_common::{
    address::{PROTOCOL_TCP, PROTOCOL_UDP},
    outcome::Outcome,
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{Event, Generation, Maps, Programs, ServiceEntry, load},
    policy::{CidrFlags, Classes, Layer, Rules},
};

use crate::frames::Frame;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The host's own addresses.
pub(crate) const HOST4: &str = "192.0.2.1";
pub(crate) const HOST6: &str = "2001:db8::1";

/// What a program did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pass,
    Drop,
}

/// Where a verdict can run.
pub(crate) const HOOKS: [&str; 4] =
    ["weir_ingress", "weir_ingress_l3", "weir_xdp", "weir_xdp_frags"];

pub(crate) struct Kernel {
    pub(crate) programs: Programs,
    pub(crate) maps: Maps,
}

impl Kernel {
    /// The programs with the lab's host and what [`generation`] guards.
    pub(crate) fn new(rules: &Rules, cidrs: &[(&str, CidrFlags)]) -> Result<Self> {
        Self::of(&generation(rules, cidrs)?, 1024)
    }

    /// The programs with the lab's host, this generation and room for so many flows.
    pub(crate) fn of(generation: &Generation, max_flows: u32) -> Result<Self> {
        let (programs, mut maps) = load(None, max_flows)?.take()?;
        maps.tables
            .set_locals(&[format!("{HOST4}/32").parse()?, format!("{HOST6}/128").parse()?])?;
        maps.tables.install(generation)?;
        Ok(Self { programs, maps })
    }

    /// Runs one program on a frame.
    pub(crate) fn run(&mut self, program: &'static str, frame: &[u8]) -> Result<Action> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        if program.starts_with("weir_xdp") {
            let answer = self.programs.xdp(program)?.test_run(options)?.return_value;
            return match answer {
                1 => Ok(Action::Drop),
                2 => Ok(Action::Pass),
                other => Err(format!("XDP action {other}").into()),
            };
        }
        let answer = self.programs.classifier(program)?.test_run(options)?.return_value;
        match answer.cast_signed() {
            -1 => Ok(Action::Pass),
            2 => Ok(Action::Drop),
            other => {
                Err(format!("TC action {other}: a packet that passes must go on to later programs")
                    .into())
            }
        }
    }

    /// Runs one TC program on packets that were merged: how many, and the payload of each.
    pub(crate) fn run_merged(
        &mut self,
        program: &'static str,
        frame: &[u8],
        (segments, size): (u32, u32),
    ) -> Result {
        // `struct __sk_buff` (`include/uapi/linux/bpf.h`).
        let mut context = [0; 192];
        context[164..168].copy_from_slice(&segments.to_ne_bytes());
        context[176..180].copy_from_slice(&size.to_ne_bytes());
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.ctx_in = Some(&context);
        self.programs.classifier(program)?.test_run(options)?;
        Ok(())
    }

    /// Inbound at TC.
    pub(crate) fn receive(&mut self, frame: &Frame) -> Result<Action> {
        self.run("weir_ingress", &frame.bytes())
    }

    /// Outbound at TC.
    pub(crate) fn send(&mut self, frame: &Frame) -> Result<Action> {
        self.run("weir_egress", &frame.bytes())
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.maps.events.take()).collect()
    }

    pub(crate) fn outcome(&self, outcome: Outcome) -> Result<u64> {
        let all = self.maps.counters.outcomes()?;
        Ok(all.into_iter().find(|(known, _)| *known == outcome).map_or(0, |(_, count)| count))
    }
}

/// Two guarded services with `rules` and these prefixes: `ssh` on TCP port 22 and `dns` on UDP
/// port 53.
pub(crate) fn generation(rules: &Rules, cidrs: &[(&str, CidrFlags)]) -> Result<Generation> {
    let cidrs = cidrs.iter().map(|(prefix, flags)| Ok((prefix.parse()?, *flags)));
    let own = Layer { rules: *rules, cidrs: cidrs.collect::<Result<_>>()? };
    Ok(Generation {
        services: vec![guard("ssh", PROTOCOL_TCP, 22), guard("dns", PROTOCOL_UDP, 53)],
        classes: Classes::of(&Layer::OPEN, &[own], None)?.into(),
    })
}

/// A service of the host's on every address.
pub(crate) fn guard(name: &str, transport: u8, port: u16) -> ServiceEntry {
    ServiceEntry {
        name: name.to_owned(),
        transport,
        place: 0,
        listen: vec![Listen { address: ListenAddress::Any, port }],
        relayed: false,
        by_request: false,
        reset: false,
        forward: None,
    }
}

/// A frame for a hook: those without a link layer get none.
pub(crate) fn frame_for(hook: &str, frame: &Frame) -> Vec<u8> {
    Frame { bare: hook.ends_with("_l3"), ..frame.clone() }.bytes()
}
