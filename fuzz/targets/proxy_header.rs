//! The beginning of a connection from a proxy.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_user::fuzzing::proxy_header(bytes));
