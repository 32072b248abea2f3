//! A gate's report: for the API, the journal and the metrics.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::course::{State, step_of};
use super::said::GateSaid;
use crate::migration::dial::Standing;
use crate::migration::gate::words;
use crate::migration::gate::{Direction, Gate, Metric, Needs, Rates, Reading, Ruling, Verdict};
use crate::telemetry::GateShown;

/// `GET /api/v1/routes/{name}/gate`.
#[derive(Debug, Clone, Serialize)]
pub struct GateReport {
    pub state: &'static str,
    pub verdict: &'static str,
    /// A person paused its roll-backs, too: it takes the route back under no verdict.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused_all: bool,
    /// Sure that the service is worse than allowed. Where the file says `on_fail = "hold"`, and in `shadow`, the verdict is `hold`.
    pub worse: bool,
    /// From 1.
    pub step: usize,
    pub steps: usize,
    pub why: String,
    /// In words: `needs 610 more, about 2 min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    pub needs: Option<NeedsReport>,
    pub metrics: BTreeMap<&'static str, Value>,
}

/// The missing evidence; `seconds` at the present rate.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct NeedsReport {
    /// `None`: no end in sight.
    pub requests: Option<u64>,
    pub seconds: Option<f64>,
}

impl Default for GateReport {
    fn default() -> Self {
        Self {
            state: State::Off.as_str(),
            verdict: Verdict::Hold.as_str(),
            paused_all: false,
            worse: false,
            step: 0,
            steps: 0,
            why: String::new(),
            waits_for: None,
            needs: None,
            metrics: BTreeMap::new(),
        }
    }
}

impl GateReport {
    /// Without the evidence: for a list of very many routes.
    pub(super) fn in_short(state: State, ruling: Option<&Ruling>, (step, steps): (usize, usize), rates: Rates) -> Self {
        let verdict = verdict(state, ruling).as_str();
        let (paused_all, worse) = (state == State::Paused { all: true }, is_worse(ruling));
        let mut report = Self { state: state.as_str(), verdict, paused_all, worse, step, steps, ..Self::default() };
        match (ruling, state) {
            (Some(_), State::Latched) => {
                "rolled back; a promotion, the file or a new `version` begins anew".clone_into(&mut report.why);
            }
            (Some(ruling), _) => {
                report.why.clone_from(&ruling.why);
                report.waits_for = words::needs(ruling.needs, rates);
                report.needs = needs(ruling.needs, rates);
            }
            (None, _) => "the stage is not one that a gate moves".clone_into(&mut report.why),
        }
        report
    }

    /// Of a gate that is in force and was not looked at yet, which takes a second at most.
    pub(super) fn unlooked(standing: &Standing, gate: &Gate) -> Self {
        let why = if standing.pause.is_on() {
            words::paused(standing.pause, false)
        } else {
            "nothing is counted yet".to_owned()
        };
        let ruling = Ruling { verdict: Verdict::Hold, why, needs: Needs::Nothing, readings: Vec::new() };
        let state = State::unlooked(standing, gate);
        let step = (step_of(standing.dial, gate) + 1, gate.steps.len());
        Self::in_short(state, (state != State::Off).then_some(&ruling), step, Rates::default())
    }

    /// The same in two words.
    pub const fn said(&self) -> GateSaid {
        GateSaid { state: self.state, verdict: self.verdict, worse: self.worse }
    }

    pub(super) fn with_evidence(mut self, ruling: &Ruling) -> Self {
        self.metrics = metrics(ruling);
        self
    }
}

/// The verdict of a gate in this state: one that was rolled back says no more than that.
pub(super) fn verdict(state: State, ruling: Option<&Ruling>) -> Verdict {
    ruling.filter(|_| state != State::Latched).map_or(Verdict::Hold, |ruling| ruling.verdict)
}

/// One proof is enough to be sure of the worst.
pub(super) fn is_worse(ruling: Option<&Ruling>) -> bool {
    ruling.is_some_and(|ruling| ruling.readings.iter().any(Reading::is_worse))
}

/// For the metrics: logarithms of the evidence, and what is missing. `said`: the state in its word, which another replica may say.
pub(super) fn shown(said: &'static str, state: State, ruling: Option<&Ruling>) -> GateShown {
    let readings = ruling.map(|ruling| ruling.readings.as_slice()).unwrap_or_default();
    let evidence = readings.iter().flat_map(|reading| {
        let name = reading.metric.as_str();
        let ln = |evidence: f64| evidence.max(f64::MIN_POSITIVE).ln();
        [(name, Direction::Worse.as_str(), ln(reading.worse)), (name, Direction::Better.as_str(), ln(reading.better))]
    });
    GateShown {
        state: said,
        states: State::ALL.map(State::as_str).to_vec(),
        evidence: evidence.collect(),
        needs: ruling.filter(|_| state != State::Latched).and_then(|ruling| missing(ruling.needs)),
    }
}

fn missing(needs: Needs) -> Option<u64> {
    match needs {
        Needs::Requests(more) | Needs::Comparisons(more) => Some(more),
        Needs::Nothing | Needs::Unknown | Needs::NoEnd | Needs::OldLimit | Needs::Unpaired | Needs::KeptWaiting => None,
    }
}

fn needs(needs: Needs, rates: Rates) -> Option<NeedsReport> {
    let report = NeedsReport { requests: missing(needs), seconds: words::seconds(needs, rates) };
    (needs != Needs::Nothing).then_some(report)
}

fn whole(count: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
    {
        count as u64
    }
}

/// Four significant digits are more than evidence has.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// One metric, as the API and the journal show it: `[counted, of]` of each side.
fn evidence(reading: &Reading) -> Value {
    let side = |count: crate::migration::gate::Proportion| json!([whole(count.counted), whole(count.of)]);
    let mut shown = json!({
        "service": side(reading.service),
        "monolith": side(reading.monolith),
        "margin": reading.margin,
        "worse": rounded(reading.worse),
        "better": rounded(reading.better),
        "worse_at": reading.worse_at,
        "better_at": rounded(reading.better_at),
        "required": reading.required,
        "needs": match reading.needs {
            Needs::Requests(more) | Needs::Comparisons(more) if reading.required => Some(more),
            _ => None,
        },
        "phi": rounded(reading.factor),
    });
    if let Some(instead) = reading.instead {
        shown["instead"] = json!(instead.as_str());
    }
    if let (Metric::Latency(_) | Metric::PairLatency(_), Some((monolith, service))) = (reading.metric, reading.limits) {
        shown["threshold_seconds"] = json!(rounded(service));
        shown["monolith_threshold_seconds"] = json!(rounded(monolith));
    }
    shown
}

/// The numbers that a move rested on, as the journal keeps them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Numbers {
    pub step: usize,
    pub of: usize,
    pub metrics: BTreeMap<&'static str, Value>,
}

/// The numbers that a ruling rests on.
pub fn numbers(ruling: &Ruling, (step, of): (usize, usize)) -> Numbers {
    Numbers { step, of, metrics: metrics(ruling) }
}

fn metrics(ruling: &Ruling) -> BTreeMap<&'static str, Value> {
    ruling.readings.iter().map(|reading| (reading.metric.as_str(), evidence(reading))).collect()
}
