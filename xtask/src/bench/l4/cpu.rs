//! Time of the processors.

use std::fs;

use anyhow::{Context, Result};

/// Ticks a second of `/proc/stat` (proc(5)), the same on every machine that Weir runs on.
const TICKS: f64 = 100.0;
/// Columns of time in which nothing was done: idle, waiting for a disk, taken by the host of
/// this machine.
const NOT_BUSY: [usize; 3] = [3, 4, 7];
/// Columns that others do not include.
const COLUMNS: usize = 8;

/// Seconds that all processors have been busy, for whomever: processes, kernel, interrupts.
pub(super) fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let ticks = parsed(&stat).with_context(|| stat.clone())?;
    Ok(ticks / TICKS)
}

fn parsed(stat: &str) -> Option<f64> {
    let columns = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let busy = columns.take(COLUMNS).enumerate().filter(|(column, _)| !NOT_BUSY.contains(column));
    busy.map(|(_, ticks)| ticks.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_busy_and_waiting_is_not() {
        let stat = "cpu  1 20 300 4000 50000 600 7000 80000 5 5\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(parsed(stat), Some(7921.0));
    }
}
