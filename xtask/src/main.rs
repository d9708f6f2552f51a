//! Build, run and test Weir.

fn main() {}
