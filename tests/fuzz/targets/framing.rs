//! See the claims.
#![no_main]

#[path = "../claims/framing.rs"]
mod claims;
#[path = "../claims/strict.rs"]
mod strict;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claims::hold(input));
