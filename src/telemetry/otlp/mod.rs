//! Spans and metrics for an OpenTelemetry collector. Off by default; then a request pays one atomic load for it.

mod collector;
mod exporter;
mod periodic;
mod protobuf;
mod readings;
mod resource;
mod span;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::metrics::Meters;
use super::record::{AttemptRecord, ExchangeRecord, ShadowRecord};
use super::trace::TraceContext;
use crate::compile::TracingSettings;
use crate::message::Fields;
use crate::migration::Percent;
use exporter::Exporter;
pub use periodic::MetricsReader;

/// Begins traces and sends the spans of those that are recorded.
pub struct Tracer {
    metrics: Arc<Meters>,
    on: AtomicBool,
    active: ArcSwapOption<Active>,
    changing: Mutex<()>,
}

struct Active {
    url: Box<str>,
    sample: Percent,
    exporter: Arc<Exporter>,
}

impl Tracer {
    /// Records nothing until it is configured.
    pub fn new(metrics: Arc<Meters>) -> Self {
        Self { metrics, on: AtomicBool::new(false), active: ArcSwapOption::empty(), changing: Mutex::new(()) }
    }

    /// Puts settings in force. An address that cannot be understood leaves everything as it was.
    pub fn configure(&self, settings: &TracingSettings) -> io::Result<()> {
        let _alone = self.changing.lock();
        let before = self.active.load_full();
        let next = match &settings.otlp {
            None => None,
            Some(url) => {
                let exporter = match before.filter(|before| before.url == *url) {
                    Some(same) => Arc::clone(&same.exporter),
                    None => Arc::new(Exporter::start(url, Arc::clone(&self.metrics))?),
                };
                Some(Arc::new(Active { url: url.clone(), sample: settings.sample, exporter }))
            }
        };
        self.on.store(next.is_some(), Relaxed);
        self.active.store(next);
        Ok(())
    }

    /// The trace of a request: the client's, or a new one.
    pub fn begin(&self, headers: &Fields, fresh_trace: u128, fresh_span: u64) -> TraceContext {
        let share = if self.on.load(Relaxed) { self.active.load().as_ref().map(|active| active.sample) } else { None };
        TraceContext::begin(headers, fresh_trace, fresh_span, share)
    }

    pub(super) fn request(&self, record: &ExchangeRecord<'_>, now: SystemTime) {
        self.put(record.trace, |bytes| span::request(bytes, record, now));
    }

    pub(super) fn attempt(&self, record: &AttemptRecord<'_>) {
        self.put(record.trace, |bytes| span::attempt(bytes, record, SystemTime::now()));
    }

    pub(super) fn shadow(&self, record: &ShadowRecord<'_>) {
        self.put(record.trace, |bytes| span::shadow(bytes, record, SystemTime::now()));
    }

    fn put(&self, trace: &TraceContext, write: impl FnOnce(&mut Vec<u8>)) {
        if !trace.is_recorded() {
            return;
        }
        if let Some(active) = &*self.active.load() {
            active.exporter.put(write);
        }
    }

    /// Sends what waits and stops. `false`: the collector did not take it in time.
    pub fn close(&self, within: Duration) -> bool {
        self.on.store(false, Relaxed);
        self.active.swap(None).is_none_or(|active| active.exporter.close(within))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn nanoseconds_since_1970(time: SystemTime) -> u64 {
    nanoseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
