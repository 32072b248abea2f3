//! Sends the metrics again and again, on a thread of its own. Off by default; requests pay nothing for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::metrics::Meters;
use super::super::worker::ends_within;
use super::collector::{Address, Collector, METRICS, Refusal};
use super::nanoseconds_since_1970;
use super::readings::{Span, batches};
use super::resource::Origin;

/// As OpenTelemetry's own programs have it, if `OTEL_METRIC_EXPORT_INTERVAL` (in milliseconds) says nothing else.
const INTERVAL: Duration = Duration::from_secs(60);
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Sends the metrics to a collector while a file asks for it.
pub struct MetricsReader {
    metrics: Arc<Meters>,
    /// The start time of the counters.
    began: SystemTime,
    active: Mutex<Option<Active>>,
}

struct Active {
    url: Box<str>,
    closing: Arc<Closing>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Closing {
    asked: AtomicBool,
    wake: Notify,
}

impl MetricsReader {
    /// Sends nothing until it is configured.
    pub fn new(metrics: Arc<Meters>) -> Self {
        Self { metrics, began: SystemTime::now(), active: Mutex::new(None) }
    }

    /// Puts an address in force. One that cannot be understood leaves everything as it was.
    pub fn configure(&self, url: Option<&str>) -> io::Result<()> {
        let mut active = self.active.lock();
        if active.as_ref().map(|active| &*active.url) == url {
            return Ok(());
        }
        *active = url.map(|url| self.start(url)).transpose()?;
        Ok(())
    }

    fn start(&self, url: &str) -> io::Result<Active> {
        let address = Address::parse(url, METRICS)?;
        let environment = |name: &str| std::env::var(name).ok();
        let headers = environment("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let interval = environment("OTEL_METRIC_EXPORT_INTERVAL").and_then(|text| text.trim().parse().ok());
        let interval = interval.map_or(INTERVAL, Duration::from_millis).max(SHORTEST_INTERVAL);
        let origin = Origin::of_process(environment);
        let closing = Arc::new(Closing::default());
        let (asked, metrics, began) =
            (Arc::clone(&closing), Arc::clone(&self.metrics), nanoseconds_since_1970(self.began));
        // A runtime of its own: a slow collector takes nothing from the proxy's threads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("otlp-metrics".to_owned()).spawn(move || {
            let collector = Collector::new(address, &headers);
            runtime.block_on(run(&metrics, began, &collector, &origin, interval, &asked));
        })?;
        Ok(Active { url: url.into(), closing, thread: Some(thread) })
    }

    /// Sends them once more and stops. `false`: the collector did not take them in time.
    pub fn close(&self, within: Duration) -> bool {
        let Some(mut active) = self.active.lock().take() else { return true };
        active.closing.ask();
        let Some(thread) = active.thread.take() else { return true };
        ends_within(thread, within)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.closing.ask();
    }
}

impl Closing {
    fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

async fn run(
    metrics: &Meters,
    began: u64,
    collector: &Collector,
    origin: &Origin,
    interval: Duration,
    closing: &Closing,
) {
    let mut failing = false;
    loop {
        let _ = tokio::time::timeout(interval, closing.wake.notified()).await;
        let closes = closing.asked.load(Ordering::Acquire);
        let span = Span { began, now: nanoseconds_since_1970(SystemTime::now()) };
        // Readings that are not taken are not kept: the next reading has them, too.
        let delivered = deliver(&batches(&metrics.families(), span), collector, origin).await;
        match (&delivered, failing) {
            (Err(refusal), false) => tracing::warn!(%refusal, "metrics were not delivered"),
            (Ok(()), true) => tracing::info!("metrics are delivered again"),
            _ => {}
        }
        failing = delivered.is_err();
        if closes {
            return;
        }
    }
}

async fn deliver(batches: &[Vec<u8>], collector: &Collector, origin: &Origin) -> Result<(), Refusal> {
    for batch in batches {
        collector.export(origin.batch(batch)).await?;
    }
    Ok(())
}
