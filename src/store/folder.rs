//! The state directory: the lock against a second process, and the file of the database.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::{now, schema};

/// The database in a state directory.
pub(super) const DATABASE: &str = "multilith.db";
const LOCK: &str = "multilith.lock";
/// `SQLite` keeps these beside the database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// How long a statement waits for a reader of another process, `sqlite3` for example.
const PATIENCE: Duration = Duration::from_secs(5);

/// A database that this process alone may write.
pub(super) struct Held {
    pub(super) connection: Connection,
    /// The database that could not be used was put here.
    pub(super) moved_aside: Option<(PathBuf, StoreError)>,
    file: PathBuf,
    /// Device and number of the file that is open.
    identity: (u64, u64),
    // Dropped after the connection: the lock outlasts the last write.
    #[expect(dead_code, reason = "the lock is held for as long as the file is open")]
    lock: File,
}

/// Takes the lock, then opens the database, or a new one where the old one cannot be used.
pub(super) fn hold(state_dir: &Path) -> Result<Held, StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let lock = private(&state_dir.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let file = state_dir.join(DATABASE);
    let (connection, moved_aside) = match open(&file) {
        Ok(connection) => (connection, None),
        Err(error) if error.is_of_content() => {
            let aside = move_aside(&file)?;
            let connection = open(&file)?;
            // The files of an older program are older than what was lost: they are not read again.
            connection.execute("INSERT INTO imported (name, at) VALUES ('evidence', ?1)", [now()])?;
            (connection, Some((aside, error)))
        }
        Err(error) => return Err(error),
    };
    let identity = identity(&file)?;
    Ok(Held { connection, moved_aside, file, identity, lock })
}

impl Held {
    /// The file is still where it was opened. `SQLite` would go on writing one that was removed.
    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.file).is_ok_and(|found| found == self.identity)
    }
}

fn identity(file: &Path) -> io::Result<(u64, u64)> {
    let data = fs::metadata(file)?;
    Ok((data.dev(), data.ino()))
}

fn open(file: &Path) -> Result<Connection, StoreError> {
    // SQLite would make a file that all users may read.
    drop(private(file)?);
    let mut connection = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
    )?;
    connection.busy_timeout(PATIENCE)?;
    schema::prepare(&mut connection)?;
    Ok(connection)
}

/// Opens the database of another process, which goes on writing it.
pub(super) fn look(state_dir: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(state_dir.join(DATABASE), flags)?;
    connection.busy_timeout(PATIENCE)?;
    let (found, known) = (schema::version(&connection)?, schema::newest());
    // That of an older program tells where routes were moved to, too: this one serves while that one still holds the lock.
    if (1..=known).contains(&found) { Ok(connection) } else { Err(StoreError::Newer { found, known }) }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Gives the file a name under which it stays, with the log that belongs to it.
fn move_aside(file: &Path) -> io::Result<PathBuf> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = |number: u32| {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        PathBuf::from(format!("{}.broken-{time}{again}", file.display()))
    };
    let aside = (1..=u32::MAX).map(name).find(|path| !path.exists()).expect("a free name below 2^32");
    fs::rename(file, &aside)?;
    for ending in BESIDE {
        match fs::rename(with(file, ending), with(&aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn with(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
