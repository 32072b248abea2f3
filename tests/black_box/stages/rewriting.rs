//! Two applications under one origin: addresses, cookies and headers of a service on their way out, requests on their way in.

use crate::harness::{Origin, Reply, Response};
use crate::stages::world::{World, cookies};

const PEOPLE: &str = r#"
[routes.read-user]
path = "/api/users/{id}"
service = "users"
stage = "migrated"
rewrite = { path = "/v2/people/{id}", host = "users.internal", set = { x-tenant = "shop" }, add = { x-via = "edge" }, remove = ["x-debug"] }
answer = { location = true, cookie_domain = { "users.internal" = "shop.example" }, cookie_path = { "/v2/people" = "/api/users" }, set = { x-served-by = "users" }, remove = ["x-internal"] }

[routes.create-user]
path = "/api/users"
methods = ["POST"]
service = "users"
stage = "migrated"
rewrite = { path = "/v2/people" }
answer = { location = true }

[routes.plain]
path = "/plain"
service = "users"
stage = "migrated"

[routes.monolith]
path = "/old"
service = "users"
stage = "monolith"
rewrite = { path = "/v2/old" }
answer = { location = true, set = { x-served-by = "users" } }
"#;

/// Both sides answer with these fields.
fn world(fields: &'static [&'static str]) -> World {
    let reply = move || Reply::status("302 Found", fields, "");
    World::between(Origin::start(move |_| reply()), Origin::start(move |_| reply()), "", PEOPLE)
}

fn ask(world: &World, method: &str, target: &str) -> Response {
    world.edge.client().request(
        method,
        target,
        &["Host: shop.example", "X-Debug: 1", "X-Via: client", "Content-Length: 0"],
    )
}

#[test]
fn a_service_is_asked_under_its_own_path_host_and_headers() {
    let world = world(&[]);
    ask(&world, "GET", "/api/users/a%2Fb?x=%7E&y");
    let request = world.service.request();
    assert_eq!(request.target(), b"/v2/people/a%2Fb?x=%7E&y");
    assert_eq!(
        (request.get("host"), request.get("x-tenant"), request.get("x-debug")),
        (Some("users.internal"), Some("shop"), None)
    );
    assert_eq!(request.head.all("x-via"), ["client", "edge"]);
    assert_eq!(request.get("x-forwarded-host"), Some("shop.example"));
}

#[test]
fn addresses_of_a_service_come_back_as_the_clients() {
    for (field, name, expected) in [
        ("Location: /v2/people/7", "location", "/api/users/7"),
        ("Location: http://users.internal/v2/people/7?tab=1#top", "location", "/api/users/7?tab=1#top"),
        ("Location: http://users.internal/login", "location", "/login"),
        ("Location: http://shop.example/v2/people/7", "location", "http://shop.example/api/users/7"),
        ("Location: 8", "location", "/api/users/8"),
        ("Location: https://elsewhere.example/v2/people/7", "location", "https://elsewhere.example/v2/people/7"),
        ("Content-Location: /v2/people/7", "content-location", "/api/users/7"),
        ("Refresh: 5; url=http://users.internal/v2/people/7", "refresh", "5; url=/api/users/7"),
    ] {
        let fields: &'static [&'static str] = Vec::leak(vec![field]);
        let world = world(fields);
        let response = ask(&world, "GET", "/api/users/3");
        assert_eq!(response.get(name), Some(expected), "{field}");
        assert!(response.head.has_spelling(field.split(':').next().expect("a name")), "{field}: {response:?}");
    }
}

#[test]
fn what_one_route_creates_is_found_through_another() {
    let world = world(&["Location: /v2/people/7"]);
    assert_eq!(ask(&world, "POST", "/api/users").get("location"), Some("/api/users/7"));
    assert_eq!(world.service.request().target(), b"/v2/people");
}

#[test]
fn without_the_switch_and_on_the_monoliths_side_nothing_is_touched() {
    let world = world(&["Location: /v2/people/7", "X-Internal: 1", "Set-Cookie: a=1; Domain=users.internal"]);
    for path in ["/plain", "/old", "/unrouted"] {
        let response = ask(&world, "GET", path);
        assert_eq!(response.get("location"), Some("/v2/people/7"), "{path}");
        assert_eq!((response.get("x-internal"), response.get("x-served-by")), (Some("1"), None), "{path}");
        assert_eq!(cookies(&response), ["a=1; Domain=users.internal"], "{path}");
    }
    for request in world.monolith.requests() {
        assert_eq!((request.get("host"), request.get("x-debug")), (Some("shop.example"), Some("1")));
        assert!(!request.target().starts_with(b"/v2"));
    }
}

#[test]
fn cookies_and_headers_of_a_service_fit_the_clients_origin() {
    let world = world(&[
        "Set-Cookie: session=1; Domain=.users.internal; Path=/v2/people; HttpOnly",
        "Set-Cookie: other=2; Path=/",
        "X-Internal: 1",
    ]);
    let response = ask(&world, "GET", "/api/users/3");
    assert_eq!(cookies(&response), ["session=1; Domain=shop.example; Path=/api/users; HttpOnly", "other=2; Path=/"]);
    assert_eq!((response.get("x-served-by"), response.get("x-internal")), (Some("users"), None));
}
