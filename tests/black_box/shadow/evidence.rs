//! Evidence outlives the process and the reloads that do not touch it, and begins anew with those that do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Edge, Origin, PATIENCE};

fn plan(service: &Origin, compare: &str) -> String {
    format!(
        "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
         [routes.all.shadow]\ncompare = {{ {compare} }}\n",
        service.url()
    )
}

/// The same service, its address written as a list of one.
fn listed(service: &Origin) -> String {
    let endpoints = format!("endpoints = [\"{}\"]", service.address());
    plan(service, "").replace(&format!("url = \"{}\"", service.url()), &endpoints)
}

#[test]
fn it_survives_a_restart() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let mut edge = Edge::before(&monolith).with(&plan(&service, "noise = { replay = \"0%\" }")).start();
    for _ in 0..5 {
        edge.get("/");
    }
    let before = edge.await_compared(5);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    assert!(edge.kept_evidence("all").expect("written at the end").contains("line["));
    edge.restart();
    let mut after = edge.comparisons();
    // Copies are counted since the start.
    after["copies"] = before["copies"].clone();
    assert_eq!(after, before);
    edge.get("/");
    edge.await_compared(6);
}

#[test]
fn it_is_written_while_the_proxy_runs() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let edge = Edge::before(&monolith).with(&plan(&service, "")).start();
    edge.get("/");
    crate::harness::eventually("the row of the evidence", || edge.kept_evidence("all"));
    let file = edge.path().with_file_name("state").join("multilith.db");
    let mode = fs::metadata(&file).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else reads what clients asked");
}

#[test]
fn a_reload_that_changes_what_is_compared_begins_it_anew_and_no_other_does() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let edge = Edge::before(&monolith).start();
    let compared = |tables: &str| {
        edge.reload(tables);
        let report = edge.comparisons();
        ["compared", "waiting"].iter().filter_map(|word| report[word].as_u64()).sum::<u64>()
    };
    let first = plan(&service, "");
    assert_eq!(compared(&first), 0);
    edge.get("/");
    edge.await_compared(1);
    assert_eq!(compared(&plan(&service, "noise = { replay = \"0%\" }")), 1, "the budget of replays changes nothing");
    assert_eq!(compared(&first.replace("stage = \"shadow\"", "stage = \"canary\"\nweight = \"0%\"")), 1);
    assert_eq!(compared(&first.replace("\"new\"", "\"newer\"").replace("services.new", "services.newer")), 0);
    edge.get("/");
    edge.await_compared(1);
    assert_eq!(compared(&first.replace("/{*rest}", "/{a}/{*rest}")), 0, "other requests");
    let elsewhere = Origin::saying("b");
    assert_eq!(compared(&plan(&elsewhere, "")), 0, "another service under the same name");
    edge.get("/");
    edge.await_compared(1);
    assert_eq!(compared(&listed(&elsewhere)), 1, "the same service, written otherwise");
    assert_eq!(compared(&plan(&service, "ignore = [\"body\"]").replace("\"body\"", "\"$.a\"")), 0, "other rules");
}

#[test]
fn a_folder_that_cannot_be_written_costs_one_warning_and_no_request() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let edge = Edge::before(&monolith).start();
    // A file stands where the folder should be: true for root, too.
    let state = edge.path().with_file_name("state");
    drop(fs::remove_dir_all(&state));
    fs::write(&state, "in the way").expect("the folder takes a file");
    edge.reload(&plan(&service, ""));
    assert_eq!(edge.get("/").status(), 200);
    edge.await_compared(1);
    edge.await_log_line(&["WARN", "evidence cannot be written"]);
    assert_eq!(edge.get("/").status(), 200);
    edge.await_compared(2);
}

#[test]
fn files_of_the_version_before_are_read_once_and_left_alone() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let mut edge = Edge::before(&monolith).with(&plan(&service, "noise = { replay = \"0%\" }")).start();
    edge.get("/");
    let before = edge.await_compared(1);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    // As the version before left it: the same evidence in a file, and no database.
    let state = edge.path().with_file_name("state");
    let (subject, evidence) = edge.kept_row("all").expect("kept");
    drop(fs::remove_file(state.join("multilith.db")));
    fs::create_dir_all(state.join("evidence")).expect("a folder");
    let old = format!("{{\"route\":\"all\",\"subject\":\"{subject}\",\"evidence\":{evidence}}}");
    fs::write(state.join("evidence/all.json"), &old).expect("a file");
    fs::write(state.join("evidence/other.json"), "{\"half\":").expect("a file");
    edge.restart();
    let mut after = edge.comparisons();
    // Copies are counted since the start.
    after["copies"] = before["copies"].clone();
    assert_eq!(after, before);
    edge.await_log_line(&["WARN", "other.json", "passed over"]);
    edge.get("/");
    edge.await_compared(2);
    assert_eq!(fs::read_to_string(state.join("evidence/all.json")).expect("it is left"), old);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    edge.restart();
    assert_eq!(edge.comparisons()["compared"], 2, "the file is not read again");
}

#[test]
fn evidence_of_an_unknown_form_is_passed_over() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let mut edge = Edge::before(&monolith).with(&plan(&service, "noise = { replay = \"0%\" }")).start();
    edge.get("/");
    edge.await_compared(1);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    let database = edge.path().with_file_name("state").join("multilith.db");
    let database = rusqlite::Connection::open(database).expect("it is there");
    database.execute("UPDATE evidence SET text = '{\"format\":99}'", []).expect("changed");
    drop(database);
    edge.restart();
    edge.get("/");
    edge.await_compared(1);
    edge.await_log_line(&["WARN", "form that is not known"]);
}

#[test]
fn comparisons_that_wait_for_noise_outlive_a_restart() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    // Nothing is learned as fast as this ends.
    let mut edge = Edge::before(&monolith).with(&plan(&service, "noise = { per_second = 1 }")).start();
    for _ in 0..3 {
        edge.get("/");
    }
    let before = edge.await_compared(3);
    assert_eq!(before["waiting"], 3, "{before:#}");
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    edge.restart();
    let after = edge.comparisons();
    assert_eq!((&after["waiting"], &after["compared"]), (&before["waiting"], &before["compared"]), "{after:#}");
}

/// `DELETE`, and what it answers.
fn reset(edge: &Edge, body: &str) -> (u16, serde_json::Value) {
    let host = format!("Host: {}", edge.admin_address());
    let length = format!("Content-Length: {}", body.len());
    let mut client = crate::harness::Client::connect(edge.admin_address());
    client.send(format!(
        "DELETE /api/v1/routes/all/comparisons HTTP/1.1\r\n{host}\r\nX-Multilith: 1\r\n\
         Content-Type: application/json\r\n{length}\r\n\r\n{body}"
    ));
    let response = client.response();
    (response.status(), serde_json::from_slice(&response.body).expect("JSON"))
}

#[test]
fn a_reset_needs_a_reason_and_stands_in_the_journal() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let mut edge = Edge::before(&monolith).with(&plan(&service, "noise = { replay = \"0%\" }")).start();
    edge.get("/");
    edge.await_compared(1);
    for body in ["", "{}", "{\"reason\":\" \"}", "{\"why\":\"x\"}"] {
        let (status, problem) = reset(&edge, body);
        assert_eq!(status, 400, "{body}: {problem}");
    }
    assert_eq!(edge.comparisons()["compared"], 1, "nothing was forgotten");
    let (status, made) = reset(&edge, "{\"reason\":\"the service was mended\"}");
    assert_eq!((status, &made["reset"], &made["seq"]), (200, &"all".into(), &1.into()), "{made}");
    let report = edge.comparisons();
    assert_eq!((&report["compared"], &report["copies"]["answered"]), (&0.into(), &0.into()), "{report:#}");
    assert!(report["began"]["why"].as_str().expect("a text").ends_with("the service was mended"), "{report:#}");
    edge.get("/");
    edge.await_compared(1);
    let (code, _) = crate::shadow::comparing::diff(&edge, &["--reset"]);
    assert_eq!(code, 2, "without a reason");
    let (code, _) = crate::shadow::comparing::diff(&edge, &["--reset", "--reason", "once more"]);
    assert_eq!(code, 0);
    let (_, journal) = edge.admin_json("GET", "/api/v1/journal?route=all");
    let told: Vec<_> = journal["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| (entry["seq"].clone(), entry["action"].clone(), entry["by"].clone(), entry["reason"].clone()))
        .collect();
    let entry = |seq: u64, reason: &str| (seq.into(), "reset".into(), "person".into(), reason.into());
    assert_eq!(told, [entry(1, "the service was mended"), entry(2, "once more")], "{journal:#}");
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    edge.restart();
    assert_eq!(edge.comparisons()["compared"], 0, "a restart brings nothing back");
}

#[test]
fn another_version_of_the_gate_begins_it_anew_and_says_so_after_a_restart_as_well() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let with_gate = |version: &str| {
        let gate = format!("[routes.all.gate]\nversion = \"{version}\"\n");
        plan(&service, "noise = { replay = \"0%\" }") + &gate
    };
    let mut edge = Edge::before(&monolith).start();
    edge.reload(&with_gate("1"));
    edge.get("/");
    edge.await_compared(1);
    edge.reload(&with_gate("2"));
    let report = edge.comparisons();
    assert_eq!(report["compared"], 0, "{report:#}");
    assert_eq!(report["began"]["why"], "the gate's `version` has changed", "{report:#}");
    edge.get("/");
    edge.await_compared(1);
    edge.signal("TERM");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    edge.replace_file(&edge.text(&with_gate("3")));
    edge.restart();
    let report = edge.comparisons();
    assert_eq!(report["compared"], 0, "{report:#}");
    assert!(report["began"]["why"].as_str().is_some_and(|why| why.contains("has changed")), "{report:#}");
}
