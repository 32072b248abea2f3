//! The events that requests become.

use super::*;

const HEAD: &[u8] = b"GET /hello%20w/x?a=1&a=2&b=%2F&e= HTTP/1.1\r\nHost: shop.example\r\nCookie: c=3; d=4\r\n\
                      X-Two: 1\r\nx-two: 2\r\nX-Request-Id: r-1\r\n\r\n";

fn made(version: EventVersion, head: &[u8], body: &[u8]) -> Value {
    let head = RequestHead::parse(head, false).expect("a good head");
    let client = Some("198.51.100.7".parse().expect("an address"));
    let brief = Brief { client, version: Version::HTTP_11, ..Brief::default() };
    let now = Timestamp::from_millisecond(1_795_859_638_174).expect("a time");
    serde_json::from_slice(&event(version, &head, &brief, body, now)).expect("JSON")
}

/// The event is that of targets' documentation, part 1, 2.
#[test]
fn version_2_has_one_value_a_name_and_cookies_apart() {
    let expected = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/hello%20w/x", "rawQueryString": "a=1&a=2&b=%2F&e=",
        "cookies": ["c=3", "d=4"],
        "headers": { "host": "shop.example", "x-two": "1,2", "x-request-id": "r-1" },
        "queryStringParameters": { "a": "1,2", "b": "/", "e": "" },
        "requestContext": {
            "accountId": "anonymous", "apiId": "multilith", "domainName": "shop.example", "domainPrefix": "shop",
            "http": {
                "method": "GET", "path": "/hello%20w/x", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7",
                "userAgent": "",
            },
            "requestId": "r-1", "routeKey": "$default", "stage": "$default",
            "time": "28/Nov/2026:09:53:58 +0000", "timeEpoch": 1_795_859_638_174_i64,
        },
        "isBase64Encoded": false,
    });
    assert_eq!(made(EventVersion::V2, HEAD, b""), expected);
    let plain = made(EventVersion::V2, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"");
    assert!(plain.get("queryStringParameters").is_none() && plain.get("cookies").is_none(), "{plain}");
    assert_eq!(plain["rawQueryString"], "");
}

#[test]
fn version_1_keeps_every_value_and_the_case_of_names() {
    let event = made(EventVersion::V1, HEAD, b"");
    assert_eq!(event["headers"]["X-Two"], "2");
    assert_eq!(event["multiValueHeaders"]["X-Two"], json!(["1", "2"]));
    assert_eq!(event["multiValueHeaders"]["Cookie"], json!(["c=3; d=4"]));
    assert_eq!(event["queryStringParameters"], json!({ "a": "2", "b": "/", "e": "" }));
    assert_eq!(event["multiValueQueryStringParameters"], json!({ "a": ["1", "2"], "b": ["/"], "e": [""] }));
    assert_eq!(event["pathParameters"]["proxy"], "hello%20w/x");
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&Value::Null, &json!(false)));
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "198.51.100.7");
    let plain = made(EventVersion::V1, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"");
    assert_eq!(plain["queryStringParameters"], Value::Null);
    assert_eq!(plain["multiValueQueryStringParameters"], Value::Null);
}

#[test]
fn a_body_is_text_only_where_it_says_so_and_is() {
    for (fields, body, expected) in [
        ("Content-Type: application/json\r\n", "{\"a\":\"ż\"}".as_bytes(), ("{\"a\":\"ż\"}", false)),
        ("Content-Type: application/vnd.x+json; charset=utf-8\r\n", b"{}", ("{}", false)),
        ("Content-Type: TEXT/plain\r\n", b"a", ("a", false)),
        ("Content-Type: application/x-www-form-urlencoded\r\n", b"a=b", ("a=b", false)),
        ("Content-Type: text/plain\r\n", b"\xff", ("/w==", true)),
        ("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", b"a", ("YQ==", true)),
        ("Content-Type: application/octet-stream\r\n", b"\x00\xff\x80\xfe", ("AP+A/g==", true)),
        ("", b"a", ("YQ==", true)),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        for version in [EventVersion::V1, EventVersion::V2] {
            let event = made(version, head.as_bytes(), body);
            let found = (event["body"].as_str(), event["isBase64Encoded"].as_bool());
            assert_eq!(found, (Some(expected.0), Some(expected.1)), "{fields}");
        }
    }
}
