//! The journal's rows that came from the fleet, and the moves that the fleet has not heard of yet.

use rusqlite::params;

use super::error::StoreError;
use super::journal::{self, KeptDial, NewRow};
use super::{JournalRow, Store};

/// Moves that all replicas know, under the fleet's numbers.
pub(super) const FLEET: &str = "fleet";
/// Moves that this replica made alone.
pub(super) const HERE: &str = "here";

/// A route, or `""`, and a record as JSON.
type UnsentRow = (Box<str>, Box<str>);

impl Store {
    /// Adds a row under the number that the fleet gave it, and the dial that its route has from then on. `at`: when it was made.
    /// A row that is there already stays.
    pub fn append_of_fleet(
        &self,
        row: NewRow,
        seq: u64,
        at: &str,
        dial: Option<KeptDial>,
    ) -> Result<JournalRow, StoreError> {
        let at: Box<str> = at.into();
        self.ask(move |database| {
            database.write(|transaction| {
                let written = journal::insert_as(transaction, &row, (FLEET, Some(seq), &at))?;
                if let (Some(route), Some(dial)) = (&row.route, &dial) {
                    journal::keep(transaction, route, &written, dial)?;
                }
                Ok(written)
            })
        })
    }

    /// Adds a row of what was done here alone; its number is its own.
    pub fn append_here(&self, row: NewRow, dial: Option<KeptDial>) -> Result<JournalRow, StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let written = journal::insert_as(transaction, &row, (HERE, None, &super::now()))?;
                if let (Some(route), Some(dial)) = (&row.route, &dial) {
                    journal::keep(transaction, route, &written, dial)?;
                }
                Ok(written)
            })
        })
    }

    /// The last number of the fleet that each route has here.
    pub fn fleet_numbers(&self) -> Result<Vec<(Box<str>, u64)>, StoreError> {
        self.ask(|database| {
            database.read_since(3, |connection| {
                let sql = "SELECT route, MAX(seq) FROM journal WHERE origin = ?1 AND route IS NOT NULL GROUP BY route";
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([FLEET], |row| {
                    Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
                })?;
                rows.collect()
            })
        })
    }

    /// The records that the fleet has not heard of yet: the route, `""` for the button, and the record.
    pub fn unsent(&self) -> Result<Vec<UnsentRow>, StoreError> {
        self.ask(|database| {
            database.read_since(3, |connection| {
                let mut statement = connection.prepare("SELECT route, data FROM unsent ORDER BY route")?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            })
        })
    }

    /// Keeps what the fleet has to hear later; `None`: it has heard. Does not wait.
    pub fn keep_unsent(&self, route: &str, data: Option<&str>) {
        let (route, data): (Box<str>, Option<Box<str>>) = (route.into(), data.map(Into::into));
        self.tell(move |database| {
            database.write(|transaction| {
                match &data {
                    Some(data) => {
                        let sql = "INSERT OR REPLACE INTO unsent (route, data) VALUES (?1, ?2)";
                        transaction.execute(sql, params![route, data])?;
                    }
                    None => {
                        transaction.execute("DELETE FROM unsent WHERE route = ?1", [&route])?;
                    }
                }
                Ok(())
            })
        });
    }
}
