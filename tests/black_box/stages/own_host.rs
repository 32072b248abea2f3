//! An upstream that is asked under a host of its own, as one at a provider or behind virtual hosts: it hears that host, and the
//! client never does.

use crate::harness::{Edge, Origin, Reply, eventually};
use crate::stages::world::{cookies, migrated};

const LEGACY: &str = "host = \"legacy.paas.example\"";

/// What says where the upstream believes to be.
fn speaking(fields: &'static [&'static str]) -> Origin {
    Origin::start(move |_| Reply::status("302 Found", fields, ""))
}

#[test]
fn the_monolith_is_asked_under_its_own_host_and_told_the_clients() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).monolith(LEGACY).start();
    for fields in [&["Host: shop.example:8080"][..], &["hOST: Shop.example"]] {
        edge.client().request("GET", "/", fields);
    }
    let mut old = edge.client();
    old.send("GET /old HTTP/1.0\r\n\r\n").response();
    for (seen, public) in monolith.requests().iter().zip([Some("shop.example:8080"), Some("Shop.example"), None]) {
        assert_eq!(seen.head.all("host"), ["legacy.paas.example"]);
        assert_eq!(seen.get("x-forwarded-host"), public);
    }
}

#[test]
fn a_web_socket_is_asked_for_under_the_host_too() {
    let monolith = Origin::start(|_| Reply::status("403 Forbidden", &[], "no"));
    let edge = Edge::before(&monolith).monolith(LEGACY).start();
    let fields = ["Host: a", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    edge.client().request("GET", "/ws", &[&fields[..], &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]].concat());
    let seen = monolith.request();
    assert_eq!((seen.get("upgrade"), seen.get("host")), (Some("websocket"), Some("legacy.paas.example")));
}

#[test]
fn a_health_check_asks_under_the_host() {
    let monolith = Origin::start(|request| match request.get("host") {
        Some("legacy.paas.example") => Reply::ok("well"),
        _ => Reply::status("421 Misdirected Request", &[], "who?"),
    });
    let health = format!("{LEGACY}\nhealth = {{ path = \"/healthz\", interval = \"100ms\", unhealthy = 1 }}");
    let edge = Edge::before(&monolith).monolith(&health).start();
    eventually("a check", || monolith.requests().iter().any(|seen| seen.path_is("/healthz")).then_some(()));
    assert_eq!(edge.get("/").text(), "well");
}

#[test]
fn addresses_of_the_host_come_back_as_the_clients() {
    for (field, name, expected) in [
        ("Location: https://legacy.paas.example/login?next=%2F#a", "location", "/login?next=%2F#a"),
        ("Location: http://LEGACY.paas.example:8080", "location", "/"),
        ("Location: //legacy.paas.example/a", "location", "/a"),
        ("Location: https://legacy.paas.example//evil.example/", "location", "/evil.example/"),
        ("Location: https://elsewhere.example/login", "location", "https://elsewhere.example/login"),
        ("Location: https://xlegacy.paas.example/login", "location", "https://xlegacy.paas.example/login"),
        ("Location: /login", "location", "/login"),
        ("Location: next", "location", "next"),
        ("Location: http://shop.example/login", "location", "http://shop.example/login"),
        ("Content-Location: http://legacy.paas.example/a.html", "content-location", "/a.html"),
        ("Refresh: 5; url=https://legacy.paas.example/later", "refresh", "5; url=/later"),
    ] {
        let monolith = speaking(Vec::leak(vec![field]));
        let edge = Edge::before(&monolith).monolith(LEGACY).start();
        let response = edge.client().request("GET", "/", &["Host: shop.example"]);
        assert_eq!(response.get(name), Some(expected), "{field}");
        assert!(response.head.has_spelling(field.split(':').next().expect("a name")), "{field}");
    }
}

#[test]
fn cookies_of_the_host_are_kept_by_the_clients_browser() {
    let monolith = speaking(&[
        "Set-Cookie: sid=1; Domain=.legacy.paas.example; Path=/; HttpOnly",
        "Set-Cookie: all=2; domain=paas.example",
        "Set-Cookie: own=3; Path=/",
        "Set-Cookie: other=4; Domain=elsewhere.example",
    ]);
    let edge = Edge::before(&monolith).monolith(LEGACY).start();
    for (host, domain) in [("shop.example:8080", "; Domain=shop.example"), ("127.0.0.1:8080", "")] {
        let response = edge.client().request("GET", "/", &[&format!("Host: {host}")]);
        let expected = [
            &format!("sid=1{domain}; Path=/; HttpOnly"),
            &format!("all=2{domain}"),
            "own=3; Path=/",
            "other=4; Domain=elsewhere.example",
        ];
        assert_eq!(cookies(&response), expected, "{host}");
    }
    // Where the client asks for that host itself there is nothing to turn back.
    let response = edge.client().request("GET", "/", &["Host: legacy.paas.example"]);
    assert!(cookies(&response)[0].contains("Domain=.legacy.paas.example"));
}

#[test]
fn a_service_has_its_host_and_the_monolith_that_stands_in_has_its_own() {
    let monolith = Origin::saying("monolith");
    let service = Origin::start(|_| Reply::status("503 Busy", &["Location: http://users.internal/a"], ""));
    let tables = format!(
        "[services.users]\nurl = \"{}\"\nhost = \"users.internal\"\n{}",
        service.url(),
        migrated("fallback = true")
    );
    let edge = Edge::before(&monolith).monolith(LEGACY).start();
    edge.reload(&tables);
    let ask = |method| edge.client().request(method, "/users", &["Host: shop.example", "Content-Length: 0"]);
    assert_eq!(ask("GET").text(), "monolith");
    assert_eq!(monolith.request().get("host"), Some("legacy.paas.example"));
    // A write does not fall back, and what the service says of itself is the client's.
    assert_eq!(ask("POST").get("location"), Some("/a"));
    for seen in service.requests() {
        assert_eq!((seen.get("host"), seen.get("x-forwarded-host")), (Some("users.internal"), Some("shop.example")));
    }
    let rewritten = tables.replace("fallback = true", "rewrite = { host = \"v2.users.internal\" }");
    edge.reload(&rewritten);
    ask("POST");
    let seen = service.requests().pop().expect("a request");
    assert_eq!(seen.get("host"), Some("v2.users.internal"), "a route's own host is the more particular one");
}

#[test]
fn a_copy_is_asked_for_under_the_host_of_its_own_target_and_compared_as_the_client_would_see_it() {
    let told = |field| {
        Origin::start(move |_| Reply::status("201 Created", &[field, "Content-Type: application/json"], "{\"id\":7}"))
    };
    let monolith = told("Location: https://legacy.paas.example/users/7");
    let service = told("Location: http://users.internal/users/7");
    let route = "[routes.users]\npath = \"/users\"\nservice = \"users\"\nstage = \"shadow\"\n\
                 [routes.users.shadow]\ncompare = { noise = { replay = \"0%\" } }";
    let tables = format!("[services.users]\nurl = \"{}\"\nhost = \"users.internal\"\n{route}", service.url());
    let edge = Edge::before(&monolith).monolith(LEGACY).with(&tables).start();
    let response = edge.client().request("GET", "/users", &["Host: shop.example"]);
    assert_eq!(response.get("location"), Some("/users/7"));
    let copy = service.await_requests(1).remove(0);
    assert_eq!((copy.get("host"), copy.get("x-forwarded-host")), (Some("users.internal"), Some("shop.example")));
    assert_eq!(monolith.request().get("host"), Some("legacy.paas.example"));
    let verdicts = eventually("a comparison", || {
        let (_, report) = edge.admin_json("GET", "/api/v1/routes/users/comparisons");
        (report["compared"].as_u64()? > 0).then(|| report["verdicts"].clone())
    });
    assert_eq!(verdicts["match"], 1, "the same address under two hosts is no difference: {verdicts}");
}
