//! The counters of one route, kept from one generation to the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use super::fields::FieldCounts;
use super::histogram::Histogram;
use super::history::History;
use super::responses::ResponseCounts;
use super::words::Words;
use crate::message::ResultCode;
use crate::migration::Stage;

/// The counts of one route; they live as long as the route is in the file, over all reloads.
#[derive(Debug)]
pub(crate) struct RouteSeries {
    pub(crate) name: Arc<str>,
    pub(crate) sides: Mutex<Vec<Arc<SideSeries>>>,
    pub(crate) upstreams: Mutex<Vec<Arc<UpstreamSeconds>>>,
    pub(crate) dials: Mutex<Dials>,
    /// Requests that were refused before a side was chosen.
    pub(crate) none: OnceLock<Arc<SideSeries>>,
    pub(crate) fallbacks: Words,
    pub(crate) faults: Words,
    pub(crate) aborts: AtomicU64,
    /// The route has a fallback, and so a breaker: without one there are no series of either.
    pub(crate) has_breaker: AtomicBool,
    pub(crate) breaker_open: AtomicBool,
    pub(crate) shadow_sent: Words,
    pub(crate) shadow_skipped: Words,
    pub(crate) shadow_seconds: Histogram,
    pub(crate) comparisons: Words,
    pub(crate) fields: FieldCounts,
    /// Fallbacks and copies of the last hour.
    pub(crate) history: Mutex<History>,
    pub(crate) gate_verdicts: Words,
    /// `None`: the route has no gate.
    pub(crate) gate: Mutex<Option<GateShown>>,
    /// The last entry of the journal that is in force; 0: none.
    pub(crate) dial_seq: AtomicU64,
}

/// Routes that are migrated or retired, and all; what no route takes is none.
pub(crate) fn moved(routes: &[Arc<RouteSeries>]) -> (u64, u64) {
    let (mut done, mut all) = (0, 0);
    for route in routes.iter().filter(|route| &*route.name != super::UNMATCHED) {
        if let Some(shown) = &route.dials.lock().in_force {
            all += 1;
            done += u64::from(shown.stage.is_moved());
        }
    }
    (done, all)
}

/// One side of a route, and the share of the clients that the file gives it.
#[derive(Debug, Clone, Copy)]
pub struct WantedShare<'a> {
    /// `monolith`, `service` or the variant's name.
    pub side: &'a str,
    pub upstream: &'a str,
    /// 0.0 to 1.0.
    pub ratio: f64,
}

/// A gate's state, as the metrics show it.
#[derive(Debug, Clone, PartialEq)]
pub struct GateShown {
    pub state: &'static str,
    /// Every state there is.
    pub states: Vec<&'static str>,
    /// Metric, direction, logarithm of the evidence.
    pub evidence: Vec<(&'static str, &'static str, f64)>,
    /// Requests that are missing; `None`: none, or no end is in sight.
    pub needs: Option<u64>,
}

/// The stage and shares in force, those that a generation not yet in force asks for, and the moves so far.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    pub(crate) in_force: Option<Shown>,
    pub(crate) next: Option<Shown>,
    pub(crate) moves: Vec<Moves>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) stage: Stage,
    pub(crate) shares: Vec<(Arc<str>, f64)>,
}

impl Shown {
    fn service(&self) -> Option<f64> {
        self.shares.iter().find(|(side, _)| &**side == "service").map(|(_, share)| *share)
    }
}

/// A route's dial was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    pub route: Arc<str>,
    /// From and to.
    pub stage: (Stage, Stage),
    /// The service's share before and after, 0.0 to 1.0; `None` where the route has no such side.
    pub service: (Option<f64>, Option<f64>),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Moves {
    pub(crate) from: Stage,
    pub(crate) to: Stage,
    pub(crate) by: &'static str,
    pub(crate) count: u64,
}

/// The counts of one side of a route.
#[derive(Debug)]
pub(crate) struct SideSeries {
    pub(crate) name: Arc<str>,
    /// By stage: each counts under the stage that was in force.
    pub(crate) responses: [OnceLock<Box<ResponseCounts>>; Stage::ALL.len()],
    pub(crate) seconds: Histogram,
    pub(crate) errors: Words,
    /// The side's upstream is the monolith: a variant can be, too.
    pub(crate) is_monolith: AtomicBool,
    /// Answers and times of the last hour.
    pub(crate) history: Mutex<History>,
    /// How many answers the migration's progress has taken into account.
    pub(crate) seen: AtomicU64,
    /// The look at which the last of them was new.
    pub(crate) answered_last: Mutex<Option<Instant>>,
}

/// Times to the first byte of one upstream's answers.
#[derive(Debug)]
pub(crate) struct UpstreamSeconds {
    pub(crate) name: Arc<str>,
    pub(crate) seconds: Histogram,
}

impl SideSeries {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            responses: Default::default(),
            seconds: Histogram::default(),
            errors: Words::default(),
            is_monolith: AtomicBool::new(false),
            history: Mutex::default(),
            seen: AtomicU64::new(0),
            answered_last: Mutex::default(),
        })
    }

    pub(crate) fn each_answer(&self, mut visit: impl FnMut(Stage, &'static str, ResultCode, u64)) {
        for (stage, counts) in Stage::ALL.into_iter().zip(&self.responses) {
            if let Some(counts) = counts.get() {
                counts.each(|method, code, count| visit(stage, method, code, count));
            }
        }
    }
}

impl RouteSeries {
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            sides: Mutex::default(),
            upstreams: Mutex::default(),
            dials: Mutex::default(),
            none: OnceLock::new(),
            fallbacks: Words::default(),
            faults: Words::default(),
            aborts: AtomicU64::new(0),
            has_breaker: AtomicBool::new(false),
            breaker_open: AtomicBool::new(false),
            shadow_sent: Words::default(),
            shadow_skipped: Words::default(),
            shadow_seconds: Histogram::default(),
            comparisons: Words::default(),
            fields: FieldCounts::default(),
            history: Mutex::default(),
            gate_verdicts: Words::default(),
            gate: Mutex::default(),
            dial_seq: AtomicU64::new(0),
        })
    }

    pub(crate) fn side(&self, wanted: &WantedShare<'_>) -> Arc<SideSeries> {
        let mut sides = self.sides.lock();
        let side = sides.iter().find(|side| *side.name == *wanted.side).cloned().unwrap_or_else(|| {
            let side = SideSeries::new(wanted.side);
            sides.push(Arc::clone(&side));
            side
        });
        side.is_monolith.store(wanted.upstream == "monolith", Relaxed);
        side
    }

    pub(crate) fn upstream(&self, name: &str) -> Arc<UpstreamSeconds> {
        let mut upstreams = self.upstreams.lock();
        upstreams.iter().find(|upstream| *upstream.name == *name).cloned().unwrap_or_else(|| {
            let upstream = Arc::new(UpstreamSeconds { name: name.into(), seconds: Histogram::default() });
            upstreams.push(Arc::clone(&upstream));
            upstream
        })
    }

    /// The generation that was assembled last is in force: sides and upstreams that it does not name disappear.
    /// Gives back the move, if it is one.
    pub(crate) fn settle(&self, by: &'static str) -> Option<Moved> {
        let mut dials = self.dials.lock();
        let next = dials.next.take()?;
        let mut moved = None;
        if let Some(before) = dials.in_force.take()
            && before != next
        {
            let (from, to) = (before.stage, next.stage);
            moved = Some(Moved {
                route: Arc::clone(&self.name),
                stage: (from, to),
                service: (before.service(), next.service()),
            });
            match dials.moves.iter_mut().find(|moves| (moves.from, moves.to, moves.by) == (from, to, by)) {
                Some(known) => known.count += 1,
                None => dials.moves.push(Moves { from, to, by, count: 1 }),
            }
        }
        self.sides.lock().retain(|side| {
            // The two that every route may have keep their history, whatever the stage.
            matches!(&*side.name, "monolith" | "service") || next.shares.iter().any(|(name, _)| *name == side.name)
        });
        dials.in_force = Some(next);
        moved
    }
}
