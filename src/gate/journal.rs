//! The journal of moves, as moves and the API see it: author, time, reason, and the numbers it rested on. The store keeps it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::migration::Dial;
use crate::migration::dial::{Action, By, Left, Standing};
use crate::store::{DialRow, JournalRow, KeptDial, NewRow, Store, StoreError};

/// Stage and weight as the API writes them; `weight` only in the stage that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenDial {
    pub stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
}

impl From<Dial> for WrittenDial {
    fn from(dial: Dial) -> Self {
        let weight = dial.own_weight().map(|weight| weight.to_string());
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
    /// The dial of the file.
    pub file: Dial,
    pub version: &'a str,
    pub generation: u64,
    pub reason: &'a str,
    pub verdict: Option<Value>,
}

/// One line of `multilith journal --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JournalEntry {
    pub v: u8,
    /// The row, over all routes.
    pub id: u64,
    /// Per route, from 1, without gaps.
    pub seq: u64,
    /// RFC 3339. Nothing is ordered by it: a clock that jumps changes only what is said here.
    pub at: Box<str>,
    /// `None`: the button, a refused file.
    pub route: Option<Box<str>>,
    pub by: Box<str>,
    pub who: Box<str>,
    pub from: Option<WrittenDial>,
    pub to: Option<WrittenDial>,
    pub file: Option<WrittenDial>,
    pub version: Box<str>,
    pub generation: u64,
    pub action: Box<str>,
    pub reason: Box<str>,
    pub verdict: Option<Value>,
}

impl From<JournalRow> for JournalEntry {
    fn from(JournalRow { id, seq, at, row }: JournalRow) -> Self {
        Self {
            v: 1,
            id,
            seq,
            at,
            route: row.route,
            by: row.by,
            who: row.who,
            from: row.from.map(Into::into),
            to: row.to.map(Into::into),
            file: row.file.map(Into::into),
            version: row.version,
            generation: row.generation,
            action: row.action,
            reason: row.reason,
            verdict: row.verdict.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// Why an entry was not written, or not read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the journal cannot be used: {0}")]
pub struct JournalError(pub StoreError);

impl JournalError {
    /// Another process holds the state directory.
    pub const fn is_in_use(&self) -> bool {
        matches!(self.0, StoreError::InUse)
    }
}

/// Where the journal left routes, by name, and since when.
pub type LeftRoutes = HashMap<Box<str>, (Left, Box<str>)>;

/// The journal of this state directory.
#[derive(Debug)]
pub struct Journal {
    store: Arc<Store>,
}

/// Some entries, and where the next ones begin.
#[derive(Debug, Serialize)]
pub struct JournalPage {
    pub entries: Vec<JournalEntry>,
    /// `after` of the next page; `None`: this was the last.
    pub next: Option<u64>,
}

impl Journal {
    pub const fn of(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Adds an entry, and where it leaves its route. It is on the disk when this returns.
    pub fn append(&self, new: &NewEntry<'_>, after: &Standing) -> Result<JournalEntry, JournalError> {
        self.store.append(row(new), Some(kept(new, after))).map(Into::into).map_err(JournalError)
    }

    /// Adds an entry of the fleet under its number there, made at this time.
    pub fn append_of_fleet(&self, new: &NewEntry<'_>, after: &Standing, at: &str) -> Result<(), JournalError> {
        let written = self.store.append_of_fleet(row(new), after.seq, at, Some(kept(new, after)));
        written.map(drop).map_err(JournalError)
    }

    /// Adds an entry of what was done on this replica alone. `action` may be one that no dial knows.
    pub fn append_here(&self, new: &NewEntry<'_>, action: &str, after: &Standing) -> Result<(), JournalError> {
        let row = NewRow { action: action.into(), ..row(new) };
        self.store.append_here(row, Some(kept(new, after))).map(drop).map_err(JournalError)
    }

    /// Adds that the big red button was set.
    pub fn append_button(&self, on: bool, who: &str, reason: &str, generation: u64) -> Result<(), JournalError> {
        self.store.keep_button(on, who, reason, generation).map(drop).map_err(JournalError)
    }

    /// Adds that a file was refused, which moves nothing. `generation`: of the file that stays in force.
    pub fn append_refusal(&self, file: &str, generation: u64, reason: &str) -> Result<(), JournalError> {
        let row = NewRow {
            action: "refused".into(),
            by: By::File.as_str().into(),
            who: file.into(),
            generation,
            reason: reason.into(),
            ..NewRow::default()
        };
        self.store.append(row, None).map(drop).map_err(JournalError)
    }

    /// Adds that a person wrote a rule that is about no route.
    pub fn append_rule(&self, who: &str, generation: u64, reason: &str) -> Result<(), JournalError> {
        let row = NewRow {
            action: Action::Rule.as_str().into(),
            by: By::Person.as_str().into(),
            who: who.into(),
            generation,
            reason: reason.into(),
            ..NewRow::default()
        };
        self.store.append(row, None).map(drop).map_err(JournalError)
    }

    /// Where each route was left, and since when.
    pub fn left(&self) -> Result<LeftRoutes, JournalError> {
        let dials = self.store.dials().map_err(JournalError)?;
        let left = dials.into_iter().map(|DialRow { route, seq, since, kept }| {
            let by = By::read(&kept.by).unwrap_or(By::File);
            let standing = Standing {
                dial: kept.dial,
                by,
                seq,
                latched: kept.latched,
                pause: kept.pause,
                approved: kept.approved,
            };
            (route, (Left { standing, file: kept.file, version: kept.version }, since))
        });
        Ok(left.collect())
    }

    /// The oldest `limit` entries after a row, of one route or of all.
    pub fn page(&self, route: Option<&str>, after: u64, limit: usize) -> Result<JournalPage, JournalError> {
        let mut rows = self.store.rows_after(route, after, limit + 1).map_err(JournalError)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().map(|row| row.id).filter(|_| more);
        Ok(JournalPage { entries: rows.into_iter().map(Into::into).collect(), next })
    }

    /// The newest `limit` entries before a row, of one route or of all, the newest first.
    pub fn newest(
        &self,
        route: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, JournalError> {
        let rows = self.store.rows_before(route, before, limit).map_err(JournalError)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Whether a move could be written down now.
    pub fn is_writable(&self) -> bool {
        self.store.status().trouble.is_none()
    }

    /// Called when the journal became writable, or stopped being so.
    pub fn when_changed(&self, listener: impl Fn(bool) + Send + Sync + 'static) {
        self.store.when_changed(move |status| listener(status.trouble.is_none()));
    }
}

fn row(new: &NewEntry<'_>) -> NewRow {
    NewRow {
        route: Some(new.route.into()),
        action: new.action.as_str().into(),
        by: new.by.as_str().into(),
        who: new.who.into(),
        from: Some(new.from),
        to: Some(new.to),
        file: Some(new.file),
        version: new.version.into(),
        generation: new.generation,
        reason: new.reason.into(),
        verdict: new.verdict.as_ref().map(|verdict| verdict.to_string().into()),
    }
}

fn kept(new: &NewEntry<'_>, after: &Standing) -> KeptDial {
    KeptDial {
        dial: after.dial,
        file: new.file,
        version: new.version.into(),
        by: after.by.as_str().into(),
        latched: after.latched,
        pause: after.pause,
        approved: after.approved,
    }
}

/// The time as the journal writes it.
pub fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::{Percent, Stage};

    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("multilith-journal-{name}-{}", std::process::id())))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn canary(hundredths: u16) -> Dial {
        Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
    }

    fn entry(route: &str, to: Dial) -> NewEntry<'_> {
        NewEntry {
            route,
            action: Action::RollBack,
            by: By::Person,
            who: "ops",
            from: canary(100),
            to,
            file: canary(100),
            version: "v1",
            generation: 1,
            reason: "",
            verdict: Some(serde_json::json!({ "step": 1 })),
        }
    }

    fn after(to: Dial) -> Standing {
        Standing { dial: to, by: By::Person, latched: true, ..Standing::of_file(canary(100)) }
    }

    #[test]
    fn what_was_left_is_found_by_the_next_process() {
        let folder = Folder::new("left");
        {
            let journal = Journal::of(Store::open(&folder.0));
            for route in ["a", "b", "a"] {
                journal.append(&entry(route, canary(0)), &after(canary(0))).expect("written");
            }
        }
        let journal = Journal::of(Store::open(&folder.0));
        let left = journal.left().expect("read");
        let (a, _) = &left["a"];
        assert_eq!((a.standing.seq, a.standing.dial, a.standing.latched), (2, canary(0), true));
        assert_eq!((a.file, &*a.version), (canary(100), "v1"));
        assert_eq!(left["b"].0.standing.seq, 1);
    }

    #[test]
    fn the_journal_is_read_page_by_page_as_the_contract_shows_it() {
        let folder = Folder::new("page");
        let journal = Journal::of(Store::open(&folder.0));
        for _ in 0..5 {
            let to = Dial { stage: Stage::Migrated, weight: Percent::EVERYBODY };
            journal.append(&entry("a", to), &after(to)).expect("written");
        }
        let page = journal.page(None, 0, 3).expect("read");
        assert_eq!((page.entries.len(), page.next), (3, Some(3)));
        let page = journal.page(Some("a"), 3, 3).expect("read");
        assert_eq!((page.entries.len(), page.next), (2, None));
        let newest = journal.newest(None, Some(4), 2).expect("read");
        assert_eq!(newest.iter().map(|entry| entry.id).collect::<Vec<_>>(), [3, 2]);
        assert!(journal.page(Some("b"), 0, 3).expect("read").entries.is_empty());
        let value = serde_json::to_value(&page.entries[0]).expect("an entry serialises");
        assert_eq!(value["from"], serde_json::json!({ "stage": "canary", "weight": "1%" }));
        assert_eq!(value["to"], serde_json::json!({ "stage": "migrated" }));
        assert_eq!((value["v"].as_u64(), value["seq"].as_u64()), (Some(1), Some(4)));
        assert_eq!(value["verdict"]["step"], 1);
    }
}
