//! Pools of live endpoints, kept true to the world: balance, health, ejection, discovery.
//!
//! `Upstreams` owns the pools and outlives every snapshot; a `Pool` is one upstream; a `Lease` is one request's hold on an
//! endpoint. Decisions follow the pure rules of `endpoint`.

mod checks;
mod discover;
mod endpoint;
mod endpoint_health;
mod endpoint_set;
mod known;
mod members;
mod names;
mod observer;
mod peers;
mod pool;
mod queue;
mod status;
#[cfg(test)]
mod tests;
mod upstreams;

pub use endpoint::{Endpoint, Lease};
pub use endpoint_health::{EndpointFailure, EndpointKey};
pub use endpoint_set::NoEndpoint;
pub use observer::{EndpointStates, Observer, Unobserved};
pub use peers::{PeerProblem, certificate_problem};
pub use pool::Pool;
pub use queue::{Busy, Entered, Permit, PermitWait, RequestQueue};
pub use status::{EndpointState, EndpointStatus, LastFailure, QueueStatus, UpstreamStatus};
pub use upstreams::Upstreams;
