//! Persons move dials; the file wins where it says something new; a gate never acts where it must not.

use serde_json::Value;

use crate::gate::traffic::{Traffic, actions, edge, patiently, route, status, verb};
use crate::harness::{Client, Edge, Reply, Response, eventually};

const PLAIN: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n\
                     sticky = [\"header:x-user-id\"]\n";

fn post(edge: &Edge, act: &str, body: &str, more: &[&str]) -> Response {
    let host = format!("Host: {}", edge.admin_address());
    let mut fields = vec![host, "X-Multilith: 1".to_owned(), "Content-Type: application/json".to_owned()];
    fields.push(format!("Content-Length: {}", body.len()));
    fields.extend(more.iter().map(|field| (*field).to_owned()));
    let head = format!("POST /api/v1/routes/users/{act} HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n"));
    let mut client = Client::connect(edge.admin_address());
    client.send(format!("{head}{body}"));
    client.response()
}

#[test]
fn a_person_moves_a_route_step_by_step_and_back() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let (code, said, _) = verb(&edge, &["promote", "users", "--reason", "why not"]);
    assert_eq!((code, said.contains("canary 5% -> canary 25%")), (0, true), "{said}");
    assert_eq!(verb(&edge, &["promote", "users", "--weight", "100%"]).0, 0);
    assert_eq!(edge.client().request("GET", "/users", &["X-User-Id: 1"]).text(), "service");
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    assert_eq!(status(&edge)["stage"], "migrated");
    // In force for the next request, and for every client.
    assert_eq!(verb(&edge, &["rollback", "users", "--to", "monolith"]).0, 0);
    for user in 0..20 {
        let user = format!("X-User-Id: {user}");
        assert_eq!(edge.client().request("GET", "/users", &[&user]).text(), "monolith");
    }
    assert_eq!(verb(&edge, &["rollback", "users"]).0, 1, "there is nothing before the monolith");
    assert_eq!(actions(&edge), ["promote", "promote", "promote", "roll-back"]);
    assert_eq!(status(&edge)["dial"]["by"], "person");
    let (_, lines, _) = verb(&edge, &["journal", "users", "--json", "--last", "1"]);
    let last: Value = serde_json::from_str(&lines).expect("one object a line");
    assert_eq!((&last["seq"], &last["to"]["stage"]), (&4.into(), &"monolith".into()));
    assert!(
        last["who"]
            .as_str()
            .is_some_and(|who| who.contains("claimed") && who.ends_with(" via cli from 127.0.0.1 (multilith)")),
        "{last}"
    );
}

#[test]
fn a_move_that_loses_a_race_is_412_and_says_what_is_in_force() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    assert_eq!(post(&edge, "promote", "{}", &["If-Match: \"0\""]).status(), 200);
    let late = post(&edge, "promote", "{}", &["If-Match: \"0\""]);
    let said: Value = serde_json::from_slice(&late.body).expect("a problem is JSON");
    assert_eq!((late.status(), &said["seq"], &said["in_force"]), (412, &1.into(), &"canary 25%".into()), "{said}");
    assert_eq!(post(&edge, "promote", "{\"expect_seq\": 1}", &[]).status(), 200);
    assert_eq!(verb(&edge, &["promote", "users", "--expect-seq", "1"]).0, 1);
}

#[test]
fn what_undoes_a_move_leads_back_to_where_the_route_stood() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let goals: [&[&str]; 4] =
        [&["--weight", "100%"], &["--to", "migrated"], &["--to", "monolith"], &["--to", "shadow"]];
    for (act, goal) in ["promote", "promote", "rollback", "rollback"].into_iter().zip(goals) {
        let before = status(&edge);
        let (code, said, error) = verb(&edge, &[&[act, "users"][..], goal].concat());
        assert_eq!(code, 0, "{act} {goal:?}: {error}");
        let undo = said.trim_end().rsplit_once("undo: multilith ").expect("how to undo it").1;
        let undone = verb(&edge, &undo.split(' ').collect::<Vec<_>>());
        assert_eq!(undone.0, 0, "{undo}: {}", undone.2);
        let after = status(&edge);
        assert_eq!((&after["stage"], &after["weight"]), (&before["stage"], &before["weight"]), "{undo}");
    }
}

#[test]
fn acts_that_make_no_sense_are_refused_with_a_reason() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let table = [
        ("promote", "{\"weight\": \"1%\"}", 409),
        ("promote", "{\"to\": \"split\"}", 409),
        ("promote", "{\"to\": \"migrated\", \"weight\": \"5%\"}", 409),
        ("rollback", "{\"weight\": \"50%\"}", 409),
        ("pause", "{}", 409),
        ("approve", "{}", 409),
        ("promote", "{\"to\": \"nowhere\"}", 400),
        ("promote", "{\"weight\": \"5\"}", 400),
        ("promote", "{\"unknown\": 1}", 400),
        ("pause", "{\"weight\": \"5%\"}", 400),
        ("pause", "{\"all\": true}", 409),
        ("resume", "{\"all\": true}", 400),
        ("promote", "{\"all\": true}", 400),
        ("explode", "{}", 404),
    ];
    for (act, body, expected) in table {
        let answer = post(&edge, act, body, &[]);
        assert_eq!(answer.status(), expected, "{act} {body}: {}", answer.text());
    }
    // 1: refused, whatever is wrong about it.
    for refused in [
        &["promote", "users", "--to", "retired"][..],
        &["promote", "users", "--to", "nowhere"],
        &["promote", "users", "--weight", "200%"],
        &["pause", "users"],
    ] {
        assert_eq!(verb(&edge, refused).0, 1, "{refused:?}");
    }
    let (code, _, said) = verb(&edge, &["journal", "users"]);
    assert_eq!((code, said.contains("nothing is written about the route `users` yet")), (0, true), "{said}");
    assert!(actions(&edge).is_empty());
}

#[test]
fn nothing_can_be_done_to_a_route_that_there_is_not() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    for act in ["promote", "rollback", "pause", "resume", "approve", "gate", "journal"] {
        let (code, _, said) = verb(&edge, &[act, "nobody"]);
        assert_eq!((code, said.contains("`multilith status`")), (1, true), "{act}: {said}");
    }
    assert_eq!(verb(&edge, &["logs", "--route", "nobody"]).0, 1);
    // Of a report, 1 says that answers differ.
    assert_eq!(verb(&edge, &["diff", "nobody"]).0, 2);
    let (code, _, said) = verb(&edge, &["gate", "users"]);
    assert_eq!((code, said.contains("give it [routes.users.gate]")), (1, true), "{said}");
    let (code, _, said) = verb(&edge, &["diff", "users"]);
    assert_eq!((code, said.contains("give it [routes.users.shadow.compare]")), (2, true), "{said}");
}

#[test]
fn a_verb_takes_what_it_can_use() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    for act in ["pause", "resume", "approve"] {
        for unknown in ["--to", "--weight", "--yes"] {
            let (code, _, said) = verb(&edge, &[act, "users", unknown, "5%"]);
            assert_eq!((code, said.contains("unexpected argument")), (2, true), "{act} {unknown}: {said}");
        }
    }
    for (act, unknown) in [("rollback", "--yes"), ("rollback", "--all"), ("resume", "--all"), ("promote", "--all")] {
        let (code, _, said) = verb(&edge, &[act, "users", unknown]);
        assert_eq!((code, said.contains("unexpected argument")), (2, true), "{act} {unknown}: {said}");
    }
}

#[test]
fn without_a_terminal_a_promotion_that_is_left_to_a_person_has_to_be_meant() {
    let gated = route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let (edge, _monolith, _service) = edge(Reply::ok("service"), &gated);
    let refused = |stage: &str, arguments: &[&str]| {
        let (code, said, why) = verb(&edge, &[&["promote", "users"], arguments].concat());
        assert_eq!((code, &*said, why.contains("--yes")), (1, "", true), "{arguments:?}: {why}");
        assert_eq!(status(&edge)["stage"], stage, "{arguments:?}");
    };
    // `approve` names it by default, however the route gets there.
    refused("canary", &["--to", "migrated"]);
    assert_eq!(verb(&edge, &["promote", "users", "--weight", "100%"]).0, 0, "a step within the stage is no such move");
    refused("canary", &[]);
    let asked = post(&edge, "promote", "{\"unasked\": true}", &[]);
    let said: Value = serde_json::from_slice(&asked.body).expect("a problem is JSON");
    assert_eq!((asked.status(), &said["code"], &said["seq"]), (409, &"unasked".into(), &1.into()), "{said}");
    assert_eq!(verb(&edge, &["promote", "users", "--yes"]).0, 0);
    assert_eq!(status(&edge)["stage"], "migrated");
    // The stage after it is `retired`, said or not.
    refused("migrated", &[]);
    refused("migrated", &["--to", "retired"]);
    assert_eq!(verb(&edge, &["promote", "users", "--yes"]).0, 0);
    assert_eq!(status(&edge)["stage"], "retired");
    let (code, said, _) = verb(&edge, &["rollback", "users"]);
    assert_eq!((code, said.contains("undo: multilith promote users --to retired --yes")), (0, true), "{said}");
}

#[test]
fn a_route_that_was_rolled_back_is_not_said_to_go_on() {
    let gated = route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let (edge, _monolith, _service) = edge(Reply::ok("service"), &gated);
    assert_eq!(verb(&edge, &["rollback", "users", "--weight", "0%"]).0, 0);
    for (refused, more) in [("approve", &[][..]), ("resume", &["--from-start"])] {
        let (code, _, why) = verb(&edge, &[&[refused, "users"], more].concat());
        assert_eq!((code, why.contains("it was rolled back: `promote` begins anew")), (1, true), "{refused}: {why}");
    }
    for act in ["pause", "resume"] {
        let (code, said, _) = verb(&edge, &[act, "users"]);
        let latched = "it stays rolled back at canary 0%: `multilith promote users` begins anew";
        assert_eq!((code, said.contains(latched)), (0, true), "{act}: {said}");
    }
    let gate = || edge.admin_json("GET", "/api/v1/routes/users/gate").1;
    eventually("it is latched", || (gate()["state"] == "latched").then_some(()));
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    let (code, said, _) = verb(&edge, &["approve", "users"]);
    assert_eq!((code, said.contains("to the stage after canary")), (0, true), "{said}");
}

#[test]
fn a_gate_that_was_not_looked_at_yet_is_there() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let gate = || edge.admin("GET", "/api/v1/routes/users/gate").status();
    // A gate is looked at once a second: some of these are before it.
    for _ in 0..10 {
        edge.reload("[routes.users.gate]\n");
        assert_eq!((gate(), &status(&edge)["gate"]["state"]), (200, &"settling".into()));
        edge.reload("");
        assert_eq!((gate(), &status(&edge)["gate"]), (404, &Value::Null));
    }
}

#[test]
fn a_route_whose_file_could_not_be_valid_in_the_next_stage_is_refused_with_that_diagnostic() {
    let table = "[routes.users]\npath = \"/users\"\nstage = \"monolith\"\n";
    let (edge, _monolith, _service) = edge(Reply::ok("service"), table);
    let answer = post(&edge, "promote", "{}", &[]);
    let said: Value = serde_json::from_slice(&answer.body).expect("a problem is JSON");
    assert_eq!((answer.status(), &said["diagnostics"][0]["code"]), (409, &"missing-service".into()), "{said}");
}

#[test]
fn a_changed_file_wins_and_an_unchanged_one_does_not_revert_the_dial() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    edge.reload("# a word more\n");
    assert_eq!(status(&edge)["weight"], "25%", "the file says of the route what it said");
    let agreeing = edge.text("").replace("weight = \"5%\"", "weight = \"25%\"");
    edge.replace_file(&agreeing);
    edge.await_text(&agreeing);
    let other = edge.text("").replace("weight = \"5%\"", "weight = \"1%\"");
    edge.replace_file(&other);
    edge.await_text(&other);
    assert_eq!(status(&edge)["weight"], "1%");
    assert_eq!(actions(&edge), ["promote", "agrees", "file"]);
    assert_eq!(status(&edge)["dial"]["by"], "file");
}

#[test]
fn a_gate_that_leaves_the_file_takes_its_metrics_with_it() {
    let table = |gate: &str| {
        format!("[routes.{gate}]\npath = \"/{gate}\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n")
    };
    let (edge, _monolith, _service) = edge(Reply::ok("service"), "");
    let shows = |route: &str| {
        let page = edge.admin("GET", "/metrics").text();
        page.lines().any(|line| line.starts_with("multilith_gate_") && line.contains(&format!("route=\"{route}\"")))
    };
    let (left, stays) = (table("left"), table("stays"));
    edge.reload(&format!("{left}gate = {{}}\n{stays}gate = {{}}\n"));
    patiently("both gates are shown", || shows("left") && shows("stays"));
    edge.reload(&format!("{left}{stays}gate = {{}}\n"));
    patiently("one is shown no more", || !shows("left"));
    assert!(shows("stays"));
    edge.reload(&format!("{left}gate = {{}}\n{stays}"));
    patiently("a gate that comes back is shown again", || shows("left") && !shows("stays"));
}

#[test]
fn a_route_in_another_stage_than_its_file_outlives_a_reload_of_other_things() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    assert_eq!(verb(&edge, &["promote", "users", "--to", "migrated"]).0, 0);
    edge.reload("[routes.other]\npath = \"/other\"\nstage = \"monolith\"\n");
    assert_eq!(status(&edge)["stage"], "migrated");
    assert_eq!(edge.get("/users").text(), "service");
    assert_eq!(actions(&edge), ["promote"]);
}

#[test]
fn a_paused_gate_does_not_advance_and_a_broken_file_or_the_button_stops_it() {
    let (edge, _monolith, _service) =
        edge(Reply::ok("service"), &route("stage = \"canary\"\nweight = \"40%\"", "approve = []", ""));
    assert_eq!(verb(&edge, &["pause", "users"]).0, 0);
    assert_eq!(verb(&edge, &["pause", "users"]).0, 1, "it is paused already");
    let _traffic = Traffic::begin(&edge);
    patiently("everything proved", || {
        let gate = status(&edge)["gate"].clone();
        let proved = |metric: &str| gate["metrics"][metric]["better"].as_f64() >= Some(10.0);
        let said = gate["why"] == "paused; it could go on";
        gate["state"] == "paused" && said && proved("failures") && proved("p50") && proved("p95")
    });
    edge.replace_file("this is no file");
    edge.await_refusal();
    assert_eq!(verb(&edge, &["resume", "users"]).0, 0);
    eventually("the obstacle said", || {
        let why = status(&edge)["gate"]["why"].as_str().unwrap_or("").to_owned();
        why.contains("the file on the disk is refused").then_some(())
    });
    assert_eq!(actions(&edge), ["pause", "resume"]);
    let text = edge.text("");
    edge.replace_file(&text);
    patiently("the gate goes on", || actions(&edge).contains(&"advance".to_owned()));
}

#[test]
fn write_puts_the_dial_into_the_file_and_the_reload_agrees() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let before = std::fs::read_to_string(edge.path()).expect("the file is there");
    let (code, said, why) = verb(&edge, &["promote", "users", "--weight", "30%", "--write"]);
    assert_eq!(code, 0, "{said}{why}");
    let after = before.replace("weight = \"5%\"", "weight = \"30%\"");
    assert_eq!(std::fs::read_to_string(edge.path()).expect("the file is there"), after);
    edge.await_text(&after);
    eventually("the file agrees", || (actions(&edge) == ["promote", "agrees"]).then_some(()));
    assert_eq!(status(&edge)["weight"], "30%");
}

#[test]
fn a_file_that_cannot_be_written_is_said_after_the_move() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    let elsewhere = edge.path().with_file_name("elsewhere.toml");
    std::fs::rename(edge.path(), &elsewhere).expect("the folder takes another name");
    std::os::unix::fs::symlink(&elsewhere, edge.path()).expect("the folder takes a link");
    let (code, _, why) = verb(&edge, &["promote", "users", "--write"]);
    assert_eq!(code, 2, "{why}");
    assert!(why.contains("moved, not written") && why.contains("weight = \"25%\""), "{why}");
    assert_eq!(status(&edge)["weight"], "25%", "the move is made first");
}

#[test]
fn a_restart_finds_every_route_where_it_was_left() {
    let (mut edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    assert_eq!(verb(&edge, &["promote", "users", "--to", "migrated"]).0, 0);
    kill(&mut edge);
    edge.restart();
    assert_eq!(status(&edge)["stage"], "migrated");
    assert_eq!(edge.get("/users").text(), "service");
    assert_eq!(verb(&edge, &["rollback", "users", "--weight", "0%"]).0, 0);
    kill(&mut edge);
    // The file changed while nothing ran: it wins, and the journal says from where.
    let other = edge.text("").replace("weight = \"5%\"", "weight = \"7%\"");
    edge.replace_file(&other);
    edge.restart();
    assert_eq!(status(&edge)["weight"], "7%");
    assert_eq!(actions(&edge), ["promote", "roll-back", "file"]);
    let last = edge.admin_json("GET", "/api/v1/journal?route=users&after=2").1["entries"][0].clone();
    assert_eq!((&last["from"]["weight"], &last["to"]["weight"]), (&"0%".into(), &"7%".into()), "{last}");
}

#[test]
fn a_move_by_a_person_stands_in_the_journal_with_the_figures_of_both_sides() {
    let (edge, _monolith, _service) =
        edge(Reply::status("500 Broken", &[], "broken"), &(PLAIN.replace("5%", "50%") + "fallback = false\n"));
    for _ in 0..64 {
        edge.get("/users");
    }
    assert_eq!(verb(&edge, &["rollback", "users", "--weight", "0%", "--reason", "it breaks"]).0, 0);
    let entry = edge.admin_json("GET", "/api/v1/journal?route=users").1["entries"][0].clone();
    let failures = &entry["verdict"]["metrics"]["failures"];
    let [service, monolith] = ["service", "monolith"].map(|side| failures[side][1].as_u64().expect("a number"));
    assert_eq!((service + monolith, &failures["service"][0]), (64, &service.into()), "{entry}");
    let (_, line, _) = verb(&edge, &["journal", "users"]);
    assert!(line.contains(&format!("it breaks   (failures: service 100 % of {service}")), "{line}");
}

fn kill(edge: &mut Edge) {
    edge.signal("KILL");
    edge.wait(crate::harness::PATIENCE).expect("a killed process ends");
}

#[test]
fn the_journal_says_who_pressed_the_button_why_and_which_file_was_refused() {
    let (edge, _monolith, _service) = edge(Reply::ok("service"), PLAIN);
    assert_eq!(verb(&edge, &["monolith-only", "on", "--reason", "the shop is down"]).0, 0);
    assert_eq!(verb(&edge, &["monolith-only", "off"]).0, 0);
    edge.replace_file("this is no file");
    edge.await_refusal();
    // Asked again, the same mistake is no news.
    assert_eq!(edge.post_reload().0, 409);
    let page = edge.admin_json("GET", "/api/v1/journal").1;
    let entries = page["entries"].as_array().cloned().expect("entries");
    let text = |index: usize, key: &str| entries[index][key].as_str().unwrap_or("null").to_owned();
    assert_eq!(entries.len(), 3, "{page}");
    for (index, reason) in ["pressed: the shop is down", "released"].into_iter().enumerate() {
        let said = (text(index, "action"), text(index, "route"), text(index, "reason"));
        assert_eq!(said, ("button".to_owned(), "null".to_owned(), reason.to_owned()));
        let who = text(index, "who");
        assert!(who.starts_with("loopback (claimed ") && who.contains(" via cli from 127.0.0.1"), "{who}");
    }
    assert_eq!((text(2, "action"), text(2, "by")), ("refused".to_owned(), "file".to_owned()));
    assert_eq!(text(2, "who"), edge.path().display().to_string());
    assert!(text(2, "reason").contains(":1:") && text(2, "reason").contains("syntax"), "{}", text(2, "reason"));
    let (_, lines, _) = verb(&edge, &["journal", "--last", "1"]);
    assert!(lines.starts_with("#3 ") && lines.contains("  -  refused  ") && !lines.contains('?'), "{lines}");
}
