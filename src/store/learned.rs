//! What was learned from traffic, under a name each; its layout belongs to who learned it.

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::{Store, now};

impl Store {
    /// What was kept last under this name.
    pub fn learned(&self, name: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(move |database| {
            database.read(|connection| {
                let sql = "SELECT data FROM learned WHERE name = ?1";
                connection.query_row(sql, [name], |row| row.get(0)).optional()
            })
        })
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
