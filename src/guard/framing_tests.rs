//! The bytes of a request, through the parser of messages first, then the guard.

use http::{Method, Version};

use super::{check, check_body};
use crate::compile::Limits;
use crate::message::RequestHead;

/// The part that refuses the head, and the reason.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passes,
    Parser(u16, &'static str),
    Guard(u16, &'static str),
}
use Outcome::{Guard, Parser, Passes};

fn outcome(raw: &[u8], limits: &Limits) -> Outcome {
    match RequestHead::parse(raw, false) {
        Err(malformed) => Parser(malformed.status, malformed.reason),
        Ok(request) => match check(&request, Some(raw.len()), limits) {
            Ok(()) => Passes,
            Err(refusal) => {
                assert!(refusal.close, "a malformed head ends its connection");
                Guard(refusal.status, refusal.reason)
            }
        },
    }
}

fn table(rows: &[(&str, Outcome)]) {
    for (raw, expected) in rows {
        assert_eq!(outcome(raw.as_bytes(), &Limits::default()), *expected, "{raw:?}");
    }
}

#[test]
fn ordinary_requests_pass() {
    table(&[
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
        ("GET /?q=%23 HTTP/1.1\r\nHost: a:80\r\n\r\n", Passes),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
        ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
        ("GET http://a HTTP/1.0\r\n\r\n", Passes),
        ("GET / HTTP/1.0\r\n\r\n", Passes),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", Passes),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Passes),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Private\r\n\r\n", Passes),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", Passes),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Passes),
        ("PROPFIND /dav HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
    ]);
}

#[test]
fn a_host_is_there_once_and_valid() {
    table(&[
        ("GET / HTTP/1.1\r\n\r\n", Guard(400, "host")),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Guard(400, "host")),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Guard(400, "host")),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", Guard(400, "host")),
    ]);
}

#[test]
fn a_target_is_a_path_or_an_absolute_url() {
    table(&[
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET ?q HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET http:a HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET #b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("Q#O /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Parser(400, "target")),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Parser(400, "target")),
        ("GET /a\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", Parser(400, "target")),
    ]);
}

#[test]
fn every_printable_byte_and_every_byte_above_ascii_passes() {
    for byte in (b'!'..=b'~').chain(0x80..=0xff).filter(|byte| *byte != b'#') {
        for place in [&b"/a"[..], b"/a?b="] {
            let raw = [b"GET ", place, &[byte], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            assert_eq!(outcome(&raw, &Limits::default()), Passes, "{}", raw.escape_ascii());
        }
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    table(&[
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
        ("GET HTTP://A:80/ HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
    ]);
}

#[test]
fn a_message_has_one_length() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (fields, expected) in [
        ("Content-Length: 3\r\nContent-Length: 3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3, 3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3,3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", Guard(400, "content_length")),
        ("Content-Length: +3\r\n", Guard(400, "content_length")),
        ("Content-Length: -3\r\n", Guard(400, "content_length")),
        ("Content-Length: 0x3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3 3\r\n", Guard(400, "content_length")),
        ("Content-Length:\r\n", Guard(400, "content_length")),
        ("Content-Length: 99999999999999999999\r\n", Guard(400, "content_length")),
        ("Content-Length : 3\r\n", Parser(400, "framing")),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked\r\ncONTENT-lENGTH: 3\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: gzip, chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked, chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: ,chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: \x0bchunked\r\n", Parser(400, "framing")),
        ("Transfer-Encoding: xchunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked;x=1\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked,\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: \"chunked\"\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: identity\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding:\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding\r\n", Parser(400, "framing")),
        (" Transfer-Encoding: chunked\r\n", Parser(400, "framing")),
        ("X: 1\r\n Transfer-Encoding: chunked\r\n", Parser(400, "framing")),
    ] {
        let raw = format!("{HEAD}{fields}\r\n");
        assert_eq!(outcome(raw.as_bytes(), &Limits::default()), expected, "{fields:?}");
    }
    table(&[("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Guard(400, "transfer_encoding"))]);
}

#[test]
fn a_line_ends_with_carriage_return_and_line_feed() {
    table(&[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Parser(400, "line_ending")),
        ("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", Parser(400, "line_ending")),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Parser(400, "line_ending")),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Parser(400, "line_ending")),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", Parser(400, "target")),
        ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", Parser(400, "framing")),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Parser(400, "framing")),
    ]);
}

#[test]
fn some_methods_are_not_for_a_proxy() {
    table(&[
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(405, "method")),
        ("TRACK / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(405, "method")),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Guard(405, "method")),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(501, "method")),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Parser(400, "framing")),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Passes),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Parser(505, "framing")),
        ("GET /\r\n\r\n", Parser(400, "framing")),
    ]);
}

#[test]
fn no_connection_may_take_away_where_a_request_comes_from() {
    for name in [
        "Host",
        "X-Forwarded-For",
        "x-forwarded-port",
        "Forwarded",
        "X-Multilith-Route",
        "Content-Length",
        ":path",
        "\"x\"",
    ] {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, {name}\r\n\r\n");
        assert_eq!(outcome(raw.as_bytes(), &Limits::default()), Guard(400, "connection"), "{name}");
    }
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", ["x"; 10].join(","));
    assert_eq!(outcome(many.as_bytes(), &Limits::default()), Guard(400, "connection"));
}

#[test]
fn an_upgrade_has_no_body() {
    const HEAD: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    for (fields, expected) in [
        ("", Passes),
        ("Content-Length: 0\r\n", Passes),
        ("Content-Length: 3\r\n", Guard(400, "upgrade")),
        ("Transfer-Encoding: chunked\r\n", Guard(400, "upgrade")),
    ] {
        assert_eq!(outcome(format!("{HEAD}{fields}\r\n").as_bytes(), &Limits::default()), expected, "{fields:?}");
    }
}

#[test]
fn what_is_too_large_is_said_to_be() {
    let limits = Limits { request_head: Some(200), headers: Some(3), ..Limits::default() };
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(200));
    assert_eq!(outcome(long.as_bytes(), &limits), Guard(431, "request_head"));
    let many = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nA: 2\r\nA: 3\r\n\r\n";
    assert_eq!(outcome(many.as_bytes(), &limits), Guard(431, "headers"));
    let unlimited = Limits { request_head: None, headers: Some(0), ..limits };
    for raw in [long.as_str(), many] {
        assert_eq!(outcome(raw.as_bytes(), &unlimited), Passes);
    }
}

#[test]
fn a_body_that_says_it_is_too_large_is_refused() {
    let mut request = RequestHead::new(Method::POST, Version::HTTP_11, b"/");
    assert!(check_body(&request, 5).is_ok());
    request.fields.append("content-length", b"5");
    assert!(check_body(&request, 5).is_ok());
    assert_eq!(check_body(&request, 4).unwrap_err().status, 413);
}

fn http2(method: &str, target: &str, authority: Option<&str>, fields: &[(&str, &str)]) -> RequestHead {
    let mut request = RequestHead::new(method.parse().unwrap(), Version::HTTP_2, target.as_bytes());
    request.set_authority(authority.map(str::as_bytes));
    for (name, value) in fields {
        request.fields.push_raw(name.as_bytes(), value.as_bytes());
    }
    request
}

#[test]
fn http_2_is_held_to_the_same() {
    type Row = (&'static str, &'static str, Option<&'static str>, &'static [(&'static str, &'static str)]);
    let table: &[(Row, Result<(), &str>)] = &[
        (("GET", "/x?y", Some("a"), &[]), Ok(())),
        (("GET", "/x", Some("a"), &[("host", "a")]), Ok(())),
        (("GET", "/x", Some("a"), &[("host", "A:443")]), Ok(())),
        (("GET", "/x", None, &[("host", "a")]), Ok(())),
        (("GET", "/x", Some("a"), &[("host", "b")]), Err("host")),
        (("GET", "/x", None, &[]), Err("host")),
        (("GET", "/x", Some("a,b"), &[]), Err("host")),
        (("GET", "/x", Some("a,b"), &[("host", "a,b")]), Err("host")),
        (("GET", "/x#y", Some("a"), &[]), Err("target")),
        (("GET", "/x y", Some("a"), &[]), Err("target")),
        (("GET", "/x\t", Some("a"), &[]), Err("target")),
        (("GET", "", Some("a"), &[]), Err("target")),
        (("GET", "https://a/x", Some("a"), &[]), Err("target")),
        (("GET", "*", Some("a"), &[]), Err("target")),
        (("OPTIONS", "*", Some("a"), &[]), Ok(())),
        (("GET", "/x", Some("a"), &[("transfer-encoding", "chunked")]), Err("transfer_encoding")),
        (("GET", "/x", Some("a"), &[("content-length", "1"), ("content-length", "1")]), Err("content_length")),
        (("GET", "/x", Some("a"), &[("connection", "close")]), Err("connection")),
        (("GET", "/x", Some("a"), &[("keep-alive", "5")]), Err("connection")),
        (("GET", "/x", Some("a"), &[("upgrade", "websocket")]), Err("connection")),
        (("GET", "/x", Some("a"), &[("te", "gzip")]), Err("connection")),
        (("GET", "/x", Some("a"), &[("te", "trailers")]), Ok(())),
        (("TRACE", "/x", Some("a"), &[]), Err("method")),
        (("GET", "/x", Some("a"), &[("cookie", "a=b"); 101]), Err("headers")),
    ];
    for ((method, target, authority, fields), expected) in table {
        let request = http2(method, target, *authority, fields);
        let found = check(&request, None, &Limits::default()).map_err(|refusal| refusal.reason);
        assert_eq!(found, *expected, "{method} {target} {authority:?} {fields:?}");
    }
    let limits = Limits { request_head: Some(100), ..Limits::default() };
    let request = http2("GET", "/x", Some("a"), &[("a", "b"), ("c", "d"), ("e", "f")]);
    assert_eq!(check(&request, None, &limits).unwrap_err().reason, "request_head", "32 bytes for each field");
}
