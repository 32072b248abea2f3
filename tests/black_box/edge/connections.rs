//! Connections on both sides: kept, reused, and replaced when they went stale.

use crate::harness::{Edge, Gate, Origin, Reply};

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
fn a_client_that_half_closes_gets_an_answer_to_each_of_its_requests() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let post = |body: &str| format!("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunks =
        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let long = "x".repeat(20_000);
    let cases: [(&str, String, &[&str]); 9] = [
        ("one request", get("/1"), &["/1 "]),
        ("an empty line behind it", get("/1") + "\r\n", &["/1 "]),
        ("a line feed behind it", get("/1") + "\n", &["/1 "]),
        ("a body", post("hello"), &["/post hello"]),
        ("chunks", chunks.to_owned(), &["/chunks hello"]),
        ("three requests", get("/1") + &get("/2") + &get("/3"), &["/1 ", "/2 ", "/3 "]),
        ("a body behind another", get("/1") + &post("hello"), &["/1 ", "/post hello"]),
        ("chunks behind another", get("/1") + chunks, &["/1 ", "/chunks hello"]),
        ("more than is read ahead", get("/1") + &post(&long) + &get("/3"), &["/1 ", &format!("/post {long}"), "/3 "]),
    ];
    for (what, requests, answers) in cases {
        let gate = Gate::new();
        let held = gate.clone();
        let monolith = Origin::start(move |request| {
            if request.path_is("/meanwhile") {
                return Reply::ok("");
            }
            let body = [request.target(), b" ", &request.body].concat();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            Reply::default().when(&held).then(head).then(body)
        });
        let edge = Edge::before(&monolith).start();
        let mut client = edge.client();
        client.send(requests).finish_writing();
        monolith.await_requests(1);
        // Each thread of the proxy has served one of these: the end of the requests was seen before.
        let mut others: Vec<_> = (0..3).map(|_| edge.client()).collect();
        assert!(others.iter_mut().all(|other| other.get("/meanwhile").status() == 200));
        gate.open();
        for (number, expected) in answers.iter().enumerate() {
            let response = client.response();
            assert_eq!(response.text(), *expected, "{what}");
            assert_eq!(response.head.keeps_alive(), number + 1 < answers.len(), "{what}: {expected}");
        }
        assert!(client.until_closed().expect("an orderly end").is_empty(), "{what}");
    }
}

#[test]
fn a_half_close_behind_a_part_of_a_request_leaves_those_before_it_whole() {
    let monolith = Origin::start(|request| Reply::ok(request.target()));
    let edge = Edge::before(&monolith).start();
    for part in ["GET /2 HT", "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"] {
        let mut client = edge.client();
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + part).finish_writing();
        assert_eq!(client.response().text(), "/1", "{part}");
        assert!(client.until_closed().expect("an orderly end").is_empty(), "{part}");
    }
    let whole = monolith.requests().into_iter().filter(|request| request.path_is("/2") && request.body.len() == 5);
    assert_eq!(whole.count(), 0);
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
