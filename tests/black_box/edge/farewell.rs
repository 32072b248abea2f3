//! What a WebSocket hears when the process goes: a close of its own, once the time to drain is over.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::edge::websockets;
use crate::harness::{Client, Edge, Gate, PATIENCE};

const UPGRADE: &[&str] = &["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
/// A server's: code 1001, going away.
const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";
/// A client's answer to that, under a mask of zeros.
const ANSWER: &[u8] = b"\x88\x82\0\0\0\0\x03\xe9";

/// Accepts one WebSocket, says `first` and, once the gate is open, `then`; tells what it heard until the end.
fn origin(first: &'static [u8], gate: Gate, then: &'static [u8]) -> (SocketAddr, Receiver<Vec<u8>>) {
    websockets::origin(first, move |mut stream| {
        if !then.is_empty() {
            gate.wait();
            stream.write_all(then).expect("the proxy takes it");
        }
        let (mut said, mut byte) = (Vec::new(), [0]);
        // Ends as a server's does that was told: it has heard the close, or the connection is gone.
        while !said.ends_with(ANSWER) && stream.read(&mut byte).is_ok_and(|read| read > 0) {
            said.push(byte[0]);
        }
        said
    })
}

fn open(edge: &Edge, fields: &[&str]) -> Client {
    let mut client = edge.client();
    assert_eq!(client.request("GET", "/ws", &[UPGRADE, fields].concat()).status(), 101);
    client
}

#[test]
fn a_websocket_goes_on_while_there_is_time_and_is_then_told_that_the_server_goes() {
    let gate = Gate::new();
    let (monolith, heard) = origin(b"\x81\x05hello", gate.clone(), b"\x81\x05still");
    let mut edge = Edge::before_address(monolith).server("drain = \"1s\"").start();
    let mut client = open(&edge, &[KEY]);
    assert_eq!(client.exactly(7), b"\x81\x05hello");
    let start = Instant::now();
    edge.signal("TERM");
    gate.open();
    assert_eq!(client.exactly(7), b"\x81\x05still");
    assert_eq!(client.exactly(4), GOING_AWAY);
    assert!(start.elapsed() >= Duration::from_millis(900), "the time to drain was not over");
    client.send(ANSWER);
    assert_eq!(heard.recv_timeout(PATIENCE).expect("the upstream hears the end"), ANSWER);
    assert!(client.until_closed().expect("an orderly end").is_empty());
    assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
}

#[test]
fn where_a_frame_is_half_sent_and_where_it_is_no_websocket_nothing_is_said() {
    for (first, fields) in [(&b"\x82\x0ahalf"[..], &[KEY][..]), (b"\x81\x05hello", &[])] {
        let (monolith, _heard) = origin(first, Gate::new(), b"");
        let mut edge = Edge::before_address(monolith).server("drain = \"100ms\"").start();
        let mut client = open(&edge, fields);
        assert_eq!(client.exactly(first.len()), first);
        edge.signal("TERM");
        let rest = client.until_closed().unwrap_or_default();
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
        assert_eq!(edge.wait(PATIENCE).expect("it ends").code(), Some(0));
    }
}
