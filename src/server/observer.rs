//! Changes of upstreams, as metrics.

use std::sync::Arc;

use crate::telemetry::{EndpointCounts, Metrics};
use crate::upstream::{EndpointStates, Observer};

/// Counts endpoints by state, and whether their source answers.
pub struct Counted {
    metrics: Arc<Metrics>,
}

impl Counted {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Observer for Counted {
    fn endpoints_counted(&self, upstream: &str, states: EndpointStates) {
        let EndpointStates { healthy, unhealthy, draining, starting, unchecked, failing } = states;
        let counts = EndpointCounts { healthy, unhealthy, draining, starting, unchecked, failing };
        self.metrics.edge().upstream(upstream).set_endpoints(counts);
    }

    fn discovery_changed(&self, upstream: &str, up: bool) {
        self.metrics.edge().upstream(upstream).set_discovery_up(up);
    }
}
