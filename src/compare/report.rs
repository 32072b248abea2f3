//! The evidence of a route as others read it: `diff --json` and the admin API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Millis;
use super::difference::Kind;
use super::evidence::Evidence;
use super::latency::Latency;
use super::noise::{interval, rate};
use super::tally::Tally;
use super::verdict::Incomparable;

/// Everything that is known of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub route: String,
    /// Comparisons that ended in match or mismatch.
    pub compared: u64,
    pub verdicts: Verdicts,
    /// `None` before the first comparison.
    pub mismatch_rate: Option<f64>,
    /// Wilson's 95 % interval of the mismatch rate.
    pub interval: [f64; 2],
    /// Regressions first, then by how much more often they differ than the monolith from itself.
    pub fields: Vec<FieldReport>,
    pub replays: u64,
    /// False: too few replays, so every differing field counts.
    pub noise_known: bool,
    pub incomparable: BTreeMap<Incomparable, u64>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    pub latency: Latencies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    #[serde(rename = "match")]
    pub matches: u64,
    pub mismatch: u64,
    pub incomparable: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    pub field: String,
    /// Comparisons in which it differed.
    pub raw: u64,
    /// Replays in which the monolith disagreed with itself.
    pub noise: u64,
    pub raw_rate: f64,
    pub noise_rate: f64,
    pub regression: bool,
    pub kinds: Vec<Kind>,
    pub first_seen: String,
    pub last_seen: String,
    pub examples: Vec<ExampleReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleReport {
    pub control: Option<String>,
    pub candidate: Option<String>,
    pub seen: String,
}

/// Of both sides, over the compared requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    pub control: Quantiles,
    pub candidate: Quantiles,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
}

impl Report {
    pub fn of(route: &str, evidence: &Evidence) -> Self {
        let (compared, mismatch) = (evidence.compared(), evidence.mismatches());
        let (low, high) = interval(mismatch, compared);
        let (first, last) = evidence.seen();
        let [control, candidate] = evidence.latencies().map(Quantiles::of);
        let mut fields = evidence.tallies().iter().map(|tally| FieldReport::of(tally, evidence)).collect::<Vec<_>>();
        fields.sort_by(|a, b| {
            let weight = |field: &FieldReport| field.raw_rate - field.noise_rate;
            (b.regression.cmp(&a.regression))
                .then(weight(b).total_cmp(&weight(a)))
                .then(b.raw.cmp(&a.raw))
                .then(a.field.cmp(&b.field))
        });
        Self {
            route: route.to_owned(),
            compared,
            verdicts: Verdicts {
                matches: compared.saturating_sub(mismatch),
                mismatch,
                incomparable: evidence.incomparable().values().sum(),
            },
            mismatch_rate: (compared > 0).then(|| rate(mismatch, compared)),
            interval: [low, high],
            fields,
            replays: evidence.replays(),
            noise_known: evidence.noise_known(),
            incomparable: evidence.incomparable().clone(),
            first_seen: first.map(written),
            last_seen: last.map(written),
            latency: Latencies { control, candidate },
        }
    }

    /// The names of the fields that make mismatches.
    pub fn regressions(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| field.regression).map(|field| field.field.as_str())
    }
}

impl FieldReport {
    fn of(tally: &Tally, evidence: &Evidence) -> Self {
        let counts = evidence.counts(tally);
        let examples = tally.examples.iter().map(|kept| ExampleReport {
            control: kept.example.control.clone(),
            candidate: kept.example.candidate.clone(),
            seen: written(kept.at),
        });
        Self {
            field: tally.field.clone(),
            raw: counts.raw,
            noise: counts.noise,
            raw_rate: counts.raw_rate(),
            noise_rate: counts.noise_rate(),
            regression: evidence.is_regression(tally),
            kinds: tally.kinds.iter().copied().collect(),
            first_seen: written(tally.first),
            last_seen: written(tally.last),
            examples: examples.collect(),
        }
    }
}

impl Quantiles {
    fn of(latency: &Latency) -> Self {
        Self { p50_seconds: latency.quantile(0.5), p99_seconds: latency.quantile(0.99) }
    }
}

/// RFC 3339 to the second.
fn written(at: Millis) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}
