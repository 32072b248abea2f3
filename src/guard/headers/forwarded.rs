//! Says in a request which client asked, how, and for which host: the forwarding fields.

use std::io::Write as _;
use std::net::IpAddr;

use super::peer_facts::{ClientSubject, PeerFacts};
use crate::message::{Fields, Name};

/// Being one of `X-Forwarded-`, it is removed from what clients send.
const CLIENT_SUBJECT: &str = "X-Forwarded-Client-Subject";

/// The forwarding fields of a request that has none of its own, before they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedHeaders {
    peer: IpAddr,
    tls: bool,
    subject: Option<ClientSubject>,
    /// `Forwarded` is one of them.
    forwarded: bool,
}

impl ForwardedHeaders {
    pub(super) fn of(arrival: &PeerFacts<'_>) -> Self {
        Self {
            peer: arrival.peer.to_canonical(),
            tls: arrival.tls,
            subject: arrival.subject.cloned(),
            forwarded: arrival.forwarded,
        }
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
        if self.forwarded {
            fields.append_with(Name::Forwarded, |text| {
                put_node(text, Some(self.peer));
                if let Some(host) = host.clone() {
                    // A Host that was let in has no character to be escaped.
                    text.extend_from_slice(b";host=\"");
                    text.extend_from_within(host);
                    text.push(b'"');
                }
                text.extend_from_slice(b";proto=");
                text.extend_from_slice(proto.as_bytes());
            });
        }
        fields.append(Name::XForwardedProto, proto.as_bytes());
        if let Some(host) = host.clone() {
            fields.append_with(Name::XForwardedHost, |text| text.extend_from_within(host));
        }
        fields.append_with(Name::XForwardedPort, |text| {
            let port = host.clone().map_or(0, |host| digits_behind_colon(&text[host]));
            match host {
                Some(host) if port > 0 => text.extend_from_within(host.end - port..host.end),
                _ => text.extend_from_slice(default_port(proto.as_bytes())),
            }
        });
        if let Some(subject) = &self.subject {
            put_subject(fields, subject);
        }
    }
}

/// Says whose certificate the client has shown.
pub(super) fn put_subject(fields: &mut Fields, subject: &ClientSubject) {
    fields.set(CLIENT_SUBJECT, subject.value());
}

pub(super) const fn proto(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// The port that the client asked: that of the host, else the scheme's.
pub(super) fn port_of<'a>(host: &'a [u8], proto: &[u8]) -> &'a [u8] {
    match digits_behind_colon(host) {
        0 => default_port(proto),
        length => &host[host.len() - length..],
    }
}

/// The length of the port behind a host; 0: there is none.
pub(super) fn digits_behind_colon(host: &[u8]) -> usize {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let colon = host.len().checked_sub(digits + 1).is_some_and(|at| host[at] == b':');
    if colon { digits } else { 0 }
}

/// Whether the client came with TLS. A proxy may say of a WebSocket `wss`.
pub(super) const fn is_secure(proto: &[u8]) -> bool {
    proto.eq_ignore_ascii_case(b"https") || proto.eq_ignore_ascii_case(b"wss")
}

pub(super) const fn default_port(proto: &[u8]) -> &'static [u8] {
    if is_secure(proto) { b"443" } else { b"80" }
}

/// Begins an element of `Forwarded` (RFC 7239) with the requesting node; `None`: its address is not known.
pub(super) fn put_node(text: &mut Vec<u8>, node: Option<IpAddr>) {
    match node {
        None => text.extend_from_slice(b"for=unknown"),
        Some(node @ IpAddr::V4(_)) => {
            text.extend_from_slice(b"for=");
            put_address(text, node);
        }
        Some(IpAddr::V6(node)) => write!(text, "for=\"[{node}]\"").expect("memory takes it"),
    }
}

/// The same text as `Display` gives, without its machinery for what is in every request.
pub(super) fn put_address(text: &mut Vec<u8>, address: IpAddr) {
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
