//! Who the client is, as another server says it: `auth.forward`, `auth.exchange`, and the headers that no client may send itself.

use std::thread;

use crate::harness::{Client, Edge, EdgePlan, Gate, Origin, Reply, Request, Response, eventually};

/// The monolith's sessions: `sessionid=alice` is Alice's.
fn session(request: &Request) -> Reply {
    match request.get("cookie") {
        Some(cookie) if cookie.contains("sessionid=alice") => {
            Reply::status("200 OK", &["X-User-Id: 7", "X-Role: a"], "{}")
        }
        Some(cookie) if cookie.contains("sessionid=new") => {
            Reply::status("204 No Content", &["X-User-Id: 8", "Set-Cookie: sessionid=newer"], "")
        }
        Some(cookie) if cookie.contains("sessionid=secret") => {
            Reply::status("200 OK", &["X-User-Id: 9", "Cache-Control: private, no-store"], "")
        }
        _ => Reply::status(
            "401 Unauthorized",
            &["WWW-Authenticate: Session", "Set-Cookie: next=/me", "X-User-Id: 0"],
            "who are you?",
        ),
    }
}

const ALICE: &str = "Cookie: a=b; sessionid=alice";

fn forwarding(whoami: &Origin, more: &str) -> String {
    format!("auth.forward = {{ url = \"{}/whoami?x=y\", headers = [\"x-user-id\"]{more} }}\n", whoami.url())
}

/// A route at `/{*rest}` with these lines.
fn mine(stage: &str, lines: &str) -> String {
    format!("[routes.mine]\npath = \"/me/{{*rest}}\"\nservice = \"users\"\nstage = \"{stage}\"\n{lines}")
}

fn before(monolith: &Origin, users: &Origin) -> EdgePlan {
    Edge::before(monolith).service("users", users)
}

fn get(edge: &Edge, target: &str, fields: &[&str]) -> Response {
    edge.client().request("GET", target, fields)
}

#[test]
fn a_service_is_told_who_the_client_is_by_the_server_that_knows_it() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, ""))).start();

    let sent = [
        ALICE,
        "Authorization: Basic eA==",
        "X-User-Id: 1",
        "x_user_id: 1",
        "X-Role: root",
        "Accept: x/y",
        "Content-Length: 3",
    ];
    let mut client = edge.client();
    client.send(format!("POST /me/a%20b?q=1 HTTP/1.1\r\nHost: shop.example\r\n{}\r\n\r\nabc", sent.join("\r\n")));
    assert_eq!(client.response().text(), "service");
    let seen = users.request();
    assert_eq!(seen.head.all("x-user-id"), ["7"]);
    assert_eq!(seen.get("x_user_id"), None);
    assert_eq!(seen.get("x-role"), Some("root"), "no header is touched that the file does not name");
    assert_eq!(seen.body, b"abc");

    let asked = whoami.request();
    assert_eq!((asked.method().as_str(), asked.target()), ("GET", &b"/whoami?x=y"[..]));
    for (name, value) in [
        ("cookie", "a=b; sessionid=alice"),
        ("authorization", "Basic eA=="),
        ("host", "shop.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-uri", "/me/a%20b?q=1"),
    ] {
        assert_eq!(asked.head.all(name), [value], "{name}");
    }
    for name in ["x-user-id", "x_user_id", "x-role", "accept", "content-length", "transfer-encoding"] {
        assert_eq!(asked.get(name), None, "{name}");
    }
    assert!(monolith.requests().is_empty());
}

#[test]
fn whoever_is_not_let_pass_gets_the_answer_of_the_server_that_was_asked() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, ""))).start();
    let mut client = edge.client();
    for method in ["GET", "POST"] {
        let response = client.request(method, "/me/x", &["Cookie: sessionid=mallory", "X-User-Id: 7"]);
        assert_eq!((response.status(), response.text().as_str()), (401, "who are you?"));
        assert_eq!(response.get("www-authenticate"), Some("Session"));
        assert_eq!(response.get("set-cookie"), Some("next=/me"));
    }
    client.send("HEAD /me/x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().status(), 401);
    assert_eq!(client.request("GET", "/me/x", &[ALICE]).text(), "service", "the connection goes on");
    assert_eq!(users.requests().len(), 1);
    let refused = || edge.metric("multilith_refused_total", &[("reason", "auth")]);
    eventually("the refusals counted", || (refused() >= 3.0).then_some(()));
    let failed = [("route", "mine"), ("side", "service"), ("code", "401")];
    assert!(edge.metric("multilith_requests_total", &failed) < 0.5, "the service has refused nobody");
}

/// Asks with these, one after another, and gives how often the server was asked.
fn asked_for(more: &str, requests: &[(&str, &str, &str)]) -> usize {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, more))).start();
    for (method, target, field) in requests {
        let fields: Vec<_> = field.split("\r\n").collect();
        edge.client().request(method, target, &fields);
    }
    whoami.requests().len()
}

#[test]
fn an_answer_is_kept_for_what_it_is_about() {
    let both = "Authorization: Bearer a\r\nCookie: a=b; sessionid=alice";
    for (what, more, requests, expected) in [
        ("one request", "", &[("GET", "/me/a", ALICE), ("GET", "/me/a", ALICE)][..], 1),
        ("another path", "", &[("GET", "/me/a", ALICE), ("GET", "/me/b", ALICE)], 2),
        ("another query", "", &[("GET", "/me/a?x", ALICE), ("GET", "/me/a?y", ALICE)], 2),
        ("another method", "", &[("GET", "/me/a", ALICE), ("DELETE", "/me/a", ALICE)], 2),
        ("more credentials", "", &[("GET", "/me/a", ALICE), ("GET", "/me/a", both)], 2),
        (
            "another host",
            "",
            &[("GET", "/me/a", ALICE), ("GET", "/me/a", "Cookie: a=b; sessionid=alice\r\nHost: other")],
            2,
        ),
        ("by credentials", ", cache_by = \"credentials\"", &[("GET", "/me/a", ALICE), ("POST", "/me/b", ALICE)], 1),
        ("not at all", ", cache = 0", &[("GET", "/me/a", ALICE), ("GET", "/me/a", ALICE)], 2),
        ("refusals", "", &[("GET", "/me/a", "Cookie: x=y"), ("GET", "/me/a", "Cookie: x=y")], 2),
        ("nobody", ", cache_by = \"credentials\"", &[("GET", "/me/a", "A: b"), ("GET", "/me/a", "A: b")], 2),
        (
            "a new cookie",
            "",
            &[("GET", "/me/a", "Cookie: sessionid=new"), ("GET", "/me/a", "Cookie: sessionid=new")],
            2,
        ),
        (
            "no-store",
            "",
            &[("GET", "/me/a", "Cookie: sessionid=secret"), ("GET", "/me/a", "Cookie: sessionid=secret")],
            2,
        ),
    ] {
        assert_eq!(asked_for(more, requests), expected, "{what}");
    }
}

#[test]
fn a_reload_keeps_what_is_known() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, ""))).start();
    assert_eq!(get(&edge, "/me/a", &[ALICE]).text(), "service");
    edge.reload("[routes.more]\npath = \"/more\"\nstage = \"monolith\"");
    assert_eq!(get(&edge, "/me/a", &[ALICE]).text(), "service");
    assert_eq!(whoami.requests().len(), 1);
}

#[test]
fn clients_at_once_with_the_same_credentials_cost_one_question() {
    const CLIENTS: usize = 8;
    let gate = Gate::new();
    let whoami = {
        let gate = gate.clone();
        Origin::start(move |request| {
            gate.wait();
            session(request)
        })
    };
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, ""))).start();
    let address = edge.address();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| thread::spawn(move || Client::connect(address).request("GET", "/me/a", &[ALICE]).text()))
        .collect();
    let waiting = || edge.admin("GET", "/metrics").text();
    eventually("all of them waiting", || {
        let page = waiting();
        let line = page.lines().find(|line| line.starts_with("multilith_requests_in_flight{side=\"service\"}"))?;
        line.ends_with(&format!(" {CLIENTS}")).then_some(())
    });
    gate.open();
    for client in clients {
        assert_eq!(client.join().expect("no panic"), "service");
    }
    assert_eq!(whoami.requests().len(), 1);
    assert!(users.requests().iter().all(|request| request.get("x-user-id") == Some("7")));
}

#[test]
fn nobody_passes_while_the_server_that_must_be_asked_is_down() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    for broken in [
        Reply::no_answer(),
        Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").close(),
        Reply::bytes("nonsense\r\n\r\n").close(),
    ] {
        let whoami = Origin::start(move |_| broken.clone());
        let edge = before(&monolith, &users).with(&mine("migrated", &forwarding(&whoami, ""))).start();
        let response = get(&edge, "/me/a", &[ALICE, "X-User-Id: 7"]);
        assert_eq!(response.status(), 503);
        assert!(response.get("retry-after").is_some());
        assert!(users.requests().is_empty() && monolith.requests().is_empty());
        edge.await_log_line(&["the server that says who clients are does not answer"]);
    }
}

#[test]
fn in_a_canary_the_monolith_answers_where_nobody_can_say_who_the_client_is() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let lines = format!("weight = \"100%\"\nbreaker.failures = 1000\n{}", forwarding(&whoami, ", cache = 0"));
    let edge = before(&monolith, &users).with(&mine("canary", &lines)).start();
    assert_eq!(get(&edge, "/me/a", &[ALICE]).text(), "service");
    drop(whoami);
    for method in ["GET", "POST"] {
        let response = edge.client().request(method, "/me/a", &[ALICE, "X-User-Id: 7", "Content-Length: 0"]);
        assert_eq!((response.status(), response.text().as_str()), (200, "monolith"), "{method}");
    }
    assert_eq!(users.requests().len(), 1);
    let seen = monolith.requests();
    assert!(seen.iter().all(|request| request.get("x-user-id") == Some("7")), "the monolith gets what the client sent");
    let fallbacks = || edge.metric("multilith_fallbacks_total", &[("route", "mine"), ("reason", "no_identity")]);
    eventually("the fallbacks counted", || (fallbacks() >= 2.0).then_some(()));
    let errors = edge.metric("multilith_upstream_errors_total", &[("side", "service"), ("kind", "connect")]);
    assert!((errors - 2.0).abs() < 0.5, "{errors}");
}

#[test]
fn nobody_is_asked_where_the_monolith_answers() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let lines = format!("weight = \"0%\"\n{}", forwarding(&whoami, ""));
    let edge = before(&monolith, &users).with(&mine("canary", &lines)).start();
    assert_eq!(get(&edge, "/me/a", &["X-User-Id: 1"]).text(), "monolith");
    assert_eq!(monolith.request().get("x-user-id"), Some("1"));
    assert!(whoami.requests().is_empty());
}

#[test]
fn what_a_service_is_told_on_one_route_no_client_tells_it_on_another() {
    let (monolith, users, whoami) = (Origin::saying("monolith"), Origin::saying("service"), Origin::start(session));
    let others = Origin::saying("others");
    let plain = |name: &str, service: &str, stage: &str| {
        format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"{service}\"\nstage = \"{stage}\"\n")
    };
    let exchanged = format!(
        "{}auth.exchange = {{ exchange = \"{}\", from = \"cookie:none\", set = {{ x-account = \"{{id}}\", authorization = \"{{token}}\" }} }}\n",
        plain("exchanged", "users", "migrated"),
        whoami.url()
    );
    let tables = [
        mine("migrated", &forwarding(&whoami, "")),
        exchanged,
        plain("sibling", "users", "migrated"),
        plain("other", "others", "migrated"),
        "[routes.split]\npath = \"/split\"\nstage = \"split\"\nvariants = { a = { upstream = \"users\", weight = \"100%\" }, b = { upstream = \"others\", weight = \"0%\" } }\n".to_owned(),
    ];
    let edge = before(&monolith, &users).service("others", &others).with(&tables.concat()).start();
    let forged = ["X-User-Id: 7", "x_user_id: 7", "X-Account: 1", "Authorization: Bearer a", "X-Other: 1"];
    for target in ["/sibling", "/split"] {
        assert_eq!(get(&edge, target, &forged).text(), "service", "{target}");
        let seen = users.requests().pop().expect("a request");
        for name in ["x-user-id", "x_user_id", "x-account"] {
            assert_eq!(seen.get(name), None, "{target}: {name}");
        }
        assert_eq!(seen.get("x-other"), Some("1"));
        assert_eq!(
            seen.get("authorization"),
            Some("Bearer a"),
            "{target}: a credential that any service must check by itself"
        );
    }
    assert_eq!(get(&edge, "/exchanged", &forged).text(), "service");
    let seen = users.requests().pop().expect("a request");
    assert_eq!((seen.get("x-user-id"), seen.get("x-account"), seen.get("authorization")), (None, None, None));
    assert_eq!(get(&edge, "/other", &forged).text(), "others");
    assert_eq!(others.request().get("x-user-id"), Some("7"), "another service is told nothing, and believes nothing");
    assert_eq!(get(&edge, "/elsewhere", &forged).text(), "monolith");
    assert_eq!(monolith.request().get("x-user-id"), Some("7"));
    assert!(whoami.requests().is_empty());
}

/// A server that knows the session of Alice.
fn exchange() -> Origin {
    Origin::start(|request| match &request.body[..] {
        b"subject_token=alice" => Reply::ok(r#"{"token":"t-alice","user":7,"expires_in":3600}"#),
        b"subject_token=evil" => Reply::ok(r#"{"token":"a\r\nX-Role: root","user":1}"#),
        b"subject_token=broken" => Reply::status("502 Bad Gateway", &[], "no"),
        _ => Reply::status("400 Bad Request", &[], r#"{"error":"invalid_request"}"#),
    })
}

fn exchanging(server: &Origin) -> String {
    format!(
        "auth.exchange = {{ exchange = \"{}/exchange\", from = [\"header:authorization\", \"cookie:sessionid\"], \
         set = {{ authorization = \"Bearer {{token}}\", x-user-id = \"{{user}}\" }} }}\n",
        server.url()
    )
}

#[test]
fn what_the_client_shows_is_exchanged_for_what_the_service_believes() {
    let (monolith, users, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let edge = before(&monolith, &users).with(&mine("migrated", &exchanging(&server))).start();
    for shown in
        ["Authorization: Bearer alice", "Cookie: sessionid=alice", "Authorization: Basic x\r\nCookie: sessionid=alice"]
    {
        assert_eq!(get(&edge, "/me/a", &[shown, "X-User-Id: 1"]).text(), "service", "{shown}");
        let seen = users.requests().pop().expect("a request");
        assert_eq!(seen.head.all("authorization"), ["Bearer t-alice"], "{shown}");
        assert_eq!(seen.head.all("x-user-id"), ["7"], "{shown}");
    }
    let asked = server.request();
    assert_eq!((asked.method().as_str(), asked.target()), ("POST", &b"/exchange"[..]));
    assert_eq!(asked.get("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.get("cookie"), None);
    // Without anything to exchange, a client is nobody.
    assert_eq!(get(&edge, "/me/a", &["Authorization: Basic x", "X-User-Id: 1"]).text(), "service");
    let seen = users.requests().pop().expect("a request");
    assert_eq!((seen.get("authorization"), seen.get("x-user-id")), (None, None));
}

#[test]
fn a_failed_exchange_is_as_good_as_no_connection_and_never_open() {
    let (monolith, users, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let bad = ["Bearer mallory", "Bearer evil", "Bearer broken", "Bearer a\r\nAuthorization: Bearer alice"];
    let edge = before(&monolith, &users).with(&mine("migrated", &exchanging(&server))).start();
    for shown in bad {
        let response = get(&edge, "/me/a", &[&format!("Authorization: {shown}")]);
        assert_eq!(response.status(), 503, "{shown}");
        assert!(response.get("retry-after").is_some());
    }
    let lines = format!("weight = \"100%\"\nbreaker.failures = 1\n{}", exchanging(&server));
    let edge = before(&monolith, &users).with(&mine("canary", &lines)).start();
    for shown in ["Bearer mallory", "Bearer mallory"] {
        let response = edge.client().request("DELETE", "/me/a", &[&format!("Authorization: {shown}")]);
        assert_eq!(response.text(), "monolith", "{shown}");
    }
    assert!(users.requests().is_empty());
    assert_eq!(get(&edge, "/me/a", &["Authorization: Bearer alice"]).text(), "service", "a bad token opens no breaker");
    assert_eq!(get(&edge, "/me/a", &["Authorization: Bearer broken"]).text(), "monolith");
    assert_eq!(get(&edge, "/me/a", &["Authorization: Bearer alice"]).text(), "monolith", "a server that is down does");
    assert_eq!(monolith.requests().pop().expect("a request").get("authorization"), Some("Bearer alice"));
}

#[test]
fn explain_says_who_is_asked_and_what_the_service_is_told() {
    let (monolith, users, server) = (Origin::saying("monolith"), Origin::saying("service"), exchange());
    let lines = forwarding(&server, "") + &exchanging(&server).replace(", x-user-id = \"{user}\"", "");
    let edge = before(&monolith, &users).with(&mine("migrated", &lines)).start();
    let body = r#"{"method":"GET","url":"/me/a","headers":[["X-User-Id","1"],["Cookie","sessionid=alice"]]}"#;
    let host = format!("Host: {}", edge.admin_address());
    let length = format!("Content-Length: {}", body.len());
    let mut client = Client::connect(edge.admin_address());
    client.send(format!("POST /api/v1/explain HTTP/1.1\r\n{host}\r\nX-Multilith: 1\r\nContent-Type: application/json\r\n{length}\r\n\r\n{body}"));
    let said: serde_json::Value = serde_json::from_slice(&client.response().body).expect("JSON");
    assert_eq!(said["asked"][0]["by"], "auth.forward");
    assert_eq!(said["asked"][0]["headers"], serde_json::json!(["x-user-id"]));
    assert_eq!(said["asked"][1]["by"], "auth.exchange");
    let headers = said["request"]["headers"].as_array().expect("headers");
    let value = |name: &str| {
        headers
            .iter()
            .find(|line| line[0].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name)))
            .map(|line| line[1].clone())
    };
    assert_eq!(value("x-user-id"), Some("(from auth.forward)".into()));
    assert_eq!(value("authorization"), Some("(from auth.exchange)".into()));
    assert!(server.requests().is_empty());
}
