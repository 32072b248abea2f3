//! How long a side took: a histogram of fixed size with quantiles exact to a fifth.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper bound of the first bucket.
const FIRST_MICROS: f64 = 50.0;

/// Buckets for each doubling.
const STEPS: f64 = 4.0;

/// The last bucket holds everything from about 14 minutes on.
const LAST: u8 = 96;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Number by bucket; bucket `n` ends at 50 µs × 2^(n/4).
    buckets: BTreeMap<u8, u64>,
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        let steps = (took.as_secs_f64() * 1e6 / FIRST_MICROS).log2() * STEPS;
        let bucket = (0..LAST).find(|bucket| steps <= f64::from(*bucket)).unwrap_or(LAST);
        *self.buckets.entry(bucket).or_default() += 1;
    }

    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Seconds within which this share of the answers came; `None` before the first.
    #[expect(clippy::cast_precision_loss, reason = "a quantile needs no 16 digits")]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (share * self.count() as f64).ceil().max(1.0);
        let mut seen = 0_u64;
        self.buckets.iter().find_map(|(bucket, count)| {
            seen = seen.saturating_add(*count);
            (seen as f64 >= wanted).then(|| FIRST_MICROS * 1e-6 * (f64::from(*bucket) / STEPS).exp2())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_the_truth() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        for millis in 1..=1000 {
            latency.record(Duration::from_millis(millis));
        }
        for (share, truth) in [(0.5, 0.5), (0.99, 0.99), (0.001, 0.001)] {
            let said = latency.quantile(share).expect("seen");
            assert!(said >= truth * 0.999 && said <= truth * 1.2, "{share}: {said}");
        }
        latency.record(Duration::ZERO);
        latency.record(Duration::MAX);
        assert_eq!(latency.count(), 1002);
        assert!(latency.buckets.len() <= usize::from(LAST) + 1);
    }
}
