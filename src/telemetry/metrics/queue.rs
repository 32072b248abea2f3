//! The requests that wait for an upstream.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::histogram::Histogram;
use super::route::InFlight;

/// The meters of one upstream with `max_in_flight`.
#[derive(Debug)]
pub struct QueueMeters {
    pub(crate) length: Arc<AtomicI64>,
    pub(crate) seconds: Histogram,
    bounds: Arc<[f64]>,
}

impl QueueMeters {
    pub(crate) fn new(bounds: &Arc<[f64]>) -> Arc<Self> {
        Arc::new(Self { length: Arc::default(), seconds: Histogram::default(), bounds: Arc::clone(bounds) })
    }

    /// A request waits until the guard is dropped.
    pub fn waits(&self) -> InFlight {
        InFlight::new(Arc::clone(&self.length))
    }

    /// Observes the wait of a request in seconds, also of one that was refused; 0 where it was let in at once.
    pub fn waited(&self, seconds: f64) {
        self.seconds.observe(&self.bounds, seconds);
    }
}
