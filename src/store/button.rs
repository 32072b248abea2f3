//! The big red button's row. Its file beside the database is written by `live`; either keeps it pressed.

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::journal::{self, NewRow};
use super::{JournalRow, Store};

impl Store {
    /// Whether the row says that it is pressed. A database that cannot be read never presses it.
    pub fn button_is_pressed(&self) -> bool {
        let sql = "SELECT pressed FROM button";
        let pressed = |database: &mut super::Database| {
            database.read(|connection| connection.query_row(sql, [], |row| row.get(0)).optional())
        };
        self.ask(pressed).ok().flatten().unwrap_or(false)
    }

    /// When it was released last, as RFC 3339; `None`: it is pressed, or never was.
    pub fn button_released_at(&self) -> Option<Box<str>> {
        let sql = "SELECT journal.at FROM button JOIN journal ON journal.id = button.row WHERE button.pressed = 0";
        let at = |database: &mut super::Database| {
            database.read(|connection| connection.query_row(sql, [], |row| row.get(0)).optional())
        };
        self.ask(at).ok().flatten()
    }

    /// Keeps that it was set, with a row of the journal. `reason` may be empty; the row says in any case which way it went.
    pub fn keep_button(
        &self,
        pressed: bool,
        who: &str,
        reason: &str,
        generation: u64,
    ) -> Result<JournalRow, StoreError> {
        let way = if pressed { "pressed" } else { "released" };
        let reason = if reason.is_empty() { way.to_owned() } else { format!("{way}: {reason}") };
        let row = NewRow {
            action: "button".into(),
            by: "person".into(),
            who: who.into(),
            reason: reason.into(),
            generation,
            ..NewRow::default()
        };
        self.ask(move |database| {
            database.write(|transaction| {
                let written = journal::insert(transaction, &row)?;
                let id = i64::try_from(written.id).unwrap_or(i64::MAX);
                transaction.execute(
                    "INSERT INTO button (id, pressed, row) VALUES (1, ?1, ?2) \
                     ON CONFLICT (id) DO UPDATE SET pressed = excluded.pressed, row = excluded.row",
                    params![pressed, id],
                )?;
                Ok(written)
            })
        })
    }
}
