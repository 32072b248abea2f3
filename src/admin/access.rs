//! Access to the admin listener: the token and its role, the host name of the request, and no page of another site.

use std::net::IpAddr;
use std::sync::Arc;

use http::{Method, header};
use pingora::http::RequestHeader;

use super::Parts;
use super::arrival::{address, came_by_https};
use super::guesses::refused_bearer;
use super::reply::Reply;
use crate::compile::Role;
use crate::live::AdminKey;

/// The caller, as the log and the journal name it.
pub struct Caller {
    pub name: Arc<str>,
    pub role: Role,
    /// By which it is known.
    pub key: Option<Arc<AdminKey>>,
}

/// Says that a program asks: no form and no simple request of a web page can send it.
const OURS: &str = "x-multilith";
/// Requests by POST that role `read` may send: they change nothing. A whole file is tried for role `operate` alone.
const QUESTIONS: [&str; 1] = ["/api/v1/explain"];

/// Refuses foreign hosts and origins: they are how a web page reaches a listener on loopback. A page is ours if it came as this
/// request did: a page by plain http, which any hop on its way may have written, presses nothing by https.
pub fn from_our_pages(parts: &Parts, request: &RequestHeader, peer: Option<IpAddr>) -> Result<(), Reply> {
    let text = |name| request.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = request.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(header::HOST)).unwrap_or("");
    if !names_us(parts, host) {
        return Err(Reply::problem(
            403,
            "this listener is not known by that host name: add it to `admin_hosts` in [server]",
        ));
    }
    let by_https = came_by_https(parts, peer, &request.headers);
    for origin in request.headers.get_all(header::ORIGIN) {
        let Some((scheme, _)) =
            origin.to_str().ok().and_then(|text| text.split_once("://")).filter(|(_, host)| names_us(parts, host))
        else {
            return Err(Reply::problem(403, "requests from pages of another origin are refused"));
        };
        if scheme.eq_ignore_ascii_case(if by_https { "https" } else { "http" }) {
            continue;
        }
        return Err(Reply::problem(
            403,
            if by_https {
                "the page was loaded by http and its request came by https: load the page by https"
            } else {
                "the page was loaded by https, and that its request came so is not known: the proxy in front must stand in `trusted` of \
                 [server] and say `X-Forwarded-Proto: https`"
            },
        ));
    }
    Ok(())
}

/// The caller, if it has access.
pub fn check(parts: &Parts, request: &RequestHeader, peer: Option<IpAddr>) -> Result<Caller, Reply> {
    from_our_pages(parts, request, peer)?;
    let text = |name| request.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let safe = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let path = request.uri.path();
    if parts.app.admin_keys.is_empty() {
        if !safe && path.starts_with("/api/") && !request.headers.contains_key(OURS) {
            return Err(Reply::problem(
                403,
                "send the header `X-Multilith: 1`: without a token it is what a web page cannot send",
            ));
        }
        return Ok(Caller { name: "loopback".into(), role: Role::Operate, key: None });
    }
    let given = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, given) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| given.trim())
    });
    let Some(given) = given else {
        return Err(Reply::problem(401, "send the admin token: `Authorization: Bearer TOKEN`"));
    };
    let Some(key) = parts.app.admin_keys.find(given) else {
        return Err(refused_bearer(parts, address(parts, peer, &request.headers)));
    };
    if key.role == Role::Read && !safe && !QUESTIONS.contains(&path) {
        return Err(Reply::problem(403, "this token may look and ask, not change: its role is `read`"));
    }
    Ok(Caller { name: Arc::clone(&key.name), role: key.role, key: Some(key) })
}

/// A body is JSON and says so: anything else may have been sent by a page's form.
pub fn check_body(request: &RequestHeader, body: &[u8]) -> Result<(), Reply> {
    let kind = request.headers.get(header::CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if body.is_empty() || kind.eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    Err(Reply::problem(415, "a body is JSON: send `Content-Type: application/json`"))
}

/// The address that is listened on, loopback names for a loopback or unspecified one, and what the file adds.
fn names_us(parts: &Parts, host: &str) -> bool {
    let generation = parts.app.in_force.load();
    let server = &generation.snapshot.server;
    if server.admin_hosts.iter().any(|name| name.eq_ignore_ascii_case(host)) || *server.admin == *host {
        return true;
    }
    let port = parts.address.port();
    let (name, given) = match host.rsplit_once(':') {
        Some((name, given)) if !name.is_empty() && !name.ends_with(':') => (name, given.parse().ok()),
        _ => (host, None),
    };
    if given.unwrap_or(80) != port {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = parts.address.ip();
    let local = address.is_loopback() || address.is_unspecified();
    match name.parse::<std::net::IpAddr>() {
        Ok(ip) => ip == address || (address.is_unspecified()) || (local && ip.is_loopback()),
        Err(_) => local && name.eq_ignore_ascii_case("localhost"),
    }
}
