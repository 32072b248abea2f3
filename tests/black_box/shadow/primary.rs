//! The primary is byte for byte what it is without a shadow: under concurrency, retries and clients that leave.

use std::thread;

use crate::harness::{Edge, Gate, Origin, PATIENCE, Reply, eventually};
use crate::shadow::plan::{PATIENT, shadowing, staged};

/// What the body of a request says about itself, so that mixed-up bytes are seen.
fn body(client: usize, number: usize) -> Vec<u8> {
    let word = format!("[{client}:{number}]");
    word.repeat(1 + (client * 37 + number * 101) % 4000).into_bytes()
}

#[test]
fn clients_at_once_get_their_own_bytes_and_so_do_the_copies() {
    const CLIENTS: usize = 8;
    const EACH: usize = 25;
    let monolith = Origin::start(|request| Reply::ok(&request.body));
    let service = Origin::start(|request| Reply::chunked(&["X-From: service"]).chunk(&request.body).last_chunk(&[]));
    let edge = shadowing(
        &monolith,
        service.address(),
        "in_flight = 10000\ntimeout = \"1h\"\ncompare = { headers = [], noise = { replay = \"0%\" } }\n",
    );
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let edge = &edge;
            scope.spawn(move || {
                let mut connection = edge.client();
                for number in 0..EACH {
                    let sent = body(client, number);
                    connection
                        .send(format!("POST /echo HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n", sent.len()))
                        .send(&sent);
                    assert!(connection.response().body == sent, "client {client} got other bytes at {number}");
                }
            });
        }
    });
    edge.await_sent("answered", CLIENTS * EACH);
    let sorted = |origin: &Origin| {
        let mut bodies: Vec<_> = origin.requests().into_iter().map(|request| request.body).collect();
        bodies.sort();
        bodies
    };
    assert!(sorted(&monolith) == sorted(&service), "every body reached the service once, unchanged");
    let report = edge.await_compared((CLIENTS * EACH) as u64);
    assert_eq!(report["verdicts"]["mismatch"], 0, "{report:#}");
}

#[test]
fn a_retry_of_the_primary_never_reaches_the_copy_twice() {
    // One endpoint of the monolith resets each request in the middle of its body; another takes it.
    let broken = Origin::at_head(|_| Reply::no_answer());
    let fine = Origin::start(|request| Reply::ok(&request.body));
    let service = Origin::start(|request| Reply::ok(&request.body));
    let edge = Edge::before_endpoints(&[broken.address(), fine.address()])
        .with(&format!(
            "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n",
            service.url()
        ))
        .start();
    let body = b"once and only once ".repeat(1000);
    let (half, rest) = body.split_at(7777);
    for number in 1..=10 {
        let seen = broken.requests().len() + fine.requests().len();
        let mut client = edge.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: e\r\nContent-Length: {}\r\n\r\n", body.len())).send(half);
        eventually("the first attempt", || (broken.requests().len() + fine.requests().len() > seen).then_some(()));
        client.send(rest);
        let response = client.response();
        assert!(response.status() == 200 && response.body == body, "request {number}: {}", response.status());
        edge.await_sent("answered", number);
    }
    assert!(!broken.requests().is_empty(), "nothing was ever sent twice");
    let copies = service.requests();
    assert_eq!(copies.len(), 10);
    assert!(copies.iter().all(|copy| copy.body == body), "a copy has the bytes of the request once");
}

#[test]
fn a_monolith_that_cannot_be_reached_is_copied_all_the_same() {
    let service = Origin::saying("service");
    let edge = Edge::before_address(crate::harness::free_address())
        .with(&format!(
            "[services.new]\nurl = \"{}\"\n[routes.all]\npath = \"/{{*rest}}\"\nservice = \"new\"\nstage = \"shadow\"\n\
             [routes.all.shadow]\ncompare = {{ noise = {{ replay = \"0%\" }} }}\n",
            service.url()
        ))
        .start();
    assert_eq!(edge.get("/").status(), 502);
    edge.await_sent("answered", 1);
    assert_eq!(edge.comparisons()["compared"], 0, "there is no answer to compare with");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_leaves_no_copy() {
    let monolith = Origin::saying("monolith");
    let service = Origin::saying("service");
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 100\r\n\r\nhalf");
    monolith.await_requests(1);
    drop(client);
    edge.await_skipped("incomplete", 1);
    assert_eq!((service.requests().len(), service.connections()), (0, 0));
}

#[test]
fn a_client_that_leaves_before_its_answer_does_not_cancel_the_copy() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::start(move |_| Reply::default().when(&held).then("HTTP/1.1 204 No Content\r\n\r\n"));
    let answer = Gate::new();
    let waits = answer.clone();
    let service = Origin::start(move |_| Reply::default().when(&waits).then("HTTP/1.1 204 No Content\r\n\r\n"));
    let edge = shadowing(&monolith, service.address(), "compare = { noise = { replay = \"0%\" } }\n");
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: e\r\n\r\n");
    service.await_requests(1);
    client.reset();
    eventually("the client's leave counted", || {
        (edge.metric("multilith_client_aborts_total", &[("route", "all")]) > 0.0).then_some(())
    });
    answer.open();
    edge.await_sent("answered", 1);
    gate.open();
}

#[test]
fn an_answer_that_streams_is_not_held_back_by_its_comparison() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::start(move |_| {
        Reply::chunked(&["Content-Type: text/event-stream"]).chunk("data: 1\n\n").when(&held).last_chunk(&[])
    });
    let service =
        Origin::start(|_| Reply::chunked(&["Content-Type: text/event-stream"]).chunk("data: 1\n\n").then_hang());
    let edge =
        shadowing(&monolith, service.address(), &format!("{PATIENT}compare = {{ noise = {{ replay = \"0%\" }} }}\n"));
    let mut client = edge.client();
    client.send("GET /events HTTP/1.1\r\nHost: e\r\n\r\n");
    assert_eq!(client.head().get("content-type"), Some("text/event-stream"));
    assert_eq!(client.chunked_bytes(9), b"data: 1\n\n");
    edge.await_sent("answered", 1);
    gate.open();
    assert_eq!(client.chunk(), b"");
    let report = edge.await_compared(1);
    assert_eq!(report["incomparable"]["streamed"], 1, "{report:#}");
}

#[test]
fn copies_in_flight_do_not_hold_up_the_end() {
    let monolith = Origin::saying("monolith");
    let service = Origin::start(|_| Reply::hang());
    let mut edge = staged(&monolith, service.address(), "stage = \"shadow\"", PATIENT);
    edge.get("/");
    service.await_requests(1);
    edge.signal("TERM");
    let status = edge.wait(PATIENCE).expect("it ends although the copy hangs");
    assert!(status.success(), "{status}");
}

#[test]
fn a_proxy_that_stops_finishes_its_requests_and_sends_no_more_copies() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let mut edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 8\r\n\r\nhalf");
    monolith.await_requests(1);
    edge.signal("TERM");
    eventually("the listener closed", || crate::harness::Client::try_connect(edge.address()).is_err().then_some(()));
    client.send("half");
    assert_eq!(client.response().text(), "monolith");
    assert!(edge.wait(PATIENCE).expect("it ends").success());
    assert!(edge.log().contains("\"shadow\":\"stopping\""), "the log says why there was no copy");
    assert!(service.requests().is_empty());
}

#[test]
fn the_monolith_gets_a_body_as_it_streams_and_not_when_it_is_whole() {
    let monolith = Origin::at_head(|_| Reply::ok("early"));
    let service = Origin::saying("service");
    let edge = shadowing(&monolith, service.address(), "");
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: e\r\nContent-Length: 8\r\n\r\nhalf");
    // It answers before the other half was sent.
    assert_eq!(client.response().text(), "early");
    client.send("half");
    eventually("the whole body", || (monolith.requests()[0].body == b"halfhalf").then_some(()));
}
