//! Bodies that are held on their way: a short upload without a length gets one, and a slow client does not hold the monolith.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::edge::disk::Disk;
use crate::harness::{Client, Edge, Gate, Origin, Reply, Request, eventually, pattern};

const MIB: usize = 1024 * 1024;

/// The head of an upload in chunks.
fn chunked(more: &str) -> String {
    format!("POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{more}\r\n")
}

fn send_chunks(client: &mut Client, body: &[u8], each: usize) {
    for piece in body.chunks(each) {
        client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
    }
}

/// A monolith of one worker: from the head of a request until its answer is written, no other request is read.
fn single_worker(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Origin {
    Origin::one_at_a_time(script)
}

/// What is left in the folder of the proxy's state, its database apart.
fn left(edge: &Edge) -> Vec<PathBuf> {
    let state = edge.path().with_file_name("state");
    let Ok(entries) = fs::read_dir(state) else { return Vec::new() };
    let is_store =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("multilith."));
    entries.flatten().map(|entry| entry.path()).filter(|path| !is_store(path)).collect()
}

#[test]
fn a_short_upload_in_chunks_arrives_with_its_length() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    // The last one is in chunks of one byte.
    for (length, each) in [(2000, 2000), (2000, 700), (0, 1), (65_536, 16_384), (3000, 1)] {
        let body = pattern(length);
        let mut upload = chunked("").into_bytes();
        for piece in body.chunks(each) {
            upload.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            upload.extend_from_slice(piece);
            upload.extend_from_slice(b"\r\n");
        }
        upload.extend_from_slice(b"0\r\n\r\n");
        client.send(&upload);
        assert_eq!(client.response().text(), length.to_string());
        let request = monolith.requests().pop().expect("it came");
        assert_eq!(
            (request.head.content_length(), request.head.is_chunked()),
            (Some(length), false),
            "{length} by {each}"
        );
        assert!(request.body == body);
    }
    assert_eq!(monolith.connections(), 1, "nothing was left behind on the connection");
}

#[test]
fn what_is_longer_or_later_or_has_more_to_say_streams() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    let body = pattern(200_000);
    client.send(chunked(""));
    send_chunks(&mut client, &body, 50_000);
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "200000");
    // One that is not there within the moment; the monolith hears of it before its end.
    client.send(chunked(""));
    send_chunks(&mut client, &body[..100], 100);
    monolith.await_requests(2);
    send_chunks(&mut client, &body[100..300], 100);
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "300");
    client.send(chunked("Trailer: X-Sum\r\n"));
    send_chunks(&mut client, &body[..100], 100);
    client.send("0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.response().text(), "100");
    for more in ["Content-Type: application/grpc\r\n", "Accept: text/event-stream\r\n"] {
        client.send(chunked(more));
        send_chunks(&mut client, &body[..100], 100);
        client.send("0\r\n\r\n");
        assert_eq!(client.response().text(), "100", "{more}");
    }
    let requests = monolith.requests();
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.head.is_chunked()));
    assert!(requests[0].body == body && requests[1].body == body[..300]);
    assert_eq!(requests[2].trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    assert!(left(&edge).is_empty(), "{:?}", left(&edge));
}

#[test]
fn trailers_keep_a_short_upload_in_chunks_only_where_they_were_announced_and_no_size_asks_for_a_length() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let body = pattern(2000);
    for (request, announced, in_chunks) in [
        ("auto", false, false),
        ("auto", true, true),
        ("1MiB", false, false),
        ("1MiB", true, false),
        ("none", false, true),
        ("none", true, true),
    ] {
        let edge = Edge::before(&monolith).monolith(&format!("buffer = {{ request = \"{request}\" }}")).start();
        let mut client = edge.client();
        let trailer = if announced { "Trailer: X-Sum\r\n" } else { "" };
        for _ in 0..2 {
            client.send(chunked(trailer));
            send_chunks(&mut client, &body, 700);
            client.send("0\r\nX-Sum: 1\r\n\r\n");
            assert_eq!(client.response().text(), "2000", "{request}, announced: {announced}");
            let got = monolith.requests().pop().expect("it came");
            assert!(got.body == body, "{request}, announced: {announced}");
            assert_eq!(got.head.is_chunked(), in_chunks, "{request}, announced: {announced}");
            assert_eq!(got.head.content_length(), (!in_chunks).then_some(2000), "{request}, announced: {announced}");
            assert_eq!(got.trailers.len(), usize::from(in_chunks), "{request}, announced: {announced}");
            let said = (announced && in_chunks).then_some("X-Sum");
            assert_eq!(got.get("trailer"), said, "{request}, announced: {announced}");
        }
    }
}

#[test]
fn buffering_can_be_switched_off_and_a_route_s_own_wins() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let route = "[routes.up]\npath = \"/up\"\nstage = \"monolith\"\nbuffer = { request = \"none\" }\n";
    let edge = Edge::before(&monolith).with(route).start();
    let mut client = edge.client();
    client.send(chunked("")).send("2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "2");
    client.send(chunked("").replace("/up", "/other")).send("2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "2");
    let seen: Vec<_> = monolith.requests().iter().map(|request| request.head.is_chunked()).collect();
    assert_eq!(seen, [true, false]);
}

#[test]
fn a_slow_upload_does_not_hold_the_only_worker() {
    let monolith = single_worker(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).monolith("buffer = { request = \"4MiB\" }").start();
    let body = pattern(2 * MIB);
    for chunks in [false, true] {
        let before = monolith.requests().len();
        let mut slow = edge.client();
        if chunks {
            slow.send(chunked(""));
            send_chunks(&mut slow, &body[..MIB], 10_000);
        } else {
            slow.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            slow.send(&body[..MIB]);
        }
        // The upload is half here, and others are answered all the same.
        for _ in 0..3 {
            assert_eq!(edge.get("/other").text(), "0");
        }
        assert_eq!(monolith.requests().len(), before + 3, "the upload waits");
        if chunks {
            send_chunks(&mut slow, &body[MIB..], 10_000);
            slow.send("0\r\n\r\n");
        } else {
            slow.send(&body[MIB..]);
        }
        assert_eq!(slow.response().text(), body.len().to_string());
        let request = monolith.requests().pop().expect("the upload");
        assert!(request.head.content_length() == Some(body.len()) && request.body == body, "chunks: {chunks}");
        // The connection may have another.
        assert_eq!(slow.get("/again").text(), "0");
    }
    assert!(left(&edge).is_empty(), "{:?}", left(&edge));
}

#[test]
fn a_slow_reader_does_not_hold_the_only_worker() {
    // More than the buffers of the sockets take on the way.
    let length = 32 * MIB;
    let monolith = single_worker(move |request| match request.target() {
        b"/long" => Reply::ok(pattern(length)),
        b"/chunks" => Reply::chunked(&[]).chunk(pattern(length)).last_chunk(&["X-Sum: 1"]),
        b"/end" => Reply::bytes("HTTP/1.1 200 OK\r\n\r\n").then(pattern(length)).close(),
        _ => Reply::ok("short"),
    });
    let edge = Edge::before(&monolith).monolith("buffer = { answer = \"64MiB\" }").start();
    for target in ["/long", "/chunks", "/end"] {
        let mut slow = edge.client();
        slow.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let head = slow.head();
        assert_eq!(head.word(1), b"200");
        // It has read nothing of the body, and others are answered all the same.
        for _ in 0..3 {
            assert_eq!(edge.get("/other").text(), "short", "{target}");
        }
        let body = if target == "/long" { slow.exactly(length) } else { slow.chunked_bytes(length) };
        assert!(body == pattern(length), "{target}");
        if target != "/long" {
            assert_eq!(slow.chunk(), b"");
        }
        assert_eq!(slow.get("/again").text(), "short", "{target}");
    }
    assert!(left(&edge).is_empty(), "{:?}", left(&edge));
}

#[test]
fn the_upstream_s_connection_is_free_while_the_client_still_reads() {
    // More than the buffers of the sockets take on the way.
    let length = 32 * MIB;
    let monolith =
        Origin::start(
            move |request| {
                if request.path_is("/long") { Reply::ok(pattern(length)) } else { Reply::ok("short") }
            },
        );
    let edge = Edge::before(&monolith).monolith("buffer = { answer = \"64MiB\" }").start();
    let mut slow = edge.client();
    slow.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.head();
    eventually("nothing in flight at the monolith", || {
        let upstreams = edge.admin_json("GET", "/api/v1/upstreams").1;
        (upstreams[0]["endpoints"][0]["in_flight"] == 0).then_some(())
    });
    for _ in 0..20 {
        assert_eq!(edge.get("/short").text(), "short");
    }
    // One for each thread, and none beside the one that the long answer came over.
    assert!(monolith.connections() <= 2, "{}", monolith.connections());
    assert!(slow.exactly(length) == pattern(length));
}

#[test]
fn an_answer_that_is_longer_than_its_buffer_streams_on() {
    let length = 64 * MIB;
    let monolith = Origin::start(move |_| Reply::ok(pattern(length)));
    for size in ["32KiB", "1MiB"] {
        let edge = Edge::before(&monolith).monolith(&format!("buffer = {{ answer = \"{size}\" }}")).start();
        edge.client().request("HEAD", "/", &[]);
        let before = edge.peak_memory();
        let mut slow = edge.client();
        slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.head();
        assert!(slow.exactly(length) == pattern(length), "{size}");
        let grown = edge.peak_memory().saturating_sub(before);
        assert!(grown < 24 * MIB, "{size}: {grown} bytes");
    }
}

#[test]
fn an_upload_that_is_longer_than_its_buffer_streams_on() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).monolith("buffer = { request = \"256KiB\" }").start();
    let body = pattern(3 * MIB);
    let mut client = edge.client();
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body[..MIB]);
    // It has begun before its end is here.
    monolith.await_requests(1);
    client.send(&body[MIB..]);
    assert_eq!(client.response().text(), body.len().to_string());
    assert!(monolith.request().body == body);
}

#[test]
fn a_client_that_waits_for_a_word_gets_it_from_the_proxy() {
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).monolith("buffer = { request = \"1MiB\" }").start();
    let mut client = edge.client();
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().word(1), b"100");
    assert_eq!(monolith.requests().len(), 0, "it is asked when the body is here");
    client.send("hello");
    let response = client.response();
    assert_eq!((response.text().as_str(), response.interim.len()), ("5", 0));
    assert_eq!(monolith.request().get("expect"), None);
}

#[test]
fn a_held_upload_that_stalls_or_is_too_long_or_is_given_up_never_reaches_the_upstream() {
    let monolith = Origin::saying("ok");
    let limits = "[limits]\nbody_timeout = \"300ms\"\nbody = \"100KiB\"\n";
    let edge = Edge::before(&monolith).monolith("buffer = { request = \"1MiB\" }").with(limits).start();
    let mut stalled = edge.client();
    stalled.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    assert_eq!(stalled.response().status(), 408);
    let mut long = edge.client();
    long.send(chunked(""));
    send_chunks(&mut long, &pattern(110 * 1024), 10_000);
    assert_eq!(long.response().status(), 413);
    let mut gone = edge.client();
    gone.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    gone.reset();
    assert_eq!(edge.get("/").text(), "ok");
    assert_eq!(monolith.requests().len(), 1);
}

/// An address that takes connections and resets each behind the request's body.
fn resetting() -> Origin {
    Origin::start(|_| Reply::no_answer())
}

#[test]
fn a_body_on_disk_is_sent_again_like_one_in_memory() {
    let (broken, service) = (resetting(), Origin::start(|request| Reply::ok(request.body.len().to_string())));
    // A safe method with a body may be sent again after a reset; each endpoint has its turn.
    let endpoints: [SocketAddr; 2] = [broken.address(), service.address()];
    let edge = Edge::before_endpoints(&endpoints).monolith("buffer = { request = \"1MiB\" }").start();
    let body = pattern(500_000);
    let mut client = edge.client();
    for _ in 0..4 {
        client.send(format!("OPTIONS /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
        assert_eq!(client.response().text(), body.len().to_string());
    }
    assert!(!broken.requests().is_empty(), "the broken one had a turn");
    assert!(service.requests().iter().all(|request| request.body == body));
    assert!(left(&edge).is_empty(), "{:?}", left(&edge));
}

#[test]
fn what_finds_no_room_on_the_disk_streams_on_and_the_log_says_so() {
    let monolith = Origin::start(|request| {
        if request.path_is("/long") { Reply::ok(pattern(8 * MIB)) } else { Reply::ok(request.body.len().to_string()) }
    });
    let plan = Edge::before(&monolith).monolith("buffer = { request = \"8MiB\", answer = \"8MiB\" }");
    let edge = plan.with("[limits]\nbuffer_disk = \"100KiB\"\n").start();
    stream_on(&edge, &monolith);
    edge.await_log_line(&["WARN", "could not be held on disk", "buffer_disk"]);
}

#[test]
fn a_disk_that_is_full_costs_no_request() {
    let monolith = Origin::start(|request| {
        if request.path_is("/long") { Reply::ok(pattern(8 * MIB)) } else { Reply::ok(request.body.len().to_string()) }
    });
    let edge = Edge::before(&monolith).monolith("buffer = { request = \"8MiB\", answer = \"8MiB\" }").start();
    let Some(disk) = Disk::mount(&edge.path().with_file_name("state")) else { return };
    disk.fill();
    stream_on(&edge, &monolith);
    edge.await_log_line(&["WARN", "could not be held on disk"]);
}

/// A long upload reaches the monolith before its end, and a long answer is whole.
fn stream_on(edge: &Edge, monolith: &Origin) {
    let body = pattern(4 * MIB);
    let mut client = edge.client();
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body[..2 * MIB]);
    monolith.await_requests(1);
    client.send(&body[2 * MIB..]);
    assert_eq!(client.response().text(), body.len().to_string());
    assert!(monolith.requests().pop().expect("the upload").body == body);
    client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert!(client.exactly(8 * MIB) == pattern(8 * MIB));
    assert_eq!(client.get("/again").text(), "0");
}

#[test]
fn a_held_answer_that_breaks_off_is_never_whole() {
    let gate = Gate::new();
    let held = gate.clone();
    let monolith = Origin::start(move |_| {
        Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n").then(pattern(2_000_000)).when(&held).close()
    });
    let edge = Edge::before(&monolith).monolith("buffer = { answer = \"4MiB\" }").start();
    let mut slow = edge.client();
    slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.head();
    gate.open();
    // What came is passed on, and then the connection ends.
    assert!(slow.exactly(2_000_000) == pattern(2_000_000));
    assert!(slow.try_exactly(1).is_err());
}
