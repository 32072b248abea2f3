//! The series of routes and upstreams in the shape that the prometheus crate encodes. Built at scrape time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily};

use super::described::{FAMILIES, Family};
use super::edge::{REFUSALS, RETRIES};
use super::fields::FieldKind;
use super::histogram::Histogram;
use super::series::{RouteSeries, SideSeries};
use super::{Shared, words::Words};
use crate::message::ResultCode;
use crate::migration::Stage;

/// Up to this many routes every series is there from the start, so that a first event is a step from 0 and a panel
/// is never empty. Beyond, what was never counted is left out: a hundred thousand quiet routes are not worth 300 MB a scrape.
const ROUTES_IN_FULL: usize = 1000;

const FALLBACKS: [&str; 9] =
    ["connect", "no_endpoint", "queue", "timeout", "reset", "status", "protocol", "breaker_open", "target"];
const ERRORS: [&str; 7] = ["connect", "no_endpoint", "queue", "timeout", "reset", "status", "protocol"];
const OUTCOMES: [&str; 4] = ["answered", "timeout", "connect", "reset"];
const SKIPPED: [&str; 10] = [
    "sampled_out",
    "method",
    "queue_full",
    "cpu",
    "body_too_large",
    "upgrade",
    "stopping",
    "incomplete",
    "credentials",
    "target",
];
const GATE_VERDICTS: [&str; 3] = ["advance", "hold", "roll-back"];
const VERDICTS: [&str; 5] = ["match", "mismatch", "undecided", "incomparable", "dropped"];

/// Collects what `Shared` holds.
pub(super) struct Families {
    shared: Arc<Shared>,
    descs: Vec<Desc>,
}

impl Families {
    pub(super) fn new(shared: Arc<Shared>) -> prometheus::Result<Self> {
        let descs = FAMILIES.iter().map(|described| {
            let labels = described.labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(described.name.to_owned(), described.help.to_owned(), labels, HashMap::new())
        });
        let descs = descs.collect::<prometheus::Result<_>>()?;
        Ok(Self { shared, descs })
    }
}

impl Collector for Families {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut page = Page::new();
        let routes: Vec<Arc<RouteSeries>> = self.shared.routes.lock().values().cloned().collect();
        let full = routes.len() <= ROUTES_IN_FULL;
        for route in &routes {
            page.route(route, &self.shared.bounds, full);
        }
        page.edge(&self.shared);
        page.progress(&self.shared, &routes);
        page.families
    }
}

struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    fn new() -> Self {
        let families = FAMILIES.iter().map(|described| {
            let mut family = MetricFamily::default();
            family.set_name(described.name.to_owned());
            family.set_help(described.help.to_owned());
            family.set_field_type(described.kind);
            family
        });
        Self { families: families.collect() }
    }

    fn add(&mut self, family: Family, values: &[&str], value: Value) {
        let place = family as usize;
        let pairs = FAMILIES[place].labels.iter().zip(values).map(|(label, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*label).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        match value {
            Value::Count(count) => {
                let mut counter = Counter::default();
                counter.set_value(float(count));
                metric.set_counter(counter);
            }
            Value::Level(level) => {
                let mut gauge = Gauge::default();
                gauge.set_value(level);
                metric.set_gauge(gauge);
            }
            Value::Spread(histogram) => metric.set_histogram(histogram),
        }
        self.families[place].mut_metric().push(metric);
    }

    fn words(&mut self, family: Family, before: &[&str], words: &Words, expected: &[&'static str]) {
        words.each_with(expected, |word, count| {
            let mut values = before.to_vec();
            values.push(word);
            self.add(family, &values, Value::Count(count));
        });
    }

    fn histogram(&mut self, family: Family, values: &[&str], histogram: &Histogram, bounds: &[f64]) {
        if let Some(spread) = histogram.to_proto(bounds) {
            self.add(family, values, Value::Spread(spread));
        }
    }

    fn route(&mut self, route: &RouteSeries, bounds: &[f64], full: bool) {
        let name = &*route.name;
        let expected = |words: &'static [&'static str]| if full { words } else { &[] };
        let stage = self.dials(route, full);
        let sides = route.sides.lock().clone();
        for side in sides.iter().chain(route.none.get()) {
            self.answers(name, side, stage.filter(|_| full));
            self.histogram(Family::RequestSeconds, &[name, &side.name], &side.seconds, bounds);
            let kinds: &[_] = if &*side.name == "none" { &[] } else { expected(&ERRORS) };
            self.words(Family::UpstreamErrors, &[name, &side.name], &side.errors, kinds);
        }
        for upstream in &*route.upstreams.lock() {
            self.histogram(Family::UpstreamSeconds, &[name, &upstream.name], &upstream.seconds, bounds);
        }
        let may_fall_back = route.has_breaker.load(Relaxed);
        let reasons: &[_] = if may_fall_back { expected(&FALLBACKS) } else { &[] };
        self.words(Family::Fallbacks, &[name], &route.fallbacks, reasons);
        self.words(Family::Faults, &[name], &route.faults, &[]);
        self.words(Family::ShadowRequests, &[name], &route.shadow_sent, expected(&OUTCOMES));
        self.words(Family::ShadowSkipped, &[name], &route.shadow_skipped, expected(&SKIPPED));
        self.histogram(Family::ShadowSeconds, &[name], &route.shadow_seconds, bounds);
        self.words(Family::Comparisons, &[name], &route.comparisons, expected(&VERDICTS));
        route.fields.each(|field, kind, count| {
            let kind = match kind {
                FieldKind::Raw => "raw",
                FieldKind::Noise => "noise",
            };
            self.add(Family::ComparisonFields, &[name, field, kind], Value::Count(count));
        });
        self.gate(route);
        let seq = route.dial_seq.load(Relaxed);
        if seq > 0 {
            self.add(Family::DialSeq, &[name], Value::Level(float(seq)));
        }
        let aborts = route.aborts.load(Relaxed);
        if full || aborts > 0 {
            self.add(Family::ClientAborts, &[name], Value::Count(aborts));
        }
        let open = route.breaker_open.load(Relaxed);
        if full && may_fall_back || open {
            self.add(Family::BreakerOpen, &[name], Value::Level(f64::from(u8::from(open))));
        }
    }

    fn gate(&mut self, route: &RouteSeries) {
        let Some(shown) = route.gate.lock().clone() else { return };
        let name = &*route.name;
        self.words(Family::GateVerdicts, &[name], &route.gate_verdicts, &GATE_VERDICTS);
        for (metric, direction, ln) in &shown.evidence {
            self.add(Family::GateEvidence, &[name, metric, direction], Value::Level(*ln));
        }
        if let Some(needs) = shown.needs {
            self.add(Family::GateNeeds, &[name], Value::Level(float(needs)));
        }
        for state in &shown.states {
            self.add(Family::GateState, &[name, state], Value::Level(f64::from(u8::from(*state == shown.state))));
        }
    }

    fn answers(&mut self, route: &str, side: &SideSeries, expected: Option<Stage>) {
        let mut missing = expected.filter(|_| &*side.name != "none");
        side.each_answer(|stage, method, code, count| {
            if (Some(stage), method, code) == (expected, "GET", ResultCode::http(200)) {
                missing = None;
            }
            let values = [route, &side.name, stage.as_str(), method, &code.to_string()];
            self.add(Family::Requests, &values, Value::Count(count));
        });
        if let Some(stage) = missing {
            self.add(Family::Requests, &[route, &side.name, stage.as_str(), "GET", "200"], Value::Count(0));
        }
    }

    /// Stage, shares and moves; gives the stage in force.
    fn dials(&mut self, route: &RouteSeries, full: bool) -> Option<Stage> {
        let name = &*route.name;
        let dials = route.dials.lock();
        for moves in &dials.moves {
            let values = [name, moves.from.as_str(), moves.to.as_str(), moves.by];
            self.add(Family::Moves, &values, Value::Count(moves.count));
        }
        let shown = dials.in_force.as_ref()?;
        for stage in Stage::ALL {
            let here = stage == shown.stage;
            if here || full {
                self.add(Family::RouteStage, &[name, stage.as_str()], Value::Level(f64::from(u8::from(here))));
            }
        }
        for (side, share) in &shown.shares {
            self.add(Family::RouteWeight, &[name, side], Value::Level(*share));
        }
        Some(shown.stage)
    }

    fn edge(&mut self, shared: &Shared) {
        let edge = &shared.edge;
        for (side, gauge) in &*edge.in_flight.read() {
            #[expect(clippy::cast_precision_loss, reason = "requests in flight are few")]
            self.add(Family::InFlight, &[side], Value::Level(gauge.load(Relaxed) as f64));
        }
        self.words(Family::Refused, &[], &edge.refused, &REFUSALS);
        if let Some(spans) = edge.spans_dropped.get() {
            self.add(Family::SpansDropped, &[], Value::Count(spans.load(Relaxed)));
        }
        if let Some([sent, dropped]) = edge.cloud_events.get() {
            self.add(Family::EventsSent, &[], Value::Count(sent.load(Relaxed)));
            self.add(Family::EventsDropped, &[], Value::Count(dropped.load(Relaxed)));
        }
        for (name, upstream) in &*edge.upstreams.read() {
            self.words(Family::Retries, &[name], &upstream.retries, &RETRIES);
            if let Some(counts) = *upstream.endpoints.lock() {
                let states = [
                    ("healthy", counts.healthy),
                    ("unhealthy", counts.unhealthy),
                    ("draining", counts.draining),
                    ("starting", counts.starting),
                    ("unchecked", counts.unchecked),
                    ("failing", counts.failing),
                ];
                for (state, count) in states {
                    self.add(Family::UpstreamEndpoints, &[name, state], Value::Level(float(count as u64)));
                }
            }
            if let Some(queue) = &*upstream.queue.lock() {
                #[expect(clippy::cast_precision_loss, reason = "requests that wait are few")]
                self.add(Family::QueueLength, &[name], Value::Level(queue.length.load(Relaxed) as f64));
                self.histogram(Family::QueueSeconds, &[name], &queue.seconds, &shared.bounds);
            }
            if let Some(up) = *upstream.discovery_up.lock() {
                self.add(Family::DiscoveryUp, &[name], Value::Level(f64::from(u8::from(up))));
            }
        }
    }

    fn progress(&mut self, shared: &Shared, routes: &[Arc<RouteSeries>]) {
        let (done, all) = super::series::moved(routes);
        let share = if all == 0 { 0.0 } else { float(done) / float(all) };
        self.add(Family::Progress, &["routes"], Value::Level(share));
        self.add(Family::Progress, &["requests"], Value::Level(shared.progress.lock().share()));
        if let Some(share) = shared.edge.endpoints_moved() {
            self.add(Family::Progress, &["endpoints"], Value::Level(share));
        }
    }
}

enum Value {
    Count(u64),
    Level(f64),
    Spread(prometheus::proto::Histogram),
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not occur")]
fn float(count: u64) -> f64 {
    count as f64
}
