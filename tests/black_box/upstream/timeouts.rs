//! `[timeouts]` towards upstreams, each by itself: 504 before the head, the answer broken off inside the body.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::harness::{Client, Edge, Origin, PATIENCE, Reply, http2_service};

/// Far more often than any timeout here.
const DRIP: Duration = Duration::from_millis(50);

/// A service that writes this head and then, for as long as it is listened to, this piece of a body again and again.
fn dripping(head: &'static str, piece: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut next = stream.write_all(head.as_bytes());
                while next.is_ok() {
                    std::thread::sleep(DRIP);
                    next = stream.write_all(piece.as_bytes());
                }
            });
        }
    });
    address
}

/// The same over HTTP/2 with prior knowledge; without `drips` silent after the head, without `answers` from the start.
fn over_http2(answers: bool, drips: bool) -> SocketAddr {
    http2_service(move |_, mut respond| async move {
        if answers {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            while drips && body.send_data("drip".into(), false).is_ok() {
                tokio::time::sleep(DRIP).await;
            }
        }
        std::future::pending::<()>().await;
    })
}

/// Before a service that speaks this version, with these timeouts of its own.
fn edge(service: SocketAddr, version: &str, timeouts: &str) -> Edge {
    Edge::before(&Origin::saying("monolith"))
        .with(&format!(
            "[services.slow]\nurl = \"http://{service}\"\nhttp = \"{version}\"\n[services.slow.timeouts]\n{timeouts}\n\
             [routes.slow]\npath = \"/slow\"\nservice = \"slow\"\nstage = \"migrated\""
        ))
        .start()
}

/// Asks once. The answer, or that it was broken off.
fn asked(edge: &Edge) -> Result<u16, String> {
    let mut client = Client::connect(edge.address());
    client.send("GET /slow HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    client.try_response(false).map(|response| response.status()).map_err(|error| error.to_string())
}

const TOTAL: &str = "answer = \"30s\"\nidle = \"30s\"\ntotal = \"500ms\"";

#[test]
fn an_answer_that_does_not_begin_within_the_total_is_504() {
    let silent = Origin::start(|_| Reply::hang());
    for (wire, service) in [("1.1", silent.address()), ("2", over_http2(false, false))] {
        let edge = edge(service, wire, TOTAL);
        let start = Instant::now();
        assert_eq!(asked(&edge), Ok(504), "{wire}");
        assert!(start.elapsed() >= Duration::from_millis(500), "{wire}");
        assert!(start.elapsed() < PATIENCE, "{wire}");
        edge.await_log_line(&["504", "timeout"]);
    }
}

#[test]
fn an_answer_that_goes_on_beyond_the_total_is_broken_off_and_never_passes_for_whole() {
    let wires = [
        ("in chunks", "1.1", dripping("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\ndrip\r\n")),
        ("with a length", "1.1", dripping("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "drip")),
        ("until the connection ends", "1.1", dripping("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "drip")),
        ("a stream that goes on", "2", over_http2(true, true)),
        ("a silent stream", "2", over_http2(true, false)),
    ];
    for (wire, version, service) in wires {
        let edge = edge(service, version, TOTAL);
        let start = Instant::now();
        let outcome = asked(&edge);
        assert!(outcome.is_err(), "{wire}: {outcome:?}");
        assert!(start.elapsed() < PATIENCE, "{wire}");
        edge.await_log_line(&["/slow", "timeout"]);
    }
}

#[test]
fn a_pause_longer_than_idle_never_makes_a_cut_answer_whole() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf";
    let silent = Origin::start(move |_| Reply::bytes(head).then_hang());
    let edge = edge(silent.address(), "1.1", "idle = \"300ms\"");
    let outcome = asked(&edge);
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn an_event_stream_has_no_total() {
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let edge = edge(dripping(stream, "4\r\ndrip\r\n"), "1.1", "total = \"300ms\"");
    let mut client = edge.client();
    client.send("GET /slow HTTP/1.1\r\nHost: edge.test\r\n\r\n");
    let start = Instant::now();
    client.head();
    while start.elapsed() < Duration::from_millis(900) {
        assert_eq!(client.chunk(), b"drip");
    }
}

#[test]
fn a_handshake_that_never_ends_is_no_connection() {
    // Accepted by the kernel, never read from.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let edge = Edge::before(&Origin::saying("monolith"))
        .with(&format!(
            "[services.users]\nurl = \"{url}\"\n[routes.users]\npath = \"/slow\"\nservice = \"users\"\nstage = \"migrated\"\n\
             [timeouts]\nconnect = \"300ms\""
        ))
        .start();
    let start = Instant::now();
    assert_eq!(asked(&edge), Ok(502));
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < PATIENCE);
    edge.await_log_line(&["/slow", "connect"]);
}
