//! The one thread that touches the database: it does what it is asked in turn, and waits for the lock where it has none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::StoreError;
use super::folder::{self, Held};
use super::schema;

/// How soon the lock of another process is tried again.
const AGAIN_IN_USE: Duration = Duration::from_millis(100);
/// How soon a folder that cannot be used is tried again.
const AGAIN_UNUSABLE: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(3600);

/// A job for the writer.
pub(super) type Job = Box<dyn FnOnce(&mut Database) + Send>;

/// How the store stands, for status and metrics.
#[derive(Debug, Clone, Default)]
pub struct StoreStatus {
    /// `None`: it can be written.
    pub trouble: Option<StoreError>,
    /// Since this process began, a database that could not be used was put there.
    pub moved_aside: Option<PathBuf>,
}

impl StoreStatus {
    /// The known state is lost, or nothing can be kept. Another process that keeps it is no such trouble.
    pub fn is_broken(&self) -> bool {
        let trouble = self.trouble.as_ref();
        self.moved_aside.is_some() || trouble.is_some_and(|why| !matches!(why, StoreError::InUse | StoreError::Closed))
    }
}

/// Called on a thread of its own after the store became writable, or stopped being so.
pub(super) type Listener = Box<dyn Fn(&StoreStatus) + Send + Sync>;

#[derive(Default)]
pub(super) struct Shared {
    pub(super) status: Mutex<StoreStatus>,
    pub(super) listeners: Mutex<Vec<Arc<Listener>>>,
}

enum Access {
    Write(Held),
    /// Another process writes; this one may look, if there is something to look at.
    Look(Option<Connection>),
    /// Nothing, for ever.
    Closed,
}

/// The database, as far as this process may use it.
pub(super) struct Database {
    state_dir: PathBuf,
    access: Access,
    next_try: Instant,
    /// The last write failed: it is said once.
    failing: bool,
    shared: Arc<Shared>,
}

impl Database {
    pub(super) fn open(state_dir: &Path, shared: Arc<Shared>) -> Self {
        let mut database = Self {
            state_dir: state_dir.to_owned(),
            access: Access::Look(None),
            next_try: Instant::now(),
            failing: false,
            shared,
        };
        database.try_to_hold();
        database
    }

    /// Until every sender is dropped.
    pub(super) fn serve(mut self, jobs: &Receiver<Job>) {
        loop {
            let wait = match self.access {
                Access::Look(_) => self.next_try.saturating_duration_since(Instant::now()),
                _ => NEVER,
            };
            match jobs.recv_timeout(wait) {
                Ok(job) => job(&mut self),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if matches!(self.access, Access::Look(_)) && self.next_try <= Instant::now() {
                self.try_to_hold();
            }
        }
    }

    fn try_to_hold(&mut self) {
        match folder::hold(&self.state_dir) {
            Ok(held) => {
                if let Some((path, why)) = &held.moved_aside {
                    tracing::error!(path = %path.display(), %why, "the database was moved aside, and a new one begins");
                } else if self.shared.status.lock().trouble.is_some() {
                    tracing::info!(dir = %self.state_dir.display(), "the state directory is in use by this process now");
                }
                let moved_aside = held.moved_aside.as_ref().map(|(path, _)| path.clone());
                self.access = Access::Write(held);
                self.stands(None, moved_aside);
            }
            Err(error) => {
                let in_use = matches!(error, StoreError::InUse);
                self.next_try = Instant::now() + if in_use { AGAIN_IN_USE } else { AGAIN_UNUSABLE };
                if matches!(self.access, Access::Look(None)) && in_use {
                    // There may be nothing yet: it is looked for again.
                    self.access = Access::Look(folder::look(&self.state_dir).ok());
                }
                let same = |old: &StoreError| std::mem::discriminant(old) == std::mem::discriminant(&error);
                if !self.shared.status.lock().trouble.as_ref().is_some_and(same) {
                    let dir = self.state_dir.display();
                    if in_use {
                        tracing::warn!(%dir, "another process uses the state directory: what is learnt is not kept before it ends");
                    } else {
                        tracing::error!(%dir, %error, "nothing can be kept; requests are served all the same");
                    }
                    self.stands(Some(error), None);
                }
            }
        }
    }

    fn stands(&self, trouble: Option<StoreError>, moved_aside: Option<PathBuf>) {
        let status = {
            let mut status = self.shared.status.lock();
            status.trouble = trouble;
            status.moved_aside = moved_aside.or(status.moved_aside.take());
            status.clone()
        };
        let listeners = self.shared.listeners.lock().clone();
        if listeners.is_empty() {
            return;
        }
        // Not on this thread: a listener may ask the store.
        let tell = move || listeners.iter().for_each(|listener| listener(&status));
        if let Err(error) = std::thread::Builder::new().name("store-news".to_owned()).spawn(tell) {
            tracing::error!(%error, "a change of the store was not told");
        }
    }

    /// Lets another process have the state directory.
    pub(super) fn close(&mut self) {
        if !matches!(self.access, Access::Closed) {
            self.access = Access::Closed;
            self.stands(Some(StoreError::Closed), None);
        }
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        match &self.access {
            Access::Write(held) => Ok(work(&held.connection)?),
            Access::Look(Some(connection)) => Ok(work(connection)?),
            Access::Look(None) | Access::Closed => Err(self.trouble()),
        }
    }

    /// The same of a table that older databases lack, which may be read before they are brought up to date.
    pub(super) fn read_since<T: Default>(
        &self,
        first: i64,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.read(|connection| if schema::version(connection)? < first { Ok(T::default()) } else { work(connection) })
    }

    /// In one transaction: after an error nothing of it is kept.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if matches!(&self.access, Access::Write(held) if !held.is_in_place()) {
            tracing::error!(dir = %self.state_dir.display(), "the database was removed, or another disk was put over it; a new one begins");
            // The old lock first: the new one may be on the same file.
            self.access = Access::Look(None);
            self.try_to_hold();
        }
        let trouble = self.trouble();
        let Access::Write(held) = &mut self.access else { return Err(trouble) };
        let attempt = || -> rusqlite::Result<T> {
            let transaction = held.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        let result = attempt().map_err(StoreError::from);
        match &result {
            Ok(_) if self.failing => tracing::info!("the database can be written again"),
            Err(error) if !self.failing => {
                tracing::error!(%error, "the database cannot be written; requests are served all the same");
            }
            _ => {}
        }
        self.failing = result.is_err();
        result
    }

    fn trouble(&self) -> StoreError {
        self.shared.status.lock().trouble.clone().unwrap_or(StoreError::Closed)
    }
}
