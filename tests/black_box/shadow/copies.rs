//! What a copy is: the same request, marked, cleaned, and exact to the last byte of its body.

use crate::harness::{Edge, Gate, Origin, Reply, eventually};
use crate::shadow::plan::{PATIENT, shadowing, staged};

fn both() -> (Origin, Origin) {
    (Origin::saying("monolith"), Origin::saying("service"))
}

#[test]
fn a_copy_is_the_clients_request_with_a_marker() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    let fields = [
        "Host: Shop.Example:8080",
        "X-Kept: One",
        "X-Kept: two",
        "Cookie: sid=1",
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: 300",
        "TE: trailers",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate: vendor=1",
        "X-Multilith-Shadow: forged",
    ];
    let response = edge.client().request("GET", "/a/%7Eb?c=d", &fields);
    assert_eq!(response.text(), "monolith");
    let copy = service.await_requests(1).remove(0);
    let primary = monolith.request();
    assert_eq!(copy.method(), "GET");
    assert_eq!(primary.target(), b"/a/%7Eb?c=d");
    assert_eq!(copy.target(), b"/a/~b?c=d", "a service gets the normalised path");
    assert_eq!(copy.head.all("host"), ["Shop.Example:8080"]);
    assert_eq!(copy.head.all("x-kept"), ["One", "two"]);
    assert_eq!(copy.head.all("x-multilith-shadow"), ["all"]);
    assert_eq!(primary.head.all("x-multilith-shadow"), [""; 0], "a client cannot mark its request as a copy");
    for name in ["cookie", "x-request-id", "x-forwarded-for", "x-forwarded-host", "tracestate"] {
        assert_eq!(copy.get(name), primary.get(name), "{name}");
        assert!(copy.get(name).is_some(), "{name}");
    }
    for name in ["x-hop", "keep-alive", "te", "content-length", "transfer-encoding", "upgrade", "expect"] {
        assert_eq!(copy.get(name), None, "{name} reached the service");
    }
    let trace = copy.get("traceparent").expect("a copy is in the trace");
    assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-00"), "{trace}");
    assert_ne!(copy.get("traceparent"), primary.get("traceparent"));
    assert!(primary.get("traceparent").is_some_and(|trace| trace.ends_with("-01")));
    edge.await_sent("answered", 1);
}

#[test]
fn the_copy_alone_gets_the_headers_of_its_table() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "remove = [\"Authorization\"]\nset = { x-mode = \"dry\" }\n");
    edge.client().request("GET", "/", &["Authorization: Basic dTpw", "X-Mode: live"]);
    let copy = service.await_requests(1).remove(0);
    assert_eq!((copy.get("authorization"), copy.head.all("x-mode")), (None, vec!["dry"]));
    let primary = monolith.request();
    assert_eq!((primary.get("authorization"), primary.get("x-mode")), (Some("Basic dTpw"), Some("live")));
}

#[test]
fn a_service_gets_its_rewriting_and_the_monolith_what_the_client_sent() {
    let tables = "[routes.all]\npath = \"/api/users/{id}\"\nservice = \"new\"\nstage = \"shadow\"\n\
                  rewrite = { path = \"/v2/people/{id}\", host = \"users.internal\" }\n\
                  shadow = { compare = false }\n";
    let (monolith, service) = both();
    let edge = Edge::before(&monolith).service("new", &service).with(tables).start();
    edge.get("/api/users/7?x=1");
    let copy = service.await_requests(1).remove(0);
    assert_eq!((copy.target(), copy.get("host")), (&b"/v2/people/7?x=1"[..], Some("users.internal")));
    assert_eq!(monolith.request().target(), b"/api/users/7?x=1");
}

#[test]
fn bodies_are_replayed_exactly_with_the_framing_they_came_in() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    let long: Vec<u8> = (0..60_000_u32).map(|n| u8::try_from(n % 251).expect("below 251")).collect();
    let mut client = edge.client();
    for (number, body) in [&b"x"[..], b"a=1&b=2", &long].into_iter().enumerate() {
        client.send(format!("POST /length HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n", body.len())).send(body);
        assert_eq!(client.response().status(), 200);
        edge.await_sent("answered", 2 * number + 1);
        let copy = service.requests().pop().expect("a copy");
        assert_eq!((&*copy.body, copy.head.content_length()), (body, Some(body.len())));

        client.send("POST /chunked HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in body.chunks(7_001) {
            client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        edge.await_sent("answered", 2 * number + 2);
        let copy = service.requests().pop().expect("a copy");
        assert_eq!((&*copy.body, copy.head.is_chunked()), (body, true));
        assert_eq!(monolith.requests().pop().expect("a primary").body, body);
    }
}

#[test]
fn an_empty_body_with_a_length_stays_one() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    edge.client().request("POST", "/", &["Content-Length: 0"]);
    let copy = service.await_requests(1).remove(0);
    assert_eq!((copy.get("content-length"), copy.get("transfer-encoding")), (Some("0"), None));
}

#[test]
fn who_expects_a_continue_gets_it_from_the_monolith_and_the_copy_asks_for_none() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    client.head();
    client.send("body");
    assert_eq!(client.response().text(), "monolith");
    edge.await_sent("answered", 1);
    let copy = service.requests().remove(0);
    assert_eq!((copy.get("expect"), &*copy.body), (None, &b"body"[..]));
}

#[test]
fn a_body_over_the_limit_is_not_copied_and_reaches_the_monolith_whole() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "body_limit = \"1KiB\"\n");
    let body = vec![b'x'; 1025];
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 1025\r\n\r\n").send(&body);
    assert_eq!(client.response().text(), "monolith");
    client.send("POST / HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("400\r\n").send(&body[..1024]).send("\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "monolith");
    assert!(monolith.requests().iter().all(|primary| primary.body == body));
    edge.await_skipped("body_too_large", 2);
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 1024\r\n\r\n").send(&body[..1024]);
    client.response();
    edge.await_sent("answered", 1);
    assert_eq!(service.request().body.len(), 1024);
}

#[test]
fn what_is_not_copied_is_counted_by_its_reason() {
    let (monolith, service) = both();
    let edge = staged(&monolith, service.address(), "stage = \"shadow\"", "");
    let mut client = edge.client();
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "OPTIONS"] {
        client.request(method, "/", &["Content-Length: 0"]);
    }
    edge.await_skipped("method", 6);
    client.request("HEAD", "/", &[]);
    edge.await_sent("answered", 1);
    assert_eq!(service.request().method(), "HEAD");

    let none = staged(&monolith, service.address(), "stage = \"shadow\"", "sample = \"0%\"\n");
    none.get("/");
    none.await_skipped("sampled_out", 1);
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn an_upgrade_is_never_copied() {
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let service = Origin::saying("service");
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    client.request(
        "GET",
        "/socket",
        &[
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ],
    );
    client.send("through the tunnel");
    assert_eq!(client.exactly(18), b"through the tunnel");
    edge.await_skipped("upgrade", 1);
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn copies_keep_their_connections_alive() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    for number in 1..=20 {
        client.get("/");
        edge.await_sent("answered", number);
    }
    assert_eq!(service.connections(), 1);
}

#[test]
fn beside_a_canary_only_what_the_monolith_answered_is_copied() {
    let (monolith, service) = both();
    let edge = staged(&monolith, service.address(), "stage = \"canary\"\nweight = \"50%\"", PATIENT);
    for number in 0..40 {
        edge.client().request("GET", "/", &[&format!("Cookie: multilith_id={number}")]);
    }
    let by_monolith = monolith.requests().len();
    assert!((1..40).contains(&by_monolith), "{by_monolith}");
    edge.await_sent("answered", by_monolith);
    let marked = service.requests().iter().filter(|request| request.get("x-multilith-shadow").is_some()).count();
    assert_eq!((marked, service.requests().len()), (by_monolith, 40));
}

#[test]
fn after_a_migration_safe_requests_are_copied_back_and_writes_never() {
    let (monolith, service) = both();
    let edge = staged(&monolith, service.address(), "stage = \"migrated\"", "reverse = true\n");
    let mut client = edge.client();
    assert_eq!(client.get("/a%7Eb").text(), "service");
    assert_eq!(client.request("POST", "/", &["Content-Length: 0"]).text(), "service");
    edge.await_sent("answered", 1);
    edge.await_skipped("method", 1);
    let copy = monolith.request();
    assert_eq!((copy.target(), copy.get("x-multilith-shadow")), (&b"/a%7Eb"[..], Some("all")));
}

#[test]
fn the_big_red_button_stops_copies() {
    let (monolith, service) = both();
    let tables = "[services.new]\nurl = \"http://SERVICE\"\n[routes.all]\npath = \"/{*rest}\"\nservice = \"new\"\nstage = \"shadow\"\n";
    let tables = tables.replace("SERVICE", &service.address().to_string());
    let edge = Edge::before(&monolith).server("monolith_only = true").with(&tables).start();
    assert_eq!(edge.get("/").text(), "monolith");
    assert!(service.requests().is_empty() && edge.sent("answered") < 1.0);
}

#[test]
fn the_sample_is_not_every_nth_request() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "sample = \"50%\"\nin_flight = 1000\n");
    let mut client = edge.client();
    for number in 0..200 {
        client.get(if number % 2 == 0 { "/even" } else { "/odd" });
    }
    eventually("every request copied or sampled out", || {
        (edge.sent("answered") + edge.skipped("sampled_out") > 199.0).then_some(())
    });
    let copies = service.requests();
    let even = copies.iter().filter(|copy| copy.path_is("/even")).count();
    // Off by so much once in 10^12 runs.
    assert!((50..150).contains(&copies.len()) && (15..85).contains(&even), "{even} of {}", copies.len());
}

#[test]
fn a_copy_that_hangs_does_not_hold_up_the_next() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::saying("monolith");
    let service =
        Origin::start(
            move |request| {
                if request.path_is("/slow") { Reply::hang().when(&held) } else { Reply::ok("service") }
            },
        );
    let edge = shadowing(&monolith, service.address(), PATIENT);
    edge.get("/slow");
    service.await_requests(1);
    edge.get("/quick");
    edge.await_sent("answered", 1);
    gate.open();
}

#[test]
fn copies_are_counted_apart_from_what_clients_were_answered() {
    let (monolith, service) = both();
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    for number in 1..=5 {
        client.get("/");
        edge.await_sent("answered", number);
    }
    let of = |side| edge.metric("multilith_requests_total", &[("route", "all"), ("side", side)]);
    assert_eq!(format!("{} {}", of("monolith"), of("service").abs()), "5 0");
    let firsts = edge.metric("multilith_upstream_duration_seconds_count", &[("route", "all"), ("upstream", "new")]);
    let copies = edge.metric("multilith_shadow_duration_seconds_count", &[("route", "all")]);
    assert_eq!(format!("{} {copies}", firsts.abs()), "0 5");
}
