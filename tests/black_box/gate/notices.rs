//! People and programs hear of moves, once for each, and nobody waits for them.

use serde_json::Value;

use crate::gate::traffic::{Traffic, actions, edge, patiently, route, verb};
use crate::harness::{Origin, Reply, Request, eventually};

fn bodies(receiver: &Origin) -> Vec<Value> {
    // A request is recorded with its head; its body follows.
    let whole = |request: &Request| serde_json::from_slice(&request.body).ok();
    eventually("whole bodies", || receiver.requests().iter().map(whole).collect())
}

fn sent(name: &str, receiver: &Origin, format: &str, more: &str) -> String {
    format!("[notify.{name}]\nurl = \"{}/hook\"\nformat = \"{format}\"\n{more}\n", receiver.url())
}

const CANARY: &str = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\n";

#[test]
fn a_move_is_told_to_each_receiver_in_its_form() {
    let (json, slack, alerts, grafana) =
        (Origin::saying("ok"), Origin::saying("ok"), Origin::saying("ok"), Origin::saying("ok"));
    let tables = [
        CANARY.to_owned(),
        sent("json", &json, "json", ""),
        sent("chat", &slack, "slack", "on = [\"rolled-back\"]"),
        sent("alerts", &alerts, "alertmanager", ""),
        sent("marks", &grafana, "grafana", "routes = [\"us*\"]"),
    ];
    let (edge, _monolith, _service) = edge(Reply::ok("service"), &tables.concat());
    assert_eq!(verb(&edge, &["promote", "users", "--reason", "why not"]).0, 0);
    assert_eq!(verb(&edge, &["rollback", "users", "--weight", "0%", "--reason", "prices"]).0, 0);
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    json.await_requests(3);
    let told = bodies(&json);
    assert_eq!(
        told.iter().map(|one| one["kind"].as_str()).collect::<Vec<_>>(),
        [Some("move"), Some("rolled-back"), Some("move")]
    );
    let text = told[0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("canary 5% -> canary 25%") && text.contains("why not"), "{text}");
    assert_eq!((&told[1]["entry"]["seq"], &told[1]["command"]), (&2.into(), &"multilith gate users".into()));
    assert!(told[1]["link"].as_str().is_some_and(|link| link.ends_with("/route/users")), "{told:?}");
    // A chat that asked for roll-backs alone hears of that one.
    slack.await_requests(1);
    assert!(bodies(&slack)[0]["text"].as_str().is_some_and(|text| text.contains("prices")));
    // An alert begins with the roll-back and ends with the promotion after it.
    alerts.await_requests(3);
    let of = |n: usize| alerts.requests()[n].clone();
    assert_eq!(of(0).target(), b"/hook/api/v2/alerts");
    let begun = &bodies(&alerts)[1];
    let began = begun.as_array().and_then(|alerts| alerts.iter().find(|alert| alert["startsAt"].is_string()));
    assert_eq!(began.map(|alert| &alert["labels"]["alertname"]), Some(&"MultilithRolledBack".into()), "{begun}");
    let ended = &bodies(&alerts)[2];
    assert!(
        ended.as_array().is_some_and(|all| all
            .iter()
            .any(|one| one["labels"]["alertname"] == "MultilithRolledBack" && one["startsAt"].is_null())),
        "{ended}"
    );
    grafana.await_requests(3);
    assert_eq!(
        bodies(&grafana)[1]["tags"],
        serde_json::json!(["multilith", "rolled-back", "route:users", "by:person"])
    );
    assert_eq!(slack.requests().len(), 1);
    eventually("what was sent is counted", || {
        (edge.metric("multilith_notify_total", &[("name", "json"), ("result", "sent")]) >= 3.0).then_some(())
    });
}

#[test]
fn a_gate_tells_of_its_roll_back_and_that_it_waits() {
    let receiver = Origin::saying("ok");
    let gate = route("stage = \"canary\"\nweight = \"40%\"", "", "");
    let tables = gate + &sent("ops", &receiver, "json", "on = [\"rolled-back\"]");
    let (edge, _monolith, _service) = edge(Reply::status("404 Not Found", &[], "no"), &tables);
    let traffic = Traffic::begin(&edge);
    patiently("the gate rolls back", || !receiver.requests().is_empty());
    drop(traffic);
    let one = &bodies(&receiver)[0];
    let text = one["text"].as_str().unwrap_or_default();
    assert!(text.contains("by gate@") && text.contains("refusals"), "{one}");
    assert!(one["entry"]["verdict"]["metrics"].is_object(), "{one}");
}

#[test]
fn a_receiver_that_is_down_or_refuses_holds_nobody_up() {
    let refuses = Origin::start(|_| Reply::status("403 Forbidden", &[], "no"));
    let hangs = Origin::start(|_| Reply::hang());
    let tables = [
        CANARY.to_owned(),
        sent("refuses", &refuses, "json", ""),
        sent("hangs", &hangs, "json", ""),
        "[notify.dead]\nurl = \"http://127.0.0.1:9/\"\n".to_owned(),
    ];
    let (edge, _monolith, _service) = edge(Reply::ok("service"), &tables.concat());
    assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
    assert_eq!(verb(&edge, &["rollback", "users"]).0, 0);
    assert_eq!(actions(&edge), ["promote", "roll-back"]);
    eventually("a refusal is counted and is not tried again", || {
        (edge.metric("multilith_notify_total", &[("name", "refuses"), ("result", "failed")]) >= 2.0).then_some(())
    });
    assert_eq!(refuses.requests().len(), 2);
    edge.await_log_line(&["a notification was not delivered", "refuses", "status 403"]);
    assert!(!edge.log().contains(&refuses.url()), "the URL is a secret");
    // More moves than a queue holds: they are made, and counted as dropped.
    for _ in 0..60 {
        assert_eq!(verb(&edge, &["promote", "users"]).0, 0);
        assert_eq!(verb(&edge, &["rollback", "users"]).0, 0);
    }
    assert!(edge.metric("multilith_notify_total", &[("name", "hangs"), ("result", "dropped")]) >= 1.0);
    assert_eq!(edge.get("/users").status(), 200);
}
