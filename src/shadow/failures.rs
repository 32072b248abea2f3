//! Failures that repeat are said at the 1st, 2nd, 4th, 8th … time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug, Default)]
pub(super) struct Failures(AtomicU64);

impl Failures {
    /// Counts one more; gives the number when it is to be said.
    pub(super) fn count(&self) -> Option<u64> {
        let number = self.0.fetch_add(1, Relaxed) + 1;
        number.is_power_of_two().then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_at_powers_of_two() {
        let failures = Failures::default();
        let said: Vec<u64> = (0..100).filter_map(|_| failures.count()).collect();
        assert_eq!(said, [1, 2, 4, 8, 16, 32, 64]);
    }
}
