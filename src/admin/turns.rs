//! Requests of the admin API are served one by one, so that any number of them leaves the processor to the proxied requests.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

/// The highest rate of all callers together: a thousand requests a second.
const INTERVAL: Duration = Duration::from_millis(1);
/// The burst: unused time that may be spent at once.
const SAVED: Duration = Duration::from_millis(250);
/// Long work is done one at a time, and then not for this many times as long: a quarter of one processor at most.
const REST: u32 = 3;
const LONGEST_REST: Duration = Duration::from_secs(1);
/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of all listeners of the process.
#[derive(Debug)]
pub struct Turns {
    /// Connections that may be open.
    most: u64,
    open: AtomicU64,
    next: Mutex<Instant>,
    /// Held while something that takes long is done; when the next may be.
    long: tokio::sync::Mutex<Instant>,
}

/// A connection that is counted as long as it lives.
pub struct Seat<'a>(&'a Turns);

impl Turns {
    pub fn new(most: u64) -> Self {
        let now = Instant::now();
        Self { most, open: AtomicU64::new(0), next: Mutex::new(now), long: tokio::sync::Mutex::new(now) }
    }

    /// One more connection, if there is room.
    pub fn seat(&self) -> Option<Seat<'_>> {
        let seat = Seat(self);
        (self.open.fetch_add(1, Relaxed) < self.most).then_some(seat)
    }

    /// Waits for the next turn.
    pub async fn turn(&self) {
        let at = {
            let (mut next, now) = (self.next.lock(), Instant::now());
            *next = (*next).max(now.checked_sub(SAVED).unwrap_or(now)) + INTERVAL;
            *next
        };
        if at > Instant::now() {
            sleep_until(at).await;
        }
    }

    /// Does what may take long; `None`: too many wait for that already.
    pub async fn long<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut next = timeout(PATIENCE, async {
            let next = self.long.lock().await;
            sleep_until(*next).await;
            next
        })
        .await
        .ok()?;
        let began = Instant::now();
        let done = work.await;
        let now = Instant::now();
        *next = now + (REST * (now - began)).min(LONGEST_REST);
        Some(done)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_crowd_gets_no_more_turns_than_the_rate_and_what_was_saved() {
        run(async {
            let turns = Turns::new(1);
            let began = Instant::now();
            for _ in 0..400 {
                turns.turn().await;
            }
            let least = (INTERVAL * 400).saturating_sub(SAVED);
            assert!(began.elapsed() >= least, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn what_takes_long_is_done_one_at_a_time_and_rests_in_between() {
        run(async {
            let (turns, began) = (Turns::new(1), Instant::now());
            // It takes its time from the moment when it is its turn.
            let work = || turns.long(async { sleep_until(Instant::now() + Duration::from_millis(20)).await });
            for _ in 0..3 {
                assert!(work().await.is_some());
            }
            // No caller waits behind the last one.
            assert!(began.elapsed() >= Duration::from_millis(20 + 60 + 20 + 60 + 20), "{:?}", began.elapsed());
        });
    }

    #[test]
    fn there_is_room_for_so_many_and_again_for_the_next() {
        let turns = Turns::new(2);
        let (one, two) = (turns.seat(), turns.seat());
        assert!(one.is_some() && two.is_some() && turns.seat().is_none());
        drop(one);
        assert!(turns.seat().is_some());
    }
}
