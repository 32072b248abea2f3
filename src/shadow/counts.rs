//! Counts of the copies of one route since the program started, or since the evidence was reset; and by time.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::skipped::Skipped;
use crate::compare::{CopiesReport, Millis};

/// The words of `shadow_requests_total`.
const OUTCOMES: [&str; 4] = ["answered", "timeout", "connect", "reset"];

/// Outcomes of copies that were sent, then reasons why others were not.
const COUNTS: usize = OUTCOMES.len() + Skipped::ALL.len();

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;

/// Minutes that are told apart.
const MINUTES: usize = 60;

/// Hours that are told apart: before that all is one.
const HOURS: usize = 48;

#[derive(Debug)]
pub(super) struct CopyCounts {
    all: [AtomicU64; COUNTS],
    minutes: [Slot; MINUTES],
    hours: [Slot; HOURS],
    last_failure: Mutex<Option<String>>,
}

/// The counts of one minute or one hour. The first count of the next one begins it anew; of what is counted at that very
/// moment one may be lost.
#[derive(Debug, Default)]
struct Slot {
    at: AtomicU64,
    counts: [AtomicU32; COUNTS],
}

impl Default for CopyCounts {
    fn default() -> Self {
        let (minutes, hours) = (array::from_fn(|_| Slot::default()), array::from_fn(|_| Slot::default()));
        Self { all: [const { AtomicU64::new(0) }; COUNTS], minutes, hours, last_failure: Mutex::default() }
    }
}

impl CopyCounts {
    pub(super) fn skip(&self, why: Skipped, now: Millis) {
        if let Some(place) = Skipped::ALL.iter().position(|known| *known == why) {
            self.count(OUTCOMES.len() + place, now);
        }
    }

    /// `failure` says why a copy got no answer.
    pub(super) fn sent(&self, outcome: &str, failure: Option<String>, now: Millis) {
        if let Some(place) = OUTCOMES.iter().position(|known| *known == outcome) {
            self.count(place, now);
        }
        if failure.is_some() {
            *self.last_failure.lock() = failure;
        }
    }

    fn count(&self, place: usize, now: Millis) {
        if let Some(count) = self.all.get(place) {
            count.fetch_add(1, Relaxed);
        }
        add(&self.minutes, place, now / MINUTE);
        add(&self.hours, place, now / HOUR);
    }

    /// Forgets everything.
    pub(super) fn reset(&self) {
        self.all.iter().for_each(|count| count.store(0, Relaxed));
        self.minutes.iter().chain(&self.hours).for_each(|slot| slot.begin(0));
        *self.last_failure.lock() = None;
    }

    /// All, or what came since a time: to the minute within the last hour, to the hour within two days.
    pub(super) fn report(&self, since: Option<Millis>, now: Millis) -> CopiesReport {
        let counts = match since {
            Some(from) if now.saturating_sub(from) < HOUR => sums(&self.minutes, from / MINUTE),
            Some(from) if now.saturating_sub(from) < HOUR * HOURS as Millis => sums(&self.hours, from / HOUR),
            _ => self.all.each_ref().map(|count| count.load(Relaxed)),
        };
        let [answered, timeout, connect, reset, skipped @ ..] = counts;
        let skipped = Skipped::ALL.iter().zip(skipped).map(|(why, count)| (why.as_str().to_owned(), count));
        let skipped: BTreeMap<_, _> = skipped.filter(|(_, count)| *count > 0).collect();
        let last_failure = if timeout + connect + reset > 0 { self.last_failure.lock().clone() } else { None };
        CopiesReport { answered, timeout, connect, reset, skipped, last_failure }
    }
}

impl Slot {
    fn add(&self, place: usize, at: u64) {
        let known = self.at.load(Relaxed);
        if known > at {
            // The clock was set back: what is told by time goes on when it has caught up.
            return;
        }
        if known < at && self.at.swap(at, Relaxed) != at {
            self.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Relaxed);
        }
    }

    fn begin(&self, at: u64) {
        self.at.store(at, Relaxed);
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }
}

fn add(slots: &[Slot], place: usize, at: u64) {
    if let Some(slot) = usize::try_from(at % slots.len() as u64).ok().and_then(|index| slots.get(index)) {
        slot.add(place, at);
    }
}

fn sums(slots: &[Slot], first: u64) -> [u64; COUNTS] {
    let mut sums = [0; COUNTS];
    for slot in slots.iter().filter(|slot| slot.at.load(Relaxed) >= first) {
        sums.iter_mut().zip(&slot.counts).for_each(|(sum, count)| *sum += u64::from(count.load(Relaxed)));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_counted_by_the_minute_and_by_the_hour() {
        let counts = CopyCounts::default();
        let now = 1000 * HOUR + 30 * MINUTE;
        for (ago, times) in [(100 * HOUR, 1), (40 * HOUR, 2), (2 * HOUR, 4), (30 * MINUTE, 8), (0, 16)] {
            for _ in 0..times {
                counts.sent("answered", None, now - ago);
            }
        }
        counts.sent("reset", Some("it hung up".to_owned()), now - 2 * HOUR);
        counts.skip(Skipped::QueueFull, now - 20 * MINUTE);
        let answered = |since: Option<Millis>| counts.report(since.map(|ago| now - ago), now).answered;
        assert_eq!(answered(None), 31);
        assert_eq!(answered(Some(5 * MINUTE)), 16);
        assert_eq!(answered(Some(50 * MINUTE)), 24);
        assert_eq!(answered(Some(3 * HOUR)), 28);
        assert_eq!(answered(Some(47 * HOUR)), 30);
        assert_eq!(answered(Some(200 * HOUR)), 31);
        let hour = counts.report(Some(now - 50 * MINUTE), now);
        assert_eq!((hour.reset, hour.last_failure, hour.skipped.len()), (0, None, 1));
        assert_eq!(counts.report(None, now).last_failure.as_deref(), Some("it hung up"));
        counts.reset();
        assert_eq!((answered(None), answered(Some(3 * HOUR))), (0, 0));
    }
}
