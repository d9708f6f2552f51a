//! The kernel's side, as the daemon drives it: generations in, programs on
//! interfaces.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use proxy_common::{nat::TargetSlot, tables::ServiceSlot};

use super::{coverage::Coverage, interfaces, kernel::Kernel};
use crate::{
    config::{self, Service},
    datapath::{
        self, AnswerPorts, Attached, Attacher, Backends, Claim, Generation, HalfOpen, Loaded,
        Network, Pins, Tables, TcAttachment,
    },
    policy::Size,
};

/// Tables, programs and where they are pinned.
pub(super) struct Datapath {
    tables: Tables,
    half_open: HalfOpen,
    /// For which there is room, of TCP and of UDP each.
    most_flows: u32,
    attacher: Attacher,
    pins: Pins,
    /// Keeps every other process from these pins.
    _claim: Claim,
    /// Follows what the programs log, for as long as they are this daemon's.
    #[cfg(feature = "log")]
    _log: tokio_util::task::AbortOnDropHandle<()>,
}

/// How full the maps are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fill {
    pub(super) policy: Size,
    pub(super) listeners: usize,
    pub(super) half_open: usize,
    /// For which there is room, of TCP and of UDP each.
    pub(super) most_flows: u32,
}

/// Programs that the kernel has taken, and where their maps are.
pub(super) struct Prepared {
    pins: Pins,
    loaded: Loaded,
    /// `None`: the pins are another daemon's still.
    claim: Option<Claim>,
}

impl Prepared {
    /// Loads the programs, for maps that are claimed here.
    pub(super) fn alone(settings: &config::Kernel) -> Result<Self> {
        let (pins, claim) = Pins::prepare(&settings.bpffs).with_context(|| at(settings))?;
        Self::load(pins, Some(claim), settings)
    }

    /// Loads the programs for maps that another daemon uses until [`Self::take`].
    pub(super) fn beside(settings: &config::Kernel) -> Result<Self> {
        let pins = Pins::make(&settings.bpffs).with_context(|| at(settings))?;
        Self::load(pins, None, settings)
    }

    fn load(pins: Pins, claim: Option<Claim>, settings: &config::Kernel) -> Result<Self> {
        let loaded = datapath::load(Some(&pins.maps()), settings.max_flows.get())
            .context("the kernel programs cannot be loaded")?;
        Ok(Self { pins, loaded, claim })
    }

    /// Whether the maps have room for these services.
    pub(super) fn must_fit(&self, services: &[Arc<Service>]) -> Result<()> {
        Ok(self.loaded.must_fit(services.iter().map(|service| &*service.name))?)
    }

    /// Takes over what a daemon before pinned, which stays in force meanwhile.
    pub(super) fn take(self, settings: &config::Kernel) -> Result<(Datapath, Kernel)> {
        let Self { pins, loaded, claim } = self;
        let claim = match claim {
            Some(claim) => claim,
            None => Pins::prepare(&settings.bpffs).with_context(|| at(settings))?.1,
        };
        let (programs, maps) = loaded.take().context("the kernel's maps cannot be taken over")?;
        let most_flows = maps.flows.capacity()?;
        if most_flows != settings.max_flows.get() {
            tracing::warn!(
                "kernel.max_flows takes effect when Weir was stopped: the maps that are there have \
                 room for {most_flows}"
            );
        }
        let kernel = Kernel {
            epoch: maps.tables.epoch(),
            events: maps.events,
            flows: maps.flows,
            forwarded: maps.forwarded,
            counters: maps.counters,
        };
        let attacher = Attacher::new(programs, &pins, TcAttachment::probe());
        let (tables, half_open) = (maps.tables, maps.half_open);
        let datapath = Datapath {
            tables,
            half_open,
            most_flows,
            attacher,
            pins,
            _claim: claim,
            #[cfg(feature = "log")]
            _log: follow(maps.log),
        };
        Ok((datapath, kernel))
    }
}

fn at(settings: &config::Kernel) -> String {
    format!("kernel.bpffs {}", settings.bpffs.display())
}

impl Datapath {
    /// Where its maps are pinned.
    pub(super) fn maps(&self) -> PathBuf {
        self.pins.maps()
    }

    /// How its programs get into TC.
    pub(super) fn attachment(&self) -> TcAttachment {
        self.attacher.attachment()
    }

    /// Brings a generation in force.
    pub(super) fn install(&mut self, generation: &Generation) -> Result<()> {
        self.tables.install(generation).context("the kernel's tables cannot be written")
    }

    /// Gives targets their numbers, before clients are sent to them; everybody's.
    pub(super) fn name_targets(
        &mut self,
        forward: &BTreeMap<String, Backends>,
    ) -> Result<Vec<(TargetSlot, SocketAddr)>> {
        for (service, backends) in forward {
            self.tables.name_targets(service, backends)?;
        }
        Ok(self.tables.targets().collect())
    }

    /// Makes known where answers of targets come in.
    pub(super) fn set_answer_ports(&mut self, ports: &AnswerPorts) -> Result<()> {
        self.tables.set_answer_ports(ports).context("the kernel plane's ports cannot be written")
    }

    /// Sends a service's clients to these targets from now on.
    pub(super) fn set_backends(&mut self, service: &str, backends: &Backends) -> Result<()> {
        self.tables
            .set_backends(service, backends)
            .context("the kernel plane's targets cannot be written")
    }

    /// The number of the generation in force.
    pub(super) fn generation(&self) -> u32 {
        self.tables.generation()
    }

    /// Sessions that the kernel plane has, by service and target.
    pub(super) fn sessions(&self) -> BTreeMap<(String, String), u64> {
        let of = |(service, target, sessions): (ServiceSlot, SocketAddr, u64)| {
            Some(((self.service(service)?, target.to_string()), sessions))
        };
        self.tables.forwarded_sessions().filter_map(of).collect()
    }

    /// The service of that number.
    pub(super) fn service(&self, slot: ServiceSlot) -> Option<String> {
        let mut all = self.tables.services();
        all.find(|(known, _)| *known == slot).map(|(_, name)| name.to_owned())
    }

    /// The target of that number.
    pub(super) fn target(&self, slot: TargetSlot) -> Option<SocketAddr> {
        self.tables.targets().find(|(known, _)| *known == slot).map(|(_, target)| target)
    }

    /// Every service that has counters.
    pub(super) fn slots(&self) -> Vec<(ServiceSlot, String)> {
        self.tables.services().map(|(slot, name)| (slot, name.to_owned())).collect()
    }

    pub(super) fn fill(&self) -> Fill {
        let (listeners, half_open) = (self.tables.listeners(), self.half_open.count());
        Fill { policy: self.tables.size(), listeners, half_open, most_flows: self.most_flows }
    }

    pub(super) fn attached(&self) -> Vec<Attached> {
        self.attacher.attached().cloned().collect()
    }

    /// Makes the host's addresses known and attaches to its interfaces. An interface
    /// that refuses is reported and left out: the relay judges there.
    /// `links`: interfaces of targets, whose answers come in there.
    pub(super) fn follow(
        &mut self,
        settings: &config::Kernel,
        network: &Network,
        links: &[u32],
    ) -> Coverage {
        let locals = self.tables.set_locals(&network.locals);
        let locals = locals.and_then(|()| self.tables.set_routes(&network.routes));
        let wanted = interfaces::wanted(settings, network, links);
        let failures = self.attacher.sync(&wanted).into_iter();
        let failures: Vec<_> =
            failures.map(|(name, error)| (name, anyhow::Error::new(error))).collect();
        let attached: Vec<u32> = self.attacher.attached().map(|a| a.interface.index).collect();
        Coverage {
            awaited: interfaces::awaited(settings, network),
            locals_fault: locals.err().map(|error| format!("{:#}", anyhow::Error::new(error))),
            ..Coverage::of(&wanted, &attached, &failures)
        }
    }

    /// Takes down what a Weir with another map layout left attached.
    pub(super) fn remove_other_layouts(&self) -> Result<()> {
        Ok(self.pins.remove_other_layouts()?)
    }

    /// Detaches everything and removes every pin.
    pub(super) fn remove(self) -> Result<()> {
        self.pins.remove().context("pins cannot be removed; `weir detach` tries again")?;
        Ok(())
    }
}

#[cfg(feature = "log")]
fn follow(log: datapath::ProgramLog) -> tokio_util::task::AbortOnDropHandle<()> {
    tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = log.follow().await {
            tracing::error!(%error, "what the kernel programs log cannot be followed");
        }
    }))
}
