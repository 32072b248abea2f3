//! Reports of multilith about itself: metrics, access log, traces, live stream. One struct for each event; emitting it logs and counts.

mod access_log;
mod cloud_events;
mod events;
mod metrics;
mod otlp;
mod process_log;
mod record;
mod trace;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub use access_log::AccessLogger;
use cloud_events::CloudEvents;
pub use events::{Event, EventFilter, Events, Heard, NoStatus, StatusFilter, Watcher};
pub use metrics::{
    DEFAULT_BUCKETS, EdgeMeters, EndpointCounts, FieldKind, GateShown, InFlight, LONGEST_WINDOW, Meters, Moved,
    QueueMeters, RouteLabels, RouteMeters, RouteSummary, SideSummary, UNMATCHED, UpstreamMeters, WantedShare,
};
pub use otlp::{MetricsReader, Tracer};
pub use process_log::{HeldLog, init_held_logging, init_logging};
pub use record::{AttemptRecord, CalleeRecord, ExchangeRecord, PanicRecord, ShadowRecord, Timings};
pub use trace::{RequestId, SpanId, TraceContext, TraceId};

use crate::compile::Snapshot;
use crate::message::Fields;

/// Everything that the rest of the program reports to.
pub struct Telemetry {
    pub metrics: Arc<Meters>,
    pub access_log: AccessLogger,
    pub events: Arc<Events>,
    pub tracer: Tracer,
    reader: MetricsReader,
    cloud_events: Arc<CloudEvents>,
}

impl Telemetry {
    /// Opens the access log and, if there is a collector, the way to it. Fails when the log's file cannot be opened
    /// or the collector's address is none.
    pub fn start(metrics: Arc<Meters>, snapshot: &Snapshot) -> io::Result<Arc<Self>> {
        let access_log = AccessLogger::start(&snapshot.logs, Arc::clone(&metrics))?;
        let tracer = Tracer::new(Arc::clone(&metrics));
        tracer.configure(&snapshot.tracing)?;
        let reader = MetricsReader::new(Arc::clone(&metrics));
        reader.configure(snapshot.metrics_otlp.as_deref())?;
        let cloud_events = Arc::new(CloudEvents::new(Arc::clone(&metrics)));
        cloud_events.configure(snapshot.events.as_ref())?;
        let events = Arc::new(Events::forwarded_to(Arc::clone(&cloud_events)));
        Ok(Arc::new(Self { metrics, access_log, events, tracer, reader, cloud_events }))
    }

    /// Puts the settings of a new file in force. Each that cannot be is left as it was; the first reason comes back.
    pub fn configure(&self, snapshot: &Snapshot) -> io::Result<()> {
        let logs = self.access_log.configure(&snapshot.logs);
        let tracing = self.tracer.configure(&snapshot.tracing);
        let metrics = self.reader.configure(snapshot.metrics_otlp.as_deref());
        let events = self.cloud_events.configure(snapshot.events.as_ref());
        logs.and(tracing).and(metrics).and(events)
    }

    /// The trace of a request: the client's, or a new one. The numbers are random.
    pub fn trace(&self, headers: &Fields, fresh_trace: u128, fresh_span: u64) -> TraceContext {
        self.tracer.begin(headers, fresh_trace, fresh_span)
    }

    /// An exchange has ended. Its counters are the route's own; this writes about it.
    pub fn emit(&self, record: &ExchangeRecord<'_>) {
        let now = SystemTime::now();
        self.access_log.write(record, now);
        self.events.request(record, now);
        self.tracer.request(record, now);
    }

    /// Whether the record of an exchange in this trace goes anywhere; to make one costs more than to ask.
    #[must_use]
    pub fn is_heard(&self, trace: &TraceContext) -> bool {
        !self.access_log.is_off()
            || self.events.watchers() > 0
            || trace.is_recorded()
            || self.cloud_events.wants("request")
    }

    /// An attempt has ended: a span, if its trace is recorded.
    pub fn emit_attempt(&self, record: &AttemptRecord<'_>) {
        self.tracer.attempt(record);
    }

    /// A copy has ended: a span, if its trace is recorded.
    pub fn emit_shadow(&self, record: &ShadowRecord<'_>) {
        self.tracer.shadow(record);
    }

    /// A request ended in a panic.
    pub fn emit_panic(&self, record: &PanicRecord<'_>) {
        let PanicRecord { place, route, panic } = record;
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let said = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("");
        tracing::error!(route, place, panic = said, "a request ended in a panic: its client alone notices");
        self.metrics.edge().panicked();
    }

    /// A request is in flight on the side of this name until the guard is dropped.
    pub fn in_flight(&self, side: &str) -> InFlight {
        self.metrics.edge().in_flight(side)
    }

    /// Housekeeping, to be called every few seconds by the owner of a clock.
    pub fn tick(&self, now: Instant) {
        self.metrics.tick(now);
    }

    /// Writes and sends what waits; for the end of the process. `false`: not all of it was taken in time.
    pub fn close(&self, within: Duration) -> bool {
        let began = Instant::now();
        let written = self.access_log.close(within);
        let traced = self.tracer.close(within.saturating_sub(began.elapsed()));
        let told = self.cloud_events.close(within.saturating_sub(began.elapsed()));
        self.reader.close(within.saturating_sub(began.elapsed())) && told && traced && written
    }
}
