//! Limits, each with its own status, each counted; and clients that live off a server's patience.

use std::time::{Duration, Instant};

use crate::harness::{Client, Edge, Origin, PATIENCE, Reply, eventually, within};

/// Longer than any limit here, much shorter than the defaults.
const SOON: Duration = Duration::from_secs(8);

fn counted(edge: &Edge, reason: &str, at_least: f64) {
    let refused = || edge.metric("multilith_refused_total", &[("reason", reason)]);
    eventually(&format!("{reason} counted"), || (refused() >= at_least).then_some(()));
}

fn limited(monolith: &Origin, limits: &str) -> Edge {
    Edge::before(monolith).with(&format!("[limits]\n{limits}\n")).start()
}

/// Sends a byte now and then until the proxy has had enough, and gives what it said.
fn drip(mut client: Client, bytes: &[u8]) -> (Duration, Option<u16>) {
    let start = Instant::now();
    for byte in bytes.iter().cycle() {
        if client.try_send([*byte]).is_err() || !client.stays_quiet(Duration::from_millis(20)) {
            break;
        }
        assert!(start.elapsed() < SOON, "still there after {:?}", start.elapsed());
    }
    (start.elapsed(), client.try_response(false).ok().map(|response| response.status()))
}

#[test]
fn heads_and_bodies_have_a_size() {
    let monolith = Origin::saying("ok");
    let route = "[routes.small]\npath = \"/small\"\nstage = \"monolith\"\nbody_limit = \"8B\"\n";
    let limits = "[limits]\nrequest_head = \"1KiB\"\nheaders = 10\nbody = \"64B\"\n";
    let edge = Edge::before(&monolith).with(&format!("{limits}{route}")).start();
    let chunk = |length: usize| format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
    for (name, status, reason, request) in [
        ("a long line", 431, "request_head", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000))),
        ("a long field", 431, "request_head", format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n", "x".repeat(2000))),
        ("many fields", 431, "headers", format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(20))),
        (
            "a long body",
            413,
            "body",
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n{}", "x".repeat(65)),
        ),
        (
            "chunks",
            413,
            "body",
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk(65)),
        ),
        (
            "a route's own",
            413,
            "body",
            "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789".to_owned(),
        ),
    ] {
        let mut client = edge.client();
        client.send(request);
        assert_eq!(client.response().status(), status, "{name}");
        counted(&edge, reason, 1.0);
    }
    for request in [
        "Content-Length: 64\r\n\r\n".to_owned() + &"x".repeat(64),
        format!("Transfer-Encoding: chunked\r\n\r\n{}", chunk(64)),
    ] {
        let mut client = edge.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{request}"));
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn what_the_parser_refuses_is_answered_in_our_form_and_counted() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let requests = [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", 505),
        ("\u{1}\u{2}\u{3}\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405),
    ];
    for (request, status) in requests {
        let mut client = edge.client();
        client.send(request);
        let response = client.response();
        assert_eq!(response.status(), status, "{request:?}");
        assert_eq!(response.get("content-type"), Some("application/problem+json"), "{request:?}");
        assert_eq!(response.get("server"), None, "{request:?}");
        assert!(response.get("x-request-id").is_some(), "{request:?}");
        assert!(client.until_closed().expect("an orderly end").is_empty(), "{request:?}");
    }
    counted(&edge, "framing", 3.0);
    counted(&edge, "transfer_encoding", 1.0);
    counted(&edge, "method", 1.0);
    assert_eq!(monolith.requests().len(), 0);
}

#[test]
fn a_head_that_drips_is_cut_and_told_so() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "header_timeout = \"500ms\"");
    let mut begun = edge.client();
    begun.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let (took, said) = drip(begun, b"X-A: b\r\n");
    assert_eq!(said, Some(408));
    assert!(took >= Duration::from_millis(400), "it was cut after {took:?}");
    // The same between two requests of one connection.
    let mut second = edge.client();
    assert_eq!(second.get("/").status(), 200);
    second.send("G");
    let (_, said) = drip(second, b"E");
    assert_eq!(said, Some(408));
    counted(&edge, "header_timeout", 2.0);
}

#[test]
fn who_says_nothing_or_only_half_a_preface_is_sent_away() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "header_timeout = \"300ms\"");
    for bytes in ["", "P", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut client = edge.client();
        client.send(bytes);
        let start = Instant::now();
        client.until_closed().expect("an orderly end");
        assert!(start.elapsed() < SOON, "{bytes:?} was kept for {:?}", start.elapsed());
    }
    counted(&edge, "header_timeout", 3.0);
}

#[test]
fn an_idle_connection_is_closed() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "idle_timeout = \"300ms\"");
    let mut client = edge.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "ok");
    }
    let start = Instant::now();
    assert!(client.until_closed().expect("an orderly end").is_empty());
    assert!(start.elapsed() < SOON);
}

#[test]
fn a_body_that_stalls_is_cut() {
    let monolith = Origin::saying("ok");
    let edge = limited(&monolith, "body_timeout = \"300ms\"");
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome");
    assert_eq!(client.response().status(), 408);
    counted(&edge, "body_timeout", 1.0);
}

/// Ten seconds pass before a rate is looked at: both of them here, so that they pass once.
#[test]
fn a_body_that_drips_and_an_answer_that_is_read_in_drops_are_cut() {
    let answer = vec![b'x'; 64 * 1024 * 1024];
    let monolith = Origin::start(move |_| Reply::ok(&answer));
    let limits = "min_rate = \"8MiB/s\"\nwrite_timeout = \"4s\"\nheader_timeout = \"1s\"";
    let edge = limited(&monolith, limits);
    let start = Instant::now();
    let mut body = edge.client();
    body.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut answer = edge.client();
    answer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.head().content_length(), Some(64 * 1024 * 1024));
    let (mut said, mut read) = (None, 0);
    let refused = || edge.metric("multilith_refused_total", &[("reason", "min_rate")]);
    // Never a pause that another limit would see. A rate is that of ten seconds, looked at when something was waited for.
    let both_cut = within(3 * PATIENCE, || {
        if said.is_none() && (body.try_send("1\r\nx\r\n").is_err() || !body.stays_quiet(Duration::from_millis(5))) {
            said = body.try_response(false).ok().map(|response| response.status());
        }
        read += answer.try_exactly(16 * 1024).map_or(0, |bytes| bytes.len());
        (said.is_some() && refused() >= 2.0).then_some(())
    });
    assert!(both_cut.is_some(), "answered {said:?}, and {} were cut", refused());
    assert_eq!(said, Some(408));
    assert!(start.elapsed() >= Duration::from_secs(9), "cut after {:?}", start.elapsed());
    assert!(read < 64 * 1024 * 1024 && answer.until_closed().is_err(), "the answer passed for a whole one");
}

#[test]
fn connections_are_limited_in_all_and_for_each_client() {
    let monolith = Origin::saying("ok");
    for (limit, reason) in
        [("connections = 2", "connections"), ("connections_per_client = 2", "connections_per_client")]
    {
        let edge = limited(&monolith, limit);
        let (mut one, mut two) = (edge.client(), edge.client());
        assert_eq!((one.get("/").status(), two.get("/").status()), (200, 200));
        let mut three = edge.client();
        let refused = three.until_closed().expect("an orderly end");
        let refused = String::from_utf8_lossy(&refused).into_owned();
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("application/problem+json"), "{refused}");
        counted(&edge, reason, 1.0);
        drop(one);
        eventually("room again", || {
            let mut client = edge.client();
            client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
            client.try_response(false).ok().filter(|response| response.status() == 200).map(drop)
        });
        assert_eq!(two.get("/").status(), 200);
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_and_one_that_reads_slowly_is_not() {
    let length = 24 * 1024 * 1024;
    let body = vec![b'x'; length];
    let monolith = Origin::start(move |_| Reply::ok(&body));
    let edge =
        Edge::before(&monolith).with("[limits]\nwrite_timeout = \"600ms\"\n[timeouts]\nidle = \"300ms\"\n").start();
    let mut deaf = edge.client();
    deaf.send("GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n");
    counted(&edge, "write_timeout", 1.0);
    assert!(deaf.until_closed().is_err(), "the answer ended as if it were whole");

    let mut slow = edge.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(slow.head().content_length(), Some(length));
    let mut read = 0;
    while read < length {
        read += slow.exactly(length / 64).len();
        // Nothing comes that was not read: this is a pause.
        std::thread::yield_now();
    }
    assert_eq!(read, length);
}

#[test]
fn an_exchange_has_an_end() {
    let monolith = Origin::start(|_| Reply::hang());
    let edge = Edge::before(&monolith).with("[timeouts]\ntotal = \"400ms\"\n").start();
    let start = Instant::now();
    assert_eq!(edge.get("/").status(), 504);
    assert!(start.elapsed() < SOON);
}

#[test]
fn a_silent_tunnel_is_closed() {
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let edge = limited(&monolith, "upgraded_idle = \"400ms\"");
    let mut client = edge.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    client.head();
    client.send("hello");
    assert_eq!(client.exactly(5), b"hello");
    let start = Instant::now();
    drop(client.until_closed());
    assert!(start.elapsed() < SOON, "it was kept for {:?}", start.elapsed());
}
