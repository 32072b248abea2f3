//! Bodies and their ends: HEAD, 204, 304, 100-continue, chunks, trailers, and bodies larger than any buffer.

use std::thread;

use crate::harness::{Client, Edge, Gate, Origin, Reply, eventually, pattern};

const MIB: usize = 1024 * 1024;
/// Far more than the proxy may hold of one body, and still quick in a debug build.
const LARGE: usize = 64 * MIB;
/// What a proxy that streams may grow by at most while LARGE passes.
const MAY_GROW: usize = 24 * MIB;

#[test]
fn answers_without_a_body_keep_their_fields_and_the_connection() {
    let monolith = Origin::start(|request| match request.method().as_str() {
        "HEAD" => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Kind: head\r\n\r\n"),
        _ if request.path_is("/204") => Reply::bytes("HTTP/1.1 204 No Content\r\nX-Kind: empty\r\n\r\n"),
        _ if request.path_is("/304") => Reply::bytes("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n"),
        _ if request.path_is("/zero") => Reply::bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        _ => Reply::ok("body"),
    });
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for _ in 0..2 {
        let head = client.request("HEAD", "/page", &[]);
        assert_eq!((head.status(), head.get("content-length"), head.get("x-kind")), (200, Some("1234"), Some("head")));
        let empty = client.get("/204");
        assert_eq!((empty.status(), empty.get("x-kind")), (204, Some("empty")));
        assert_eq!((empty.get("content-length"), empty.get("transfer-encoding")), (None, None));
        let unchanged = client.request("GET", "/304", &["If-None-Match: \"v1\""]);
        assert_eq!((unchanged.status(), unchanged.get("etag")), (304, Some("\"v1\"")));
        assert_eq!((client.get("/zero").body.len(), client.get("/page").text().as_str()), (0, "body"));
    }
    assert_eq!(monolith.requests().len(), 10);
}

#[test]
fn a_client_that_expects_100_continue_is_told_to_go_on() {
    let monolith = Origin::start(|request| Reply::ok(&request.body));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("PUT /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().word(1), b"100");
    client.send("hello");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str()), (200, "hello"));
    assert_eq!(monolith.request().body, b"hello");
}

#[test]
fn a_refusal_instead_of_100_reaches_the_client_before_its_body_is_sent() {
    let monolith = Origin::at_head(|_| Reply::status("413 Too Large", &["Connection: close"], "no").close());
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("PUT /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.text().as_str(), response.interim.len()), (413, "no", 0));
}

#[test]
fn a_head_before_the_answer_brings_no_length_and_nothing_of_its_connection() {
    let monolith = Origin::start(|_| {
        Reply::bytes(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Private\r\nX-Private: 1\r\n\
             Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let response = Edge::before(&monolith).start().get("/");
    assert_eq!((response.status(), response.text().as_str()), (200, "ok"));
    let names: Vec<_> = response.interim[0].fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Link"]);
}

#[test]
fn chunks_arrive_in_both_directions() {
    let monolith = Origin::start(|request| Reply::chunked(&[]).chunk(&request.body).chunk("!").last_chunk(&[]));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nhel\n\r\n2\r\nlo\r\n0\r\n\r\n",
        );
        let response = client.response();
        assert_eq!(response.text(), "hel\nlo!");
        assert!(response.head.is_chunked());
    }
    // The whole body was there at once: it is sent with its length (buffer.request = "auto").
    assert!(
        monolith
            .requests()
            .iter()
            .all(|request| request.head.content_length() == Some(6) && request.body == b"hel\nlo")
    );
}

#[test]
fn a_target_passes_byte_for_byte_and_a_raw_space_in_it_is_refused() {
    let monolith = Origin::start(|request| Reply::ok(&request.body));
    let edge = Edge::before(&monolith).start();
    for target in ["/a\"b", "/s?f={\"a\":1}", "/a<b>", "/a`b|c^d", "/s?q=<b>"] {
        let mut client = edge.client();
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ));
        assert_eq!(client.response().status(), 200, "{target}");
        assert_eq!(
            monolith.requests().last().map(|request| request.target().to_vec()).as_deref(),
            Some(target.as_bytes())
        );
    }
    for target in ["/a b", "/a?q=\u{1}z", "/a?q=\tz"] {
        let mut client = edge.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(client.response().status(), 400, "{target:?}");
    }
    assert_eq!(monolith.requests().len(), 5, "what is refused goes nowhere");
}

#[test]
fn an_answer_that_ends_with_its_connection_is_complete() {
    let monolith = Origin::start(|_| Reply::bytes("HTTP/1.1 200 OK\r\nX-Old: 1\r\n\r\nuntil the end").close());
    let edge = Edge::before(&monolith).start();
    let response = edge.get("/");
    assert_eq!((response.text().as_str(), response.get("x-old")), ("until the end", Some("1")));
}

#[test]
fn bodies_with_trailers_stay_whole_and_the_connection_usable() {
    let monolith =
        Origin::start(|request| Reply::chunked(&["Trailer: X-Sum"]).chunk(&request.body).last_chunk(&["X-Sum: 9"]));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-In: 1\r\n\r\n");
        assert_eq!(client.response().text(), "hi");
    }
}

#[test]
fn http_1_0_clients_get_no_chunks() {
    let monolith = Origin::start(|_| Reply::chunked(&[]).chunk("plain").last_chunk(&[]));
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.until_closed().expect("an orderly end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.ends_with("\r\n\r\nplain"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
}

#[test]
fn a_body_passes_while_it_is_still_being_sent() {
    let (first_arrived, rest) = (Gate::new(), Gate::new());
    let reply = Reply::chunked(&[]).chunk("first").when(&rest).chunk("second").last_chunk(&[]);
    let arrived = first_arrived.clone();
    let monolith = Origin::at_head(move |_| {
        arrived.open();
        reply.clone()
    });
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf");
    first_arrived.wait();
    client.head();
    assert_eq!(client.chunked_bytes(5), b"first");
    client.send("half");
    rest.open();
    assert_eq!(client.chunked_bytes(6), b"second");
    assert!(client.chunk().is_empty());
    eventually("the whole body at the monolith", || (monolith.request().body == b"halfhalf").then_some(()));
}

#[test]
fn an_answer_larger_than_any_buffer_streams_through() {
    let piece = pattern(MIB);
    let sent = piece.clone();
    let monolith = Origin::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        (0..LARGE / MIB).fold(Reply::bytes(head), |reply, _| reply.then(&sent))
    });
    let edge = Edge::before(&monolith).start();
    edge.get("/warm");
    let before = edge.peak_memory();
    let mut client = edge.client();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    for index in 0..LARGE / MIB {
        assert!(client.exactly(MIB) == piece, "MiB {index} differs");
    }
    let grown = edge.peak_memory().saturating_sub(before);
    assert!(grown < MAY_GROW, "the proxy grew by {grown} bytes");
}

#[test]
fn a_request_larger_than_any_buffer_streams_through() {
    let monolith = Origin::start(|request| Reply::ok(format!("{}", request.body == pattern(MIB).repeat(LARGE / MIB))));
    for head in [format!("Content-Length: {LARGE}"), "Transfer-Encoding: chunked".to_owned()] {
        let edge = Edge::before(&monolith).start();
        edge.get("/warm");
        let before = edge.peak_memory();
        let mut client = edge.client();
        client.send(format!("PUT /large HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n"));
        send_pieces(&mut client, head.starts_with("Transfer"));
        assert_eq!(client.response().text(), "true", "{head}");
        let grown = edge.peak_memory().saturating_sub(before);
        assert!(grown < MAY_GROW, "{head}: the proxy grew by {grown} bytes");
    }
}

#[test]
fn a_client_that_reads_slowly_slows_the_monolith_and_not_the_memory() {
    let monolith = Origin::start(|_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        Reply::bytes(head).then(pattern(MIB).repeat(LARGE / MIB))
    });
    let edge = Edge::before(&monolith).start();
    let mut slow = edge.client();
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.head();
    let before = edge.peak_memory();
    let others: Vec<_> = (0..4)
        .map(|_| {
            let mut client = edge.client();
            thread::spawn(move || {
                client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
                client.head();
                client.exactly(MIB);
            })
        })
        .collect();
    for other in others {
        other.join().expect("every client reads its first MiB");
    }
    assert_eq!(slow.exactly(LARGE).len(), LARGE);
    let grown = edge.peak_memory().saturating_sub(before);
    assert!(grown < MAY_GROW, "the proxy grew by {grown} bytes");
}

fn send_pieces(client: &mut Client, chunked: bool) {
    let piece = pattern(MIB);
    for _ in 0..LARGE / MIB {
        if chunked {
            client.send(format!("{MIB:x}\r\n")).send(&piece).send("\r\n");
        } else {
            client.send(&piece);
        }
    }
    if chunked {
        client.send("0\r\n\r\n");
    }
}

#[test]
fn lines_that_end_in_lf_alone_are_read_only_where_the_file_says_so() {
    let monolith = Origin::saying("ok");
    for (allowed, status) in [(false, 400), (true, 200)] {
        let edge = Edge::before(&monolith).server(&format!("allow_bare_lf = {allowed}")).start();
        for text in [
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n",
            "\nGET / HTTP/1.1\nHost: a\r\n\n",
        ] {
            let mut client = edge.client();
            client.send(text);
            assert_eq!(client.response().status(), status, "{allowed} {text:?}");
        }
        // A chunk line is not part of a head.
        let mut client = edge.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n");
        assert_eq!(client.response().status(), 400, "{allowed}");
    }
    let seen = monolith.requests();
    assert!(
        seen.iter().all(|request| !String::from_utf8_lossy(&request.head.raw).replace("\r\n", "").contains('\n')),
        "{seen:?}"
    );
}
