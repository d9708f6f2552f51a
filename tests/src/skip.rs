//! Tests that cannot run here say so, and are counted by who runs them.

use std::{io::Write, thread};

/// Prints `SKIPPED: TEST: REASON`, past the capture of test output.
pub fn skip(reason: &str) {
    let thread = thread::current();
    // The test harness names a test's thread after it.
    let test = thread.name().unwrap_or("a test");
    // One write, so that lines of other tests do not come between; and not by the
    // print macros, whose output the harness captures.
    let line = format!("SKIPPED: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
