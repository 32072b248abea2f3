//! Whether a client reads what it is sent.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::socket_info::{acknowledged, cut_off};

/// The time over which a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How fast a client has to read its responses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// The longest time without a byte being acknowledged.
    pub pause: Option<Duration>,
    /// Bytes a second.
    pub rate: Option<u64>,
}

/// Looks now and then at a connection that takes no more.
#[derive(Debug)]
pub struct WriteStall {
    /// The client's socket.
    client: RawFd,
    pace: Pace,
    blocked: bool,
    look_at: Option<Instant>,
    /// When the measured window began, and what was acknowledged then.
    sample: Option<(Instant, u64)>,
    /// The bytes acknowledged at the last look, and when a look last found more than the one before.
    acknowledged: u64,
    progress_at: Option<Instant>,
}

impl WriteStall {
    #[must_use]
    pub const fn of(client: RawFd, pace: Pace) -> Self {
        Self { client, pace, blocked: false, look_at: None, sample: None, acknowledged: 0, progress_at: None }
    }

    /// The connection takes no more for now.
    pub fn blocked(&mut self) {
        if std::mem::replace(&mut self.blocked, true) || self.look_at.is_some() {
            return;
        }
        if let Some(window) = self.window() {
            self.sample = None;
            self.look_at = Some(Instant::now() + window);
        }
    }

    /// The connection took what there was.
    pub const fn moved(&mut self) {
        self.blocked = false;
    }

    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// When to look next.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Between two looks; `None`: nothing is limited.
    fn window(&self) -> Option<Duration> {
        let pause = self.pace.pause.map(|pause| (pause / 4).clamp(Duration::from_millis(10), RATE_WINDOW));
        pause.or(self.pace.rate.map(|_| RATE_WINDOW))
    }

    /// Looks whether the client reads. `Some`: it was cut off, and this is the label of `refused_total`.
    pub fn look(&mut self, now: Instant) -> Option<&'static str> {
        self.look_at = self.window().filter(|_| self.blocked).map(|window| now + window);
        self.look_at?;
        let why = self.judge(now, acknowledged(self.client)?)?;
        self.look_at = None;
        cut_off(self.client);
        Some(why)
    }

    /// Whether the client is too slow, with this number of bytes acknowledged by now.
    fn judge(&mut self, now: Instant, acknowledged: u64) -> Option<&'static str> {
        let progress = acknowledged > std::mem::replace(&mut self.acknowledged, acknowledged);
        let Some((at, before)) = self.sample else {
            self.progress_at = Some(now);
            self.sample = Some((now, acknowledged));
            return None;
        };
        if progress {
            self.progress_at = Some(now);
        }
        let paused = self.progress_at.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if !progress && self.pace.pause.is_some_and(|pause| paused >= pause) {
            return Some("write_timeout");
        }
        let elapsed = now.saturating_duration_since(at);
        if elapsed >= RATE_WINDOW {
            let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let needed = self.pace.rate.map_or(0, |rate| rate.saturating_mul(milliseconds) / 1000);
            if acknowledged.saturating_sub(before) < needed {
                return Some("min_rate");
            }
            self.sample = Some((now, acknowledged));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pause: u64, rate: Option<u64>) -> (WriteStall, impl Fn(u64) -> Instant) {
        let began = Instant::now();
        let pace = Pace { pause: Some(Duration::from_millis(pause)), rate };
        (WriteStall::of(-1, pace), move |milliseconds| began + Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_pause_counts_from_the_last_byte_that_was_read_and_not_from_the_first_look() {
        let (mut stall, at) = of(600, None);
        for (now, acknowledged) in [(150, 100), (300, 5000), (450, 5000), (600, 9000), (750, 9000), (1050, 9000)] {
            assert_eq!(stall.judge(at(now), acknowledged), None, "at {now} ms");
        }
        assert_eq!(stall.judge(at(1200), 9000), Some("write_timeout"));
    }

    #[test]
    fn a_client_that_reads_a_little_all_the_time_is_judged_by_the_rate() {
        let (mut stall, at) = of(60_000, Some(240));
        for second in 1..=10 {
            assert_eq!(stall.judge(at(second * 1000), second * 100), None);
        }
        assert_eq!(stall.judge(at(11_000), 1100), Some("min_rate"));
        let (mut enough, at) = of(60_000, Some(240));
        for second in 1..=40 {
            assert_eq!(enough.judge(at(second * 1000), second * 300), None);
        }
    }
}
