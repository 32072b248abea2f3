//! Refuses what two programs could read in two ways, before anything routes on it.
//!
//! The parser of [`crate::message`] has refused what breaks the grammar of HTTP/1 (line ends, raw white space and control
//! characters in a target, folded lines, a space before the colon). Input that the grammar allows and two programs may still read in two
//! ways is refused here, over HTTP/1 and HTTP/2 alike.

use http::{Method, Version};
use pingora::http::authority::{RawTargetAuthority, is_http_family_scheme, raw_target_authority};

use super::{Refusal, authority};
use crate::compile::Limits;
use crate::message::{Name, RequestHead, digits, elements, is_of_forgeable_family};

/// Registered methods have at most 17 letters (`UPDATEREDIRECTREF`, `BASELINE-CONTROL`); this leaves room for inventions.
const LONGEST_METHOD: usize = 32;

/// Overhead of a field in the size of a list (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// More names in `Connection` than any client of use gives; each of them is compared with every field.
const MOST_NOMINATIONS: usize = 9;

/// Refuses a request head that is malformed, ambiguous, or larger than the limits allow.
///
/// `length` is that of the head in bytes as it came over HTTP/1, with its empty line. `None`: over HTTP/2, where target and
/// fields are counted as RFC 9113 counts them. The limit on the body depends on the route and is checked later, by
/// [`check_body`].
///
/// # Errors
/// Status, reason and whether the connection has to end. 431 comes before 400: of a head that is too large nothing else is
/// said.
pub fn check(request: &RequestHead, length: Option<usize>, limits: &Limits) -> Result<(), Refusal> {
    if exceeds(length.unwrap_or_else(|| list_size(request)), limits.request_head) {
        return Err(Refusal::closing(431, "request_head"));
    }
    if exceeds(request.fields.len(), limits.headers) {
        return Err(Refusal::closing(431, "headers"));
    }
    check_method(&request.method)?;
    let target = check_target(request)?;
    let seen = check_fields(request)?;
    check_host(request, seen.host, target)?;
    if seen.web_socket && seen.connection_upgrade && seen.body {
        // The first bytes of the tunnel could be taken for the body, or the body for the tunnel.
        return Err(Refusal::malformed("upgrade"));
    }
    Ok(())
}

/// Refuses a body that its own length says is too large. A chunked body has to be counted while it is read.
pub fn check_body(request: &RequestHead, limit: u64) -> Result<(), Refusal> {
    let length = request.fields.get(Name::ContentLength).and_then(digits);
    if length.is_some_and(|length| length > limit) { Err(Refusal::closing(413, "body")) } else { Ok(()) }
}

fn list_size(request: &RequestHead) -> usize {
    request.fields.weight() + request.fields.len() * FIELD_OVERHEAD + request.target().len()
}

fn check_method(method: &Method) -> Result<(), Refusal> {
    match *method {
        // CONNECT would make an open relay of the proxy; TRACE gives cookies and credentials to scripts.
        Method::CONNECT | Method::TRACE => Err(Refusal::closing(405, "method")),
        Method::GET | Method::POST | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::PATCH => {
            Ok(())
        }
        // IIS's name for TRACE.
        _ if method.as_str() == "TRACK" => Err(Refusal::closing(405, "method")),
        _ if method.as_str().len() > LONGEST_METHOD => Err(Refusal::closing(501, "method")),
        _ => Ok(()),
    }
}

/// The form of a target.
#[derive(Clone, Copy)]
enum Target {
    Path,
    /// It names a host by itself.
    Absolute,
}

fn check_target(request: &RequestHead) -> Result<Target, Refusal> {
    const BAD: Refusal = Refusal::malformed("target");
    let target = request.target();
    // A fragment belongs to the client alone: one reader cuts it off, another takes it for a part of the path. The parser
    // leaves none of the others; this is the last gate before a target is written to an upstream.
    if target.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#') {
        return Err(BAD);
    }
    match target {
        [b'/', ..] => Ok(Target::Path),
        b"*" if request.method == Method::OPTIONS => Ok(Target::Path),
        _ if request.version == Version::HTTP_2 => Err(BAD),
        _ => match raw_target_authority(target) {
            // RFC 9112 3.2.2: every server accepts this form.
            RawTargetAuthority::Absolute { scheme, authority, .. }
                if is_http_family_scheme(scheme) && authority::is_valid(authority) =>
            {
                Ok(Target::Absolute)
            }
            _ => Err(BAD),
        },
    }
}

/// Findings of the pass over the fields that are judged together.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    web_socket: bool,
    connection_upgrade: bool,
    body: bool,
}

fn check_fields(request: &RequestHead) -> Result<Seen<'_>, Refusal> {
    let http2 = request.version == Version::HTTP_2;
    let mut seen = Seen::default();
    let mut nominations = 0_usize;
    let (mut length, mut chunked) = (None, false);
    for (name, _, value) in request.fields.named() {
        match name {
            Name::Host if seen.host.is_some() => return Err(Refusal::malformed("host")),
            Name::Host => seen.host = Some(value),
            Name::ContentLength => {
                // One value, digits only. Two equal ones could be collapsed (RFC 9112, 6.3), but no honest client sends them.
                let Some(number) = digits(value) else { return Err(Refusal::malformed("content_length")) };
                if length.replace(number).is_some() {
                    return Err(Refusal::malformed("content_length"));
                }
            }
            Name::TransferEncoding => {
                let known = value.eq_ignore_ascii_case(b"chunked") && request.version == Version::HTTP_11;
                if !known || chunked {
                    return Err(Refusal::malformed("transfer_encoding"));
                }
                chunked = true;
            }
            // HTTP/2 has no fields of a connection (RFC 9113, 8.2.2).
            Name::Connection | Name::KeepAlive | Name::ProxyConnection | Name::Upgrade if http2 => {
                return Err(Refusal::malformed("connection"));
            }
            Name::Te if http2 && !value.eq_ignore_ascii_case(b"trailers") => {
                return Err(Refusal::malformed("connection"));
            }
            Name::Connection => seen.connection_upgrade |= check_nominations(value, &mut nominations)?,
            Name::Upgrade => seen.web_socket |= value.eq_ignore_ascii_case(b"websocket"),
            _ => {}
        }
    }
    // RFC 9112, 6.1, allows to drop the length, and allows to refuse.
    if chunked && length.is_some() {
        return Err(Refusal::malformed("transfer_encoding"));
    }
    seen.body = chunked || length.is_some_and(|length| length > 0);
    Ok(seen)
}

/// Whether `Connection` asks for an upgrade. Names which must not be taken away on the way are refused.
fn check_nominations(value: &[u8], count: &mut usize) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
        return Ok(false);
    }
    let mut upgrade = false;
    for token in elements(value) {
        *count += 1;
        if *count > MOST_NOMINATIONS || !token.iter().all(|&byte| is_token(byte)) || is_protected(token) {
            return Err(Refusal::malformed("connection"));
        }
        upgrade |= token.eq_ignore_ascii_case(b"upgrade");
    }
    Ok(upgrade)
}

/// Fields that a client could blind the upstream to by calling them hop-by-hop: those that say where the request comes from,
/// where it goes, and where it ends.
fn is_protected(token: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [b"host", b"content-length", b"forwarded", b"x-real-ip", b"x-request-id", b"traceparent"];
    NAMES.iter().any(|name| token.eq_ignore_ascii_case(name)) || is_of_forgeable_family(token)
}

/// An absolute target names the host, whatever `Host` says (RFC 9112, 3.2.2). `:authority` and `Host` have to name the same
/// (RFC 9113, 8.3.1).
fn check_host(request: &RequestHead, host: Option<&[u8]>, target: Target) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal::malformed("host");
    // Over HTTP/2, Host is mostly the authority itself: then it is judged once.
    let authority = request.authority().filter(|authority| host != Some(*authority));
    if host.is_some_and(|host| !authority::is_valid(host)) || authority.is_some_and(|own| !authority::is_valid(own)) {
        return Err(BAD);
    }
    match (host, authority, target) {
        (Some(host), Some(authority), _) if !authority::is_same(host, authority, None) => Err(BAD),
        // RFC 9112 3.2: HTTP/1.1 asks for a Host whatever the form of the target; HTTP/1.0 had none.
        (None, _, _) if request.version == Version::HTTP_11 => Err(BAD),
        (None, None, Target::Path) if request.version != Version::HTTP_10 => Err(BAD),
        _ => Ok(()),
    }
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// `None` and 0 are no limit.
fn exceeds(amount: usize, limit: Option<u64>) -> bool {
    limit.is_some_and(|limit| limit > 0 && u64::try_from(amount).is_ok_and(|amount| amount > limit))
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
