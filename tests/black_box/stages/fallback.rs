//! Who answers when the service does not, by what failed, what was asked, and what the client already has.

use crate::harness::{Client, Edge, Origin, PATIENCE, Process, Reply, Response, free_address};
use crate::stages::world::{World, canary, migrated};

const QUICK: &str = "[services.users.timeouts]\nanswer = \"200ms\"\nidle = \"200ms\"\n";

fn ask(client: &mut Client, method: &str) -> Response {
    let body = if matches!(method, "GET" | "HEAD" | "OPTIONS") { "" } else { "body" };
    client.send(format!(
        "{method} /users HTTP/1.1\r\nHost: a\r\nX-User-Id: u\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    if method == "HEAD" { client.response_to_head() } else { client.response() }
}

#[test]
fn what_was_never_sent_goes_to_the_monolith_whatever_the_method() {
    let monolith = Origin::saying("monolith");
    let tables = format!("[services.users]\nurl = \"http://{}\"\n{}", free_address(), canary("100%", ""));
    let edge = Edge::before(&monolith).with(&tables).start();
    for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PURGE"] {
        assert_eq!(ask(&mut edge.client(), method).status(), 200, "{method}");
        assert_eq!(monolith.requests().last().map(crate::harness::Request::method).as_deref(), Some(method));
    }
    assert!(edge.metric("multilith_fallbacks_total", &[("route", "users"), ("reason", "connect")]) >= 5.0);
}

#[test]
fn methods_that_may_not_fall_back_do_not() {
    let monolith = Origin::saying("monolith");
    let fallback = "fallback = { methods = [\"GET\"] }\nbreaker = { failures = 2, open = \"1h\" }";
    let tables = format!("[services.users]\nurl = \"http://{}\"\n{}", free_address(), canary("100%", fallback));
    let edge = Edge::before(&monolith).with(&tables).start();
    // Past the breaker's limit, too.
    for _ in 0..6 {
        assert_eq!(ask(&mut edge.client(), "POST").status(), 502);
    }
    assert_eq!(ask(&mut edge.client(), "GET").status(), 200);
    assert_eq!(ask(&mut edge.client(), "HEAD").status(), 200);
    assert_eq!(ask(&mut edge.client(), "POST").status(), 502);
    assert!(monolith.requests().iter().all(|request| request.method() != "POST"));
}

#[test]
fn what_may_have_arrived_is_only_asked_again_if_it_is_safe() {
    let half = "HTTP/1.1 200 OK\r\nContent-Le";
    for (name, reply, reason, own) in [
        ("reset", Reply::no_answer(), "reset", 502),
        ("closed", Reply::bytes("").close(), "reset", 502),
        ("half a head", Reply::bytes(half).close(), "reset", 502),
        ("no HTTP", Reply::bytes("SSH-2.0\r\n\r\n").close(), "protocol", 502),
        ("hangs", Reply::hang(), "timeout", 504),
        ("500", Reply::status("500 Internal Server Error", &[], "own"), "status", 500),
        ("502", Reply::status("502 Bad Gateway", &[], "own"), "status", 502),
        ("503", Reply::status("503 Service Unavailable", &[], "own"), "status", 503),
        ("504", Reply::status("504 Gateway Timeout", &[], "own"), "status", 504),
    ] {
        let world = World::answering(reply, &format!("{QUICK}{}", canary("100%", "breaker = { failures = 1000 }")));
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(ask(&mut world.edge.client(), method).status(), 200, "{name} {method}");
        }
        let counted = world.edge.metric("multilith_fallbacks_total", &[("reason", reason)]);
        assert!((counted - 3.0).abs() < 0.1, "{name}: {counted}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
            let response = ask(&mut world.edge.client(), method);
            assert_eq!(response.status(), own, "{name} {method}");
            if reason == "status" {
                assert_eq!(response.text(), "own", "the service's own answer");
            }
        }
        assert_eq!(world.monolith.requests().len(), 3, "{name}");
        assert_eq!(world.service.requests().len(), 8, "{name}");
        let errors = world.edge.metric("multilith_upstream_errors_total", &[("side", "service"), ("kind", reason)]);
        assert!((errors - 8.0).abs() < 0.1, "{name}: {errors}");
    }
}

#[test]
fn a_status_that_is_no_failure_is_the_clients() {
    for (reply, more, status) in [
        ("501 Not Implemented", "", 501),
        ("404 Not Found", "", 404),
        ("500 Internal Server Error", "fallback = { statuses = [503] }", 500),
        ("503 Service Unavailable", "fallback = { statuses = [500] }", 503),
        ("500 Internal Server Error", "fallback = { statuses = [500] }", 200),
        ("503 Service Unavailable", "fallback = false", 503),
    ] {
        let world = World::answering(Reply::status(reply, &[], ""), &canary("100%", more));
        assert_eq!(ask(&mut world.edge.client(), "GET").status(), status, "{reply} {more}");
    }
}

#[test]
fn a_500_is_a_failure_in_a_canary_and_elsewhere_an_answer() {
    let reply = || Reply::status("500 Internal Server Error", &[], "own");
    let trial = World::answering(reply(), &canary("100%", ""));
    assert_eq!(ask(&mut trial.edge.client(), "GET").text(), "monolith");
    assert!((trial.edge.metric("multilith_fallbacks_total", &[("reason", "status")]) - 1.0).abs() < 0.1);
    let moved = World::answering(reply(), &migrated("fallback = true"));
    let answer = ask(&mut moved.edge.client(), "GET");
    assert_eq!((answer.status(), answer.text()), (500, "own".to_owned()));
    for (world, statuses) in [(&trial, &[500, 502, 503, 504][..]), (&moved, &[502, 503, 504])] {
        let file = world.edge.path().display().to_string();
        let mut explain = Process::spawn(["explain", "--json", "-c", &file, "GET", "/users"]);
        assert!(explain.wait(PATIENCE).is_some_and(|status| status.success()));
        let said: serde_json::Value = serde_json::from_str(&explain.stdout()).expect("JSON");
        assert_eq!(said["fallback_statuses"], serde_json::json!(statuses));
    }
}

#[test]
fn once_bytes_of_the_answer_left_nobody_else_answers() {
    for (name, reply) in [
        ("length", Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").close()),
        ("chunks", Reply::chunked(&[]).chunk("half").close()),
        ("silence", Reply::chunked(&[]).chunk("half").then_hang()),
    ] {
        let world = World::answering(reply, &format!("{QUICK}{}", canary("100%", "")));
        let mut client = world.edge.client();
        client.send("GET /users HTTP/1.1\r\nHost: a\r\nX-User-Id: u\r\n\r\n");
        assert!(client.try_response(false).is_err(), "{name}: a broken answer was made whole");
        assert_eq!((world.service.requests().len(), world.monolith.requests().len()), (1, 0), "{name}");
    }
}

#[test]
fn a_body_too_large_to_hold_is_passed_on_and_its_failure_is_the_services_own() {
    let body = "x".repeat(200 * 1024);
    for method in ["GET", "OPTIONS", "POST", "PUT"] {
        let head =
            format!("{method} /users HTTP/1.1\r\nHost: a\r\nX-User-Id: u\r\nContent-Length: {}\r\n\r\n", body.len());
        for (name, reply, status, text) in [
            ("well", Reply::ok("service"), 200, Some("service")),
            ("503", Reply::status("503 Service Unavailable", &[], "own"), 503, Some("own")),
            ("reset", Reply::no_answer(), 502, None),
        ] {
            let world = World::answering(reply, &canary("100%", ""));
            let mut client = world.edge.client();
            client.send(&head).send(&body);
            let response = client.response();
            assert_eq!(response.status(), status, "{method} {name}");
            assert!(text.is_none_or(|text| response.text() == text), "{method} {name}");
            assert_eq!(world.service.request().body.len(), body.len(), "{method} {name}");
            assert_eq!(world.monolith.requests().len(), 0, "{method} {name}");
        }
    }
}

#[test]
fn a_body_that_was_held_is_sent_whole_to_the_monolith() {
    let body = "x".repeat(60 * 1024);
    let world = World::answering(Reply::status("503 Service Unavailable", &[], ""), &canary("100%", ""));
    let mut client = world.edge.client();
    client.send(format!("OPTIONS /users HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(client.response().text(), "monolith");
    assert_eq!(world.monolith.request().body, body.as_bytes());
}

#[test]
fn the_monolith_gets_what_the_client_sent_not_what_the_service_did() {
    let tables =
        canary("100%", "rewrite = { path = \"/v2/people\", host = \"users.internal\", set = { x-new = \"1\" } }");
    let world = World::answering(Reply::no_answer(), &tables);
    world.get("/users?a=%7E", &["X-User-Id: u"]);
    let (asked, fell) = (world.service.request(), world.monolith.request());
    assert_eq!(
        (asked.target(), asked.get("host"), asked.get("x-new")),
        (&b"/v2/people?a=%7E"[..], Some("users.internal"), Some("1"))
    );
    assert_eq!((fell.target(), fell.get("host"), fell.get("x-new")), (&b"/users?a=%7E"[..], Some("edge.test"), None));
    assert_eq!((fell.get("x-multilith-side"), fell.get("x-multilith-route")), (None, None));
}

#[test]
fn a_migrated_route_falls_back_if_it_says_so_and_a_fallback_shows_in_log_headers_and_status() {
    let server = "debug_headers = true";
    let service = Origin::start(|_| Reply::no_answer());
    let world = World::between(Origin::saying("monolith"), service, server, &migrated("fallback = true"));
    let answer = world.get("/users", &[]);
    assert_eq!(answer.text(), "monolith");
    assert_eq!((answer.get("x-multilith-side"), answer.get("x-multilith-fallback")), (Some("monolith"), Some("reset")));
    let line = world.edge.await_log_line(&["\"route\":\"users\""]);
    let line: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
    assert_eq!(
        (&line["side"], &line["fallback"], &line["http.response.status_code"]),
        (&"monolith".into(), &"reset".into(), &200.into())
    );
    let (_, status) = world.edge.admin_json("GET", "/api/v1/status");
    let route = &status["routes"][0];
    assert_eq!((&route["errors"]["service"], &route["requests"]["monolith"]), (&1.into(), &1.into()), "{route}");
}

#[test]
fn without_a_fallback_the_client_learns_what_failed() {
    let monolith = Origin::saying("monolith");
    let tables = format!("[services.users]\nurl = \"http://{}\"\n{}", free_address(), migrated(""));
    let edge = Edge::before(&monolith).with(&tables).start();
    assert_eq!(ask(&mut edge.client(), "GET").status(), 502);
    let world = World::answering(Reply::hang(), &format!("{QUICK}{}", migrated("")));
    assert_eq!(ask(&mut world.edge.client(), "GET").status(), 504);
    let empty = "[services.users]\ndiscover.file = { path = \"/dev/null\" }\n";
    let edge = Edge::before(&monolith).with(&format!("{empty}{}", migrated(""))).start();
    let response = ask(&mut edge.client(), "GET");
    assert_eq!(response.status(), 503);
    assert!(response.get("retry-after").is_some(), "{response:?}");
    let edge = Edge::before(&monolith).with(&format!("{empty}{}", migrated("fallback = true"))).start();
    for method in ["GET", "POST"] {
        assert_eq!(ask(&mut edge.client(), method).text(), "monolith", "{method}");
    }
}

#[test]
fn a_pooled_connection_that_the_service_closed_is_no_failure() {
    // Each connection serves one request and is closed when the next one comes.
    let service = Origin::start(|request| {
        if request.get("x-first").is_some() { Reply::ok("service") } else { Reply::ok("service").close() }
    });
    let world = World::between(Origin::saying("monolith"), service, "", &canary("100%", "breaker = { failures = 1 }"));
    for _ in 0..10 {
        assert_eq!(world.get("/users", &["X-User-Id: u"]).text(), "service");
    }
    assert!(world.edge.metric("multilith_fallbacks_total", &[]) < 0.5);
    assert!(world.edge.metric("multilith_breaker_open", &[("route", "users")]) < 0.5);
}
