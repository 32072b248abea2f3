//! Cleans a request as it arrives, and says in it which client asked, how, and for which host.

use std::net::IpAddr;

use http::{Method, Version};
use pingora::http::authority::{RawTargetAuthority, raw_target_authority};

use super::forwarded::ForwardedHeaders;
use super::peer_facts::PeerFacts;
use super::{client, continued, hop_by_hop};
use crate::compile::ForceRule;
use crate::guard::authority;
use crate::message::{FORGEABLE_FAMILIES, FORGEABLE_WITH_UNDERSCORE, Key, Name, RequestHead};

/// Facts that the edge takes from the fields before they are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub client: IpAddr,
    /// The peer is a proxy that may speak for others.
    pub trusted: bool,
    /// The side that the client has forced, if it may; `None` also if it is not UTF-8.
    pub forced: Option<Box<str>>,
    /// The request asks for a WebSocket. No other upgrade is left in it.
    pub upgrade: bool,
    /// The peer is trusted and names the client: its connection may carry several clients.
    pub for_others: bool,
    /// The client came with TLS, to this edge or to a trusted proxy before it.
    pub secure: bool,
}

/// Removes the fields that a client must not send, adds those of the edge, and makes the target a path.
///
/// To be called once, after [`check`](crate::guard::framing::check) and before routing: then routing, each attempt and each
/// copy start from the same clean request. Fields of the client's connection stay until
/// [`without_hop_by_hop`](super::without_hop_by_hop).
pub fn receive(request: &mut RequestHead, arrival: &PeerFacts<'_>) -> Received {
    let (received, forwarded) = clean(request, arrival);
    if let Some(forwarded) = forwarded {
        forwarded.write(&mut request.fields);
    }
    received
}

/// The same, but leaves the forwarding fields to be written later, unless a trusted peer has sent the request.
///
/// The host is the Host field from here on: that of an absolute target or `:authority` is moved there.
pub fn clean(request: &mut RequestHead, arrival: &PeerFacts<'_>) -> (Received, Option<ForwardedHeaders>) {
    let trusted = client::is_trusted(arrival.peer.to_canonical(), arrival.trusted);
    let client = client::address(arrival.peer, &request.fields, arrival.trusted);
    let forced = forced(request, client, arrival.force);

    let seen = look(request, trusted, arrival.force);
    let upgrade = seen.upgrade && is_web_socket(request);
    if seen.upgrade && !upgrade {
        request.fields.remove(Name::Upgrade);
    }
    if seen.cookies > 1 {
        join_cookies(request);
    }
    if request.version == Version::HTTP_10 {
        // A client of HTTP/1.0 does not know what 100 means (RFC 9110, 10.1.1).
        request.fields.remove(Name::Expect);
    }
    name_host(request);
    let for_others = trusted && seen.forwarded;
    let received = Received { client, trusted, forced, upgrade, for_others, secure: arrival.tls };
    if trusted {
        let secure = continued::describe(&mut request.fields, arrival);
        return (Received { secure, ..received }, None);
    }
    if seen.forwarded {
        forget_forwarded(request, client);
    }
    (received, Some(ForwardedHeaders::of(arrival)))
}

/// Removes the forwarding fields of an untrusted peer: those of the edge are the only ones then.
fn forget_forwarded(request: &mut RequestHead, client: IpAddr) {
    if request.fields.has(Name::XRealIp) {
        request.fields.set(Name::XRealIp, client.to_string().as_bytes());
    }
    for name in [Name::XForwardedFor, Name::XForwardedProto, Name::XForwardedHost, Name::Forwarded] {
        request.fields.remove(name);
    }
}

/// Findings of one pass over the fields.
#[derive(Default)]
struct Seen {
    cookies: usize,
    upgrade: bool,
    /// The request says itself, by a field that stays, what the edge would say.
    forwarded: bool,
}

/// Removes the fields that no client may send, and notes those that stay.
fn look(request: &mut RequestHead, trusted: bool, force: Option<&ForceRule>) -> Seen {
    let mut seen = Seen::default();
    let mut forbidden = false;
    let is_force = |name, text: &[u8]| {
        force.is_some_and(|rule| match Key::from(&rule.header) {
            Key::Known(own) => own == name,
            Key::Other(own) => own.eq_ignore_ascii_case(text),
        })
    };
    for (name, text, _) in request.fields.named() {
        match name {
            Name::Cookie => seen.cookies += 1,
            Name::Upgrade => seen.upgrade = true,
            Name::XForwardedFor | Name::XForwardedProto | Name::XForwardedHost | Name::XRealIp => seen.forwarded = true,
            _ if is_forbidden(name, text, trusted) || is_force(name, text) => forbidden = true,
            Name::Forwarded => seen.forwarded = true,
            _ => {}
        }
    }
    if forbidden {
        request.fields.retain(|name, text, _| !is_forbidden(name, text, trusted) && !is_force(name, text));
    }
    seen
}

/// Names that no client may send.
fn is_forbidden(name: Name, text: &[u8], trusted: bool) -> bool {
    match name {
        // httpoxy: CGI programs read `Proxy` as the variable HTTP_PROXY. The others are between the client and us alone.
        Name::Proxy | Name::ProxyAuthorization | Name::ProxyAuthenticate | Name::Http2Settings => true,
        Name::XForwardedPort => !trusted,
        // A trusted peer says `X-Forwarded-Proto`; `x-forwarded-client_subject` is what it has passed on unread.
        Name::Other if text.contains(&b'_') && reads_like_ours(text) => true,
        Name::Other if begins(text, b"x-multilith-") => true,
        Name::Other if begins(text, b"x-forwarded-") => !trusted,
        _ => false,
    }
}

fn begins(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
}

/// Whether a program that takes `_` for `-`, as every CGI and WSGI does, would read this as framing, as forwarding, or as a
/// header of ours.
fn reads_like_ours(name: &[u8]) -> bool {
    let same = |text: &str, name: &[u8]| {
        let letter = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        text.len() == name.len() && text.bytes().zip(name).all(|(a, &b)| a == letter(b))
    };
    FORGEABLE_WITH_UNDERSCORE.iter().any(|text| same(text, name))
        || FORGEABLE_FAMILIES.iter().any(|text| name.get(..text.len()).is_some_and(|head| same(text, head)))
}

fn forced(request: &RequestHead, client: IpAddr, rule: Option<&ForceRule>) -> Option<Box<str>> {
    let rule = rule?;
    let value = request.fields.text(&rule.header)?;
    client::is_trusted(client, &rule.from).then(|| value.into())
}

/// RFC 6455, 4.1, as far as it matters to a proxy.
fn is_web_socket(request: &RequestHead) -> bool {
    request.version == Version::HTTP_11
        && request.method == Method::GET
        && hop_by_hop::asks_for_web_socket(&request.fields)
}

/// HTTP/2 clients send one line for each cookie; before HTTP/2 there is one line for all (RFC 9113, 8.2.3).
fn join_cookies(request: &mut RequestHead) {
    let crumbs = request.fields.all(Name::Cookie).filter(|crumb| !crumb.is_empty());
    let joined = crumbs.collect::<Vec<_>>().join(&b"; "[..]);
    request.fields.set(Name::Cookie, &joined);
}

/// Makes an absolute target a path. The host that it or `:authority` names is the Host field from here on; a Host that says
/// the same in other words stays as it came (RFC 9112, 3.2.2).
fn name_host(request: &mut RequestHead) {
    let (host, default_port) = if request.version == Version::HTTP_2 {
        let Some(authority) = request.authority() else { return };
        if request.fields.get(Name::Host) == Some(authority) {
            // Mostly it is the authority itself.
            return request.set_authority(None);
        }
        (authority.to_vec(), None)
    } else {
        let target = request.target();
        if matches!(target, [b'/', ..] | b"*") {
            return;
        }
        let RawTargetAuthority::Absolute { scheme, authority, path_and_query } = raw_target_authority(target) else {
            return;
        };
        let host = authority.to_vec();
        let default_port = authority::default_port(scheme);
        let path = match path_and_query {
            b"" if request.method == Method::OPTIONS => b"*".to_vec(),
            [b'/', ..] => path_and_query.to_vec(),
            rest => [b"/", rest].concat(),
        };
        request.set_target(&path);
        (host, default_port)
    };
    request.set_authority(None);
    match request.fields.get(Name::Host) {
        Some(own) if authority::is_same(own, &host, default_port) => {}
        Some(_) => request.fields.set(Name::Host, &host),
        None => request.fields.prepend(Name::Host, &host),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
