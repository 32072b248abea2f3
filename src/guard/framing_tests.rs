//! Runs pingora's own parser first, so that each row says what becomes of the bytes a client sends.

use http::{Method, Uri, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use tokio::io::AsyncWriteExt;

use super::{check, check_body};
use crate::compile::Limits;

/// Who refuses the head, and why.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passes,
    Parser,
    Guard(u16, &'static str),
}
use Outcome::{Guard, Parser, Passes};

fn outcome(raw: &[u8], limits: &Limits) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(raw.len() + 1);
        client.write_all(raw).await.unwrap();
        drop(client);
        let mut session = HttpSession::new(Box::new(server));
        match session.read_request().await {
            Ok(Some(_)) => match check(session.req_header(), Some(&session.get_headers_raw_bytes()), limits) {
                Ok(()) => Passes,
                Err(refusal) => {
                    assert!(refusal.close, "a malformed head ends its connection");
                    Guard(refusal.status, refusal.reason)
                }
            },
            Ok(None) | Err(_) => Parser,
        }
    })
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
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Passes),
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
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Parser),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Parser),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Parser),
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
        ("GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", Parser),
        ("GET http:a HTTP/1.1\r\nHost: a\r\n\r\n", Parser),
        ("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n", Parser),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET #b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("Q#O /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "target")),
    ]);
}

#[test]
fn a_raw_space_in_the_target_is_one_escape_for_everyone() {
    let raw = b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(outcome(raw, &Limits::default()), Passes, "pingora has made `/a%20b` of it");
}

#[test]
fn a_message_has_one_length() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (fields, expected) in [
        ("Content-Length: 3\r\nContent-Length: 3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3, 3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3,3\r\n", Guard(400, "content_length")),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", Parser),
        ("Content-Length: +3\r\n", Parser),
        ("Content-Length: -3\r\n", Parser),
        ("Content-Length: 0x3\r\n", Parser),
        ("Content-Length: 3 3\r\n", Parser),
        ("Content-Length:\r\n", Parser),
        ("Content-Length: 99999999999999999999\r\n", Parser),
        ("Content-Length : 3\r\n", Parser),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked\r\ncONTENT-lENGTH: 3\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: gzip, chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: chunked, chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: ,chunked\r\n", Guard(400, "transfer_encoding")),
        ("Transfer-Encoding: \x0bchunked\r\n", Parser),
        ("Transfer-Encoding: xchunked\r\n", Parser),
        ("Transfer-Encoding: chunked;x=1\r\n", Parser),
        ("Transfer-Encoding: chunked,\r\n", Parser),
        ("Transfer-Encoding: \"chunked\"\r\n", Parser),
        ("Transfer-Encoding: identity\r\n", Parser),
        ("Transfer-Encoding:\r\n", Parser),
        ("Transfer-Encoding\r\n", Parser),
        (" Transfer-Encoding: chunked\r\n", Parser),
        ("X: 1\r\n Transfer-Encoding: chunked\r\n", Parser),
    ] {
        let raw = format!("{HEAD}{fields}\r\n");
        assert_eq!(outcome(raw.as_bytes(), &Limits::default()), expected, "{fields:?}");
    }
    table(&[("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Parser)]);
}

#[test]
fn a_line_ends_with_carriage_return_and_line_feed() {
    table(&[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Guard(400, "line_ending")),
        ("GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", Guard(400, "line_ending")),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Guard(400, "line_ending")),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(400, "line_ending")),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", Parser),
        ("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", Parser),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Parser),
    ]);
}

#[test]
fn some_methods_are_not_for_a_proxy() {
    table(&[
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(405, "method")),
        ("TRACK / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(405, "method")),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", Guard(405, "method")),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: a\r\n\r\n", Guard(501, "method")),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Parser),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Parser),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Parser),
        ("GET /\r\n\r\n", Parser),
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
    let mut request = RequestHeader::build("POST", b"/", None).unwrap();
    assert!(check_body(&request, 5).is_ok());
    request.insert_header("Content-Length", "5").unwrap();
    assert!(check_body(&request, 5).is_ok());
    assert_eq!(check_body(&request, 4).unwrap_err().status, 413);
}

fn http2(method: &str, uri: &'static str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
    let mut request = RequestHeader::build_no_case(Method::from_bytes(method.as_bytes()).unwrap(), b"/", None).unwrap();
    request.set_version(Version::HTTP_2);
    request.set_uri(Uri::from_static(uri));
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    request
}

#[test]
fn http_2_is_held_to_the_same() {
    let check = |request: RequestHeader| check(&request, None, &Limits::default()).map_err(|refusal| refusal.reason);
    assert_eq!(check(http2("GET", "https://a/x?y", &[])), Ok(()));
    assert_eq!(check(http2("GET", "https://a/x", &[("host", "a")])), Ok(()));
    assert_eq!(check(http2("GET", "/x", &[("host", "a")])), Ok(()));
    assert_eq!(check(http2("GET", "https://a/x", &[("host", "b")])), Err("host"));
    assert_eq!(check(http2("GET", "/x", &[])), Err("host"));
    assert_eq!(check(http2("GET", "https://a,b/x", &[])), Err("host"));
    assert_eq!(check(http2("GET", "https://a/x", &[("transfer-encoding", "chunked")])), Err("transfer_encoding"));
    assert_eq!(check(http2("TRACE", "https://a/x", &[])), Err("method"));
    assert_eq!(check(http2("GET", "https://a/x", &[("cookie", "a=b"); 101])), Err("headers"));
}
