//! What one step of a connection leaves for a later one that pingora calls without a word from us.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

/// Room for one thing, taken once.
pub struct Slot<T> {
    waiting: AtomicBool,
    what: Mutex<Option<T>>,
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { waiting: AtomicBool::new(false), what: Mutex::new(None) }
    }
}

impl<T> Slot<T> {
    /// What still lies there is gone.
    pub fn put(&self, what: T) {
        *self.what.lock() = Some(what);
        self.waiting.store(true, Relaxed);
    }

    pub fn take(&self) -> Option<T> {
        // One task writes and reads; the flag spares the others the lock.
        if self.waiting.load(Relaxed) && self.waiting.swap(false, Relaxed) { self.what.lock().take() } else { None }
    }
}
