//! Continues what a trusted peer says of the client, so that `Forwarded` and `X-Forwarded-*` never contradict each other
//! (RFC 7239, section 7.4): applications believe the one or the other.

use std::borrow::Cow;
use std::net::IpAddr;

use super::client::walk;
use super::elements::{Element, addresses, forwarded, is_open};
use super::forwarded::{digits_behind_colon, is_secure, port_of, proto, put_address, put_node, put_subject};
use super::peer_facts::PeerFacts;

use crate::guard::authority;
use crate::message::{Fields, Key, Name};

/// Writes `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` into the request of a trusted peer, and `Forwarded` where the peer
/// has sent one or the file asks for it. True: the client came with TLS.
///
/// The peer's `X-Forwarded-*` fields are kept, and what it says in `Forwarded` alone is said there, too. A `Forwarded` that says something
/// else than `X-Forwarded-*` is written anew: many balancers let a client's own pass unread.
pub(super) fn describe(fields: &mut Fields, arrival: &PeerFacts<'_>) -> bool {
    let peer = arrival.peer.to_canonical();
    let told = Told::of(fields, arrival, peer);
    let list = address_list(fields, peer);
    let element = match &told.forwarded {
        Some(own) if own.agrees => Some(appended(fields, own, &told, peer)),
        Some(_) => Some(made(&list, &told)),
        None if arrival.forwarded => Some(made(&list, &told)),
        None => None,
    };
    fields.set(Name::XForwardedFor, &list);
    if let Some(element) = element {
        fields.set(Name::Forwarded, &element);
    }
    if first(fields, Name::XForwardedProto).is_none() {
        fields.set(Name::XForwardedProto, &told.proto);
    }
    if first(fields, Name::XForwardedHost).is_none() {
        match &told.host {
            Some(host) => fields.set(Name::XForwardedHost, host),
            // HTTP/1.0 need not say for which host it asks.
            None => fields.remove(Name::XForwardedHost),
        }
    }
    if first(fields, Name::XForwardedPort).is_none() {
        fields.set(Name::XForwardedPort, &told.port);
    }
    if let Some(subject) = arrival.subject {
        put_subject(fields, subject);
    }
    is_secure(&told.proto)
}

/// How the client came, as far as trusted proxies know.
struct Told {
    proto: Vec<u8>,
    host: Option<Vec<u8>>,
    port: Vec<u8>,
    /// The content of the peer's own `Forwarded`.
    forwarded: Option<OwnForwarded>,
}

struct OwnForwarded {
    /// It says nothing else than `X-Forwarded-*`, wherever in it one looks.
    agrees: bool,
    has_proto: bool,
    has_host: bool,
}

impl Told {
    fn of(fields: &Fields, arrival: &PeerFacts<'_>, peer: IpAddr) -> Self {
        let own_proto = first(fields, Name::XForwardedProto).or_else(|| older_proto(fields));
        let own_host = first(fields, Name::XForwardedHost);
        let own_port = first(fields, Name::XForwardedPort);
        let said = fields.has(Name::Forwarded).then(|| Said::of(fields, arrival, peer));
        // Of another client than `X-Forwarded-For`, it is the client's own invention.
        let believed = said.as_ref().filter(|said| {
            let has_addresses = fields.has(Name::XForwardedFor);
            !has_addresses || walk(peer, addresses(fields), arrival.trusted, |_| {}) == said.address
        });
        let proto = own_proto.or_else(|| believed.and_then(|said| said.proto.as_deref()));
        let proto = proto.unwrap_or_else(|| proto_of(arrival)).to_vec();
        let host = own_host.or_else(|| believed.and_then(|said| said.host.as_deref()));
        let host = host.or_else(|| fields.get(Name::Host).filter(|host| !host.is_empty())).map(<[u8]>::to_vec);
        let port = own_port.unwrap_or_else(|| port_of(host.as_deref().unwrap_or_default(), &proto)).to_vec();
        let forwarded = said.as_ref().map(|said| OwnForwarded {
            agrees: believed.is_some()
                && !fields.all(Name::Forwarded).any(is_open)
                && same(said.first_proto.as_deref(), Some(&proto))
                && same(said.first_host.as_deref(), host.as_deref())
                && said.first_host.as_deref().is_none_or(|host| port_of(host, &proto) == port),
            has_proto: said.first_proto.is_some(),
            has_host: said.first_host.is_some(),
        });
        Self { proto, host, port, forwarded }
    }
}

/// The scheme in the fields that were written before `X-Forwarded-Proto` was usual: applications read them still.
fn older_proto(fields: &Fields) -> Option<&[u8]> {
    let scheme = first(fields, "x-forwarded-scheme").filter(|scheme| is_scheme(scheme));
    let by_switch = || {
        let switch = first(fields, "x-forwarded-ssl").or_else(|| first(fields, "front-end-https"))?;
        let (on, off) = (switch.eq_ignore_ascii_case(b"on"), switch.eq_ignore_ascii_case(b"off"));
        (on || off).then(|| proto(on).as_bytes())
    };
    scheme.or_else(by_switch)
}

fn proto_of(arrival: &PeerFacts<'_>) -> &'static [u8] {
    proto(arrival.tls).as_bytes()
}

/// The content of `Forwarded`.
struct Said<'a> {
    /// The client, by what trusted proxies wrote.
    address: IpAddr,
    /// As the trusted proxy that is nearest to the client has it.
    proto: Option<Cow<'a, [u8]>>,
    host: Option<Cow<'a, [u8]>>,
    /// As a reader of the first element that has one understands it.
    first_proto: Option<Cow<'a, [u8]>>,
    first_host: Option<Cow<'a, [u8]>>,
}

impl<'a> Said<'a> {
    fn of(fields: &'a Fields, arrival: &PeerFacts<'_>, peer: IpAddr) -> Self {
        let (mut proto, mut host) = (None, None);
        let address = walk(peer, forwarded(fields), arrival.trusted, |element| {
            proto = element.parameter(b"proto").filter(|proto| is_scheme(proto)).or_else(|| proto.take());
            host = element.parameter(b"host").filter(|host| authority::is_valid(host)).or_else(|| host.take());
        });
        let (mut first_proto, mut first_host) = (None, None);
        for element in forwarded(fields) {
            first_proto = element.parameter(b"proto").or(first_proto);
            first_host = element.parameter(b"host").or(first_host);
        }
        Self { address, proto, host, first_proto, first_host }
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// A value that is missing contradicts nothing.
fn same(said: Option<&[u8]>, told: Option<&[u8]>) -> bool {
    said.is_none_or(|said| told.is_some_and(|told| said.eq_ignore_ascii_case(told)))
}

/// The first value of a list: that of the proxy which is nearest to the client.
fn first<'f, 'k>(fields: &'f Fields, name: impl Into<Key<'k>>) -> Option<&'f [u8]> {
    let list = fields.get(name)?;
    list.split(|byte| *byte == b',').next().map(<[u8]>::trim_ascii).filter(|value| !value.is_empty())
}

/// `X-Forwarded-For` with the peer at its end. Where the peer has sent none, the addresses of its `Forwarded`.
fn address_list(fields: &Fields, peer: IpAddr) -> Vec<u8> {
    let mut list = Vec::with_capacity(64);
    if fields.has(Name::XForwardedFor) {
        keep(&mut list, fields, Name::XForwardedFor);
    } else {
        let elements: Vec<Element<'_>> = forwarded(fields).collect();
        for element in elements.iter().rev() {
            match element.address() {
                Some(address) => put_address(&mut list, address),
                None => list.extend_from_slice(b"unknown"),
            }
            list.extend_from_slice(b", ");
        }
    }
    put_address(&mut list, peer);
    list
}

/// The peer's `Forwarded` with an element for the peer itself. That says only what no other one says.
fn appended(fields: &Fields, own: &OwnForwarded, told: &Told, peer: IpAddr) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    keep(&mut text, fields, Name::Forwarded);
    put_node(&mut text, Some(peer));
    if !own.has_host {
        put_host(&mut text, told);
    }
    if !own.has_proto {
        put_proto(&mut text, told);
    }
    text
}

/// `Forwarded` with an element for each address of this list; the first says how the client came.
fn made(list: &[u8], told: &Told) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    for (number, address) in list.split(|byte| *byte == b',').enumerate() {
        if number > 0 {
            text.extend_from_slice(b", ");
        }
        put_node(&mut text, Element::Address(address.trim_ascii()).address());
        if number == 0 {
            put_host(&mut text, told);
            put_proto(&mut text, told);
        }
    }
    text
}

/// With the port where `X-Forwarded-Port` alone has it.
fn put_host(text: &mut Vec<u8>, told: &Told) {
    let Some(host) = told.host.as_deref().filter(|host| authority::is_valid(host)) else { return };
    text.extend_from_slice(b";host=\"");
    text.extend_from_slice(host);
    if digits_behind_colon(host) == 0 && port_of(host, &told.proto) != told.port && is_port(&told.port) {
        text.push(b':');
        text.extend_from_slice(&told.port);
    }
    text.push(b'"');
}

fn is_port(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<u16>().is_ok())
}

fn put_proto(text: &mut Vec<u8>, told: &Told) {
    if is_scheme(&told.proto) {
        text.extend_from_slice(b";proto=");
        text.extend_from_slice(&told.proto);
    }
}

/// The lines that are there already, as one list that goes on.
fn keep(text: &mut Vec<u8>, fields: &Fields, name: Name) {
    for line in fields.all(name).filter(|line| !line.is_empty()) {
        text.extend_from_slice(line);
        text.extend_from_slice(b", ");
    }
}

#[cfg(test)]
#[path = "continued_tests.rs"]
mod tests;
