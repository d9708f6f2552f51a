//! The union of flags over nested prefixes: a longest-prefix match finds only one
//! entry, so that one must say what all that contain the address say.

use super::rules::CidrFlags;
use ipnet::IpNet;

/// Sorts, merges equal prefixes, and gives each the flags of all that contain it.
pub(super) fn union(mut entries: Vec<(IpNet, CidrFlags)>) -> Vec<(IpNet, CidrFlags)> {
    // A prefix comes right before those that it contains.
    entries.sort_unstable_by_key(|(net, _)| (net.network(), net.prefix_len()));
    let mut merged: Vec<(IpNet, CidrFlags)> = Vec::with_capacity(entries.len());
    let mut around: Vec<(IpNet, CidrFlags)> = Vec::new();
    for (net, own) in entries {
        while around.last().is_some_and(|(outer, _)| !outer.contains(&net)) {
            around.pop();
        }
        let flags = own.with(around.last().map_or(CidrFlags::NONE, |(_, flags)| *flags));
        match merged.last_mut() {
            Some((last, known)) if *last == net => {
                *known = known.with(flags);
                around.pop();
            }
            _ => merged.push((net, flags)),
        }
        around.push((net, merged.last().map_or(flags, |(_, flags)| *flags)));
    }
    merged
}
