//! The beginning of a TLS connection.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_user::fuzzing::client_hello(bytes));
