//! What the proxy adds: who asked, under which name, and the identity of the request.

use crate::harness::{Edge, Origin};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_stranger_cannot_say_who_it_is() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    edge.client().request(
        "GET",
        "/",
        &[
            "Host: shop.example:8080",
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: evil.example",
            "Forwarded: for=192.0.2.1;proto=https",
            "X_Forwarded_For: 192.0.2.1",
            "X-Multilith-Side: service",
        ],
    );
    let seen = monolith.request();
    assert_eq!(seen.head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.head.all("x-forwarded-host"), ["shop.example:8080"]);
    assert_eq!(seen.head.all("x-forwarded-port"), ["8080"]);
    assert_eq!(seen.get("forwarded"), None);
    assert_eq!(seen.get("x_forwarded_for"), None);
    assert_eq!(seen.get("x-multilith-side"), None);
}

#[test]
fn a_trusted_peer_is_believed_and_appended_to() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server("trusted = [\"127.0.0.0/8\"]").start();
    let response = edge.client().request(
        "GET",
        "/",
        &[
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: shop.example",
            "Forwarded: for=192.0.2.1;proto=https",
            "X-Request-Id: 0192-abcdef",
        ],
    );
    let seen = monolith.request();
    let addresses: Vec<_> = seen.get("x-forwarded-for").expect("is sent").split(',').map(str::trim).collect();
    assert_eq!(addresses, ["192.0.2.1", "127.0.0.1"]);
    assert_eq!(seen.head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.head.all("x-forwarded-host"), ["shop.example"]);
    let forwarded = seen.head.all("forwarded").join(",");
    assert_eq!(forwarded, "for=192.0.2.1;proto=https, for=127.0.0.1;host=\"shop.example\"");
    assert_eq!(seen.head.all("x-request-id"), ["0192-abcdef"]);
    assert_eq!(response.head.all("x-request-id"), ["0192-abcdef"]);
}

/// An application believes the one or the other: a balancer that ends TLS must be heard in both.
#[test]
fn the_two_families_of_forwarding_fields_never_contradict_each_other() {
    let monolith = Origin::saying("ok");
    let (x_proto, x_for) = ("X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.1");
    let standard = "Forwarded: for=192.0.2.1;proto=https;host=shop.example";
    for (switch, fields, forwarded) in [
        ("false", &[x_proto, x_for][..], None),
        ("false", &[], None),
        ("false", &[standard], Some("for=192.0.2.1;proto=https;host=shop.example, for=127.0.0.1")),
        ("true", &[x_proto, x_for], Some("for=192.0.2.1;host=\"app:8080\";proto=https, for=127.0.0.1")),
        ("true", &[], Some("for=127.0.0.1;host=\"app:8080\";proto=http")),
    ] {
        let server = format!("trusted = [\"127.0.0.0/8\"]\nforwarded = {switch}");
        let edge = Edge::before(&monolith).server(&server).start();
        edge.client().request("GET", "/", &[&["Host: app:8080"], fields].concat());
        let seen = monolith.requests().pop().expect("a request arrived");
        assert_eq!(seen.get("forwarded"), forwarded, "{fields:?}");
        let (scheme, host, port) = match fields {
            [] => ("http", "app:8080", "8080"),
            [only] if *only == standard => ("https", "shop.example", "443"),
            _ => ("https", "app:8080", "8080"),
        };
        let told = |name| seen.head.all(&format!("x-forwarded-{name}")).join(", ");
        assert_eq!([told("proto"), told("host"), told("port")], [scheme, host, port], "{fields:?}");
        assert_eq!(told("for"), if fields.is_empty() { "127.0.0.1" } else { "192.0.2.1, 127.0.0.1" });
        edge.await_log_line(&[&format!("\"url.scheme\":\"{scheme}\"")]);
    }
}

#[test]
fn every_request_has_one_id_at_both_ends() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let mut ids = Vec::new();
    for fields in [&[][..], &["X-Request-Id: chosen-by-a-stranger"], &["X-Request-Id: a", "X-Request-Id: b"]] {
        let response = edge.client().request("GET", "/", fields);
        let seen = monolith.requests().pop().expect("a request arrived");
        let id = response.get("x-request-id").expect("the client gets the id").to_owned();
        assert_eq!(seen.head.all("x-request-id"), [id.as_str()]);
        assert!(id != "chosen-by-a-stranger" && !id.is_empty(), "{id}");
        ids.push(id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[test]
fn an_insane_id_is_replaced_even_for_a_trusted_peer() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).server("trusted = [\"127.0.0.0/8\"]").start();
    for id in ["two words", "\"><script>", &"x".repeat(4000)] {
        let response = edge.client().request("GET", "/", &[&format!("X-Request-Id: {id}")]);
        let made = response.get("x-request-id").expect("the client gets the id");
        assert_ne!(made, id);
    }
}

#[test]
fn a_trace_is_continued_or_started() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    for fields in [&[][..], &["traceparent: garbage"], &[&format!("traceparent: {TRACEPARENT}"), "tracestate: a=1"]] {
        edge.client().request("GET", "/", fields);
    }
    let seen = monolith.requests();
    for request in &seen {
        let parts: Vec<_> = request.get("traceparent").expect("a trace context is sent").split('-').collect();
        let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [2, 32, 16, 2], "{parts:?}");
        assert!(parts.iter().all(|part| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))), "{parts:?}");
        assert!(parts[1] != "0".repeat(32) && parts[2] != "0".repeat(16), "{parts:?}");
    }
    assert!(seen[2].get("traceparent").expect("is sent").contains(&TRACEPARENT[3..35]));
    assert_eq!(seen[2].get("tracestate"), Some("a=1"));
}

#[test]
fn a_service_learns_route_and_side_and_the_client_does_not() {
    let (monolith, users) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = Edge::before(&monolith)
        .service("users", &users)
        .with("[routes.read-user]\npath = \"/api/users/{id}\"\nservice = \"users\"\nstage = \"migrated\"")
        .start();
    let spoofed = ["X-Multilith-Route: other", "X-Multilith-Side: monolith"];
    let response = edge.client().request("GET", "/api/users/7", &spoofed);
    assert_eq!(response.text(), "service");
    let seen = users.request();
    assert_eq!(seen.head.all("x-multilith-route"), ["read-user"]);
    assert_eq!(seen.head.all("x-multilith-side"), ["service"]);
    assert_eq!(response.get("x-multilith-route"), None);
    edge.client().request("GET", "/elsewhere", &spoofed);
    assert_eq!(monolith.request().get("x-multilith-route"), None);
}
