//! Headers at the edge: cookies, who is said to ask, and what belongs to one connection alone.
//!
//! An input is a byte of switches and lines `Name: value`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use multilith::compile::Network;
use multilith::guard::headers::{Arrival, Asked, answer, client_address, receive, without_hop_by_hop};
use multilith::route::Facts;
use pingora::http::{RequestHeader, ResponseHeader};

/// The peer, and the only one who is trusted when one is.
const PEER: &str = "10.0.0.9";
/// What a trusted proxy says of the client; it stands in no input by chance.
const CLIENT: &str = "203.0.113.77";

pub fn hold(input: &[u8]) {
    let Some((&switches, input)) = input.split_first() else { return };
    let lines: Vec<_> = input.split(|&byte| byte == b'\n').filter_map(line).take(100).collect();
    let peer: IpAddr = PEER.parse().expect("an address");
    let network = [Network { address: peer, prefix: 32 }];
    let trusted = if switches & 1 == 0 { &[][..] } else { &network[..] };
    let arrival = Arrival { peer, tls: switches & 2 != 0, subject: None, trusted, force: None };
    let version = if switches & 4 == 0 { Version::HTTP_11 } else { Version::HTTP_10 };

    let sent = request(&lines, version);
    let mut kept = sent.clone();
    let received = receive(&mut kept, &arrival);
    assert_eq!(received.trusted, switches & 1 != 0);
    forwarding(&sent, &kept, &arrival);
    cookies(&sent.headers, &kept.headers);
    no_name_reads_like_ours(&kept.headers);
    well_formed(&kept);
    if trusted.is_empty() {
        let mut again = kept.clone();
        assert_eq!(receive(&mut again, &arrival), received);
        assert_eq!(again.headers, kept.headers, "cleaning twice");
    } else {
        only_the_trusted_are_believed(&lines, &network);
    }

    let mut copied = kept.clone();
    without_hop_by_hop(&mut copied);
    for name in nominated(&kept.headers) {
        assert!(!copied.headers.contains_key(&name), "`Connection` names {name}, and it goes on");
    }
    for name in ["connection", "te", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "http2-settings"]
    {
        assert!(!copied.headers.contains_key(name), "{name} goes on");
    }
    well_formed(&copied);
    answered(&lines, version);
}

/// Name, with its case, and value, if HTTP has such a field.
fn line(line: &[u8]) -> Option<(String, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = std::str::from_utf8(&line[..colon]).ok()?;
    HeaderName::from_bytes(name.as_bytes()).ok()?;
    // The parser gives values without the space around them.
    Some((name.to_owned(), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

fn request(lines: &[(String, HeaderValue)], version: Version) -> RequestHeader {
    let mut request = RequestHeader::build("GET", b"/a?b", None).expect("a request");
    request.set_version(version);
    for (name, value) in lines {
        request.append_header(name.clone(), value.clone()).expect("a field");
    }
    request
}

/// Who asks, how and for what is what the edge knows, with what a trusted peer has said before it.
fn forwarding(sent: &RequestHeader, kept: &RequestHeader, arrival: &Arrival<'_>) {
    let all = |headers: &HeaderMap, name: &str| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
    let one = |name: &str| {
        let values = all(&kept.headers, name);
        assert!(values.len() < 2, "{name} stands {} times", values.len());
        values.first().cloned()
    };
    let host = sent.headers.get(header::HOST).cloned();
    let addresses = one("x-forwarded-for").expect("always written");
    let forwarded = one("forwarded").expect("always written");
    let element = format!("for={PEER}");
    if arrival.trusted.is_empty() {
        assert_eq!(addresses, PEER);
        assert!(forwarded.as_bytes().starts_with(element.as_bytes()), "{forwarded:?}");
        assert_eq!(one("x-forwarded-proto").expect("always written"), if arrival.tls { "https" } else { "http" });
        assert_eq!(one("x-forwarded-host"), host);
        assert!(one("x-real-ip").is_none_or(|address| address == PEER));
        let others = kept.headers.keys().filter(|name| {
            name.as_str().starts_with("x-forwarded-")
                && !["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].contains(&name.as_str())
        });
        assert_eq!(others.count(), 0, "what the client says of itself goes on");
        return;
    }
    assert!(addresses.as_bytes().ends_with(PEER.as_bytes()), "{addresses:?}");
    for value in all(&sent.headers, "x-forwarded-for") {
        assert!(contains(addresses.as_bytes(), value.as_bytes()), "{value:?} is lost from {addresses:?}");
    }
    assert!(contains(forwarded.as_bytes(), element.as_bytes()), "{forwarded:?}");
    for value in all(&sent.headers, "forwarded") {
        assert!(contains(forwarded.as_bytes(), value.as_bytes()), "{value:?} is lost from {forwarded:?}");
    }
}

/// What a trusted proxy adds decides, whatever the client wrote before it, and whatever of the client's it quotes.
fn only_the_trusted_are_believed(lines: &[(String, HeaderValue)], trusted: &[Network]) {
    let peer: IpAddr = PEER.parse().expect("an address");
    let client: IpAddr = CLIENT.parse().expect("an address");
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.clone());
    }
    let found = client_address(peer, &headers, trusted);
    let written = ["x-forwarded-for", "forwarded"].iter().any(|name| headers.contains_key(*name));
    assert!(written || found == peer);

    for name in [HeaderName::from_static("x-forwarded-for"), header::FORWARDED] {
        let own = if name == header::FORWARDED { format!("for={CLIENT};proto=https") } else { CLIENT.to_owned() };
        let mut before = headers.clone();
        if name == header::FORWARDED {
            // It would be asked first.
            before.remove("x-forwarded-for");
        }
        let found = |value: &[u8], append: bool| {
            let mut headers = before.clone();
            let value = HeaderValue::from_bytes(value).expect("two values are one");
            if append {
                headers.append(name.clone(), value);
            } else {
                let last = headers.get_all(&name).iter().count() - 1;
                let others: Vec<_> = headers.get_all(&name).iter().take(last).cloned().chain([value]).collect();
                headers.remove(&name);
                headers.extend(others.into_iter().map(|value| (name.clone(), value)));
            }
            (client_address(peer, &headers, trusted), headers)
        };
        let (address, after) = found(own.as_bytes(), true);
        assert_eq!(address, client, "a line of its own: {after:?}");
        if let Some(last) = headers.get_all(&name).iter().next_back() {
            let joined = [last.as_bytes(), b", ", own.as_bytes()].concat();
            let (address, after) = found(&joined, false);
            assert_eq!(address, client, "at the end of the client's line: {after:?}");
        }
    }
    // A quoted string may hold anything (RFC 7239, section 4).
    for (_, value) in lines {
        let Ok(text) = value.to_str() else { continue };
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        for element in [
            format!("for={CLIENT};host=\"{quoted}\""),
            format!("host=\"{quoted}\";for={CLIENT}"),
            format!("by=_hidden;host=\"{quoted}\" ; For=\"{CLIENT}\";proto=http"),
        ] {
            let value = HeaderValue::try_from(element).expect("text");
            let headers = HeaderMap::from_iter([(header::FORWARDED, value)]);
            assert_eq!(client_address(peer, &headers, trusted), client, "{headers:?}");
        }
    }
}

/// One line of cookies goes on, and each cookie reads as before.
fn cookies(sent: &HeaderMap, kept: &HeaderMap) {
    assert!(kept.get_all(header::COOKIE).iter().count() < 2, "crumbs go on");
    let mut names = BTreeSet::new();
    for line in sent.get_all(header::COOKIE) {
        for pair in line.as_bytes().split(|&byte| byte == b';') {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            names.extend(std::str::from_utf8(name.trim_ascii()).ok().map(str::to_owned));
        }
    }
    for name in &names {
        assert_eq!(Facts::cookie_of(sent, name), Facts::cookie_of(kept, name), "the cookie {name:?}");
    }
}

/// Programs that take `_` for `-` read nothing that the edge has not written.
fn no_name_reads_like_ours(kept: &HeaderMap) {
    for name in kept.keys().map(HeaderName::as_str).filter(|name| name.contains('_')) {
        let read = name.replace('_', "-");
        let guarded = ["forwarded", "host", "content-length", "transfer-encoding", "connection", "x-real-ip", "te"];
        let families = ["x-forwarded-", "x-multilith-"];
        assert!(
            !guarded.contains(&read.as_str()) && !families.iter().any(|family| read.starts_with(family)),
            "{name} goes on"
        );
    }
    assert!(!kept.contains_key("proxy"));
    assert!(!kept.keys().any(|name| name.as_str().starts_with("x-multilith-")));
}

/// What is written on the wire is read there as the same fields.
fn well_formed(request: &RequestHeader) {
    let mut wire = Vec::from(&b"GET / HTTP/1.1\r\n"[..]);
    request.header_to_h1_wire(&mut wire);
    wire.extend_from_slice(b"\r\n");
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut parsed = httparse::Request::new(&mut fields);
    let end = parsed.parse(&wire).expect("a head");
    assert_eq!(end, httparse::Status::Complete(wire.len()), "{}", wire.escape_ascii());
    assert_eq!(parsed.headers.len(), request.headers.len(), "{}", wire.escape_ascii());
    for field in &*parsed.headers {
        let found =
            request.headers.get_all(field.name).iter().any(|value| value.as_bytes().trim_ascii() == field.value);
        assert!(found, "{} is not {:?}", field.name, request.headers);
    }
}

/// The names in `Connection` that are there and that a connection may call its own.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    const OF_THE_MESSAGE: [HeaderName; 7] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CACHE_CONTROL,
        header::SET_COOKIE,
        header::TRANSFER_ENCODING,
    ];
    let values = headers.get_all(header::CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| {
            !["close", "keep-alive", "connection"].contains(&name.as_str()) && !OF_THE_MESSAGE.contains(name)
        })
        .collect()
}

/// The same lines as an answer's.
fn answered(lines: &[(String, HeaderValue)], version: Version) {
    for status in [StatusCode::OK, StatusCode::SWITCHING_PROTOCOLS] {
        let mut response = ResponseHeader::build(status, None).expect("a response");
        for (name, value) in lines {
            response.append_header(name.clone(), value.clone()).expect("a field");
        }
        let before = response.headers.clone();
        let passes = answer(&mut response, Asked { version, upgrade: false });
        let refused = status == StatusCode::SWITCHING_PROTOCOLS || is_chunked_twice(&before);
        assert_eq!(passes.is_err(), refused);
        if passes.is_err() {
            continue;
        }
        for name in nominated(&before) {
            assert!(!response.headers.contains_key(&name), "`Connection` names {name}, and the client gets it");
        }
        for name in ["keep-alive", "proxy-connection", "upgrade", "te"] {
            assert!(!response.headers.contains_key(name), "the client gets {name}");
        }
        let same = |name: &HeaderName| before.get_all(name).iter().eq(response.headers.get_all(name).iter());
        assert!([header::SET_COOKIE, header::HOST].iter().all(same), "lost");
        assert_eq!(lengths(&before), lengths(&response.headers), "another length");
    }
}

/// In an answer with a body; what one reader unwraps once and another twice.
fn is_chunked_twice(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    codings.filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count() > 1
}

/// What is said of the length, each once.
fn lengths(headers: &HeaderMap) -> Vec<&[u8]> {
    let lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut all: Vec<_> =
        lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)).collect();
    all.dedup();
    all
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    part.is_empty() || whole.windows(part.len()).any(|window| window == part)
}
