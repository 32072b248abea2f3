//! The figures of all routes that filters and notes look at: gathered once for all pages that are drawn at the same time.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::admin::{Parts, RouteFigures, SideAnswers, Window};
use crate::proxy::Generation;

/// More routes than a page counts anew each time it is drawn.
pub const MANY: usize = 2000;
/// Of many the counts are those of the last look at the metrics, which is taken every five seconds: rows are drawn by the newest all
/// the same, and a move shows at once.
const OLDEST: Duration = Duration::from_secs(6);

/// The figures of one moment, in the order of the routes; what no route takes stands at the end.
pub struct Overview {
    generation: u64,
    /// Its `now` is that of the counts.
    window: Window,
    /// Share of the requests that the monolith did not answer, 0.0 to 1.0.
    pub moved: f64,
    answers: Box<[SideAnswers]>,
    /// Gathered when the first filter asks for it.
    p99: OnceLock<Box<[Option<f64>]>>,
}

impl Overview {
    pub fn answers(&self, route: usize) -> SideAnswers {
        self.answers.get(route).copied().unwrap_or_default()
    }

    /// The longest 99th percentile of its sides, in seconds.
    pub fn p99(&self, parts: &Parts, generation: &Generation, route: usize) -> Option<f64> {
        let all = || figures(parts, generation, self.window).map(|route| route.longest_p99()).collect();
        let p99 = self.p99.get_or_init(all);
        p99.get(route).copied().flatten()
    }

    fn is_of(&self, generation: &Generation, counted: Instant) -> bool {
        self.generation == generation.number && self.window.now == counted
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
        let oldest = if generation.routes.len() > MANY { OLDEST } else { Duration::ZERO };
        let mut known = self.0.lock();
        // Brings what is remembered up to now, where it is too old.
        let (moved, counted) = parts.app.telemetry.metrics.progress_lately(window.now, oldest);
        if let Some(known) = known.as_ref().filter(|known| known.is_of(generation, counted)) {
            return Arc::clone(known);
        }
        let window = Window { now: counted, ..window };
        let new = Arc::new(Overview {
            generation: generation.number,
            window,
            moved,
            answers: figures(parts, generation, window).map(|route| route.answers()).collect(),
            p99: OnceLock::new(),
        });
        *known = Some(Arc::clone(&new));
        new
    }
}
