//! Who may use the admin listener: the right token, the right name for it, and no page of another site.

use http::header;
use pingora::http::RequestHeader;

use super::Parts;
use super::reply::Reply;

/// Refuses foreign hosts and origins first: they are how a web page reaches a listener on loopback.
pub fn check(parts: &Parts, request: &RequestHeader) -> Result<(), Reply> {
    let text = |name| request.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let host = request.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(header::HOST)).unwrap_or("");
    if !names_us(parts, host) {
        return Err(Reply::problem(
            403,
            "this listener is not known by that host name: add it to `admin_hosts` in [server]",
        ));
    }
    let is_ours = |origin: &http::HeaderValue| {
        origin.to_str().ok().and_then(|text| text.split_once("://")).is_some_and(|(_, host)| names_us(parts, host))
    };
    if !request.headers.get_all(header::ORIGIN).iter().all(is_ours) {
        return Err(Reply::problem(403, "requests from pages of another origin are refused"));
    }
    let Some(token) = &parts.token else { return Ok(()) };
    let given = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, given) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| given.trim())
    });
    match given {
        Some(given) if same(given.as_bytes(), token.as_bytes()) => Ok(()),
        _ => Err(Reply::problem(401, "send the admin token: `Authorization: Bearer TOKEN`")),
    }
}

/// The address that is listened on, loopback names for a loopback or unspecified one, and what the file adds.
fn names_us(parts: &Parts, host: &str) -> bool {
    let edition = parts.in_force.load();
    let server = &edition.snapshot.server;
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

/// Takes as long for the first differing byte as for the last.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given.iter().zip(wanted).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differs) == 0 && given.len() == wanted.len()
}
