//! The evidence of one route, shared by the thread that gathers it and those who read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::replays::Replays;
use crate::compare::{Answer, Evidence, Exchange, Millis, NoiseBudget, Outcome, Report, Request, Rules, Took, Verdict};
use crate::route::Route;

/// Evidence with the rules under which it was gathered.
pub(super) struct RouteEvidence {
    route: Arc<str>,
    rules: Rules,
    /// What it is about: with another subject it begins anew.
    subject: u64,
    evidence: Mutex<Evidence>,
    replays: Mutex<Replays>,
    changed: AtomicBool,
}

/// What the evidence of a route is about: which requests, which service, and how they are compared.
pub(super) fn subject(route: &Route, service: Option<&str>, rules: &Rules) -> u64 {
    let Route { rule, rewrite, answer, policy, .. } = route;
    let copies = policy.shadow.as_ref().map(|shadow| (&shadow.methods, &shadow.headers, shadow.reverse));
    let text = format!("{:x} {service:?} {rule:?} {rewrite:?} {answer:?} {copies:?}", rules.fingerprint());
    xxh3_64(text.as_bytes())
}

impl RouteEvidence {
    pub(super) fn new(route: &Arc<str>, rules: Rules, subject: u64, evidence: Option<Evidence>) -> Arc<Self> {
        let evidence = evidence.unwrap_or_else(|| Evidence::new(&rules));
        Arc::new(Self {
            route: Arc::clone(route),
            rules,
            subject,
            evidence: Mutex::new(evidence),
            replays: Mutex::default(),
            changed: AtomicBool::new(false),
        })
    }

    pub(super) const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn route(&self) -> &str {
        &self.route
    }

    pub(super) const fn subject(&self) -> u64 {
        self.subject
    }

    pub(super) fn record(
        &self,
        request: &Request<'_>,
        control: &Answer,
        outcome: &Outcome,
        took: Took,
        now: Millis,
    ) -> Verdict {
        let wanted = self.evidence.lock().wants_exchange(outcome);
        // Redacting takes longer than counting: not under the lock.
        let exchange = wanted.then(|| Exchange::redacted(request, control, outcome, &self.rules, now)).flatten();
        let mut evidence = self.evidence.lock();
        let verdict = evidence.record(outcome, took, now);
        if let Some(exchange) = exchange {
            evidence.keep(exchange);
        }
        drop(evidence);
        self.changed.store(true, Relaxed);
        verdict
    }

    pub(super) fn record_replay(&self, outcome: &Outcome, now: Millis) {
        self.evidence.lock().record_replay(outcome, now);
        self.changed.store(true, Relaxed);
    }

    /// Whether the monolith is to be asked once more.
    pub(super) fn takes_replay(&self, budget: NoiseBudget, sample: u16, now: Millis) -> bool {
        let known = self.evidence.lock().noise_known();
        self.replays.lock().take(budget, known, sample, now)
    }

    pub(super) fn report(&self) -> Report {
        Report::of(&self.route, &self.evidence.lock())
    }

    pub(super) fn hurl(&self) -> String {
        self.evidence.lock().to_hurl(&self.route, &self.rules)
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate of more than 2^53 requests may be off in the 16th digit")]
    pub(super) fn mismatch_rate(&self) -> Option<f64> {
        let evidence = self.evidence.lock();
        let compared = evidence.compared();
        (compared > 0).then(|| evidence.mismatches() as f64 / compared as f64)
    }

    /// The text for the disk if it differs from what is there; it then counts as written.
    pub(super) fn take_changed(&self) -> Option<String> {
        self.changed.swap(false, Relaxed).then(|| self.evidence.lock().to_json())
    }

    /// It could not be written after all.
    pub(super) fn still_changed(&self) {
        self.changed.store(true, Relaxed);
    }
}
