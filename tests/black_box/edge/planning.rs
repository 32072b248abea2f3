//! A new file tried on recorded requests, and what happens then.

#![expect(clippy::cast_precision_loss, reason = "the numbers are small")]

use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Edge, Origin, eventually};

const LIMIT: Duration = Duration::from_secs(20);
const CLIENTS: u32 = 500;

fn routes(weight: &str, more: &str) -> String {
    format!(
        "[routes.orders]\npath = \"/orders/{{id}}\"\nservice = \"orders\"\nstage = \"canary\"\nweight = \"{weight}\"\n\
         sticky = [\"header:x-user\"]\nissue_cookie = false\nfallback = false\n{more}"
    )
}

fn shop() -> (Edge, [Origin; 2]) {
    let origins = [Origin::saying("monolith"), Origin::saying("service")];
    let edge = Edge::before(&origins[0]).service("orders", &origins[1]).start();
    edge.reload(&routes("5%", ""));
    (edge, origins)
}

/// Each client reads twice; how many of the answers were the service's, and of how many clients.
fn traffic(edge: &Edge) -> (u64, u64) {
    let mut client = edge.client();
    let (mut requests, mut clients) = (0, 0);
    for user in 0..CLIENTS {
        let mut moved = 0;
        for round in 0..2 {
            let answer =
                client.request("GET", &format!("/orders/{}", user * 2 + round), &[&format!("X-User: u{user}")]);
            moved += u64::from(answer.text() == "service");
        }
        requests += moved;
        clients += u64::from(moved > 0);
    }
    (requests, clients)
}

fn plan(edge: &Edge, text: &str) -> (u16, Value) {
    post(edge, "/api/v1/plan", text)
}

fn post(edge: &Edge, path: &str, text: &str) -> (u16, Value) {
    ask(edge, path, &json!({ "text": text }))
}

pub(crate) fn ask(edge: &Edge, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let mut client = crate::harness::Client::connect(edge.admin_address());
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nX-Multilith: 1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        edge.admin_address(),
        body.len()
    ));
    let answer = client.response();
    (answer.status(), serde_json::from_str(&answer.text()).expect("JSON"))
}

/// Once all of this traffic is recorded.
fn recorded(edge: &Edge, text: &str) -> Value {
    eventually("the recording", || {
        let (status, answer) = plan(edge, text);
        assert_eq!(status, 200, "{answer}");
        // What came behind the request that was recorded last is not stood for yet.
        let all = answer["plan"]["traffic"]["requests"].as_u64() >= Some(u64::from(CLIENTS) * 9 / 5);
        all.then(|| answer["plan"].clone())
    })
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_multilith")).args(arguments).output().expect("it starts")
}

#[test]
fn the_plan_says_what_then_happens() {
    let (edge, _origins) = shop();
    let before = traffic(&edge);
    let new = routes("25%", "");
    let predicted = recorded(&edge, &edge.text(&new));
    edge.reload(&new);
    let after = traffic(&edge);
    let route = &predicted["routes"][0];
    assert_eq!((&route["name"], &route["change"]), (&"orders".into(), &"changed".into()), "{predicted:#}");
    assert_eq!(route["what"], json!(["canary 5% -> 25%"]));
    let number = |value: &Value| value.as_u64().expect("a number");
    let endpoint = &route["endpoints"][0];
    assert_eq!((&endpoint["method"], &endpoint["path"]), (&"GET".into(), &"/orders/{id}".into()));
    // Each bucket is known, so only a sample can make the clients an estimate.
    let sampled = predicted["traffic"]["shapes"].as_u64() < predicted["traffic"]["requests"].as_u64();
    assert!(sampled || route["clients"]["exact"] == true, "{route:#}");
    let kept = predicted["traffic"]["shapes"].as_f64().expect("a number") / f64::from(CLIENTS * 2);
    let all = predicted["traffic"]["requests"].as_f64().expect("a number") / f64::from(CLIENTS * 2);
    let near = |predicted: u64, real: u64| {
        // Five standard deviations of a sample of this size; nothing but the tail is missing where all were kept.
        let missing = (1.0 - kept).max(0.0);
        let error = 5.0 * (real.max(1) as f64 / kept * missing).sqrt() + real as f64 * (1.0 - all) + 2.0;
        assert!((predicted as f64 - real as f64).abs() <= error, "{predicted} predicted, {real} came, {kept} kept");
    };
    near(number(&endpoint["before"]), before.0);
    near(number(&endpoint["after"]), after.0);
    let share = |clients: &Value| number(clients) as f64 / number(&route["clients"]["all"]) as f64;
    let real = (after.1 - before.1) as f64 / f64::from(CLIENTS);
    // Of so many clients as were recorded.
    let seen = number(&route["clients"]["all"]) as f64;
    let error = 5.0 * (real * (1.0 - real) / seen).sqrt() + 0.02;
    assert!((share(&route["clients"]["to_service"]) - real).abs() <= error, "{route:#}, and {real} moved");
    assert_eq!(route["clients"]["back"], 0);
}

#[test]
fn dangers_are_named_and_only_what_is_allowed_exits_0() {
    let (mut edge, _origins) = shop();
    traffic(&edge);
    recorded(&edge, &edge.text(&routes("25%", "")));
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends, and keeps what it recorded");
    let (file, new, saved) =
        (edge.path().to_owned(), edge.path().with_file_name("new.toml"), edge.path().with_file_name("plan.json"));
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let text = edge.text(&routes("100%", "").replace("header:x-user", "cookie:sid"));
    fs::write(&new, text).expect("the folder takes a file");
    let output = run(&["plan", &path(&new), "-c", &path(&file), "-o", &path(&saved)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "canary 5% -> canary 100%",
        "sticky header:x-user -> cookie:sid",
        "! too-big-a-step",
        "! sticky-changes",
        "0 added, 1 changed",
    ] {
        assert!(said.contains(part) || part.starts_with("canary"), "{part} in\n{said}");
    }
    let output = run(&["plan", &path(&new), "-c", &path(&file), "--allow", "sticky-changes,too-big-a-step", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["summary"]["dangers"], 2, "{report:#}");
    // Without recorded traffic the differences are said all the same.
    let output = run(&["plan", &path(&new), "-c", &path(&file), "--traffic", "/nowhere.db"]);
    assert_eq!(output.status.code(), Some(2));
    edge.restart();
    let admin = format!("http://{}", edge.admin_address());
    let reload = |code: i32| {
        let output = run(&["reload", "--plan", &path(&saved), "--admin", &admin]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    };
    assert!(reload(1).contains("the file is not the one that was planned"));
    fs::rename(&new, &file).expect("it replaces the file");
    reload(0);
    edge.reload(&routes("1%", ""));
    assert!(reload(1).contains("the plan is stale"));
}

#[test]
fn what_is_answered_otherwise_is_told_of_routes_that_move_nobody() {
    let (mut edge, origins) = shop();
    // What the API may not know is no difference: it reads no variable.
    let hidden = "[services.other]\nurl = \"${OTHER_SERVICE:-http://127.0.0.1:9}\"\n";
    edge.reload(&routes("5%", hidden));
    traffic(&edge);
    let plan = recorded(&edge, &edge.text(&routes("5%", hidden)));
    assert_eq!([&plan["routes"], &plan["tables"], &plan["upstreams"]], [&json!([]); 3], "{plan:#}");
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends, and keeps what it recorded");
    let new = edge.path().with_file_name("new.toml");
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let planned = |text: &str| {
        fs::write(&new, text).expect("the folder takes a file");
        let output = run(&["plan", &path(&new), "-c", &path(edge.path())]);
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    };
    let service = origins[1].address().to_string();
    let text =
        edge.text(&routes("5%", &format!("allow = [\"10.9.0.0/16\"]\n{hidden}"))).replace(&service, "127.0.0.1:9");
    let (said, code) = planned(&text);
    for part in [
        "~ orders  other allow",
        "~ also changes: [services]",
        &format!("~ orders  {service} -> 127.0.0.1:9"),
        "= 0 routes",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert_eq!(code, Some(0), "{said}");

    let redirect = "[routes.orders]\npath = \"/orders/{id}\"\nstage = \"migrated\"\nredirect = { to = \"/new/{id}\", status = 308 }\n";
    let (said, _) = planned(&edge.text(redirect));
    for part in [
        "service orders -> redirect to /new/{id} (308)",
        "answered by a redirect\n",
        "100.0 % are answered by a redirect.",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[test]
fn a_text_is_checked_without_files_and_environment() {
    let (edge, _origins) = shop();
    let (status, found) = post(&edge, "/api/v1/check", "[monolith]\nurl = \"${SECRET_OF_THIS_PROCESS}\"\nurll = 3\n");
    assert_eq!(status, 200);
    assert_eq!(found["variables"], json!(["SECRET_OF_THIS_PROCESS"]));
    assert_eq!(found["diagnostics"][0]["code"], "unknown-key", "{found:#}");
    let (status, problem) = plan(&edge, "[monolith]\n");
    assert_eq!(status, 409);
    assert!(problem["diagnostics"][0]["help"].is_string(), "{problem:#}");
    let (status, problem) = plan(&edge, &"x".repeat(2 * 1024 * 1024));
    assert_eq!((status, problem["detail"].as_str()), (413, Some("the body is longer than 1 MiB")));
    assert_eq!(edge.get("/orders/1").status(), 200);
}

#[test]
fn what_is_asked_about_for_the_first_time_is_not_taken_for_known() {
    let (edge, _origins) = shop();
    traffic(&edge);
    for condition in ["\"b\"", "{ regex = \"^acme-[0-9]+$\" }"] {
        let more = format!(
            "[routes.tenant]\npath = \"/orders/{{id}}\"\nservice = \"orders\"\nstage = \"migrated\"\nheaders = {{ x-tenant = {condition} }}\n"
        );
        let plan = recorded(&edge, &edge.text(&routes("5%", &more)));
        assert_eq!(plan["unrecorded"][0], json!({ "asked": "header:x-tenant", "share": 1.0 }), "{plan:#}");
        let flags = plan["routes"].as_array().expect("a list").iter().find(|route| route["name"] == "tenant");
        assert_eq!(flags.expect("it is there")["flags"][0]["code"], "unseen");
    }
}

/// A route of its own for one tenant's orders.
fn tenant(value: &str) -> String {
    routes(
        "5%",
        &format!(
            "[routes.tenant]\npath = \"/orders/{{id}}\"\nservice = \"orders\"\nstage = \"migrated\"\nheaders = {{ x-tenant = \"{value}\" }}\n"
        ),
    )
}

#[test]
fn a_file_in_force_does_not_say_what_requests_before_it_had() {
    let (edge, _origins) = shop();
    traffic(&edge);
    recorded(&edge, &edge.text(&tenant("b")));
    edge.reload(&tenant("b"));
    let plan = recorded(&edge, &edge.text(&tenant("c")));
    assert_eq!(plan["unrecorded"][0], json!({ "asked": "header:x-tenant", "share": 1.0 }), "{plan:#}");
}

#[test]
fn plan_learn_records_what_the_new_file_asks_about() {
    let (edge, _origins) = shop();
    traffic(&edge);
    recorded(&edge, &edge.text(&routes("5%", "")));
    let new = edge.path().with_file_name("new.toml");
    fs::write(&new, edge.text(&tenant("b"))).expect("the folder takes a file");
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let admin = format!("http://{}", edge.admin_address());
    let ended = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = edge.client();
            for number in 0_u32.. {
                if ended.load(Relaxed) {
                    break;
                }
                let tenant = if number.is_multiple_of(2) { "X-Tenant: b" } else { "X-Tenant: a" };
                client.request("GET", &format!("/orders/{number}"), &[&format!("X-User: u{number}"), tenant]);
            }
        });
        let output =
            run(&["plan", &path(&new), "-c", &path(edge.path()), "--admin", &admin, "--learn", "1s", "--json"]);
        ended.store(true, Relaxed);
        output
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the proxy records for 1 s: header:x-tenant"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let route = report["routes"].as_array().expect("a list").iter().find(|route| route["name"] == "tenant");
    let route = route.expect("it is there");
    assert!(route["endpoints"][0]["requests"].as_u64() > Some(0), "{report:#}");
    assert!(!route["flags"].to_string().contains("unseen"), "{route:#}");
    assert!(report["unrecorded"][0]["share"].as_f64() < Some(1.0), "{report:#}");
    // The proxy asks what its file asks, and no more.
    let (status, answer) = learn(&edge, "", 0);
    assert_eq!((status, &answer["asked"]), (200, &json!([])));
    for (text, seconds, status, detail) in [
        ("[monolith]\n", 5, 409, "the text has mistakes: what it asks about is not known"),
        ("", 86_401, 400, "`seconds` is at most 86400"),
    ] {
        let (found, problem) = learn(&edge, text, seconds);
        assert_eq!((found, problem["detail"].as_str()), (status, Some(detail)));
    }
    let output =
        run(&["plan", &path(&new), "-c", &path(edge.path()), "--admin", "http://127.0.0.1:9", "--learn", "1s"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_word_beside_a_parameter_is_said_not_to_be_recorded_until_it_was_learned() {
    let (edge, _origins) = shop();
    traffic(&edge);
    let people = "[routes.people]\npath = \"/people/{name}\"\nservice = \"orders\"\nstage = \"monolith\"\n";
    edge.reload(&routes("5%", people));
    let ask_latest = |client: &mut Client, number: u32| {
        let names = ["latest", "anna", "latest", "bert", "latest", "carla", "latest", "dora"];
        let path = format!("/people/{}", names[number as usize % names.len()]);
        client.request("GET", &path, &[&format!("X-User: u{number}")]);
    };
    let mut client = edge.client();
    for number in 0..CLIENTS {
        ask_latest(&mut client, number);
    }
    let more = "[routes.latest]\npath = \"/people/latest\"\nservice = \"orders\"\nstage = \"migrated\"\n\
                [routes.other]\npath = \"/orders/{id}/order-{number}\"\nservice = \"orders\"\nstage = \"migrated\"\n";
    let text = edge.text(&routes("5%", &format!("{people}{more}")));
    let plan = eventually("the recording", || {
        let (_, answer) = plan(&edge, &text);
        let all = answer["plan"]["traffic"]["requests"].as_u64() >= Some(u64::from(CLIENTS) * 13 / 5);
        all.then(|| answer["plan"].clone())
    });
    // Both words are recorded as values: which of them it was is not known.
    assert_eq!(plan["unrecorded"][0]["asked"], "path:/people/latest", "{plan:#}");
    let share = plan["unrecorded"][0]["share"].as_f64().expect("a share");
    assert!((0.2..0.5).contains(&share), "{plan:#}");
    assert_eq!(plan["unrecorded"][1], Value::Null, "nobody asked for the other");

    let new = edge.path().with_file_name("new.toml");
    fs::write(&new, &text).expect("the folder takes a file");
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let admin = format!("http://{}", edge.admin_address());
    let ended = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = edge.client();
            for number in (0..).take_while(|_| !ended.load(Relaxed)) {
                ask_latest(&mut client, number);
            }
        });
        let output =
            run(&["plan", &path(&new), "-c", &path(edge.path()), "--admin", &admin, "--learn", "1s", "--json"]);
        ended.store(true, Relaxed);
        output
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the proxy records for 1 s: path:latest, path:order-{}\n"), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let routes = report["routes"].as_array().expect("a list");
    let latest = routes.iter().find(|route| route["name"] == "latest").expect("it is there");
    assert_eq!(latest["endpoints"][0]["path"], "/people/latest", "{report:#}");
    assert!(latest["endpoints"][0]["requests"].as_u64() > Some(0), "{report:#}");
    assert!(!latest["flags"].to_string().contains("unseen"), "{latest:#}");
    assert!(!report.to_string().contains("carla"), "what no file names is not recorded");
}

#[test]
fn a_move_that_stays_in_force_is_planned_as_such() {
    let (edge, _origins) = shop();
    traffic(&edge);
    recorded(&edge, &edge.text(&routes("5%", "")));
    let (status, answer) = ask(&edge, "/api/v1/routes/orders/promote", &json!({ "reason": "trust it" }));
    assert_eq!(status, 200, "{answer}");
    let said = answer.to_string();
    assert!(said.contains("25%"), "{said}");
    // What the file says of the route is as before: the move stays.
    let more = "[routes.other]\npath = \"/other\"\nservice = \"orders\"\nstage = \"shadow\"\n";
    let (_, answer) = plan(&edge, &edge.text(&routes("5%", more)));
    let names = |report: &Value| {
        let routes = report["routes"].as_array().expect("a list");
        routes.iter().map(|route| route["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&answer["plan"]), ["other"], "{answer:#}");
    let new = edge.path().with_file_name("new.toml");
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let planned = |weight: &str, more: &str| {
        fs::write(&new, edge.text(&routes(weight, more))).expect("the folder takes a file");
        let output = run(&["plan", &path(&new), "-c", &path(edge.path()), "--json"]);
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    assert_eq!(names(&planned("5%", more)), ["other"]);
    assert_eq!(planned("20%", "")["routes"][0]["what"], json!(["canary 25% -> 20%"]));
}

#[test]
fn another_name_draws_the_clients_of_a_canary_anew() {
    let (edge, _origins) = shop();
    traffic(&edge);
    let renamed = routes("5%", "").replace("[routes.orders]", "[routes.members]");
    let plan = recorded(&edge, &edge.text(&renamed));
    let flags =
        plan["routes"].as_array().expect("a list").iter().map(|route| route["flags"].to_string()).collect::<String>();
    assert!(flags.contains("sticky-changes"), "{plan:#}");
}

fn learn(edge: &Edge, text: &str, seconds: u32) -> (u16, Value) {
    ask(edge, "/api/v1/plan/learn", &json!({ "text": text, "seconds": seconds }))
}

#[test]
fn a_shadow_is_planned_with_what_it_copies_and_an_export_gets_what_was_recorded_as_cases() {
    let (mut edge, _origins) = shop();
    let shadow = "[routes.orders]\npath = \"/orders/{id}\"\nservice = \"orders\"\nstage = \"shadow\"\n";
    let (mut client, mut user) = (edge.client(), 0_usize);
    // Some are recorded, so each kind comes until it is.
    let endpoints = eventually("the recording", || {
        for _ in 0..10 {
            user += 1;
            client.request("GET", &format!("/orders/{user}"), &[&format!("X-User: u{user}")]);
            client.request("POST", &format!("/orders/{user}"), &["Content-Length: 0"]);
            (0..=user % 3).for_each(|_| drop(client.request("GET", "/elsewhere", &[])));
        }
        let (_, answer) = plan(&edge, &edge.text(shadow));
        let endpoints = answer["plan"]["routes"][0]["endpoints"].as_array().cloned().unwrap_or_default();
        let of_both: u64 = endpoints.iter().filter_map(|endpoint| endpoint["requests"].as_u64()).sum();
        let elsewhere = answer["plan"]["traffic"]["requests"].as_u64() > Some(of_both);
        (endpoints.len() == 2 && elsewhere).then_some(endpoints)
    });
    for endpoint in &endpoints {
        let copies =
            if endpoint["method"] == "GET" { "copied" } else { "not copied: a write, and the service is no sandbox" };
        assert_eq!(endpoint["copies"], copies, "{endpoint}");
    }
    edge.signal("TERM");
    assert!(edge.wait(LIMIT).is_some(), "it ends, and keeps what it recorded");

    let folder = edge.path().with_file_name("way-out");
    let path = |path: &std::path::Path| path.to_str().expect("a path in UTF-8").to_owned();
    let cases = |text: &str, to: &str| -> (Value, String) {
        fs::write(edge.path(), edge.text(text)).expect("the folder takes a file");
        let output =
            run(&["export", "--to", to, "--lossy", "--verify", "-c", &path(edge.path()), "-o", &path(&folder)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let cases = fs::read(folder.join("cases.json")).unwrap_or_else(|_| panic!("no cases: {said}"));
        (serde_json::from_slice(&cases).expect("JSON"), said)
    };
    let (all, said) = cases(&shadow.replace("shadow", "migrated"), "httproute");
    let all = all.as_array().expect("a list");
    assert!(said.contains(&format!("{} cases of recorded requests", all.len())), "{said}");
    let upstreams = |of: &str| -> Vec<&Value> {
        let cases = all.iter().filter(|case| case["target"].as_str().expect("a target").starts_with(of));
        cases.map(|case| &case["upstream"]).collect()
    };
    assert!(!upstreams("/orders/").is_empty() && upstreams("/orders/").iter().all(|upstream| **upstream == "orders"));
    assert!(
        !upstreams("/elsewhere").is_empty() && upstreams("/elsewhere").iter().all(|upstream| **upstream == "monolith")
    );

    let (checked, _) = cases(&shadow.replace("shadow", "migrated"), "envoy");
    let tests = checked["tests"].as_array().expect("a list");
    assert_eq!(tests.len(), all.len());
    assert!(
        tests
            .iter()
            .any(|test| test["input"]["path"] == "/elsewhere" && test["validate"]["cluster_name"] == "monolith")
    );

    // Who answers depends on the client: no case can say it.
    let (divided, _) = cases(&routes("25%", ""), "httproute");
    assert!(divided.as_array().expect("a list").iter().all(|case| case["target"] == "/elsewhere"), "{divided:#}");
}
