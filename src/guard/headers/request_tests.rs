//! Fields of a request, before and after the edge.

use http::HeaderName;

use super::*;
use crate::compile::Network;
use crate::guard::headers::ClientSubject;

type Lines = &'static [(&'static str, &'static str)];

const PEER: &str = "203.0.113.7";

fn request(target: &str, lines: &[(&'static str, &'static str)]) -> RequestHead {
    let mut request = RequestHead::new(Method::GET, Version::HTTP_11, target.as_bytes());
    for (name, value) in lines {
        request.fields.push_raw(name.as_bytes(), value.as_bytes());
    }
    request
}

fn from(peer: &str, request: &mut RequestHead, trusted: &[Network]) -> Received {
    receive(request, &arrival(peer, trusted))
}

fn arrival<'a>(peer: &str, trusted: &'a [Network]) -> PeerFacts<'a> {
    PeerFacts { peer: peer.parse().unwrap(), tls: false, subject: None, trusted, force: None, forwarded: false }
}

/// The lines as they would be written, sorted, without those that the edge writes itself.
fn kept(request: &RequestHead) -> Vec<String> {
    let mut bytes = Vec::new();
    request.fields.write(&mut bytes);
    let mut lines: Vec<_> = String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("X-Forwarded-") && !line.starts_with("Forwarded:"));
    lines.sort();
    lines
}

fn field<'a>(request: &'a RequestHead, name: &'a str) -> Vec<&'a str> {
    request.fields.all(name).map(|value| std::str::from_utf8(value).unwrap()).collect()
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
fn every_name_that_exports_remove_is_removed_here() {
    for name in crate::message::FORGEABLE_NAMES {
        let mut request = request("/", &[("Host", "a"), (name, "forged")]);
        from(PEER, &mut request, &[]);
        assert_eq!(kept(&request), ["Host: a"], "{name}");
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
    assert_eq!(
        received,
        Received {
            client: PEER.parse().unwrap(),
            trusted: false,
            forced: None,
            upgrade: false,
            for_others: false,
            secure: false
        }
    );
    assert_eq!(field(&request, "x-forwarded-for"), [PEER]);
    assert_eq!(field(&request, "x-forwarded-proto"), ["http"]);
    assert_eq!(field(&request, "x-forwarded-host"), ["shop.example:8080"]);
    assert_eq!(field(&request, "forwarded"), [""; 0]);
}

#[test]
fn a_request_without_a_host_is_for_none() {
    for (peer, expected) in [(PEER, &[][..]), ("10.0.0.1", &["evil.example"])] {
        let mut request = request("/", &[("X-Forwarded-Host", "evil.example")]);
        request.version = Version::HTTP_10;
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
    assert_eq!(field(&request, "forwarded"), ["for=198.51.100.4, for=10.0.0.1;host=\"shop.example\";proto=https"]);
}

#[test]
fn an_address_of_version_6_is_written_as_each_header_wants_it() {
    let mut request = request("/", &[("Host", "[::1]:80")]);
    receive(&mut request, &PeerFacts { forwarded: true, ..arrival("2001:db8::7", &[]) });
    assert_eq!(field(&request, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(field(&request, "forwarded"), ["for=\"[2001:db8::7]\";host=\"[::1]:80\";proto=http"]);
}

#[test]
fn tls_is_told() {
    let mut request = request("/", &[("Host", "a")]);
    receive(&mut request, &PeerFacts { tls: true, ..arrival(PEER, &[]) });
    assert_eq!(field(&request, "x-forwarded-proto"), ["https"]);
}

#[test]
fn the_subject_of_a_client_certificate_is_told_and_cannot_be_forged() {
    let subject = ClientSubject("CN=alice".into());
    for (subject, expected) in [(Some(&subject), &["CN=alice"][..]), (None, &[])] {
        let mut request = request("/", &[("Host", "a"), ("X-Forwarded-Client-Subject", "CN=root")]);
        receive(&mut request, &PeerFacts { tls: true, subject, ..arrival(PEER, &[]) });
        assert_eq!(field(&request, "x-forwarded-client-subject"), expected);
    }
}

#[test]
fn cookie_crumbs_become_one_line() {
    let mut request = request("/", &[("Host", "a"), ("cookie", "a=1"), ("cookie", "b=2; c=3")]);
    request.version = Version::HTTP_2;
    from(PEER, &mut request, &[]);
    assert_eq!(field(&request, "cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn an_absolute_target_becomes_a_path() {
    for (target, path, host, own) in [
        ("http://shop.example/a/b?c=d", "/a/b?c=d", "shop.example", "shop.example"),
        ("http://shop.example", "/", "shop.example", "shop.example"),
        ("http://shop.example?c", "/?c", "shop.example", "shop.example"),
        ("/a//b?http://x", "/a//b?http://x", "shop.example", "shop.example"),
        ("http://shop.example/x", "/x", "SHOP.example:80", "SHOP.example:80"),
        ("https://shop.example:443/x", "/x", "Shop.example", "Shop.example"),
        ("http://shop.example:81/x", "/x", "shop.example", "shop.example:81"),
        ("http://other.example/x", "/x", "shop.example", "other.example"),
        ("http://shop.example/\u{e9}\"<>", "/\u{e9}\"<>", "shop.example", "shop.example"),
    ] {
        let mut request = request(target, &[("Host", host)]);
        from(PEER, &mut request, &[]);
        assert_eq!(request.target(), path.as_bytes());
        assert_eq!(field(&request, "host"), [own], "{target} {host}");
        assert_eq!(field(&request, "x-forwarded-host"), [own], "{target} {host}");
    }
    let mut request = RequestHead::new(Method::OPTIONS, Version::HTTP_10, b"http://shop.example");
    from(PEER, &mut request, &[]);
    assert_eq!((request.target(), field(&request, "host")), (&b"*"[..], vec!["shop.example"]));
}

#[test]
fn the_authority_of_http_2_becomes_the_host() {
    for (lines, expected) in [(&[][..], "shop.example"), (&[("host", "Shop.example:443")], "Shop.example:443")] {
        let mut request = request("/x", lines);
        request.version = Version::HTTP_2;
        request.set_authority(Some(b"shop.example"));
        from(PEER, &mut request, &[]);
        assert_eq!(request.authority(), None);
        assert_eq!(field(&request, "host"), [expected]);
        assert_eq!(field(&request, "x-forwarded-host"), [expected]);
    }
}

#[test]
fn the_port_is_that_of_the_host_or_of_the_scheme() {
    for (host, tls, expected) in [
        ("a", false, "80"),
        ("a", true, "443"),
        ("a:8443", true, "8443"),
        ("a:", true, "443"),
        ("[::1]", false, "80"),
        ("[::1]:81", false, "81"),
    ] {
        let mut request = request("/", &[("X-Forwarded-Port", "1")]);
        request.fields.append(Name::Host, host.as_bytes());
        let arrival = PeerFacts { tls, ..arrival(PEER, &[]) };
        receive(&mut request, &arrival);
        assert_eq!(field(&request, "x-forwarded-port"), [expected], "{host} {tls}");
    }
    for (lines, expected) in [
        (&[("Host", "a:8080"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example")][..], "443"),
        (&[("Host", "a:8080"), ("X-Forwarded-Proto", "https")], "8080"),
        (&[("Host", "a"), ("X-Forwarded-Proto", "https")], "443"),
        (&[("Host", "a"), ("X-Forwarded-Host", "b:81, c")], "81"),
        (&[("Host", "a"), ("X-Forwarded-Port", "82")], "82"),
    ] {
        let mut request = request("/", lines);
        from("10.0.0.1", &mut request, &everyone());
        assert_eq!(field(&request, "x-forwarded-port"), [expected], "{lines:?}");
    }
}

#[test]
fn a_client_of_http_1_0_cannot_expect_100() {
    for (version, stays) in [(Version::HTTP_10, false), (Version::HTTP_11, true)] {
        let mut request = request("/", &[("Host", "a"), ("Expect", "100-continue")]);
        request.version = version;
        from(PEER, &mut request, &[]);
        assert_eq!(request.fields.has(Name::Expect), stays, "{version:?}");
    }
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
        let received = from(PEER, &mut request, &[]);
        assert_eq!((request.fields.has(Name::Upgrade), received.upgrade), (stays, stays), "{lines:?}");
    }
}

#[test]
fn only_a_client_of_these_networks_may_force_a_side() {
    let rule = ForceRule { header: HeaderName::from_static("x-side"), from: everyone() };
    for (peer, expected) in [("10.9.8.7", Some("service")), (PEER, None)] {
        let mut request = request("/", &[("Host", "a"), ("X-Side", "service")]);
        let arrival = PeerFacts { force: Some(&rule), ..arrival(peer, &[]) };
        let received = receive(&mut request, &arrival);
        assert_eq!(received.forced.as_deref(), expected);
        assert!(!request.fields.has("x-side"), "it is for the edge alone");
    }
}
