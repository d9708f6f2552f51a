//! Prefixes as sorted ranges, for look-ups in the daemon.

use std::net::IpAddr;

use ipnet::IpNet;
use proxy_common::{
    address::{Address, Family},
    policy::CidrFlags,
};

/// One table's answer for every address of both families.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    v4: Vec<(u128, CidrFlags)>,
    v6: Vec<(u128, CidrFlags)>,
}

impl Ranges {
    /// From entries as [`super::union::union`] gives them.
    pub(super) fn of(entries: &[(IpNet, CidrFlags)]) -> Self {
        let family = |v4: bool| {
            let own = entries.iter().filter(move |(net, _)| matches!(net, IpNet::V4(_)) == v4);
            flatten(own)
        };
        Self { v4: family(true), v6: family(false) }
    }

    /// The flags of the longest prefix that contains `address`.
    pub(super) fn get(&self, address: &Address) -> CidrFlags {
        let ranges = match address.family() {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let place = number(IpAddr::from(*address));
        match ranges.partition_point(|(start, _)| *start <= place) {
            0 => CidrFlags::NONE,
            after => ranges[after - 1].1,
        }
    }
}

/// Where each run of equal answers begins.
fn flatten<'a>(entries: impl Iterator<Item = &'a (IpNet, CidrFlags)>) -> Vec<(u128, CidrFlags)> {
    let mut ranges: Vec<(u128, CidrFlags)> = Vec::new();
    // Prefixes that are open, with their last address.
    let mut around: Vec<(u128, CidrFlags)> = Vec::new();
    for (net, flags) in entries {
        let (first, last) = (number(net.network()), number(net.broadcast()));
        close(&mut around, Some(first), &mut ranges);
        ranges.push((first, *flags));
        around.push((last, *flags));
    }
    close(&mut around, None, &mut ranges);
    // Where several begin at one address, the innermost was pushed last.
    ranges.reverse();
    ranges.dedup_by_key(|(start, _)| *start);
    ranges.reverse();
    ranges
}

/// Ends prefixes that end before `next`: what is around them holds again.
fn close(
    around: &mut Vec<(u128, CidrFlags)>,
    next: Option<u128>,
    ranges: &mut Vec<(u128, CidrFlags)>,
) {
    while let Some((last, _)) = around.last().copied() {
        if next.is_some_and(|next| last >= next) {
            return;
        }
        around.pop();
        let Some(after) = last.checked_add(1) else { continue };
        ranges.push((after, around.last().map_or(CidrFlags::NONE, |(_, flags)| *flags)));
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}
