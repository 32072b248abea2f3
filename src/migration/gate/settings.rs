//! The settings of a route's gate: `[routes.NAME.gate]` over `[gate]`, compiled.

use std::time::Duration;

use crate::migration::{Percent, Stage};

/// The action of a gate when a service is surely worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    RollBack,
    Hold,
}

/// The settings of one gate. Shares that are margins are ratios: 0.005 is 0.5 %, or half a percentage point.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Weights of the canary, rising; never empty.
    pub steps: Vec<Percent>,
    /// Between two looks whether to advance.
    pub interval: Duration,
    /// Of the service, in a step, before it may advance.
    pub min_requests: u64,
    /// 0.5 to 0.9999.
    pub confidence: f64,
    pub max_error_increase: f64,
    pub max_refusal_increase: f64,
    /// Relative to the monolith's time.
    pub max_latency_increase: f64,
    pub max_mismatch: f64,
    pub min_compared: u64,
    /// After a move the latency is not judged for this long.
    pub settle: Duration,
    /// The share of the clients that stays with the monolith in the step of 100 %, until it is sure.
    pub control: Percent,
    /// Requests that both sides answered prove what they can.
    pub pairs: bool,
    /// Stages into which a person lets the route.
    pub approve: Vec<Stage>,
    pub on_fail: OnFail,
    /// Free text; another one unlatches the gate and begins the evidence anew.
    pub version: Box<str>,
}

impl Default for Gate {
    /// The meaning of `gate = {}` where `[gate]` says nothing.
    fn default() -> Self {
        let share = |hundredths| Percent::from_hundredths(hundredths).expect("the defaults are at most 100 %");
        Self {
            steps: [100, 500, 2500, 5000, 10_000].map(share).to_vec(),
            interval: Duration::from_secs(60),
            min_requests: 100,
            confidence: 0.98,
            max_error_increase: 0.005,
            max_refusal_increase: 0.01,
            max_latency_increase: 0.2,
            max_mismatch: 0.001,
            min_compared: 1000,
            settle: Duration::from_secs(180),
            control: share(100),
            pairs: true,
            approve: vec![Stage::Migrated],
            on_fail: OnFail::RollBack,
            version: "".into(),
        }
    }
}

impl Gate {
    /// The probability of a wrong verdict that is accepted.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        1.0 - self.confidence
    }

    /// The weight under which a step runs: the last percent stays with the monolith, to compare with.
    #[must_use]
    pub fn weight_of(&self, step: usize) -> Percent {
        let step = self.steps.get(step).copied().unwrap_or(Percent::EVERYBODY);
        let most = Percent::EVERYBODY.buckets() - self.control.buckets();
        if step == Percent::EVERYBODY { Percent::from_hundredths(most).unwrap_or(step) } else { step }
    }

    /// The step that a weight is in, from 0: the last one that is not above it, or the first.
    #[must_use]
    pub fn step_of(&self, weight: Percent) -> usize {
        let reached = (0..self.steps.len()).filter(|step| self.weight_of(*step) <= weight).count();
        reached.saturating_sub(1)
    }

    /// Service requests that a step takes at least to be sure about failures: ln(1/α) by the margin.
    #[must_use]
    pub fn least_requests(&self) -> f64 {
        -self.alpha().ln() / self.max_error_increase
    }
}
