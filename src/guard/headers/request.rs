//! Cleans a request as it arrives, and says in it who asked, how, and for which host.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderName};
use http::{HeaderValue, Method, Version};
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};

use super::client;
use super::introduction::{
    ClientSubject, FORWARDED, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, Introduction, REAL_IP, describe,
};
use crate::compile::{ForceRule, Network};

/// How a request came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    pub tls: bool,
    pub subject: Option<&'a ClientSubject>,
    pub trusted: &'a [Network],
    pub force: Option<&'a ForceRule>,
}

/// What the headers said that the edge has to know, once they are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub client: IpAddr,
    /// The peer is a proxy that may speak for others.
    pub trusted: bool,
    /// The side that a client who may do so has asked for.
    pub forced: Option<HeaderValue>,
}

/// Removes what a client must not say, writes what the edge knows, and makes the target a path.
///
/// To be called once, on the session's header, after [`check`](crate::guard::framing::check) and before routing: then routing,
/// each attempt and each copy start from the same clean request. It leaves `Connection` and its like to pingora's policy.
pub fn receive(request: &mut RequestHeader, arrival: &Arrival<'_>) -> Received {
    let (received, introduction) = clean(request, arrival);
    if let Some(introduction) = introduction {
        introduction.write(request);
    }
    received
}

/// The same, but leaves what the edge says of the request to be written later, unless it has to be mixed with what the request
/// says already.
pub fn clean(request: &mut RequestHeader, arrival: &Arrival<'_>) -> (Received, Option<Introduction>) {
    let trusted = client::is_trusted(arrival.peer.to_canonical(), arrival.trusted);
    let client = client::address(arrival.peer, &request.headers, arrival.trusted);
    let forced = forced(request, client, arrival.force);

    let seen = look(request, trusted, arrival.force);
    for name in &seen.forbidden {
        request.remove_header(name);
    }
    if seen.upgrade && !is_web_socket(request) {
        // Pingora takes any `Upgrade` for one that will happen, and would take the answer for a tunnel.
        request.remove_header(&header::UPGRADE);
    }
    if seen.cookies > 1 {
        join_cookies(request);
    }
    make_origin_form(request);
    let received = Received { client, trusted, forced };
    if trusted || seen.is_introduced() {
        describe(request, arrival, client, trusted, &seen);
        return (received, None);
    }
    (received, Some(Introduction::of(arrival)))
}

/// Removes what belongs to the client's connection. Pingora does this for what goes through its proxy; a copy that is sent
/// through a connector of its own has to be cleaned by hand.
pub fn without_hop_by_hop(request: &mut RequestHeader) {
    for name in &super::response::nominated(&request.headers) {
        request.remove_header(name);
    }
    for name in [
        &header::CONNECTION,
        &header::PROXY_AUTHENTICATE,
        &header::PROXY_AUTHORIZATION,
        &header::TE,
        &header::TRAILER,
        &header::TRANSFER_ENCODING,
        &header::UPGRADE,
        &header::EXPECT,
    ] {
        request.remove_header(name);
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings"] {
        request.remove_header(name);
    }
}

/// What one pass over the fields found.
#[derive(Default)]
pub(super) struct Seen {
    /// Empty, and not allocated, for an honest request.
    forbidden: Vec<HeaderName>,
    cookies: usize,
    upgrade: bool,
    pub(super) real_ip: bool,
    pub(super) proto: bool,
    pub(super) host: bool,
    /// `X-Forwarded-For` or `Forwarded`.
    forwarded: bool,
}

impl Seen {
    /// The request says itself, by a header that stays, what an introduction says.
    const fn is_introduced(&self) -> bool {
        self.real_ip || self.proto || self.host || self.forwarded
    }
}

fn look(request: &RequestHeader, trusted: bool, force: Option<&ForceRule>) -> Seen {
    let mut seen = Seen::default();
    for name in request.headers.keys() {
        match name.as_str() {
            "cookie" => seen.cookies = request.headers.get_all(header::COOKIE).iter().count(),
            "upgrade" => seen.upgrade = true,
            FORWARDED_PROTO => seen.proto = true,
            FORWARDED_HOST => seen.host = true,
            FORWARDED_FOR => seen.forwarded = true,
            REAL_IP => seen.real_ip = true,
            text if is_forbidden(text, trusted) || force.is_some_and(|rule| rule.header == *name) => {
                seen.forbidden.push(name.clone());
            }
            FORWARDED => seen.forwarded = true,
            _ => {}
        }
    }
    seen
}

/// Names that no client may send. `name` is in lower case.
fn is_forbidden(name: &str, trusted: bool) -> bool {
    match name.as_bytes() {
        // httpoxy: CGI programs read it as the variable HTTP_PROXY.
        b"proxy" => true,
        // Between the client and us alone. From HTTP/2 to HTTP/2 pingora passes them on.
        b"proxy-authorization" | b"proxy-authenticate" | b"http2-settings" => true,
        // A trusted peer says `X-Forwarded-Proto`; `x-forwarded-client_subject` is what it has passed on unread.
        bytes if bytes.contains(&b'_') && reads_like_ours(bytes) => true,
        [b'x', b'-', ..] if name.starts_with("x-multilith-") => true,
        [b'x', b'-', ..] if name.starts_with("x-forwarded-") => !trusted,
        _ => false,
    }
}

/// Whether a program that takes `_` for `-`, as every CGI and WSGI does, would read this as framing, as forwarding, or as a
/// header of ours.
fn reads_like_ours(name: &[u8]) -> bool {
    const NAMES: [&str; 15] = [
        "connection",
        "content-length",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-forwarded",
        "x-real-ip",
        "x-request-id",
    ];
    const FAMILIES: [&str; 2] = ["x-forwarded-", "x-multilith-"];
    let same = |text: &str, name: &[u8]| {
        text.len() == name.len() && text.bytes().zip(name).all(|(a, &b)| a == if b == b'_' { b'-' } else { b })
    };
    NAMES.iter().any(|text| same(text, name))
        || FAMILIES.iter().any(|text| name.get(..text.len()).is_some_and(|head| same(text, head)))
}

fn forced(request: &RequestHeader, client: IpAddr, rule: Option<&ForceRule>) -> Option<HeaderValue> {
    let rule = rule?;
    let value = request.headers.get(&rule.header)?;
    client::is_trusted(client, &rule.from).then(|| value.clone())
}

/// RFC 6455, 4.1, as far as it matters to a proxy.
fn is_web_socket(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_11
        && request.method == Method::GET
        && request.headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && request.headers.get_all(header::CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|&byte| byte == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}

/// HTTP/2 clients send one line for each cookie; before HTTP/2 there is one line for all (RFC 9113, 8.2.3).
fn join_cookies(request: &mut RequestHeader) {
    let crumbs = request.headers.get_all(header::COOKIE);
    let mut joined = BytesMut::with_capacity(crumbs.iter().map(|crumb| crumb.len() + 2).sum());
    for crumb in crumbs {
        if !joined.is_empty() {
            joined.put_slice(b"; ");
        }
        joined.put_slice(crumb.as_bytes());
    }
    set(request, "Cookie", value(joined.freeze()));
}

/// An absolute target names the host again; the upstream gets the path, and the host in its header (RFC 9112, 3.2.2).
fn make_origin_form(request: &mut RequestHeader) {
    if request.version == Version::HTTP_2 || matches!(request.raw_path(), [b'/', ..] | b"*") {
        return;
    }
    let RawTargetAuthority::Absolute { authority, path_and_query, .. } = raw_target_authority(request.raw_path())
    else {
        return;
    };
    let host = Bytes::copy_from_slice(authority);
    let path = match path_and_query {
        b"" if request.method == Method::OPTIONS => b"*".to_vec(),
        [b'/', ..] => path_and_query.to_vec(),
        rest => [b"/", rest].concat(),
    };
    request.set_raw_path(&path).expect("the path of a target that was accepted is a target");
    set(request, "Host", value(host));
}

pub(super) fn value(bytes: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes).expect("made of header values and of text")
}

/// Pingora keeps the case of names in a map beside the values; `insert_header` writes both.
pub(super) fn set(request: &mut RequestHeader, name: &'static str, value: HeaderValue) {
    request.insert_header(name, value).expect("a valid name and value");
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
