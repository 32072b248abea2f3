//! Fields of a trusted peer on their way in and out: both families of fields tell the same.

use http::{Method, Version};

use super::*;
use crate::compile::Network;
use crate::message::RequestHead;

type Lines = &'static [(&'static str, &'static str)];

/// `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `Forwarded`, each on a line, `-` where there is none; and whether the
/// client came with TLS.
fn told(lines: Lines, wanted: bool) -> (Vec<String>, bool) {
    let mut request = RequestHead::new(Method::GET, Version::HTTP_11, b"/");
    request.fields.append(Name::Host, b"app:8080");
    for (name, value) in lines {
        request.fields.push_raw(name.as_bytes(), value.as_bytes());
    }
    let trusted = [Network { address: "10.0.0.0".parse().unwrap(), prefix: 8 }];
    let arrival = PeerFacts {
        peer: "10.0.0.1".parse().unwrap(),
        tls: false,
        subject: None,
        trusted: &trusted,
        force: None,
        forwarded: wanted,
    };
    let received = super::super::receive(&mut request, &arrival);
    let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"];
    let value = |name: &str| {
        let values: Vec<_> =
            request.fields.all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        assert!(values.len() < 2, "{name}: {values:?}");
        values.into_iter().next().unwrap_or_else(|| "-".to_owned())
    };
    (names.map(value).to_vec(), received.secure)
}

#[test]
fn who_speaks_one_language_is_understood_in_both() {
    let table: &[(Lines, [&str; 5], bool)] = &[
        // The balancer speaks X-Forwarded-*: no Forwarded is made.
        (
            &[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")],
            ["203.0.113.9, 10.0.0.1", "https", "app:8080", "8080", "-"],
            true,
        ),
        (&[], ["10.0.0.1", "http", "app:8080", "8080", "-"], false),
        (&[("X-Forwarded-Proto", "wss"), ("X-Forwarded-Host", "a")], ["10.0.0.1", "wss", "a", "443", "-"], true),
        (&[("X-Forwarded-Proto", "https, http")], ["10.0.0.1", "https, http", "app:8080", "8080", "-"], true),
        (&[("X-Forwarded-Port", "8443, 80")], ["10.0.0.1", "http", "app:8080", "8443, 80", "-"], false),
        // It says in older words how the client came: those of later days say the same.
        (&[("X-Forwarded-Ssl", "on")], ["10.0.0.1", "https", "app:8080", "8080", "-"], true),
        (&[("X-Forwarded-Ssl", "off")], ["10.0.0.1", "http", "app:8080", "8080", "-"], false),
        (&[("X-Forwarded-Ssl", "maybe")], ["10.0.0.1", "http", "app:8080", "8080", "-"], false),
        (&[("X-Forwarded-Scheme", "https")], ["10.0.0.1", "https", "app:8080", "8080", "-"], true),
        (&[("X-Forwarded-Scheme", "no scheme")], ["10.0.0.1", "http", "app:8080", "8080", "-"], false),
        (&[("Front-End-Https", "On")], ["10.0.0.1", "https", "app:8080", "8080", "-"], true),
        (
            &[("X-Forwarded-Ssl", "on"), ("X-Forwarded-Proto", "http")],
            ["10.0.0.1", "http", "app:8080", "8080", "-"],
            false,
        ),
        (
            &[("X-Forwarded-Ssl", "on"), ("Forwarded", "for=203.0.113.9;proto=http")],
            [
                "203.0.113.9, 10.0.0.1",
                "https",
                "app:8080",
                "8080",
                "for=203.0.113.9;host=\"app:8080\";proto=https, for=10.0.0.1",
            ],
            true,
        ),
        // It speaks Forwarded: X-Forwarded-* say the same.
        (
            &[("Forwarded", "for=203.0.113.9;proto=https")],
            [
                "203.0.113.9, 10.0.0.1",
                "https",
                "app:8080",
                "8080",
                "for=203.0.113.9;proto=https, for=10.0.0.1;host=\"app:8080\"",
            ],
            true,
        ),
        (
            &[("Forwarded", "for=\"[2001:db8::1]:4711\";host=shop.example;proto=https, for=10.0.0.7;proto=http")],
            [
                "2001:db8::1, 10.0.0.7, 10.0.0.1",
                "https",
                "shop.example",
                "443",
                "for=\"[2001:db8::1]:4711\";host=shop.example;proto=https, for=10.0.0.7;proto=http, for=10.0.0.1",
            ],
            true,
        ),
        (
            &[("Forwarded", "for=_hidden;proto=https;host=\"shop.example:8443\"")],
            [
                "unknown, 10.0.0.1",
                "https",
                "shop.example:8443",
                "8443",
                "for=_hidden;proto=https;host=\"shop.example:8443\", for=10.0.0.1",
            ],
            true,
        ),
    ];
    for (lines, expected, secure) in table {
        assert_eq!(told(lines, false), (expected.map(str::to_owned).to_vec(), *secure), "{lines:?}");
    }
}

#[test]
fn what_contradicts_is_written_anew() {
    let table: &[(Lines, [&str; 5], bool)] = &[
        // A balancer that says X-Forwarded-* and lets the client's own Forwarded pass.
        (
            &[
                ("Forwarded", "for=1.1.1.1;proto=http;host=evil.example"),
                ("X-Forwarded-For", "203.0.113.9"),
                ("X-Forwarded-Proto", "https"),
            ],
            [
                "203.0.113.9, 10.0.0.1",
                "https",
                "app:8080",
                "8080",
                "for=203.0.113.9;host=\"app:8080\";proto=https, for=10.0.0.1",
            ],
            true,
        ),
        (
            &[("Forwarded", "for=203.0.113.9;proto=https"), ("X-Forwarded-Proto", "http")],
            [
                "203.0.113.9, 10.0.0.1",
                "http",
                "app:8080",
                "8080",
                "for=203.0.113.9;host=\"app:8080\";proto=http, for=10.0.0.1",
            ],
            false,
        ),
        // One that appends to what the client has made up: only its own element counts, wherever an application looks.
        (
            &[("Forwarded", "for=1.1.1.1;proto=https;host=evil.example, for=203.0.113.9;proto=http")],
            [
                "1.1.1.1, 203.0.113.9, 10.0.0.1",
                "http",
                "app:8080",
                "8080",
                "for=1.1.1.1;host=\"app:8080\";proto=http, for=203.0.113.9, for=10.0.0.1",
            ],
            false,
        ),
        (
            &[("Forwarded", "for=203.0.113.9;host=\"a\\\"b/\";proto=\"x y\"")],
            [
                "203.0.113.9, 10.0.0.1",
                "http",
                "app:8080",
                "8080",
                "for=203.0.113.9;host=\"app:8080\";proto=http, for=10.0.0.1",
            ],
            false,
        ),
    ];
    for (lines, expected, secure) in table {
        assert_eq!(told(lines, false), (expected.map(str::to_owned).to_vec(), *secure), "{lines:?}");
    }
}

#[test]
fn where_the_file_asks_for_it_forwarded_says_what_the_others_say() {
    let table: &[(Lines, &str)] = &[
        (&[], "for=10.0.0.1;host=\"app:8080\";proto=http"),
        (
            &[("X-Forwarded-For", "nobody, 203.0.113.9:4711, 2001:db8::1"), ("X-Forwarded-Proto", "https")],
            "for=unknown;host=\"app:8080\";proto=https, for=203.0.113.9, for=\"[2001:db8::1]\", for=10.0.0.1",
        ),
        (
            &[("X-Forwarded-Host", "shop.example"), ("X-Forwarded-Port", "8443"), ("X-Forwarded-Proto", "https")],
            "for=10.0.0.1;host=\"shop.example:8443\";proto=https",
        ),
        (&[("X-Forwarded-Host", "a\"b"), ("X-Forwarded-Proto", "\"")], "for=10.0.0.1"),
    ];
    for (lines, expected) in table {
        assert_eq!(told(lines, true).0[4], *expected, "{lines:?}");
    }
}
