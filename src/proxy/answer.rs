//! The answer as the client gets it.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::exchange::Exchange;
use super::location;
use super::outbound::X_REQUEST_ID;
use super::{copying, intake};
use crate::guard;
use crate::guard::headers::{Asked, put_line};
use crate::migration::{ISSUED_COOKIE, Pinning, issued_unit};

/// Called for every head that goes to the client, 1xx included.
pub fn prepare(session: &mut Session, response: &mut ResponseHeader, exchange: &mut Exchange) -> Result<()> {
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        guard::headers::interim(response);
        return Ok(());
    }
    let asked = Asked { version: session.req_header().version, upgrade: exchange.upgrade };
    guard::headers::answer(response, asked).map_err(|refusal| {
        let mut error = Error::explain(ErrorType::InvalidHTTPHeader, refusal.reason);
        error.as_up();
        error
    })?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS
        && session.req_header().headers.contains_key(header::SEC_WEBSOCKET_KEY)
        && let Some(watch) = &exchange.watch
    {
        watch.tunnel.opens_websocket();
    }
    if exchange.asks_service()
        && let Some(route) = &exchange.route().route
    {
        let request = session.req_header();
        let asked = location::Asked {
            edition: &exchange.edition,
            found: exchange.found,
            from: exchange.target,
            path: intake::path_bytes(request),
            host: intake::authority(request),
            endpoint: [exchange.attempt_authority(), exchange.attempt_address()],
        };
        super::rewriting::answer(response, route, &asked)?;
    }
    copying::head_passes(response.status, &response.headers, exchange);
    sign(session, response, exchange)?;
    if let Some(standing) = &exchange.standing {
        standing.write(response)?;
    }
    remember_side(session, response, exchange)?;
    debug_headers(response, exchange)?;
    exchange.answered = true;
    Ok(())
}

/// The same for the lines of a plain head, to which nothing else is done. `fields`: those of the upstream, if they are compared.
pub fn prepare_plain(status: StatusCode, fields: Option<&HeaderMap>, lines: &mut BytesMut, exchange: &mut Exchange) {
    if let Some(fields) = fields {
        copying::head_passes(status, fields, exchange);
    }
    put_line(lines, X_REQUEST_ID.as_bytes(), exchange.request_id.as_bytes());
    exchange.answered = true;
}

/// What every answer carries, the upstreams' and the proxy's own.
pub fn sign(session: &Session, response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    let mut request_id = exchange.request_id.header_value();
    // No two are alike: the tables of HTTP/2's compression have no use for it.
    request_id.set_sensitive(true);
    response.insert_header(X_REQUEST_ID, request_id)?;
    if let Some(age) = exchange.edition.snapshot.server.tls.hsts.filter(|_| is_secure(session)) {
        response.insert_header(header::STRICT_TRANSPORT_SECURITY, format!("max-age={}", age.as_secs()))?;
    }
    Ok(())
}

/// Cookies that keep a client on its side, and what shared caches must know then.
fn remember_side(session: &Session, response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    let decision = &exchange.decision;
    let entry = exchange.route();
    let tls = is_secure(session);
    if let Some(fresh) = decision.issue {
        let unit = issued_unit(fresh);
        let unit = std::str::from_utf8(&unit).expect("hexadecimal digits are ASCII");
        response.append_header(header::SET_COOKIE, cookie(ISSUED_COOKIE, unit, YEAR, tls))?;
    }
    let pinned = match decision.pin {
        Pinning::None => None,
        Pinning::Begin => exchange.side,
        Pinning::Renew(side) => Some(side),
    };
    if let (Some(side), Some(pin)) = (pinned, &entry.policy.pin) {
        let value = cookie(&pin.cookie, side.name(&entry.policy), pin.silence.as_secs().max(1), tls);
        response.append_header(header::SET_COOKIE, value)?;
    }
    let personal = decision.issue.is_some() || pinned.is_some();
    if (decision.both_live && !entry.policy.shared_cache || personal) && shared_cache_may_keep(response) {
        make_private(response)?;
    }
    Ok(())
}

const YEAR: u64 = 365 * 24 * 60 * 60;

fn cookie(name: &str, value: &str, seconds: u64, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

fn is_secure(session: &Session) -> bool {
    session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Headers that shared caches obey before `Cache-Control` (RFC 9213, and what was there before it).
const FOR_SHARED_CACHES: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

/// RFC 9111, section 3: a shared cache may keep what is not private or no-store and has a reason to be fresh, or a
/// status that is cacheable by default. A 304 is no answer to keep, but its headers go into the one that was kept.
fn shared_cache_may_keep(response: &ResponseHeader) -> bool {
    if FOR_SHARED_CACHES.iter().any(|name| response.headers.contains_key(*name)) {
        return true;
    }
    let forbidden = directives(response).any(|directive| {
        directive.eq_ignore_ascii_case("private") || name_of(directive).eq_ignore_ascii_case("no-store")
    });
    let explicit =
        response.headers.contains_key(header::CACHE_CONTROL) || response.headers.contains_key(header::EXPIRES);
    !forbidden && (explicit || is_cacheable_by_default(response.status.as_u16()))
}

pub const fn is_cacheable_by_default(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 304 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn directives(response: &ResponseHeader) -> impl Iterator<Item = &str> {
    let lines = response.headers.get_all(header::CACHE_CONTROL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(split_outside_quotes).map(str::trim)
}

/// The members of a list. A comma inside quotes, as in `no-cache="a, b"`, does not end one.
fn split_outside_quotes(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
}

fn name_of(directive: &str) -> &str {
    directive.split('=').next().unwrap_or("").trim()
}

/// `Cache-Control: private` with what the upstream said besides, less what only shared caches read.
fn make_private(response: &mut ResponseHeader) -> Result<()> {
    let mut kept = String::from("private");
    for directive in directives(response) {
        let name = name_of(directive).to_ascii_lowercase();
        if !directive.is_empty() && !matches!(name.as_str(), "public" | "private" | "s-maxage" | "proxy-revalidate") {
            kept.push_str(", ");
            kept.push_str(directive);
        }
    }
    let value = HeaderValue::from_str(&kept)
        .map_err(|_| Error::explain(ErrorType::InternalError, "directives came from a valid header"))?;
    for name in FOR_SHARED_CACHES {
        response.remove_header(name);
    }
    response.insert_header(header::CACHE_CONTROL, value)
}

fn debug_headers(response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    if !exchange.edition.snapshot.server.debug_headers {
        return Ok(());
    }
    response.insert_header("X-Multilith-Route", exchange.route().name().to_owned())?;
    response.insert_header("X-Multilith-Side", exchange.side_name().to_owned())?;
    response.insert_header("X-Multilith-Reason", exchange.decision.reason.as_str())?;
    if let Some(reason) = exchange.fallback_reason() {
        response.insert_header("X-Multilith-Fallback", reason)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn answer(status: u16, fields: Fields) -> ResponseHeader {
        let mut response = ResponseHeader::build(status, None).expect("a status");
        for (name, value) in fields {
            response.append_header(*name, *value).expect("a header");
        }
        response
    }

    #[test]
    fn a_shared_cache_keeps_what_rfc_9111_lets_it() {
        let table: [(u16, Fields, bool); 20] = [
            (200, &[], true),
            (404, &[], true),
            (301, &[], true),
            (304, &[], true),
            (302, &[], false),
            (500, &[], false),
            (201, &[], false),
            (302, &[("cache-control", "max-age=60")], true),
            (201, &[("expires", "Thu, 01 Dec 2033 16:00:00 GMT")], true),
            (200, &[("cache-control", "private")], false),
            (200, &[("cache-control", "max-age=9, PRIVATE")], false),
            (200, &[("cache-control", "no-store")], false),
            (200, &[("cache-control", "max-age=9"), ("cache-control", "no-store")], false),
            (200, &[("cache-control", "private=\"set-cookie\"")], true),
            (200, &[("cache-control", "no-cache=\"a, private, b\"")], true),
            (200, &[("cache-control", "no-cache")], true),
            (200, &[("cache-control", "public, s-maxage=60")], true),
            (200, &[("cache-control", "private"), ("cdn-cache-control", "max-age=60")], true),
            (500, &[("surrogate-control", "max-age=60")], true),
            (304, &[("cache-control", "private")], false),
        ];
        for (status, fields, kept) in table {
            assert_eq!(shared_cache_may_keep(&answer(status, fields)), kept, "{status} {fields:?}");
        }
    }

    #[test]
    fn our_cookies_are_for_the_server_alone_and_under_tls_for_tls_alone() {
        let expected = "multilith_id=1; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax";
        assert_eq!(cookie(ISSUED_COOKIE, "1", YEAR, false), expected);
        assert_eq!(cookie(ISSUED_COOKIE, "1", YEAR, true), format!("{expected}; Secure"));
    }

    #[test]
    fn what_is_made_private_keeps_the_rest_of_its_directives() {
        let table: [(Fields, &str); 6] = [
            (&[], "private"),
            (&[("cache-control", "public, max-age=60")], "private, max-age=60"),
            (&[("cache-control", "s-maxage=9,max-age=60,proxy-revalidate")], "private, max-age=60"),
            (&[("cache-control", "no-cache=\"a, b\", Public")], "private, no-cache=\"a, b\""),
            (&[("cache-control", "private=\"a, b\", max-age=1")], "private, max-age=1"),
            (&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=60")], "private, max-age=1"),
        ];
        for (fields, expected) in table {
            let mut response = answer(200, fields);
            make_private(&mut response).expect("a valid header");
            let lines: Vec<_> = response.headers.get_all(header::CACHE_CONTROL).iter().collect();
            assert_eq!(lines, [expected], "{fields:?}");
            assert!(!shared_cache_may_keep(&response), "{fields:?}");
        }
    }
}
