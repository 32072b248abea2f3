//! The evidence of a route as others read it: `diff --json` and the admin API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Millis;
use super::difference::Kind;
use super::evidence::Evidence;
use super::incomparable::Incomparable;
use super::latency::Latency;
use super::noise::{Counts, interval, rate};
use super::statuses::{KeptRequest, Pair};
use super::tally::Tally;
use crate::message::ResultCode;

/// Everything that is known of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub route: String,
    /// Comparisons that ended in match or mismatch.
    pub compared: u64,
    pub verdicts: Verdicts,
    /// Comparisons that wait until noise is known; they are in no verdict yet.
    #[serde(default)]
    pub waiting: u64,
    /// The results of the copies, since the program started or the evidence was reset.
    #[serde(default)]
    pub copies: CopiesReport,
    /// Statuses that were not the same, the most frequent pair first.
    #[serde(default)]
    pub statuses: Vec<StatusReport>,
    /// Of match and mismatch; `None` before the first comparison.
    pub mismatch_rate: Option<f64>,
    /// Wilson's 95 % interval of the mismatch rate.
    pub interval: [f64; 2],
    /// Regressions first, then by how much more often they differ than the monolith from itself.
    pub fields: Vec<FieldReport>,
    pub replays: u64,
    /// Of these, those at a service that is a sandbox.
    #[serde(default)]
    pub replays_at_sandbox: u64,
    /// False: too few replays, so comparisons wait, or every differing field counts.
    pub noise_known: bool,
    /// False: no request of this route is sent twice, so that noise can never be known.
    #[serde(default = "yes")]
    pub noise_knowable: bool,
    /// By reason; empty where the report is about a part of the time.
    pub incomparable: BTreeMap<Incomparable, u64>,
    pub first_seen: Option<String>,
    pub last_seen: Option<String>,
    /// When the evidence began anew, and why.
    #[serde(default)]
    pub began: Option<Began>,
    /// The report is about what came since then.
    #[serde(default)]
    pub since: Option<String>,
    /// Has only what the request asked for.
    #[serde(skip)]
    pub part: bool,
    pub latency: Latencies,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    pub at: String,
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts {
    #[serde(rename = "match")]
    pub matches: u64,
    pub mismatch: u64,
    /// Nothing differed that counts, and nothing was left that could have.
    #[serde(default)]
    pub undecided: u64,
    pub incomparable: u64,
    /// Never judged.
    #[serde(default)]
    pub dropped: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesReport {
    pub answered: u64,
    pub timeout: u64,
    pub connect: u64,
    pub reset: u64,
    pub skipped: BTreeMap<String, u64>,
    /// Why the last copy without an answer got none.
    #[serde(default)]
    pub last_failure: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// A status; of a call of gRPC `"grpc-5"`.
    pub from: serde_json::Value,
    /// The same, or `"no answer"`.
    pub to: serde_json::Value,
    pub count: u64,
    /// Of these, requests with credentials.
    pub authorized: u64,
    pub last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// The newest ones.
    pub requests: Vec<RequestReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestReport {
    /// The number that `diff ROUTE --replay` takes.
    #[serde(default)]
    pub number: Option<u64>,
    pub method: String,
    pub target: String,
    pub request_id: Option<String>,
    pub seen: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    pub field: String,
    /// Comparisons in which it differed.
    pub raw: u64,
    /// Replays in which a side disagreed with itself.
    pub noise: u64,
    pub raw_rate: f64,
    pub noise_rate: f64,
    pub regression: bool,
    /// The least rate of a fault in this field that would have been seen, with 95 %.
    #[serde(default)]
    pub blind_rate: f64,
    pub kinds: Vec<Kind>,
    pub first_seen: String,
    pub last_seen: String,
    /// The newest first.
    pub examples: Vec<ExampleReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleReport {
    /// The number that `diff ROUTE --replay` takes.
    #[serde(default)]
    pub number: Option<u64>,
    pub control: Option<String>,
    pub candidate: Option<String>,
    pub seen: String,
    #[serde(default)]
    pub method: Option<String>,
    /// Path and query, without secrets.
    #[serde(default)]
    pub target: Option<String>,
    #[serde(default)]
    pub request_id: Option<String>,
    /// Of both sides.
    #[serde(default)]
    pub statuses: Option<[serde_json::Value; 2]>,
}

/// Of both sides, over the compared requests; none where the report is about a part of the time.
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
    /// All that is kept.
    pub fn of(route: &str, evidence: &Evidence) -> Self {
        let verdicts = Verdicts {
            matches: evidence.compared().saturating_sub(evidence.mismatches()),
            mismatch: evidence.mismatches(),
            undecided: evidence.undecided(),
            incomparable: evidence.incomparable().values().sum(),
            dropped: evidence.dropped(),
        };
        let field = |tally: &Tally| FieldReport::of(tally, evidence, evidence.counts(tally));
        Self::with(route, evidence, verdicts, evidence.tallies().iter().map(field).collect())
    }

    /// The comparisons since a time; the noise is known from all that is kept.
    pub fn since(route: &str, evidence: &Evidence, from: Millis, now: Millis) -> Self {
        let ([matches, mismatch, undecided], [incomparable, replays, taken]) = evidence.since(from, now);
        let verdicts = Verdicts { matches, mismatch, undecided, incomparable, dropped: 0 };
        let field = |tally: &Tally| {
            let [raw, open, noise] = tally.window.since(from, now);
            let counts = Counts { raw: raw.min(taken), compared: taken, noise: noise.min(replays), replays };
            let mut field = FieldReport::of(tally, evidence, counts);
            field.regression = evidence.is_regression(tally) && if evidence.noise_known() { open > 0 } else { raw > 0 };
            let from = written(from);
            field.examples.retain(|example| example.seen >= from);
            (raw > 0 || noise > 0).then_some(field)
        };
        let mut report = Self::with(route, evidence, verdicts, evidence.tallies().iter().filter_map(field).collect());
        report.statuses = evidence.statuses().since(from, now).pairs().into_iter().map(StatusReport::of).collect();
        // Times, and reasons why nothing could be compared, are not told apart by when they were seen.
        report.latency = Latencies { control: Quantiles::NONE, candidate: Quantiles::NONE };
        report.incomparable.clear();
        report.since = Some(written(from));
        report
    }

    fn with(route: &str, evidence: &Evidence, verdicts: Verdicts, mut fields: Vec<FieldReport>) -> Self {
        let Verdicts { matches, mismatch, .. } = verdicts;
        let compared = matches + mismatch;
        let (low, high) = interval(mismatch, compared);
        let (first, last) = evidence.seen();
        let [control, candidate] = evidence.latencies().map(Quantiles::of);
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
            verdicts,
            waiting: evidence.waiting(),
            copies: CopiesReport::default(),
            statuses: evidence.statuses().pairs().into_iter().map(StatusReport::of).collect(),
            mismatch_rate: (compared > 0).then(|| rate(mismatch, compared)),
            interval: [low, high],
            fields,
            replays: evidence.replays(),
            replays_at_sandbox: evidence.learned()[1],
            noise_known: evidence.noise_known(),
            noise_knowable: !evidence.is_unlearnable(),
            incomparable: evidence.incomparable().clone(),
            first_seen: first.map(written),
            last_seen: last.map(written),
            began: evidence.began().map(|(at, why)| Began { at: written(*at), why: why.clone() }),
            since: None,
            part: false,
            latency: Latencies { control, candidate },
        }
    }

    /// The names of the fields that make mismatches.
    pub fn regressions(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| field.regression).map(|field| field.field.as_str())
    }
}

impl StatusReport {
    fn of(pair: &Pair) -> Self {
        let request = |(at, asked): &(Millis, KeptRequest)| RequestReport {
            number: number(asked),
            method: asked.method.clone(),
            target: asked.target.clone(),
            request_id: asked.request_id.clone(),
            seen: written(*at),
        };
        Self {
            from: shown(pair.from),
            to: pair.to.map_or_else(|| "no answer".into(), shown),
            count: pair.count,
            authorized: pair.authorized,
            last_seen: written(pair.last),
            hint: pair.hint().map(str::to_owned),
            requests: pair.requests.iter().rev().map(request).collect(),
        }
    }
}

/// A number, or the word without quotes.
pub fn status_word(code: &serde_json::Value) -> String {
    code.as_str().map_or_else(|| code.to_string(), str::to_owned)
}

impl FieldReport {
    fn of(tally: &Tally, evidence: &Evidence, counts: Counts) -> Self {
        let examples = tally.shown().rev().map(|kept| ExampleReport {
            number: kept.asked.as_ref().and_then(number),
            control: kept.example.control.clone(),
            candidate: kept.example.candidate.clone(),
            seen: written(kept.at),
            method: kept.asked.as_ref().map(|asked| asked.method.clone()),
            target: kept.asked.as_ref().map(|asked| asked.target.clone()),
            request_id: kept.asked.as_ref().and_then(|asked| asked.request_id.clone()),
            statuses: kept.statuses.map(|statuses| statuses.map(shown)),
        });
        Self {
            field: tally.field.clone(),
            raw: counts.raw,
            noise: counts.noise,
            raw_rate: counts.raw_rate(),
            noise_rate: counts.noise_rate(),
            regression: evidence.is_regression(tally),
            blind_rate: evidence.blind_rate(tally),
            kinds: tally.kinds.iter().copied().collect(),
            first_seen: written(tally.first),
            last_seen: written(tally.last),
            examples: examples.collect(),
        }
    }
}

impl Quantiles {
    const NONE: Self = Self { p50_seconds: None, p99_seconds: None };

    fn of(latency: &Latency) -> Self {
        Self { p50_seconds: latency.quantile(0.5), p99_seconds: latency.quantile(0.99) }
    }
}

fn number(asked: &KeptRequest) -> Option<u64> {
    Some(asked.number).filter(|number| *number > 0)
}

/// A status of HTTP as its number, one of gRPC as `"grpc-5"`.
pub(super) fn shown(code: u16) -> serde_json::Value {
    let code = ResultCode::from_number(code);
    if code.as_grpc().is_some() { code.to_string().into() } else { code.as_http().into() }
}

/// RFC 3339 to the second.
fn written(at: Millis) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}
