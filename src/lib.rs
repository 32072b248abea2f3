//! multilith: a strangler-fig edge proxy.

pub mod compile;
pub mod endpoint;
pub mod migration;
pub mod route;
pub mod telemetry;
