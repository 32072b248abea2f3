//! What became of the copies of one route since the program started, or since the evidence was reset.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::skipped::Skipped;
use crate::compare::CopiesReport;

/// The words of `shadow_requests_total`.
const OUTCOMES: [&str; 4] = ["answered", "timeout", "connect", "reset"];

#[derive(Debug, Default)]
pub(super) struct CopyCounts {
    sent: [AtomicU64; OUTCOMES.len()],
    skipped: [AtomicU64; Skipped::ALL.len()],
    last_failure: Mutex<Option<String>>,
}

impl CopyCounts {
    pub(super) fn skip(&self, why: Skipped) {
        let place = Skipped::ALL.iter().position(|known| *known == why);
        place.and_then(|place| self.skipped.get(place)).into_iter().for_each(|count| {
            count.fetch_add(1, Relaxed);
        });
    }

    /// `failure` says why a copy got no answer.
    pub(super) fn sent(&self, outcome: &str, failure: Option<String>) {
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        place.and_then(|place| self.sent.get(place)).into_iter().for_each(|count| {
            count.fetch_add(1, Relaxed);
        });
        if failure.is_some() {
            *self.last_failure.lock() = failure;
        }
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        self.sent.iter().chain(&self.skipped).for_each(|count| count.store(0, Relaxed));
        *self.last_failure.lock() = None;
    }

    pub(super) fn report(&self) -> CopiesReport {
        let [answered, timeout, connect, reset] = [0, 1, 2, 3].map(|place| self.sent[place].load(Relaxed));
        let skipped =
            Skipped::ALL.iter().zip(&self.skipped).map(|(why, count)| (why.as_str().to_owned(), count.load(Relaxed)));
        let skipped: BTreeMap<_, _> = skipped.filter(|(_, count)| *count > 0).collect();
        CopiesReport { answered, timeout, connect, reset, skipped, last_failure: self.last_failure.lock().clone() }
    }
}
