//! The event that a connection of HTTP/2 waits for, and its deadline.

use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, SocketState};
use crate::compile::Limits;

/// How long a client may take to hear of an end that is in order, with nothing in flight any more.
pub const LEAVING: Duration = Duration::from_secs(3);
/// How long the last GOAWAY may take to be written.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The time over which a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How far a connection is on its way.
#[derive(Debug, Clone, Copy)]
pub enum Closing {
    Open,
    /// A GOAWAY was sent; what is in flight is finished. When nothing is by this time, the end is not waited for any longer.
    Leaving(Instant),
    /// The last GOAWAY is being written; at this time it is not waited for any longer.
    Ending(Instant),
}

impl Closing {
    /// Whether the client can still be refused.
    pub const fn is_refusing(self) -> bool {
        matches!(self, Self::Open | Self::Leaving(_))
    }

    pub fn leaving() -> Self {
        Self::Leaving(Instant::now() + LEAVING)
    }

    pub fn ending() -> Self {
        Self::Ending(Instant::now() + LAST_WORD)
    }
}

/// The event that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The client has earned no more patience: the label of `refused_total`.
    Refuse(&'static str),
    /// It is time to leave, in order.
    Leave,
    /// Nothing is in flight, and the client was told long enough ago.
    Gone,
    /// The end of the connection is not waited for any longer.
    Over,
}

pub struct Clock<'a> {
    pub stage: Closing,
    limits: &'a Limits,
    shared: &'a Shared,
    state: &'a dyn SocketState,
    /// Between two looks at responses that do not pass.
    window: Duration,
    look_at: Option<Instant>,
    /// Data that left for the client's windows, and bytes that it has acknowledged while its socket was full.
    windows: Pace,
    socket: Pace,
}

impl<'a> Clock<'a> {
    pub fn new(limits: &'a Limits, shared: &'a Shared, state: &'a dyn SocketState) -> Self {
        let shortest = limits.write_timeout.into_iter().chain(limits.idle_timeout).min().unwrap_or(RATE_WINDOW);
        Self {
            stage: Closing::Open,
            limits,
            shared,
            state,
            window: (shortest / 4).clamp(Duration::from_millis(10), RATE_WINDOW),
            look_at: None,
            windows: Pace::default(),
            socket: Pace::default(),
        }
    }

    /// When to look next.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        let closed = self.closed_at();
        let leaving = match self.stage {
            Closing::Ending(at) => return Some(closed.map_or(at, |closed| closed.max(at))),
            _ if closed.is_some() => return closed,
            Closing::Leaving(at) => Some(at),
            Closing::Open => None,
        };
        let looks = self.shared.is_active() || self.shared.traffic.is_blocked();
        self.look_at = looks.then(|| self.look_at.unwrap_or(now + self.window));
        [leaving, self.block_until(), self.look_at, self.idle_until()].into_iter().flatten().min()
    }

    /// When a client that was told of the end is not waited for any longer.
    fn closed_at(&self) -> Option<Instant> {
        Some(self.shared.traffic.closing_since()? + LAST_WORD)
    }

    fn block_until(&self) -> Option<Instant> {
        Some(self.shared.traffic.block_since()? + self.limits.header_timeout?)
    }

    fn idle_until(&self) -> Option<Instant> {
        let open = matches!(self.stage, Closing::Open) && !self.shared.is_active();
        Some(self.shared.idle_since() + self.limits.idle_timeout.filter(|_| open)?)
    }

    /// Something is due, perhaps.
    pub fn look(&mut self, now: Instant) -> Option<Due> {
        if matches!(self.stage, Closing::Ending(_)) || self.closed_at().is_some() {
            return Some(Due::Over);
        }
        if self.block_until().is_some_and(|at| at <= now) {
            return Some(Due::Refuse("header_timeout"));
        }
        if self.look_at.take_if(|at| *at <= now).is_some()
            && let Some(reason) = self.stalls(now)
        {
            return Some(Due::Refuse(reason));
        }
        if let Closing::Leaving(at) = &mut self.stage
            && *at <= now
        {
            if !self.shared.is_active() {
                return Some(Due::Gone);
            }
            *at = now + LEAVING;
        }
        self.idle_until().is_some_and(|at| at <= now).then_some(Due::Leave)
    }

    /// Whether responses wait that the client does not take, on none of its streams. While its socket is full, what it has
    /// acknowledged is looked at: a socket takes nothing until much of it is free.
    fn stalls(&mut self, now: Instant) -> Option<&'static str> {
        let traffic = &self.shared.traffic;
        if traffic.is_blocked() {
            self.windows = Pace::default();
            let passed = self.state.acknowledged().unwrap_or_else(|| traffic.written());
            return self.socket.judge(now, passed, self.limits);
        }
        self.socket = Pace::default();
        if self.shared.unread.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            self.windows = Pace::default();
            return None;
        }
        self.windows.judge(now, traffic.data_sent(), self.limits)
    }
}

/// How fast something passes.
#[derive(Debug, Default)]
struct Pace {
    /// When something last passed, or began to wait, and how much had passed then.
    progress: Option<(Instant, u64)>,
    /// The same at the beginning of the time in which the rate is measured.
    sample: Option<(Instant, u64)>,
}

impl Pace {
    /// Judges the `passed` bytes by now: the label of `refused_total` if they are too few.
    fn judge(&mut self, now: Instant, passed: u64, limits: &Limits) -> Option<&'static str> {
        let progress = self.progress.get_or_insert((now, passed));
        if passed > progress.1 {
            *progress = (now, passed);
        }
        if limits.write_timeout.is_some_and(|pause| now.saturating_duration_since(progress.0) >= pause) {
            return Some("write_timeout");
        }
        let sample = self.sample.get_or_insert((now, passed));
        let elapsed = now.saturating_duration_since(sample.0);
        if elapsed < RATE_WINDOW {
            return None;
        }
        let needed = limits.min_rate.unwrap_or(0).saturating_mul(elapsed.as_secs());
        let taken = passed - sample.1;
        *sample = (now, passed);
        (taken < needed).then_some("min_rate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pause: u64, rate: u64, looks: &[(u64, u64)]) -> Vec<Option<&'static str>> {
        let limits =
            Limits { write_timeout: Some(Duration::from_millis(pause)), min_rate: Some(rate), ..Limits::default() };
        let begin = Instant::now();
        let mut pace = Pace::default();
        let look = |(at, passed): &(u64, u64)| pace.judge(begin + Duration::from_millis(*at), *passed, &limits);
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_pause_counts_from_the_last_byte_that_passed() {
        let looks = [(150, 100), (300, 5000), (450, 5000), (600, 9000), (750, 9000), (1050, 9000), (1200, 9000)];
        assert_eq!(judged(600, 0, &looks), [None, None, None, None, None, None, Some("write_timeout")]);
    }

    #[test]
    fn a_client_that_reads_a_little_all_the_time_is_judged_by_the_rate() {
        let slow: Vec<_> = (1..=11).map(|second| (second * 1000, second * 100)).collect();
        assert_eq!(judged(60_000, 240, &slow).last(), Some(&Some("min_rate")));
        let enough: Vec<_> = (1..=40).map(|second| (second * 1000, second * 300)).collect();
        assert!(judged(60_000, 240, &enough).iter().all(Option::is_none));
    }
}
