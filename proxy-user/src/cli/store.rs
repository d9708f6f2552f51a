//! `weir store`

use std::{fmt::Display, path::Path};

use anyhow::Result;

use super::{
    FAILED, OK, Place, args,
    out::{say, tell},
    table::{Table, bytes},
};
use crate::store::Store;

pub(super) fn run(place: &Place, command: args::Store) -> Result<u8> {
    let data_dir = place.load()?.config.data_dir;
    let open = || Store::open_read_only(&data_dir);
    match command {
        args::Store::Stats => stats(&open()?),
        args::Store::Verify => verify(&open()?),
        args::Store::Compact => compact(&data_dir),
    }
}

fn compact(data_dir: &Path) -> Result<u8> {
    let compacted = Store::compact(data_dir)?;
    let (before, after) = (bytes(compacted.before), bytes(compacted.after));
    say(format_args!("{} files, {before} before, {after} now", compacted.files))?;
    Ok(if tell_damage(&compacted.faults) { FAILED } else { OK })
}

fn stats(store: &Store) -> Result<u8> {
    let mut table = Table::new(&["SERIES", "PARTITIONS", "SIZE", "RECORDS"]);
    for series in store.stats()? {
        table.row([
            series.name,
            series.partitions.to_string(),
            bytes(series.bytes),
            series.records.to_string(),
        ]);
    }
    table.print()?;
    Ok(if tell_damage(&store.damaged()) { FAILED } else { OK })
}

fn verify(store: &Store) -> Result<u8> {
    let verified = store.verify()?;
    say(format_args!("{} records can be read, {} cannot", verified.good, verified.bad))?;
    let sound = !tell_damage(&verified.faults) && verified.bad == 0;
    Ok(if sound { OK } else { FAILED })
}

/// Names damaged files on stderr; whether there are any.
pub(super) fn tell_damage(faults: &[impl Display]) -> bool {
    for fault in faults {
        tell(format_args!("weir: {fault}"));
    }
    !faults.is_empty()
}
