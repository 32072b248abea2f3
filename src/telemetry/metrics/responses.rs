//! Answers counted by method and code: the pairs cannot all be made beforehand, and none is looked up by string.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use http::Method;

use crate::message::ResultCode;

/// Sixteen keys fill one cache line.
const SLOTS: usize = 16;

/// Lock-free: a pair takes a slot at its first answer, and is found there by every later one.
/// The usual pairs come first, so the scan ends after one or two comparisons.
#[derive(Debug, Default)]
// The keys have a cache line to themselves: every core reads them and they hardly ever change, unlike the counts.
#[repr(C, align(64))]
pub(crate) struct ResponseCounts {
    /// 0: free. Otherwise 1 + method · 1024 + the code's number.
    keys: [AtomicU32; SLOTS],
    counts: [AtomicU64; SLOTS],
    next: OnceLock<Box<Self>>,
}

/// The values of the `method` label, by index.
const METHODS: [&str; 10] = ["other", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

fn method_index(method: &Method) -> u32 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 2,
        Method::POST => 3,
        Method::PUT => 4,
        Method::PATCH => 5,
        Method::DELETE => 6,
        Method::OPTIONS => 7,
        Method::TRACE => 8,
        Method::CONNECT => 9,
        _ => 0,
    }
}

impl ResponseCounts {
    /// The number of series stays bounded whatever an upstream invents: a code has few numbers.
    pub(crate) fn count(&self, method: &Method, code: ResultCode) {
        let key = 1 + (method_index(method) << 10 | u32::from(code.number()));
        let mut here = self;
        loop {
            for (slot, count) in here.keys.iter().zip(&here.counts) {
                if holds(slot, key) {
                    count.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            here = here.next.get_or_init(Box::default);
        }
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(&'static str, ResultCode, u64)) {
        let mut here = Some(self);
        while let Some(counts) = here {
            for (slot, count) in counts.keys.iter().zip(&counts.counts) {
                let key = slot.load(Ordering::Acquire);
                if let Some(pair) = key.checked_sub(1) {
                    let method = METHODS.get((pair >> 10) as usize).copied().unwrap_or("other");
                    let number = u16::try_from(pair & 1023).expect("ten bits fit");
                    visit(method, ResultCode::from_number(number), count.load(Ordering::Relaxed));
                }
            }
            here = counts.next.get().map(|next| &**next);
        }
    }
}

/// The slot has this key, or was free and has it now.
fn holds(slot: &AtomicU32, key: u32) -> bool {
    match slot.load(Ordering::Acquire) {
        0 => match slot.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(taken) => taken == key,
        },
        taken => taken == key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(counts: &ResponseCounts) -> Vec<(&'static str, u16, u64)> {
        let mut seen = Vec::new();
        counts.each(|method, code, count| seen.push((method, code.number(), count)));
        seen
    }

    #[test]
    fn each_pair_is_counted_by_itself() {
        let counts = ResponseCounts::default();
        for (method, status) in [(Method::GET, 200), (Method::GET, 200), (Method::GET, 404), (Method::POST, 200)] {
            counts.count(&method, status.into());
        }
        assert_eq!(all(&counts), [("GET", 200, 2), ("GET", 404, 1), ("POST", 200, 1)]);
    }

    #[test]
    fn methods_that_nobody_knows_share_one_series() {
        let counts = ResponseCounts::default();
        for n in 0..1000 {
            counts.count(&Method::from_bytes(format!("M{n}").as_bytes()).unwrap(), 200.into());
        }
        assert_eq!(all(&counts), [("other", 200, 1000)]);
    }

    #[test]
    fn every_status_an_upstream_can_invent_stays_bounded() {
        let counts = ResponseCounts::default();
        for status in 0..=u16::MAX {
            counts.count(&Method::GET, status.into());
        }
        assert_eq!(all(&counts).len(), 501);
    }

    #[test]
    fn threads_lose_no_answer() {
        let counts = ResponseCounts::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2000_u16).for_each(|n| counts.count(&Method::GET, (200 + n % 40).into())));
            }
        });
        let seen = all(&counts);
        assert_eq!(seen.len(), 40);
        assert!(seen.iter().all(|(_, _, count)| *count == 200));
    }
}
