//! The deadlines of an exchange: for the client, and for the upstream.

use std::time::{Duration, Instant};

use crate::compile::Limits;

/// The event that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// More of the request's body.
    #[default]
    Upload,
    /// The upstream takes more of the request's body.
    UpstreamTakes,
    /// The head of the response.
    Head,
    /// More of the response's body.
    Body,
    /// The client takes what it was sent. On a connection of its own that is measured at its socket; a stream of HTTP/2 among
    /// others has a deadline.
    Client,
}

/// The deadline of one exchange. It is moved by a store; the clock is read once for each time the exchange is woken.
#[derive(Debug, Default)]
pub struct Deadline {
    waiting: Waiting,
    at: Option<Instant>,
    /// No attempt lasts longer, whatever is waited for.
    limit: Option<Instant>,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The client sends no more of its body.
    Upload,
    /// The client takes no more of its response.
    Download,
    Upstream,
}

impl Deadline {
    /// No attempt lasts beyond this; `None` lifts the limit.
    pub const fn limit(&mut self, end: Option<Instant>) {
        self.limit = end;
    }

    /// Something is waited for from `now`, at most for `pause`; `None` waits without end.
    pub fn wait(&mut self, waiting: Waiting, now: Instant, pause: Option<Duration>) {
        self.waiting = waiting;
        self.at = pause.and_then(|pause| now.checked_add(pause));
    }

    #[must_use]
    pub const fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// When to look next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.at.into_iter().chain(self.limit).min()
    }

    /// The deadline that has passed by now.
    #[must_use]
    pub fn expired(&self, now: Instant) -> Option<Expired> {
        if self.limit.is_some_and(|limit| limit <= now) {
            return Some(Expired::Upstream);
        }
        self.at.filter(|at| *at <= now)?;
        Some(match self.waiting {
            Waiting::Upload => Expired::Upload,
            Waiting::Client => Expired::Download,
            Waiting::UpstreamTakes | Waiting::Head | Waiting::Body => Expired::Upstream,
        })
    }
}

/// How long a piece of a response may wait on one stream of HTTP/2. A connection on which nothing moves is ended after
/// `write_timeout`; on one that moves, a stream may be slow because others are fast, but not slower than `min_rate`.
pub fn patience_with_stream(limits: &Limits) -> Option<Duration> {
    /// The most bytes that wait for the client's window.
    const WAITS: u64 = 64 * 1024;
    const SLOWEST: u64 = 240;
    let rate = limits.min_rate.filter(|rate| *rate > 0).unwrap_or(SLOWEST);
    limits.write_timeout.map(|pause| pause + Duration::from_secs(WAITS / rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_the_two_passes_and_says_whose_it_was() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut deadline = Deadline::default();
        assert_eq!((deadline.due(), deadline.expired(after(9))), (None, None));
        deadline.wait(Waiting::Upload, now, Some(Duration::from_secs(5)));
        assert_eq!((deadline.due(), deadline.expired(after(4))), (Some(after(5)), None));
        assert_eq!(deadline.expired(after(5)), Some(Expired::Upload));
        deadline.limit(Some(after(3)));
        assert_eq!((deadline.due(), deadline.expired(after(3))), (Some(after(3)), Some(Expired::Upstream)));
        deadline.wait(Waiting::Client, now, None);
        deadline.limit(None);
        assert_eq!(deadline.due(), None);
    }
}
