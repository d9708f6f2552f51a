//! Records, as the store keeps them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_user::fuzzing::record(bytes));
