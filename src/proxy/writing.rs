//! Whether a client reads what it is sent. Times are milliseconds after the watch's epoch; 0: none.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::socket::{acknowledged, cut_off};
use super::watch::milliseconds;

/// The time over which a rate is measured, in milliseconds.
const RATE_WINDOW: u64 = 10_000;

/// How fast a client has to read its answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// The longest time without a byte being acknowledged.
    pub pause: Option<Duration>,
    /// Bytes a second.
    pub rate: Option<u64>,
}

/// Why a client is cut off; 0 is kept for: it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Cut {
    Paused = 1,
    Slow = 2,
}

/// Whether the client reads what it is sent.
#[derive(Debug)]
pub(super) struct Writing {
    /// The client's connection; -1: nobody asks.
    client: RawFd,
    pace: Pace,
    waits: AtomicBool,
    look_at: AtomicU64,
    sample_at: AtomicU64,
    sample: AtomicU64,
    /// What was acknowledged at the last look, and when a look last found more than the one before.
    acknowledged: AtomicU64,
    progress_at: AtomicU64,
    /// Why the client was cut off; 0: it was not, 1: pause, 2: rate.
    cut: AtomicU8,
}

impl Writing {
    pub(super) fn of(client: RawFd, pace: Pace) -> Self {
        Self {
            client,
            pace,
            waits: AtomicBool::new(false),
            look_at: AtomicU64::new(0),
            sample_at: AtomicU64::new(0),
            sample: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            progress_at: AtomicU64::new(0),
            cut: AtomicU8::new(0),
        }
    }

    /// The client's connection takes no more for now.
    pub(super) fn waits(&self, now: impl FnOnce() -> u64) {
        if self.client < 0 || self.waits.swap(true, Relaxed) || self.look_at() > 0 {
            return;
        }
        if let Some(window) = self.window() {
            self.sample_at.store(0, Relaxed);
            self.look_at.store(now().saturating_add(window).max(1), Relaxed);
        }
    }

    pub(super) fn goes_on(&self) {
        if self.is_waiting() {
            self.waits.store(false, Relaxed);
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waits.load(Relaxed)
    }

    /// When to look next; 0: not at all.
    pub(super) fn look_at(&self) -> u64 {
        self.look_at.load(Relaxed)
    }

    /// The client was cut off because it did not read: the label of `refused_total`.
    pub(super) fn cut(&self) -> Option<&'static str> {
        match self.cut.load(Relaxed) {
            1 => Some("write_timeout"),
            2 => Some("min_rate"),
            _ => None,
        }
    }

    /// Between two looks; `None`: nothing is limited.
    fn window(&self) -> Option<u64> {
        let pause = self.pace.pause.map(|pause| (milliseconds(pause) / 4).clamp(10, RATE_WINDOW));
        pause.or(self.pace.rate.map(|_| RATE_WINDOW))
    }

    /// Looks whether the client reads, if it is time to.
    pub(super) fn look(&self, now: u64) {
        let next = self.window().filter(|_| self.is_waiting()).map_or(0, |window| now + window);
        self.look_at.store(next, Relaxed);
        let Some(acknowledged) = acknowledged(self.client).filter(|_| next > 0) else { return };
        if let Some(why) = self.judge(now, acknowledged) {
            self.cut.store(why as u8, Relaxed);
            self.look_at.store(0, Relaxed);
            cut_off(self.client);
        }
    }

    /// So many bytes were acknowledged by now: is the client too slow?
    fn judge(&self, now: u64, acknowledged: u64) -> Option<Cut> {
        let at = self.sample_at.load(Relaxed);
        let progress = acknowledged > self.acknowledged.swap(acknowledged, Relaxed);
        if at == 0 || progress {
            self.progress_at.store(now, Relaxed);
        }
        if at == 0 {
            self.begin(now, acknowledged);
            return None;
        }
        let paused = now - self.progress_at.load(Relaxed);
        if !progress && self.pace.pause.is_some_and(|pause| paused >= milliseconds(pause)) {
            return Some(Cut::Paused);
        }
        let elapsed = now - at;
        if elapsed >= RATE_WINDOW {
            let needed = self.pace.rate.map_or(0, |rate| rate.saturating_mul(elapsed) / 1000);
            if acknowledged.saturating_sub(self.sample.load(Relaxed)) < needed {
                return Some(Cut::Slow);
            }
            self.begin(now, acknowledged);
        }
        None
    }

    /// A rate is measured from here.
    fn begin(&self, now: u64, acknowledged: u64) {
        self.sample_at.store(now.max(1), Relaxed);
        self.sample.store(acknowledged, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pause: u64, rate: Option<u64>) -> Writing {
        Writing::of(-1, Pace { pause: Some(Duration::from_millis(pause)), rate })
    }

    #[test]
    fn a_pause_counts_from_the_last_byte_that_was_read_and_not_from_the_first_look() {
        let writing = of(600, None);
        for (now, acknowledged) in [(150, 100), (300, 5000), (450, 5000), (600, 9000), (750, 9000), (1050, 9000)] {
            assert_eq!(writing.judge(now, acknowledged), None, "at {now} ms");
        }
        assert_eq!(writing.judge(1200, 9000), Some(Cut::Paused));
    }

    #[test]
    fn who_reads_a_little_all_the_time_is_judged_by_the_rate() {
        let writing = of(60_000, Some(240));
        for second in 1..=10 {
            assert_eq!(writing.judge(second * 1000, second * 100), None);
        }
        assert_eq!(writing.judge(11_000, 1100), Some(Cut::Slow));
        let enough = of(60_000, Some(240));
        for second in 1..=40 {
            assert_eq!(enough.judge(second * 1000, second * 300), None);
        }
    }
}
