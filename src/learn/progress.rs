//! How far the migration is, written down hour by hour.

use std::time::Instant;

use super::{Learner, now};
use crate::store::ProgressRow;

impl Learner {
    /// Adds what was answered since it was kept last to the row of this hour.
    pub(super) fn keep_progress(&self) {
        let (monolith, others) = self.metrics.answered(Instant::now());
        let mut kept = self.answered_kept.lock();
        let (moved_routes, routes) = self.metrics.routes_moved();
        let figures = self.figures();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let moved_requests = others.saturating_sub(kept.1);
        let row = ProgressRow {
            hour: now() / 60,
            requests: monolith.saturating_sub(kept.0) + moved_requests,
            moved_requests,
            routes,
            moved_routes,
            endpoints: count(figures.all()),
            moved_endpoints: count(figures.moved + figures.silent),
            writes: count(figures.writes),
        };
        match self.store.keep_progress(row) {
            Ok(()) => *kept = (monolith, others),
            // They are added to the row that can be written again.
            Err(error) => tracing::debug!(%error, "the progress of this hour was not kept"),
        }
    }
}
