//! How many of the endpoints are moved, for metrics and the progress of the migration.

use jiff::Timestamp;

use super::Learner;
use crate::inventory::InventoryReport;

/// Minutes without an answer of the monolith after which an endpoint is moved, and without a request after which it is silent.
pub const LONG: u32 = 30 * 24 * 60;

/// Endpoints by how they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointFigures {
    /// The monolith answered within thirty days.
    pub monolith: usize,
    /// Asked for within thirty days, and not answered by the monolith.
    pub moved: usize,
    /// Not asked for within thirty days.
    pub silent: usize,
    /// Of `monolith`: those that change something.
    pub writes: usize,
}

impl EndpointFigures {
    #[must_use]
    pub fn of(report: &InventoryReport, now: u32) -> Self {
        let mut figures = Self::default();
        for endpoint in &report.endpoints {
            if endpoint.last_minute + LONG < now {
                figures.silent += 1;
            } else if endpoint.monolith_last_minute > 0 && endpoint.monolith_last_minute + LONG >= now {
                figures.monolith += 1;
                figures.writes += usize::from(endpoint.writes);
            } else {
                figures.moved += 1;
            }
        }
        figures
    }

    #[must_use]
    pub const fn all(&self) -> usize {
        self.monolith + self.moved + self.silent
    }

    /// The share that does not need the monolith any more, 0.0 to 1.0; `None` where no endpoint is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are 20 000 at most")]
    pub fn share(&self) -> Option<f64> {
        let all = self.all();
        (all > 0).then(|| (self.moved + self.silent) as f64 / all as f64)
    }
}

impl Learner {
    /// As they were counted last, at most some seconds ago.
    pub fn figures(&self) -> EndpointFigures {
        *self.figures.lock()
    }

    /// Counts anew, if something was learned.
    pub(super) fn count(&self) {
        let learned = self.learned.lock().tree.totals.learned;
        let minute = now();
        // The time alone moves an endpoint, too, but only from one minute to the next.
        if std::mem::replace(&mut *self.counted.lock(), (learned, minute)) == (learned, minute) {
            return;
        }
        let figures = EndpointFigures::of(&self.report(), minute);
        *self.figures.lock() = figures;
        let edge = self.metrics.edge();
        edge.inventory_endpoints("monolith", figures.monolith);
        edge.inventory_endpoints("moved", figures.moved);
        edge.inventory_endpoints("silent", figures.silent);
    }
}

/// Minutes since 1970.
pub fn now() -> u32 {
    u32::try_from(Timestamp::now().as_second() / 60).unwrap_or(0)
}
