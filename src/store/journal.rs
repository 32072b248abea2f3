//! The journal of moves, and where its last row leaves each route.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::error::StoreError;
use super::learned::read_only;
use super::{Store, now};
use crate::migration::gate::Pause;
use crate::migration::{Dial, Percent, Stage};

/// A row of the journal before it has its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRow {
    /// `None`: the button, a refused file.
    pub route: Option<Box<str>>,
    pub action: Box<str>,
    /// file, gate or person
    pub by: Box<str>,
    pub who: Box<str>,
    pub from: Option<Dial>,
    pub to: Option<Dial>,
    /// The file's dial.
    pub file: Option<Dial>,
    /// The gate's `version`.
    pub version: Box<str>,
    pub generation: u64,
    pub reason: Box<str>,
    /// JSON.
    pub verdict: Option<Box<str>>,
}

/// A row as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Over all routes, in the order of writing.
    pub id: u64,
    /// Per route from 1 without gaps; rows without a route have their own count.
    pub seq: u64,
    /// RFC 3339. Nothing is ordered by it.
    pub at: Box<str>,
    pub row: NewRow,
}

/// Where the last row leaves a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDial {
    pub dial: Dial,
    /// The file's dial: with another file this entry is not in force.
    pub file: Dial,
    pub version: Box<str>,
    pub by: Box<str>,
    pub latched: bool,
    pub pause: Pause,
    pub approved: bool,
}

/// A [`KeptDial`] with the row that left it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialRow {
    pub route: Box<str>,
    /// Of the route's last row.
    pub seq: u64,
    /// RFC 3339: the last row that moved something.
    pub since: Box<str>,
    pub kept: KeptDial,
}

const COLUMNS: &str = "id, seq, at, route, action, \"by\", who, from_stage, from_weight, to_stage, to_weight, \
                       file_stage, file_weight, version, generation, reason, verdict";

impl Store {
    /// Adds a row, and the dial that its route has from then on, in one transaction. It is on the disk when this returns.
    pub fn append(&self, row: NewRow, dial: Option<KeptDial>) -> Result<JournalRow, StoreError> {
        self.ask(move |database| {
            database.write(|transaction| {
                let written = insert(transaction, &row)?;
                if let (Some(route), Some(dial)) = (&row.route, &dial) {
                    keep(transaction, route, &written, dial)?;
                }
                Ok(written)
            })
        })
    }

    /// The newest `limit` rows of a route, the newest first.
    pub fn newest(&self, route: &str, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE route = ?1 ORDER BY id DESC LIMIT ?2");
        self.rows(sql, Some(route.into()), 0, limit)
    }

    /// The oldest `limit` rows whose `id` is above `after`, of one route or of all, the oldest first.
    pub fn rows_after(&self, route: Option<&str>, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        let own = if route.is_some() { "route = ?1" } else { "?1 IS NULL" };
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE {own} AND id > ?3 ORDER BY id LIMIT ?2");
        self.rows(sql, route.map(Into::into), after, limit)
    }

    /// The newest `limit` rows whose `id` is below `before`, of one route or of all, the newest first.
    pub fn rows_before(
        &self,
        route: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let own = if route.is_some() { "route = ?1" } else { "?1 IS NULL" };
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE {own} AND id < ?3 ORDER BY id DESC LIMIT ?2");
        self.rows(sql, route.map(Into::into), before.unwrap_or(u64::MAX), limit)
    }

    fn rows(
        &self,
        sql: String,
        route: Option<Box<str>>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.ask(move |database| {
            database.read(|connection| {
                let mut statement = connection.prepare(&sql)?;
                // A statement may not be given more parameters than it names.
                let mut rows = if sql.contains("?3") {
                    statement.query(params![route, limit, after])?
                } else {
                    statement.query(params![route, limit])?
                };
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.extend(known(row, "journal", read)?);
                }
                Ok(found)
            })
        })
    }

    /// Where each route was left, in the order of their names.
    pub fn dials(&self) -> Result<Vec<DialRow>, StoreError> {
        self.ask(|database| database.read(all_dials))
    }

    /// The same of another database: that of a proxy that runs, or a copy of it. It is only read.
    pub fn dials_in(database: &Path) -> Result<Vec<DialRow>, StoreError> {
        Ok(all_dials(&read_only(database)?)?)
    }
}

fn all_dials(connection: &Connection) -> rusqlite::Result<Vec<DialRow>> {
    let mut statement = connection.prepare(
        "SELECT dial.route, seq, since, stage, weight, dial.file_stage, dial.file_weight, dial.version, \
                     dial.\"by\", latched, paused, approved FROM dial JOIN journal ON journal.id = dial.row \
                     ORDER BY dial.route",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(known(row, "dial", read_dial)?);
    }
    Ok(found)
}

/// Writes the row with the next number of its route.
pub(super) fn insert(transaction: &Transaction<'_>, row: &NewRow) -> rusqlite::Result<JournalRow> {
    insert_as(transaction, row, ("", None, &now()))
}

/// The same for a row of this origin, with the number that it has elsewhere, and the time. A row that is there stays as it is.
pub(super) fn insert_as(
    transaction: &Transaction<'_>,
    row: &NewRow,
    (origin, seq, at): (&str, Option<u64>, &str),
) -> rusqlite::Result<JournalRow> {
    let seq = if let Some(seq) = seq.and_then(|seq| i64::try_from(seq).ok()) {
        let known = "SELECT id FROM journal WHERE route IS ?1 AND origin = ?2 AND seq = ?3";
        let known: Option<i64> =
            transaction.prepare(known)?.query_row(params![row.route, origin, seq], |row| row.get(0)).optional()?;
        if let Some(id) = known {
            let (id, seq) = (u64::try_from(id).unwrap_or_default(), u64::try_from(seq).unwrap_or_default());
            return Ok(JournalRow { id, seq, at: at.into(), row: row.clone() });
        }
        seq
    } else {
        // A proxy that left a fleet goes on behind its numbers.
        let last = "SELECT seq FROM journal WHERE route IS ?1 AND (origin = ?2 OR ?2 = '' AND origin = 'fleet') \
                    ORDER BY seq DESC LIMIT 1";
        let last: Option<i64> =
            transaction.prepare(last)?.query_row(params![row.route, origin], |row| row.get(0)).optional()?;
        last.unwrap_or(0) + 1
    };
    let stage = |dial: Option<Dial>| dial.map(|dial| dial.stage.as_str());
    let weight = |dial: Option<Dial>| dial.map(|dial| dial.weight.buckets());
    transaction
        .prepare(
            "INSERT INTO journal (seq, at, route, action, \"by\", who, from_stage, from_weight, to_stage, to_weight, \
             file_stage, file_weight, version, generation, reason, verdict, origin) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            seq,
            at,
            row.route,
            row.action,
            row.by,
            row.who,
            stage(row.from),
            weight(row.from),
            stage(row.to),
            weight(row.to),
            stage(row.file),
            weight(row.file),
            row.version,
            i64::try_from(row.generation).unwrap_or(i64::MAX),
            row.reason,
            row.verdict,
            origin,
        ])?;
    let id = u64::try_from(transaction.last_insert_rowid()).unwrap_or_default();
    Ok(JournalRow { id, seq: u64::try_from(seq).unwrap_or_default(), at: at.into(), row: row.clone() })
}

pub(super) fn keep(
    transaction: &Transaction<'_>,
    route: &str,
    row: &JournalRow,
    dial: &KeptDial,
) -> rusqlite::Result<()> {
    // `since` is the time of the last row that moved something.
    let moved = row.row.from != row.row.to;
    transaction
        .prepare(
            "INSERT INTO dial (route, row, stage, weight, file_stage, file_weight, version, \"by\", latched, paused, \
             approved, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
             ON CONFLICT (route) DO UPDATE SET row = excluded.row, stage = excluded.stage, weight = excluded.weight, \
             file_stage = excluded.file_stage, file_weight = excluded.file_weight, version = excluded.version, \
             \"by\" = excluded.\"by\", latched = excluded.latched, paused = excluded.paused, \
             approved = excluded.approved, since = CASE WHEN ?13 THEN excluded.since ELSE dial.since END",
        )?
        .execute(params![
            route,
            i64::try_from(row.id).unwrap_or(i64::MAX),
            dial.dial.stage.as_str(),
            dial.dial.weight.buckets(),
            dial.file.stage.as_str(),
            dial.file.weight.buckets(),
            dial.version,
            dial.by,
            dial.latched,
            pause_number(dial.pause),
            dial.approved,
            row.at,
            moved,
        ])
        .map(drop)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Option<JournalRow>> {
    let (Some(from), Some(to), Some(file)) = (dial(row, 7)?, dial(row, 9)?, dial(row, 11)?) else { return Ok(None) };
    Ok(Some(JournalRow {
        id: number(row, 0)?,
        seq: number(row, 1)?,
        at: row.get(2)?,
        row: NewRow {
            route: row.get(3)?,
            action: row.get(4)?,
            by: row.get(5)?,
            who: row.get(6)?,
            from,
            to,
            file,
            version: row.get(13)?,
            generation: number(row, 14)?,
            reason: row.get(15)?,
            verdict: row.get(16)?,
        },
    }))
}

fn read_dial(row: &Row<'_>) -> rusqlite::Result<Option<DialRow>> {
    let (Some(Some(dial)), Some(Some(file))) = (dial(row, 3)?, dial(row, 5)?) else { return Ok(None) };
    let kept = KeptDial {
        dial,
        file,
        version: row.get(7)?,
        by: row.get(8)?,
        latched: row.get(9)?,
        pause: pause(row.get(10)?),
        approved: row.get(11)?,
    };
    Ok(Some(DialRow { route: row.get(0)?, seq: number(row, 1)?, since: row.get(2)?, kept }))
}

/// A row that this program cannot read is said and passed over.
fn known<T>(
    row: &Row<'_>,
    table: &str,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Option<T>> {
    let found = read(row)?;
    if found.is_none() {
        let which = row.get_ref(0)?;
        tracing::warn!(table, row = ?which, "a row of the database has a form that is not known; it was passed over");
    }
    Ok(found)
}

/// Outer `None`: not a dial that this program knows. Inner: there is none.
#[expect(clippy::option_option, reason = "absent and unknown are two things")]
fn dial(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Option<Dial>>> {
    let (stage, weight): (Option<Box<str>>, Option<i64>) = (row.get(at)?, row.get(at + 1)?);
    let (Some(stage), Some(weight)) = (stage, weight) else { return Ok(Some(None)) };
    let stage = Stage::ALL.into_iter().find(|known| known.as_str() == &*stage);
    let weight = u16::try_from(weight).ok().and_then(Percent::from_hundredths);
    Ok(stage.zip(weight).map(|(stage, weight)| Some(Dial { stage, weight })))
}

/// The column `paused`: 0, 1, and 2 with the roll-backs. A program that knows the first two alone reads 2 as 1.
const fn pause_number(pause: Pause) -> i64 {
    match pause {
        Pause::No => 0,
        Pause::Advances => 1,
        Pause::All => 2,
    }
}

const fn pause(number: i64) -> Pause {
    Pause::read(number != 0, number == 2)
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(at)?;
    Ok(u64::try_from(number).unwrap_or_default())
}
