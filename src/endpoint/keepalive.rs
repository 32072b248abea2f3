//! How long an idle connection may wait and still be used again: learned from when the upstream closes those that wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Before anything is known: below the shortest default in wide use, the 2 s of gunicorn.
const UNSAFE_AT_FIRST: Duration = Duration::from_secs(1);
/// Before anything is known: below the 5 s of Node, uvicorn and Apache. A safe request that meets a close is sent again.
const SAFE_AT_FIRST: Duration = Duration::from_secs(4);
/// A close after a shorter wait says nothing, and connections are used again for at least as long.
const LEAST: Duration = Duration::from_millis(500);
/// The age up to which an observation counts.
const COUNTS: Duration = Duration::from_secs(600);
/// Closes with so little time between them have one cause, and that is not how long each connection had waited.
const AT_ONCE: Duration = Duration::from_millis(100);
/// A close counts when no connect was refused within this time around it.
const SETTLED: Duration = Duration::from_secs(2);
/// Closes that wait to be settled. More in two seconds are no timeouts.
const MOST_PENDING: usize = 32;
/// This number of closes must have been seen before an unsafe request waits for longer than at first: gunicorn looks once a second which
/// connections have waited for its 2 s, and one close after 2.9 s would say too much.
const SURE: usize = 5;
/// Closes that are nearer to each other than this are remembered as the shortest of them.
const GRAIN: Duration = Duration::from_secs(10);
/// With `auto`, a connection is kept this long, used or not, so that it is seen when the upstream closes it. The longest default in wide
/// use that is worth learning is the 30 s of Jetty.
const WATCHED: Duration = Duration::from_secs(35);

/// `keepalive` of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    /// Learned.
    Auto,
    /// Connections idle for longer are not used again.
    For(Duration),
}

impl Keepalive {
    /// An idle connection of HTTP/1 is used again if it has waited less.
    #[must_use]
    #[inline]
    pub fn reuse_within(self, closes: &IdleCloses, safe: bool) -> Duration {
        match self {
            Self::Auto => closes.reuse_within(safe),
            Self::For(time) => time,
        }
    }

    /// How long an idle connection of HTTP/1 is kept.
    #[must_use]
    pub const fn kept(self) -> Duration {
        match self {
            Self::Auto => WATCHED,
            Self::For(time) => time,
        }
    }

    /// The observer of connections that the upstream closes, if anything is to be learned.
    #[must_use]
    pub const fn learns(self, closes: &Arc<IdleCloses>) -> Option<&Arc<IdleCloses>> {
        match self {
            Self::Auto => Some(closes),
            Self::For(_) => None,
        }
    }

    /// How long a connection of HTTP/2 without a request is kept. Its server says which requests it has not taken, so nothing has to be
    /// learned.
    #[must_use]
    pub const fn http2(self) -> Duration {
        match self {
            Self::Auto => SAFE_AT_FIRST,
            Self::For(time) => time,
        }
    }
}

/// When an endpoint was seen to close connections that waited for a request. Reading is one load; a close takes a lock.
#[derive(Debug)]
pub struct IdleCloses {
    /// An idle connection is used again if it has waited less, in milliseconds: for safe methods, and for unsafe ones.
    safe: AtomicU32,
    unsafe_: AtomicU32,
    seen: Mutex<Seen>,
}

impl Default for IdleCloses {
    fn default() -> Self {
        let at_first = |time| AtomicU32::new(milliseconds(time));
        Self { safe: at_first(SAFE_AT_FIRST), unsafe_: at_first(UNSAFE_AT_FIRST), seen: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// Not yet settled.
    pending: Vec<Close>,
    /// When and after which wait, in the order of time; each wait is longer than those before it.
    shortest: VecDeque<(Instant, Duration)>,
    /// When the last closes were that counted, `SURE` at most.
    counted: VecDeque<Instant>,
    refused: Option<Instant>,
}

#[derive(Debug)]
struct Close {
    at: Instant,
    waited: Duration,
    /// No other connection was closed at the same time.
    alone: bool,
}

impl IdleCloses {
    /// An idle connection is used again if it has waited less: 0.8 of the shortest wait that is known.
    #[must_use]
    #[inline]
    pub fn reuse_within(&self, safe: bool) -> Duration {
        let within = if safe { &self.safe } else { &self.unsafe_ };
        Duration::from_millis(u64::from(within.load(Relaxed)))
    }

    /// The endpoint has closed a connection that had waited for `waited`.
    pub fn closed(&self, at: Instant, waited: Duration) {
        let mut seen = self.seen.lock();
        if seen.refused.is_some_and(|refused| at.saturating_duration_since(refused) < SETTLED) {
            return;
        }
        let mut alone = seen.pending.len() < MOST_PENDING;
        for other in &mut seen.pending {
            let apart = at.saturating_duration_since(other.at).max(other.at.saturating_duration_since(at));
            if apart <= AT_ONCE {
                (alone, other.alone) = (false, false);
            }
        }
        if seen.pending.len() < MOST_PENDING {
            seen.pending.push(Close { at, waited, alone });
        }
    }

    /// A connect was refused: the endpoint has stopped, and that is why it closed what waited.
    pub fn refused(&self, now: Instant) {
        let mut seen = self.seen.lock();
        seen.pending.clear();
        seen.refused = Some(now);
    }

    /// About once a second: what no refused connect has explained counts, and what is too old does not any more.
    pub fn second_passed(&self, now: Instant) {
        let mut seen = self.seen.lock();
        if seen.pending.is_empty() && seen.shortest.is_empty() {
            return;
        }
        let seen = &mut *seen;
        let mut settled = Vec::new();
        seen.pending.retain(|close| {
            let waits = now.saturating_duration_since(close.at) < SETTLED;
            if !waits && close.alone && close.waited >= LEAST {
                settled.push((close.at, close.waited));
            }
            waits
        });
        for (at, waited) in settled {
            if seen.counted.len() == SURE {
                seen.counted.pop_front();
            }
            seen.counted.push_back(at);
            while seen.shortest.back().is_some_and(|(_, other)| *other >= waited) {
                seen.shortest.pop_back();
            }
            // A longer wait is of use when the shorter one is forgotten.
            if seen.shortest.back().is_none_or(|(last, _)| at.saturating_duration_since(*last) >= GRAIN) {
                seen.shortest.push_back((at, waited));
            }
        }
        while seen.shortest.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= COUNTS) {
            seen.shortest.pop_front();
        }
        let shortest = seen.shortest.front().map(|(_, waited)| (*waited * 4 / 5).max(LEAST));
        let first = seen.counted.front().filter(|_| seen.counted.len() == SURE);
        let sure = first.is_some_and(|at| now.saturating_duration_since(*at) < COUNTS);
        let longest = if sure { Duration::MAX } else { UNSAFE_AT_FIRST };
        self.safe.store(milliseconds(shortest.unwrap_or(SAFE_AT_FIRST)), Relaxed);
        self.unsafe_.store(milliseconds(shortest.unwrap_or(UNSAFE_AT_FIRST).min(longest)), Relaxed);
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "an instant to count from; none is waited for")]

    use super::*;

    /// An event at a time in milliseconds.
    enum Event {
        /// A connection was closed after this number of milliseconds without a request.
        Closed(u64),
        Refused,
    }
    use Event::{Closed, Refused};

    /// The known times at the end, in milliseconds: for safe and for unsafe methods.
    fn known(events: &[(u64, Event)], end: u64) -> (u128, u128) {
        let began = Instant::now();
        let at = |milliseconds| began + Duration::from_millis(milliseconds);
        let closes = IdleCloses::default();
        let mut events = events.iter().peekable();
        for second in 0..=end / 1000 {
            while let Some((when, event)) = events.next_if(|(when, _)| *when <= second * 1000) {
                match event {
                    Closed(waited) => closes.closed(at(*when), Duration::from_millis(*waited)),
                    Refused => closes.refused(at(*when)),
                }
            }
            closes.second_passed(at(second * 1000));
        }
        (closes.reuse_within(true).as_millis(), closes.reuse_within(false).as_millis())
    }

    #[test]
    fn what_counts_is_the_shortest_wait_of_a_connection_that_was_closed_alone() {
        for (name, events, end, expected) in [
            ("nothing is known", vec![], 10, (4000, 1000)),
            ("a close counts for safe methods", vec![(1000, Closed(5000))], 10, (4000, 1000)),
            ("five count for all", (1..=5).map(|n| (n * 1000, Closed(5000))).collect(), 10, (4000, 4000)),
            ("the shortest of five", (1..=5).map(|n| (n * 1000, Closed(2900 - 100 * n))).collect(), 10, (1920, 1920)),
            ("a close that may be the beginning of a restart waits", vec![(1000, Closed(5000))], 2, (4000, 1000)),
            ("the shortest", vec![(1000, Closed(2000)), (3000, Closed(1000)), (5000, Closed(3000))], 10, (800, 800)),
            ("what was closed within half a second says nothing", vec![(1000, Closed(499))], 10, (4000, 1000)),
            ("never below half a second", vec![(1000, Closed(510))], 10, (500, 500)),
            ("several at once", vec![(1000, Closed(700)), (1080, Closed(3000))], 10, (4000, 1000)),
            ("a young one at once with an old one", vec![(1000, Closed(100)), (1010, Closed(3000))], 10, (4000, 1000)),
            ("one after the other", vec![(1000, Closed(2000)), (1200, Closed(1000))], 10, (800, 800)),
            ("followed by a refused connect", vec![(1000, Closed(2000)), (2500, Refused)], 10, (4000, 1000)),
            ("found only after the refused connect", vec![(1000, Refused), (2000, Closed(2000))], 10, (4000, 1000)),
            ("long after a refused connect", vec![(1000, Refused), (9000, Closed(1000))], 20, (800, 800)),
            ("for ten minutes", vec![(1000, Closed(1000))], 600, (800, 800)),
            ("and no longer", vec![(1000, Closed(1000))], 602, (4000, 1000)),
            ("then the next shortest", vec![(1000, Closed(700)), (300_000, Closed(900))], 700, (720, 720)),
        ] {
            assert_eq!(known(&events, end * 1000), expected, "{name}");
        }
    }

    #[test]
    fn a_storm_of_closes_is_bounded_and_says_nothing() {
        let now = Instant::now();
        let closes = IdleCloses::default();
        (0..100_000).for_each(|_| closes.closed(now, Duration::from_secs(3)));
        assert_eq!(closes.seen.lock().pending.len(), MOST_PENDING);
        closes.second_passed(now + SETTLED);
        assert_eq!(closes.reuse_within(false), UNSAFE_AT_FIRST);
    }

    #[test]
    fn a_duration_of_the_file_is_taken_as_it_is() {
        let (given, closes) = (Keepalive::For(Duration::from_secs(9)), IdleCloses::default());
        assert_eq!(given.reuse_within(&closes, false), Duration::from_secs(9));
        assert_eq!((given.kept(), given.http2()), (Duration::from_secs(9), Duration::from_secs(9)));
    }
}
