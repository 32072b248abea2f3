//! A process that writes is killed at a hundred random instants, or may write no more bytes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

const FOLDER: &str = "MULTILITH_TEST_STORE";

/// The other process: the test of the disk without room, which writes where it is told a folder.
fn child(folder: &Folder, before: &str) -> Child {
    let test = "store::tests::killed::a_disk_without_room_damages_nothing";
    let program = std::env::current_exe().expect("this test").display().to_string();
    Command::new("sh")
        .args(["-c", &format!("{before} exec '{program}' {test} --exact --nocapture")])
        .env(FOLDER, &folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts")
}

/// Says each number after it was committed; ends at the first row that could not be written.
fn write(folder: &Path) {
    let store = Store::open(folder);
    until("the lock of a killed process is free", || store.status().trouble.is_none());
    loop {
        // Something large beside it, so that a kill also meets a checkpoint.
        let text = "x".repeat(50_000).into();
        let evidence = store.keep_evidence(EvidenceRow { route: "a".into(), subject: "7".into(), text });
        let (new, dial) =
            row("a", 100, u16::try_from(store.newest("a", 1).map_or(0, |rows| rows.len())).expect("1") + 1);
        match store.append(new, dial).and_then(|row| evidence.map(|()| row)) {
            Ok(row) => println!("\nkept {}", row.seq),
            Err(error) => {
                println!("\nfailed {}", matches!(error, StoreError::Full(_)));
                return;
            }
        }
    }
}

#[test]
fn kill_9_at_a_hundred_random_instants_loses_no_row_that_was_committed() {
    let folder = Folder::new();
    let mut known = 0;
    let mut killed_while_writing = 0;
    for _ in 0..100 {
        let mut child = child(&folder, "");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, first) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut last = None;
            for line in output.lines().map_while(Result::ok) {
                if let Some(seq) = line.strip_prefix("kept ").and_then(|seq| seq.parse::<u64>().ok()) {
                    _ = tell.send(());
                    last = Some(seq);
                }
            }
            last
        });
        // One in four is killed while it opens the database.
        if fastrand::u8(..4) > 0 {
            first.recv_timeout(Duration::from_secs(20)).expect("it writes");
            killed_while_writing += 1;
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
        child.kill().expect("killed");
        child.wait().expect("gone");
        let said = reader.join().expect("read").unwrap_or(known);
        let store = Store::open(&folder.0);
        until("the lock is free", || store.status().trouble.is_none());
        assert_eq!(store.status().moved_aside, None);
        let last = store.newest("a", 1).expect("read").first().map_or(0, |row| row.seq);
        assert!(last >= said, "row {said} was said to be committed; the last one is {last}");
        if last > 0 {
            let DialRow { seq, kept, .. } = store.dials().expect("read").remove(0);
            assert_eq!(seq, last, "the dial is that of the last row");
            assert_eq!(Some(kept.dial), store.newest("a", 1).expect("read")[0].row.to);
        }
        let rows = store.rows_after(Some("a"), known, usize::MAX).expect("read");
        assert!(rows.iter().map(|row| row.seq).eq(known + 1..=last), "no gaps");
        known = last;
    }
    assert!(killed_while_writing > 30 && known > 100, "{killed_while_writing} of 100, {known} rows");
    is_whole(&folder.database());
}

/// `ulimit -f` stands for a disk without room: each write beyond it fails.
#[test]
fn a_disk_without_room_damages_nothing() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return write(Path::new(&folder));
    }
    let folder = Folder::new();
    let mut child = child(&folder, "trap '' XFSZ; ulimit -f 400;");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let lines: Vec<String> = output.lines().map_while(Result::ok).collect();
    child.wait().expect("gone");
    let kept = lines.iter().filter(|line| line.starts_with("kept ")).count();
    assert!(lines.iter().any(|line| line == "failed true"), "{lines:?}");
    let store = Store::open(&folder.0);
    until("the lock is free", || store.status().trouble.is_none());
    assert!(!store.status().is_broken());
    let last = store.newest("a", 1).expect("read").first().map_or(0, |row| row.seq);
    let last = usize::try_from(last).expect("few");
    // The row may have been kept where the evidence beside it was not.
    assert!(last == kept || last == kept + 1, "{last} rows, {kept} said");
    append(&store, "a", 100, 500);
    is_whole(&folder.database());
}
