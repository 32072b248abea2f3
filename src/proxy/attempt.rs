//! One attempt after another: which endpoint is asked, what a failure means, and which endpoint may answer instead.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::Steps;
use super::attempt_record::tell_attempt;
use super::exchange::{Attempt, Exchange, MOST_ATTEMPTS};
use super::failure::{Blame, Failure};
use super::generation::meter_index;
use super::sign_in;
use crate::client::ConnectError;
use crate::endpoint::UpstreamId;
use crate::live::Breakage;
use crate::message::{Name, Piece, RequestHead, ResponseHead};
use crate::migration::Side;
use crate::upstream::EndpointFailure;

/// The step after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt.
    Again,
    /// The client is told, unless its response has begun.
    Stop(Failure),
}

/// A failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    pub failure: Failure,
    /// The connection had served another request before, and has ended, or what came on it is no response.
    pub stale: bool,
    /// All that was read of the request's body can be sent again.
    pub kept: bool,
    /// The upstream says that it has not processed the request. An unsafe one is still not sent again: it was all there.
    pub unprocessed: bool,
    /// Nothing of the request was sent.
    pub unsent: bool,
}

/// Picks the endpoint that is asked next.
pub fn choose(steps: &Steps, exchange: &mut Exchange) -> Result<(), Next> {
    let now = exchange.now();
    let Some(next) = next_attempt(exchange, now) else {
        return Err(not_sent(steps, exchange, Failure::NoEndpoint));
    };
    let total = exchange.timeouts().total;
    let end = total.and_then(|total| exchange.asked.get_or_insert(now).checked_add(total));
    exchange.deadline.limit(end);
    exchange.attempts = exchange.attempts.saturating_add(1);
    exchange.attempt = Attempt { began: Some(now), end, ..next };
    Ok(())
}

/// No endpoint of the upstream is asked. Falls back to the monolith where that may be.
pub fn not_sent(steps: &Steps, exchange: &mut Exchange, failure: Failure) -> Next {
    note_failure(steps, exchange, failure);
    service_failed(steps, exchange);
    if may_fall_back(exchange, failure, false) {
        fall_back(exchange, failure);
        return Next::Again;
    }
    Next::Stop(failure)
}

/// The same where no other endpoint may be asked.
fn not_run(steps: &Steps, exchange: &mut Exchange, failure: Failure) -> Next {
    note_failure(steps, exchange, failure);
    service_failed(steps, exchange);
    Next::Stop(failure)
}

/// The endpoint that is asked: the same once more, the one on which the client has signed in, or the balancer's. `None`: there is none.
fn next_attempt(exchange: &mut Exchange, now: Instant) -> Option<Attempt> {
    if std::mem::take(&mut exchange.attempt.anew)
        && let Some(lease) = exchange.attempt.lease.take()
    {
        return Some(Attempt { lease: Some(lease), anew: true, ..Attempt::default() });
    }
    if let Some((lease, own)) = sign_in::resume(exchange, now) {
        return Some(Attempt { lease: Some(lease), own: Some(own), signed_in: true, ..Attempt::default() });
    }
    let pool = exchange.generation.pool(exchange.target);
    let lease = pool.pick(exchange.decision.unit_hash, &exchange.tried).ok()?;
    Some(Attempt { lease: Some(lease), ..Attempt::default() })
}

/// The client could not be identified, so the service is not asked: the attempt counts as one that found no connection. `counts`: that is a
/// failure of the service side.
pub fn unidentified(steps: &Steps, exchange: &mut Exchange, counts: bool) -> Result<(), Failure> {
    exchange.failure = Some(Failure::Unidentified);
    if let Some(side) = exchange.meter_side() {
        exchange.route().meters.upstream_error(side, Failure::Connect.kind());
    }
    if counts {
        service_failed(steps, exchange);
    }
    if !may_fall_back(exchange, Failure::Unidentified, false) {
        return Err(Failure::Unidentified);
    }
    fall_back(exchange, Failure::Unidentified);
    Ok(())
}

/// How long connecting may take: all attempts at one upstream share its `total`.
pub fn connect_limit(exchange: &Exchange) -> Option<Duration> {
    let limit = exchange.timeouts().connect;
    let now = exchange.attempt.began?;
    let left = exchange.attempt.end.map(|end| end.saturating_duration_since(now).max(Duration::from_millis(1)));
    limit.into_iter().chain(left).min()
}

/// No connection: nothing was sent, so any method may go elsewhere.
pub fn not_connected(steps: &Steps, exchange: &mut Exchange, error: &ConnectError) -> Next {
    exchange.moment = None;
    if error.is_out_of_descriptors() {
        // Any other endpoint would need one, too.
        exchange.failure = Some(Failure::Descriptors);
        return Next::Stop(Failure::Descriptors);
    }
    if let Some(lease) = &exchange.attempt.lease {
        lease.not_connected(error);
    }
    note_failure(steps, exchange, Failure::Connect);
    if try_another(steps, exchange, Failure::Connect) {
        return Next::Again;
    }
    service_failed(steps, exchange);
    if may_fall_back(exchange, Failure::Connect, false) {
        fall_back(exchange, Failure::Connect);
        return Next::Again;
    }
    Next::Stop(Failure::Connect)
}

/// A connection is there.
pub fn connected(exchange: &mut Exchange, reused: bool) {
    // A connection from the pool was there at once.
    let took = |began: Instant| if reused { Duration::ZERO } else { began.elapsed() };
    exchange.attempt.reused = reused;
    exchange.attempt.connected = exchange.attempt.began.map(took);
    if !reused {
        exchange.moment = None;
    }
}

/// A request whose response may pause for as long as a tunnel may: an event stream, or a call of gRPC.
pub fn may_be_silent(head: &RequestHead) -> bool {
    let says = |name, what: &str| {
        let value = head.fields.get(name).filter(|value| value.len() >= what.len());
        value.and_then(|value| std::str::from_utf8(value).ok()).is_some_and(|value| value.contains(what))
    };
    says(Name::Accept, "text/event-stream") || says(Name::ContentType, "application/grpc")
}

/// The decision about a response whose head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadOutcome {
    /// It goes to the client.
    Pass,
    /// Its status counts as a failure, and the monolith is asked instead.
    Moved,
}

/// The final head of a response. A status that counts as a failure moves the request to the monolith.
pub fn response_head(steps: &Steps, exchange: &mut Exchange, head: &ResponseHead, kept: bool) -> HeadOutcome {
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    exchange.close |= steps.live.is_stopping() && !switches;
    let now = exchange.now();
    exchange.attempt.first_byte = exchange.attempt.began.map(|began| now.saturating_duration_since(began));
    if let (Some(side), Some(elapsed)) = (exchange.meter_side(), exchange.attempt.first_byte) {
        exchange.route().meters.upstream_seconds(side, elapsed.as_secs_f64());
    }
    exchange.attempt.signed_in |= sign_in::is_asked_for(head);
    let failure = said_failure(exchange, head);
    if failure.is_some_and(|failure| moves_on(steps, exchange, failure, kept)) {
        return HeadOutcome::Moved;
    }
    exchange.attempt.well = failure.is_none();
    let kind = head.fields.get(Name::ContentType).unwrap_or_default();
    // These have no end that is waited for: neither `idle` nor `total` is about them.
    let endless = kind.starts_with(b"text/event-stream") || switches;
    // A call of gRPC has an end, and between two messages all the time in the world.
    let silent = endless || kind.starts_with(b"application/grpc");
    exchange.pause = if silent { exchange.generation.snapshot.limits.upgraded_idle } else { exchange.timeouts().idle };
    if endless {
        note_success(exchange);
        exchange.deadline.limit(None);
    }
    HeadOutcome::Pass
}

/// A response of the service that counts as its failure: the monolith answers instead, if it may.
fn moves_on(steps: &Steps, exchange: &mut Exchange, failure: Failure, kept: bool) -> bool {
    note_failure(steps, exchange, failure);
    service_failed(steps, exchange);
    let moves = may_fall_back(exchange, failure, kept);
    if moves {
        fall_back(exchange, failure);
    }
    moves
}

/// The service fails on purpose with this status, without being asked; no endpoint is at fault.
pub fn failed_on_purpose(steps: &Steps, exchange: &mut Exchange, status: u16, kept: bool) -> Next {
    exchange.attempt = Attempt::default();
    let counts = exchange.route().policy.fallback.as_ref().is_some_and(|fallback| fallback.statuses.contains(status));
    if counts && exchange.asks_service() && moves_on(steps, exchange, Failure::Status(status), kept) {
        return Next::Again;
    }
    Next::Stop(Failure::OnPurpose(status))
}

/// Such a head of the service says that it failed, and may move the request to the monolith.
fn said_failure(exchange: &mut Exchange, head: &ResponseHead) -> Option<Failure> {
    let call = exchange.call.as_mut().and_then(|call| call.failed_in_head(head)).map(Failure::Grpc);
    let fallback = exchange.route().policy.fallback.as_ref().filter(|_| exchange.asks_service())?;
    let status = head.status.as_u16();
    call.or_else(|| fallback.statuses.contains(status).then_some(Failure::Status(status)))
}

/// A piece of the response's body. The end of a call may say that it failed; the client has the response, so no other endpoint is asked.
pub fn response_piece(steps: &Steps, exchange: &mut Exchange, piece: &Piece) {
    let status = exchange.status;
    let said = exchange.call.as_mut().and_then(|call| call.failed_at_end(piece, status));
    if let Some(status) = said
        && exchange.asks_service()
        && exchange.route().policy.fallback.is_some()
    {
        note_failure(steps, exchange, Failure::Grpc(status));
        service_failed(steps, exchange);
    }
}

/// An attempt failed after it was connected. Decides whether another endpoint may be asked; a wrong yes would send a write twice.
pub fn failed(steps: &Steps, exchange: &mut Exchange, failed: Failed) -> Next {
    let Failed { failure, stale, kept, unprocessed, unsent } = failed;
    if let Failure::Unwritable(_) = failure {
        return not_written(steps, exchange, failed);
    }
    if failure.nothing_sent() {
        // The target says itself that nothing was run. A request that cannot be sent again is not sent to the monolith, either.
        return if kept { not_sent(steps, exchange, failure) } else { not_run(steps, exchange, failure) };
    }
    let again = may_send_again(exchange, failure, kept) || unsent && kept;
    if again && (stale || unprocessed || unsent) && retry_stale(steps, exchange) {
        return Next::Again;
    }
    exchange.failure = Some(failure);
    if failure.fault() != Blame::Upstream {
        return Next::Stop(failure);
    }
    note_failure(steps, exchange, failure);
    let falls_back = again && may_fall_back(exchange, failure, kept);
    let another = again
        && match failure {
            // Behind a timeout one more endpoint is asked, however it fails.
            Failure::Reset | Failure::Protocol => !exchange.after_timeout,
            // Where a fallback is on, it comes in place of that endpoint.
            Failure::Timeout => !falls_back && !exchange.after_timeout && time_is_left(exchange),
            _ => false,
        }
        && try_another(steps, exchange, failure);
    exchange.after_timeout |= failure == Failure::Timeout;
    if another {
        return Next::Again;
    }
    service_failed(steps, exchange);
    if falls_back {
        fall_back(exchange, failure);
        return Next::Again;
    }
    Next::Stop(failure)
}

/// The endpoint's version of HTTP cannot carry this request. It may go over HTTP/1.1 where the endpoint speaks that, or to the monolith;
/// what a client asks for is no failure of the service, so nothing is counted against it.
fn not_written(steps: &Steps, exchange: &mut Exchange, failed: Failed) -> Next {
    let Failed { failure, kept, unsent, .. } = failed;
    tell_attempt(steps, exchange, Some(failure));
    if unsent && kept {
        exchange.attempt.anew = true;
        return Next::Again;
    }
    if kept && may_fall_back(exchange, failure, kept) {
        fall_back(exchange, failure);
        return Next::Again;
    }
    exchange.failure = Some(failure);
    Next::Stop(failure)
}

fn time_is_left(exchange: &Exchange) -> bool {
    exchange.attempt.end.is_none_or(|end| end > Instant::now())
}

/// A request that may have reached an upstream is sent again only if it is safe, whole and unanswered.
fn may_send_again(exchange: &Exchange, failure: Failure, kept: bool) -> bool {
    failure.fault() == Blame::Upstream && exchange.is_safe() && !exchange.answered && kept && !exchange.upgrade
}

/// A pooled connection that the endpoint had closed says nothing about the endpoint: ask it again, once, over a new connection.
fn retry_stale(steps: &Steps, exchange: &mut Exchange) -> bool {
    let first = exchange.attempts < 2;
    if first {
        tell_attempt(steps, exchange, Some(Failure::Reset));
        steps.telemetry.metrics.edge().retry(exchange.upstream_name(), "stale");
        exchange.attempt.anew = true;
    }
    first
}

/// Another endpoint of the same upstream, within the retry budget.
fn try_another(steps: &Steps, exchange: &mut Exchange, failure: Failure) -> bool {
    let Some(lease) = &exchange.attempt.lease else { return false };
    exchange.tried.push(lease.key());
    let pool = exchange.generation.pool(exchange.target);
    let possible = exchange.tried.len() < MOST_ATTEMPTS && pool.has_other(&exchange.tried) && pool.may_retry();
    if possible {
        steps.telemetry.metrics.edge().retry(&pool.spec().name, failure.kind());
        exchange.attempt.lease = None;
    }
    possible
}

fn may_fall_back(exchange: &Exchange, failure: Failure, kept: bool) -> bool {
    if !exchange.decision.fallback || exchange.fallback.is_some() || exchange.side != Some(Side::Service) {
        return false;
    }
    let Some(fallback) = &exchange.route().policy.fallback else { return false };
    if failure.nothing_sent() {
        let as_get = exchange.call.is_some_and(|call| call.safe) && fallback.methods.contains(&Method::GET);
        return as_get || fallback.methods.contains(&exchange.head.method);
    }
    may_send_again(exchange, failure, kept)
}

fn fall_back(exchange: &mut Exchange, failure: Failure) {
    exchange.route().meters.fallback(failure.kind());
    exchange.fallback = Some(failure);
    exchange.failure = None;
    if let Some(call) = &mut exchange.call {
        call.status = None;
    }
    exchange.target = UpstreamId::MONOLITH;
    exchange.side = Some(Side::Monolith);
    let route = exchange.route();
    exchange.in_flight = Some(route.meters.in_flight(meter_index(&route.policy, Side::Monolith)));
    exchange.tried.clear();
    exchange.http1_alone = false;
    exchange.asked = None;
    exchange.permit = None;
    exchange.attempt = Attempt::default();
}

/// Counts a failed attempt, for the endpoint and for the route's side.
fn note_failure(steps: &Steps, exchange: &mut Exchange, failure: Failure) {
    exchange.failure = Some(failure);
    tell_attempt(steps, exchange, Some(failure));
    exchange.attempt.well = false;
    if let Some(lease) = &exchange.attempt.lease {
        lease.failed(match failure {
            Failure::Connect => EndpointFailure::Connect,
            Failure::Timeout => EndpointFailure::Timeout,
            Failure::Status(_) | Failure::Grpc(_) => EndpointFailure::Status,
            Failure::Protocol => EndpointFailure::Protocol,
            _ => EndpointFailure::Reset,
        });
    }
    if let Some(side) = exchange.meter_side() {
        exchange.route().meters.upstream_error(side, failure.kind());
    }
}

/// The service side as a whole failed this request: the breaker counts requests, not attempts.
fn service_failed(steps: &Steps, exchange: &Exchange) {
    let route = exchange.route();
    let Some(fallback) = route.policy.fallback.as_ref().filter(|_| exchange.side == Some(Side::Service)) else {
        return;
    };
    let now = steps.live.milliseconds(Instant::now());
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

/// The exchange is over. A response counts as a success only now: a service that breaks off every response must not pass for
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
