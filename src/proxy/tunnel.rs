//! Whether a connection has become a WebSocket, and whether it is time to say good-bye on it.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// An ordinary connection, or a tunnel of another protocol, in which nobody but its two ends may speak.
const NONE: u8 = 0;
const WEBSOCKET: u8 = 1;
const LEAVES: u8 = 2;

/// One connection's tunnel. It never becomes an ordinary connection again.
#[derive(Debug, Default)]
pub struct Tunnel(AtomicU8);

impl Tunnel {
    /// The next head that goes to the client opens a WebSocket.
    pub fn opens_websocket(&self) {
        self.0.store(WEBSOCKET, Relaxed);
    }

    pub fn is_websocket(&self) -> bool {
        self.0.load(Relaxed) != NONE
    }

    /// The client of a WebSocket is to be told that the server goes, as soon as no frame is half sent.
    pub fn take_leave(&self) {
        if self.is_websocket() {
            self.0.store(LEAVES, Relaxed);
        }
    }

    pub fn takes_leave(&self) -> bool {
        self.0.load(Relaxed) == LEAVES
    }
}
