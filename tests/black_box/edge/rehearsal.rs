//! The harness without a proxy between its ends: what the other tests take for granted.

use crate::harness::{Client, Gate, Origin, Reply};

#[test]
fn a_request_arrives_byte_for_byte() {
    let origin = Origin::saying("hello");
    let raw = b"GET /a%2Fb//c/../\xc3\xa9?x=%7e HTTP/1.1\r\nHoST: Shop.example\r\nX-oDD-case:  two  words\r\n\r\n";
    let response = Client::connect(origin.address()).send(raw).response();
    assert_eq!((response.status(), response.text().as_str()), (200, "hello"));
    assert_eq!(origin.request().head.raw, raw);
}

#[test]
fn bodies_with_a_length_and_in_chunks_arrive_on_one_connection() {
    let origin = Origin::start(|request| Reply::chunked(&[]).chunk(&request.body).last_chunk(&["X-Sum: 1"]));
    let mut client = Client::connect(origin.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst");
    assert_eq!(client.response().text(), "first");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3;x=y\r\nond\r\n0\r\nX-T: 2\r\n\r\n");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.trailers[0].0.as_str()), ("second", "X-Sum"));
    assert_eq!(origin.requests()[1].trailers, [("X-T".to_owned(), "2".to_owned())]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_that_ends_early_is_an_error_and_never_a_short_body() {
    let cut_length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let cut_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for (name, reply) in [
        ("cut in the body", Reply::bytes(cut_length).close()),
        ("cut between chunks", Reply::bytes(cut_chunk).close()),
        ("cut in the head", Reply::bytes("HTTP/1.1 200 OK\r\nConte").close()),
        ("reset in the body", Reply::bytes(cut_length).reset()),
        ("reset before the head", Reply::no_answer()),
    ] {
        let origin = Origin::start(move |_| reply.clone());
        let mut client = Client::connect(origin.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.try_response(false).is_err(), "{name}");
    }
}

#[test]
fn an_origin_waits_for_its_gate_and_sends_100_continue_when_it_is_expected() {
    let gate = Gate::new();
    let reply = Reply::chunked(&[]).chunk("one").when(&gate).chunk("two").last_chunk(&[]);
    let origin = Origin::start(move |_| reply.clone());
    let mut client = Client::connect(origin.address());
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.head().word(1), b"100");
    client.send("hi");
    client.head();
    assert_eq!(client.chunk(), b"one");
    gate.open();
    assert_eq!(client.chunk(), b"two");
    assert_eq!(origin.request().body, b"hi");
}

#[test]
fn a_websocket_origin_echoes_bytes() {
    let origin = Origin::start(|_| Reply::websocket_echo());
    let mut client = Client::connect(origin.address());
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.head().word(1), b"101");
    client.send(b"\x81\x02hi");
    assert_eq!(client.exactly(4), b"\x81\x02hi");
}
