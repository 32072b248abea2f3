//! Black-box tests of the stages: who answers, who may answer instead, what is never sent twice, what is rewritten.

#![allow(clippy::print_stdout, reason = "figures to be quoted: cargo test --test stages -- --nocapture")]
#![allow(clippy::print_stderr, reason = "a failing test prints what the proxy logged")]

#[allow(dead_code, unused_imports, reason = "shared with the tests of the edge, which use all of it")]
#[path = "../edge/harness/mod.rs"]
mod harness;

mod board;
mod breaker;
mod button;
mod caches;
#[allow(dead_code, reason = "shared with the tests of copies, which use the rest of it")]
mod calls;
mod explained;
mod fallback;
mod force;
mod grpc;
mod http2;
mod issued_cookies;
mod mortal;
mod never_twice;
mod own_host;
mod pins;
mod retries;
mod rewriting;
mod splits;
mod sticky;
mod tls;
mod versions;
mod world;
