//! What the kernel programs count.

use aya::maps::{MapData, PerCpuArray};
use proxy_common::{
    outcome::Outcome,
    reason::{KERNEL_REASONS, Reason},
    tables::{DenialCount, ServiceSlot, denial_index},
};

use super::{DatapathError, raw::Raw};

/// Denials of one service for one reason on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denials {
    /// Service.
    pub service: ServiceSlot,
    /// Why.
    pub reason: Reason,
    /// CPU.
    pub cpu: u32,
    /// How many.
    pub count: DenialCount,
}

/// The counters, read as they are.
pub struct Counters {
    denials: PerCpuArray<MapData, Raw<DenialCount>>,
    outcomes: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub(super) fn new(
        denials: PerCpuArray<MapData, Raw<DenialCount>>,
        outcomes: PerCpuArray<MapData, u64>,
    ) -> Self {
        Self { denials, outcomes }
    }

    /// Denials that are not zero, of these services.
    pub fn denials(
        &self,
        services: impl IntoIterator<Item = ServiceSlot>,
    ) -> Result<Vec<Denials>, DatapathError> {
        let mut found = Vec::new();
        for service in services {
            for reason in
                Reason::ALL.iter().copied().filter(|r| u32::from(*r as u8) < KERNEL_REASONS)
            {
                let values = self.denials.get(&denial_index(service, reason), 0)?;
                for (cpu, Raw(count)) in (0u32..).zip(values.iter().copied()) {
                    if count.packets > 0 {
                        found.push(Denials { service, reason, cpu, count });
                    }
                }
            }
        }
        Ok(found)
    }

    /// What became of packets, summed over CPUs.
    pub fn outcomes(&self) -> Result<Vec<(Outcome, u64)>, DatapathError> {
        let all = Outcome::ALL.iter().map(|outcome| {
            let values = self.outcomes.get(&u32::from(*outcome as u8), 0)?;
            Ok((*outcome, values.iter().sum()))
        });
        all.collect()
    }
}
