//! Events for other programs, each a `CloudEvent`, to NATS, to Kafka or to an exchange of AMQP. Off by default; never in a request's way.
//!
//! A thread of its own sends them in the order in which they were put. An event that the broker has not confirmed is sent again: at least
//! once, for as long as there is room. Without room an event is dropped and counted, as is one that is longer than the broker takes.

mod queue;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::metrics::Meters;
use super::record::ExchangeRecord;
use super::worker::ends_within;
use crate::client::{PublishError, PublishMessage, Publisher};
use crate::compile::EventsSettings;
use crate::migration::BUCKETS;
use queue::{Queue, Waiting};

/// How long the first event after a silence waits for others: one way to the broker and back is for all of them.
const GATHER: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends events while a file asks for it.
pub struct CloudEvents {
    metrics: Arc<Meters>,
    on: AtomicBool,
    active: ArcSwapOption<Active>,
    changing: Mutex<()>,
}

struct Active {
    settings: Arc<EventsSettings>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for CloudEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudEvents").field("on", &self.on).finish_non_exhaustive()
    }
}

impl CloudEvents {
    pub fn new(metrics: Arc<Meters>) -> Self {
        Self { metrics, on: AtomicBool::new(false), active: ArcSwapOption::empty(), changing: Mutex::new(()) }
    }

    /// Puts settings in force. Events that wait go where they were to go.
    pub fn configure(&self, settings: Option<&EventsSettings>) -> io::Result<()> {
        let _alone = self.changing.lock();
        let before = self.active.load_full();
        if before.as_ref().map(|active| &*active.settings) == settings {
            return Ok(());
        }
        let next = settings.map(|settings| self.start(settings)).transpose()?;
        self.on.store(next.is_some(), Relaxed);
        self.active.store(next.map(Arc::new));
        Ok(())
    }

    fn start(&self, settings: &EventsSettings) -> io::Result<Active> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let source = format!("//{}/multilith", host.trim());
        let (settings, queue) = (Arc::new(settings.clone()), Arc::<Queue>::default());
        self.metrics.edge().cloud_events(0, 0);
        // A runtime of its own: a slow broker takes nothing from the proxy's threads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (to, waiting, metrics) = (Arc::clone(&settings), Arc::clone(&queue), Arc::clone(&self.metrics));
        let thread = thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || runtime.block_on(run(&to, &waiting, &metrics, &source)))?;
        Ok(Active { settings, queue, thread: Mutex::new(Some(thread)) })
    }

    /// Events of this kind go out; `word`: the kind of the live stream.
    pub(super) fn wants(&self, word: &'static str) -> bool {
        self.on.load(Relaxed)
            && self.active.load().as_ref().is_some_and(|active| active.settings.kinds.contains(&kind(word)))
    }

    /// The exchange is in the sample: the same ones on every replica.
    pub(super) fn samples(&self, record: &ExchangeRecord<'_>) -> bool {
        let share = self.active.load().as_ref().map_or(0, |active| active.settings.sample.buckets());
        record.request_id.hash() % u64::from(BUCKETS) < u64::from(share)
    }

    /// Something happened; `data` is JSON. Never waits.
    pub(super) fn put(&self, word: &'static str, route: &str, id: &str, data: Arc<str>) {
        if let Some(active) = &*self.active.load()
            && !active.queue.put(kind(word), route, id, data)
        {
            self.metrics.edge().cloud_events(0, 1);
        }
    }

    /// Sends what waits and stops. `false`: the broker did not take it in time.
    pub fn close(&self, within: Duration) -> bool {
        self.on.store(false, Relaxed);
        let Some(active) = self.active.swap(None) else { return true };
        active.queue.close();
        let Some(thread) = active.thread.lock().take() else { return true };
        ends_within(thread, within)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The word of the file for a kind of the live stream.
fn kind(word: &'static str) -> &'static str {
    match word {
        "request" => "exchange",
        "mismatch" => "difference",
        same => same,
    }
}

async fn run(settings: &EventsSettings, queue: &Queue, metrics: &Meters, source: &str) {
    let (mut publisher, mut pause, mut failing) = (None, FIRST_PAUSE, false);
    loop {
        let batch = queue.batch();
        if batch.is_empty() {
            if queue.is_closing() {
                return;
            }
            queue.wake.notified().await;
            if !queue.is_closing() {
                tokio::time::sleep(GATHER).await;
            }
            continue;
        }
        let count = batch.len();
        match deliver(&mut publisher, settings, batch, source).await {
            Ok(too_long) => {
                queue.sent(count);
                metrics.edge().cloud_events((count - too_long) as u64, too_long as u64);
                if too_long > 0 {
                    tracing::warn!(events = too_long, "events are longer than the broker takes, and are dropped");
                }
                if std::mem::take(&mut failing) {
                    tracing::info!("events are delivered again");
                }
                pause = FIRST_PAUSE;
            }
            Err(why) => {
                publisher = None;
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%why, "events are not delivered");
                }
                if queue.is_closing() {
                    metrics.edge().cloud_events(0, queue.give_up());
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn deliver(
    publisher: &mut Option<Publisher>,
    settings: &EventsSettings,
    batch: Vec<Waiting>,
    source: &str,
) -> Result<usize, PublishError> {
    let publisher = match publisher {
        Some(publisher) => publisher,
        None => publisher.insert(Publisher::connect(&settings.to).await?),
    };
    let message =
        |event: &Waiting| PublishMessage { key: settings.key(event.kind, &event.route), body: event.body(source) };
    publisher.publish(batch.iter().map(message).collect()).await
}
