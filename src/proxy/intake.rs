//! From the request's head to the decision: refuse what is malformed, find the route, choose the side.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::proxy::Session;

use super::Edge;
use super::access;
use super::edition::{Edition, RouteEdition, meter_index};
use super::exchange::Exchange;
use super::failure::Failure;
use super::outbound::X_REQUEST_ID_NAME;
use crate::compile::{Limits, Snapshot};
use crate::guard;
use crate::guard::headers::{Arrival, ClientSubject};
use crate::migration::{Breaker, Decision, Given, Reason, Side, decide};
use crate::route::{Facts, PathRefused, normalise_bytes};
use crate::telemetry::RequestId;

/// The head is there: the edition in force was loaded, once for the whole exchange.
pub fn begin(edition: Arc<Edition>, now: Instant) -> Exchange {
    #[cfg(test)]
    super::provoked::here(super::panic::Hook::Begin);
    let exchange = Exchange::new(edition, now);
    if let Some(watch) = &exchange.watch {
        watch.head_read();
    }
    exchange
}

/// Everything that is decided before an upstream is asked. An error is answered by the proxy itself.
pub fn admit(edge: &Edge, session: &mut Session, exchange: &mut Exchange) -> Result<(), Failure> {
    let edition = Arc::clone(&exchange.edition);
    let snapshot = &*edition.snapshot;
    set_timeouts(session, snapshot);
    if let Some(request) = exchange.admitted.take() {
        *session.req_header_mut() = *request;
        return Ok(());
    }
    let peer = session.client_addr().and_then(SocketAddr::as_inet).map(std::net::SocketAddr::ip);
    // Until the headers are known to be sane, who asks is who holds the connection.
    exchange.client = peer;
    let raw = session.as_http1().map(HttpSession::get_headers_raw_bytes);
    if let (Some(raw), Some(watch)) = (&raw, &exchange.watch)
        && session.as_downstream_mut().is_body_empty()
    {
        watch.bodiless(raw);
    }
    if let Err(refusal) = framing(session.req_header(), raw.as_deref(), exchange, snapshot) {
        if refusal.close {
            session.set_keepalive(None);
        }
        identify(edge, session.req_header(), exchange, false);
        return Err(Failure::Refused { status: refusal.status, reason: refusal.reason });
    }
    let tls = session.digest().and_then(|digest| digest.ssl_digest.as_ref());
    let subject = tls.and_then(|tls| tls.extension.get::<ClientSubject>()).cloned();
    let arrival_tls = tls.is_some();
    let arrival = Arrival {
        peer: peer.unwrap_or(NOWHERE),
        tls: arrival_tls,
        subject: subject.as_ref(),
        trusted: &snapshot.server.trusted,
        force: snapshot.server.force.as_ref(),
    };
    let (received, introduction) = guard::headers::clean(session.req_header_mut(), &arrival);
    match introduction {
        Some(introduction) if edition.reads_introductions => introduction.write(session.req_header_mut()),
        later => exchange.introduction = later,
    }
    exchange.client = Some(received.client);
    // Only what the cleaned request still asks for: pingora would take any other upgrade for one that will happen.
    exchange.upgrade = session.is_upgrade_req();
    identify(edge, session.req_header(), exchange, received.trusted);
    if exchange.upgrade {
        // A read timeout would cut a silent tunnel; the watch knows better there.
        session.set_read_timeout(None);
    }

    if snapshot.server.tls.redirect && !came_with_tls(session.req_header(), arrival_tls, received.trusted) {
        // HTTP/1.0 may come without a host; then there is no address to name.
        let nowhere = host(session.req_header()).is_empty();
        return Err(if nowhere { Failure::Refused { status: 400, reason: "host" } } else { Failure::PlainHttp });
    }

    let request = session.req_header();
    let normal = normalise_bytes(path_bytes(request), &snapshot.matching).map_err(refused_path)?;
    let announced = announced_method(request);
    let seen = facts(request, normal.as_str(), announced.as_ref(), exchange.client, exchange.upgrade);
    exchange.found = snapshot.table.select(&seen, &normal).map_err(refused_path)?;
    if exchange.found.is_none() && snapshot.monolith_retired {
        return Err(Failure::Refused { status: 404, reason: "unrouted" });
    }
    let chosen = edition.route(exchange.found.map(|found| found.route));
    let forced = received.forced.as_ref().and_then(|side| side.to_str().ok());
    let decision = if chosen.access.asks() {
        access::enforce(edge, session, exchange, &chosen.access, announced.is_some())?;
        // What a token says is there only now, and what the client said in its place is gone.
        let request = session.req_header();
        let normal = normalise_bytes(path_bytes(request), &snapshot.matching).map_err(refused_path)?;
        let seen = facts(request, normal.as_str(), announced.as_ref(), exchange.client, exchange.upgrade);
        choose(edge, exchange, chosen, &seen, forced)
    } else {
        choose(edge, exchange, chosen, &seen, forced)
    };
    exchange.body_limit = chosen.route.as_ref().and_then(|route| route.body_limit).or(snapshot.limits.body);
    exchange.decision = decision;
    exchange.target = decision.upstream;
    exchange.side = Some(decision.side);
    exchange.in_flight = Some(chosen.meters.in_flight(meter_index(&chosen.policy, decision.side)));
    match exchange.body_limit {
        Some(limit) => guard::framing::check_body(session.req_header(), limit)
            .map_err(|refusal| Failure::Refused { status: refusal.status, reason: refusal.reason }),
        None => Ok(()),
    }
}

/// Which side answers.
fn choose(
    edge: &Edge,
    exchange: &Exchange,
    chosen: &RouteEdition,
    facts: &Facts<'_>,
    forced: Option<&str>,
) -> Decision {
    let given = Given {
        facts,
        dial: chosen.dial,
        monolith_only: edge.live.monolith_only(exchange.edition.snapshot.server.monolith_only),
        breaker: Breaker::Closed,
        forced,
        fresh: fastrand::u128(..),
        sample: exchange.request_id.hash(),
    };
    let decision = decided(chosen, given, edge.live.milliseconds(exchange.began));
    if decision.reason == Reason::BreakerOpen {
        // The service was not asked, but the monolith answers in its place all the same.
        chosen.meters.fallback(decision.reason.as_str());
    }
    decision
}

/// Decides under the breaker's state. The right to probe is taken only by a request that will ask the service: one that
/// goes to the monolith anyway would use it up for nothing.
fn decided(chosen: &RouteEdition, given: Given<'_>, now_ms: u64) -> Decision {
    let decision = decide(&chosen.policy, &given);
    let Some(fallback) = chosen.policy.fallback.as_ref().filter(|_| decision.side == Side::Service) else {
        return decision;
    };
    match chosen.state.breaker.state(now_ms, fallback.breaker_open) {
        Breaker::Closed => decision,
        breaker => decide(&chosen.policy, &Given { breaker, ..given }),
    }
}

/// With TLS to us, or to a proxy before us that may say so.
fn came_with_tls(request: &RequestHeader, here: bool, trusted: bool) -> bool {
    here || trusted
        && request.headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The same address with https, at the first of the TLS listeners' ports.
pub fn secure_location(request: &RequestHeader, exchange: &Exchange) -> Vec<u8> {
    let listen = exchange.edition.snapshot.server.tls.listen.first();
    let port = listen.and_then(|address| address.rsplit_once(':')).map_or("443", |(_, port)| port);
    let mut location = format!("https://{}", host(request)).into_bytes();
    if port != "443" {
        location.push(b':');
        location.extend_from_slice(port.as_bytes());
    }
    location.extend_from_slice(if request.raw_path().starts_with(b"/") { request.raw_path() } else { b"/" });
    location
}

/// What is malformed is refused; a chunked body is followed to its end.
fn framing(
    request: &RequestHeader,
    raw: Option<&[u8]>,
    exchange: &Exchange,
    snapshot: &Snapshot,
) -> Result<(), guard::Refusal> {
    guard::framing::check(request, raw, &snapshot.limits)?;
    if let (Some(raw), Some(watch)) = (raw, &exchange.watch)
        && request.headers.contains_key(header::TRANSFER_ENCODING)
    {
        watch.upload.follow_chunks(raw).map_err(|_| guard::Refusal::malformed("chunks"))?;
    }
    Ok(())
}

/// The address of a client that came over a Unix socket.
pub const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

fn refused_path(_: PathRefused) -> Failure {
    Failure::Refused { status: 400, reason: "path" }
}

/// The same facts for the proxy and for `explain`.
pub fn facts<'a>(
    request: &'a RequestHeader,
    path: &'a str,
    announced: Option<&'a Method>,
    client: Option<IpAddr>,
    upgrade: bool,
) -> Facts<'a> {
    let preflight = announced.map(|_| {
        request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok()).unwrap_or("")
    });
    Facts {
        method: announced.unwrap_or(&request.method),
        preflight,
        host: host(request),
        path,
        query: request.uri.query(),
        headers: &request.headers,
        client,
        upgrade,
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

/// The path of the request target, byte for byte, without the query. The target is in origin form by now.
pub fn path_bytes(request: &RequestHeader) -> &[u8] {
    let target = request.raw_path();
    target.iter().position(|byte| *byte == b'?').and_then(|query| target.get(..query)).unwrap_or(target)
}

fn identify(edge: &Edge, request: &RequestHeader, exchange: &mut Exchange, trusted: bool) {
    let given = if trusted { request.headers.get(&X_REQUEST_ID_NAME) } else { None };
    exchange.request_id = RequestId::continue_or_make(given, fastrand::u128(..));
    exchange.trace = edge.telemetry.trace(&request.headers, fastrand::u128(..), fastrand::u64(..));
}

fn set_timeouts(session: &mut Session, snapshot: &Snapshot) {
    let limits = &snapshot.limits;
    if session.get_keepalive().is_some() {
        // Only where a connection may be reused at all: setting it would also turn reuse on. Without end: the connection's
        // watch knows when it has been idle for too long, and pingora would make a timer for each request.
        session.set_keepalive(Some(0));
    }
    session.set_read_timeout(limits.body_timeout);
    if session.as_http1().is_none() {
        // Over HTTP/1 the watch knows better: a write may wait long for a client that reads all the while.
        session.set_write_timeout(patience_with_stream(limits));
    }
    session.set_total_drain_timeout(limits.body_timeout);
    session.set_pipelining_enabled(true);
}

/// How long a chunk of an answer may wait on one stream of HTTP/2. A connection on which nothing moves is ended after
/// `write_timeout`; on one that moves, a stream may be slow because others are fast, as long as it is not slower than allowed.
fn patience_with_stream(limits: &Limits) -> Option<Duration> {
    /// What pingora reads of an answer at once.
    const CHUNK: u64 = 64 * 1024;
    const SLOWEST: u64 = 240;
    let rate = limits.min_rate.filter(|rate| *rate > 0).unwrap_or(SLOWEST);
    limits.write_timeout.map(|pause| pause + Duration::from_secs(CHUNK / rate))
}

/// The protocol that the client speaks, as logs name it.
pub const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
