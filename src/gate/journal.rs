//! The journal of moves: who, when, why, and the numbers it rested on. Entries are only added.

use std::fmt;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use crate::migration::dial::{Action, By, Standing, Turn, in_force};
use crate::migration::{Dial, Stage};

/// Stage and weight as the API writes them; `weight` only in the stage that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenDial {
    pub stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
}

impl From<Dial> for WrittenDial {
    fn from(dial: Dial) -> Self {
        let weight = (dial.stage == Stage::Canary).then(|| dial.weight.to_string());
        Self { stage: dial.stage.as_str(), weight }
    }
}

/// An entry before it is written.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    pub route: &'a str,
    pub action: Action,
    pub by: By,
    pub who: &'a str,
    pub from: Dial,
    pub to: Dial,
    /// What the file says.
    pub file: Dial,
    pub version: &'a str,
    pub generation: u64,
    pub reason: &'a str,
    pub verdict: Option<Value>,
}

/// One line of `multilith journal --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    pub v: u8,
    /// The row, over all routes.
    pub id: u64,
    /// Per route, from 1, without gaps.
    pub seq: u64,
    /// RFC 3339. Nothing is ordered by it: a clock that jumps changes only what is said here.
    pub at: String,
    pub route: String,
    pub by: &'static str,
    pub who: String,
    pub from: WrittenDial,
    pub to: WrittenDial,
    pub file: WrittenDial,
    pub version: String,
    pub generation: u64,
    pub action: &'static str,
    pub reason: String,
    pub verdict: Option<Value>,
}

/// Why an entry was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalError(pub String);

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the journal cannot be written: {}", self.0)
    }
}

impl std::error::Error for JournalError {}

/// The entries of this process. They are kept in memory: the dial in force ends with the process, and the next one begins
/// with what the file says.
#[derive(Debug, Default)]
pub struct Journal {
    rows: Mutex<Vec<Row>>,
}

#[derive(Debug)]
struct Row {
    entry: Entry,
    turn: Turn,
}

/// Some entries, and where the next ones begin.
#[derive(Debug, Serialize)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// `after` of the next page; `None`: this was the last.
    pub next: Option<u64>,
}

impl Journal {
    /// Adds an entry, and gives it its numbers. It is written when this returns.
    pub fn append(&self, new: &NewEntry<'_>) -> Result<Entry, JournalError> {
        let mut rows = self.rows.lock();
        let last = rows.iter().rev().find(|row| row.entry.route == new.route);
        let seq = last.map_or(0, |row| row.entry.seq) + 1;
        let id = rows.last().map_or(0, |row| row.entry.id) + 1;
        let entry = Entry {
            v: 1,
            id,
            seq,
            at: now(),
            route: new.route.to_owned(),
            by: new.by.as_str(),
            who: new.who.to_owned(),
            from: new.from.into(),
            to: new.to.into(),
            file: new.file.into(),
            version: new.version.to_owned(),
            generation: new.generation,
            action: new.action.as_str(),
            reason: new.reason.to_owned(),
            verdict: new.verdict.clone(),
        };
        let turn =
            Turn { seq, action: new.action, by: new.by, to: new.to, file: new.file, version: new.version.into() };
        rows.push(Row { entry: entry.clone(), turn });
        Ok(entry)
    }

    /// Where the entries of a route leave it, with the time of its last move; `None` without an entry.
    pub fn standing(&self, route: &str, file: Dial, version: &str) -> Option<(Standing, String)> {
        let rows = self.rows.lock();
        let own: Vec<&Row> = rows.iter().filter(|row| row.entry.route == route).collect();
        let turns: Vec<Turn> = own.iter().map(|row| row.turn.clone()).collect();
        let moved = own.iter().rev().find(|row| row.entry.from != row.entry.to).or(own.last())?;
        Some((in_force(&turns, file, version), moved.entry.at.clone()))
    }

    /// The oldest `limit` entries after a row, of one route or of all.
    pub fn page(&self, route: Option<&str>, after: u64, limit: usize) -> Page {
        let rows = self.rows.lock();
        let mut found = rows
            .iter()
            .filter(|row| row.entry.id > after && route.is_none_or(|route| row.entry.route == route))
            .map(|row| &row.entry);
        let entries: Vec<Entry> = found.by_ref().take(limit).cloned().collect();
        let next = found.next().and(entries.last().map(|entry| entry.id));
        Page { entries, next }
    }
}

/// The time as the journal writes it.
pub fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Percent;

    fn canary(hundredths: u16) -> Dial {
        Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
    }

    fn entry(route: &str, to: Dial) -> NewEntry<'_> {
        NewEntry {
            route,
            action: Action::Promote,
            by: By::Person,
            who: "ops",
            from: canary(100),
            to,
            file: canary(100),
            version: "",
            generation: 1,
            reason: "",
            verdict: None,
        }
    }

    #[test]
    fn seq_counts_per_route_without_gaps_and_id_over_all() {
        let journal = Journal::default();
        let numbers: Vec<(u64, u64)> = ["a", "b", "a"]
            .iter()
            .map(|route| journal.append(&entry(route, canary(500))).expect("written"))
            .map(|entry| (entry.id, entry.seq))
            .collect();
        assert_eq!(numbers, [(1, 1), (2, 1), (3, 2)]);
    }

    #[test]
    fn the_journal_is_read_page_by_page() {
        let journal = Journal::default();
        for _ in 0..5 {
            journal.append(&entry("a", canary(500))).expect("written");
        }
        let page = journal.page(None, 0, 3);
        assert_eq!((page.entries.len(), page.next), (3, Some(3)));
        let page = journal.page(Some("a"), 3, 3);
        assert_eq!((page.entries.len(), page.next), (2, None));
        assert!(journal.page(Some("b"), 0, 3).entries.is_empty());
    }

    #[test]
    fn an_entry_is_the_object_that_the_contract_shows() {
        let journal = Journal::default();
        let written = journal.append(&entry("a", Dial { stage: Stage::Migrated, weight: Percent::EVERYBODY }));
        let value = serde_json::to_value(written.expect("written")).expect("an entry serialises");
        assert_eq!(value["from"], serde_json::json!({ "stage": "canary", "weight": "1%" }));
        assert_eq!(value["to"], serde_json::json!({ "stage": "migrated" }));
        assert_eq!((value["v"].as_u64(), value["seq"].as_u64()), (Some(1), Some(1)));
    }
}
