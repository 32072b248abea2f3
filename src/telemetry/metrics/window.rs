//! A route's figures for the board: its last minutes, and everything since the program began.

use std::time::{Duration, Instant};

use super::histogram::quantile;
use super::history::History;
use super::series::{RouteSeries, SideSeries};

/// The board's figures of one side. Requests are those that the side answered and, on the service's side, those that fell
/// back from it: requests and errors are of the same things.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SideSummary {
    pub requests: u64,
    /// Answers of 500 and above, calls of gRPC that failed, and requests that the monolith answered because this side failed.
    pub errors: u64,
    /// Seconds, of the requests that were assigned to this side; `None` without any in the window.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// Requests and errors since the program began.
    pub totals: (u64, u64),
}

/// The board's figures of a route beside its sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteSummary {
    /// Copies that were sent.
    pub copies: u64,
    /// Requests that the monolith answered in the service's place, those of an open breaker among them.
    pub fallbacks: u64,
    /// Copies and fallbacks since the program began.
    pub totals: (u64, u64),
}

/// The counters of a side: answers, failures, then the buckets.
const ANSWERS: usize = 0;
const FAILURES: usize = 1;
const BUCKETS: usize = 2;
/// The counters of a route: fallbacks after the service was asked, all fallbacks, copies.
const FELL: usize = 0;
const FALLBACKS: usize = 1;
const COPIES: usize = 2;
/// Behind them the times of the copies, by bucket.
const COPY_TIMES: usize = 3;

impl RouteSeries {
    /// Takes the counters into the history. `answered`: told of each side that was ever asked with its answers since the program began.
    pub(crate) fn remember(&self, now: Instant, counters: &mut Vec<u64>, mut answered: impl FnMut(&SideSeries, u64)) {
        self.look(&mut self.history.lock(), now, self.counters());
        // Of a hundred thousand routes most have never been asked.
        for side in self.sides.lock().iter().filter(|side| side.was_asked()) {
            counters.clear();
            side.count_into(counters);
            side.history.lock().look(now, counters);
            answered(side, counters[ANSWERS]);
        }
    }

    pub(crate) fn side_summary(
        &self,
        side: &SideSeries,
        bounds: &[f64],
        now: Instant,
        window: Duration,
    ) -> SideSummary {
        // Requests that fell back were given to the service and failed there.
        let (fell, fell_in_all) = match &*side.name {
            "service" => {
                let [lately, ever] = self.lately(now, window);
                (lately[FELL], ever[FELL])
            }
            _ => (0, 0),
        };
        if !side.was_asked() {
            let totals = (fell_in_all, fell_in_all);
            return SideSummary { requests: fell, errors: fell, totals, ..SideSummary::default() };
        }
        let counters = side.counters();
        let mut lately = vec![0; BUCKETS + bounds.len() + 1];
        {
            let mut history = side.history.lock();
            history.look(now, &counters);
            history.sum(now, window, &mut lately);
        }
        let of = |counters: &[u64], at: usize| counters.get(at).copied().unwrap_or(0);
        let times = lately.get(BUCKETS..).unwrap_or_default();
        SideSummary {
            requests: of(&lately, ANSWERS) + fell,
            errors: of(&lately, FAILURES) + fell,
            p50: quantile(bounds, times, 0.5),
            p99: quantile(bounds, times, 0.99),
            totals: (of(&counters, ANSWERS) + fell_in_all, of(&counters, FAILURES) + fell_in_all),
        }
    }

    /// Requests and errors alone, as `side_summary` has them, by what was remembered last.
    pub(crate) fn side_answers(&self, side: &SideSeries, now: Instant, window: Duration) -> (u64, u64) {
        let (mut fell, mut lately) = ([0; FELL + 1], [0; BUCKETS]);
        if &*side.name == "service" && self.fallbacks.total() > 0 {
            self.history.lock().sum(now, window, &mut fell);
        }
        side.history.lock().sum(now, window, &mut lately);
        (lately[ANSWERS] + fell[FELL], lately[FAILURES] + fell[FELL])
    }

    /// Its 99th percentile alone, by what was remembered last.
    pub(crate) fn side_p99_lately(side: &SideSeries, bounds: &[f64], now: Instant, window: Duration) -> Option<f64> {
        drop(side.seconds.counts()?);
        let mut lately = vec![0; BUCKETS + bounds.len() + 1];
        side.history.lock().sum(now, window, &mut lately);
        quantile(bounds, &lately[BUCKETS..], 0.99)
    }

    /// Requests that this side answered in each of the last `count` spans, the oldest first.
    pub(crate) fn side_requests(side: &SideSeries, now: Instant, span: Duration, count: usize) -> Vec<u64> {
        let mut sums = vec![vec![0; BUCKETS]; count];
        side.history.lock().spans(now, span, &mut sums);
        sums.into_iter().map(|sum| sum[ANSWERS]).collect()
    }

    /// The same for the 99th percentile of its times, in seconds; `None`: no request in that span.
    pub(crate) fn side_p99(
        side: &SideSeries,
        bounds: &[f64],
        now: Instant,
        span: Duration,
        count: usize,
    ) -> Vec<Option<f64>> {
        let mut sums = vec![vec![0; BUCKETS + bounds.len() + 1]; count];
        side.history.lock().spans(now, span, &mut sums);
        sums.iter().map(|sum| quantile(bounds, &sum[BUCKETS..], 0.99)).collect()
    }

    /// The same of the service's answers to copies.
    pub(crate) fn copies_p99(&self, bounds: &[f64], now: Instant, span: Duration, count: usize) -> Vec<Option<f64>> {
        let mut sums = vec![vec![0; COPY_TIMES + bounds.len() + 1]; count];
        self.history.lock().spans(now, span, &mut sums);
        sums.iter().map(|sum| quantile(bounds, &sum[COPY_TIMES..], 0.99)).collect()
    }

    pub(crate) fn route_summary(&self, now: Instant, window: Duration) -> RouteSummary {
        let [lately, ever] = self.lately(now, window);
        RouteSummary { copies: lately[COPIES], fallbacks: lately[FALLBACKS], totals: (ever[COPIES], ever[FALLBACKS]) }
    }

    /// The counters of the window, and those since the program began.
    fn lately(&self, now: Instant, window: Duration) -> [[u64; COPY_TIMES]; 2] {
        let (mut sums, ever) = ([0; COPY_TIMES], self.counters());
        if ever != sums {
            let mut history = self.history.lock();
            self.look(&mut history, now, ever);
            history.sum(now, window, &mut sums);
        }
        [sums, ever]
    }

    fn look(&self, history: &mut History, now: Instant, counters: [u64; COPY_TIMES]) {
        match self.shadow_seconds.counts() {
            Some(times) => history.look(now, &counters.into_iter().chain(times).collect::<Vec<_>>()),
            // Of very many routes most copy nothing.
            None => history.look(now, &counters),
        }
    }

    fn counters(&self) -> [u64; COPY_TIMES] {
        let fallbacks = self.fallbacks.total();
        // With an open breaker the service was not asked, so it did not fail.
        let asked = fallbacks.saturating_sub(self.fallbacks.get("breaker_open"));
        [asked, fallbacks, self.shadow_sent.total()]
    }
}

impl SideSeries {
    /// Anything was ever counted.
    fn was_asked(&self) -> bool {
        self.seconds.counts().is_some() || self.responses.iter().any(|stage| stage.get().is_some())
    }

    fn counters(&self) -> Vec<u64> {
        let mut counters = Vec::new();
        self.count_into(&mut counters);
        counters
    }

    fn count_into(&self, counters: &mut Vec<u64>) {
        let (mut answers, mut failures) = (0, 0);
        self.each_answer(|_, _, code, count| {
            answers += count;
            failures += if code.is_failure() { count } else { 0 };
        });
        let times = self.seconds.counts().into_iter().flatten();
        counters.extend([answers, failures].into_iter().chain(times));
    }
}
