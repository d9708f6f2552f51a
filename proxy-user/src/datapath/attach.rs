//! Programs on interfaces, by pinned links that outlive the daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
    xdp::XdpLink,
};

use super::{DatapathError, Interface, LinkLayer, load::Programs, offloads::Abilities, pins::at};
use crate::config::Hook;

const AS_FAST: &str = "the default: as fast as XDP for a host, and every offload stays on";

/// An interface that Weir watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface.
    pub interface: Interface,
    /// Where verdicts run on it.
    pub hook: Hook,
    /// Why there, in words.
    pub why: String,
}

/// Holds the programs and knows where they are attached.
pub struct Attacher {
    programs: Programs,
    links: PathBuf,
    attached: BTreeMap<u32, Attached>,
}

impl Attacher {
    /// Programs that will be attached by links pinned in `links`.
    pub fn new(programs: Programs, links: PathBuf) -> Self {
        Self { programs, links, attached: BTreeMap::new() }
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
        for (interface, hook) in wanted {
            let kept = before
                .get(&interface.index)
                .filter(|known| known.interface.layer == interface.layer && known.hook == *hook);
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

    fn attach(&mut self, interface: &Interface, hook: Hook) -> Result<Attached, DatapathError> {
        let (ingress, egress) = match interface.layer {
            LinkLayer::Ethernet => ("weir_ingress", "weir_egress"),
            LinkLayer::None => ("weir_ingress_l3", "weir_egress_l3"),
        };
        let pin = |kind: &str| self.links.join(pin_name(kind, interface.index));
        let (ingress_pin, egress_pin) = (pin("ingress"), pin("egress"));
        attach_tc(
            self.programs.classifier(ingress)?,
            &interface.name,
            TcAttachType::Ingress,
            &ingress_pin,
        )?;
        attach_tc(
            self.programs.classifier(egress)?,
            &interface.name,
            TcAttachType::Egress,
            &egress_pin,
        )?;
        let (hook, why) = match (hook, interface.layer) {
            (Hook::Tc, _) => (Hook::Tc, AS_FAST.to_owned()),
            (_, LinkLayer::None) => {
                (Hook::Tc, "the interface has no link layer for XDP".to_owned())
            }
            (Hook::XdpNative, _) => self.attach_xdp(interface, hook, "xdp-native", XdpMode::Driver),
            (Hook::XdpGeneric, _) => self.attach_xdp(interface, hook, "xdp-generic", XdpMode::Skb),
        };
        Ok(Attached { interface: interface.clone(), hook, why })
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
                let why = format!("{} takes no {kind} ({error}): TC instead", interface.name);
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
                fs::remove_file(&path).map_err(at(&path))?;
            }
        }
        Ok(())
    }
}

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

/// Takes over the link pinned at `pin`, or makes one, first in the chain.
fn attach_tc(
    program: &mut SchedClassifier,
    name: &str,
    side: TcAttachType,
    pin: &Path,
) -> Result<(), DatapathError> {
    if let Some(link) = pinned(pin) {
        let taken = SchedClassifierLink::try_from(link).map_err(io::Error::other);
        if let Ok(link) = taken
            && let Ok(id) = program.attach_to_link(link)
        {
            // The pin holds it.
            drop(program.take_link(id)?);
            return Ok(());
        }
        fs::remove_file(pin).map_err(at(pin))?;
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(name, side, order)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

fn attach_xdp(
    program: &mut Xdp,
    index: u32,
    mode: XdpMode,
    pin: &Path,
) -> Result<(), DatapathError> {
    if let Some(link) = pinned(pin) {
        if let Ok(link) = XdpLink::try_from(link)
            && let Ok(id) = program.attach_to_link(link)
        {
            // The pin holds it.
            drop(program.take_link(id)?);
            return Ok(());
        }
        fs::remove_file(pin).map_err(at(pin))?;
    }
    let id = program.attach_to_if_index(index, mode)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

/// A link that an interface's end left behind is as good as none.
fn pinned(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).ok().map(FdLink::from)
}
