//! `explain` says what is sent in the place of a request.

use serde_json::{Value, json};

use crate::harness::{Edge, Origin, PATIENCE, Process};
use crate::targets::aws;

const TABLES: &str = r#"
[services.greeter]
nameko = { broker = "amqp://guest:guest@127.0.0.1:1/", service = "greeting_service", exchange = "shop-rpc" }

[routes.quote]
path = "/quote/{*rest}"
service = "quote"
stage = "migrated"
rewrite = { set = { x-key = "${QUOTE_KEY}" } }

[routes.greet]
path = "/greet/{id}"
service = "greeter"
stage = "migrated"
call = { method = "hello", args = ["{id:int}"], kwargs = { lang = "query:lang", gone = "query:gone", to = "json:to.city" } }
timeouts = { answer = "2s" }

[routes.copied]
path = "/copied/{id}"
service = "greeter"
stage = "shadow"
call = { method = "hello", args = ["{id}"] }
"#;

fn explain(edge: &Edge, arguments: &[&str]) -> String {
    let file = edge.path().display().to_string();
    let words = ["explain", "-c", &file];
    let variables = [("QUOTE_KEY", "s3cret-of-quote".to_owned())];
    let mut process = Process::spawn_with(words.iter().chain(arguments), variables);
    let status = process.wait(PATIENCE).expect("explain ends");
    assert!(status.success(), "{}", process.stderr());
    process.stdout()
}

fn json_of(edge: &Edge, arguments: &[&str]) -> Value {
    let words: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
    serde_json::from_str(&explain(edge, &words)).expect("JSON")
}

fn edge() -> (Edge, Origin, Origin) {
    let (service, _) = aws::service(|_| aws::answer(200, "ran"));
    let monolith = Origin::saying("monolith");
    let tables = format!("{}{TABLES}", aws::table(&service, ""));
    let edge = Edge::before(&monolith).variable("QUOTE_KEY", "s3cret-of-quote").with(&tables).start();
    (edge, monolith, service)
}

#[test]
fn a_request_to_a_function_is_shown_as_its_event() {
    let (edge, _monolith, _service) = edge();
    let said = json_of(&edge, &["GET", "http://shop.example/quote/a%20b?x=1", "-H", "cookie: c=3"]);
    let told = &said["translation"];
    assert_eq!(told["target"], "lambda");
    let to = told["to"].as_str().unwrap_or_default();
    assert!(to.starts_with("POST /2015-03-31/functions/shop-quote%3Aprod/invocations at 127.0.0.1:"), "{to}");
    let event = &told["message"];
    assert_eq!((&event["version"], &event["rawPath"]), (&json!("2.0"), &json!("/quote/a%20b")));
    assert_eq!((&event["rawQueryString"], &event["cookies"]), (&json!("x=1"), &json!(["c=3"])));
    assert_eq!(event["headers"]["x-key"], "(from a variable)");
    let text = explain(&edge, &["GET", "http://shop.example/quote/1"]);
    assert!(text.contains("sent instead of it to quote (lambda)") && !text.contains("s3cret"), "{text}");
}

#[test]
fn a_request_to_a_service_of_nameko_is_shown_as_its_call() {
    let (edge, _monolith, _service) = edge();
    let said = json_of(&edge, &["POST", "/greet/7?lang=pl"]);
    assert_eq!(
        said["translation"],
        json!({
            "target": "nameko", "to": "greeting_service.hello at shop-rpc", "expires_seconds": 1.9,
            "headers": {
                "nameko.call_id_stack": ["multilith.greet.00000000000000000000000000000000"],
                "nameko.traceparent": "00-00000000000000000000000000000001-0000000000000001-00",
            },
            "message": { "args": [7], "kwargs": { "lang": "pl", "to": "(to.city of the body)" } },
        })
    );
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = ["-H", &format!("traceparent: {traceparent}"), "-H", "tracestate: a=1", "-H", "tracestate: b=2"];
    let traced = json_of(&edge, &[&["GET", "/greet/7"][..], &traced].concat());
    let headers = &traced["translation"]["headers"];
    assert_eq!(
        (&headers["nameko.traceparent"], &headers["nameko.tracestate"]),
        (&json!(traceparent), &json!("a=1,b=2"))
    );
    let refused = json_of(&edge, &["GET", "/greet/seven"]);
    assert_eq!(refused["translation"]["message"], Value::Null);
    assert!(refused["translation"]["refused"].as_str().is_some_and(|why| why.starts_with("400 ")), "{refused}");
    let copied = json_of(&edge, &["GET", "/copied/x"]);
    assert_eq!(copied["translation"], Value::Null, "the monolith gets the request itself");
    assert_eq!(copied["shadow"]["translation"]["message"], json!({ "args": ["x"], "kwargs": {} }));
    let upgrade = json_of(&edge, &["GET", "/greet/7", "-H", "connection: upgrade", "-H", "upgrade: websocket"]);
    assert_eq!(upgrade["translation"]["refused"], "501 (upgrade)");
}

#[test]
fn the_status_says_what_each_upstream_is() {
    let (edge, _monolith, _service) = edge();
    let (_, upstreams) = edge.admin_json("GET", "/api/v1/upstreams");
    let targets: Vec<_> =
        upstreams.as_array().expect("a list").iter().map(|row| (&row["name"], &row["target"])).collect();
    for pair in [("monolith", "http"), ("quote", "lambda"), ("greeter", "nameko")] {
        assert!(targets.contains(&(&json!(pair.0), &json!(pair.1))), "{pair:?} in {targets:?}");
    }
}
