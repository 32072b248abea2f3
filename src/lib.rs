//! multilith: a strangler-fig edge proxy.

pub mod compare;
pub mod compile;
pub mod endpoint;
pub mod migration;
pub mod route;
