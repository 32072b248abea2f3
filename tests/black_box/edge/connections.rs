//! Connections on both sides: kept, reused, and replaced when they went stale.

use crate::harness::{Edge, Origin, Reply};

#[test]
fn connections_are_kept_on_both_sides() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "ok");
    }
    // One for each of the two threads at most.
    assert!(monolith.connections() <= 2, "{} connections to the monolith", monolith.connections());
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    assert_eq!(client.request("GET", "/", &["Connection: close"]).text(), "ok");
    assert!(client.until_closed().expect("an orderly end").is_empty());
}

#[test]
fn a_kept_connection_that_went_stale_costs_no_safe_request() {
    let monolith = Origin::start(|_| Reply::ok("ok").close());
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for index in 0..20 {
        assert_eq!(client.get("/").status(), 200, "request {index}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let monolith = Origin::start(|request| Reply::ok(request.target()));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client
        .send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for expected in ["/1", "/2", "/3"] {
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn requests_that_two_readers_could_frame_differently_are_refused() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    for (name, head) in [
        ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        ("a length that is no number", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\nx"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("a folded field", "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n"),
        ("space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n"),
    ] {
        let mut client = edge.client();
        client.send(head);
        assert_eq!(client.response().status(), 400, "{name}");
    }
    assert_eq!(monolith.requests().len(), 0);
}

#[test]
fn after_so_many_requests_the_last_answer_ends_the_connection() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).with("[limits]\nrequests_per_connection = 3\n").start();
    let mut client = edge.client();
    for keeps in [true, true, false] {
        let response = client.get("/");
        assert_eq!((response.text().as_str(), response.head.keeps_alive()), ("ok", keeps));
    }
    assert!(client.until_closed().expect("an orderly end").is_empty());
    // Pipelined, those behind the last are not answered by anybody.
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5));
    for _ in 0..3 {
        assert_eq!(client.response().text(), "ok");
    }
    assert!(client.until_closed().unwrap_or_default().is_empty());
    assert_eq!(monolith.requests().len(), 6);
}
