//! A client's connection of HTTP/2, on the h2 crate itself.
//!
//! Between the socket and the library stands a [`FrameGate`]: it counts frames, and takes every header block out of the client's
//! bytes. The library gets a small stand-in for it, and the request's head stays the bytes that came: what the library would
//! reset a stream or end a connection for becomes an exchange that is answered, with an id and a line in the log. Header blocks
//! of responses pass the library the same way.

mod clock;
mod connection;
mod gate;
mod heads;
mod meter;
mod outgoing;
mod stream;

pub use connection::{Settings, serve};
pub use gate::{FrameGate, SocketState};
pub use stream::ServerStream;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Timer;
use heads::Heads;
use meter::Traffic;

/// The state that the gate, the loop of the connection and its streams share.
#[derive(Debug)]
struct Shared {
    heads: Mutex<Heads>,
    traffic: Traffic,
    /// Streams that have something to send and may not: the client's windows are closed.
    unread: AtomicUsize,
    /// Streams that are being served.
    active: AtomicUsize,
    /// When there was one for the last time, in milliseconds after the epoch.
    idle_since: AtomicU64,
    /// Timers of streams that are over: to arm one for each stream costs more than all else that is done with it.
    timers: Mutex<Vec<Timer>>,
}

/// Timers that wait for a stream.
const TIMERS: usize = 8;

impl Shared {
    /// `streams`: most streams open at once.
    fn new(streams: u32) -> Self {
        Self {
            heads: Mutex::new(Heads::new(streams)),
            traffic: Traffic::new(),
            unread: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            timers: Mutex::new(Vec::new()),
        }
    }

    fn begin_stream(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    fn end_stream(&self, timer: Timer) {
        if self.active.load(Relaxed) == 1 {
            self.idle_since.store(self.traffic.now(), Relaxed);
        }
        self.active.fetch_sub(1, Relaxed);
        let mut timers = self.timers.lock();
        if timers.len() < TIMERS {
            timers.push(timer.hand_over());
        }
    }

    fn timer(&self) -> Timer {
        self.timers.lock().pop().unwrap_or_default()
    }

    fn is_active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    fn idle_since(&self) -> Instant {
        self.traffic.epoch() + Duration::from_millis(self.idle_since.load(Relaxed))
    }
}

#[cfg(test)]
mod tests;
