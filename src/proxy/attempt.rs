//! One attempt after another: which endpoint is asked, what a failure means, and who may answer instead.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use http::{Method, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::Edge;
use super::body;
use super::edition::meter_index;
use super::exchange::{Attempt, Exchange, MOST_ATTEMPTS};
use super::failure::Failure;
use super::finish;
use crate::endpoint::{HttpVersions, UpstreamId};
use crate::live::Breakage;
use crate::migration::Side;
use crate::upstream::Failure as EndpointFailure;

/// Picks the endpoint that is asked next, and says when. Falls back to the monolith when the service has none.
pub fn choose(edge: &Edge, session: &mut Session, exchange: &mut Exchange) -> Result<Instant> {
    loop {
        let pool = exchange.edition.pool(exchange.target);
        let Ok(lease) = pool.pick(exchange.decision.unit_hash, &exchange.tried) else {
            note_failure(edge, session, exchange, Failure::NoEndpoint);
            service_failed(edge, exchange);
            if may_fall_back(session, exchange, Failure::NoEndpoint) {
                fall_back(exchange, Failure::NoEndpoint);
                continue;
            }
            return Err(error_of(Failure::NoEndpoint));
        };
        let now = Instant::now();
        let total = pool.spec().timeouts.total;
        let end = total.and_then(|total| exchange.asked.get_or_insert(now).checked_add(total));
        if let Some(watch) = &exchange.watch {
            watch.limit(end);
        }
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.attempt = Attempt { lease: Some(lease), began: Some(now), end, ..Attempt::default() };
        return Ok(now);
    }
}

/// How the chosen endpoint is connected to. All attempts at one upstream share its `total`. The watch holds it from the moment
/// there is a connection; connecting and the reads of an HTTP/2 stream, which the watch cannot end, get no longer than what
/// is left.
pub fn peer(session: &Session, exchange: &Exchange, now: Instant) -> Box<HttpPeer> {
    let lease = exchange.attempt.lease.as_ref().expect("an endpoint was chosen");
    let mut peer = Box::new(if exchange.upgrade { lease.peer_http1() } else { lease.peer() }.clone());
    let options = &mut peer.options;
    if options.read_timeout.is_some() && may_be_silent(session.req_header()) {
        options.read_timeout = exchange.edition.snapshot.limits.upgraded_idle;
    }
    if let Some(end) = exchange.attempt.end {
        let left = end.saturating_duration_since(now).max(Duration::from_millis(1));
        let shorter = |limit: Option<Duration>| Some(limit.map_or(left, |limit| limit.min(left)));
        options.connection_timeout = shorter(options.connection_timeout);
        options.total_connection_timeout = shorter(options.total_connection_timeout);
        if options.read_timeout.is_some() {
            options.read_timeout = shorter(options.read_timeout);
        }
    }
    peer
}

/// No connection: nothing was sent, so any method may go elsewhere.
pub fn not_connected(edge: &Edge, session: &mut Session, exchange: &mut Exchange, error: Box<Error>) -> Box<Error> {
    let mut error = error;
    if out_of_descriptors(&error) {
        // Whoever else were asked would need one, too.
        exchange.failure = Some(Failure::Descriptors);
        error.set_retry(false);
        return error;
    }
    if let Some(lease) = &exchange.attempt.lease {
        lease.not_connected(&error);
    }
    note_failure(edge, session, exchange, Failure::Connect);
    let retry = try_another(edge, exchange, Failure::Connect) || {
        service_failed(edge, exchange);
        let falls_back = may_fall_back(session, exchange, Failure::Connect);
        if falls_back {
            fall_back(exchange, Failure::Connect);
        }
        falls_back
    };
    error.set_retry(retry);
    error
}

fn out_of_descriptors(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    matches!(cause.and_then(std::io::Error::raw_os_error), Some(libc::EMFILE | libc::ENFILE))
}

/// A connection is there; the answer's deadline starts, and again with the last byte of the request's body. `alone`: it carries
/// this exchange and no other.
pub fn connected(session: &mut Session, exchange: &mut Exchange, reused: bool, alone: bool, fd: RawFd) {
    // A connection from the pool was there at once: the clock is not read again.
    let now = exchange.attempt.began.filter(|_| reused).unwrap_or_else(Instant::now);
    exchange.attempt.reused = reused;
    exchange.attempt.connected = exchange.attempt.began.map(|began| now.saturating_duration_since(began));
    let spec = exchange.edition.pool(exchange.target).spec();
    if let Some(watch) = &exchange.watch {
        if alone {
            watch.attend(fd);
        }
        watch.within(now, spec.timeouts.answer);
        if session.as_http2().is_some() && !session.as_downstream_mut().is_body_done() {
            body::await_more(session, now, exchange);
        }
    }
}

/// A request whose answer may pause for as long as a tunnel may: an event stream, or a call of gRPC.
pub fn may_be_silent(request: &RequestHeader) -> bool {
    let says = |name: header::HeaderName, what: &str| {
        request.headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(what))
    };
    says(header::ACCEPT, "text/event-stream") || says(header::CONTENT_TYPE, "application/grpc")
}

/// Whether the connection carries this exchange and no other. The descriptor of an HTTP/2 connection belongs to all its
/// streams: those have pingora's own read timeout.
pub fn is_alone(exchange: &Exchange, peer: &HttpPeer) -> bool {
    let versions = exchange.edition.pool(exchange.target).spec().http;
    exchange.upgrade || (versions != HttpVersions::Http2 && !speaks_http2(peer))
}

fn speaks_http2(peer: &HttpPeer) -> bool {
    peer.get_alpn().is_some_and(|alpn| alpn.get_max_http_version() == 2)
}

/// The head of an answer, 1xx included. A status that counts as a failure moves the request to the monolith.
pub fn head_arrived(
    edge: &Edge,
    session: &mut Session,
    response: &mut ResponseHeader,
    exchange: &mut Exchange,
) -> Result<()> {
    if response.status.is_informational() && response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    if edge.live.is_stopping() && response.status != http::StatusCode::SWITCHING_PROTOCOLS {
        session.set_keepalive(None);
    }
    let now = Instant::now();
    exchange.attempt.first_byte = exchange.attempt.began.map(|began| now.saturating_duration_since(began));
    if let (Some(side), Some(elapsed)) = (exchange.meter_side(), exchange.attempt.first_byte) {
        exchange.route().meters.upstream_seconds(side, elapsed.as_secs_f64());
    }
    let status = response.status.as_u16();
    let counts = counts_as_failure(exchange, status);
    if counts {
        let failure = Failure::Status(status);
        note_failure(edge, session, exchange, failure);
        service_failed(edge, exchange);
        if may_fall_back(session, exchange, failure) {
            fall_back(exchange, failure);
            let mut error = error_of(failure);
            error.set_retry(true);
            return Err(error);
        }
    }
    exchange.attempt.well = !counts;
    let spec = exchange.edition.pool(exchange.target).spec();
    let kind = response.headers.get(header::CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
    // Nobody waits for the end of these: neither `idle` nor `total` is about them.
    let endless = kind.starts_with(b"text/event-stream") || response.status == http::StatusCode::SWITCHING_PROTOCOLS;
    // A call of gRPC has an end, and between two messages all the time in the world.
    let silent = endless || kind.starts_with(b"application/grpc");
    let pause = if silent { exchange.edition.snapshot.limits.upgraded_idle } else { spec.timeouts.idle };
    exchange.pause = pause;
    if endless {
        note_success(exchange);
    }
    if let Some(watch) = &exchange.watch {
        if endless {
            watch.limit(None);
        }
        // A deadline that passed without ending anything, on a connection of many streams, is the head's and no longer counts.
        watch.take_expired();
        watch.within(now, pause);
    }
    Ok(())
}

/// Such a status of the service is a failure of it, and may move the request to the monolith.
pub fn counts_as_failure(exchange: &Exchange, status: u16) -> bool {
    let fallback = &exchange.route().policy.fallback;
    exchange.asks_service() && fallback.as_ref().is_some_and(|fallback| fallback.statuses.contains(status))
}

/// An attempt failed after it was connected. Decides whether anybody else may be asked; a wrong yes would send a write twice.
pub fn failed(
    edge: &Edge,
    session: &mut Session,
    exchange: &mut Exchange,
    error: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let mut error = error;
    let (expired, stalled) = exchange.watch.as_ref().map_or((false, false), |watch| {
        watch.leave();
        let expired = watch.take_expired();
        (expired, expired && watch.waited_for_client())
    });
    if already_moved(exchange, &error) {
        return error;
    }
    let malformed = exchange.watch.as_ref().is_some_and(|watch| watch.upload.is_malformed());
    let failure =
        if malformed { Failure::Refused { status: 400, reason: "chunks" } } else { classify(&error, expired, stalled) };
    let again = may_send_again(session, exchange, failure);
    // Bytes behind the last answer (a body to a HEAD, say) make a kept connection as stale as its end does.
    let stale = reused && matches!(failure, Failure::Reset | Failure::Protocol);
    if again && stale && retry_stale(edge, session, exchange) {
        error.set_retry(true);
        return error;
    }
    exchange.failure = Some(failure);
    if failure.fault() == super::Fault::Upstream {
        note_failure(edge, session, exchange, failure);
    }
    let another = again && failure == Failure::Reset && try_another(edge, exchange, failure);
    if failure.fault() == super::Fault::Upstream && !another {
        service_failed(edge, exchange);
    }
    let falls_back = again && !another && may_fall_back(session, exchange, failure);
    if falls_back {
        fall_back(exchange, failure);
    }
    error.set_retry(another || falls_back);
    error
}

/// The answer's status already moved this request to the monolith; pingora reports our own error back to us.
fn already_moved(exchange: &Exchange, error: &Error) -> bool {
    matches!(error.etype(), ErrorType::HTTPStatus(_)) && error.retry() && exchange.fallback.is_some()
}

/// `expired`: a deadline passed; `stalled`: it was the client's.
fn classify(error: &Error, expired: bool, stalled: bool) -> Failure {
    if stalled {
        return Failure::ClientStalled;
    }
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => {
            Failure::Refused { status: 408, reason: "write_timeout" }
        }
        // What the client did is not the upstream's fault, however long it took.
        (ErrorSource::Upstream | ErrorSource::Internal | ErrorSource::Unset, _) if expired => Failure::Timeout,
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Failure::ClientStalled,
        (ErrorSource::Downstream, ErrorType::HTTPStatus(status)) => {
            Failure::Refused { status: *status, reason: if *status == 413 { "body" } else { "min_rate" } }
        }
        (ErrorSource::Downstream, ErrorType::InvalidHTTPHeader) => Failure::Refused { status: 400, reason: "framing" },
        (ErrorSource::Downstream, _) => Failure::ClientGone,
        (ErrorSource::Upstream, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Failure::Timeout,
        (ErrorSource::Upstream, ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::H2Error) => {
            Failure::Protocol
        }
        (ErrorSource::Upstream, _) => Failure::Reset,
        _ => Failure::Internal,
    }
}

/// What a failure means that came before anybody was asked.
pub fn of_client(error: &Error) -> Failure {
    classify(error, false, false)
}

/// A request that may have reached an upstream is sent again only if it is safe, whole and unanswered.
fn may_send_again(session: &Session, exchange: &Exchange, failure: Failure) -> bool {
    failure.fault() == super::Fault::Upstream
        && is_safe(&session.req_header().method)
        && unanswered(session, exchange)
        && !session.as_ref().retry_buffer_truncated()
        && !exchange.upgrade
}

fn unanswered(session: &Session, exchange: &Exchange) -> bool {
    !exchange.answered && session.response_written().is_none_or(|written| written.status.is_informational())
}

/// The methods that promise to change nothing (RFC 9110, section 9.2.1), less TRACE, which is never passed on.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A pooled connection that the endpoint had closed says nothing about the endpoint: ask it again, once.
fn retry_stale(edge: &Edge, session: &Session, exchange: &mut Exchange) -> bool {
    let first = exchange.attempts < 2;
    if first {
        finish::tell_attempt(edge, session, exchange, Some(Failure::Reset));
        edge.telemetry.metrics.edge().retry(exchange.upstream_name(), "stale");
        exchange.attempt.lease = None;
    }
    first
}

/// Another endpoint of the same upstream, within the retry budget.
fn try_another(edge: &Edge, exchange: &mut Exchange, failure: Failure) -> bool {
    let Some(lease) = &exchange.attempt.lease else { return false };
    exchange.tried.push(lease.key());
    let pool = exchange.edition.pool(exchange.target);
    let possible = exchange.tried.len() < MOST_ATTEMPTS && pool.has_other(&exchange.tried) && pool.may_retry();
    if possible {
        edge.telemetry.metrics.edge().retry(&pool.spec().name, failure.kind());
        exchange.attempt.lease = None;
    }
    possible
}

fn may_fall_back(session: &Session, exchange: &Exchange, failure: Failure) -> bool {
    if !exchange.decision.fallback || exchange.fallback.is_some() || exchange.side != Some(Side::Service) {
        return false;
    }
    let Some(fallback) = &exchange.route().policy.fallback else { return false };
    let method = &session.req_header().method;
    if failure.nothing_sent() {
        return fallback.methods.contains(method);
    }
    may_send_again(session, exchange, failure)
}

fn fall_back(exchange: &mut Exchange, failure: Failure) {
    exchange.route().meters.fallback(failure.kind());
    exchange.fallback = Some(failure);
    exchange.failure = None;
    exchange.target = UpstreamId::MONOLITH;
    exchange.side = Some(Side::Monolith);
    let route = exchange.route();
    exchange.in_flight = Some(route.meters.in_flight(meter_index(&route.policy, Side::Monolith)));
    exchange.tried.clear();
    exchange.asked = None;
    exchange.attempt = Attempt::default();
}

/// Counts a failed attempt, for the endpoint and for the route's side.
fn note_failure(edge: &Edge, session: &Session, exchange: &mut Exchange, failure: Failure) {
    exchange.failure = Some(failure);
    finish::tell_attempt(edge, session, exchange, Some(failure));
    exchange.attempt.well = false;
    if let Some(lease) = &exchange.attempt.lease {
        lease.failed(match failure {
            Failure::Connect => EndpointFailure::Connect,
            Failure::Timeout => EndpointFailure::Timeout,
            Failure::Status(_) => EndpointFailure::Status,
            Failure::Protocol => EndpointFailure::Protocol,
            _ => EndpointFailure::Reset,
        });
    }
    if let Some(side) = exchange.meter_side() {
        exchange.route().meters.upstream_error(side, failure.kind());
    }
}

/// The service side as a whole failed this request: the breaker counts requests, not attempts.
fn service_failed(edge: &Edge, exchange: &Exchange) {
    let route = exchange.route();
    let Some(fallback) = route.policy.fallback.as_ref().filter(|_| exchange.side == Some(Side::Service)) else {
        return;
    };
    let now = edge.live.milliseconds(Instant::now());
    if route.state.breaker.failed(now, fallback.breaker_failures, fallback.breaker_open) == Breakage::Opened {
        route.meters.breaker_open(true);
        tracing::warn!(
            route = route.name(),
            upstream = exchange.upstream_name(),
            "breaker opened: the monolith answers for {:?}",
            fallback.breaker_open
        );
    }
}

/// The exchange is over. An answer counts as a success only now: a service that breaks off every answer must not pass for
/// a sound one because its heads are.
pub fn ended(exchange: &Exchange) {
    if exchange.attempt.well {
        note_success(exchange);
    }
}

fn note_success(exchange: &Exchange) {
    if let Some(lease) = &exchange.attempt.lease {
        lease.succeeded();
    }
    let route = exchange.route();
    if exchange.side == Some(Side::Service)
        && route.policy.fallback.is_some()
        && route.state.breaker.succeeded() == Breakage::Closed
    {
        route.meters.breaker_open(false);
        tracing::info!(route = route.name(), "breaker closed: the service answered again");
    }
}

fn error_of(failure: Failure) -> Box<Error> {
    let mut error = Error::explain(ErrorType::HTTPStatus(failure.status().unwrap_or(502)), failure.kind());
    error.as_up();
    error
}
