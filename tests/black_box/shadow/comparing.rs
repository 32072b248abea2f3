//! Verdicts, as a user sees them: through the API, the metrics, the board and `multilith diff`.

use serde_json::{Value, json};

use crate::harness::{Edge, Origin, Reply, run_to_exit};
use crate::shadow::plan::{shadowing, staged};

fn json_reply(body: &Value) -> Reply {
    Reply::status("200 OK", &["Content-Type: application/json"], body.to_string())
}

const COMPARE: &str = "compare = { examples = \"values\", noise = { replay = \"0%\" } }\n";

/// `multilith diff`, its exit code and stdout.
pub(crate) fn diff(edge: &Edge, more: &[&str]) -> (i32, String) {
    let admin = format!("http://{}", edge.admin_address());
    let arguments = [&["diff", "all", "--admin", &admin], more].concat();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_multilith")).args(arguments).output();
    let output = output.expect("the binary starts");
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn equal_answers_match_and_different_ones_name_their_fields() {
    let monolith =
        Origin::start(|_| json_reply(&json!({"id": 12_345_678_901_234_567_u64, "name": "Ann", "total": 1.0})));
    let service = Origin::start(|request| {
        json_reply(&if request.path_is("/same") {
            json!({"total": 1, "name": "Ann", "id": 12_345_678_901_234_567_u64})
        } else {
            json!({"total": 1, "name": "Bob", "id": 12_345_678_901_234_568_u64, "more": true})
        })
    });
    let edge = shadowing(&monolith, service.address(), COMPARE);
    for _ in 0..3 {
        edge.get("/same");
    }
    edge.get("/other");
    let report = edge.await_compared(4);
    assert_eq!(report["compared"], 4, "{report:#}");
    assert_eq!(report["verdicts"], json!({"match": 3, "mismatch": 1, "undecided": 0, "incomparable": 0, "dropped": 0}));
    assert_eq!(report["mismatch_rate"], json!(0.25));
    let fields: Vec<_> = report["fields"].as_array().expect("a list").iter().map(|field| &field["field"]).collect();
    assert_eq!(fields, ["$.id", "$.more", "$.name"]);
    assert_eq!(report["fields"][2]["examples"][0]["control"], "Ann", "{report:#}");

    let verdict = |verdict| edge.metric("multilith_comparisons_total", &[("route", "all"), ("verdict", verdict)]);
    assert_eq!((verdict("match"), verdict("mismatch"), verdict("incomparable")), (3.0, 1.0, 0.0));
    let raw = edge.metric("multilith_comparison_fields_total", &[("field", "$.name"), ("kind", "raw")]);
    assert!((raw - 1.0).abs() < f64::EPSILON, "{raw}");
    let (_, route) = edge.admin_json("GET", "/api/v1/routes/all");
    assert_eq!(route["mismatch_rate"], json!(0.25));

    let (code, text) = diff(&edge, &[]);
    assert_eq!(code, 0);
    assert!(text.contains("$.name") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (code, text) = diff(&edge, &["--json"]);
    let printed: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((code, &printed["verdicts"]), (0, &report["verdicts"]));
}

#[test]
fn kept_requests_are_exported_as_tests() {
    let monolith = Origin::start(|_| json_reply(&json!({"name": "Ann"})));
    let service = Origin::start(|_| json_reply(&json!({"name": "Bob"})));
    let edge = shadowing(&monolith, service.address(), COMPARE);
    edge.client().request("GET", "/users/7?x=1", &["Authorization: Bearer of-a-secret"]);
    edge.await_compared(1);
    let file = edge.path().with_file_name("out.hurl");
    let (code, _) = diff(&edge, &["--export", file.to_str().expect("a path in ASCII")]);
    assert_eq!(code, 0);
    let text = std::fs::read_to_string(&file).expect("the file was written");
    assert!(text.contains("GET {{base}}/users/7?x=1"), "{text}");
    assert!(text.contains("jsonpath \"$.name\" == \"Ann\"") && !text.contains("of-a-secret"), "{text}");
}

#[test]
fn a_difference_has_the_id_under_which_log_and_both_sides_know_the_request() {
    let monolith = Origin::start(|_| json_reply(&json!({"name": "Ann"})));
    let service = Origin::start(|_| json_reply(&json!({"name": "Bob"})));
    let edge = shadowing(&monolith, service.address(), COMPARE);
    // No peer is trusted: this client's own id is not the one that counts.
    edge.client().request("GET", "/users/7", &["X-Request-Id: of-the-client"]);
    let report = edge.await_compared(1);
    let asked = monolith.request();
    let id = asked.get("x-request-id").expect("the monolith is told the id");
    assert_ne!(id, "of-the-client");
    assert_eq!(report["fields"][0]["examples"][0]["request_id"], id, "{report:#}");
}

#[test]
fn a_route_that_compares_nothing_says_so() {
    let (monolith, service) = (Origin::saying("a"), Origin::saying("b"));
    let edge = shadowing(&monolith, service.address(), "compare = false\n");
    let (status, problem) = edge.admin_json("GET", "/api/v1/routes/all/comparisons");
    assert_eq!(status, 404, "{problem}");
    assert_eq!(edge.admin("GET", "/api/v1/routes/nobody/comparisons").status(), 404);
    let admin = format!("http://{}", edge.admin_address());
    let (code, stderr) = run_to_exit(crate::harness::PATIENCE, &["diff", "all", "--admin", &admin]);
    assert!(code == 2 && stderr.contains("shadow.compare"), "{code} {stderr}");
}

#[test]
fn answers_that_cannot_be_compared_are_told_apart_from_those_that_differ() {
    let monolith = Origin::start(|request| match request.target() {
        b"/failed" => Reply::status("500 Oh No", &[], "x"),
        b"/unmodified" => Reply::bytes("HTTP/1.1 304 Not Modified\r\n\r\n"),
        b"/garbled" => Reply::status("200 OK", &["Content-Encoding: gzip"], "not gzip"),
        _ => Reply::ok("text"),
    });
    let service = Origin::saying("other text");
    let edge = shadowing(&monolith, service.address(), "compare = { headers = [], noise = { replay = \"0%\" } }\n");
    for path in ["/failed", "/unmodified", "/garbled", "/plain"] {
        edge.get(path);
    }
    let report = edge.await_compared(4);
    assert_eq!(
        report["verdicts"],
        json!({"match": 0, "mismatch": 1, "undecided": 0, "incomparable": 3, "dropped": 0}),
        "{report:#}"
    );
    assert_eq!(report["incomparable"], json!({"control_failed": 1, "not_modified": 1, "undecodable": 1}));
}

#[test]
fn bodies_too_large_to_keep_are_compared_by_their_hash() {
    let large = |last: &str| {
        let body = ["x".repeat(3 << 20), last.to_owned()].concat();
        Reply::status("200 OK", &["Content-Type: application/octet-stream"], body)
    };
    let monolith = Origin::start(move |_| large("a"));
    let service = Origin::start(move |request| large(if request.path_is("/same") { "a" } else { "b" }));
    let edge = shadowing(&monolith, service.address(), "compare = { noise = { replay = \"0%\" } }\n");
    assert_eq!(edge.get("/same").body.len(), (3 << 20) + 1);
    edge.get("/other");
    let report = edge.await_compared(2);
    assert_eq!(
        report["verdicts"],
        json!({"match": 1, "mismatch": 1, "undecided": 0, "incomparable": 0, "dropped": 0}),
        "{report:#}"
    );
    assert_eq!(report["fields"][0]["field"], "body");
}

#[test]
fn a_service_is_compared_by_what_its_clients_would_get() {
    let monolith = Origin::start(|_| Reply::status("302 Found", &["Location: /login"], ""));
    let service = Origin::start(|_| Reply::status("302 Found", &["Location: http://users.internal/login"], ""));
    let tables = format!(
        "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
         rewrite = {{ host = \"users.internal\" }}\nanswer = {{ location = true }}\n[routes.all.shadow]\ncompare = {{ noise = {{ replay = \"0%\" }} }}\n",
        service.url()
    );
    let edge = Edge::before(&monolith).with(&tables).start();
    edge.get("/");
    let report = edge.await_compared(1);
    assert_eq!(report["verdicts"]["match"], 1, "{report:#}");
}

#[test]
fn after_a_migration_the_monolith_is_still_the_control() {
    let monolith = Origin::start(|_| json_reply(&json!({"by": "monolith"})));
    let service = Origin::start(|_| json_reply(&json!({"by": "service"})));
    let edge = staged(&monolith, service.address(), "stage = \"migrated\"", &format!("reverse = true\n{COMPARE}"));
    edge.get("/");
    let report = edge.await_compared(1);
    let example = &report["fields"][0]["examples"][0];
    assert_eq!((&example["control"], &example["candidate"]), (&json!("monolith"), &json!("service")));
}

#[test]
fn whoever_watches_is_told_of_mismatches_and_of_no_value() {
    let monolith = Origin::start(|_| json_reply(&json!({"name": "Ann"})));
    let service = Origin::start(|_| json_reply(&json!({"name": "Bob"})));
    let edge = shadowing(&monolith, service.address(), COMPARE);
    let mut watcher = crate::harness::Client::connect(edge.admin_address());
    watcher.send(format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", edge.admin_address()));
    assert!(watcher.head().start_line.ends_with(b"200 OK"));
    edge.get("/");
    let mut told = String::new();
    while !told.contains("event: mismatch") || !told.ends_with("\n\n") {
        told += &String::from_utf8_lossy(&watcher.chunk());
    }
    assert!(told.contains("\"fields\":[\"$.name\"]") && !told.contains("Ann"), "{told}");
}
