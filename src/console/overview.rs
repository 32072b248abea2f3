//! The figures of all routes that filters and notes look at: gathered once for all who look at the same time.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::admin::{Parts, RouteFigures, SideAnswers, Window};
use crate::proxy::Generation;

/// How long figures are as good as new: this many times as long as gathering them took, so that it takes a twentieth of a processor
/// at most, and of few routes nothing is ever old.
const TIMES_ITS_COST: u32 = 20;
/// At most as long as a page that redraws itself.
const OLDEST: Duration = Duration::from_secs(1);

/// The figures of one moment, in the order of the routes; what no route takes stands at the end.
pub struct Overview {
    generation: u64,
    window: Window,
    /// Share of the requests that the monolith did not answer, 0.0 to 1.0.
    pub moved: f64,
    answers: Box<[SideAnswers]>,
    /// Gathered when the first filter asks for it.
    p99: OnceLock<Box<[Option<f64>]>>,
    took: Duration,
}

impl Overview {
    fn gather(parts: &Parts, generation: &Generation, window: Window) -> Self {
        // Brings what is remembered up to now.
        let moved = parts.app.telemetry.metrics.progress_by_requests(window.now);
        let answers = figures(parts, generation, window).map(|route| route.answers()).collect();
        let took = window.now.elapsed();
        Self { generation: generation.number, window, moved, answers, p99: OnceLock::new(), took }
    }

    fn is_fresh(&self, generation: &Generation, now: Instant) -> bool {
        let longest = (self.took * TIMES_ITS_COST).min(OLDEST);
        self.generation == generation.number && now.saturating_duration_since(self.window.now) < longest
    }

    pub fn answers(&self, route: usize) -> SideAnswers {
        self.answers.get(route).copied().unwrap_or_default()
    }

    /// The longest 99th percentile of its sides, in seconds.
    pub fn p99(&self, parts: &Parts, generation: &Generation, route: usize) -> Option<f64> {
        let all = || figures(parts, generation, self.window).map(|route| route.longest_p99()).collect();
        let p99 = self.p99.get_or_init(all);
        p99.get(route).copied().flatten()
    }
}

fn figures<'a>(parts: &'a Parts, generation: &'a Generation, window: Window) -> impl Iterator<Item = RouteFigures<'a>> {
    let entries = generation.routes.iter().chain([&generation.unmatched]);
    entries.map(move |entry| RouteFigures { parts, generation, entry, window })
}

/// The newest overview.
#[derive(Default)]
pub struct SharedOverview(Mutex<Option<Arc<Overview>>>);

impl SharedOverview {
    pub fn now(&self, parts: &Parts, generation: &Generation, window: Window) -> Arc<Overview> {
        let mut known = self.0.lock();
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh(generation, window.now)) {
            return Arc::clone(known);
        }
        let new = Arc::new(Overview::gather(parts, generation, window));
        *known = Some(Arc::clone(&new));
        new
    }
}
