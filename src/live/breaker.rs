//! The breaker of a route's service side: consecutive failures open it, one request at a time probes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::migration::BreakerState;

/// The change of the breaker by a failure or a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    None,
    Opened,
    Closed,
}

/// Lock-free; time is passed in as milliseconds since the process began, which never run backwards.
#[derive(Debug, Default)]
pub struct CircuitBreaker {
    failures: AtomicU32,
    /// 0 while closed; otherwise the millisecond from which the next request may probe.
    probe_at: AtomicU64,
}

impl CircuitBreaker {
    /// The state as this request sees it. `Probing` is given to one request per `open` period: it takes the right to probe with it.
    pub fn state(&self, now_ms: u64, open: Duration) -> BreakerState {
        let probe_at = self.probe_at.load(Ordering::Acquire);
        if probe_at == 0 {
            return BreakerState::Closed;
        }
        if now_ms < probe_at {
            return BreakerState::Open;
        }
        // A probe that never reports back must not hold the breaker open for ever: the right returns after another period.
        let next = later(now_ms, open);
        match self.probe_at.compare_exchange(probe_at, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => BreakerState::Probing,
            Err(0) => BreakerState::Closed,
            Err(_) => BreakerState::Open,
        }
    }

    /// Looks without taking the right to probe.
    pub fn peek(&self, now_ms: u64) -> BreakerState {
        match self.probe_at.load(Ordering::Acquire) {
            0 => BreakerState::Closed,
            at if now_ms < at => BreakerState::Open,
            _ => BreakerState::Probing,
        }
    }

    /// Open, or waiting for what a probe says.
    pub fn is_open(&self) -> bool {
        self.probe_at.load(Ordering::Acquire) != 0
    }

    /// The service side failed once.
    pub fn failed(&self, now_ms: u64, threshold: u32, open: Duration) -> Breakage {
        let failures = self.failures.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        if failures < threshold {
            return Breakage::None;
        }
        match self.probe_at.swap(later(now_ms, open), Ordering::AcqRel) {
            0 => Breakage::Opened,
            _ => Breakage::None,
        }
    }

    /// The service side answered.
    pub fn succeeded(&self) -> Breakage {
        // The usual case reads and writes nothing shared.
        if self.failures.load(Ordering::Relaxed) == 0 && self.probe_at.load(Ordering::Relaxed) == 0 {
            return Breakage::None;
        }
        self.failures.store(0, Ordering::Release);
        match self.probe_at.swap(0, Ordering::AcqRel) {
            0 => Breakage::None,
            _ => Breakage::Closed,
        }
    }
}

fn later(now_ms: u64, open: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(open.as_millis()).unwrap_or(u64::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Duration = Duration::from_secs(30);

    #[test]
    fn consecutive_failures_open_it_and_a_success_in_between_starts_over() {
        let breaker = CircuitBreaker::default();
        assert_eq!(breaker.failed(1, 3, OPEN), Breakage::None);
        assert_eq!(breaker.failed(2, 3, OPEN), Breakage::None);
        assert_eq!(breaker.succeeded(), Breakage::None);
        assert_eq!(breaker.failed(3, 3, OPEN), Breakage::None);
        assert_eq!(breaker.failed(4, 3, OPEN), Breakage::None);
        assert_eq!(breaker.state(5, OPEN), BreakerState::Closed);
        assert_eq!(breaker.failed(6, 3, OPEN), Breakage::Opened);
        assert_eq!(breaker.state(7, OPEN), BreakerState::Open);
    }

    #[test]
    fn one_request_at_a_time_probes_once_the_period_is_over() {
        let breaker = CircuitBreaker::default();
        breaker.failed(0, 1, OPEN);
        assert_eq!(breaker.state(29_999, OPEN), BreakerState::Open);
        assert_eq!(breaker.state(30_000, OPEN), BreakerState::Probing);
        assert_eq!(breaker.state(30_000, OPEN), BreakerState::Open, "the right to probe was taken");
        assert_eq!(breaker.succeeded(), Breakage::Closed);
        assert_eq!(breaker.state(30_001, OPEN), BreakerState::Closed);
    }

    #[test]
    fn a_probe_that_fails_keeps_it_open_and_a_probe_that_vanishes_frees_the_next() {
        let breaker = CircuitBreaker::default();
        breaker.failed(0, 1, OPEN);
        assert_eq!(breaker.state(30_000, OPEN), BreakerState::Probing);
        assert_eq!(breaker.failed(31_000, 1, OPEN), Breakage::None);
        assert_eq!(breaker.state(60_999, OPEN), BreakerState::Open);
        assert_eq!(breaker.state(61_000, OPEN), BreakerState::Probing);
        assert_eq!(breaker.state(91_000, OPEN), BreakerState::Probing, "the last probe never reported back");
    }
}
