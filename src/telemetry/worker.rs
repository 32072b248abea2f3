//! Threads that write or send what was gathered, at the end of the process.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Waits for a thread that was asked to end. `false`: it has not ended in time, or it panicked.
pub(super) fn ends_within(thread: JoinHandle<()>, within: Duration) -> bool {
    let began = Instant::now();
    while !thread.is_finished() && began.elapsed() < within {
        thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished() && thread.join().is_ok()
}
