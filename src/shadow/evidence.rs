//! The evidence of one route, shared by the thread that gathers it and its readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::now;
use super::replays::Replays;
use super::rows::{Kept, Rows};
use crate::compare::{
    ComparedRequest, ComparedResponse, ComparisonResult, Difference, Evidence, KeptExchange, KeptRequest, Learned,
    Millis, NoiseBudget, Outcome, Report, Rules, Took,
};
use crate::compile::Route;
use crate::endpoint::{Source, UpstreamId, UpstreamSpec};

/// Evidence with the rules under which it was gathered. It lies in memory, or on disk until it is asked for.
pub(super) struct RouteEvidence {
    route: Arc<str>,
    rules: Rules,
    subject: Subject,
    rows: Arc<Rows>,
    evidence: Mutex<Option<Evidence>>,
    replays: Mutex<Replays>,
    /// Differs from what is on disk.
    changed: AtomicBool,
    /// The bits of the rates of mismatches and of undecided comparisons, so that the board need not have them read from disk.
    rates: [AtomicU64; 2],
    /// Match and mismatch.
    compared: AtomicU64,
    /// Bytes, as far as known: the length of its text.
    size: AtomicUsize,
    /// When it was last asked for or added to.
    used: AtomicU64,
}

/// The subject of evidence: with another one it begins anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// Of everything.
    pub(super) hash: u64,
    /// The gate's `version`.
    pub(super) version: Box<str>,
}

/// The subject of a route's evidence: which requests, which upstreams answer them, and how the responses are compared.
pub(super) fn subject(route: &Route, upstreams: &[Arc<UpstreamSpec>], rules: &Rules) -> Subject {
    let Route { rule, rewrite, answer, policy, .. } = route;
    let named = |id: UpstreamId| upstreams.get(id.index()).map(|spec| (&spec.name, whereabouts(&spec.source)));
    let (monolith, service) = (named(UpstreamId::MONOLITH), policy.service.and_then(named));
    let copies = policy.shadow.as_ref().map(|shadow| (&shadow.methods, &shadow.headers, shadow.reverse));
    let mut text =
        format!("{:x} {monolith:?} {service:?} {rule:?} {rewrite:?} {answer:?} {copies:?}", rules.fingerprint());
    // A new version of the service is another program at the same address.
    let version = policy.gate.as_ref().map(|gate| gate.version.clone()).unwrap_or_default();
    if !version.is_empty() {
        text.push(' ');
        text.push_str(&version);
    }
    Subject { hash: xxh3_64(text.as_bytes()), version }
}

/// Where an upstream is. Another address may be another program; order and weights of the same ones are not.
fn whereabouts(source: &Source) -> String {
    match source {
        Source::Fixed(endpoints) => {
            let mut addresses: Vec<_> = endpoints.iter().map(|(address, _)| address.to_string()).collect();
            addresses.sort_unstable();
            format!("{addresses:?}")
        }
        discovered => format!("{discovered:?}"),
    }
}

impl RouteEvidence {
    /// The evidence on disk about this subject, or none yet.
    pub(super) fn open(route: &Arc<str>, rules: Rules, subject: Subject, rows: &Arc<Rows>) -> Arc<Self> {
        let evidence = Self {
            route: Arc::clone(route),
            rules,
            subject,
            rows: Arc::clone(rows),
            evidence: Mutex::new(None),
            replays: Mutex::default(),
            changed: AtomicBool::new(false),
            rates: [const { AtomicU64::new(f64::NAN.to_bits()) }; 2],
            compared: AtomicU64::new(0),
            size: AtomicUsize::new(0),
            used: AtomicU64::new(0),
        };
        evidence.with(|_| ());
        Arc::new(evidence)
    }

    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The verdicts that are settled by this comparison; see `Evidence::record`.
    pub(super) fn record(
        &self,
        request: &ComparedRequest<'_>,
        control: &ComparedResponse,
        outcome: &Outcome,
        took: Took,
        learns: bool,
        now: Millis,
    ) -> Vec<ComparisonResult> {
        let wanted = self.with(|evidence| evidence.wants_exchange(outcome, now));
        // Redacting takes longer than counting: not under the lock.
        let exchange = wanted.then(|| KeptExchange::redacted(request, control, outcome, &self.rules, now)).flatten();
        let differs = !outcome.differences.is_empty() || outcome.statuses.is_some_and(|[from, to]| from != to);
        let asked = differs.then(|| KeptRequest::of(request, &self.rules));
        self.change(now, |evidence| {
            let verdicts = evidence.record(outcome, asked.as_ref(), took, learns, now);
            if let Some(exchange) = exchange {
                evidence.keep(exchange);
            }
            verdicts
        })
    }

    pub(super) fn record_unanswered(&self, request: &ComparedRequest<'_>, status: u16, now: Millis) {
        let asked = KeptRequest::of(request, &self.rules);
        self.change(now, |evidence| evidence.record_unanswered(status, &asked, now));
    }

    pub(super) fn record_replay(&self, outcome: &Outcome, at: Learned, now: Millis) -> Vec<ComparisonResult> {
        self.change(now, |evidence| evidence.record_replay(outcome, at, now))
    }

    /// Begins anew and says why.
    pub(super) fn reset(&self, now: Millis, why: &str) {
        self.change(now, |evidence| {
            *evidence = Evidence::new(&self.rules);
            evidence.begin(now, why);
        });
    }

    /// Says when it began and why, if it did.
    pub(super) fn begin(&self, now: Millis, why: &str) {
        self.change(now, |evidence| evidence.begin(now, why));
    }

    /// Whether the monolith is to be asked once more.
    pub(super) fn takes_replay(&self, budget: NoiseBudget, sample: u16, now: Millis) -> bool {
        let known = self.with(|evidence| evidence.noise_known());
        self.replays.lock().take(budget, known, sample, now)
    }

    /// All, or what came since a time.
    pub(super) fn report(&self, since: Option<Millis>, now: Millis) -> Report {
        self.with(|evidence| match since {
            Some(from) => Report::since(&self.route, evidence, from, now),
            None => Report::of(&self.route, evidence),
        })
    }

    /// A request that is still kept, and the fields with which it can be asked again.
    pub(super) fn kept_request(&self, number: u64) -> Option<(KeptRequest, Vec<(String, String)>)> {
        self.with(|evidence| evidence.kept_request(number))
    }

    pub(super) fn is_noise(&self, difference: &Difference) -> bool {
        self.with(|evidence| evidence.is_noise(difference))
    }

    pub(super) fn hurl(&self) -> String {
        self.with(|evidence| evidence.to_hurl(&self.route, &self.rules))
    }

    pub(super) fn shell(&self) -> String {
        self.with(|evidence| evidence.to_shell(&self.route))
    }

    /// Of mismatches and of undecided comparisons; `None` before the first.
    pub(super) fn rates(&self) -> (Option<f64>, Option<f64>) {
        let known = |rate: &AtomicU64| Some(f64::from_bits(rate.load(Relaxed))).filter(|rate| !rate.is_nan());
        let [mismatch, undecided] = &self.rates;
        (known(mismatch), known(undecided))
    }

    /// How many comparisons the rate of mismatches is of.
    pub(super) fn compared(&self) -> u64 {
        self.compared.load(Relaxed)
    }

    /// Writes it if it differs from what is on disk.
    pub(super) fn save(&self) {
        if self.changed.swap(false, Relaxed) {
            let text = self.with(|evidence| evidence.to_json());
            self.size.store(text.len(), Relaxed);
            if !self.rows.write(&self.route, self.subject.hash, text) {
                self.changed.store(true, Relaxed);
            }
        }
    }

    /// Bytes in memory, and when it was last used. `None`: it lies on disk alone.
    pub(super) fn weight(&self) -> Option<(u64, usize)> {
        self.evidence.lock().is_some().then(|| (self.used.load(Relaxed), self.size.load(Relaxed)))
    }

    /// Leaves it on disk alone, where it is written already.
    pub(super) fn put_away(&self) {
        let mut evidence = self.evidence.lock();
        if !self.changed.load(Relaxed) {
            *evidence = None;
        }
    }

    fn change<T>(&self, now: Millis, change: impl FnOnce(&mut Evidence) -> T) -> T {
        self.used.store(now, Relaxed);
        self.with(|evidence| {
            let result = change(evidence);
            // Under the lock: the evidence must not be archived between the two steps.
            self.changed.store(true, Relaxed);
            result
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Evidence) -> T) -> T {
        let mut lies = self.evidence.lock();
        let evidence = lies.get_or_insert_with(|| match self.rows.read(&self.route, self.subject.hash, &self.rules) {
            Kept::Same(evidence, size) => {
                self.size.store(size, Relaxed);
                *evidence
            }
            Kept::Other(why) => {
                let mut evidence = Evidence::new(&self.rules);
                evidence.begin(now(), why);
                evidence
            }
            Kept::Nothing => Evidence::new(&self.rules),
        });
        let result = look(evidence);
        let judged = evidence.compared().saturating_add(evidence.undecided());
        let rates = [rate(evidence.mismatches(), evidence.compared()), rate(evidence.undecided(), judged)];
        self.compared.store(evidence.compared(), Relaxed);
        self.rates.iter().zip(rates).for_each(|(known, rate)| known.store(rate.to_bits(), Relaxed));
        result
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of more than 2^53 requests may be off in the 16th digit")]
fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { f64::NAN } else { part as f64 / whole as f64 }
}
