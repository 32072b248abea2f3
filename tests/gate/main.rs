//! Black-box tests of gates: routes that move by themselves, and persons that move them.

#![allow(clippy::print_stdout, reason = "figures to be quoted: cargo test --test gate -- --nocapture")]
#![allow(clippy::print_stderr, reason = "a failing test prints what the proxy logged")]

#[allow(dead_code, unused_imports, reason = "shared with the tests of the edge, which use all of it")]
#[path = "../edge/harness/mod.rs"]
mod harness;

mod kills;
mod moves;
mod notices;
mod roll_outs;
mod traffic;
