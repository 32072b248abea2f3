//! The promises of the store: numbers without gaps, one writer, a damaged file moved aside, nothing lost by kill -9.

mod killed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::*;
use crate::migration::gate::Pause;
use crate::migration::{Dial, Percent, Stage};

/// A state directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("multilith-store-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join(folder::DATABASE)
    }

    fn sql(&self, sql: &str) -> rusqlite::Result<()> {
        rusqlite::Connection::open(self.database())?.execute_batch(sql)
    }

    /// The files whose name begins so.
    fn named(&self, start: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("the folder can be read");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn canary(hundredths: u16) -> Dial {
    Dial { stage: Stage::Canary, weight: Percent::from_hundredths(hundredths).expect("at most 100 %") }
}

fn row(route: &str, from: u16, to: u16) -> (NewRow, Option<KeptDial>) {
    let row = NewRow {
        route: Some(route.into()),
        action: "promote".into(),
        by: "person".into(),
        who: "ops".into(),
        from: Some(canary(from)),
        to: Some(canary(to)),
        file: Some(canary(1)),
        version: "v1".into(),
        generation: 17,
        reason: "because".into(),
        verdict: Some(r#"{"step":2}"#.into()),
    };
    let dial = KeptDial {
        dial: canary(to),
        file: canary(1),
        version: "v1".into(),
        by: "person".into(),
        latched: false,
        pause: Pause::All,
        approved: false,
    };
    (row, Some(dial))
}

fn append(store: &Store, route: &str, from: u16, to: u16) -> JournalRow {
    let (row, dial) = row(route, from, to);
    store.append(row, dial).expect("written")
}

fn numbers(rows: &[JournalRow]) -> Vec<(u64, u64)> {
    rows.iter().map(|row| (row.id, row.seq)).collect()
}

fn is_whole(database: &Path) {
    let connection = rusqlite::Connection::open(database).expect("opens");
    let said: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).expect("checked");
    assert_eq!(said, "ok");
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_row_comes_back_as_it_was_written_with_the_dial_of_its_route() {
    let folder = Folder::new();
    let written = {
        let store = Store::open(&folder.0);
        append(&store, "a", 100, 500)
    };
    let store = Store::open(&folder.0);
    until("opened", || store.status().trouble.is_none());
    assert_eq!(store.newest("a", 9).expect("read"), std::slice::from_ref(&written));
    let dials = store.dials().expect("read");
    assert_eq!(dials.len(), 1);
    let DialRow { route, seq, since, kept } = &dials[0];
    assert_eq!((&**route, *seq, since), ("a", 1, &written.at));
    assert_eq!(Some(kept), row("a", 100, 500).1.as_ref());
}

#[test]
fn numbers_have_no_gaps_in_each_route_and_over_all() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    for route in ["a", "b", "a", "a"] {
        append(&store, route, 100, 500);
    }
    store.keep_button(true, "ops", "", 1).expect("written");
    store.keep_button(false, "ops", "all is well", 1).expect("written");
    assert_eq!(numbers(&store.newest("a", 2).expect("read")), [(4, 3), (3, 2)], "the newest first");
    assert_eq!(numbers(&store.rows_after(None, 1, 3).expect("read")), [(2, 1), (3, 2), (4, 3)], "the oldest first");
    assert_eq!(numbers(&store.rows_after(Some("b"), 0, 9).expect("read")), [(2, 1)]);
    let all = store.rows_after(None, 4, 9).expect("read");
    assert_eq!(numbers(&all), [(5, 1), (6, 2)], "rows without a route have their own count");
    assert_eq!((&*all[0].row.reason, &*all[1].row.reason), ("pressed", "released: all is well"));
}

#[test]
fn since_is_the_time_of_the_last_row_that_moved_something() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    let moved = append(&store, "a", 100, 500);
    append(&store, "a", 500, 500);
    let DialRow { seq, since, .. } = store.dials().expect("read").remove(0);
    assert_eq!((seq, since), (2, moved.at));
}

#[test]
fn rows_of_the_journal_are_only_added() {
    let folder = Folder::new();
    append(&Store::open(&folder.0), "a", 100, 500);
    for sql in ["UPDATE journal SET who = 'me'", "DELETE FROM journal"] {
        let error = folder.sql(sql).expect_err("refused");
        assert!(error.to_string().contains("only added"), "{error}");
    }
}

#[test]
fn a_row_of_an_unknown_form_is_passed_over() {
    let folder = Folder::new();
    append(&Store::open(&folder.0), "a", 100, 500);
    let columns = "(route, seq, at, action, \"by\", who, to_stage, to_weight, generation, reason)";
    folder
        .sql(&format!("INSERT INTO journal {columns} VALUES ('a', 2, '', 'x', 'x', 'x', 'blue-green', 1, 1, '')"))
        .expect("written");
    let store = Store::open(&folder.0);
    until("opened", || store.status().trouble.is_none());
    assert_eq!(numbers(&store.newest("a", 9).expect("read")), [(1, 1)]);
    assert_eq!(append(&store, "a", 100, 500).seq, 3, "its number is not given twice");
}

#[test]
fn the_button_stays_as_it_was_set() {
    let folder = Folder::new();
    for pressed in [true, false] {
        let store = Store::open(&folder.0);
        until("opened", || store.status().trouble.is_none());
        assert_eq!(store.button_is_pressed(), !pressed && folder.database().exists());
        store.keep_button(pressed, "ops", "", 1).expect("written");
        assert_eq!(store.button_is_pressed(), pressed);
    }
}

#[test]
fn evidence_is_kept_for_each_route_and_old_files_are_taken_over_once() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    let evidence =
        |route: &str, text: &str| EvidenceRow { route: route.into(), subject: "7".into(), text: text.into() };
    assert!(store.wants_evidence_files().expect("read"));
    store.keep_evidence(evidence("a", "new")).expect("written");
    store.import_evidence(vec![evidence("a", "old"), evidence("b", "old")]).expect("written");
    assert!(!store.wants_evidence_files().expect("read"));
    assert_eq!(store.evidence("a").expect("read"), Some(evidence("a", "new")), "a row is newer than a file");
    assert_eq!(store.evidence("b").expect("read"), Some(evidence("b", "old")));
    assert_eq!(store.evidence("c").expect("read"), None);
}

#[test]
fn endpoints_are_known_of_the_same_place_alone() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    let named = |key: &str, port: u16| KnownEndpoint {
        key: key.into(),
        address: format!("10.0.0.1:{port}").into(),
        weight: 2,
        priority: 1,
    };
    store.keep_endpoints("users", "etcd-1", vec![named("a", 1), named("b", 2)]);
    store.keep_endpoints("orders", "etcd-1", vec![named("c", 3)]);
    assert_eq!(store.endpoints("users", "etcd-1").expect("read"), [named("a", 1), named("b", 2)]);
    assert_eq!(store.endpoints("users", "etcd-2").expect("read"), []);
    store.keep_endpoints("users", "etcd-1", vec![named("b", 4)]);
    assert_eq!(store.endpoints("users", "etcd-1").expect("read"), [named("b", 4)]);
}

#[test]
fn what_cannot_be_used_is_moved_aside_and_never_overwritten() {
    type Spoil = fn(&Folder);
    let spoil: [(&str, Spoil); 4] = [
        ("no database", |folder| fs::write(folder.database(), "these are the voyages").expect("written")),
        ("a newer one", |folder| folder.sql("PRAGMA user_version = 99").expect("written")),
        ("tables of somebody else", |folder| {
            fs::remove_file(folder.database()).expect("removed");
            folder.sql("CREATE TABLE journal (mine)").expect("written");
        }),
        ("a damaged page", |folder| {
            let mut bytes = fs::read(folder.database()).expect("read");
            let end = bytes.len();
            bytes[4096..end].fill(0x5a);
            fs::write(folder.database(), bytes).expect("written");
        }),
    ];
    for (name, spoil) in spoil {
        let folder = Folder::new();
        let store = Store::open(&folder.0);
        append(&store, "a", 100, 500);
        store.let_go();
        assert!(folder.named("multilith.db-wal").is_empty());
        spoil(&folder);
        let before = fs::read(folder.database()).expect("read");
        let store = Store::open(&folder.0);
        // A child of another test has the lock, too, between its fork and its exec.
        until("opened", || store.status().trouble.is_none());
        let status = store.status();
        assert!(status.is_broken(), "{name}");
        let aside = status.moved_aside.expect(name);
        assert!(fs::read(&aside).expect("read") == before, "{name}: it was changed");
        assert_eq!(store.dials().expect("read").len(), 0, "{name}");
        assert!(!store.wants_evidence_files().expect("read"), "{name}: older files are not read again");
        assert_eq!(append(&store, "a", 100, 500).seq, 1, "{name}");
    }
}

#[test]
fn two_processes_take_turns_and_the_second_reads_meanwhile() {
    let folder = Folder::new();
    let first = Store::open(&folder.0);
    append(&first, "a", 100, 500);
    first.keep_button(true, "ops", "", 1).expect("written");
    let second = Store::open(&folder.0);
    assert!(matches!(second.status().trouble, Some(StoreError::InUse)));
    assert!(!second.status().is_broken());
    let (tell, told) = mpsc::channel();
    second.when_changed(move |status| _ = tell.send(status.trouble.is_none()));
    assert_eq!(second.dials().expect("it may look").len(), 1);
    assert!(second.button_is_pressed());
    let (refused, dial) = row("a", 500, 1000);
    assert!(matches!(second.append(refused, dial), Err(StoreError::InUse)));
    append(&first, "a", 500, 2500);
    assert_eq!(second.newest("a", 1).expect("it may look")[0].seq, 2, "it sees what the first one writes");
    first.let_go();
    assert!(matches!(first.append(row("a", 1, 1).0, None), Err(StoreError::Closed)));
    assert!(told.recv_timeout(Duration::from_secs(20)).expect("told"), "it took over");
    assert_eq!(append(&second, "a", 2500, 5000).seq, 3);
}

#[test]
fn the_database_of_an_older_program_is_read_while_that_one_still_holds_it() {
    for version in 1..schema::newest() {
        let folder = Folder::new();
        fs::create_dir_all(&folder.0).expect("made");
        let connection = rusqlite::Connection::open(folder.database()).expect("a database");
        schema::make_older(&connection, usize::try_from(version).expect("a handful")).expect("made");
        connection
            .execute_batch(
                "INSERT INTO journal (id, route, seq, at, action, \"by\", who, generation, reason)
                     VALUES (1, 'a', 1, '2026-11-28T10:00:00Z', 'rollback', 'gate', 'gate', 1, 'worse');
                 INSERT INTO dial VALUES ('a', 1, 'canary', 0, 'canary', 10000, '', 'gate', 0, 0, 0, '2026-11-28T10:00:00Z');
                 INSERT INTO button VALUES (1, 1, 1);",
            )
            .expect("written");
        let lock = fs::File::create(folder.0.join("multilith.lock")).expect("made");
        lock.lock().expect("free");
        let store = Store::open(&folder.0);
        assert!(matches!(store.status().trouble, Some(StoreError::InUse)));
        let dials = store.dials().expect("it may look");
        assert_eq!((dials.len(), dials[0].kept.dial), (1, canary(0)), "version {version}");
        assert!(store.button_is_pressed());
        assert_eq!(store.newest("a", 9).expect("it may look").len(), 1);
        assert_eq!(store.learned("inventory").expect("no table yet"), None);
        assert!(store.progress_since(0).expect("it may look").is_empty());
        assert!(store.fleet_numbers().expect("no column yet").is_empty());
        assert!(store.unsent().expect("no table yet").is_empty());
        lock.unlock().expect("let go");
        until("it takes over", || store.status().trouble.is_none());
        assert_eq!(append(&store, "a", 0, 500).seq, 2);
    }
}

#[test]
fn a_database_that_was_removed_is_not_written_into_the_void() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    append(&store, "a", 100, 500);
    fs::remove_dir_all(&folder.0).expect("removed");
    assert_eq!(append(&store, "a", 100, 500).seq, 1, "a new one begins");
    assert!(folder.database().exists());
    fs::remove_dir_all(&folder.0).expect("removed");
    fs::write(&folder.0, "a file stands here").expect("written");
    assert!(matches!(store.append(row("a", 1, 2).0, None), Err(StoreError::Folder(_))));
    fs::remove_file(&folder.0).expect("removed");
    until("the folder is used again", || store.status().trouble.is_none());
    assert_eq!(append(&store, "a", 100, 500).seq, 1);
}

#[test]
fn a_folder_that_cannot_be_used_stops_nobody() {
    let folder = Folder::new();
    fs::create_dir_all(folder.0.parent().expect("a parent")).expect("made");
    fs::write(&folder.0, "a file stands here").expect("written");
    let store = Store::open(&folder.0);
    assert!(store.status().is_broken());
    assert!(matches!(store.append(row("a", 1, 2).0, None), Err(StoreError::Folder(_))));
    assert!(!store.button_is_pressed());
    fs::remove_file(&folder.0).expect("removed");
}

#[test]
fn a_full_database_refuses_the_row_and_takes_the_next_when_there_is_room() {
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    append(&store, "a", 100, 500);
    let limit = |pages: u32| {
        let set = move |database: &mut Database| {
            database.read(|connection| connection.pragma_update(None, "max_page_count", pages))
        };
        store.ask(set).expect("set");
    };
    limit(1);
    let mut last = 1;
    let error = loop {
        let (mut new, dial) = row("a", 100, 500);
        new.reason = "x".repeat(3000).into();
        match store.append(new, dial) {
            Ok(row) => last = row.seq,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    assert_eq!(store.newest("a", 1).expect("read")[0].seq, last);
    limit(1_000_000);
    assert_eq!(append(&store, "a", 100, 500).seq, last + 1);
    assert!(store.status().trouble.is_none());
}

#[test]
fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let store = Store::open(&folder.0);
    append(&store, "a", 100, 500);
    for path in folder.named("multilith") {
        let mode = fs::metadata(&path).expect("read").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    }
    assert_eq!(fs::metadata(&folder.0).expect("read").permissions().mode() & 0o777, 0o700);
    drop(Arc::clone(&store));
}
