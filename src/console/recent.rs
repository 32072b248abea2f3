//! The last requests that were sampled, for browsers without a script. They are recorded only while a page is open: otherwise no
//! request is told of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::admin::Parts;
use crate::client::task;
use crate::telemetry::{Event, EventFilter, Heard, Watcher};

/// Requests that are kept; a page shows fewer.
const KEPT: usize = 200;
/// Requests are recorded for this long after the page was drawn.
const WATCHED: Duration = Duration::from_secs(60);

/// The newest at the end.
#[derive(Default)]
pub struct RecentRequests(Arc<Kept>);

struct Kept {
    requests: Mutex<VecDeque<Event>>,
    until: Mutex<Instant>,
    is_watched: AtomicBool,
}

impl Default for Kept {
    fn default() -> Self {
        Self { requests: Mutex::default(), until: Mutex::new(Instant::now()), is_watched: AtomicBool::new(false) }
    }
}

impl RecentRequests {
    /// A page was drawn: requests are recorded for a while. To be called in a runtime.
    pub fn look(&self, parts: &Parts) {
        *self.0.until.lock() = Instant::now() + WATCHED;
        if !self.0.is_watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(task::boxed(keep(
                Arc::clone(&self.0),
                parts.app.telemetry.events.watch(EventFilter::default()),
            )));
        }
    }

    /// The requests that the filter takes, the newest first.
    pub fn newest(&self, filter: &EventFilter, most: usize) -> Vec<Event> {
        self.0.requests.lock().iter().rev().filter(|event| filter.wants(event)).take(most).cloned().collect()
    }
}

async fn keep(kept: Arc<Kept>, mut watcher: Watcher) {
    loop {
        let until = *kept.until.lock();
        if until <= Instant::now() {
            break;
        }
        match timeout_at(until, watcher.next()).await {
            Ok(Some(Heard::Event(event))) if event.kind == "request" => {
                let mut requests = kept.requests.lock();
                if requests.len() >= KEPT {
                    requests.pop_front();
                }
                requests.push_back(event);
            }
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => break,
        }
    }
    kept.requests.lock().clear();
    kept.is_watched.store(false, Ordering::Release);
}
