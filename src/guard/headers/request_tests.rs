//! What arrives, and what is left of it.

use http::{Uri, Version};
use pingora::http::RequestHeader;

use super::*;

type Lines = &'static [(&'static str, &'static str)];

const PEER: &str = "203.0.113.7";

fn request(target: &str, lines: &[(&'static str, &'static str)]) -> RequestHeader {
    let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
    for (name, value) in lines {
        request.append_header(*name, *value).unwrap();
    }
    request
}

fn from(peer: &str, request: &mut RequestHeader, trusted: &[Network]) -> Received {
    receive(request, &Arrival { peer: peer.parse().unwrap(), tls: false, subject: None, trusted, force: None })
}

/// The lines as they would be written, sorted, without those that the edge writes itself.
fn kept(request: &RequestHeader) -> Vec<String> {
    let mut bytes = Vec::new();
    request.header_to_h1_wire(&mut bytes);
    let mut lines: Vec<_> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("X-Forwarded-") && !line.starts_with("Forwarded:"));
    lines.sort();
    lines
}

fn field<'a>(request: &'a RequestHeader, name: &str) -> Vec<&'a str> {
    request.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

fn everyone() -> Vec<Network> {
    vec![Network { address: "10.0.0.0".parse().unwrap(), prefix: 8 }]
}

#[test]
fn what_a_client_must_not_say_is_dropped_and_the_rest_keeps_its_case() {
    let table: &[(Lines, &[&str])] = &[
        (&[("hOsT", "a"), ("X-tHing", "1"), ("accept", "*/*")], &["X-tHing: 1", "accept: */*", "hOsT: a"]),
        (&[("Host", "a"), ("Proxy", "http://evil")], &["Host: a"]),
        (&[("Host", "a"), ("Proxy-Authorization", "Basic x"), ("HTTP2-Settings", "x")], &["Host: a"]),
        (&[("Host", "a"), ("X-Multilith-Shadow", "r"), ("x-multilith-side", "service")], &["Host: a"]),
        (&[("Host", "a"), ("x-forwarded-port", "1"), ("X-Forwarded-Server", "x")], &["Host: a"]),
        (&[("Host", "a"), ("X_Forwarded_For", "1.1.1.1"), ("x-forwarded_proto", "https")], &["Host: a"]),
        (
            &[("Host", "a"), ("Content_Length", "5"), ("transfer_encoding", "chunked"), ("X_Multilith_Side", "x")],
            &["Host: a"],
        ),
        (&[("Host", "a"), ("user_id", "7"), ("a_b", "c")], &["Host: a", "a_b: c", "user_id: 7"]),
        (&[("Host", "a"), ("X-Proxy", "1"), ("Proxy-Thing", "2")], &["Host: a", "Proxy-Thing: 2", "X-Proxy: 1"]),
        (&[("Host", "a"), ("X-Real-IP", "1.1.1.1")], &["Host: a", "X-Real-IP: 203.0.113.7"]),
    ];
    for (lines, expected) in table {
        let mut request = request("/", lines);
        from(PEER, &mut request, &[]);
        assert_eq!(kept(&request), *expected, "{lines:?}");
    }
}

#[test]
fn the_edge_says_who_asked_and_clients_cannot() {
    let mut request = request(
        "/",
        &[
            ("Host", "shop.example:8080"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil"),
            ("Forwarded", "for=1.1.1.1"),
        ],
    );
    let received = from(PEER, &mut request, &[]);
    assert_eq!(received, Received { client: PEER.parse().unwrap(), trusted: false, forced: None });
    assert_eq!(field(&request, "x-forwarded-for"), [PEER]);
    assert_eq!(field(&request, "x-forwarded-proto"), ["http"]);
    assert_eq!(field(&request, "x-forwarded-host"), ["shop.example:8080"]);
    assert_eq!(field(&request, "forwarded"), ["for=203.0.113.7;host=\"shop.example:8080\";proto=http"]);
}

#[test]
fn a_request_without_a_host_is_for_none() {
    for (peer, expected) in [(PEER, &[][..]), ("10.0.0.1", &["evil.example"])] {
        let mut request = request("/", &[("X-Forwarded-Host", "evil.example")]);
        request.set_version(Version::HTTP_10);
        from(peer, &mut request, &everyone());
        assert_eq!(field(&request, "x-forwarded-host"), expected, "{peer}");
    }
}

#[test]
fn a_trusted_proxy_passes_on_no_name_that_reads_like_another() {
    let lines = [("Host", "a"), ("X-Forwarded-Client_Subject", "CN=admin"), ("X-Forwarded-Port", "443")];
    let mut request = request("/", &lines);
    from("10.0.0.1", &mut request, &everyone());
    assert_eq!(field(&request, "x-forwarded-client_subject"), [""; 0]);
    assert_eq!(field(&request, "x-forwarded-port"), ["443"]);
}

#[test]
fn a_trusted_proxy_is_believed_and_continued() {
    let mut request = request(
        "/",
        &[
            ("Host", "a"),
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-For", "198.51.100.4"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "shop.example"),
            ("X-Forwarded-Port", "443"),
            ("Forwarded", "for=198.51.100.4"),
            ("X-Real-IP", "198.51.100.4"),
        ],
    );
    let received = from("10.0.0.1", &mut request, &everyone());
    assert_eq!(received.client.to_string(), "198.51.100.4");
    assert!(received.trusted);
    assert_eq!(field(&request, "x-forwarded-for"), ["1.1.1.1, 198.51.100.4, 10.0.0.1"]);
    assert_eq!(field(&request, "x-forwarded-proto"), ["https"]);
    assert_eq!(field(&request, "x-forwarded-host"), ["shop.example"]);
    assert_eq!(field(&request, "x-forwarded-port"), ["443"]);
    assert_eq!(field(&request, "x-real-ip"), ["198.51.100.4"]);
    assert_eq!(field(&request, "forwarded"), ["for=198.51.100.4, for=10.0.0.1;host=\"a\";proto=http"]);
}

#[test]
fn an_address_of_version_6_is_written_as_each_header_wants_it() {
    let mut request = request("/", &[("Host", "[::1]:80")]);
    from("2001:db8::7", &mut request, &[]);
    assert_eq!(field(&request, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(field(&request, "forwarded"), ["for=\"[2001:db8::7]\";host=\"[::1]:80\";proto=http"]);
}

#[test]
fn tls_is_told() {
    let mut request = request("/", &[("Host", "a")]);
    receive(
        &mut request,
        &Arrival { peer: PEER.parse().unwrap(), tls: true, subject: None, trusted: &[], force: None },
    );
    assert_eq!(field(&request, "x-forwarded-proto"), ["https"]);
}

#[test]
fn the_subject_of_a_client_certificate_is_told_and_cannot_be_forged() {
    let subject = ClientSubject("CN=alice".into());
    for (subject, expected) in [(Some(&subject), &["CN=alice"][..]), (None, &[])] {
        let mut request = request("/", &[("Host", "a"), ("X-Forwarded-Client-Subject", "CN=root")]);
        receive(&mut request, &Arrival { peer: PEER.parse().unwrap(), tls: true, subject, trusted: &[], force: None });
        assert_eq!(field(&request, "x-forwarded-client-subject"), expected);
    }
}

#[test]
fn cookie_crumbs_become_one_line() {
    let mut request = request("/", &[("Host", "a"), ("cookie", "a=1"), ("cookie", "b=2; c=3")]);
    request.set_version(Version::HTTP_2);
    from(PEER, &mut request, &[]);
    assert_eq!(field(&request, "cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn an_absolute_target_becomes_a_path() {
    for (target, expected) in [
        ("http://shop.example/a/b?c=d", "/a/b?c=d"),
        ("http://shop.example", "/"),
        ("http://shop.example?c", "/?c"),
        ("/a//b?http://x", "/a//b?http://x"),
    ] {
        let mut request = request(target, &[("Host", "shop.example")]);
        from(PEER, &mut request, &[]);
        assert_eq!(request.raw_path(), expected.as_bytes());
        assert_eq!(field(&request, "host"), ["shop.example"]);
    }
    let mut request = RequestHeader::build("OPTIONS", b"http://shop.example", None).unwrap();
    from(PEER, &mut request, &[]);
    assert_eq!((request.raw_path(), field(&request, "host")), (&b"*"[..], vec!["shop.example"]));
}

#[test]
fn the_host_of_http_2_is_told_too() {
    let mut request = RequestHeader::build_no_case("GET", b"/", None).unwrap();
    request.set_version(Version::HTTP_2);
    request.set_uri(Uri::from_static("https://shop.example/x"));
    from(PEER, &mut request, &[]);
    assert_eq!(field(&request, "x-forwarded-host"), ["shop.example"]);
}

#[test]
fn only_a_web_socket_may_ask_for_an_upgrade() {
    for (lines, stays) in [
        (&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")][..], true),
        (&[("Upgrade", "websocket")], false),
        (&[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")], false),
        (&[("Connection", "Upgrade"), ("Upgrade", "foo")], false),
        (&[("Connection", "Upgrade"), ("Upgrade", "websocket, foo")], false),
    ] {
        let mut request = request("/", lines);
        request.set_version(Version::HTTP_11);
        from(PEER, &mut request, &[]);
        assert_eq!(request.headers.contains_key("upgrade"), stays, "{lines:?}");
    }
}

#[test]
fn only_a_client_of_these_networks_may_force_a_side() {
    let rule = ForceRule { header: HeaderName::from_static("x-side"), from: everyone() };
    for (peer, expected) in [("10.9.8.7", Some("service")), (PEER, None)] {
        let mut request = request("/", &[("Host", "a"), ("X-Side", "service")]);
        let arrival =
            Arrival { peer: peer.parse().unwrap(), tls: false, subject: None, trusted: &[], force: Some(&rule) };
        let received = receive(&mut request, &arrival);
        assert_eq!(received.forced, expected.map(HeaderValue::from_static));
        assert!(!request.headers.contains_key("x-side"), "it is for the edge alone");
    }
}

#[test]
fn a_copy_carries_nothing_of_the_clients_connection() {
    let mut request = request(
        "/",
        &[
            ("Host", "a"),
            ("Connection", "X-Private, keep-alive"),
            ("X-Private", "1"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("Expect", "100-continue"),
            ("X-Public", "1"),
        ],
    );
    without_hop_by_hop(&mut request);
    assert_eq!(kept(&request), ["Host: a", "X-Public: 1"]);
}
