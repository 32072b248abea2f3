//! What Prometheus says of a page; for the tests of two crates.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// How `promtool check metrics` ends for this page, and what it says; `None`: it is not here, which CI does not let pass.
pub fn promtool(page: &[u8]) -> Option<(Output, String)> {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = child else {
        assert!(std::env::var_os("CI").is_none(), "promtool is needed: it comes with the package `prometheus`");
        return None;
    };
    promtool.stdin.take().unwrap().write_all(page).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Some((output, said))
}
