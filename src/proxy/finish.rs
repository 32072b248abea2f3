//! The end of an exchange: a response of our own where there is no other, then the counters and the log line.

use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::failure::Failure;
use super::page::Page;
use super::{Steps, admit, attempt, mirror, page, response};
use crate::message::Name;
use crate::migration::Policy;
use crate::telemetry::{AttemptRecord, ExchangeRecord, Timings};

/// Seconds after which a client may ask again when an upstream has no endpoint.
const RETRY_AFTER: u64 = 5;

/// The response of our own to a request that failed; `None` when there is no client to read it.
pub fn page(exchange: &Exchange, failure: Failure) -> Option<Page> {
    let status = failure.status()?;
    let retry_after = match (status, exchange.rate_limit) {
        (429, Some(limit)) => Some(limit.seconds().max(1)),
        (429 | 503, _) => Some(RETRY_AFTER),
        _ => None,
    };
    let request_id = exchange.request_id.as_str();
    let mut page = page::page(status, failure.detail(), request_id, &exchange.head.fields, retry_after);
    if let Failure::Unauthorized(rejected) = failure {
        // A client that sends tokens is a program, whatever it accepts.
        page = page::problem(status, failure.detail(), request_id);
        page.head.fields.set(Name::WwwAuthenticate, rejected.challenge().as_bytes());
    }
    if failure == Failure::PlainHttp {
        page.head.fields.set(Name::Location, &admit::secure_location(exchange));
    }
    if let Some(limit) = exchange.rate_limit {
        limit.write(&mut page.head);
    }
    response::sign(&mut page.head, exchange);
    Some(page)
}

/// Counts and logs. Runs exactly once for every request.
pub fn settle(steps: &Steps, exchange: &mut Exchange) {
    mirror::end(exchange, exchange.failure.is_none());
    attempt::ended(exchange);
    let now = Instant::now();
    let total = now.saturating_duration_since(exchange.began);
    let status = exchange.status;
    let route = exchange.route();
    route.meters.request(exchange.meter_side(), &exchange.head.method, status, total.as_secs_f64());
    if let Some(reason) = exchange.failure.and_then(Failure::refused) {
        steps.telemetry.metrics.edge().refused(reason);
    }
    if exchange.failure == Some(Failure::ClientGone) {
        route.meters.client_abort();
    }
    tell_attempt(steps, exchange, exchange.failure);
    record(steps, exchange, status, total);
    exchange.in_flight = None;
    exchange.attempt.lease = None;
}

/// Tells the trace how an attempt ended, once. Costs a comparison where no spans are recorded.
pub fn tell_attempt(steps: &Steps, exchange: &mut Exchange, failure: Option<Failure>) {
    let Some(began) = exchange.attempt.began.filter(|_| exchange.trace.is_recorded() && !exchange.attempt.told) else {
        return;
    };
    exchange.attempt.told = true;
    steps.telemetry.emit_attempt(&AttemptRecord {
        trace: &exchange.attempt_trace(),
        method: exchange.head.method.as_str(),
        route: exchange.route().name(),
        side: exchange.side_name(),
        upstream: exchange.upstream_name(),
        endpoint: exchange.attempt.lease.as_ref().map_or("", crate::upstream::Lease::address),
        number: exchange.attempts.saturating_sub(1),
        status: match failure {
            Some(Failure::Status(status)) => status,
            Some(_) if !exchange.answered => 0,
            _ => exchange.status,
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

fn record(steps: &Steps, exchange: &Exchange, status: u16, total: Duration) {
    let head = &exchange.head;
    let route = exchange.route();
    let lease = exchange.attempt.lease.as_ref();
    let began_after = exchange.attempt.began.map(|began| began.saturating_duration_since(exchange.began));
    steps.telemetry.emit(&ExchangeRecord {
        method: head.method.as_str(),
        scheme: if exchange.arrival.tls { "https" } else { "http" },
        path: head.path(),
        query: head.query(),
        hidden: hidden(&route.policy),
        protocol: admit::protocol(head.version),
        host: admit::authority(head),
        user_agent: head.fields.get(Name::UserAgent).unwrap_or_default(),
        referer: head.fields.get(Name::Referer).unwrap_or_default(),
        client: exchange.client,
        status,
        route: route.name(),
        stage: route.policy.dial.stage.as_str(),
        side: exchange.side_name(),
        reason: exchange.decision.reason.as_str(),
        upstream: if exchange.side.is_some() { exchange.upstream_name() } else { "" },
        endpoint: lease.map_or("", crate::upstream::Lease::address),
        attempts: exchange.attempts,
        fallback: exchange.fallback_reason(),
        shadow: exchange.mirror.what_became(),
        error: exchange.failure.map(|failure| (failure.fault().as_str(), failure.kind())),
        bytes_in: exchange.body.received,
        bytes_out: exchange.bytes_out,
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
