//! The observer of changes of an upstream: metrics and other counters.

use super::endpoint_health::EndpointFailure;
use super::status::EndpointState;

/// How many endpoints of one upstream are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndpointStates {
    pub healthy: usize,
    pub unhealthy: usize,
    pub draining: usize,
    pub starting: usize,
    pub unchecked: usize,
    pub failing: usize,
}

/// Told of changes, never on a request's path. Must not block.
pub trait Observer: Send + Sync + 'static {
    /// An endpoint went from one state to another; `None`: it was not there, or is gone.
    fn endpoint_changed(
        &self,
        _upstream: &str,
        _address: &str,
        _from: Option<EndpointState>,
        _to: Option<EndpointState>,
    ) {
    }
    /// The number of endpoints in some state changed.
    fn endpoints_counted(&self, _upstream: &str, _states: EndpointStates) {}
    /// The source of the endpoints answers, or no longer does.
    fn discovery_changed(&self, _upstream: &str, _up: bool) {}
    /// An endpoint was ejected after failures in a row.
    fn ejected(&self, _upstream: &str, _address: &str, _after: EndpointFailure) {}
    /// The upstream is in no snapshot any more: its series can go.
    fn upstream_gone(&self, _upstream: &str) {}
}

/// Ignores every change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
