//! The access log of the binary: where it goes, in which form, and that no trouble with it ever becomes trouble with the traffic.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Edge, Origin, PATIENCE, eventually};

/// A path below cargo's folder for tests, free again at the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        drop(fs::remove_file(&path));
        Self(path)
    }

    fn logs(&self) -> String {
        format!("[logs]\noutput = {:?}", self.0.to_str().expect("cargo's folder has a plain name"))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.0).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew_at_sigusr1() {
    let monolith = Origin::saying("monolith");
    let (log, moved) = (Place::new("access.log"), Place::new("access.log.1"));
    let edge = Edge::before(&monolith).with(&log.logs()).start();
    edge.get("/before");
    eventually("the first line", || (log.lines().len() == 1).then_some(()));
    fs::rename(&log.0, &moved.0).unwrap();
    edge.get("/between");
    eventually("the line behind the move", || (moved.lines().len() == 2).then_some(()));
    edge.signal("USR1");
    eventually("the new file", || log.0.exists().then_some(()));
    edge.get("/after");
    let lines = eventually("the line in the new file", || Some(log.lines()).filter(|lines| !lines.is_empty()));
    assert!(lines[0].contains("/after") && lines.len() == 1, "{lines:?}");
    assert_eq!(moved.lines().len(), 2);
}

#[test]
fn the_log_goes_to_the_output_and_in_the_form_that_the_file_names() {
    let monolith = Origin::saying("monolith");
    for (format, output, wanted) in [
        ("json", "stdout", r#""url.path":"/a","url.query":"token=REDACTED""#),
        ("json", "stderr", r#""url.path":"/a","url.query":"token=REDACTED""#),
        ("common", "stdout", r#"+0000] "GET /a?token=REDACTED HTTP/1.1" 200 8"#),
        ("combined", "stderr", r#""GET /a?token=REDACTED HTTP/1.1" 200 8 "-" "a\x22b\x5Cn""#),
    ] {
        let logs = format!("[logs]\nformat = \"{format}\"\noutput = \"{output}\"");
        let edge = Edge::before(&monolith).with(&logs).start();
        edge.client().request("GET", "/a?token=s3cret", &["User-Agent: a\"b\\n"]);
        let line = edge.await_log_line(&[wanted]);
        assert!(!line.contains("s3cret"), "{line}");
        assert!(format == "json" || line.starts_with("127.0.0.1 - - ["), "{line}");
    }
}

#[test]
fn bad_answers_are_written_whatever_the_sample() {
    let monolith = Origin::start(|request| match request.target() {
        b"/bad" => crate::harness::Reply::status("500 Broken", &[], "no"),
        _ => crate::harness::Reply::ok("yes"),
    });
    let log = Place::new("sampled.log");
    let edge = Edge::before(&monolith).with(&format!("{}\nsample = \"0%\"", log.logs())).start();
    for _ in 0..20 {
        edge.get("/good");
    }
    edge.get("/bad");
    let lines = eventually("the line of the failure", || Some(log.lines()).filter(|lines| !lines.is_empty()));
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!((lines.len(), &line["http.response.status_code"]), (1, &500.into()));
}

#[test]
fn a_full_disk_costs_the_log_its_lines_and_the_clients_nothing() {
    let monolith = Origin::saying("monolith");
    let edge = Edge::before(&monolith).with("[logs]\noutput = \"/dev/full\"").start();
    for _ in 0..50 {
        assert_eq!(edge.get("/").status(), 200);
    }
    eventually("every line to be counted as dropped", || {
        (edge.metric("multilith_log_lines_dropped_total", &[]) >= 50.0).then_some(())
    });
    edge.await_log_line(&["ERROR", "access log could not be written"]);
}

#[test]
fn a_pipe_that_nobody_reads_costs_the_log_its_lines_and_the_clients_nothing() {
    let monolith = Origin::saying("monolith");
    let pipe = Place::new("unread.pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe.0).status();
    assert!(made.expect("every machine has mkfifo").success());
    // Open for reading, too, so that the proxy can open it; but nobody reads.
    let _held = fs::File::options().read(true).write(true).open(&pipe.0).unwrap();
    let mut edge = Edge::before(&monolith).with(&pipe.logs()).start();
    let long = format!("/{}", "x".repeat(4000));
    let mut client = edge.client();
    eventually("lines to be dropped", || {
        for _ in 0..100 {
            assert_eq!(client.get(&long).status(), 200);
        }
        (edge.metric("multilith_log_lines_dropped_total", &[]) > 0.0).then_some(())
    });
    assert_eq!(edge.get("/still-there").status(), 200);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).is_some(), "a pipe that is stuck must not keep the process alive");
}
