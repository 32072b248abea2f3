//! The meters of one route. A request holds them by index; nothing is looked up by name, and nothing is locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::fields::FieldKind;
use super::series::{GateShown, RouteSeries, Shown, SideSeries, UpstreamSeconds, WantedShare};
use super::window::{RouteSummary, SideSummary};
use crate::message::ResultCode;
use crate::migration::Stage;
use http::Method;

/// The labels of a route, and the sides that its requests can be on.
#[derive(Debug, Clone)]
pub struct RouteLabels<'a> {
    pub route: &'a str,
    pub stage: Stage,
    /// Their order is the index by which the proxy names a side.
    pub sides: Vec<WantedShare<'a>>,
}

/// The meters of one route as one generation sees it.
#[derive(Debug)]
pub struct RouteMeters {
    pub(crate) series: Arc<RouteSeries>,
    stage: Stage,
    sides: Box<[Bound]>,
    bounds: Arc<[f64]>,
    in_flight_none: Arc<AtomicI64>,
}

#[derive(Debug)]
struct Bound {
    series: Arc<SideSeries>,
    upstream: Arc<UpstreamSeconds>,
    in_flight: Arc<AtomicI64>,
}

impl RouteMeters {
    pub(crate) fn bind(
        series: Arc<RouteSeries>,
        labels: &RouteLabels<'_>,
        bounds: &Arc<[f64]>,
        in_flight: impl Fn(&str) -> Arc<AtomicI64>,
    ) -> Arc<Self> {
        let sides: Box<[Bound]> = labels
            .sides
            .iter()
            .map(|wanted| Bound {
                series: series.side(wanted),
                upstream: series.upstream(wanted.upstream),
                in_flight: in_flight(wanted.side),
            })
            .collect();
        let shares =
            sides.iter().zip(&labels.sides).map(|(side, wanted)| (Arc::clone(&side.series.name), wanted.ratio));
        let shown = Shown { stage: labels.stage, shares: shares.collect() };
        {
            let mut dials = series.dials.lock();
            if dials.in_force.is_none() {
                dials.in_force = Some(shown.clone());
            }
            dials.next = Some(shown);
        }
        let in_flight_none = in_flight("none");
        Arc::new(Self { series, stage: labels.stage, sides, bounds: Arc::clone(bounds), in_flight_none })
    }

    /// The route's name as it stands in the labels.
    pub fn name(&self) -> &str {
        &self.series.name
    }

    /// A request has been answered, or was given up. `side`: which answered. `assigned`: which was asked first, and whose
    /// time it is. `None`: it was refused before a side was chosen.
    pub fn request(
        &self,
        side: impl Into<Option<usize>>,
        assigned: impl Into<Option<usize>>,
        method: &Method,
        code: impl Into<ResultCode>,
        seconds: f64,
    ) {
        let answered = self.side(side.into());
        answered.responses[self.stage as usize].get_or_init(Box::default).count(method, code.into());
        self.side(assigned.into()).seconds.observe(&self.bounds, seconds);
    }

    /// The first byte of the upstream's answer came after this long.
    pub fn upstream_seconds(&self, side: usize, seconds: f64) {
        if let Some(side) = self.sides.get(side) {
            side.upstream.seconds.observe(&self.bounds, seconds);
        }
    }

    /// The request counts as in flight on this side until the guard is dropped.
    pub fn in_flight(&self, side: impl Into<Option<usize>>) -> InFlight {
        let gauge =
            side.into().and_then(|side| self.sides.get(side)).map_or(&self.in_flight_none, |side| &side.in_flight);
        InFlight::new(Arc::clone(gauge))
    }

    /// Fallbacks since the program began.
    pub fn fallbacks(&self) -> u64 {
        self.series.fallbacks.total()
    }

    /// The monolith answers because the service failed, or would have.
    pub fn fallback(&self, reason: &'static str) {
        self.series.fallbacks.count(reason);
    }

    /// One attempt on this side failed: connect, timeout, reset, status or protocol.
    pub fn upstream_error(&self, side: impl Into<Option<usize>>, kind: &'static str) {
        self.side(side.into()).errors.count(kind);
    }

    /// A request failed on purpose: `delay` or `status`.
    pub fn fault(&self, kind: &'static str) {
        self.series.faults.count(kind);
    }

    pub fn client_abort(&self) {
        self.series.aborts.fetch_add(1, Relaxed);
    }

    /// The stage has a service that the monolith may stand in for.
    pub fn has_breaker(&self, has: bool) {
        self.series.has_breaker.store(has, Relaxed);
    }

    pub fn breaker_open(&self, open: bool) {
        self.series.breaker_open.store(open, Relaxed);
    }

    /// A copy was sent, and this became of it: answered, timeout, connect or reset.
    pub fn shadow_sent(&self, outcome: &'static str, seconds: f64) {
        self.series.shadow_sent.count(outcome);
        self.series.shadow_seconds.observe(&self.bounds, seconds);
    }

    /// A copy was not sent: `sampled_out`, `method`, `queue_full`, `cpu`, `body_too_large`, `upgrade`, `stopping`.
    pub fn shadow_skipped(&self, reason: &'static str) {
        self.series.shadow_skipped.count(reason);
    }

    /// The two answers were compared: match, mismatch or incomparable.
    pub fn comparison(&self, verdict: &'static str) {
        self.series.comparisons.count(verdict);
    }

    /// A field differed. The first hundred fields of a route have a series of their own, the others share `other`.
    pub fn comparison_field(&self, field: &str, kind: FieldKind) {
        self.series.fields.count(field, kind);
    }

    /// Counts the verdict of the route's gate at the end of an interval.
    pub fn gate_verdict(&self, verdict: &'static str) {
        self.series.gate_verdicts.count(verdict);
    }

    /// Keeps the state of the route's gate for the metrics.
    pub fn gate_shown(&self, shown: GateShown) {
        *self.series.gate.lock() = Some(shown);
    }

    /// The route has no gate any more.
    pub fn gate_left(&self) {
        *self.series.gate.lock() = None;
    }

    pub fn shows_gate(&self) -> bool {
        self.series.gate.lock().is_some()
    }

    /// The last entry of the journal that is in force.
    pub fn dial_seq(&self, seq: u64) {
        self.series.dial_seq.store(seq, Relaxed);
    }

    /// The board's figures of a side; `None`: an index that the route does not have.
    pub fn summary(&self, side: usize, now: Instant, window: Duration) -> Option<SideSummary> {
        Some(self.series.side_summary(&self.sides.get(side)?.series, &self.bounds, now, window))
    }

    /// Requests and errors of a side in the window, by what [`super::Meters::tick`] remembered last: of very many routes at once.
    pub fn answers(&self, side: usize, now: Instant, window: Duration) -> (u64, u64) {
        self.sides.get(side).map_or((0, 0), |side| self.series.side_answers(&side.series, now, window))
    }

    /// All answers of a side since the program began, by the same.
    pub fn answered(&self, side: usize) -> u64 {
        self.sides.get(side).map_or(0, |side| side.series.seen.load(Relaxed))
    }

    /// How long ago a side answered last, by the same; `None`: not since the program began.
    pub fn quiet(&self, side: usize, now: Instant) -> Option<Duration> {
        let last = *self.sides.get(side)?.series.answered_last.lock();
        last.map(|last| now.saturating_duration_since(last))
    }

    /// The same for its 99th percentile, in seconds.
    pub fn p99(&self, side: usize, now: Instant, window: Duration) -> Option<f64> {
        RouteSeries::side_p99_lately(&self.sides.get(side)?.series, &self.bounds, now, window)
    }

    /// Requests that a side answered in each of the last `count` spans, the oldest first.
    pub fn requests_by_span(&self, side: usize, now: Instant, span: Duration, count: usize) -> Vec<u64> {
        let side = self.sides.get(side).map(|side| &side.series);
        side.map_or_else(|| vec![0; count], |side| RouteSeries::side_requests(side, now, span, count))
    }

    /// The same for the 99th percentile of its times, in seconds.
    pub fn p99_by_span(&self, side: usize, now: Instant, span: Duration, count: usize) -> Vec<Option<f64>> {
        let side = self.sides.get(side).map(|side| &side.series);
        side.map_or_else(|| vec![None; count], |side| RouteSeries::side_p99(side, &self.bounds, now, span, count))
    }

    /// The same for the service's answers to copies.
    pub fn copies_p99_by_span(&self, now: Instant, span: Duration, count: usize) -> Vec<Option<f64>> {
        self.series.copies_p99(&self.bounds, now, span, count)
    }

    /// The board's figures of the route beside its sides.
    pub fn route_summary(&self, now: Instant, window: Duration) -> RouteSummary {
        self.series.route_summary(now, window)
    }

    fn side(&self, side: Option<usize>) -> &Arc<SideSeries> {
        side.and_then(|side| self.sides.get(side))
            .map_or_else(|| self.series.none.get_or_init(|| SideSeries::new("none")), |side| &side.series)
    }
}

/// A request in flight; dropping it ends that.
#[derive(Debug)]
pub struct InFlight {
    gauge: Arc<AtomicI64>,
}

impl InFlight {
    pub(crate) fn new(gauge: Arc<AtomicI64>) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self { gauge }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.fetch_sub(1, Relaxed);
    }
}
