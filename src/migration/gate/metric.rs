//! One thing that is compared between the sides, with its evidence for "worse" and for "better".

use std::collections::VecDeque;

use super::evalue::{Bets, Direction, Proportion, log_e, log_e_one};
use super::overdispersion::{Dispersion, Groups};
use super::wealth::Wealth;

/// The metric that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    Failures,
    Refusals,
    /// One of `QUANTILES`.
    Latency(u8),
    Mismatches,
    /// Failures of one side alone, in pairs.
    PairFailures,
    PairLatency(u8),
}

impl Metric {
    /// The word in metrics, the API and reasons.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Refusals => "refusals",
            Self::Latency(0) => "p50",
            Self::Latency(1) => "p95",
            Self::Latency(_) => "p99",
            Self::Mismatches => "mismatches",
            Self::PairFailures => "pair_failures",
            Self::PairLatency(0) => "pair_p50",
            Self::PairLatency(1) => "pair_p95",
            Self::PairLatency(_) => "pair_p99",
        }
    }
}

/// The monolith's rate as earlier ticks predict it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Prediction {
    counts: Proportion,
    /// The prior before the first tick, as a number of counts of 250 requests.
    prior: f64,
}

impl Prediction {
    const REQUESTS: f64 = 250.0;
    /// Ticks after which what was seen counts half.
    const HALF_LIFE: f64 = 30.0;

    #[must_use]
    pub fn new(prior: f64) -> Self {
        Self { counts: Proportion::default(), prior }
    }

    #[must_use]
    pub fn rate(self) -> f64 {
        ((self.counts.counted + self.prior) / (self.counts.of + Self::REQUESTS)).clamp(1e-5, 0.9)
    }

    pub fn learn(&mut self, tick: Proportion) {
        let stays = 0.5_f64.powf(1.0 / Self::HALF_LIFE);
        self.counts.counted = self.counts.counted * stays + tick.counted;
        self.counts.of = self.counts.of * stays + tick.of;
    }
}

/// The evidence of the last ticks: how fast it grows.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Trail(VecDeque<(f64, f64)>);

impl Trail {
    const TICKS: usize = 30;

    pub(super) fn push(&mut self, requests: f64, ln: f64) {
        if self.0.len() > Self::TICKS {
            self.0.pop_front();
        }
        self.0.push_back((requests, ln));
    }

    fn is_short(&self) -> bool {
        self.0.len() < 2
    }

    /// Growth of ln M per request of the service.
    fn growth(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let requests = last.0 - first.0;
        (requests > 0.0).then(|| (last.1 - first.1) / requests)
    }
}

/// A proof that needs more requests than these does not end.
const FARTHEST: f64 = 1e9;

/// The evidence that is missing to the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Missing {
    Nothing,
    /// The number of further requests, or of comparisons, if it goes on like this.
    More(f64),
    /// The evidence does not grow.
    NoEnd,
    /// Too little was counted to tell.
    Unknown,
}

impl Trail {
    /// `least`: what it takes at least, before it is known how the evidence grows.
    pub(super) fn missing(&self, better: &Wealth, threshold: f64, least: Option<f64>) -> Missing {
        let missing = threshold.ln() - better.ln();
        if missing <= 0.0 {
            return Missing::Nothing;
        }
        if self.is_short() {
            return least.map_or(Missing::Unknown, |least| Missing::More(least.ceil()));
        }
        let more = self.growth().filter(|growth| *growth > 0.0).map(|growth| (missing / growth).ceil());
        more.filter(|more| *more <= FARTHEST).map_or(Missing::NoEnd, Missing::More)
    }
}

/// The counts of one tick for a metric. The service is counted twice where its limit is rounded: up for "worse", down for "better".
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub monolith: Proportion,
    pub service_worse: Proportion,
    pub service_better: Proportion,
}

/// The bets of a test of two samples.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Against {
    /// Percentage points, as a ratio.
    Margin(f64),
    /// No margin in the counts: the limits of time are shifted instead.
    Odds,
}

/// A test of both sides' counts in one step.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Comparison {
    against: Against,
    prediction: Prediction,
    pub worse: Wealth,
    pub better: Wealth,
    pub monolith: Proportion,
    pub service: Proportion,
    /// The monolith's clients, and the service's.
    groups: [Groups; 2],
    /// Of the ticks before: how far the clients are from independent witnesses.
    known_factor: f64,
    trail: Trail,
}

impl Comparison {
    #[must_use]
    pub fn new(against: Against, prior: f64) -> Self {
        Self {
            against,
            prediction: Prediction::new(prior),
            worse: Wealth::default(),
            better: Wealth::default(),
            monolith: Proportion::default(),
            service: Proportion::default(),
            groups: Default::default(),
            known_factor: 1.0,
            trail: Trail::default(),
        }
    }

    /// The next step: its evidence begins anew, what is known of the clients and of the monolith stays in part.
    pub fn next_step(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.iter_mut().for_each(Groups::fade);
        *self = Self { groups, prediction: self.prediction, ..Self::new(self.against, 0.0) };
        self.known_factor = self.factor();
    }

    /// Another limit of time is in force, and the evidence goes on by that one. A service whose times are within the margin is so
    /// by every limit, so what was won or lost for "worse" stays; what was won for "better" says nothing of the new limit, and goes.
    pub fn limit_changed(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        groups.iter_mut().for_each(Groups::fade);
        *self = Self {
            groups,
            worse: self.worse.reinvested(f64::INFINITY),
            better: self.better.reinvested(1.0),
            ..Self::new(self.against, self.prediction.prior)
        };
        self.known_factor = self.factor();
    }

    /// The monolith alone: what is learnt of it before its rate is tested.
    pub fn learn(&mut self, monolith: Proportion) {
        self.prediction.learn(monolith);
    }

    pub fn groups(&mut self, side: usize) -> &mut Groups {
        &mut self.groups[side]
    }

    /// How far the clients are from independent witnesses, now.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.groups.iter().map(Groups::factor).fold(1.0, f64::max)
    }

    /// One tick, whose groups were added already.
    pub fn tick(&mut self, seen: Seen) {
        let with = self.factor();
        let before = std::mem::replace(&mut self.known_factor, with);
        if seen.monolith.of > 0.0 && seen.service_worse.of > 0.0 {
            let dispersion = Dispersion { before, with };
            let a = self.prediction.rate();
            let margin = if let Against::Margin(margin) = self.against { margin } else { 0.0 };
            let bets = |direction| match self.against {
                Against::Margin(margin) => Bets::by_margin(direction, a, margin),
                Against::Odds => Bets::by_odds(direction, a),
            };
            let (worse, better) = (bets(Direction::Worse), bets(Direction::Better));
            // A bet on the wrong side of the margin, cut off at 100 %, would be one against the other hypothesis.
            self.worse.tick(&worse, dispersion, |b| {
                if b > a + margin { log_e(seen.monolith, seen.service_worse, a, b, margin) } else { 0.0 }
            });
            self.better.tick(&better, dispersion, |b| {
                if b < a + margin { log_e(seen.monolith, seen.service_better, a, b, margin) } else { 0.0 }
            });
            self.monolith.add(seen.monolith);
            self.service.add(seen.service_worse);
            self.trail.push(self.service.of, self.better.ln());
        }
        self.prediction.learn(seen.monolith);
    }

    /// Requests of the service until "better" reaches `threshold`.
    #[must_use]
    pub fn needs(&self, threshold: f64) -> Missing {
        let least = match self.against {
            Against::Margin(margin) => Some(threshold.ln() / margin),
            Against::Odds => None,
        };
        self.trail.missing(&self.better, threshold, least)
    }
}

/// A test of one sample against a limit.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    limit: f64,
    pub worse: Wealth,
    pub better: Wealth,
    pub seen: Proportion,
    trail: Trail,
}

impl Sample {
    #[must_use]
    pub fn new(limit: f64) -> Self {
        Self {
            limit,
            worse: Wealth::default(),
            better: Wealth::default(),
            seen: Proportion::default(),
            trail: Trail::default(),
        }
    }

    pub fn tick(&mut self, tick: Proportion) {
        if tick.of <= 0.0 {
            return;
        }
        let log_e = |bet| log_e_one(tick, bet, self.limit);
        self.worse.tick(&Bets::by_limit(Direction::Worse, self.limit), Dispersion::NONE, log_e);
        self.better.tick(&Bets::by_limit(Direction::Better, self.limit), Dispersion::NONE, log_e);
        self.seen.add(tick);
        self.trail.push(self.seen.of, self.better.ln());
    }

    #[must_use]
    pub fn needs(&self, threshold: f64) -> Missing {
        self.trail.missing(&self.better, threshold, Some(threshold.ln() / self.limit))
    }
}
