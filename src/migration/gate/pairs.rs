//! One request answered by both sides: a client's habits cancel, and every request is a witness.

use super::evalue::{Bets, MOST_BETS, Proportion};
use super::metric::{Missing, Trail};
use super::overdispersion::Dispersion;
use super::wealth::Wealth;

/// Requests of which one side alone was late, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Discordant {
    pub service_alone: u64,
    /// Of `service_alone`: perhaps the answer was in time, and waited for this program to read it.
    #[serde(default)]
    pub kept_waiting: u64,
    pub monolith_alone: u64,
    /// All pairs, also those in which the sides agreed.
    pub pairs: u64,
}

impl Discordant {
    pub(super) fn add(&mut self, more: Self) {
        self.service_alone += more.service_alone;
        self.kept_waiting += more.kept_waiting;
        self.monolith_alone += more.monolith_alone;
        self.pairs += more.pairs;
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            service_alone: self.service_alone.saturating_sub(before.service_alone),
            kept_waiting: self.kept_waiting.saturating_sub(before.kept_waiting),
            monolith_alone: self.monolith_alone.saturating_sub(before.monolith_alone),
            pairs: self.pairs.saturating_sub(before.pairs),
        }
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
        let log_e = |service_alone: u64| {
            #[expect(clippy::cast_precision_loss, reason = "requests of one tick")]
            let sample = Proportion::new(service_alone as f64, (service_alone + tick.monolith_alone) as f64);
            move |share| super::evalue::log_e_one(sample, share, 0.5)
        };
        // A delay by this program is not held against the service, and proves nothing for it.
        let surely = tick.service_alone.saturating_sub(tick.kept_waiting);
        self.worse.tick(&bets(true), Dispersion::NONE, log_e(surely));
        self.better.tick(&bets(false), Dispersion::NONE, log_e(tick.service_alone));
        #[expect(clippy::cast_precision_loss, reason = "requests of a step")]
        self.trail.push(self.seen.pairs as f64, self.better.ln());
    }

    /// As `Comparison::limit_changed`.
    pub fn limit_changed(&mut self) {
        *self = Self {
            worse: self.worse.reinvested(f64::INFINITY),
            better: self.better.reinvested(1.0),
            ..Self::default()
        };
    }

    /// Without what this program did, the service would not be alone more often than the monolith.
    #[must_use]
    pub fn is_kept_waiting(&self) -> bool {
        let surely = self.seen.service_alone.saturating_sub(self.seen.kept_waiting);
        self.seen.kept_waiting > 0 && surely <= self.seen.monolith_alone
    }

    /// Pairs until "better" reaches `threshold`.
    #[must_use]
    pub fn needs(&self, threshold: f64) -> Missing {
        self.trail.missing(&self.better, threshold, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_program_kept_waiting_is_no_evidence_for_either() {
        let judged = |kept_waiting| {
            let mut test = PairTest::default();
            for _ in 0..20 {
                test.tick(Discordant { service_alone: 30, kept_waiting, monolith_alone: 10, pairs: 100 });
            }
            (test.worse.total(), test.better.total())
        };
        let (worse, better) = judged(0);
        assert!(worse > 1e6 && better < 1.0, "{worse} {better}");
        let (worse, better) = judged(25);
        assert!(worse < 50.0 && better < 1.0, "{worse} {better}");
    }
}
