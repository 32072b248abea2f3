//! How far the migration was, hour by hour.

use rusqlite::{Row, params};

use super::Store;
use super::error::StoreError;

/// Rows beyond are forgotten: three years.
const KEPT: u32 = 3 * 366 * 24;

/// One hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressRow {
    /// Since 1970.
    pub hour: u32,
    pub requests: u64,
    /// Of these, not answered by the monolith.
    pub moved_requests: u64,
    pub routes: u64,
    pub moved_routes: u64,
    pub endpoints: u64,
    pub moved_endpoints: u64,
    /// Endpoints that change something and are not moved.
    pub writes: u64,
}

impl Store {
    /// Adds to the hour's requests; the other figures are those of now.
    pub fn keep_progress(&self, row: ProgressRow) -> Result<(), StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let sql = "INSERT INTO progress VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (hour) DO UPDATE SET \
                           requests = requests + excluded.requests, \
                           moved_requests = moved_requests + excluded.moved_requests, \
                           routes = excluded.routes, moved_routes = excluded.moved_routes, \
                           endpoints = excluded.endpoints, moved_endpoints = excluded.moved_endpoints, \
                           writes = excluded.writes";
                let ProgressRow { hour, requests, moved_requests, routes, moved_routes, endpoints, moved_endpoints, writes } =
                    row;
                let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                transaction.execute(
                    sql,
                    params![
                        hour,
                        signed(requests),
                        signed(moved_requests),
                        signed(routes),
                        signed(moved_routes),
                        signed(endpoints),
                        signed(moved_endpoints),
                        signed(writes)
                    ],
                )?;
                transaction.execute("DELETE FROM progress WHERE hour < ?1", [hour.saturating_sub(KEPT)]).map(drop)
            })
        })
    }

    /// The hours from this one on, the oldest first.
    pub fn progress_since(&self, hour: u32) -> Result<Vec<ProgressRow>, StoreError> {
        self.ask(move |database| {
            database.read_since(2, |connection| {
                let sql = "SELECT * FROM progress WHERE hour >= ?1 ORDER BY hour";
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([hour], read)?;
                rows.collect()
            })
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<ProgressRow> {
    let count = |at: usize| row.get::<_, i64>(at).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(ProgressRow {
        hour: row.get(0)?,
        requests: count(1)?,
        moved_requests: count(2)?,
        routes: count(3)?,
        moved_routes: count(4)?,
        endpoints: count(5)?,
        moved_endpoints: count(6)?,
        writes: count(7)?,
    })
}
