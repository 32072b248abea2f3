//! Refuses what two programs could read in two ways, before anything routes on it.
//!
//! Pingora's parser refuses some of it by itself (two different lengths, transfer coding in HTTP/1.0, folded lines, a space before
//! the colon, control characters in a value). What it lets through, or repairs without a word, is refused here. Two repairs
//! cannot be seen any more: a raw space or control character in the target has become a percent escape, which is what is
//! routed on and sent on alike. Bare line feeds, fragments and a `Content-Length` beside `Transfer-Encoding` are gone from the
//! parsed header but are still in the raw one.

use http::header;
use http::{Method, Version};
use memchr::{memchr, memchr_iter};
use pingora::http::RequestHeader;
use pingora::http::authority::{RawTargetAuthority, is_http_family_scheme, raw_target_authority};

use super::{Refusal, authority};
use crate::compile::Limits;

/// Registered methods have at most 17 letters (`UPDATEREDIRECTREF`, `BASELINE-CONTROL`); this leaves room for inventions.
const LONGEST_METHOD: usize = 32;

/// What HTTP/2 counts for each field beside its bytes (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Pingora reads at most nine names out of `Connection`; it would refuse the request too, but only after choosing an upstream.
const MOST_NOMINATIONS: usize = 9;

/// Refuses a request head that is malformed, ambiguous, or larger than the limits allow.
///
/// `raw` is the head as it was received over HTTP/1 (`get_headers_raw_bytes`), `None` for HTTP/2. The limit on the body depends
/// on the route and is checked later, by [`check_body`].
pub fn check(request: &RequestHeader, raw: Option<&[u8]>, limits: &Limits) -> Result<(), Refusal> {
    if let Some(raw) = raw {
        if exceeds(raw.len(), limits.request_head) {
            return Err(Refusal::closing(431, "request_head"));
        }
        check_lines(raw)?;
    }
    check_method(&request.method)?;
    let target = check_target(request)?;
    let seen = check_fields(request, raw, limits)?;
    check_host(request, seen.host, target)?;
    if seen.web_socket && seen.connection_upgrade && seen.body {
        // Pingora would take the first bytes of the tunnel for the body, or the body for the tunnel.
        return Err(Refusal::malformed("upgrade"));
    }
    Ok(())
}

/// Refuses a body that its own length says is too large. A chunked body has to be counted while it is read.
pub fn check_body(request: &RequestHeader, limit: u64) -> Result<(), Refusal> {
    let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| digits(value.as_bytes()));
    if length.is_some_and(|length| length > limit) { Err(Refusal::closing(413, "body")) } else { Ok(()) }
}

/// Line ends that only one side would see, and a fragment, which pingora cuts off.
fn check_lines(raw: &[u8]) -> Result<(), Refusal> {
    for end in memchr_iter(b'\n', raw) {
        if end == 0 || raw[end - 1] != b'\r' {
            return Err(Refusal::malformed("line_ending"));
        }
    }
    // Empty lines before the request are allowed (RFC 9112, 2.2).
    let start = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
    let line = &raw[start..];
    let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
    // A method may have one.
    if memchr(b' ', line).is_some_and(|space| line[space..].contains(&b'#')) {
        return Err(Refusal::malformed("target"));
    }
    Ok(())
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

/// The authority that the target itself names.
#[derive(Clone, Copy)]
enum Target<'a> {
    Path,
    Absolute(&'a [u8]),
}

fn check_target(request: &RequestHeader) -> Result<Target<'_>, Refusal> {
    const BAD: Refusal = Refusal::malformed("target");
    let target = request.raw_path();
    // The parser leaves none of these in the target; this is the last gate before it is written to an upstream.
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
                Ok(Target::Absolute(authority))
            }
            _ => Err(BAD),
        },
    }
}

/// What the pass over the fields leaves to decide.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    web_socket: bool,
    connection_upgrade: bool,
    body: bool,
}

fn check_fields<'a>(request: &'a RequestHeader, raw: Option<&[u8]>, limits: &Limits) -> Result<Seen<'a>, Refusal> {
    if exceeds(request.headers.len(), limits.headers) {
        return Err(Refusal::closing(431, "headers"));
    }
    let mut seen = Seen::default();
    let (mut size, mut nominations) = (0_usize, 0_usize);
    let (mut length, mut chunked) = (None, false);
    for (name, value) in &request.headers {
        let bytes = value.as_bytes();
        size += name.as_str().len() + bytes.len() + FIELD_OVERHEAD;
        match *name {
            header::HOST if seen.host.is_some() => return Err(Refusal::malformed("host")),
            header::HOST => seen.host = Some(bytes),
            header::CONTENT_LENGTH => {
                // One value, digits only. Two equal ones could be collapsed (RFC 9112, 6.3), but no honest client sends them.
                let Some(number) = digits(bytes) else { return Err(Refusal::malformed("content_length")) };
                if length.replace(number).is_some() {
                    return Err(Refusal::malformed("content_length"));
                }
            }
            header::TRANSFER_ENCODING => {
                let known = bytes.eq_ignore_ascii_case(b"chunked") && request.version == Version::HTTP_11;
                if !known || chunked {
                    return Err(Refusal::malformed("transfer_encoding"));
                }
                chunked = true;
            }
            header::CONNECTION => {
                seen.connection_upgrade |= check_nominations(bytes, &mut nominations)?;
            }
            header::UPGRADE => seen.web_socket |= bytes.eq_ignore_ascii_case(b"websocket"),
            _ => {}
        }
    }
    if raw.is_none() && exceeds(size + request.raw_path().len(), limits.request_head) {
        return Err(Refusal::closing(431, "request_head"));
    }
    // Pingora has dropped the length by now (RFC 9112 6.1 allows that, and allows to refuse).
    if chunked && (length.is_some() || raw.is_some_and(names_content_length)) {
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
    for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty()) {
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
    const FAMILIES: [&[u8]; 2] = [b"x-forwarded-", b"x-multilith-"];
    NAMES.iter().any(|name| token.eq_ignore_ascii_case(name))
        || FAMILIES.iter().any(|family| token.get(..family.len()).is_some_and(|head| head.eq_ignore_ascii_case(family)))
}

fn check_host(request: &RequestHeader, host: Option<&[u8]>, target: Target<'_>) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal::malformed("host");
    let named = match target {
        Target::Absolute(authority) => Some(authority),
        Target::Path => request.uri.authority().map(|authority| authority.as_str().as_bytes()),
    };
    match (host, named) {
        (Some(host), Some(named)) if host != named => Err(BAD),
        (Some(host), _) if !authority::is_valid(host) => Err(BAD),
        (None, Some(named)) if !authority::is_valid(named) => Err(BAD),
        // RFC 9112 3.2: HTTP/1.1 asks for a Host whatever the form of the target; HTTP/1.0 had none.
        (None, _) if request.version == Version::HTTP_11 => Err(BAD),
        (None, None) if request.version != Version::HTTP_10 => Err(BAD),
        _ => Ok(()),
    }
}

fn names_content_length(raw: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    raw.split(|&byte| byte == b'\n').any(|line| {
        line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
            && line.get(NAME.len()) == Some(&b':')
    })
}

/// A length: digits alone, no sign, no list, no overflow.
pub fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, &byte| {
        byte.is_ascii_digit().then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
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
