//! The end of an exchange: an answer of our own where nobody else answered, then the counters and the log line.

use std::time::{Duration, Instant};

use http::{Method, header};
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, Result};

use super::Edge;
use super::exchange::Exchange;
use super::failure::Failure;
use super::panic::{Hook, caught};
use super::{answer, attempt, copying, intake, page};
use crate::live::{GateCounters, Outcome};
use crate::migration::{Bucket, Policy, Reason, Stage};
use crate::telemetry::{AttemptRecord, ExchangeRecord, Timings};

/// Seconds after which a client may ask again when an upstream has no endpoint.
const RETRY_AFTER: u64 = 5;

/// Answers a request that is not passed on.
pub async fn refuse(session: &mut Session, exchange: &mut Exchange, failure: Failure) -> Result<()> {
    exchange.failure = Some(failure);
    if matches!(failure, Failure::Refused { status: 400, .. }) {
        // Nothing more is taken from a client that sends what no honest one sends.
        session.set_keepalive(None);
    }
    say(session, exchange, failure).await
}

/// The last word on an exchange that failed: the client is told, unless its answer has begun or it is gone.
pub async fn report(session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
    let failure = exchange.failure.unwrap_or_else(|| internal(error));
    exchange.failure = Some(failure);
    // Behind a 101 a page of ours would be taken for bytes of the tunnel.
    let begun = session.response_written().is_some_and(|written| {
        !written.status.is_informational() || written.status == http::StatusCode::SWITCHING_PROTOCOLS
    });
    let Some(status) = failure.status().filter(|_| !begun) else {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    };
    // A request body that was not read to its end would be taken for the next request.
    session.set_keepalive(None);
    if let Err(error) = say(session, exchange, failure).await {
        tracing::debug!(%error, "the client did not take the error answer");
    }
    FailToProxy { error_code: status, can_reuse_downstream: false }
}

fn internal(error: &Error) -> Failure {
    tracing::error!(%error, "an exchange failed for a reason of our own");
    Failure::Internal
}

async fn say(session: &mut Session, exchange: &Exchange, failure: Failure) -> Result<()> {
    let Some(status) = failure.status() else { return Ok(()) };
    let retry_after = match (status, exchange.standing) {
        (429, Some(standing)) => Some(standing.seconds().max(1)),
        (429 | 503, _) => Some(RETRY_AFTER),
        _ => None,
    };
    let headers = &session.req_header().headers;
    let mut page = page::page(status, failure.detail(), exchange.request_id.as_str(), headers, retry_after);
    if let Failure::Unauthorized(rejected) = failure {
        // Whoever sends tokens is a program, whatever it accepts.
        page = page::problem(status, failure.detail(), exchange.request_id.as_str());
        page.header.insert_header(header::WWW_AUTHENTICATE, rejected.challenge())?;
    }
    let mut header = page.header;
    if failure == Failure::PlainHttp {
        header.insert_header(header::LOCATION, intake::secure_location(session.req_header(), exchange))?;
    }
    if let Some(standing) = exchange.standing {
        standing.write(&mut header)?;
    }
    answer::sign(session, &mut header, exchange)?;
    let head_only = session.req_header().method == Method::HEAD;
    session.write_response_header(header, head_only).await?;
    // On a stream of HTTP/2 the end is said here, also of an answer without a body.
    session.write_response_body(if head_only { None } else { Some(page.body) }, true).await
}

/// The exchange is over, however it went.
pub fn close(edge: &Edge, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
    // A panic here costs the line, and what the exchange holds goes with it.
    let _ = caught(edge, Hook::Settle, exchange, |exchange| {
        copying::end(edge, session, error, exchange);
        settle(edge, session, error, exchange);
        Ok(())
    });
}

/// Counts and logs. Runs exactly once for every request that has a head.
fn settle(edge: &Edge, session: &mut Session, error: Option<&Error>, exchange: &mut Exchange) {
    if let Some(watch) = &exchange.watch {
        watch.leave();
    }
    if error.is_some() && exchange.failure.is_none() {
        exchange.failure = Some(Failure::ClientGone);
    }
    if let Some(reason) = exchange.watch.as_ref().and_then(|watch| watch.cut()) {
        exchange.failure = Some(Failure::Refused { status: 408, reason });
    }
    attempt::ended(exchange);
    let now = Instant::now();
    let total = now.saturating_duration_since(exchange.began);
    let status = session.response_written().map_or(0, |written| written.status.as_u16());
    let route = exchange.route();
    route.meters.request(exchange.meter_side(), &session.req_header().method, status, total.as_secs_f64());
    if let Some(gate) = &route.gate {
        count_for_gate(edge, gate, exchange, status, now);
    }
    if let Some(reason) = exchange.failure.and_then(Failure::refused) {
        edge.telemetry.metrics.edge().refused(reason);
    }
    if exchange.failure == Some(Failure::ClientGone) {
        route.meters.client_abort();
    }
    tell_attempt(edge, session, exchange, exchange.failure);
    record(edge, session, exchange, status, total);
    exchange.in_flight = None;
    exchange.attempt.lease = None;
}

/// Evidence goes by the side that the client's bucket assigned, whichever side answered. Clients that were forced, pinned or
/// that left are no witnesses, nor are requests that the edge itself refused.
fn count_for_gate(edge: &Edge, gate: &GateCounters, exchange: &Exchange, status: u16, now: Instant) {
    let bucket = match exchange.decision.reason {
        Reason::Bucket(bucket) | Reason::NoUnit(bucket) => bucket,
        Reason::BreakerOpen => return gate.breaker_was_open(edge.live.milliseconds(now) / 1000),
        Reason::Stage if exchange.dial_stage() == Stage::Shadow => {
            // Everybody is on the monolith's side; what it takes is what copies are measured by.
            Bucket(0)
        }
        _ => return,
    };
    let failure = exchange.failure.filter(|_| exchange.fallback.is_none());
    if failure == Some(Failure::ClientGone) || failure.is_some_and(|failure| failure.refused().is_some()) {
        return;
    }
    let failed = exchange.fallback.is_some() || status == 0 || status >= 500;
    let first_byte = exchange.attempt.first_byte.filter(|_| !failed);
    let outcome = first_byte.map_or(Outcome::Failed, |after_attempt| {
        let began = exchange.attempt.began.unwrap_or(now);
        let waited = exchange.asked.map_or(Duration::ZERO, |asked| began.saturating_duration_since(asked));
        Outcome::Answered { refused: (400..500).contains(&status), first_byte: waited + after_attempt }
    });
    gate.request(exchange.decision.side, bucket, outcome);
}

/// Tells the trace how an attempt ended, once. Costs a comparison where no spans are recorded.
pub fn tell_attempt(edge: &Edge, session: &Session, exchange: &mut Exchange, failure: Option<Failure>) {
    let Some(began) = exchange.attempt.began.filter(|_| exchange.trace.is_recorded() && !exchange.attempt.told) else {
        return;
    };
    exchange.attempt.told = true;
    let answered = session.response_written().map_or(0, |written| written.status.as_u16());
    edge.telemetry.emit_attempt(&AttemptRecord {
        trace: &exchange.attempt_trace(),
        method: session.req_header().method.as_str(),
        route: exchange.route().name(),
        side: exchange.side_name(),
        upstream: exchange.upstream_name(),
        endpoint: exchange.attempt.lease.as_ref().map_or("", crate::upstream::Lease::address),
        number: exchange.attempts.saturating_sub(1),
        status: match failure {
            Some(Failure::Status(status)) => status,
            Some(_) if !exchange.answered => 0,
            _ => answered,
        },
        reused: exchange.attempt.reused,
        error: failure.map(Failure::kind),
        total: began.elapsed(),
    });
}

/// What the route's comparison hides is hidden in the log as well.
fn hidden(policy: &Policy) -> &[Box<str>] {
    let compare = policy.shadow.as_ref().and_then(|shadow| shadow.compare.as_ref());
    compare.map_or(&[], |compare| &compare.hidden)
}

fn record(edge: &Edge, session: &Session, exchange: &Exchange, status: u16, total: Duration) {
    let request = session.req_header();
    let route = exchange.route();
    let lease = exchange.attempt.lease.as_ref();
    let began_after = exchange.attempt.began.map(|began| began.saturating_duration_since(exchange.began));
    edge.telemetry.emit(&ExchangeRecord {
        method: request.method.as_str(),
        scheme: if session.digest().is_some_and(|digest| digest.ssl_digest.is_some()) { "https" } else { "http" },
        path: intake::path_bytes(request),
        query: request.uri.query(),
        hidden: hidden(&route.policy),
        protocol: intake::protocol(request.version),
        host: intake::authority(request),
        user_agent: request.headers.get(http::header::USER_AGENT).map_or(b"", |value| value.as_bytes()),
        referer: request.headers.get(http::header::REFERER).map_or(b"", |value| value.as_bytes()),
        client: exchange.client,
        status,
        route: route.name(),
        stage: route.dial.stage.as_str(),
        side: exchange.side_name(),
        reason: exchange.decision.reason.as_str(),
        upstream: if exchange.side.is_some() { exchange.upstream_name() } else { "" },
        endpoint: lease.map_or("", crate::upstream::Lease::address),
        attempts: exchange.attempts,
        fallback: exchange.fallback_reason(),
        shadow: exchange.copying.what_became(),
        error: exchange.failure.map(|failure| (failure.fault().as_str(), failure.kind())),
        bytes_in: exchange.body.received,
        bytes_out: u64::try_from(session.body_bytes_sent()).unwrap_or(u64::MAX).saturating_add(exchange.tunnelled),
        timings: Timings {
            queue: began_after,
            connect: exchange.attempt.connected,
            first_byte: exchange.attempt.first_byte,
            total,
        },
        request_id: &exchange.request_id,
        trace: &exchange.trace,
        generation: exchange.edition.generation,
    });
}
