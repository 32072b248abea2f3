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
    let file = edge.path().with_file_name("state").join("evidence/all.json");
    assert!(fs::read_to_string(&file).expect("written at the end").contains("\"route\":\"all\""));
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
    let file = edge.path().with_file_name("state").join("evidence/all.json");
    crate::harness::eventually("the file of the evidence", || file.exists().then_some(()));
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
fn a_file_that_is_no_evidence_is_passed_over() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let edge = Edge::before(&monolith).start();
    let folder = edge.path().with_file_name("state").join("evidence");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("all.json"), "{\"half\":").expect("a file");
    edge.reload(&plan(&service, ""));
    edge.get("/");
    edge.await_compared(1);
    edge.await_log_line(&["WARN", "begins anew"]);
}
