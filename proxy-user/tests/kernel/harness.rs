//! Programs and maps of a test's own, unpinned.

use aya::programs::{TestRun, TestRunOptions};
use proxy_common::{
    outcome::Outcome,
    policy::{CidrFlags, Rules},
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{Event, Generation, Maps, Programs, ServiceEntry, load},
};

use crate::frames::Tcp;

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
    /// The programs with the lab's host and one guarded service, `ssh` on port 22.
    pub(crate) fn new(rules: &Rules, cidrs: &[(&str, CidrFlags)]) -> Result<Self> {
        let (programs, mut maps) = load(None, 1024)?;
        maps.tables
            .set_locals(&[format!("{HOST4}/32").parse()?, format!("{HOST6}/128").parse()?])?;
        maps.tables.install(&generation(rules, cidrs)?)?;
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

    /// Inbound at TC.
    pub(crate) fn receive(&mut self, frame: &Tcp) -> Result<Action> {
        self.run("weir_ingress", &frame.bytes())
    }

    /// Outbound at TC.
    pub(crate) fn send(&mut self, frame: &Tcp) -> Result<Action> {
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

/// One guarded service on port 22 with `rules`, whose table is 1.
pub(crate) fn generation(rules: &Rules, cidrs: &[(&str, CidrFlags)]) -> Result<Generation> {
    let cidrs = cidrs.iter().map(|(prefix, flags)| Ok((1, prefix.parse()?, *flags)));
    Ok(Generation {
        global: Rules::OPEN,
        services: vec![ServiceEntry {
            name: "ssh".to_owned(),
            transport: proxy_common::address::PROTOCOL_TCP,
            rules: *rules,
            listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
            relayed: false,
            reset: false,
        }],
        cidrs: cidrs.collect::<Result<_>>()?,
        countries: None,
    })
}

/// A frame for a hook: those without a link layer get none.
pub(crate) fn frame_for(hook: &str, frame: &Tcp) -> Vec<u8> {
    Tcp { bare: hook.ends_with("_l3"), ..frame.clone() }.bytes()
}
