//! Where copies wait for the next turn in which they are sent.
//!
//! Waking another thread is a system call and, on a busy machine, the end of the waker's own turn: that is the most that a copy
//! could cost the request it was made from. So the request's path only puts its copy down here, and the sending thread comes
//! by every millisecond, as long as there is anything to come for. Nothing here is locked: the holder of a lock might be the
//! thread that lets others go first.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(super) use tokio::sync::mpsc::UnboundedSender as BatchSender;

/// Between two turns.
const TURN: Duration = Duration::from_millis(1);
/// Turns without a copy, after which the next one has to call.
const QUIET: u32 = 50;

/// Both ends. The length is bounded by what may be in flight.
pub(super) fn batch_queue<T>() -> (BatchSender<T>, BatchReceiver<T>) {
    let (put, waiting) = unbounded_channel();
    (put, BatchReceiver(waiting))
}

/// Takes away what any thread has put down.
#[derive(Debug)]
pub(super) struct BatchReceiver<T>(UnboundedReceiver<T>);

impl<T> BatchReceiver<T> {
    /// The jobs since the last turn, at least one; `None`: every sender is gone.
    pub(super) async fn next(&mut self) -> Option<Vec<T>> {
        let mut taken = Vec::new();
        for _ in 0..QUIET {
            tokio::time::sleep(TURN).await;
            while let Ok(one) = self.0.try_recv() {
                taken.push(one);
            }
            if !taken.is_empty() {
                return Some(taken);
            }
        }
        taken.push(self.0.recv().await?);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

    #[test]
    fn everything_departs_once_in_its_order_however_long_nothing_came() {
        const THREADS: u64 = 4;
        const EACH: u64 = 2000;
        static SLEPT: AtomicBool = AtomicBool::new(false);
        let (put, mut turns) = batch_queue();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let put = put.clone();
                std::thread::spawn(move || {
                    // From the other side of a long quiet: it has to be called.
                    while thread == 0 && !SLEPT.load(SeqCst) {
                        std::thread::yield_now();
                    }
                    (0..EACH).for_each(|number| put.send((thread, number)).unwrap());
                })
            })
            .collect();
        drop(put);
        let mut got = vec![Vec::new(); usize::try_from(THREADS).unwrap()];
        runtime.block_on(async {
            tokio::spawn(async {
                tokio::time::sleep(TURN * QUIET * 3).await;
                SLEPT.store(true, SeqCst);
            });
            while let Some(some) = turns.next().await {
                assert!(!some.is_empty());
                for (thread, number) in some {
                    got[usize::try_from(thread).unwrap()].push(number);
                }
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(got.iter().all(|numbers| numbers.iter().copied().eq(0..EACH)));
    }
}
