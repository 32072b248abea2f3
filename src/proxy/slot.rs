//! Lines of an answer's head that no map has held: the wire adds them to the head that pingora writes.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::BytesMut;
use parking_lot::Mutex;

/// Lines that are added to the next head that a client is sent.
#[derive(Debug, Default)]
pub struct Lines {
    waiting: AtomicBool,
    lines: Mutex<BytesMut>,
}

impl Lines {
    /// Each of them ends with CRLF.
    pub fn put(&self, lines: BytesMut) {
        *self.lines.lock() = lines;
        self.waiting.store(true, Relaxed);
    }

    pub fn take(&self) -> Option<BytesMut> {
        // One task writes and reads; the flag spares the others the lock.
        (self.waiting.load(Relaxed) && self.waiting.swap(false, Relaxed))
            .then(|| std::mem::take(&mut *self.lines.lock()))
    }
}
