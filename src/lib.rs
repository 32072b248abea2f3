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
<<<<<<< HEAD
pub mod telemetry;
pub mod upstream;
=======
>>>>>>> acb8edc (server: certificates by name, exchanged while connections go on)
