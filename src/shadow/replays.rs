//! When the monolith is asked twice: a share of what is compared, up to a rate.

use crate::compare::NoiseBudget;

/// Tokens for one second, filled by the clock that is handed in.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// Thousandths of a replay.
    tokens: u64,
    /// Milliseconds; `None` before the first question.
    filled: Option<u64>,
}

/// Thousandths of one replay.
const ONE: u64 = 1000;

impl Replays {
    /// Whether to ask once more. Until noise is known every comparison wants to; `sample` decides later, below 10 000.
    pub(super) fn take(&mut self, budget: NoiseBudget, known: bool, sample: u16, now: u64) -> bool {
        let share = budget.replay.buckets();
        if share == 0 || (known && sample >= share) {
            return false;
        }
        let full = budget.per_second.saturating_mul(ONE);
        let passed = self.filled.map_or(u64::MAX, |filled| now.saturating_sub(filled));
        self.filled = Some(now.max(self.filled.unwrap_or(0)));
        self.tokens = self.tokens.saturating_add(passed.saturating_mul(budget.per_second)).min(full);
        let enough = self.tokens >= ONE;
        if enough {
            self.tokens -= ONE;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Percent;

    fn budget(hundredths: u16, per_second: u64) -> NoiseBudget {
        NoiseBudget { replay: Percent::from_hundredths(hundredths).expect("a share"), per_second }
    }

    #[test]
    fn never_more_than_so_many_a_second() {
        let mut replays = Replays::default();
        let taken =
            |replays: &mut Replays, now| (0..100).filter(|_| replays.take(budget(100, 5), false, 9999, now)).count();
        assert_eq!(taken(&mut replays, 1000), 5);
        assert_eq!(taken(&mut replays, 1100), 0);
        assert_eq!(taken(&mut replays, 1200), 1);
        assert_eq!(taken(&mut replays, 900), 0, "a clock that is set back gives nothing");
        assert_eq!(taken(&mut replays, 60_000), 5);
    }

    #[test]
    fn the_share_counts_once_noise_is_known() {
        let mut replays = Replays::default();
        for (known, sample, taken) in [(false, 9999, true), (true, 99, true), (true, 100, false)] {
            assert_eq!(replays.take(budget(100, 1000), known, sample, 1), taken, "{known} {sample}");
        }
        assert!(!replays.take(budget(0, 1000), false, 0, 1), "a share of nothing");
        assert!(!Replays::default().take(budget(100, 0), false, 0, 1), "none a second");
    }
}
