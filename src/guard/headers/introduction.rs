//! Says in a request who asked, how, and for which host: in its header maps, or as lines of a head.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use http::HeaderValue;
use http::header;
use pingora::http::RequestHeader;

use super::put_line;
use super::request::{Arrival, Seen, set, value};

pub(super) const FORWARDED_FOR: &str = "x-forwarded-for";
pub(super) const FORWARDED_PROTO: &str = "x-forwarded-proto";
pub(super) const FORWARDED_HOST: &str = "x-forwarded-host";
pub(super) const FORWARDED: &str = "forwarded";
pub(super) const REAL_IP: &str = "x-real-ip";
/// Being one of `X-Forwarded-`, it is removed from what clients send.
const CLIENT_SUBJECT: &str = "X-Forwarded-Client-Subject";

/// The subject of the certificate that the client has shown and that was verified, as `CN=alice, O=Example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSubject(pub Arc<str>);

impl ClientSubject {
    fn header_value(&self) -> HeaderValue {
        // Control characters in a certificate are no name of anybody's.
        HeaderValue::from_bytes(self.0.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// What the edge says of a request to whoever gets it, as long as it is not written in it: two maps of names and values cost
/// more than the lines that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    peer: IpAddr,
    tls: bool,
    subject: Option<ClientSubject>,
}

impl Introduction {
    pub(super) fn of(arrival: &Arrival<'_>) -> Self {
        Self { peer: arrival.peer.to_canonical(), tls: arrival.tls, subject: arrival.subject.cloned() }
    }

    /// Whether it may write this name, which is in lower case.
    pub fn may_write(name: &str) -> bool {
        matches!(name, FORWARDED_FOR | FORWARDED_PROTO | FORWARDED_HOST | REAL_IP | FORWARDED)
            || name.eq_ignore_ascii_case(CLIENT_SUBJECT)
    }

    pub fn write(&self, request: &mut RequestHeader) {
        let arrival =
            Arrival { peer: self.peer, tls: self.tls, subject: self.subject.as_ref(), trusted: &[], force: None };
        describe(request, &arrival, self.peer, false, &Seen::default());
    }

    /// The same as lines of a head.
    pub fn put(&self, request: &RequestHeader, head: &mut BytesMut) {
        let proto = proto(self.tls);
        let host = host_of(request);
        head.put_slice(b"X-Forwarded-For: ");
        put_address(head, self.peer);
        head.put_slice(b"\r\nForwarded: ");
        put_forwarded(head, self.peer, host, proto);
        head.put_slice(b"\r\n");
        put_line(head, b"X-Forwarded-Proto", proto.as_bytes());
        if let Some(host) = host {
            put_line(head, b"X-Forwarded-Host", host);
        }
        if let Some(subject) = &self.subject {
            put_line(head, CLIENT_SUBJECT.as_bytes(), subject.header_value().as_bytes());
        }
    }
}

/// Writes `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded`.
///
/// One buffer holds the new values; the header map copies none of them.
pub(super) fn describe(request: &mut RequestHeader, arrival: &Arrival<'_>, client: IpAddr, trusted: bool, seen: &Seen) {
    let peer = arrival.peer.to_canonical();
    let proto = proto(arrival.tls);
    let host = host_of(request).and_then(|host| HeaderValue::from_bytes(host).ok());
    let mut text = BytesMut::with_capacity(192);

    if trusted {
        keep(&mut text, request, FORWARDED_FOR);
    }
    put_address(&mut text, peer);
    let addresses = text.split().freeze();

    if trusted {
        keep(&mut text, request, FORWARDED);
    }
    put_forwarded(&mut text, peer, host.as_ref().map(HeaderValue::as_bytes), proto);
    let forwarded = text.split().freeze();

    set(request, "X-Forwarded-For", value(addresses));
    set(request, "Forwarded", value(forwarded));
    if !(trusted && seen.proto) {
        set(request, "X-Forwarded-Proto", HeaderValue::from_static(proto));
    }
    match host {
        _ if trusted && seen.host => {}
        Some(host) => set(request, "X-Forwarded-Host", host),
        // HTTP/1.0 need not say for which host it asks; then nobody else may.
        None if seen.host => drop(request.remove_header(FORWARDED_HOST)),
        None => {}
    }
    if let Some(subject) = arrival.subject {
        set(request, CLIENT_SUBJECT, subject.header_value());
    }
    if seen.real_ip && !trusted {
        let address = client.to_string();
        set(request, "X-Real-IP", HeaderValue::try_from(address).expect("an address is text"));
    }
}

const fn proto(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// The element that this edge adds to `Forwarded` (RFC 7239).
fn put_forwarded(text: &mut BytesMut, peer: IpAddr, host: Option<&[u8]>, proto: &str) {
    match peer {
        IpAddr::V4(_) => {
            text.put_slice(b"for=");
            put_address(text, peer);
        }
        IpAddr::V6(peer) => write!(text, "for=\"[{peer}]\"").expect("memory takes it"),
    }
    if let Some(host) = host {
        text.put_slice(b";host=\"");
        text.put_slice(host);
        text.put_u8(b'"');
    }
    text.put_slice(b";proto=");
    text.put_slice(proto.as_bytes());
}

/// The same text as `Display` gives, without its machinery for what is in every request.
fn put_address(text: &mut BytesMut, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        return write!(text, "{address}").expect("memory takes it");
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.put_u8(b'.');
        }
        if octet >= 100 {
            text.put_u8(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.put_u8(b'0' + octet / 10 % 10);
        }
        text.put_u8(b'0' + octet % 10);
    }
}

fn host_of(request: &RequestHeader) -> Option<&[u8]> {
    let header = request.headers.get(header::HOST).map(HeaderValue::as_bytes);
    header.or_else(|| request.uri.authority().map(|authority| authority.as_str().as_bytes()))
}

/// The lines that are there already, as one list that goes on.
fn keep(text: &mut BytesMut, request: &RequestHeader, name: &str) {
    for line in request.headers.get_all(name) {
        if !line.as_bytes().trim_ascii().is_empty() {
            text.put_slice(line.as_bytes());
            text.put_slice(b", ");
        }
    }
}
