//! Learned state, one row for each name; the learner defines its layout.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::error::StoreError;
use super::schema;
use super::{Store, now};

/// How long another process may keep the database to itself.
const BUSY: Duration = Duration::from_secs(5);

/// Another database, only to be read.
pub(super) fn read_only(database: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.busy_timeout(BUSY)?;
    schema::check(&connection)?;
    Ok(connection)
}

impl Store {
    /// The value that was kept last under this name.
    pub fn learned(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(move |database| {
            database.read_since(2, |connection| {
                let sql = "SELECT data FROM learned WHERE name = ?1";
                connection.query_row(sql, [name], |row| row.get(0)).optional()
            })
        })
    }

    /// The same of another database: that of a proxy that runs, or a copy of it. It is only read.
    pub fn learned_in(database: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = read_only(database)?;
        let sql = "SELECT data FROM learned WHERE name = ?1";
        match connection.query_row(sql, [name], |row| row.get(0)).optional() {
            // A database of an older program has no such table.
            Err(_) if schema::version(&connection)? < 2 => Ok(None),
            result => Ok(result?),
        }
    }

    /// Replaces what was kept under this name.
    pub fn keep_learned(&self, name: &'static str, data: Vec<u8>) -> Result<(), StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let sql = "INSERT OR REPLACE INTO learned (name, data, at) VALUES (?1, ?2, ?3)";
                transaction.execute(sql, params![name, data, now()]).map(drop)
            })
        })
    }
}
