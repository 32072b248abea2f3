//! The embedded database: the journal with the dials, the evidence of comparisons, the endpoints known last, the button.
//!
//! One `SQLite` file below the state directory, one thread that touches it. Nothing on a request's path asks the store, and
//! no failure of the store stops the proxy: a caller gets a [`StoreError`] and goes on.
//!
//! One process at a time may write. A second one on the same state directory (an upgrade) reads what is there, and takes
//! over as soon as the first one lets go.

mod button;
mod endpoints;
mod error;
mod evidence;
mod fleet;
mod folder;
mod journal;
mod learned;
mod progress;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

pub use endpoints::KnownEndpoint;
pub use error::StoreError;
pub use evidence::EvidenceRow;
pub use journal::{DialRow, JournalRow, KeptDial, NewRow};
pub use progress::ProgressRow;
pub use writer::StoreStatus;
use writer::{Database, Job, Shared};

/// The most jobs that wait. More are refused: the disk is too slow for them.
const WAITING: usize = 256;
/// The longest that a job may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// The handle; the database is closed when the last one is gone.
pub struct Store {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Store {
    /// Never fails: a store that cannot be opened says so in its status and in the log, and tries again by itself.
    pub fn open(state_dir: &Path) -> Arc<Self> {
        let shared = Arc::<Shared>::default();
        let database = Database::open(state_dir, Arc::clone(&shared));
        let (jobs, waiting) = sync_channel(WAITING);
        let writer = std::thread::Builder::new().name("store".to_owned()).spawn(move || database.serve(&waiting));
        if let Err(error) = writer {
            tracing::error!(%error, "the store has no thread: nothing is kept");
            shared.status.lock().trouble = Some(StoreError::from(error));
        }
        Arc::new(Self { jobs, shared })
    }

    pub fn status(&self) -> StoreStatus {
        self.shared.status.lock().clone()
    }

    /// `listener` is called on a thread of its own whenever the store became writable or stopped being so: after another
    /// process let go of the state directory, what was read before is to be read anew.
    pub fn when_changed(&self, listener: impl Fn(&StoreStatus) + Send + Sync + 'static) {
        self.shared.listeners.lock().push(Arc::new(Box::new(listener)));
    }

    /// Lets another process have the state directory. Everything that was asked before is written first.
    pub fn let_go(&self) {
        // An error is the news that it has.
        drop(self.ask(|database| {
            database.close();
            Ok(())
        }));
    }

    /// Waits for the answer; not on a request's path. A job whose turn did not come in time is never done.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = Arc::new(Mutex::new(Err(StoreError::Closed)));
        let place = Arc::clone(&answer);
        self.wait_for(Box::new(move |database| *place.lock() = work(database)))?;
        std::mem::replace(&mut *answer.lock(), Err(StoreError::Closed))
    }

    fn wait_for(&self, work: Job) -> Result<(), StoreError> {
        let (done, answer) = sync_channel(1);
        let taken = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&taken);
        let job: Job = Box::new(move |database| {
            if !begins.swap(true, AcqRel) {
                work(database);
                // An error means that the caller is gone.
                let _ = done.send(());
            }
        });
        self.jobs.try_send(job).map_err(|_| StoreError::Slow)?;
        match answer.recv_timeout(TURN) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(StoreError::Closed),
            Err(RecvTimeoutError::Timeout) if !taken.swap(true, AcqRel) => Err(StoreError::Slow),
            // It has begun, and may be written already: only the answer tells.
            Err(RecvTimeoutError::Timeout) => answer.recv().map_err(|_| StoreError::Closed),
        }
    }

    /// Does not wait; a failure is in the log.
    fn tell(&self, work: impl FnOnce(&mut Database) -> Result<(), StoreError> + Send + 'static) {
        let job: Job = Box::new(move |database| drop(work(database)));
        if self.jobs.try_send(job).is_err() {
            tracing::warn!("the disk does not answer in time: something that was learnt is not kept");
        }
    }
}

/// The time as the tables have it.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
