//! What lives longer than an ordinary answer: the WebSocket and server-sent events.

use std::time::Duration;

use crate::harness::{Client, Edge, Gate, Origin, Reply};

const UPGRADE: &[&str] = &[
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];
/// Every timeout that must not touch a stream, made shorter than [`SILENCE`].
const SHORT: &str = "[timeouts]\nanswer = \"1s\"\nidle = \"1s\"\n[limits]\nbody_timeout = \"1s\"\nwrite_timeout = \"1s\"\nidle_timeout = \"1s\"";
const SILENCE: Duration = Duration::from_millis(2500);

#[test]
fn a_websocket_passes_bytes_both_ways() {
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let edge = Edge::before(&monolith).start();
    let mut client = open_websocket(&edge);
    for size in [1, 125, 65_536] {
        let frame = vec![0x82; size];
        client.send(&frame);
        assert!(client.exactly(size) == frame, "{size} bytes came back changed");
    }
    let seen = monolith.request();
    assert_eq!(seen.get("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
    assert_eq!(seen.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn bytes_that_follow_the_101_at_once_are_not_lost() {
    let monolith = Origin::start(|_| {
        Reply::bytes(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x01\x05hello",
        )
        .then_hang()
    });
    let edge = Edge::before(&monolith).start();
    let mut client = open_websocket(&edge);
    assert_eq!(client.exactly(7), b"\x01\x05hello");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let monolith = Origin::start(|_| Reply::status("403 Forbidden", &[], "no"));
    let edge = Edge::before(&monolith).start();
    let response = edge.client().request("GET", "/ws", UPGRADE);
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
}

#[test]
fn the_end_of_one_side_of_a_websocket_ends_the_other() {
    let monolith = Origin::start(|_| {
        Reply::bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbye").close()
    });
    let edge = Edge::before(&monolith).start();
    let mut client = open_websocket(&edge);
    assert_eq!(client.until_closed().expect("an orderly end"), b"bye");
}

#[test]
fn events_arrive_when_they_are_sent() {
    for chunked in [true, false] {
        let gates = [Gate::new(), Gate::new()];
        let reply = if chunked {
            let head = Reply::chunked(&["Content-Type: text/event-stream"]);
            head.chunk("data: 1\n\n").when(&gates[0]).chunk("data: 2\n\n").when(&gates[1]).last_chunk(&[])
        } else {
            let head = Reply::bytes("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
            head.then("data: 1\n\n").when(&gates[0]).then("data: 2\n\n").when(&gates[1]).close()
        };
        let monolith = Origin::start(move |_| reply.clone());
        let edge = Edge::before(&monolith).start();
        let mut client = edge.client();
        client.send("GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
        let head = client.head();
        assert_eq!(head.get("content-type"), Some("text/event-stream"));
        // The proxy chooses the framing: a body that ends with the connection may become chunks.
        let read = |client: &mut Client| if head.is_chunked() { client.chunked_bytes(9) } else { client.exactly(9) };
        assert_eq!(read(&mut client), b"data: 1\n\n");
        gates[0].open();
        assert_eq!(read(&mut client), b"data: 2\n\n");
        gates[1].open();
    }
}

#[test]
fn silence_does_not_end_a_websocket() {
    let monolith = Origin::start(|_| Reply::websocket_echo());
    let edge = Edge::before(&monolith).with(SHORT).start();
    let mut client = open_websocket(&edge);
    assert!(client.stays_quiet(SILENCE));
    client.send("still here");
    assert_eq!(client.exactly(10), b"still here");
}

#[test]
fn silence_does_not_end_an_event_stream() {
    let gate = Gate::new();
    let head = Reply::chunked(&["Content-Type: text/event-stream; charset=utf-8"]);
    let reply = head.chunk("data: 1\n\n").when(&gate).chunk("data: 2\n\n").last_chunk(&[]);
    let monolith = Origin::start(move |_| reply.clone());
    let edge = Edge::before(&monolith).with(SHORT).start();
    let mut client = edge.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.chunked_bytes(9), b"data: 1\n\n");
    assert!(client.stays_quiet(SILENCE));
    gate.open();
    assert_eq!(client.chunked_bytes(9), b"data: 2\n\n");
}

#[test]
fn an_open_websocket_survives_reloads() {
    let (monolith, other) = (Origin::start(|_| Reply::websocket_echo()), Origin::saying("other"));
    let edge = Edge::before(&monolith).service("other", &other).start();
    let mut client = open_websocket(&edge);
    for index in 0..3 {
        edge.reload(&format!("[routes.r{index}]\npath = \"/ws\"\nservice = \"other\"\nstage = \"migrated\""));
        client.send("ping!");
        assert_eq!(client.exactly(5), b"ping!");
    }
    assert_eq!(edge.get("/ws").text(), "other");
}

fn open_websocket(edge: &Edge) -> Client {
    let mut client = edge.client();
    let response = client.request("GET", "/ws", UPGRADE);
    assert_eq!(response.status(), 101, "{response:?}");
    client
}
