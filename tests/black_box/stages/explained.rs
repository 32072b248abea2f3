//! `explain` says for each stage what the proxy does.

use serde_json::Value;

use crate::harness::{Edge, Origin, PATIENCE, Process};

const TABLES: &str = r#"
[routes.monolith]
path = "/monolith"
service = "users"
stage = "monolith"

[routes.shadow]
path = "/shadow"
service = "users"
stage = "shadow"
[routes.shadow.shadow]
sample = "100%"

[routes.canary]
path = "/canary"
service = "users"
stage = "canary"
weight = "30%"
sticky = ["header:x-user-id"]

[routes.split]
path = "/split"
stage = "split"
sticky = ["header:x-user-id"]
[routes.split.variants]
blue = { upstream = "monolith", weight = "50%" }
green = { upstream = "users", weight = "50%" }

[routes.migrated]
path = "/migrated/{id}"
service = "users"
stage = "migrated"
rewrite = { path = "/v2/{id}" }

[routes.retired]
path = "/retired"
service = "users"
stage = "retired"
"#;

fn explain(edge: &Edge, arguments: &[&str]) -> Value {
    let file = edge.path().display().to_string();
    let mut process = Process::spawn(["explain", "--json", "-c", &file].iter().chain(arguments));
    let status = process.wait(PATIENCE).expect("explain ends");
    assert!(status.success(), "{}", process.stderr());
    serde_json::from_str(&process.stdout()).expect("JSON")
}

#[test]
fn explain_agrees_with_the_proxy_in_every_stage() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &service).with(TABLES).start();
    for path in ["/monolith", "/shadow", "/canary", "/split", "/migrated/7", "/retired", "/unrouted"] {
        for user in ["X-User-Id: a", "X-User-Id: b", "X-User-Id: c", "X-User-Id: d"] {
            let said = explain(&edge, &["GET", &format!("http://edge.test{path}"), "-H", user]);
            let answered = edge.client().request("GET", path, &[user]).text();
            let upstream = if answered == "service" { "users" } else { "monolith" };
            assert_eq!(said["upstream"], upstream, "{path} {user}: {said}");
            println!("{path} {user}: {} by {}: {}", said["stage"], said["side"], said["reason"]);
        }
    }
    let said = explain(&edge, &["GET", "http://edge.test/migrated/7?x=1"]);
    assert_eq!((&said["route"], &said["stage"]), (&"migrated".into(), &"migrated".into()));
    assert_eq!(said["request"]["target"], "/v2/7?x=1");
    assert_eq!(explain(&edge, &["GET", "/shadow"])["shadow"]["upstream"], "users");
    assert_eq!(explain(&edge, &["GET", "/unrouted"])["route"], Value::Null);
}

#[test]
fn what_an_upstream_takes_at_once_and_how_it_is_told_of_clients_is_shown() {
    let monolith = Origin::saying("monolith");
    let edge = Edge::before(&monolith)
        .monolith("max_in_flight = 8\nqueue = { length = 3, timeout = \"2s\" }\nproxy_protocol = 2")
        .start();
    let told = explain(&edge, &["GET", "http://a/x"]);
    let limit = serde_json::json!({ "max_in_flight": 8, "queue_length": 3, "queue_timeout_seconds": 2.0 });
    assert_eq!((&told["limit"], &told["proxy_protocol"]), (&limit, &serde_json::json!(2)));
}
