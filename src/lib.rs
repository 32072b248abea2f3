//! multilith: a strangler-fig edge proxy.

pub mod compile;
pub mod config;
pub mod diagnostic;
pub mod endpoint;
pub mod guard;
pub mod migration;
pub mod route;
pub mod upstream;
