//! Evidence over time: e-values multiplied up, mixed over bets and over the tick at which the evidence began.
//!
//! The total is a mixture of products of e-values, so under the null hypothesis it ever reaches 1/α with a probability of at
//! most α (Ville's inequality), however often it is looked at. The later starts are for a service that breaks, or is
//! repaired, in the middle (e-detectors: Shin, Ramdas and Rinaldo, arXiv 2203.03532).

use super::evalue::{Bets, MOST_BETS};
use super::overdispersion::Dispersion;

/// More evidence than this is not told apart.
const MOST: f64 = 1e100;

/// The share of the budget that starts at tick 1, 2, …; sums to 1.
#[must_use]
pub fn mass(tick: u64) -> f64 {
    if tick <= 1 {
        return 0.75;
    }
    #[expect(clippy::cast_precision_loss, reason = "ticks of one step")]
    let tick = tick as f64;
    0.25 / ((tick - 1.0) * tick)
}

/// The evidence of one test of one step.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Wealth {
    by_bet: [f64; MOST_BETS],
    /// The capital at its start: 1, or what another test had won.
    #[serde(default = "one")]
    capital: f64,
    unspent: f64,
    ticks: u64,
}

const fn one() -> f64 {
    1.0
}

impl Default for Wealth {
    fn default() -> Self {
        Self::of(1.0)
    }
}

impl Wealth {
    fn of(capital: f64) -> Self {
        Self { by_bet: [0.0; MOST_BETS], capital, unspent: capital, ticks: 0 }
    }

    /// Another test of the same hypothesis goes on with what this one has, or with `most` of it. The product of both is one
    /// test, so that nothing has to be shared among them, however often this is done.
    #[must_use]
    pub fn reinvested(&self, most: f64) -> Self {
        Self::of(self.total().min(most))
    }

    /// One more tick that had requests on both sides. `log_e` is the logarithm of the e-value of a bet.
    pub fn tick(&mut self, bets: &Bets, dispersion: Dispersion, log_e: impl Fn(f64) -> f64) {
        self.ticks += 1;
        let begins = mass(self.ticks) * self.capital;
        self.unspent -= begins;
        for ((wealth, rate), weight) in self.by_bet.iter_mut().zip(bets.rates).zip(bets.weights) {
            let log_e = dispersion.temper(log_e(rate)).clamp(-700.0, 700.0);
            *wealth = ((*wealth + begins * weight) * log_e.exp()).min(MOST);
        }
    }

    /// 1 before the first tick.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.by_bet.iter().sum::<f64>() + self.unspent.max(0.0)
    }

    #[must_use]
    pub fn ln(&self) -> f64 {
        self.total().max(f64::MIN_POSITIVE).ln()
    }
}
