//! multilith: a strangler-fig edge proxy.

pub mod admin;
pub mod cli;
pub mod compare;
pub mod compile;
pub mod config;
pub mod diagnostic;
pub mod endpoint;
pub mod guard;
pub mod live;
pub mod migration;
pub mod proxy;
pub mod reload;
pub mod route;
pub mod server;
pub mod telemetry;
pub mod upstream;
