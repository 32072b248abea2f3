//! The copies of one route: what they may take, and what is counted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::counts::CopyCounts;
use super::evidence::RouteEvidence;
use super::failures::Failures;
use super::now;
use super::skipped::Skipped;
use crate::compare::NoiseBudget;
use crate::live::GateCounters;
use crate::route::HeaderEdits;
use crate::telemetry::RouteMeters;

/// One route's copies as one generation sees them.
pub struct Copies {
    pub(super) route: Arc<str>,
    pub(super) body_limit: u64,
    pub(super) timeout: Duration,
    pub(super) most_in_flight: u32,
    pub(super) headers: HeaderEdits,
    /// Addresses that the service names are turned into the client's.
    pub(super) turns_back: bool,
    pub(super) meters: Arc<RouteMeters>,
    pub(super) state: Arc<CopyState>,
    /// `None`: answers are thrown away.
    pub(super) comparison: Option<Comparing>,
    /// The gate's counters of copies.
    pub(super) gate: Option<Arc<GateCounters>>,
}

/// The comparison of a route, and how often the monolith is asked twice.
#[derive(Clone)]
pub(super) struct Comparing {
    pub(super) evidence: Arc<RouteEvidence>,
    pub(super) noise: NoiseBudget,
}

/// The state that outlives a reload.
#[derive(Debug, Default)]
pub(super) struct CopyState {
    in_flight: AtomicU32,
    pub(super) failures: Failures,
    pub(super) counts: CopyCounts,
}

impl Copies {
    /// A copy is answered within this, or not at all.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Both answers are compared.
    pub fn compares(&self) -> bool {
        self.comparison.is_some()
    }

    /// Counts a copy that is not sent.
    pub fn skip(&self, why: Skipped) {
        self.meters.shadow_skipped(why.as_str());
        self.state.counts.skip(why, now());
    }

    /// A place among the copies in flight.
    pub(super) fn slot(self: &Arc<Self>) -> Result<Slot, Skipped> {
        let limit = self.most_in_flight;
        let taken =
            self.state.in_flight.fetch_update(Relaxed, Relaxed, |busy| (busy < limit).then(|| busy.saturating_add(1)));
        if taken.is_ok() { Ok(Slot(Arc::clone(&self.state))) } else { Err(Skipped::QueueFull) }
    }
}

/// A copy in flight; dropping it ends that.
pub struct Slot(Arc<CopyState>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
