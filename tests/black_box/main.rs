//! Black-box tests of the binary: raw sockets on both sides of it, and only what the contract promises in between.

#![allow(clippy::print_stdout, reason = "figures to be quoted: cargo test --test black_box -- --nocapture")]
#![allow(clippy::print_stderr, reason = "a failing test prints what the proxy logged")]

mod harness;

mod edge;
mod fleet;
mod gate;
mod shadow;
mod stages;
mod targets;
mod upstream;
