//! See the claims.
#![no_main]

#[path = "../claims/answers.rs"]
mod answers;
#[path = "../claims/bodies.rs"]
#[expect(dead_code, reason = "the claims of three targets")]
mod claims;

libfuzzer_sys::fuzz_target!(|input: &[u8]| claims::pages(input));
