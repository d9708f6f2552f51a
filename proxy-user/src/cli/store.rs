//! `weir store`

use anyhow::Result;

use super::{
    FAILED, OK, Place, args,
    out::say,
    table::{Table, bytes},
};
use crate::store::Store;

pub(super) fn run(place: &Place, command: args::Store) -> Result<u8> {
    let store = Store::open_read_only(&place.load()?.config.data_dir)?;
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
            say(format_args!("{good} records can be read, {bad} cannot"))?;
            Ok(if bad == 0 { OK } else { FAILED })
        }
    }
}
