//! A sign-in that belongs to a connection (NTLM, Negotiate): the server knows the client by the connection, so that the upstream's
//! connection must serve no other client. It waits in the client's own connection, not in the pool.

use std::time::Instant;

use http::StatusCode;

use super::exchange::Exchange;
use crate::client::{End, Socket, idle_pool};
use crate::downstream::SignedIn;
use crate::message::{Fields, Name, ResponseHead, elements};
use crate::upstream::Lease;

/// Schemes of sign-ins that belong to a connection (RFC 4559, 6).
const SCHEMES: [&[u8]; 3] = [b"NTLM", b"Negotiate", b"Nego2"];

/// Whether one of the field's elements is of such a scheme.
fn names_scheme(fields: &Fields, name: Name) -> bool {
    let scheme = |element: &[u8]| {
        let word = element.split(|byte| *byte == b' ').next().unwrap_or_default();
        SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
    };
    fields.all(name).flat_map(elements).any(scheme)
}

/// The upstream asks for such a sign-in.
pub fn is_asked_for(head: &ResponseHead) -> bool {
    head.status == StatusCode::UNAUTHORIZED && names_scheme(&head.fields, Name::WwwAuthenticate)
}

/// The request is part of such a sign-in, or comes behind one: no copy of it may be sent.
pub fn concerns(exchange: &Exchange) -> bool {
    !exchange.signed_in.is_empty() || names_scheme(&exchange.head.fields, Name::Authorization)
}

/// The connection to the current upstream on which the client has signed in, if it is still there. A request that is sent again
/// gets another.
pub fn resume(exchange: &mut Exchange, now: Instant) -> Option<(Lease, Socket)> {
    if exchange.signed_in.is_empty() || !exchange.tried.is_empty() {
        return None;
    }
    let longest = exchange.generation.snapshot.limits.idle_timeout;
    exchange.signed_in.retain_mut(|own| {
        let waited = now.saturating_duration_since(own.since);
        longest.is_none_or(|longest| waited < longest) && idle_pool::is_silent(&mut own.socket)
    });
    let pool = exchange.generation.pool(exchange.target);
    let found = exchange.signed_in.iter().zip(0..).find_map(|(own, at)| pool.lease_on(own.key).zip(Some(at)));
    let (lease, at) = found?;
    Some((lease, exchange.signed_in.swap_remove(at).socket))
}

/// Decides about the upstream's connection behind a whole response: given back if any client may have it next.
pub fn keep_apart(exchange: &mut Exchange, upstream: End) -> Option<End> {
    if !exchange.attempt.signed_in && !names_scheme(&exchange.head.fields, Name::Authorization) {
        return Some(upstream);
    }
    // A peer that carries several clients, and HTTP/2, which many proxies before us speak, have no connection for each client: the
    // upstream's is closed.
    if !exchange.for_others
        && !exchange.is_http2()
        && let Some(key) = exchange.attempt.lease.as_ref().map(Lease::connection_key)
        && let End::Http1(conn) = upstream
        && let Some(socket) = conn.reuse()
    {
        exchange.signed_in.retain(|own| own.key != key);
        exchange.signed_in.push(SignedIn { socket, key, since: Instant::now() });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemes_that_belong_to_a_connection_are_told_apart() {
        for (status, value, expected) in [
            (401, "NTLM", true),
            (401, "Negotiate", true),
            (401, "negotiate oYGeMIGb", true),
            (401, "Basic realm=\"x\", NTLM", true),
            (401, "Nego2", true),
            (401, "Basic realm=\"NTLM\"", false),
            (401, "Bearer", false),
            (401, "NTLMv9", false),
            (403, "NTLM", false),
            (200, "Negotiate oRQwEqADCgEA", false),
        ] {
            let text = format!("HTTP/1.1 {status} X\r\nWWW-Authenticate: {value}\r\n\r\n");
            let head = ResponseHead::parse(text.as_bytes()).expect("a head");
            assert_eq!(is_asked_for(&head), expected, "{status} {value}");
        }
    }
}
