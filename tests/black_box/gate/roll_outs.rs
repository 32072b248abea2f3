//! Whole roll-outs: a good service arrives by itself, a bad one goes back and stays there.

use crate::gate::traffic::{Traffic, actions, edge, patiently, route, status, verb};
use crate::harness::{Reply, eventually};

#[test]
fn a_good_service_goes_from_its_first_step_to_migrated_by_itself() {
    let (edge, _monolith, _service) =
        edge(Reply::ok("service"), &route("stage = \"canary\"\nweight = \"40%\"", "approve = []", ""));
    let _traffic = Traffic::begin(&edge);
    // A move stands in the journal before it is in force.
    patiently("the route migrated", || status(&edge)["stage"] == "migrated");
    assert_eq!(actions(&edge), ["advance", "advance", "advance"]);
    let (code, journal, _) = verb(&edge, &["journal", "users"]);
    println!("{journal}");
    assert_eq!(code, 0);
    assert!(journal.contains("canary 40% -> canary 60%") && journal.contains("canary 60% -> canary 100%"), "{journal}");
    assert!(journal.contains("failures surely < +20 %"), "the reason has the proof: {journal}");
    assert!(edge.metric("multilith_gate_verdicts_total", &[("route", "users"), ("verdict", "advance")]) >= 3.0);
    assert!(edge.metric("multilith_moves_total", &[("route", "users"), ("by", "gate")]) >= 2.0);
    assert_eq!(edge.get("/users").text(), "service");
    eventually("there is nothing to compare with", || (status(&edge)["gate"]["state"] == "off").then_some(()));
}

#[test]
fn with_the_defaults_the_route_waits_for_a_person_before_it_is_migrated() {
    let (edge, _monolith, _service) =
        edge(Reply::ok("service"), &route("stage = \"canary\"\nweight = \"60%\"", "", ""));
    let _traffic = Traffic::begin(&edge);
    patiently("the gate waits", || status(&edge)["gate"]["state"] == "waiting");
    assert_eq!(status(&edge)["weight"], "100%");
    let (_, board, _) = verb(&edge, &["status"]);
    assert!(board.contains("waiting for `multilith approve`"), "{board}");
    // Here nothing is left to compare with: what the step before showed is the ground of the approval.
    for page in ["/route/users", "/console/act?do=approve&route=users"] {
        let shown = edge.admin("GET", page).text();
        assert!(shown.contains("found no worse than allowed") && shown.contains("Answers without failures"), "{shown}");
    }
    assert_eq!(edge.admin("GET", "/route/users").text().matches("btn pri").count(), 1, "approve, and nothing else");
    let (code, said, _) = verb(&edge, &["approve", "users", "--reason", "the load test was fine"]);
    assert_eq!(code, 0, "{said}");
    eventually("the route migrated", || (status(&edge)["stage"] == "migrated").then_some(()));
    assert_eq!(actions(&edge), ["advance", "approve", "advance"]);
}

#[test]
fn a_service_that_fails_is_rolled_back_and_latched() {
    let failing = Reply::status("500 X", &[], "");
    let (edge, _monolith, service) =
        edge(failing, &route("stage = \"canary\"\nweight = \"40%\"", "", "fallback = false"));
    let _traffic = Traffic::begin(&edge);
    patiently("rolled back", || status(&edge)["weight"] == "0%");
    let spent = service.requests().len();
    println!("requests spent on a service that always fails: {spent}");
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert_eq!((&entry["action"], &entry["by"]), (&"roll-back".into(), &"gate".into()));
    assert!(entry["reason"].as_str().is_some_and(|reason| reason.starts_with("failures: service 100 % of")), "{entry}");
    assert!(entry["verdict"]["metrics"]["failures"]["service"][0].as_u64() > Some(0), "{entry}");
    assert_eq!(status(&edge)["stage"], "canary", "the stage is kept");
    eventually("said as latched", || (status(&edge)["gate"]["state"] == "latched").then_some(()));
    let (_, board, _) = verb(&edge, &["status"]);
    assert!(board.contains("ROLLED BACK"), "{board}");
    let board = edge.admin("GET", "/").text();
    assert!(board.contains("was taken back by its gate") && !board.contains("do=promote"), "still worse: {board}");
    // A person may try again.
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    eventually("rolled back again", || (actions(&edge) == ["roll-back", "promote", "roll-back"]).then_some(()));
}

/// A person is asked, as urgently as where the gate had moved.
#[test]
fn a_gate_that_may_not_take_a_failing_service_back_says_so_loudly() {
    let failing = Reply::status("500 X", &[], "");
    let table = route(
        "stage = \"canary\"\nweight = \"40%\"",
        "on_fail = \"hold\"",
        "fallback = false\nbreaker = { failures = 1000000 }",
    );
    let (edge, _monolith, _service) = edge(failing, &table);
    let _traffic = Traffic::begin(&edge);
    patiently("sure of the worst", || status(&edge)["gate"]["worse"] == true);
    let now = status(&edge);
    assert_eq!((&now["gate"]["verdict"], &now["weight"]), (&"hold".into(), &"40%".into()));
    assert!(verb(&edge, &["gate", "users"]).1.contains("WORSE"));
    let board = eventually("the board asks for somebody", || {
        let board = edge.admin("GET", "/").text().replace('\u{a0}', " ");
        board.contains("Needs you").then_some(board)
    });
    let todo = board.split("Needs you").nth(1).and_then(|rest| rest.split("routes-h").next()).expect("a list");
    assert!(todo.contains("do=rollback&amp;route=users"), "{todo}");
    assert!(board.contains("One thing needs somebody.") && board.contains(">would roll back<"), "{board}");
}

#[test]
fn a_gate_whose_roll_backs_are_paused_says_what_it_would_do_and_does_nothing_over_a_restart_too() {
    let failing = Reply::status("500 X", &[], "");
    let (mut edge, _monolith, _service) =
        edge(failing, &route("stage = \"canary\"\nweight = \"40%\"", "", "fallback = false"));
    let (code, said, why) = verb(&edge, &["pause", "users", "--all", "--reason", "a drill"]);
    assert_eq!((code, said.contains("NOT PROTECTED")), (0, true), "{said}{why}");
    let (code, _, why) = verb(&edge, &["pause", "users", "--all"]);
    assert_eq!((code, why.contains("paused already, its roll-backs, too")), (1, true), "{why}");
    for begun_anew in [false, true] {
        let traffic = Traffic::begin(&edge);
        let rolls_back = [("route", "users"), ("verdict", "roll-back")];
        patiently("some verdicts", || edge.metric("multilith_gate_verdicts_total", &rolls_back) >= 2.0);
        let now = status(&edge);
        let gate = &now["gate"];
        assert_eq!((&now["weight"], &gate["state"]), (&"40%".into(), &"paused".into()), "{begun_anew}: {now}");
        assert_eq!((&gate["verdict"], &gate["paused_all"]), (&"roll-back".into(), &true.into()), "{gate}");
        for words in [&["gate", "users"][..], &["status"]] {
            let (_, said, _) = verb(&edge, words);
            assert!(said.contains("ROLL-BACKS TOO · WOULD ROLL BACK"), "{words:?}: {said}");
        }
        drop(traffic);
        if !begun_anew {
            edge.restart();
            assert_eq!(status(&edge)["gate"]["paused_all"], true);
        }
    }
    assert_eq!(actions(&edge), ["pause"]);
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert_eq!(entry["reason"], "roll-backs, too: a drill");
    // The last word is in force: a pause of no more than the steps, under which a gate does roll back.
    let (code, said, why) = verb(&edge, &["pause", "users"]);
    assert_eq!((code, said.contains("rolled back if it must be")), (0, true), "{said}{why}");
    let _traffic = Traffic::begin(&edge);
    patiently("rolled back", || status(&edge)["weight"] == "0%");
    assert_eq!(actions(&edge), ["pause", "pause", "roll-back"]);
    eventually("said as latched", || (status(&edge)["gate"]["state"] == "latched").then_some(()));
    let (code, said, _) = verb(&edge, &["resume", "users"]);
    assert_eq!((code, said.contains("not paused any more")), (0, true), "{said}");
}

#[test]
fn a_service_that_answers_404_to_everybody_is_rolled_back() {
    let (edge, _monolith, _service) =
        edge(Reply::status("404 X", &[], ""), &route("stage = \"canary\"\nweight = \"40%\"", "", ""));
    let _traffic = Traffic::begin(&edge);
    patiently("rolled back", || status(&edge)["weight"] == "0%");
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert!(entry["reason"].as_str().is_some_and(|reason| reason.starts_with("refusals:")), "{entry}");
}

/// The connection ends in the middle of a body of which the client has a part: there is nothing left but to end its own.
#[test]
fn a_service_whose_responses_break_off_is_rolled_back() {
    let part = "x".repeat(200_000);
    let broken = Reply::bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n{part}")).close();
    // An open breaker would be counted, whatever is counted of the responses.
    let breaker = "breaker = { failures = 1000000 }";
    let (edge, _monolith, _service) = edge(broken, &route("stage = \"canary\"\nweight = \"40%\"", "", breaker));
    let _traffic = Traffic::whatever_breaks(&edge);
    patiently("rolled back", || status(&edge)["weight"] == "0%");
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert!(entry["reason"].as_str().is_some_and(|reason| reason.starts_with("failures: service 100 % of")), "{entry}");
}

#[test]
fn failures_that_the_monolith_answered_in_its_place_are_the_service_s() {
    let (edge, _monolith, _service) = edge(
        Reply::status("503 X", &[], ""),
        &route("stage = \"canary\"\nweight = \"40%\"", "", "breaker = { failures = 1000000 }"),
    );
    let _traffic = Traffic::begin(&edge);
    patiently("rolled back", || status(&edge)["weight"] == "0%");
}

#[test]
fn a_shadow_whose_copies_agree_becomes_a_canary() {
    let monolith = crate::harness::Origin::saying("the same");
    let service = crate::harness::Origin::saying("the same");
    let table = route(
        "stage = \"shadow\"",
        "max_mismatch = \"20%\"\nmin_compared = 20\npairs = false\nsteps = [\"50%\"]",
        "shadow = { compare = {} }",
    )
    .replace("steps = [\"40%\", \"100%\"]\n", "");
    let edge = crate::harness::Edge::before(&monolith).service("users", &service).with(&table).start();
    let _traffic = Traffic::begin(&edge);
    patiently("a canary", || status(&edge)["stage"] == "canary");
    assert_eq!(status(&edge)["weight"], "50%");
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    assert!(entry["reason"].as_str().is_some_and(|reason| reason.contains("mismatches surely < 20 %")), "{entry}");
}

#[test]
fn silence_moves_nothing_and_says_what_is_missing() {
    let (edge, _monolith, _service) =
        edge(Reply::ok("service"), &route("stage = \"canary\"\nweight = \"40%\"", "", ""));
    eventually("some verdicts", || {
        (edge.metric("multilith_gate_verdicts_total", &[("route", "users"), ("verdict", "hold")]) >= 2.0).then_some(())
    });
    assert!(actions(&edge).is_empty());
    let (code, said, _) = verb(&edge, &["gate", "users"]);
    assert_eq!(code, 0);
    assert!(said.contains("needs") && said.contains("not yet sure"), "{said}");
}

#[test]
fn a_file_that_begins_at_everybody_proves_nothing() {
    let (edge, _monolith, _service) =
        edge(Reply::ok("service"), &route("stage = \"canary\"\nweight = \"100%\"", "approve = []", ""));
    let _traffic = Traffic::begin(&edge);
    patiently("some verdicts", || {
        edge.metric("multilith_gate_verdicts_total", &[("route", "users"), ("verdict", "hold")]) >= 2.0
    });
    assert!(actions(&edge).is_empty());
    assert!(status(&edge)["gate"]["why"].as_str().is_some_and(|why| why.contains("no monolith is left")));
}
