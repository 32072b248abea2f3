//! Copies and comparisons, over real sockets: that a copy hurts nobody, that it is exact, and that its answer is judged rightly.

#![allow(clippy::print_stderr, reason = "a failing test prints what the proxy logged")]

#[allow(dead_code, unused_imports, reason = "the other tests use the rest of it")]
#[path = "../edge/harness/mod.rs"]
mod harness;

mod bad_targets;
mod comparing;
mod copies;
mod evidence;
mod http2;
mod memory;
mod noise;
mod plan;
mod primary;
mod secrets;
mod tls;
mod writes;
