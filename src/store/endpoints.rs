//! The endpoints that each registry named last: a start while the registry is down serves with them.

use rusqlite::{Row, params};

use super::Store;
use super::error::StoreError;

/// One key of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEndpoint {
    pub key: Box<str>,
    /// `host:port` or `unix:/path`.
    pub address: Box<str>,
    pub weight: u32,
    /// Endpoints of a higher number are used only when all of the lower ones are down.
    pub priority: u16,
}

impl Store {
    /// The endpoints that the registry named last, if the upstream still asks the same place of the same registry.
    pub fn endpoints(&self, upstream: &str, source: &str) -> Result<Vec<KnownEndpoint>, StoreError> {
        let (upstream, source): (Box<str>, Box<str>) = (upstream.into(), source.into());
        self.ask(move |database| {
            database.read(|connection| {
                let sql = "SELECT key, address, weight, priority FROM endpoint WHERE upstream = ?1 AND source = ?2";
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([&upstream, &source], read)?;
                rows.collect()
            })
        })
    }

    /// Replaces what was known of the upstream. Does not wait.
    pub fn keep_endpoints(&self, upstream: &str, source: &str, known: Vec<KnownEndpoint>) {
        let (upstream, source): (Box<str>, Box<str>) = (upstream.into(), source.into());
        self.tell(move |database| {
            database.write(|transaction| {
                transaction.execute("DELETE FROM endpoint WHERE upstream = ?1", [&upstream])?;
                let sql = "INSERT OR REPLACE INTO endpoint (upstream, source, key, address, weight, priority) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let mut statement = transaction.prepare(sql)?;
                for KnownEndpoint { key, address, weight, priority } in &known {
                    statement.execute(params![upstream, source, key, address, weight, priority])?;
                }
                Ok(())
            })
        });
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<KnownEndpoint> {
    Ok(KnownEndpoint { key: row.get(0)?, address: row.get(1)?, weight: row.get(2)?, priority: row.get(3)? })
}
