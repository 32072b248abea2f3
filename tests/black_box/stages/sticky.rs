//! A client has one side, on every route of its cohort, until the weight moves it.

use multilith::migration::bucket;

use crate::harness::{Edge, Origin};
use crate::stages::world::{World, canary, cookies, pair};

/// What the bucket says, worked out without the proxy.
fn expected(cohort: &str, unit: &str, weight: u16) -> &'static str {
    if bucket(cohort, unit.as_bytes()).0 < weight { "service" } else { "monolith" }
}

#[test]
fn the_side_of_each_client_is_its_buckets() {
    let world = World::start(&canary("50%", ""));
    let mut client = world.edge.client();
    for number in 0..100 {
        let unit = format!("user-{number}");
        let response = client.request("GET", "/users", &[&format!("X-User-Id: {unit}")]);
        assert_eq!(response.text(), expected("users", &unit, 5_000), "{unit}");
        assert!(cookies(&response).is_empty(), "a client with a unit needs no cookie");
    }
}

#[test]
fn two_replicas_and_a_restart_agree() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let plan = || Edge::before(&monolith).service("users", &service).with(&canary("30%", "")).start();
    let sides = |edge: &Edge| -> Vec<String> {
        (0..40).map(|n| edge.client().request("GET", "/users", &[&format!("X-User-Id: {n}")]).text()).collect()
    };
    let first = plan();
    let one = sides(&first);
    assert_eq!(one, sides(&plan()), "another replica");
    drop(first);
    assert_eq!(one, sides(&plan()), "after a restart");
}

#[test]
fn a_cohort_is_one_side_for_all_of_its_routes() {
    let cart = canary("50%", "cohort = \"checkout\"");
    let payment = cart.replace("routes.users", "routes.pay").replace("/users", "/pay");
    let alone = canary("50%", "").replace("routes.users", "routes.alone").replace("/users", "/alone");
    let world = World::start(&format!("{cart}{payment}{alone}"));
    let mut apart = 0;
    for number in 0..60 {
        let unit = format!("u{number}");
        let side = world.side_of("/users", &unit);
        assert_eq!(side, world.side_of("/pay", &unit), "{unit}");
        assert_eq!(side, expected("checkout", &unit, 5_000), "{unit}");
        apart += usize::from(side != world.side_of("/alone", &unit));
    }
    assert!(apart > 0, "a route without the cohort has a salt of its own");
}

#[test]
fn a_raised_weight_only_adds_and_a_lowered_one_counts_at_once_whatever_cookie_is_sent() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith).service("users", &service).start();
    let mut moved = [false; 60];
    for weight in ["0%", "10%", "40%", "90%", "100%"] {
        edge.reload(&canary(weight, ""));
        for (number, was) in moved.iter_mut().enumerate() {
            let side = edge.client().request("GET", "/users", &[&format!("X-User-Id: {number}")]).text();
            assert!(side == "service" || !*was, "{number} went back to the monolith at {weight}");
            *was = side == "service";
        }
    }
    assert!(moved.iter().all(|moved| *moved));
    // A client with the cookie of the time at 100 %, on a connection that stays open.
    let mut client = edge.client();
    edge.reload(&canary("100%", "").replace("sticky = [\"header:x-user-id\"]", ""));
    let first = client.get("/users");
    assert_eq!(first.text(), "service");
    let cookie = format!("Cookie: {}", pair(cookies(&first)[0]));
    for weight in ["0.01%", "0%"] {
        edge.reload(&canary(weight, "").replace("sticky = [\"header:x-user-id\"]", ""));
        let unit = pair(cookies(&first)[0]).trim_start_matches("multilith_id=");
        let expected = if weight == "0%" { "monolith" } else { expected("users", unit, 1) };
        assert_eq!(client.request("GET", "/users", &[&cookie]).text(), expected, "{weight}");
    }
}

#[test]
fn every_kind_of_unit_is_read_from_the_request() {
    let world = World::start(&canary("50%", "").replace(
        "\"header:x-user-id\"",
        "\"header:x-user-id\", \"cookie:uid\", \"jwt:sub\", \"query:account\", \"ip\"",
    ));
    // {"sub":"user-7"}
    let token = "Authorization: Bearer h.eyJzdWIiOiJ1c2VyLTcifQ.s";
    let table: [(&str, &[&str], &str); 6] = [
        ("/users?account=a+1", &["X-User-Id: u1", "Cookie: uid=c1"], "u1"),
        ("/users?account=a+1", &["Cookie: a=b; uid=c1", token], "c1"),
        ("/users?account=a+1", &[token], "user-7"),
        ("/users?account=a+1", &[], "a 1"),
        ("/users", &[], "127.0.0.1"),
        ("/users", &["Cookie: multilith_id=m1"], "127.0.0.1"),
    ];
    for (target, fields, unit) in table {
        let response = world.get(target, fields);
        assert_eq!(response.text(), expected("users", unit, 5_000), "{target} {fields:?}");
        assert!(cookies(&response).is_empty(), "{target} {fields:?}");
    }
}

#[test]
fn a_client_without_a_unit_gets_one_cookie_once() {
    let world = World::start(&canary("50%", ""));
    for _ in 0..10 {
        let first = world.get("/users", &[]);
        let lines = cookies(&first);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let (pair, attributes) = lines[0].split_once(';').expect("a cookie has attributes");
        let unit = pair.strip_prefix("multilith_id=").expect("the issued cookie");
        assert!(unit.len() == 32 && unit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{unit}");
        let attributes: Vec<_> = attributes.split(';').map(str::trim).collect();
        for wanted in ["Path=/", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&wanted), "{wanted} in {attributes:?}");
        }
        assert!(!attributes.contains(&"Secure"), "over plain HTTP the browser would not send it back");
        assert_eq!(first.text(), expected("users", unit, 5_000), "the cookie names the side that answered");
        for _ in 0..3 {
            let next = world.get("/users", &[&format!("Cookie: {pair}")]);
            assert_eq!((next.text(), cookies(&next).len()), (first.text(), 0));
        }
    }
}

#[test]
fn without_issued_cookies_each_request_is_assigned_anew() {
    let world = World::start(&canary("50%", "issue_cookie = false"));
    let sides: Vec<_> = (0..64).map(|_| world.get("/users", &[])).collect();
    assert!(sides.iter().all(|response| cookies(response).is_empty()));
    assert!(sides.iter().any(|response| response.text() == "service"));
    assert!(sides.iter().any(|response| response.text() == "monolith"));
}

#[test]
fn a_client_without_cookies_keeps_its_side_where_the_list_ends_in_its_address() {
    let route = canary("50%", "").replace("[\"header:x-user-id\"]", "[\"header:x-user-id\", \"ip\"]");
    let server = "trusted = [\"127.0.0.0/8\"]";
    let world = World::between(Origin::saying("monolith"), Origin::saying("service"), server, &route);
    let mut sides = std::collections::BTreeSet::new();
    for number in 0..30 {
        let address = format!("203.0.113.{number}");
        let side = expected("users", &address, 5_000);
        for _ in 0..2 {
            let response = world.get("/users", &[&format!("X-Forwarded-For: {address}")]);
            assert_eq!(response.text(), side, "{address}");
            assert!(cookies(&response).is_empty(), "who is known by the address needs no cookie");
        }
        // Of what else is known the more particular comes first.
        assert_eq!(world.side_of("/users", &address), side, "{address}");
        sides.insert(side);
    }
    assert_eq!(sides.len(), 2);
}
