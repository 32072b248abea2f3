//! Says in a request which client asked, how, and for which host: the forwarding fields.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use super::request::{Arrival, Seen};
use crate::message::{self, Fields, Name};

/// Being one of `X-Forwarded-`, it is removed from what clients send.
const CLIENT_SUBJECT: &str = "X-Forwarded-Client-Subject";

/// The subject of the certificate that the client has shown and that was verified, as `CN=alice, O=Example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSubject(pub Arc<str>);

impl ClientSubject {
    fn value(&self) -> &[u8] {
        // A subject with control characters is told as none.
        if message::is_value(self.0.as_bytes()) { self.0.as_bytes() } else { b"" }
    }
}

/// The forwarding fields of a request that has none of its own, before they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedHeaders {
    peer: IpAddr,
    tls: bool,
    subject: Option<ClientSubject>,
}

impl ForwardedHeaders {
    pub(super) fn of(arrival: &Arrival<'_>) -> Self {
        Self { peer: arrival.peer.to_canonical(), tls: arrival.tls, subject: arrival.subject.cloned() }
    }

    /// Whether a field of this name, in any case, may be one of them.
    #[must_use]
    pub fn may_write(name: &str) -> bool {
        let known = matches!(
            Name::of(name.as_bytes()),
            Name::XForwardedFor
                | Name::XForwardedProto
                | Name::XForwardedHost
                | Name::XForwardedPort
                | Name::XRealIp
                | Name::Forwarded
        );
        known || name.eq_ignore_ascii_case(CLIENT_SUBJECT)
    }

    /// Adds them to the request's fields.
    pub fn write(&self, fields: &mut Fields) {
        let proto = proto(self.tls);
        // The host stays where it is in the buffer: appending moves nothing.
        let host = fields.place(Name::Host).filter(|host| !host.is_empty());
        fields.append_with(Name::XForwardedFor, |text| put_address(text, self.peer));
        fields.append_with(Name::Forwarded, |text| {
            put_forwarded_for(text, self.peer);
            if let Some(host) = host.clone() {
                text.extend_from_slice(b";host=\"");
                text.extend_from_within(host);
                text.push(b'"');
            }
            put_forwarded_proto(text, proto);
        });
        fields.append(Name::XForwardedProto, proto.as_bytes());
        if let Some(host) = host {
            fields.append_with(Name::XForwardedHost, |text| text.extend_from_within(host.clone()));
            fields.append_with(Name::XForwardedPort, |text| match digits_behind_colon(&text[host.clone()]) {
                0 => text.extend_from_slice(default_port(proto.as_bytes())),
                length => text.extend_from_within(host.end - length..host.end),
            });
        }
        if let Some(subject) = &self.subject {
            fields.append(CLIENT_SUBJECT, subject.value());
        }
    }
}

/// Writes `X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `Forwarded` into a request that has some of them already. A
/// trusted peer's are continued or kept.
pub(super) fn describe(fields: &mut Fields, arrival: &Arrival<'_>, client: IpAddr, trusted: bool, seen: &Seen) {
    let peer = arrival.peer.to_canonical();
    let proto = proto(arrival.tls);
    let host = host_of(fields).map(<[u8]>::to_vec);
    let mut text = Vec::with_capacity(192);

    if trusted {
        keep(&mut text, fields, Name::XForwardedFor);
    }
    put_address(&mut text, peer);
    fields.set(Name::XForwardedFor, &text);

    text.clear();
    if trusted {
        keep(&mut text, fields, Name::Forwarded);
    }
    put_forwarded(&mut text, peer, host.as_deref(), proto);
    fields.set(Name::Forwarded, &text);

    if !(trusted && seen.proto) {
        fields.set(Name::XForwardedProto, proto.as_bytes());
    }
    match &host {
        _ if trusted && seen.host => {}
        Some(host) => fields.set(Name::XForwardedHost, host),
        // HTTP/1.0 need not say for which host it asks; then the client may not say it here.
        None => fields.remove(Name::XForwardedHost),
    }
    if !(trusted && fields.has(Name::XForwardedPort)) {
        // The port that belongs to the host and the scheme that are told, also where those of a trusted peer were kept.
        let first = |name| fields.get(name).and_then(|list| list.split(|byte| *byte == b',').next());
        let (told_host, told_proto) = if trusted {
            (first(Name::XForwardedHost), first(Name::XForwardedProto).unwrap_or_default())
        } else {
            (host.as_deref(), proto.as_bytes())
        };
        match told_host.map(|host| port_of(host.trim_ascii(), told_proto.trim_ascii()).to_vec()) {
            Some(port) => fields.set(Name::XForwardedPort, &port),
            None => fields.remove(Name::XForwardedPort),
        }
    }
    if let Some(subject) = arrival.subject {
        fields.set(CLIENT_SUBJECT, subject.value());
    }
    if seen.real_ip && !trusted {
        text.clear();
        put_address(&mut text, client);
        fields.set(Name::XRealIp, &text);
    }
}

const fn proto(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

fn host_of(fields: &Fields) -> Option<&[u8]> {
    fields.get(Name::Host).filter(|host| !host.is_empty())
}

/// The port that the client asked: that of the host, else the scheme's.
fn port_of<'a>(host: &'a [u8], proto: &[u8]) -> &'a [u8] {
    match digits_behind_colon(host) {
        0 => default_port(proto),
        length => &host[host.len() - length..],
    }
}

/// The length of the port behind a host; 0: there is none.
fn digits_behind_colon(host: &[u8]) -> usize {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let colon = host.len().checked_sub(digits + 1).is_some_and(|at| host[at] == b':');
    if colon { digits } else { 0 }
}

const fn default_port(proto: &[u8]) -> &'static [u8] {
    if proto.eq_ignore_ascii_case(b"https") { b"443" } else { b"80" }
}

/// The element that this edge adds to `Forwarded` (RFC 7239).
fn put_forwarded(text: &mut Vec<u8>, peer: IpAddr, host: Option<&[u8]>, proto: &str) {
    put_forwarded_for(text, peer);
    if let Some(host) = host {
        text.extend_from_slice(b";host=\"");
        text.extend_from_slice(host);
        text.push(b'"');
    }
    put_forwarded_proto(text, proto);
}

fn put_forwarded_for(text: &mut Vec<u8>, peer: IpAddr) {
    match peer {
        IpAddr::V4(_) => {
            text.extend_from_slice(b"for=");
            put_address(text, peer);
        }
        IpAddr::V6(peer) => write!(text, "for=\"[{peer}]\"").expect("memory takes it"),
    }
}

fn put_forwarded_proto(text: &mut Vec<u8>, proto: &str) {
    text.extend_from_slice(b";proto=");
    text.extend_from_slice(proto.as_bytes());
}

/// The same text as `Display` gives, without its machinery for what is in every request.
fn put_address(text: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        return write!(text, "{address}").expect("memory takes it");
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
}

/// The lines that are there already, as one list that goes on.
fn keep(text: &mut Vec<u8>, fields: &Fields, name: Name) {
    for line in fields.all(name).filter(|line| !line.is_empty()) {
        text.extend_from_slice(line);
        text.extend_from_slice(b", ");
    }
}
