//! `weir store`

use anyhow::Result;

use super::{
    FAILED, OK, Place, WRONG, args,
    table::{Table, bytes},
};
use crate::store::Store;

pub(super) fn run(place: &Place, command: args::Store) -> Result<u8> {
    let Some(loaded) = place.load() else { return Ok(WRONG) };
    let store = Store::open_read_only(&loaded.config.data_dir)?;
    match command {
        args::Store::Stats => {
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
            Ok(OK)
        }
        args::Store::Verify => {
            let (good, bad) = store.verify()?;
            println!("{good} records can be read, {bad} cannot");
            Ok(if bad == 0 { OK } else { FAILED })
        }
    }
}
