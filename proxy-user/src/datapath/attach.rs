//! Programs on interfaces, by pinned links that outlive the daemon, or by filters
//! where the kernel has no links for TC.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::PathBuf,
};

use aya::programs::{ProgramError, SchedClassifier, TcAttachType, XdpMode};

use super::{
    DatapathError, Interface, LinkLayer, Pins,
    clsact::Clsact,
    links::{attach_tcx, attach_xdp, detach},
    load::Programs,
    offloads::Abilities,
    pins::at,
};
use crate::config::Hook;

const AS_FAST: &str = "the default: as fast as XDP for a host, and every offload stays on";

/// How programs get into TC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcAttachment {
    /// By links, from kernel 6.6.
    Tcx,
    /// By filters of the clsact qdisc.
    Clsact,
}

impl TcAttachment {
    /// What this kernel has: one without TCX does not know its attach type.
    pub fn probe() -> Self {
        match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
            Err(ProgramError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::EINVAL) =>
            {
                Self::Clsact
            }
            _ => Self::Tcx,
        }
    }
}

/// An interface that Weir watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface.
    pub interface: Interface,
    /// Where verdicts run on it.
    pub hook: Hook,
    /// Why there, in words.
    pub why: String,
    /// Where they should run.
    wanted: Hook,
}

/// Holds the programs and knows where they are attached.
pub struct Attacher {
    programs: Programs,
    links: PathBuf,
    clsact: Option<Clsact>,
    attached: BTreeMap<u32, Attached>,
}

impl Attacher {
    /// Programs that will be attached by links pinned in `pins`, or as filters.
    pub fn new(programs: Programs, pins: &Pins, by: TcAttachment) -> Self {
        let clsact = (by == TcAttachment::Clsact).then(|| pins.clsact());
        Self { programs, links: pins.links(), clsact, attached: BTreeMap::new() }
    }

    /// How programs get into TC.
    pub fn attachment(&self) -> TcAttachment {
        if self.clsact.is_some() { TcAttachment::Clsact } else { TcAttachment::Tcx }
    }

    /// Where the programs are attached now.
    pub fn attached(&self) -> impl Iterator<Item = &Attached> {
        self.attached.values()
    }

    /// Attaches to each interface of `wanted` and detaches from every other.
    /// An interface that refuses is left out and reported; the rest go on.
    pub fn sync(&mut self, wanted: &[(Interface, Hook)]) -> Vec<(String, DatapathError)> {
        let mut failures = Vec::new();
        let before = std::mem::take(&mut self.attached);
        let filtered = match self.clsact.as_ref().map(Clsact::attached).transpose() {
            Ok(there) => there,
            Err(error) => {
                failures.push(("filters".to_owned(), error));
                None
            }
        };
        for (interface, hook) in wanted {
            let kept = before.get(&interface.index).filter(|known| {
                known.interface.layer == interface.layer
                    && known.wanted == *hook
                    // Anybody can remove a filter.
                    && filtered.as_ref().is_none_or(|there| there.contains(&interface.index))
            });
            let done = match kept {
                Some(known) => Ok(Attached { interface: interface.clone(), ..known.clone() }),
                None => self.attach(interface, *hook),
            };
            match done {
                Ok(attached) => {
                    self.attached.insert(interface.index, attached);
                }
                Err(error) => failures.push((interface.name.clone(), error)),
            }
        }
        if let Err(error) = self.drop_others() {
            failures.push(("links".to_owned(), error));
        }
        failures
    }

    fn attach(&mut self, interface: &Interface, wanted: Hook) -> Result<Attached, DatapathError> {
        let (ingress, egress) = match interface.layer {
            LinkLayer::Ethernet => ("weir_ingress", "weir_egress"),
            LinkLayer::None => ("weir_ingress_l3", "weir_egress_l3"),
            LinkLayer::Other => return Err(DatapathError::LinkLayer),
        };
        let at_tc = self.attach_tc(ingress, interface, TcAttachType::Ingress)?;
        self.attach_tc(egress, interface, TcAttachType::Egress)?;
        let (hook, why) = match (wanted, interface.layer) {
            (Hook::Tc, _) => (Hook::Tc, at_tc),
            (_, LinkLayer::None | LinkLayer::Other) => {
                (Hook::Tc, "the interface has no link layer for XDP".to_owned())
            }
            (Hook::XdpNative, _) => {
                self.attach_xdp(interface, wanted, "xdp-native", XdpMode::Driver)
            }
            (Hook::XdpGeneric, _) => {
                self.attach_xdp(interface, wanted, "xdp-generic", XdpMode::Skb)
            }
        };
        Ok(Attached { interface: interface.clone(), hook, why, wanted })
    }

    /// Attaches first in the chain, or as near to it as others leave room; why so.
    fn attach_tc(
        &mut self,
        program: &'static str,
        interface: &Interface,
        side: TcAttachType,
    ) -> Result<String, DatapathError> {
        let program = self.programs.classifier(program)?;
        let Some(clsact) = &self.clsact else {
            let kind = if side == TcAttachType::Ingress { "ingress" } else { "egress" };
            let pin = self.links.join(pin_name(kind, interface.index));
            attach_tcx(program, &interface.name, side, &pin)?;
            return Ok(AS_FAST.to_owned());
        };
        let why = "clsact: this kernel has no TCX";
        let priority = clsact.attach(program, (interface.index, &interface.name), side)?;
        if priority == 1 {
            return Ok(why.to_owned());
        }
        let why = format!(
            "{why}; priority {priority}, behind others' filters: what those accept is not judged"
        );
        tracing::warn!(interface = interface.name, "{why}");
        Ok(why)
    }

    /// Verdicts run at TC ingress in any case: an interface that takes no XDP loses
    /// nothing but the place.
    fn attach_xdp(
        &mut self,
        interface: &Interface,
        hook: Hook,
        kind: &str,
        mode: XdpMode,
    ) -> (Hook, String) {
        let before = Abilities::of(&interface.name);
        match self.try_xdp(interface, kind, mode) {
            Ok(why) => {
                let lost = before.lost(&Abilities::of(&interface.name));
                if lost.is_empty() {
                    return (hook, why);
                }
                let why = format!("{why}; it cost {}", lost.join(", "));
                tracing::warn!(interface = interface.name, "{why}");
                (hook, why)
            }
            Err(error) => {
                let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
                let why =
                    format!("{} takes no {kind} ({error}{cause}): TC instead", interface.name);
                tracing::warn!("{why}");
                (Hook::Tc, why)
            }
        }
    }

    /// The program for packets in fragments where the driver takes it.
    fn try_xdp(
        &mut self,
        interface: &Interface,
        kind: &str,
        mode: XdpMode,
    ) -> Result<String, DatapathError> {
        let pin = self.links.join(pin_name(kind, interface.index));
        // An interface takes one XDP program: one of another mode would be in the way.
        for other in XDP_PINS.iter().filter(|other| **other != kind) {
            detach(&self.links.join(pin_name(other, interface.index)))?;
        }
        let whole = attach_xdp(self.programs.xdp("weir_xdp_frags")?, interface.index, mode, &pin);
        if whole.is_ok() {
            return Ok("as configured; packets in fragments too".to_owned());
        }
        attach_xdp(self.programs.xdp("weir_xdp")?, interface.index, mode, &pin)?;
        Ok("as configured; linear packets only".to_owned())
    }

    /// Unpins every link that no attached interface has: what a daemon before left,
    /// and what went away.
    fn drop_others(&self) -> Result<(), DatapathError> {
        let kept: BTreeSet<String> = self.attached.values().flat_map(pins_of).collect();
        for entry in fs::read_dir(&self.links).map_err(at(&self.links))? {
            let path = entry.map_err(at(&self.links))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.is_none_or(|name| !kept.contains(&name)) {
                detach(&path)?;
            }
        }
        if let Some(clsact) = &self.clsact {
            clsact.remove_except(&self.attached.keys().copied().collect())?;
        }
        Ok(())
    }
}

const XDP_PINS: [&str; 2] = ["xdp-native", "xdp-generic"];

fn pins_of(attached: &Attached) -> Vec<String> {
    let index = attached.interface.index;
    let mut names = vec![pin_name("ingress", index), pin_name("egress", index)];
    match attached.hook {
        Hook::Tc => {}
        Hook::XdpNative => names.push(pin_name("xdp-native", index)),
        Hook::XdpGeneric => names.push(pin_name("xdp-generic", index)),
    }
    names
}

fn pin_name(kind: &str, index: u32) -> String {
    format!("{kind}-{index}")
}
