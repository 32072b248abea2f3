//! Changes of upstreams, as metrics and as events.

use std::sync::Arc;

use serde_json::json;

use crate::telemetry::{EndpointCounts, Events, Meters};
use crate::upstream::{EndpointState, EndpointStates, Observer};

/// Counts endpoints by state, and whether their source answers; tells of each that changes.
pub struct UpstreamObserver {
    metrics: Arc<Meters>,
    events: Arc<Events>,
}

impl UpstreamObserver {
    pub fn new(metrics: Arc<Meters>, events: Arc<Events>) -> Self {
        Self { metrics, events }
    }
}

impl Observer for UpstreamObserver {
    fn endpoint_changed(&self, upstream: &str, address: &str, from: Option<EndpointState>, to: Option<EndpointState>) {
        self.events.publish("upstream", "", || {
            let [from, to] = [from, to].map(|state| state.map(EndpointState::name));
            json!({ "upstream": upstream, "endpoint": address, "from": from, "to": to }).to_string()
        });
    }

    fn endpoints_counted(&self, upstream: &str, states: EndpointStates) {
        let EndpointStates { healthy, unhealthy, draining, starting, unchecked, failing } = states;
        let counts = EndpointCounts { healthy, unhealthy, draining, starting, unchecked, failing };
        self.metrics.edge().upstream(upstream).set_endpoints(counts);
    }

    fn discovery_changed(&self, upstream: &str, up: bool) {
        self.metrics.edge().upstream(upstream).set_discovery_up(up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{EventFilter, Heard};

    #[tokio::test]
    async fn the_change_of_an_endpoint_is_an_event() {
        let events = Arc::new(Events::default());
        let mut watcher = events.watch(EventFilter::default());
        let told = UpstreamObserver::new(Meters::new(&[1.0]).expect("metrics"), events);
        told.endpoint_changed("users", "10.0.0.5:7001", Some(EndpointState::Healthy), Some(EndpointState::Unhealthy));
        told.endpoint_changed("users", "10.0.0.5:7001", Some(EndpointState::Draining), None);
        for (from, to) in [("healthy", json!("unhealthy")), ("draining", json!(null))] {
            let Some(Heard::Event(heard)) = watcher.next().await else { panic!("nothing was heard") };
            let data: serde_json::Value = serde_json::from_str(&heard.data).expect("JSON");
            assert_eq!((heard.kind, &*heard.route), ("upstream", ""));
            assert_eq!(data, json!({ "upstream": "users", "endpoint": "10.0.0.5:7001", "from": from, "to": to }));
        }
    }
}
