//! The tables, and how a database of an older program becomes one of ours.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::StoreError;

/// Step `n` leads from version `n` to version `n + 1` (`PRAGMA user_version`). A step that was released is never changed.
const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// The version that this program writes.
pub(super) fn newest() -> i64 {
    i64::try_from(STEPS.len()).expect("a handful of steps")
}

/// A database as an older program has left it.
#[cfg(test)]
pub(super) fn make_older(connection: &Connection, version: usize) -> rusqlite::Result<()> {
    for step in &STEPS[..version] {
        connection.execute_batch(step)?;
    }
    connection.pragma_update(None, "user_version", i64::try_from(version).expect("a handful of steps"))
}

/// Checks the file and brings it to the newest version, each step in a transaction of its own.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    check(connection)?;
    while let Some(step) = usize::try_from(version(connection)?).ok().and_then(|version| STEPS.get(version)) {
        let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        let next = version(&transaction)? + 1;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    // After the steps: a file that cannot be ours is left as it was.
    // Without a log ahead of writing (a folder on a network) the database still works.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Bytes of the log that stay on the disk after a large write.
    connection.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
    Ok(())
}

/// The file is whole, and not from a newer program.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = (version(connection)?, newest());
    if !(0..=known).contains(&found) {
        return Err(StoreError::Newer { found, known });
    }
    let said: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(StoreError::Damaged(said.into())) }
}

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
