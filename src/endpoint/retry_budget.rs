//! How many retries an upstream is given: a fifth of its requests, and a few a second when there are hardly any.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Requests that pay for one retry: at most 20 % extra load.
const PRICE: u32 = 5;
/// Retries that can be saved up: enough for the connections of one endpoint that dies, not enough for a storm.
const MOST: u32 = 100 * PRICE;
/// Retries at hand after a quiet time, however few requests there are.
const FLOOR: u32 = 10 * PRICE;

/// Lock-free. It counts requests instead of reading a clock; its owner calls `second_passed` about once a second.
#[derive(Debug)]
pub struct RetryBudget {
    saved: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(FLOOR) }
    }
}

impl RetryBudget {
    /// A request was sent for the first time.
    pub fn request(&self) {
        // Full is the usual state: then nothing shared is written.
        if self.saved.load(Relaxed) < MOST {
            self.saved.fetch_add(1, Relaxed);
        }
    }

    /// Takes a retry out of the budget, if there is one.
    pub fn take(&self) -> bool {
        self.saved.fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(PRICE)).is_ok()
    }

    /// An upstream with little traffic earns one retry a second, up to the floor.
    pub fn second_passed(&self) {
        if self.saved.load(Relaxed) < FLOOR {
            self.saved.fetch_add(PRICE, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_every_request_fails_a_fifth_is_tried_again() {
        let budget = RetryBudget::default();
        let mut retries = 0;
        for _ in 0..10_000 {
            budget.request();
            retries += u32::from(budget.take());
        }
        assert_eq!(retries, 2_000 + FLOOR / PRICE);
    }

    #[test]
    fn a_long_calm_saves_no_more_than_a_hundred_retries() {
        let budget = RetryBudget::default();
        (0..1_000_000).for_each(|_| budget.request());
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100);
    }

    #[test]
    fn with_hardly_any_traffic_a_retry_a_second_comes_back_up_to_the_floor() {
        let budget = RetryBudget::default();
        assert_eq!((0..50).filter(|_| budget.take()).count(), 10);
        budget.second_passed();
        assert_eq!((0..50).filter(|_| budget.take()).count(), 1);
        (0..1_000).for_each(|_| budget.second_passed());
        assert_eq!((0..50).filter(|_| budget.take()).count(), 10);
    }
}
