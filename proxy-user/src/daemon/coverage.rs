//! Which of the interfaces that are to be watched are not, and why.

use std::fmt::Display;

use super::core::Core;
use crate::{config::Hook, datapath::Interface};

/// What the kernel's side does not cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// Interfaces that are there and take no program.
    pub(super) refused: Vec<Refused>,
    /// Interfaces that the configuration names and that are not there.
    pub(super) awaited: Vec<String>,
    /// Why the kernel does not know all addresses of this host.
    pub(super) locals_fault: Option<String>,
    /// What else went wrong, and opens nothing.
    pub(super) warnings: Vec<String>,
}

/// An interface that takes no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) why: String,
}

impl Coverage {
    /// Sorts out what `wanted` lacks once programs are attached to interfaces of the
    /// indices `attached`. `failures`: by interface, or of nobody's in particular.
    pub(super) fn of<E: Display>(
        wanted: &[(Interface, Hook)],
        attached: &[u32],
        failures: &[(String, E)],
    ) -> Self {
        let unattached = |(interface, _): &&(Interface, Hook)| !attached.contains(&interface.index);
        let refused = wanted.iter().filter(unattached).map(|(interface, _)| {
            let why = failures.iter().find(|(name, _)| *name == interface.name);
            let why = why.map_or("it takes no program".to_owned(), |(_, why)| format!("{why:#}"));
            Refused { index: interface.index, name: interface.name.clone(), why }
        });
        let refused: Vec<Refused> = refused.collect();
        let others = failures.iter().filter(|(name, _)| refused.iter().all(|r| r.name != *name));
        let warnings = others.map(|(name, why)| format!("{name}: {why:#}")).collect();
        Self { refused, warnings, ..Self::default() }
    }

    /// Where guarded services are not judged though they can be reached, in words.
    pub(super) fn gaps(&self) -> impl Iterator<Item = String> {
        let refused = self
            .refused
            .iter()
            .map(|refused| format!("interface {} is not watched: {}", refused.name, refused.why));
        let locals = self
            .locals_fault
            .iter()
            .map(|why| format!("not every address of this host is judged: {why}"));
        refused.chain(locals)
    }

    /// All that the operator should know, in words.
    pub(super) fn told(&self) -> Vec<String> {
        let awaited = self.awaited.iter().map(|name| format!("interface {name} is awaited"));
        self.gaps().chain(awaited).chain(self.warnings.iter().cloned()).collect()
    }
}

impl Core {
    /// Takes what is covered now; what changed is logged, and gaps are audited.
    pub(super) fn cover(&self, now: Coverage) {
        let (told, gaps): (Vec<_>, Vec<_>) = (now.told(), now.gaps().collect());
        let before = std::mem::replace(&mut *self.coverage.lock(), now);
        let (told_before, gaps_before) = (before.told(), before.gaps().collect::<Vec<_>>());
        for news in told.iter().filter(|told| !told_before.contains(told)) {
            tracing::warn!("{news}");
        }
        for gap in gaps.iter().filter(|gap| !gaps_before.contains(gap)) {
            self.note("interface", "weir", gap);
        }
        if gaps.is_empty() && !gaps_before.is_empty() {
            tracing::info!("every interface that is to be watched is");
            self.note("interface", "weir", "every interface that is to be watched is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::LinkLayer;

    fn wanted(index: u32, name: &str) -> (Interface, Hook) {
        let layer = LinkLayer::Ethernet;
        let name = name.to_owned();
        let (mtu, in_vrf) = (1500, false);
        let has_address = true;
        (Interface { index, name, layer, is_port: false, has_address, mtu, in_vrf }, Hook::Tc)
    }

    #[test]
    fn what_is_wanted_and_not_attached_is_a_gap_and_the_rest_is_not() {
        let wanted = [wanted(1, "lo"), wanted(2, "eth0"), wanted(3, "eth1")];
        let failures = [("eth0".to_owned(), "no room"), ("links".to_owned(), "an old pin stays")];
        let mut coverage = Coverage::of(&wanted, &[1], &failures);
        coverage.awaited.push("wg0".into());
        let gaps: Vec<String> = coverage.gaps().collect();
        assert_eq!(
            gaps,
            [
                "interface eth0 is not watched: no room",
                "interface eth1 is not watched: it takes no program"
            ]
        );
        let told = coverage.told();
        assert_eq!(told[..2], gaps);
        assert_eq!(told[2..], ["interface wg0 is awaited", "links: an old pin stays"]);
        assert_eq!(Coverage::of(&wanted, &[1, 2, 3], &failures[2..]), Coverage::default());
    }

    #[test]
    fn an_unknown_address_is_a_gap() {
        let coverage = Coverage { locals_fault: Some("no".into()), ..Coverage::default() };
        assert_eq!(coverage.gaps().count(), 1);
    }
}
