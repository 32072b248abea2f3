//! Bodies of requests: those that are there at once take the way of plain requests, the others arrive while they are sent, and
//! no upstream can tell.

use crate::harness::{Client, Edge, Origin, Reply};

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|number| u8::try_from(number * 7 % 251).expect("below 251")).collect()
}

fn head(method: &str, target: &str, length: usize) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: shop.example:81\r\nX-Case: Kept\r\nContent-Length: {length}\r\n\r\n")
        .into()
}

#[test]
fn a_body_arrives_byte_for_byte_whether_it_is_there_at_once_or_in_pieces() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let mut client = edge.client();
    let mut asked = 0;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for length in [1, 3000, 4096, 20_000, 65_535, 65_536, 65_537, 300_000] {
            let (head, body) = (head(method, "/a?b=%20c", length), body(length));
            // At once; the head alone first, with the upstream asked while the body is still to come; cut inside the body.
            for cut in [0, head.len(), head.len() + length / 2] {
                let whole = [&head[..], &body].concat();
                client.send(&whole[..cut]);
                asked += 1;
                if cut > 0 {
                    monolith.await_requests(asked);
                }
                client.send(&whole[cut..]);
                assert_eq!(client.response().text(), "ok", "{method} {length} {cut}");
                let request = monolith.requests().pop().unwrap();
                assert_eq!((request.method(), request.target()), (method.to_owned(), &b"/a?b=%20c"[..]));
                assert!(request.body == body, "{method} {length} {cut}");
            }
            let requests = monolith.requests().split_off(asked - 3);
            assert_eq!(requests[0].lines(), requests[1].lines());
            assert_eq!(requests[0].lines(), requests[2].lines());
            assert!(requests[0].head.has_spelling("X-Case"));
        }
        asked += 1;
        assert_eq!(client.get("/between").text(), "ok");
    }
    assert_eq!(monolith.requests().len(), asked);
}

#[test]
fn what_follows_a_body_is_the_next_request() {
    let monolith = Origin::start(|request| Reply::ok([request.target(), b" ", &request.body].concat()));
    let edge = Edge::before(&monolith).start();
    let (first, last) = (head("POST", "/1", 5), head("PUT", "/3", 3));
    let many = [&first[..], b"first", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", &last, b"end"].concat();
    let answers = ["/1 first", "/2 ", "/3 end"];
    for cut in 1..many.len() {
        let mut client = edge.client();
        client.send(&many[..cut]).send(&many[cut..]);
        for expected in answers {
            assert_eq!(client.response().text(), expected, "cut at {cut}");
        }
    }
}

#[test]
fn an_answer_that_comes_before_the_body_was_read_reaches_the_client() {
    let monolith = Origin::at_head(|_| Reply::status("413 Too Much", &["Connection: close"], "no").then_hang());
    let edge = Edge::before(&monolith).start();
    for length in [10, 65_536] {
        let mut client: Client = edge.client();
        client.send([head("POST", "/", length), body(length)].concat());
        let response = client.response();
        assert_eq!((response.status(), response.text().as_str()), (413, "no"), "{length}");
    }
}

#[test]
fn a_body_that_never_ends_never_passes_for_whole() {
    let monolith = Origin::start(|_| Reply::ok("ok"));
    let edge = Edge::before(&monolith).start();
    for sent in [0, 5, 9] {
        let mut client = edge.client();
        client.send([&head("POST", "/", 10)[..], &body(sent)].concat());
        client.finish_writing();
        drop(client.until_closed());
    }
    assert_eq!(edge.get("/").text(), "ok");
    let whole =
        monolith.requests().into_iter().filter(|request| request.method() == "POST" && request.body.len() == 10);
    assert_eq!(whole.count(), 0);
}

#[test]
fn a_long_body_is_refused_by_its_length_before_it_is_read() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).with("[limits]\nbody = \"1KiB\"\n").start();
    for (length, status) in [(1024, 200), (1025, 413)] {
        let mut client = edge.client();
        client.send([head("POST", "/", length), body(length)].concat());
        assert_eq!(client.response().status(), status, "{length}");
    }
    assert_eq!(monolith.requests().len(), 1);
}

#[test]
fn a_request_whose_body_comes_late_is_counted_once() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).with("[limits]\nrequests_per_connection = 2\n").start();
    let mut client = edge.client();
    for (asked, connection) in [(1, None), (2, Some("close"))] {
        client.send(head("POST", "/", 5));
        monolith.await_requests(asked);
        client.send(b"hello");
        let response = client.response();
        assert_eq!((response.text().as_str(), response.get("connection")), ("ok", connection), "{asked}");
    }
}

#[test]
fn an_answer_says_that_the_server_stops() {
    let gate = crate::harness::Gate::default();
    let held = gate.clone();
    let monolith =
        Origin::start(move |_| Reply::default().when(&held).then("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let edge = Edge::before(&monolith).start();
    let mut clients = [edge.client(), edge.client()];
    clients[0].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    clients[1].send([&head("POST", "/", 5)[..], b"hello"].concat());
    monolith.await_requests(2);
    edge.signal("TERM");
    crate::harness::eventually("no more connections", || {
        std::net::TcpStream::connect(edge.address()).is_err().then_some(())
    });
    gate.open();
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.text().as_str(), response.get("connection")), ("ok", Some("close")));
    }
}
