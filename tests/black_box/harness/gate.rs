//! A gate that a test opens: what an origin waits for where a careless test would sleep.

use std::sync::{Arc, Condvar, Mutex};

use super::waiting::PATIENCE;

/// Clones share one gate. It opens once and stays open.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().expect("no panic while the gate is held") = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate opens. Gives up after [`PATIENCE`], so that a failed test does not leave a thread behind for ever.
    pub(crate) fn wait(&self) {
        let open = self.0.0.lock().expect("no panic while the gate is held");
        drop(self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open));
    }
}
