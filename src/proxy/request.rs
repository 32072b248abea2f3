//! Reads of a request's head that the steps share.

use std::net::IpAddr;

use http::{Method, Version};

use crate::message::{Name, RequestHead};
use crate::route::Facts;

/// The address of a client that came over a Unix socket.
pub const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// The same facts for the proxy and for `explain`.
pub fn facts<'a>(
    head: &'a RequestHead,
    path: &'a str,
    announced: Option<&'a Method>,
    client: Option<IpAddr>,
    upgrade: bool,
) -> Facts<'a> {
    let preflight = announced.map(|_| head.fields.text(Name::AccessControlRequestHeaders).unwrap_or(""));
    Facts {
        method: announced.unwrap_or(&head.method),
        preflight,
        host: host(head),
        path,
        query: head.query(),
        headers: &head.fields,
        client,
        upgrade,
    }
}

/// The method that a CORS preflight announces; `None` for every other request.
pub fn announced_method(head: &RequestHead) -> Option<Method> {
    if head.method != Method::OPTIONS {
        return None;
    }
    Method::from_bytes(head.fields.get(Name::AccessControlRequestMethod)?).ok()
}

/// The host and port that the client asked. Behind `clean`, the Host field says it for every form of request.
pub fn authority(head: &RequestHead) -> &str {
    head.fields.text(Name::Host).unwrap_or("")
}

/// The same without the port.
pub fn host(head: &RequestHead) -> &str {
    without_port(authority(head))
}

fn without_port(host: &str) -> &str {
    if !host.ends_with(|last: char| last == ':' || last.is_ascii_digit()) {
        // Most names end with a letter.
        return host;
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The protocol that the client speaks, as logs name it.
pub const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
