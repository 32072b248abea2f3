//! The metrics of contract section 5: the series of each part, and the page that Prometheus reads.

mod described;
mod edge;
mod families;
mod fields;
mod histogram;
mod history;
mod process;
mod progress;
mod queue;
mod responses;
mod route;
mod series;
mod window;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, Registry, TextEncoder};

pub use edge::{EdgeMeters, EndpointCounts, UpstreamMeters};
pub use fields::FieldKind;
pub use histogram::DEFAULT_BUCKETS;
pub use history::LONGEST_WINDOW;
pub use queue::QueueMeters;
pub use route::{InFlight, RouteLabels, RouteMeters};
pub use series::{GateShown, Moved, WantedShare};
pub use window::{RouteSummary, SideSummary};

use families::Families;
use process::Process;
use progress::Progress;
use series::RouteSeries;

/// The route label of requests that no route takes.
pub const UNMATCHED: &str = "unmatched";

/// All metrics of the process. Requests reach theirs through `RouteMeters`, which a generation holds.
#[derive(Debug)]
pub struct Meters {
    registry: Registry,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) bounds: Arc<[f64]>,
    pub(crate) routes: Mutex<BTreeMap<Arc<str>, Arc<RouteSeries>>>,
    pub(crate) edge: EdgeMeters,
    pub(crate) progress: Mutex<Progress>,
}

impl Meters {
    /// `buckets`: upper bounds of the latency histograms in seconds, rising. They stay for the life of the process.
    pub fn new(buckets: &[f64]) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(Process::default()))?;
        let edge = EdgeMeters::register(&registry)?;
        for side in ["monolith", "service", "none"] {
            edge.in_flight_gauge(side);
        }
        let shared =
            Arc::new(Shared { bounds: buckets.into(), routes: Mutex::default(), edge, progress: Mutex::default() });
        registry.register(Box::new(Families::new(Arc::clone(&shared))?))?;
        Ok(Arc::new(Self { registry, shared }))
    }

    /// The meters of a route for one generation. A route of the same name goes on counting where it was.
    pub fn route(&self, labels: &RouteLabels<'_>) -> Arc<RouteMeters> {
        let series = {
            let mut routes = self.shared.routes.lock();
            let known = routes.get(labels.route).cloned();
            known.unwrap_or_else(|| {
                let series = RouteSeries::new(labels.route);
                routes.insert(Arc::clone(&series.name), Arc::clone(&series));
                series
            })
        };
        RouteMeters::bind(series, labels, &self.shared.bounds, |side| self.shared.edge.in_flight_gauge(side))
    }

    /// The generation that was assembled last is in force. Series of routes and upstreams that it does not have disappear; requests of an
    /// older generation may go on counting into them, unseen. Moves are counted as made `by` this, and given back.
    pub fn retain(
        &self,
        routes: impl Fn(&str) -> bool,
        upstreams: impl Fn(&str) -> bool,
        by: &'static str,
    ) -> Vec<Moved> {
        let mut moves = Vec::new();
        self.tick(Instant::now());
        let mut sides = std::collections::BTreeSet::new();
        {
            let mut all = self.shared.routes.lock();
            all.retain(|name, _| &**name == UNMATCHED || routes(name));
            for route in all.values() {
                moves.extend(route.settle(by));
                route.upstreams.lock().retain(|upstream| upstreams(&upstream.name));
                sides.extend(route.sides.lock().iter().map(|side| Arc::clone(&side.name)));
            }
        }
        let always = |side: &str| matches!(side, "monolith" | "service" | "none");
        self.shared.edge.retain(upstreams, |side| always(side) || sides.contains(side));
        moves
    }

    /// The meters of an upstream's queue; without a limit of requests at once there are none.
    pub fn queue(&self, upstream: &str, limited: bool) -> Option<Arc<QueueMeters>> {
        let meters = self.shared.edge.upstream(upstream);
        let mut queue = meters.queue.lock();
        if limited {
            queue.get_or_insert_with(|| QueueMeters::new(&self.shared.bounds));
        } else {
            *queue = None;
        }
        queue.clone()
    }

    /// The meters of no route.
    pub fn edge(&self) -> &EdgeMeters {
        &self.shared.edge
    }

    /// Takes the answers since the last look into the progress of the migration. To be called every few seconds:
    /// the five minutes are only as fine as the looks. Every scrape looks, too.
    pub fn tick(&self, now: Instant) {
        let routes: Vec<Arc<RouteSeries>> = self.shared.routes.lock().values().cloned().collect();
        // Held throughout: two looks at once would each see the other's answers as their own.
        let mut progress = self.shared.progress.lock();
        let (mut monolith, mut others, mut counters) = (0, 0, Vec::new());
        for route in &routes {
            route.remember(now, &mut counters, |side, answers| {
                let new = answers.saturating_sub(side.seen.swap(answers, Relaxed));
                if new > 0 {
                    *side.answered_last.lock() = Some(now);
                }
                if side.is_monolith.load(Relaxed) {
                    monolith += new;
                } else {
                    others += new;
                }
            });
        }
        progress.add(now, monolith, others);
    }

    /// The share of the last five minutes' answers that did not come from the monolith, 0.0 to 1.0.
    pub fn progress_by_requests(&self, now: Instant) -> f64 {
        self.tick(now);
        self.shared.progress.lock().share()
    }

    /// The same with the time of the reading, which may be up to `oldest` ago: to read ten thousand routes is dear.
    pub fn progress_lately(&self, now: Instant, oldest: Duration) -> (f64, Instant) {
        let looked = self.shared.progress.lock().looked();
        let lately = looked.filter(|looked| now.saturating_duration_since(*looked) < oldest);
        if lately.is_none() {
            self.tick(now);
        }
        let mut progress = self.shared.progress.lock();
        (progress.share(), progress.looked().unwrap_or(now))
    }

    /// Answers since the program began: the monolith's, and those of others.
    pub fn answered(&self, now: Instant) -> (u64, u64) {
        self.tick(now);
        self.shared.progress.lock().answered()
    }

    /// Routes that are migrated or retired, and all.
    pub fn routes_moved(&self) -> (u64, u64) {
        let routes: Vec<Arc<RouteSeries>> = self.shared.routes.lock().values().cloned().collect();
        series::moved(&routes)
    }

    /// The families of the page, for another form of it.
    pub fn families(&self) -> Vec<MetricFamily> {
        self.tick(Instant::now());
        self.registry.gather()
    }

    /// The page that Prometheus reads, and its content type. Takes milliseconds: not for the proxy's own threads.
    pub fn encode(&self) -> (Vec<u8>, &'static str) {
        let mut page = Vec::new();
        TextEncoder::new().encode(&self.families(), &mut page).expect("a vector takes any text");
        (page, prometheus::TEXT_FORMAT)
    }
}

#[cfg(test)]
pub(crate) mod tests;
