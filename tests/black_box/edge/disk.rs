//! A disk that is really full: a file system of its own, as small as it gets.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Edge, Origin, eventually};

/// A few pages under a path; unmounted at the end.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None`, which is said: mounting needs a right that not everybody has.
    pub(crate) fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).expect("the place can be made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(path);
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(path.to_owned()));
        }
        eprintln!("skipped: nothing can be mounted here");
        None
    }

    /// Takes all that is left.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("an entry costs no page");
        while file.write_all(&[0; 512]).is_ok() {}
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was made");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it until it closes it.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
        drop(fs::remove_dir(&self.0));
    }
}

#[test]
fn a_full_disk_costs_lines_of_the_access_log_until_there_is_room_again() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("full-{}", std::process::id()));
    let Some(disk) = Disk::mount(&path) else { return };
    let monolith = Origin::saying("monolith");
    let log = path.join("access.log");
    let edge = Edge::before(&monolith).with(&format!("[logs]\noutput = {log:?}")).start();
    disk.fill();
    let mut client = edge.client();
    let dropped = || edge.metric("multilith_log_lines_dropped_total", &[]);
    eventually("lines dropped", || {
        assert_eq!(client.get("/while-it-is-full").status(), 200);
        (dropped() > 0.0).then_some(())
    });
    edge.await_log_line(&["ERROR", "access log could not be written"]);
    disk.free();
    eventually("lines written", || {
        assert_eq!(client.get("/again").status(), 200);
        edge.log().contains("access log is written again").then_some(())
    });
    let text = fs::read_to_string(&log).expect("the log can be read");
    let whole = text.lines().filter(|line| line.contains("/again"));
    assert!(whole.clone().count() > 0, "{text}");
    for line in whole {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[test]
fn evidence_that_a_full_disk_does_not_take_is_written_when_there_is_room_again() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let route = "[routes.mine]\npath = \"/mine\"\nservice = \"users\"\nstage = \"shadow\"\nshadow.compare = {}\n";
    let edge = Edge::before(&monolith).service("users", &users).with(route).start();
    let state = edge.path().with_file_name("state");
    let Some(disk) = Disk::mount(&state) else { return };
    disk.fill();
    let mut client = edge.client();
    assert_eq!(client.get("/mine").status(), 200);
    edge.await_log_line(&["WARN", "evidence cannot be written"]);
    assert_eq!(client.get("/mine").status(), 200);
    let broken = |edge: &Edge| edge.metric("multilith_journal_broken", &[]) > 0.5;
    eventually("the metric of a store that cannot be written", || broken(&edge).then_some(()));
    assert_eq!(edge.admin("GET", "/readyz").status(), 200);
    assert_eq!(edge.admin_json("GET", "/api/v1/status").1["store"]["state"], "unusable");
    disk.free();
    let text = eventually("the evidence on disk", || edge.kept_evidence("mine"));
    serde_json::from_str::<serde_json::Value>(&text).expect("it is whole");
    eventually("the metric of a store that can be written again", || (!broken(&edge)).then_some(()));
}
