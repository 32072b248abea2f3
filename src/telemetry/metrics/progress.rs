//! How much of the traffic no longer comes from the monolith: the answers of the last five minutes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(300);
/// Looks that follow one another faster share an entry, so that frequent scrapes do not grow the ring.
const STEP: Duration = Duration::from_secs(5);

/// A ring of what was answered between two looks. Filled when it is read, never by a request.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    ring: VecDeque<Entry>,
    last: Option<f64>,
    /// Since the program began: by the monolith, by others.
    answered: (u64, u64),
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    began: Instant,
    monolith: u64,
    others: u64,
}

impl Progress {
    /// Adds what was answered since the last look.
    pub(crate) fn add(&mut self, now: Instant, monolith: u64, others: u64) {
        self.looked = Some(now);
        self.answered.0 += monolith;
        self.answered.1 += others;
        match self.ring.back_mut() {
            Some(entry) if now.saturating_duration_since(entry.began) < STEP => {
                entry.monolith += monolith;
                entry.others += others;
            }
            _ => self.ring.push_back(Entry { began: now, monolith, others }),
        }
        while self.ring.front().is_some_and(|entry| now.saturating_duration_since(entry.began) > WINDOW) {
            self.ring.pop_front();
        }
    }

    /// When that was.
    pub(crate) const fn looked(&self) -> Option<Instant> {
        self.looked
    }

    /// All answers since the program began: the monolith's, and those of others.
    pub(crate) const fn answered(&self) -> (u64, u64) {
        self.answered
    }

    /// 0.0 to 1.0. Without traffic in the window the last known share stands; before any traffic it is 0.
    pub(crate) fn share(&mut self) -> f64 {
        let (monolith, others) =
            self.ring.iter().fold((0, 0), |sum, entry| (sum.0 + entry.monolith, sum.1 + entry.others));
        if monolith + others > 0 {
            #[expect(clippy::cast_precision_loss, reason = "five minutes of answers are below 2^53")]
            let share = others as f64 / (monolith + others) as f64;
            self.last = Some(share);
        }
        self.last.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-9, "{got}, not {wanted}");
    }

    #[test]
    fn it_is_the_share_of_the_last_five_minutes_only() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        near(progress.share(), 0.0);
        progress.add(start, 100, 0);
        progress.add(start + Duration::from_secs(150), 50, 50);
        near(progress.share(), 0.25);
        progress.add(start + Duration::from_secs(301), 0, 0);
        near(progress.share(), 0.5);
    }

    #[test]
    fn a_quiet_night_keeps_the_last_share() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        progress.add(start, 1, 3);
        near(progress.share(), 0.75);
        progress.add(start + Duration::from_secs(3600), 0, 0);
        near(progress.share(), 0.75);
    }

    #[test]
    fn looking_all_the_time_does_not_grow_the_ring() {
        let (mut progress, start) = (Progress::default(), Instant::now());
        for n in 0..600_000 {
            progress.add(start + Duration::from_millis(n), 1, 0);
        }
        assert!(progress.ring.len() <= 62, "{}", progress.ring.len());
    }
}
