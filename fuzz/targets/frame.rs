//! Frames, as the kernel programs read them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy_user::fuzzing::frame(bytes));
