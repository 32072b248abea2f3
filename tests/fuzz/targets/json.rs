//! See the claims.
#![no_main]

#[path = "../claims/answers.rs"]
mod answers;
#[path = "../claims/json.rs"]
mod claims;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claims::hold(input));
