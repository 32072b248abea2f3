//! Requests of HTTP/2 on their way to an upstream that speaks HTTP/1.1: whatever is in their fields, at most one well-formed
//! request arrives there.

use super::client::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, block, frame};
use super::counted;
use crate::harness::{Edge, Origin, Reply, Request, eventually};

type Field = (Vec<u8>, Vec<u8>);

/// The fields of a request, of which each change replaces those of its name, or adds one.
fn fields(changes: &[(&str, &str)]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "edge.test")] {
        let value = changes.iter().find(|(changed, _)| *changed == name).map_or(value, |(_, value)| value);
        fields.push((name.into(), value.into()));
    }
    fields.extend(added(changes));
    fields
}

fn added<'a>(changes: &'a [(&str, &str)]) -> impl Iterator<Item = Field> + 'a {
    changes.iter().filter(|(name, _)| !name.starts_with(':')).map(|(name, value)| ((*name).into(), (*value).into()))
}

/// Sends the request with these pieces of body, and says what became of it and what the upstream saw.
fn send(edge: &Edge, monolith: &Origin, fields: &[Field], body: &[&[u8]]) -> (Outcome, Vec<Request>) {
    let seen = monolith.requests().len();
    let mut client = Http2::connect(edge.address());
    client.send(HEADERS, END_HEADERS | if body.is_empty() { END_STREAM } else { 0 }, 1, &block(fields));
    for (number, piece) in body.iter().enumerate() {
        let last = number + 1 == body.len();
        // The stream may be reset by now.
        drop(client.write(&frame(DATA, if last { END_STREAM } else { 0 }, 1, piece)));
    }
    let outcome = client.outcome(1);
    // It would be answered with what belongs to a second request, if there was one on a connection that is kept.
    assert_eq!(edge.get("/sentinel").text(), "/sentinel");
    let requests = monolith.requests().split_off(seen).into_iter().filter(|request| !request.path_is("/sentinel"));
    (outcome, requests.collect())
}

/// Answers with the target of the request.
fn echo() -> Origin {
    Origin::start(|request| Reply::ok(request.target()))
}

/// One request, and nothing that could be read as two.
fn assert_well_formed(name: &str, request: &Request) {
    let head = String::from_utf8_lossy(&request.head.raw).into_owned();
    let lines: Vec<&str> = head.strip_suffix("\r\n\r\n").expect("a head has an end").split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.is_empty() && !line.contains(['\r', '\n', '\0'])), "{name}: {head:?}");
    let line: Vec<&str> = lines[0].split(' ').collect();
    assert!(line.len() == 3 && line[1].starts_with('/') && line[2] == "HTTP/1.1", "{name}: {head:?}");
    for (name_of_field, most) in [("host", 1), ("content-length", 1), ("transfer-encoding", 1), ("cookie", 1)] {
        assert!(request.head.all(name_of_field).len() <= most, "{name}: {head:?}");
    }
    assert!(request.get("host").is_some(), "{name}: {head:?}");
    let framed = (request.get("content-length").is_some(), request.get("transfer-encoding").is_some());
    assert!(framed != (true, true), "{name}: {head:?}");
}

#[test]
fn what_would_break_out_of_its_field_is_not_passed_on() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let bad = Outcome::Answered(400);
    let smuggled = "x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a";
    for (name, changes) in [
        ("CR LF in a value", vec![("x-a", smuggled)]),
        ("CR in a value", vec![("x-a", "a\rb")]),
        ("LF in a value", vec![("x-a", "a\nb")]),
        ("NUL in a value", vec![("x-a", "a\0b")]),
        ("CR LF in a name", vec![("x-a: b\r\nx-c", "d")]),
        ("LF in a name", vec![("x-a\n", "d")]),
        ("NUL in a name", vec![("x-a\0", "d")]),
        ("a space in a name", vec![("x a", "d")]),
        ("a colon in a name", vec![("x-a:b", "d")]),
        ("no name", vec![("", "d")]),
        ("capital letters in a name", vec![("X-A", "d")]),
        ("CR LF in the path", vec![(":path", "/x HTTP/1.1\r\nHost: b\r\n\r\nGET /smuggled")]),
        ("LF in the path", vec![(":path", "/x\ny")]),
        ("NUL in the path", vec![(":path", "/x\0y")]),
        ("a tab in the path", vec![(":path", "/x\ty")]),
        ("a space in the path", vec![(":path", "/x HTTP/1.1")]),
        ("an empty path", vec![(":path", "")]),
        ("a path without a slash", vec![(":path", "x")]),
        ("an absolute path", vec![(":path", "http://other.test/x")]),
        ("a star that is no OPTIONS", vec![(":path", "*")]),
        ("CR LF in the method", vec![(":method", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET")]),
        ("a space in the method", vec![(":method", "GET /smuggled HTTP/1.1")]),
        ("an empty method", vec![(":method", "")]),
        ("CR LF in the scheme", vec![(":scheme", "http\r\nx: y")]),
        ("CR LF in the authority", vec![(":authority", "edge.test\r\nx: y")]),
        ("a space in the authority", vec![(":authority", "edge.test x")]),
        ("a path in the authority", vec![(":authority", "edge.test/admin")]),
        ("a user in the authority", vec![(":authority", "user@edge.test")]),
        ("another host", vec![("host", "other.test")]),
        ("two hosts", vec![("host", "edge.test"), ("host", "edge.test")]),
        ("te that is not trailers", vec![("te", "gzip")]),
        ("connection", vec![("connection", "x-a"), ("x-a", "b")]),
        ("connection: close", vec![("connection", "close")]),
        ("keep-alive", vec![("keep-alive", "timeout=5")]),
        ("proxy-connection", vec![("proxy-connection", "close")]),
        ("transfer-encoding", vec![("transfer-encoding", "chunked")]),
        ("upgrade", vec![("upgrade", "websocket")]),
        ("two lengths", vec![("content-length", "2"), ("content-length", "3")]),
        ("a length with a sign", vec![("content-length", "+2")]),
        ("a list of lengths", vec![("content-length", "2, 3")]),
        ("a pseudo field nobody knows", vec![(":method", "POST"), (":x", "y")]),
    ] {
        let mut fields = fields(&changes);
        if let Some(unknown) = changes.iter().find(|(name, _)| *name == ":x") {
            fields.insert(0, (unknown.0.into(), unknown.1.into()));
        }
        let (outcome, requests) = send(&edge, &monolith, &fields, &[b"2b"]);
        assert_eq!(outcome, bad, "{name}");
        assert!(requests.is_empty(), "{name}: {requests:?}");
    }
}

#[test]
fn pseudo_fields_come_once_and_first() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let all = fields(&[]);
    let with = |place: usize, name: &str, value: &str| {
        let mut fields = all.clone();
        fields.insert(place, (name.into(), value.into()));
        fields
    };
    let without = |name: &str| all.iter().filter(|(other, _)| other != name.as_bytes()).cloned().collect::<Vec<_>>();
    for (name, fields) in [
        ("two methods", with(1, ":method", "GET")),
        ("two paths", with(1, ":path", "/y")),
        ("two schemes", with(1, ":scheme", "https")),
        ("two authorities", with(1, ":authority", "edge.test")),
        ("a field before them", with(0, "x-a", "b")),
        ("a field among them", with(2, "x-a", "b")),
        ("a status", with(1, ":status", "200")),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
    ] {
        let (outcome, requests) = send(&edge, &monolith, &fields, &[b"2b"]);
        assert_eq!(outcome, Outcome::Answered(400), "{name}");
        assert!(requests.is_empty(), "{name}: {requests:?}");
    }
    let (outcome, requests) = send(&edge, &monolith, &without(":authority"), &[b"2b"]);
    assert_eq!((outcome, requests.len()), (Outcome::Answered(400), 0), "nobody's request");
}

#[test]
fn a_length_that_is_not_true_is_refused_and_no_request_is_made_of_it() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let cases: [(&str, &str, &[&[u8]]); 6] = [
        ("/more", "3", &[b"12345"]),
        ("/more-in-pieces", "3", &[b"12", b"34", b"5"]),
        ("/less", "9", &[b"12345"]),
        ("/something-after-nothing", "0", &[b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]),
        ("/nothing-after-something", "5", &[b""]),
        ("/no-body-at-all", "5", &[]),
    ];
    for (path, length, body) in cases {
        let (outcome, _) = send(&edge, &monolith, &fields(&[(":path", path), ("content-length", length)]), body);
        assert_eq!(outcome, Outcome::Answered(400), "{path}");
    }
    // The head may be on its way when the body turns out to be wrong; then the connection ends before the body is whole.
    eventually("all settled", || (edge.metric("multilith_requests_in_flight", &[]) < 1.0).then_some(()));
    let requests = monolith.requests();
    for (path, length, _) in cases {
        let of_case: Vec<_> = requests.iter().filter(|request| request.path_is(path)).collect();
        assert!(of_case.len() <= 1, "{path}: {of_case:?}");
        let whole = of_case.iter().any(|request| length != "0" && !request.body.is_empty());
        assert!(!whole, "{path}: {of_case:?}");
    }
    let known =
        |request: &Request| cases.iter().any(|(path, ..)| request.path_is(path)) || request.path_is("/sentinel");
    assert!(requests.iter().all(known), "{requests:?}");
}

#[test]
fn a_body_whose_stream_ends_badly_never_makes_a_whole_request() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let pseudo = block(&[(":path", "/other")]);
    let ends: [(&str, u8, u8, &[u8]); 3] = [
        ("/trailers", HEADERS, END_STREAM | END_HEADERS, &pseudo),
        ("/more", DATA, 0, b"d"),
        ("/more-and-an-end", DATA, END_STREAM, b"d"),
    ];
    for (path, kind, flags, payload) in ends {
        for later in [false, true] {
            let asked = monolith.requests().len();
            let mut client = Http2::connect(edge.address());
            let head = block(&fields(&[(":path", path), ("content-length", "3")]));
            let begin = [frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, 0, 1, b"abc")].concat();
            let end = frame(kind, flags, 1, payload);
            if later {
                client.write(&begin).expect("the proxy takes frames");
                monolith.await_requests(asked + 1);
                client.write(&end).expect("the proxy takes a frame");
            } else {
                client.write(&[begin, end].concat()).expect("the proxy takes frames");
            }
            assert_eq!(client.outcome(1), Outcome::Answered(400), "{path}, later: {later}");
        }
    }
    eventually("all settled", || (edge.metric("multilith_requests_in_flight", &[]) < 1.0).then_some(()));
    assert_eq!(edge.get("/sentinel").text(), "/sentinel");
    assert!(monolith.requests().iter().all(|request| request.body.is_empty()), "{:?}", monolith.requests());
}

#[test]
fn a_body_that_waits_for_the_end_of_its_stream_gives_its_window_back() {
    const STREAMS: u32 = 90;
    let monolith = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let edge = Edge::before(&monolith).start();
    let mut client = Http2::connect(edge.address());
    let (piece, length) = (vec![b'x'; 16_000], "48000");
    let good = block(&[("x-sum", "7")]);
    let pseudo = block(&[(":path", "/other")]);
    // In all far more than the window of the connection.
    for number in 0..STREAMS {
        let id = 2 * number + 1;
        client.send(HEADERS, END_HEADERS, id, &block(&fields(&[("content-length", length)])));
        for _ in 0..3 {
            client.send(DATA, 0, id, &piece);
        }
        let (kind, flags, end, status): (_, _, &[u8], _) = match number % 9 {
            0 => (HEADERS, END_STREAM | END_HEADERS, &pseudo, 400),
            1 => (HEADERS, END_STREAM | END_HEADERS, &good, 200),
            _ => (DATA, END_STREAM, b"", 200),
        };
        client.send(kind, flags, id, end);
        assert_eq!(client.outcome(id), Outcome::Answered(status), "stream {id}");
    }
    let whole = monolith.requests().iter().filter(|request| request.body.len() == 48_000).count();
    assert_eq!(whole, 80);
}

/// What is sent, and what the upstream has to see of it.
type MayPass<'a> = (&'a str, Vec<Field>, &'a [&'a [u8]], fn(&Request) -> bool);

#[test]
fn what_may_pass_becomes_one_request() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let cases: [MayPass; 10] = [
        ("a length", fields(&[("content-length", "5")]), &[b"123", b"45"], |r| {
            r.get("content-length") == Some("5") && r.body == b"12345"
        }),
        ("a length and data of nothing", fields(&[("content-length", "5")]), &[b"12345", b""], |r| r.body == b"12345"),
        ("no length", fields(&[]), &[b"123", b"45"], |r| r.head.content_length() == Some(5) && r.body == b"12345"),
        (
            "a body that reads like a request",
            fields(&[]),
            &[b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"],
            |r| r.body == b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("the host as the authority", fields(&[("host", "edge.test")]), &[b"1"], |r| {
            r.get("host") == Some("edge.test")
        }),
        ("te: trailers", fields(&[("te", "trailers")]), &[b"1"], |r| r.get("te").is_none_or(|te| te == "trailers")),
        (
            "crumbs of cookies",
            fields(&[("cookie", "a=1"), ("x-a", "b"), ("cookie", "c=2; d=3"), ("cookie", "e=4")]),
            &[b"1"],
            |r| r.head.all("cookie") == ["a=1; c=2; d=3; e=4"],
        ),
        (
            "fields of HTTP/1.1 under another name",
            fields(&[("transfer_encoding", "chunked"), ("content_length", "3")]),
            &[b"12345"],
            |r| r.get("transfer_encoding").is_none() && r.get("content_length").is_none() && r.body == b"12345",
        ),
        ("bytes beyond ASCII", vec![], &[b"1"], |r| r.path_is("/x")),
        ("no body", fields(&[(":method", "GET")]), &[], |r| r.method() == "GET" && r.body.is_empty()),
    ];
    for (name, mut all, body, check) in cases {
        if all.is_empty() {
            all = fields(&[]);
            all.push((b"x-a".to_vec(), b"\xc3\xa9\xff\t.".to_vec()));
        }
        let (outcome, requests) = send(&edge, &monolith, &all, body);
        assert_eq!(outcome, Outcome::Answered(200), "{name}");
        let [request] = &requests[..] else { panic!("{name}: {requests:?}") };
        assert_well_formed(name, request);
        assert!(check(request), "{name}: {request:?}");
    }
}

#[test]
fn trailers_that_were_not_announced_keep_no_body_from_its_length() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let trailers = block(&[("x-sum", "7")]);
    for (announced, more) in [(false, vec![]), (true, vec![("trailer", "x-sum")])] {
        let mut client = Http2::connect(edge.address());
        let head = frame(HEADERS, END_HEADERS, 1, &block(&fields(&more)));
        let end = frame(HEADERS, END_STREAM | END_HEADERS, 1, &trailers);
        client.write(&[head, frame(DATA, 0, 1, b"hello"), end].concat()).expect("the proxy takes frames");
        assert_eq!(client.outcome(1), Outcome::Answered(200), "announced: {announced}");
        let request = monolith.requests().pop().expect("it came");
        assert_eq!(request.body, b"hello");
        let seen = (request.head.content_length(), request.trailers.len());
        assert_eq!(seen, if announced { (None, 1) } else { (Some(5), 0) }, "announced: {announced}");
    }
}

#[test]
fn a_client_of_nothing_but_malformed_requests_is_sent_away() {
    let monolith = echo();
    let edge = Edge::before(&monolith).start();
    let mut client = Http2::connect(edge.address());
    let malformed = block(&fields(&[("host", "other.test")]));
    for number in 0..40 {
        drop(client.write(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &malformed)));
    }
    assert_eq!(client.until_gone(), [super::ENHANCE_YOUR_CALM]);
    counted(&edge, "http2_flood", 1.0);
    counted(&edge, "host", 32.0);
    assert!(monolith.requests().is_empty());
}
