//! See the claims.
#![no_main]

#[path = "../claims/http2.rs"]
mod claims;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claims::hold(input));
