//! What the client sent is what the monolith gets: method, target, Host, headers and their spelling.

use crate::harness::{Edge, Origin, Reply};

#[test]
fn the_monolith_gets_the_target_byte_for_byte() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let targets: &[&[u8]] = &[
        b"/",
        b"/plain/path",
        b"/a%2Fb",
        b"/a%2fb",
        b"//double//slash/",
        b"/dot/./segment",
        b"/dot/../segment",
        b"/%7Etilde/%41",
        b"/caf\xc3\xa9",
        b"/caf%C3%A9",
        b"/semi;colon=1;b",
        b"/star*/(paren)'/!$&+,=:@",
        b"/q?",
        b"/q?a=1&a=2&b",
        b"/q?x=%2F%26&y=+&z=a/b?c",
        b"/q?../..//x",
        b"/q?utf=\xc3\xa9",
        b"/trailing/",
        b"/a?next=http://other.example/",
    ];
    for &target in targets {
        let mut client = edge.client();
        client.send([b"GET ", target, b" HTTP/1.1\r\nHost: shop.example\r\n\r\n"].concat());
        let response = client.response();
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(target));
        let seen = monolith.requests().pop().expect("a request arrived");
        assert_eq!(seen.target(), target, "{}", String::from_utf8_lossy(target));
    }
}

#[test]
fn the_absolute_form_arrives_as_path_and_host() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    let response = edge.client().request("GET", "http://shop.example/a%2Fb?c=d", &["Host: shop.example"]);
    assert_eq!(response.status(), 200);
    let seen = monolith.request();
    assert_eq!(seen.target(), b"/a%2Fb?c=d");
    assert_eq!(seen.get("host"), Some("shop.example"));
}

#[test]
fn every_method_arrives_as_it_is() {
    let monolith = Origin::saying("");
    let edge = Edge::before(&monolith).start();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "PURGE"] {
        let response = edge.client().request(method, "/thing", &["Content-Length: 0"]);
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!(monolith.requests().pop().expect("a request arrived").method(), method);
    }
}

#[test]
fn the_host_arrives_as_the_client_sent_it() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    for host in ["shop.example", "Shop.Example:8080", "127.0.0.1:1", "[::1]:80", "xn--bcher-kva.example"] {
        assert_eq!(edge.client().request("GET", "/", &[&format!("Host: {host}")]).status(), 200, "{host}");
        let seen = monolith.requests().pop().expect("a request arrived");
        assert_eq!(seen.head.all("host"), [host]);
    }
}

#[test]
fn headers_keep_their_spelling_their_value_and_their_repetition() {
    let monolith = Origin::start(|_| {
        Reply::status(
            "200 OK",
            &["X-oDD-Answer: Yes", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "eTAG: \"x\""],
            "ok",
        )
    });
    let edge = Edge::before(&monolith).start();
    let fields = [
        "x-lower: a",
        "X-UPPER: B",
        "X-mIxEd: c, d",
        "X-Twice: one",
        "X-Twice: two",
        "Cookie: sid=1; theme=\"dark\"",
        "Authorization: Basic dTpw",
        "Accept-Encoding: br;q=1.0, gzip",
        "User-Agent: a browser/1.0",
        "X-Empty:",
        "my_header: kept",
    ];
    let response = edge.client().request("GET", "/", &fields);
    let seen = monolith.request();
    for field in fields {
        let (name, value) = field.split_once(':').expect("a field has a colon");
        assert!(seen.head.has_spelling(name), "{name} in {:#?}", seen.head.fields);
        assert!(seen.head.all(name).contains(&value.trim()), "{field} in {:#?}", seen.head.fields);
    }
    assert_eq!(seen.head.all("x-twice"), ["one", "two"]);
    for name in ["X-oDD-Answer", "Set-Cookie", "eTAG"] {
        assert!(response.head.has_spelling(name), "{name} in {:#?}", response.head.fields);
    }
    assert_eq!(response.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
}

#[test]
fn hop_by_hop_headers_end_at_the_proxy_in_both_directions() {
    let monolith = Origin::start(|_| {
        let fields = ["Connection: X-Private, keep-alive", "X-Private: 1", "Keep-Alive: timeout=5", "X-Public: 1"];
        Reply::status("200 OK", &fields, "ok")
    });
    let edge = Edge::before(&monolith).start();
    let fields = ["Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: 300", "TE: trailers", "X-End: 1"];
    let response = edge.client().request("GET", "/", &fields);
    let seen = monolith.request();
    for name in ["x-hop", "keep-alive"] {
        assert_eq!(seen.get(name), None, "{name} reached the monolith");
    }
    assert_eq!(seen.get("x-end"), Some("1"));
    for name in ["x-private", "keep-alive"] {
        assert_eq!(response.get(name), None, "{name} reached the client");
    }
    assert_eq!(response.get("x-public"), Some("1"));
}

#[test]
fn encoded_answers_and_their_headers_are_left_alone() {
    let body = b"\x1f\x8b\x08 not really gzip \x00\xff";
    let fields =
        ["Content-Encoding: gzip", "Vary: Accept-Encoding", "ETag: W/\"1\"", "Location: http://x/", "Server: old"];
    let monolith = Origin::start(move |_| Reply::status("203 Fine By Me", &fields, body));
    let edge = Edge::before(&monolith).start();
    let response = edge.get("/");
    assert_eq!((response.status(), response.body.as_slice()), (203, &body[..]));
    for field in fields {
        let (name, value) = field.split_once(": ").expect("a field has a colon");
        assert_eq!(response.head.all(name), [value]);
    }
}

#[test]
fn paths_that_two_readers_could_read_differently_are_refused() {
    let monolith = Origin::saying("ok");
    let edge = Edge::before(&monolith).start();
    for target in [&b"/a/..;/b"[..], b"/a\\b", b"/a%00b", b"/a\x01b", b"/a\x7fb"] {
        let mut client = edge.client();
        client.send([b"GET ", target, b" HTTP/1.1\r\nHost: shop.example\r\n\r\n"].concat());
        assert_eq!(client.response().status(), 400, "{}", String::from_utf8_lossy(target));
    }
    assert_eq!(monolith.requests().len(), 0);
}
