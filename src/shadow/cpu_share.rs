//! How much of one processor copies and comparisons may take: looked at up to a hundred times a second, on their own threads.
//!
//! A limit that is exceeded costs copies, never requests: as long as more was taken than there is, none is begun, which is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::threads::cpu_time;
use crate::migration::Percent;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Between two looks where much is owed, so that another limit is in force soon.
const LONGEST: Duration = Duration::from_millis(500);
/// The unused share of at most this time may be taken at once.
const BURST: Duration = Duration::from_millis(100);
/// There is no limit.
const NONE: u16 = u16::MAX;

/// The limit of `[shadow] cpu`, and whether it is exceeded now.
#[derive(Debug)]
pub(super) struct CpuShare {
    /// Of one processor, out of 10 000; [`NONE`].
    share: AtomicU16,
    exceeded: AtomicBool,
    /// The processor time of the thread of comparisons, in nanoseconds.
    comparing: AtomicU64,
    changed: Notify,
}

impl CpuShare {
    pub(super) fn new(share: Option<Percent>) -> Self {
        let share = AtomicU16::new(share.map_or(NONE, Percent::buckets));
        Self { share, exceeded: AtomicBool::new(false), comparing: AtomicU64::new(0), changed: Notify::new() }
    }

    /// Another file is in force.
    pub(super) fn limit(&self, share: Option<Percent>) {
        self.share.store(share.map_or(NONE, Percent::buckets), Relaxed);
        self.changed.notify_one();
    }

    /// More was taken than there is: no copy is begun.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Relaxed)
    }

    /// To be called on the thread of comparisons, behind each of them.
    pub(super) fn compared(&self) {
        self.comparing.store(nanoseconds(cpu_time()), Relaxed);
    }

    /// The share, as long as there is one.
    fn share(&self) -> Option<f64> {
        let share = self.share.load(Relaxed);
        (share != NONE).then(|| f64::from(share) / 10_000.0)
    }

    /// Looks at what is taken as long as there is a limit, and waits for one where there is none. To be polled on the thread that
    /// sends copies. `lives`: copies are being sent.
    pub(super) async fn watch(self: Arc<Self>, lives: impl Fn() -> bool + Send) {
        let (mut account, mut at, mut before) = (Account::default(), Instant::now(), self.taken());
        while lives() {
            let Some(share) = self.share() else {
                self.exceeded.store(false, Relaxed);
                self.changed.notified().await;
                (account, at, before) = (Account::default(), Instant::now(), self.taken());
                continue;
            };
            let (now, taken) = (Instant::now(), self.taken());
            let passed = now.saturating_duration_since(at);
            let exceeded = account.settle(share, passed, Duration::from_nanos(taken.saturating_sub(before)));
            self.exceeded.store(exceeded, Relaxed);
            (at, before) = (now, taken);
            // Looking takes time of the share, too: what is owed is not asked for before it can be there.
            tokio::time::sleep(account.owed(share).clamp(LOOK, LONGEST)).await;
        }
    }

    /// By this thread and by that of comparisons, so far, in nanoseconds.
    fn taken(&self) -> u64 {
        nanoseconds(cpu_time()).saturating_add(self.comparing.load(Relaxed))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds that may still be taken; below zero, more was taken than there was.
#[derive(Debug, Default)]
struct Account(f64);

impl Account {
    /// Accounts for `taken` of processor time in the time `passed`. True: the share is exceeded.
    fn settle(&mut self, share: f64, passed: Duration, taken: Duration) -> bool {
        let left = self.0 + passed.as_secs_f64() * share - taken.as_secs_f64();
        self.0 = left.min(BURST.as_secs_f64() * share);
        self.0 < 0.0
    }

    /// How long it takes until nothing is owed.
    fn owed(&self, share: f64) -> Duration {
        Duration::try_from_secs_f64(-self.0 / share).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn what_is_taken_beyond_the_share_is_waited_for_and_a_pause_saves_up_a_moment_of_it() {
        let mut account = Account::default();
        assert!(!account.settle(0.25, ms(10), ms(2)), "less than a quarter");
        assert!(account.settle(0.25, ms(10), ms(9)), "far more than a quarter");
        assert!(account.settle(0.25, ms(10), ms(0)), "6 ms are owed, 2.5 came in");
        assert_eq!(account.owed(0.25).as_millis(), 14, "3.5 ms, at a quarter");
        assert!(!account.settle(0.25, ms(20), ms(0)), "and 5 more");
        assert_eq!(account.owed(0.25), Duration::ZERO);
        assert!(!account.settle(0.25, ms(60_000), ms(0)));
        assert!(!account.settle(0.25, ms(10), ms(27)), "a quarter of the burst, and of what has passed");
        assert!(account.settle(0.25, ms(10), ms(4)), "a minute's pause is worth no more");
    }

    #[test]
    fn what_copies_may_take_is_on_average_what_the_file_says() {
        let mut account = Account::default();
        // Whenever it may, the thread takes everything.
        let (mut exceeded, mut taken) = (false, Duration::ZERO);
        for _ in 0..10_000 {
            let now = if exceeded { Duration::ZERO } else { ms(10) };
            taken += now;
            exceeded = account.settle(0.1, ms(10), now);
        }
        assert!((9.9..10.2).contains(&taken.as_secs_f64()), "{taken:?} of 100 s");
    }
}
