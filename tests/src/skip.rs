//! Tests that cannot run here say so, and are counted by who runs them.

/// Prints `SKIPPED: test: reason`, past the capture of test output.
pub fn skip(test: &str, reason: &str) {
    use std::io::Write;
    // The macros' output is captured, a handle's is not.
    let _ = writeln!(std::io::stderr().lock(), "SKIPPED: {test}: {reason}");
}
