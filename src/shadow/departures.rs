//! Where copies wait for the next turn in which they are sent.
//!
//! Waking another thread is a system call and, on a busy machine, the end of the waker's own turn: that is the most that a copy
//! could cost the request it was made from. So the request's path only puts its copy down here, and the sending thread comes
//! by every millisecond, as long as there is anything to come for.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Between two turns.
const TURN: Duration = Duration::from_millis(1);
/// Turns without a copy, after which the next one has to call.
const QUIET: u32 = 50;

/// Things put down by any thread, taken away by one.
#[derive(Debug)]
pub(super) struct Departures<T> {
    waiting: Mutex<Vec<T>>,
    /// Nobody comes by without being called.
    asleep: AtomicBool,
    call: Notify,
}

impl<T> Departures<T> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(Vec::new()), asleep: AtomicBool::new(false), call: Notify::new() }
    }

    pub(super) fn add(&self, one: T) {
        self.waiting.lock().push(one);
        if self.asleep.load(SeqCst) && self.asleep.swap(false, SeqCst) {
            self.call.notify_one();
        }
    }

    /// What was put down since the last turn, at least one.
    pub(super) async fn next(&self) -> Vec<T> {
        let mut quiet = 0;
        loop {
            tokio::time::sleep(TURN).await;
            let taken = std::mem::take(&mut *self.waiting.lock());
            if !taken.is_empty() {
                return taken;
            }
            quiet += 1;
            if quiet > QUIET {
                self.asleep.store(true, SeqCst);
                // Whoever put something down before that did not call.
                if self.waiting.lock().is_empty() {
                    self.call.notified().await;
                }
                self.asleep.store(false, SeqCst);
                quiet = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everything_departs_once_in_its_order_however_long_nothing_came() {
        const THREADS: u64 = 4;
        const EACH: u64 = 2000;
        let departures = Arc::new(Departures::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // From the other side of a long quiet: it has to be called.
        let sleeps = Arc::clone(&departures);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let departures = Arc::clone(&departures);
                std::thread::spawn(move || {
                    while thread == 0 && !departures.asleep.load(SeqCst) {
                        std::thread::yield_now();
                    }
                    (0..EACH).for_each(|number| departures.add((thread, number)));
                })
            })
            .collect();
        let mut got = vec![Vec::new(); usize::try_from(THREADS).unwrap()];
        runtime.block_on(async {
            while got.iter().map(Vec::len).sum::<usize>() < usize::try_from(THREADS * EACH).unwrap() {
                for (thread, number) in sleeps.next().await {
                    got[usize::try_from(thread).unwrap()].push(number);
                }
            }
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(got.iter().all(|numbers| numbers.iter().copied().eq(0..EACH)));
    }
}
