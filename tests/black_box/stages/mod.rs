//! Black-box tests of the stages: who answers, who may answer instead, what is never sent twice, what is rewritten.

mod board;
mod breaker;
mod button;
mod caches;
pub(crate) mod calls;
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
mod unwritable;
mod versions;
mod world;
