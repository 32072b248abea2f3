//! The answer as the client gets it.

use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::copying;
use super::exchange::Exchange;
use super::outbound::X_REQUEST_ID;
use crate::guard;
use crate::guard::headers::Asked;
use crate::migration::{ISSUED_COOKIE, issued_unit};

/// Called for every head that goes to the client, 1xx included.
pub fn prepare(session: &mut Session, response: &mut ResponseHeader, exchange: &mut Exchange) -> Result<()> {
    if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let asked = Asked { version: session.req_header().version, upgrade: exchange.upgrade };
    guard::headers::answer(response, asked).map_err(|refusal| {
        let mut error = Error::explain(ErrorType::InvalidHTTPHeader, refusal.reason);
        error.as_up();
        error
    })?;
    if session.is_process_shutting_down() {
        session.set_keepalive(None);
    }
    if exchange.asks_service()
        && let Some(route) = &exchange.route().route
    {
        super::rewriting::answer(response, route, exchange.attempt_address())?;
    }
    copying::head_passes(response, exchange);
    response.insert_header(X_REQUEST_ID, exchange.request_id.header_value())?;
    remember_side(session, response, exchange)?;
    debug_headers(response, exchange)?;
    exchange.answered = true;
    Ok(())
}

/// Cookies that keep a client on its side, and what shared caches must know then.
fn remember_side(session: &Session, response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    let decision = &exchange.decision;
    let entry = exchange.route();
    if let Some(fresh) = decision.issue {
        let unit = issued_unit(fresh);
        let unit = std::str::from_utf8(&unit).expect("hexadecimal digits are ASCII");
        let value =
            format!("{ISSUED_COOKIE}={unit}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{}", secure(session));
        response.append_header(header::SET_COOKIE, value)?;
    }
    if decision.pin
        && let Some(pin) = &entry.policy.pin
    {
        let side = decision.side.name(&entry.policy);
        let value = format!(
            "{}={side}; Path=/; Max-Age={}; HttpOnly; SameSite=Lax{}",
            pin.cookie,
            pin.silence.as_secs().max(1),
            secure(session)
        );
        response.append_header(header::SET_COOKIE, value)?;
    }
    let personal = decision.issue.is_some() || decision.pin;
    if (decision.both_live && !entry.policy.shared_cache || personal) && shared_cache_may_keep(response) {
        make_private(response)?;
    }
    Ok(())
}

fn secure(session: &Session) -> &'static str {
    if session.digest().is_some_and(|digest| digest.ssl_digest.is_some()) { "; Secure" } else { "" }
}

/// RFC 9111, section 3: a shared cache may keep what is not private or no-store and has a reason to be fresh, or a
/// status that is cacheable by default.
fn shared_cache_may_keep(response: &ResponseHeader) -> bool {
    let forbidden = directives(response).any(|directive| {
        let name = directive.split('=').next().unwrap_or("").trim();
        name.eq_ignore_ascii_case("private") && !directive.contains('=') || name.eq_ignore_ascii_case("no-store")
    });
    let explicit =
        response.headers.contains_key(header::CACHE_CONTROL) || response.headers.contains_key(header::EXPIRES);
    let by_default =
        matches!(response.status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    !forbidden && (explicit || by_default)
}

fn directives(response: &ResponseHeader) -> impl Iterator<Item = &str> {
    let lines = response.headers.get_all(header::CACHE_CONTROL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// `private`, with what the upstream said besides, less what only shared caches read.
fn make_private(response: &mut ResponseHeader) -> Result<()> {
    let mut kept = String::from("private");
    for directive in directives(response) {
        let name = directive.split('=').next().unwrap_or("").trim().to_ascii_lowercase();
        if !directive.is_empty() && !matches!(name.as_str(), "public" | "private" | "s-maxage" | "proxy-revalidate") {
            kept.push_str(", ");
            kept.push_str(directive);
        }
    }
    let value = HeaderValue::from_str(&kept)
        .map_err(|_| Error::explain(ErrorType::InternalError, "directives came from a valid header"))?;
    response.insert_header(header::CACHE_CONTROL, value)
}

fn debug_headers(response: &mut ResponseHeader, exchange: &Exchange) -> Result<()> {
    if !exchange.edition.snapshot.server.debug_headers {
        return Ok(());
    }
    response.insert_header("X-Multilith-Route", exchange.route().name().to_owned())?;
    response.insert_header("X-Multilith-Side", exchange.side_name().to_owned())?;
    response.insert_header("X-Multilith-Reason", exchange.decision.reason.as_str())?;
    if let Some(failure) = exchange.fallback {
        response.insert_header("X-Multilith-Fallback", failure.kind())?;
    }
    Ok(())
}
