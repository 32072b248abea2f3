//! Watching the traffic from a terminal: `multilith logs` and `multilith status` against a running proxy.

use std::time::Duration;

use crate::harness::{Edge, Origin, Process, Reply, eventually, run_to_exit};

const ROUTES: &str = "[routes.users]\npath = \"/users/{id}\"\nservice = \"users\"\nstage = \"migrated\"";
const LIMIT: Duration = Duration::from_secs(20);

fn shop() -> (Edge, [Origin; 2]) {
    let script = |request: &crate::harness::Request| {
        if request.target().starts_with(b"/users/0") { Reply::status("503 Busy", &[], "") } else { Reply::ok("yes") }
    };
    let origins = [Origin::saying("monolith"), Origin::start(script)];
    let edge = Edge::before(&origins[0]).service("users", &origins[1]).with(ROUTES).start();
    (edge, origins)
}

/// `multilith logs` with these arguments, once it watches.
fn watch(edge: &Edge, arguments: &[&str]) -> Process {
    let admin = format!("http://{}", edge.admin_address());
    Process::spawn([&["logs", "--follow", "--admin", &admin], arguments].concat())
}

/// Sends the request again until the watcher has a line: it may not be watching yet.
fn first_line(edge: &Edge, watcher: &Process, target: &str) -> String {
    eventually("a line of the watcher", || {
        edge.get(target);
        watcher.stdout().lines().next().map(ToOwned::to_owned)
    })
}

#[test]
fn each_request_is_a_line_that_names_its_route_side_time_and_id() {
    let (edge, _origins) = shop();
    let line = first_line(&edge, &watch(&edge, &[]), "/users/7?page=2");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1], "200");
    let wanted = ["client=127.0.0.1", "route=users", "side=service", "reason=stage", "upstream=users"];
    assert_eq!((&words[3..6], &words[6..11]), (&["ms", "GET", "/users/7?page=2"][..], &wanted[..]));
    assert_eq!((words.len(), words[11].len()), (12, "id=".len() + 32), "{line}");
}

#[test]
fn a_watcher_of_failures_sees_them_however_many_good_answers_there_are() {
    let (edge, _origins) = shop();
    let failures = watch(&edge, &["--route", "users", "--side", "service", "--status", "5xx"]);
    first_line(&edge, &failures, "/users/0");
    let mut client = edge.client();
    let line = eventually("another failure among the good answers", || {
        for _ in 0..200 {
            client.get("/users/1");
        }
        client.get("/users/0?rare");
        failures.stdout().lines().find(|line| line.contains("rare")).map(ToOwned::to_owned)
    });
    assert!(line.contains(" 503 "), "{line}");
    let wrong: Vec<_> =
        failures.stdout().lines().filter(|line| !line.contains(" 503 ")).map(ToOwned::to_owned).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    eventually("the watcher to be told that it does not see all", || {
        failures.stderr().contains("events were left out").then_some(())
    });
}

#[test]
fn what_can_never_match_is_said_at_once() {
    let (edge, _origins) = shop();
    let admin = format!("http://{}", edge.admin_address());
    let (code, said) = run_to_exit(LIMIT, &["logs", "--admin", &admin, "--route", "usres"]);
    assert!(code == 1 && said.contains("no route `usres`"), "{code}: {said}");
    let (code, said) = run_to_exit(LIMIT, &["logs", "--admin", &admin, "--status", "lots"]);
    assert!(code == 2 && said.contains("as `404`"), "{code}: {said}");
}
