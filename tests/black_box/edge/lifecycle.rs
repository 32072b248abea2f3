//! The end of the process: at once when idle, after the last request otherwise, never later than the deadline.

use std::time::{Duration, Instant};

use crate::harness::{Client, Edge, Gate, Origin, PATIENCE, Reply, eventually};

/// "At once" for a test: far below the default drain of 30 s, far above a scheduling pause.
const AT_ONCE: Duration = Duration::from_secs(3);

#[test]
fn sigterm_ends_an_idle_proxy_at_once() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).start();
    let mut idle = edge.client();
    assert_eq!(idle.get("/").text(), "ok");
    let start = Instant::now();
    edge.signal("TERM");
    let status = edge.wait(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
}

#[test]
fn sigterm_lets_a_request_in_flight_finish_and_takes_no_new_one() {
    let gate = Gate::new();
    let reply = Reply::chunked(&[]).chunk("first").when(&gate).chunk(" second").last_chunk(&[]);
    let monolith = Origin::start(move |_| reply.clone());
    let mut edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.chunked_bytes(5), b"first");
    edge.signal("TERM");
    eventually("the listener closed", || Client::try_connect(edge.address()).is_err().then_some(()));
    assert!(edge.wait(Duration::ZERO).is_none(), "it ended with a request in flight");
    gate.open();
    assert_eq!(client.chunked_bytes(7), b" second");
    assert!(client.chunk().is_empty());
    let start = Instant::now();
    assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
    assert!(start.elapsed() < AT_ONCE, "it took {:?} after the last request", start.elapsed());
}

#[test]
fn sigterm_waits_for_a_request_whose_answer_has_not_begun() {
    let gate = Gate::new();
    let reply = Reply::bytes("").when(&gate).then("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    let monolith = Origin::start(move |_| reply.clone());
    let mut edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    monolith.await_requests(1);
    edge.signal("TERM");
    eventually("the listener closed", || Client::try_connect(edge.address()).is_err().then_some(()));
    gate.open();
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "late"));
    assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
}

/// It connected before the end was known, and has a request on its way.
#[test]
fn sigterm_lets_a_client_ask_that_has_just_connected() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    eventually("it was accepted", || (edge.metric("multilith_connections", &[]) > 0.5).then_some(()));
    edge.signal("TERM");
    eventually("the listener closed", || Client::try_connect(edge.address()).is_err().then_some(()));
    let response = client.get("/");
    assert_eq!((response.status(), response.get("connection")), (200, Some("close")));
    assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
}

#[test]
fn the_deadline_ends_what_does_not_end_by_itself() {
    let monolith = Origin::start(|_| Reply::hang());
    let mut edge = Edge::before(&monolith).server("drain = \"1s\"").start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    monolith.await_requests(1);
    let start = Instant::now();
    edge.signal("TERM");
    edge.wait(PATIENCE).expect("it ends");
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(900), "it ended after {elapsed:?}, before its drain was over");
    assert!(elapsed < Duration::from_secs(1) + AT_ONCE, "it took {elapsed:?}");
}

#[test]
fn readiness_goes_first_where_a_balancer_needs_time() {
    let monolith = Origin::saying("ok");
    let mut edge = Edge::before(&monolith).server("lame_duck = \"2s\"").start();
    edge.signal("TERM");
    eventually("not ready", || (edge.admin("GET", "/readyz").status() == 503).then_some(()));
    assert_eq!(edge.get("/").text(), "ok");
    assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
}

#[test]
fn it_tells_its_health() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    assert_eq!(edge.admin("GET", "/healthz").status(), 200);
    assert_eq!(edge.admin("GET", "/readyz").status(), 200);
    assert!(edge.generation() >= 1);
    assert!((edge.metric("multilith_build_info", &[]) - 1.0).abs() < f64::EPSILON);
}
