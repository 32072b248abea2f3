//! The evidence of comparisons, one row for each route; its text belongs to `compare`.

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::{Store, now};

/// The evidence of a route, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRow {
    pub route: Box<str>,
    /// With another subject the evidence begins anew.
    pub subject: Box<str>,
    /// JSON.
    pub text: Box<str>,
}

impl Store {
    pub fn evidence(&self, route: &str) -> Result<Option<EvidenceRow>, StoreError> {
        let route: Box<str> = route.into();
        self.ask(move |database| {
            database.read(|connection| {
                let sql = "SELECT subject, text FROM evidence WHERE route = ?1";
                let mut statement = connection.prepare(sql)?;
                let found = statement.query_row([&route], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                Ok(found.map(|(subject, text)| EvidenceRow { route, subject, text }))
            })
        })
    }

    pub fn keep_evidence(&self, row: EvidenceRow) -> Result<(), StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let sql = "INSERT OR REPLACE INTO evidence (route, subject, text, at) VALUES (?1, ?2, ?3, ?4)";
                let mut statement = transaction.prepare(sql)?;
                statement.execute(params![row.route, row.subject, row.text, now()]).map(drop)
            })
        })
    }

    /// Whether the files of an older program are still to be read.
    pub fn wants_evidence_files(&self) -> Result<bool, StoreError> {
        self.ask(|database| {
            database.read(|connection| {
                let sql = "SELECT 1 FROM imported WHERE name = 'evidence'";
                connection.query_row(sql, [], |_| Ok(())).optional().map(|done| done.is_none())
            })
        })
    }

    /// Takes over what the files of an older program say, once. A row that is there already is newer than a file.
    pub fn import_evidence(&self, rows: Vec<EvidenceRow>) -> Result<(), StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let at = now();
                for row in &rows {
                    let sql = "INSERT OR IGNORE INTO evidence (route, subject, text, at) VALUES (?1, ?2, ?3, ?4)";
                    transaction.execute(sql, params![row.route, row.subject, row.text, at])?;
                }
                let sql = "INSERT OR IGNORE INTO imported (name, at) VALUES ('evidence', ?1)";
                transaction.execute(sql, [at]).map(drop)
            })
        })
    }
}
