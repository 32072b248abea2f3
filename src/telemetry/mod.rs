//! What multilith says about itself: metrics, the access log, trace context. One struct for each event; emitting it logs and counts.

mod access_log;
mod metrics;
mod record;
mod trace;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use access_log::AccessLog;
pub use metrics::{
    DEFAULT_BUCKETS, EdgeMeters, EndpointCounts, FieldKind, InFlight, Metrics, RouteLabels, RouteMeters, SideSummary,
    UNMATCHED, UpstreamMeters, WantedShare,
};
pub use record::{ExchangeRecord, Timings};
pub use trace::{RequestId, SpanId, TraceContext, TraceId};

/// Everything that the rest of the program reports to.
pub struct Telemetry {
    pub metrics: Arc<Metrics>,
    pub access_log: AccessLog,
}

impl Telemetry {
    /// Opens the access log. Fails when its file cannot be opened.
    pub fn start(metrics: Arc<Metrics>, logs: &crate::compile::AccessLog) -> io::Result<Arc<Self>> {
        let access_log = AccessLog::start(logs, Arc::clone(&metrics))?;
        Ok(Arc::new(Self { metrics, access_log }))
    }

    /// An exchange has ended. Its counters are the route's own; this writes about it.
    pub fn emit(&self, record: &ExchangeRecord<'_>) {
        self.access_log.write(record, SystemTime::now());
    }

    /// A request is in flight on the side of this name until the guard is dropped.
    pub fn in_flight(&self, side: &str) -> InFlight {
        self.metrics.edge().in_flight(side)
    }

    /// Writes what waits; for the end of the process.
    pub fn close(&self, within: Duration) -> bool {
        self.access_log.close(within)
    }
}
