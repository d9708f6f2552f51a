//! Tests that cannot run here say so, and are counted by who runs them.

use std::{io::Write, thread};

/// Prints `SKIPPED: TEST: REASON`, past the capture of test output.
pub fn skip(reason: &str) {
    let thread = thread::current();
    // The test harness names a test's thread after it.
    let test = thread.name().unwrap_or("a test");
    // What the print macros write is captured, what a handle writes is not.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {test}: {reason}");
}
