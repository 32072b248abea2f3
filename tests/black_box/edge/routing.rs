//! Which upstream answers, seen from outside.

use crate::harness::{Edge, Origin};

const USERS: &str = r#"
[routes.read-user]
path    = "/api/users/{id}"
methods = ["GET"]
service = "users"
stage   = "migrated"
"#;

#[test]
fn a_migrated_route_is_answered_by_its_service_and_the_rest_by_the_monolith() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    for (method, target, expected) in [
        ("GET", "/api/users/7", "service"),
        ("GET", "/api/users/7?verbose=1", "service"),
        ("GET", "//api//users/7", "service"),
        ("GET", "/api/%75sers/7", "service"),
        ("GET", "/api/users/a%2Fb", "service"),
        ("POST", "/api/users/7", "monolith"),
        ("GET", "/api/users/", "monolith"),
        ("GET", "/api/users/7/posts", "monolith"),
        ("GET", "/API/users/7", "monolith"),
        ("GET", "/", "monolith"),
    ] {
        let response = edge.client().request(method, target, &["Content-Length: 0"]);
        assert_eq!(response.text(), expected, "{method} {target}");
    }
}

#[test]
fn head_and_the_preflight_follow_the_route_of_get() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    assert_eq!(edge.client().request("HEAD", "/api/users/7", &[]).get("content-length"), Some("7"));
    for (announced, expected) in [("GET", "service"), ("DELETE", "monolith")] {
        let announce = format!("Access-Control-Request-Method: {announced}");
        let response = edge.client().request("OPTIONS", "/api/users/7", &["Origin: http://a.example", &announce]);
        assert_eq!(response.text(), expected, "preflight for {announced}");
    }
    assert_eq!(edge.client().request("OPTIONS", "/api/users/7", &[]).text(), "monolith");
}

#[test]
fn a_service_gets_the_normalised_path_and_the_same_host() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    edge.client().request("GET", "//api/%75sers/a%2fb?q=%7e", &["Host: shop.example"]);
    let seen = users.request();
    assert_eq!(String::from_utf8_lossy(seen.target()), "/api/users/a%2Fb?q=%7e");
    assert_eq!(seen.get("host"), Some("shop.example"));
}

#[test]
fn a_path_that_hides_another_route_behind_dot_segments_is_refused() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    for target in ["/public/../api/users/7", "/api/users/x/../7", "/api/users/%2e%2e"] {
        assert_eq!(edge.get(target).status(), 400, "{target}");
    }
    assert_eq!((monolith.requests().len(), users.requests().len()), (0, 0));
}

#[test]
fn the_status_and_the_metrics_know_who_answered() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &users).with(USERS).start();
    for _ in 0..3 {
        edge.get("/api/users/7");
    }
    edge.get("/elsewhere");
    let labels =
        [("route", "read-user"), ("side", "service"), ("stage", "migrated"), ("method", "GET"), ("code", "200")];
    crate::harness::eventually("three answers counted", || {
        (edge.metric("multilith_requests_total", &labels) >= 3.0).then_some(())
    });
    let unmatched = [("route", "unmatched"), ("side", "monolith"), ("stage", "monolith")];
    crate::harness::eventually("the unmatched answer counted", || {
        (edge.metric("multilith_requests_total", &unmatched) >= 1.0).then_some(())
    });
    let (status, board) = edge.admin_json("GET", "/api/v1/status");
    assert_eq!(status, 200);
    assert_eq!(board["routes"][0]["name"], "read-user");
    assert_eq!(board["routes"][0]["requests"]["service"], 3);
}
