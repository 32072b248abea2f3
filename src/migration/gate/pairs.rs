//! One request answered by both sides: a client's habits cancel, and every request is a witness.

use super::evalue::{Bets, Count, MOST_BETS};
use super::metric::Trail;
use super::overdispersion::Dispersion;
use super::wealth::Wealth;

/// Requests of which one side alone was late, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Discordant {
    pub service_alone: u64,
    pub monolith_alone: u64,
    /// All pairs, also those in which the sides agreed.
    pub pairs: u64,
}

impl Discordant {
    pub(super) fn add(&mut self, more: Self) {
        self.service_alone += more.service_alone;
        self.monolith_alone += more.monolith_alone;
        self.pairs += more.pairs;
    }
}

const WEIGHTS: [f64; 5] = [0.10, 0.25, 0.30, 0.25, 0.10];
const SHARES: [f64; 5] = [0.48, 0.45, 0.4, 0.3, 0.15];

/// Of those in which one side was alone, the service's share that is bet on: below a half for "better", above for "worse".
fn bets(worse: bool) -> Bets {
    let mut rates = [0.0; MOST_BETS];
    for (slot, share) in rates.iter_mut().zip(SHARES) {
        *slot = if worse { 1.0 - share } else { share };
    }
    Bets { rates, weights: &WEIGHTS }
}

/// The test of one property by pairs.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct PairTest {
    pub seen: Discordant,
    pub worse: Wealth,
    pub better: Wealth,
    trail: Trail,
}

impl PairTest {
    pub fn tick(&mut self, tick: Discordant) {
        if tick.pairs == 0 {
            return;
        }
        self.seen.add(tick);
        #[expect(clippy::cast_precision_loss, reason = "requests of one tick")]
        let sample = Count::new(tick.service_alone as f64, tick.service_alone as f64 + tick.monolith_alone as f64);
        let log_e = |share| super::evalue::log_e_one(sample, share, 0.5);
        self.worse.tick(&bets(true), Dispersion::NONE, log_e);
        self.better.tick(&bets(false), Dispersion::NONE, log_e);
        #[expect(clippy::cast_precision_loss, reason = "requests of a step")]
        self.trail.push(self.seen.pairs as f64, self.better.ln());
    }

    /// Pairs until "better" reaches `threshold`, if it goes on like this.
    #[must_use]
    pub fn needs(&self, threshold: f64) -> Option<f64> {
        self.trail.missing(&self.better, threshold, 0.0)
    }
}
