//! Why the store did not do what was asked.

use std::io;
use std::sync::Arc;

/// Cheap to copy: the reason why a store is not open is given to each caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock of this state directory.
    #[error("another process uses the state directory")]
    InUse,
    /// The process is about to end, or has handed its state directory over.
    #[error("the store is closed")]
    Closed,
    /// The writer had no time for it: a disk that does not answer.
    #[error("the disk does not answer in time")]
    Slow,
    /// The disk, the quota or the largest size of a file is reached. Nothing was written.
    #[error("no room is left on the disk: {0}")]
    Full(Arc<rusqlite::Error>),
    /// The state directory cannot be made, locked or written.
    #[error("the state directory cannot be used: {0}")]
    Folder(Arc<io::Error>),
    #[error("the database cannot be used: {0}")]
    Database(Arc<rusqlite::Error>),
    /// The finding of `PRAGMA quick_check`.
    #[error("the database is damaged: {0}")]
    Damaged(Arc<str>),
    /// The database was written by a newer program: its version, and the newest that this program knows.
    #[error("the database is of version {found}; this program knows versions up to {known}")]
    Newer { found: i64, known: i64 },
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_WRITE};
        let code = error.sqlite_error().map(|error| error.extended_code);
        // A limit of the file's size fails the write itself.
        if code.is_some_and(|code| code & 0xff == SQLITE_FULL || code == SQLITE_IOERR_WRITE) {
            return Self::Full(Arc::new(error));
        }
        Self::Database(Arc::new(error))
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Folder(Arc::new(error))
    }
}

impl StoreError {
    /// The content of the file is at fault, not the disk: another file in its place can be used.
    pub(super) fn is_of_content(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SchemaChanged, TypeMismatch, Unknown};
        match self {
            Self::Damaged(_) | Self::Newer { .. } => true,
            Self::Database(error) => match &**error {
                rusqlite::Error::SqliteFailure(error, _) => {
                    matches!(error.code, DatabaseCorrupt | NotADatabase | SchemaChanged | TypeMismatch | Unknown)
                }
                rusqlite::Error::SqlInputError { .. } => true,
                _ => false,
            },
            _ => false,
        }
    }
}
