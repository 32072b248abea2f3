//! The thread that sends spans, and the bounded room in which they wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::metrics::Meters;
use super::super::worker::ends_within;
use super::collector::{Address, Collector, Refusal, TRACES};
use super::resource::Origin;

/// About 3000 spans; a collector takes 4 MiB at most by default.
const ROOM: usize = 2 * 1024 * 1024;
/// Spans are gathered this long, or until half the room is taken.
const GATHER: Duration = Duration::from_secs(1);
/// A batch that cannot be delivered is given up after this many attempts, a few seconds apart.
const ATTEMPTS: u32 = 4;

/// Sends to one collector until it is dropped.
pub(super) struct Exporter {
    waiting: Arc<Waiting>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Waiting {
    spans: Mutex<Spans>,
    wake: Notify,
    closing: AtomicBool,
    metrics: Arc<Meters>,
}

#[derive(Default)]
struct Spans {
    bytes: Vec<u8>,
    count: u64,
}

impl Exporter {
    pub(super) fn start(url: &str, metrics: Arc<Meters>) -> io::Result<Self> {
        let address = Address::parse(url, TRACES)?;
        let environment = |name: &str| std::env::var(name).ok();
        let headers = environment("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default();
        let origin = Origin::of_process(environment);
        metrics.edge().spans_dropped(0);
        let waiting = Arc::new(Waiting {
            spans: Mutex::default(),
            wake: Notify::new(),
            closing: AtomicBool::new(false),
            metrics,
        });
        let shared = Arc::clone(&waiting);
        // A runtime of its own: a slow collector takes nothing from the proxy's threads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("otlp".to_owned()).spawn(move || {
            runtime.block_on(async { run(&shared, &Collector::new(address, &headers), &origin).await });
        })?;
        Ok(Self { waiting, thread: Mutex::new(Some(thread)) })
    }

    /// Hands over one span, written by `write`. Never waits: without room it is dropped and counted.
    pub(super) fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let half = {
            let mut spans = self.waiting.spans.lock();
            if spans.bytes.len() >= ROOM {
                drop(spans);
                self.waiting.metrics.edge().spans_dropped(1);
                return;
            }
            let before = spans.bytes.len();
            write(&mut spans.bytes);
            spans.count += 1;
            before < ROOM / 2 && spans.bytes.len() >= ROOM / 2
        };
        if half {
            self.waiting.wake.notify_one();
        }
    }

    /// Sends what waits and ends. `false`: the collector did not take it in time.
    pub(super) fn close(&self, within: Duration) -> bool {
        self.waiting.close();
        let Some(thread) = self.thread.lock().take() else { return true };
        ends_within(thread, within)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.waiting.close();
    }
}

impl Waiting {
    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn take(&self) -> Spans {
        std::mem::take(&mut *self.spans.lock())
    }
}

async fn run(waiting: &Waiting, collector: &Collector, origin: &Origin) {
    let mut failing = false;
    loop {
        let _ = tokio::time::timeout(GATHER, waiting.wake.notified()).await;
        let closing = waiting.closing.load(Ordering::Acquire);
        let spans = waiting.take();
        if spans.count > 0 {
            deliver(waiting, collector, &origin.batch(&spans.bytes), spans.count, &mut failing).await;
        }
        if closing {
            return;
        }
    }
}

async fn deliver(waiting: &Waiting, collector: &Collector, batch: &[u8], count: u64, failing: &mut bool) {
    let mut pause = Duration::from_secs(1);
    for attempt in 1..=ATTEMPTS {
        let refusal = match collector.export(batch.to_vec()).await {
            Ok(()) => {
                if std::mem::take(failing) {
                    tracing::info!("spans are delivered again");
                }
                return;
            }
            Err(refusal) => refusal,
        };
        let last =
            attempt == ATTEMPTS || matches!(refusal, Refusal::Final(_)) || waiting.closing.load(Ordering::Acquire);
        if last {
            waiting.metrics.edge().spans_dropped(count);
            if !std::mem::replace(failing, true) {
                tracing::warn!(%refusal, spans = count, "spans were not delivered and are dropped");
            }
            return;
        }
        let _ = tokio::time::timeout(pause, waiting.wake.notified()).await;
        pause *= 2;
    }
}
