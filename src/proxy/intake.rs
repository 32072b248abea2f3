//! From the request's head to the decision: refuse what is malformed, find the route, choose the side.

use std::time::Instant;

use http::{Method, Version, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::Edge;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::compile::Snapshot;
use crate::guard;
use crate::migration::{Breaker, Given, decide};
use crate::route::{Facts, NormalPath, Selected, normalise};
use crate::telemetry::{RequestId, TraceContext};

/// The head is there: the snapshot in force is loaded, once for the whole exchange.
pub fn begin(edge: &Edge, now: Instant) -> Exchange {
    let exchange = Exchange::new(edge.in_force.load(), now);
    if let Some(watch) = &exchange.watch {
        watch.head_read();
    }
    exchange
}

/// Everything that is decided before an upstream is asked. An error is answered by the proxy itself.
pub fn admit(edge: &Edge, session: &mut Session, exchange: &mut Exchange) -> Result<(), Failure> {
    let edition = exchange.edition.clone();
    let snapshot = &*edition.snapshot;
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
    let trusted = peer.is_some_and(|peer| snapshot.server.trusted.iter().any(|network| network.contains(peer)));
    exchange.client = guard::headers::client_address(session.req_header(), peer, trusted, &snapshot.server.trusted);
    identify(session.req_header(), exchange, trusted);
    set_timeouts(session, exchange, snapshot);

    guard::framing::check(session, &snapshot.limits).map_err(|refusal| {
        if refusal.close {
            session.set_keepalive(None);
        }
        Failure::Refused { status: refusal.status, reason: refusal.reason }
    })?;

    let request = session.req_header();
    let normal = normalise(path_bytes(request), &snapshot.matching)
        .map_err(|refused| Failure::Refused { status: 400, reason: refused.label() })?;
    let announced = announced_method(request);
    let facts = facts(request, &normal, announced.as_ref(), exchange);
    let route = match snapshot.table.select(&facts, &normal) {
        Selected::Route(found) => Some(found.route),
        Selected::None => None,
        Selected::Disagreement => return Err(Failure::Refused { status: 400, reason: "path" }),
    };
    if route.is_none() && snapshot.monolith_retired {
        return Err(Failure::Refused { status: 404, reason: "unrouted" });
    }

    let now_ms = edge.live.milliseconds(exchange.began);
    let chosen = edition.route(route);
    let breaker = chosen.breaker_open_for().map_or(Breaker::Closed, |open| chosen.state.breaker.state(now_ms, open));
    let forced = snapshot.server.force.as_ref().and_then(|force| {
        let from = exchange.client.filter(|client| force.from.iter().any(|network| network.contains(*client)));
        from.and_then(|_| facts.headers.get(&force.header)).and_then(|value| value.to_str().ok())
    });
    let given = Given {
        facts: &facts,
        dial: chosen.policy.dial,
        monolith_only: edge.live.monolith_only(snapshot.server.monolith_only),
        breaker,
        forced,
        fresh: fastrand::u128(..),
        sample: exchange.request_id.hash(),
    };
    let decision = decide(&chosen.policy, &given);
    exchange.route = route;
    exchange.body_limit = chosen.route.as_ref().and_then(|route| route.body_limit).or(snapshot.limits.body);
    exchange.decision = decision;
    exchange.target = decision.upstream;
    exchange.side = Some(decision.side);
    exchange.in_flight = Some(edge.telemetry.in_flight(decision.side.name(&chosen.policy)));
    check_length(session.req_header(), exchange.body_limit)
}

/// The same facts for the proxy and for `explain`.
pub fn facts<'a>(
    request: &'a RequestHeader,
    normal: &'a NormalPath<'a>,
    announced: Option<&'a Method>,
    exchange: &Exchange,
) -> Facts<'a> {
    let preflight = announced.map(|_| {
        request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok()).unwrap_or("")
    });
    Facts {
        method: announced.unwrap_or(&request.method),
        preflight,
        host: host(request),
        path: normal.text(),
        query: request.uri.query(),
        headers: &request.headers,
        client: exchange.client,
        upgrade: exchange.upgrade,
    }
}

/// The method that a CORS preflight announces; `None` for every other request.
pub fn announced_method(request: &RequestHeader) -> Option<Method> {
    if request.method != Method::OPTIONS || !request.headers.contains_key(header::ORIGIN) {
        return None;
    }
    Method::from_bytes(request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

/// The host and port that the client asked: the authority of HTTP/2 or of an absolute target, or else the Host header.
pub fn authority(request: &RequestHeader) -> &str {
    let authority = request.uri.authority().map(http::uri::Authority::as_str);
    authority.or_else(|| request.headers.get(header::HOST).and_then(|value| value.to_str().ok())).unwrap_or("")
}

/// The same without the port.
pub fn host(request: &RequestHeader) -> &str {
    without_port(authority(request))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// The path of the request target, byte for byte, without the query.
pub fn path_bytes(request: &RequestHeader) -> &[u8] {
    let target = request.raw_path();
    let target = match target.first() {
        Some(b'/') | None => target,
        // An absolute target: what follows the authority.
        Some(_) => target
            .windows(3)
            .position(|window| window == b"://")
            .and_then(|scheme| {
                let after = target.get(scheme + 3..)?;
                after.iter().position(|byte| matches!(byte, b'/' | b'?')).and_then(|slash| after.get(slash..))
            })
            .filter(|rest| rest.first() == Some(&b'/'))
            .unwrap_or(b"/"),
    };
    target.iter().position(|byte| *byte == b'?').and_then(|query| target.get(..query)).unwrap_or(target)
}

fn identify(request: &RequestHeader, exchange: &mut Exchange, trusted: bool) {
    let given = request.headers.get("x-request-id").filter(|_| trusted);
    exchange.request_id = RequestId::continue_or_make(given, fastrand::u128(..));
    exchange.trace = TraceContext::continue_or_start(&request.headers, fastrand::u128(..), fastrand::u64(..));
}

fn set_timeouts(session: &mut Session, exchange: &mut Exchange, snapshot: &Snapshot) {
    let limits = &snapshot.limits;
    exchange.upgrade = session.is_upgrade_req();
    if session.get_keepalive().is_some() {
        // Only where a connection may be reused at all: setting it would also turn reuse on.
        session.set_keepalive(Some(limits.idle_timeout.map_or(0, |idle| idle.as_secs().max(1))));
    }
    // After an upgrade the read timeout would cut a silent tunnel; the watch knows better there.
    session.set_read_timeout(if exchange.upgrade { None } else { limits.body_timeout });
    session.set_write_timeout(limits.write_timeout);
    session.set_total_drain_timeout(limits.body_timeout);
    session.set_pipelining_enabled(true);
}

fn check_length(request: &RequestHeader, limit: Option<u64>) -> Result<(), Failure> {
    let Some(limit) = limit else { return Ok(()) };
    let announced = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(Failure::Refused { status: 413, reason: "body" });
    }
    Ok(())
}

/// The protocol that the client speaks, as logs name it.
pub const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

