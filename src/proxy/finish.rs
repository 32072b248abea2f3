//! The end of an exchange: a response of our own where there is no other, then the counters and the log line.

use std::time::{Duration, Instant};

use super::attempt_record::tell_attempt;
use super::exchange::Exchange;
use super::failure::{Blame, Failure};
use super::page::Page;
use super::request::{authority, host, protocol};
use super::{Steps, attempt, identify, mirror, page, recording, response};
use crate::learn::Answered;
use crate::live::{GateCounters, RequestOutcome};
use crate::message::{GrpcStatus, Name};
use crate::migration::{Bucket, Policy, Reason, Stage};
use crate::route::normalise_bytes;
use crate::telemetry::{ExchangeRecord, Timings};

/// Seconds after which a client may ask again when an upstream has no endpoint.
const RETRY_AFTER: u64 = 5;

/// The response of our own to a request that failed; `None` when there is no client to read it.
pub fn page(exchange: &Exchange, failure: Failure) -> Option<Page> {
    let status = failure.status()?;
    if let (Failure::Proof, Some(proof)) = (failure, &exchange.proof) {
        let mut page = page::text(status, proof);
        response::sign(&mut page.head, exchange);
        return Some(page);
    }
    let retry_after = match (status, exchange.rate_limit) {
        (429, Some(limit)) => Some(limit.seconds().max(1)),
        (429 | 503, _) => Some(RETRY_AFTER),
        _ => None,
    };
    if let (Failure::Denied(_), Some(denial)) = (failure, &exchange.denial) {
        return Some(identify::page(denial, exchange));
    }
    let request_id = exchange.request_id.as_str();
    let own = exchange.generation.snapshot.pages.page(status);
    let mut page = page::page(status, failure.detail(), request_id, &exchange.head.fields, retry_after, own);
    let challenge = if let Failure::Unauthorized(rejected) = failure { Some(rejected.challenge()) } else { None };
    if challenge.is_some() {
        // A client that sends tokens is a program, whatever it accepts.
        page = page::problem(status, failure.detail(), request_id);
    }
    if exchange.call.is_some() {
        page = page::trailers_only(status, failure.detail(), &exchange.head.fields, retry_after);
    }
    if let Some(challenge) = challenge {
        page.head.fields.set(Name::WwwAuthenticate, challenge.as_bytes());
    }
    if failure == Failure::PlainHttp {
        page.head.fields.set(Name::Location, &secure_location(exchange));
    }
    if let Failure::Redirect(_) = failure {
        page.head.fields.set(Name::Location, &redirect_location(exchange)?);
    }
    if let Some(limit) = exchange.rate_limit {
        limit.write(&mut page.head);
    }
    response::sign(&mut page.head, exchange);
    Some(page)
}

/// The same address with https, at the first of the TLS listeners' ports.
fn secure_location(exchange: &Exchange) -> Vec<u8> {
    let listen = exchange.generation.snapshot.server.tls.listen.first();
    let port = listen.and_then(|address| address.rsplit_once(':')).map_or("443", |(_, port)| port);
    let mut location = format!("https://{}", host(&exchange.head)).into_bytes();
    if port != "443" {
        location.push(b':');
        location.extend_from_slice(port.as_bytes());
    }
    let target = exchange.head.target();
    location.extend_from_slice(if target.starts_with(b"/") { target } else { b"/" });
    location
}

/// The address that the route answers with, made of the path that the client asked for.
fn redirect_location(exchange: &Exchange) -> Option<Vec<u8>> {
    let redirect = exchange.route().route.as_ref()?.redirect.as_ref()?;
    let table = &exchange.generation.snapshot.table;
    let path = normalise_bytes(exchange.head.path(), &exchange.generation.snapshot.matching).ok()?;
    let template = table.template(exchange.found?);
    Some(redirect.location(&template.captures(path.as_str()), exchange.head.query()))
}

/// Counts and logs. Runs exactly once for every request.
pub fn settle(steps: &Steps, exchange: &mut Exchange) {
    mirror::end(exchange, exchange.failure.is_none_or(Failure::is_said));
    attempt::ended(exchange);
    let now = exchange.ended.unwrap_or_else(Instant::now);
    let total = now.saturating_duration_since(exchange.began);
    let result = exchange.result();
    let route = exchange.route();
    let (side, assigned) = (exchange.meter_side(), exchange.assigned_side());
    route.meters.request(side, assigned, &exchange.head.method, result, total.as_secs_f64());
    if let Some(gate) = &route.gate {
        count_for_gate(steps, gate, exchange, result.as_http(), now);
    }
    if let Some(reason) = exchange.failure.and_then(Failure::refused) {
        steps.telemetry.metrics.edge().refused(reason);
    }
    if exchange.failure == Some(Failure::ClientGone) {
        route.meters.client_abort();
    }
    if exchange.answered && exchange.generation.snapshot.inventory.learn {
        learn(steps, exchange, exchange.status, total);
    }
    tell_attempt(steps, exchange, exchange.failure);
    if steps.telemetry.is_heard(&exchange.trace) {
        record(steps, exchange, result.as_grpc(), total);
    }
    exchange.in_flight = None;
    exchange.permit = None;
    exchange.attempt.lease = None;
}

/// The inventory learns from what an upstream answered, the monolith or a service.
fn learn(steps: &Steps, exchange: &Exchange, status: u16, total: Duration) {
    let recorded = steps.learner.observe(|| Answered {
        head: &exchange.head,
        client: exchange.client.as_ref(),
        status,
        location: exchange.leads_to,
        time: total,
        monolith: !exchange.asks_service(),
    });
    if let Some(requests) = recorded {
        recording::record(steps, exchange, requests);
    }
}

/// Evidence goes by the side that the client's bucket assigned, whichever side answered. Clients that were forced, pinned or
/// that left are no witnesses, nor are requests that the edge itself refused. `status`: of HTTP, or the one that says what gRPC said.
fn count_for_gate(steps: &Steps, gate: &GateCounters, exchange: &Exchange, status: u16, now: Instant) {
    let bucket = match exchange.decision.reason {
        Reason::Bucket(bucket) | Reason::NoUnit(bucket) => bucket,
        Reason::BreakerOpen => return gate.breaker_was_open(steps.live.milliseconds(now) / 1000),
        Reason::Stage if exchange.dial_stage() == Stage::Shadow => {
            // All clients are on the monolith's side; its time is the one that copies are compared with.
            Bucket(0)
        }
        _ => return,
    };
    let failure = exchange.failure.filter(|_| exchange.fallback.is_none());
    if !is_evidence(exchange.fallback.or(failure)) {
        return;
    }
    // A response that broke off is no response, whatever its head said.
    let broken = failure.is_some_and(|failure| failure.fault() == Blame::Upstream);
    let failed = exchange.fallback.is_some() || broken || status == 0 || status >= 500;
    let first_byte = exchange.attempt.first_byte.filter(|_| !failed);
    let outcome = first_byte.map_or(RequestOutcome::Failed, |after_attempt| {
        let began = exchange.attempt.began.unwrap_or(now);
        let waited = exchange.asked.map_or(Duration::ZERO, |asked| began.saturating_duration_since(asked));
        let waited = waited + exchange.queued.unwrap_or_default();
        RequestOutcome::Answered { refused: (400..500).contains(&status), first_byte: waited + after_attempt }
    });
    gate.request(exchange.decision.side, bucket, outcome);
}

/// Whether a request says something of the side that was asked, with this failure. What the client or the proxy itself ended does not.
fn is_evidence(failure: Option<Failure>) -> bool {
    failure.is_none_or(|failure| failure != Failure::ClientGone && failure.refused().is_none())
}

/// Fields that the route's comparison hides are hidden in the log as well.
fn hidden(policy: &Policy) -> &[Box<str>] {
    let compare = policy.shadow.as_ref().and_then(|shadow| shadow.compare.as_ref());
    compare.map_or(&[], |compare| &compare.hidden)
}

fn record(steps: &Steps, exchange: &Exchange, grpc: Option<GrpcStatus>, total: Duration) {
    let head = &exchange.head;
    let route = exchange.route();
    let lease = exchange.attempt.lease.as_ref();
    let began_after = exchange.attempt.began.map(|began| began.saturating_duration_since(exchange.began));
    steps.telemetry.emit(&ExchangeRecord {
        method: head.method.as_str(),
        scheme: if exchange.secure { "https" } else { "http" },
        path: head.path(),
        query: head.query(),
        hidden: hidden(&route.policy),
        protocol: protocol(head.version),
        host: authority(head),
        user_agent: head.fields.get(Name::UserAgent).unwrap_or_default(),
        referer: head.fields.get(Name::Referer).unwrap_or_default(),
        client: exchange.client,
        status: exchange.status,
        grpc,
        route: route.name(),
        stage: route.dial.stage.as_str(),
        side: exchange.side_name(),
        reason: exchange.decision.reason.as_str(),
        upstream: if exchange.side.is_some() { exchange.upstream_name() } else { "" },
        endpoint: lease.map_or("", crate::upstream::Lease::address),
        attempts: exchange.attempts,
        fallback: exchange.fallback_reason(),
        fallback_status: exchange.fallback.and_then(Failure::answered),
        shadow: exchange.mirror.what_became(),
        error: exchange
            .failure
            .filter(|failure| *failure != Failure::Proof)
            .map(|failure| (failure.fault().as_str(), failure.kind())),
        bytes_in: exchange.body.received,
        bytes_out: exchange.bytes_out,
        timings: Timings {
            queue: began_after,
            queue_wait: exchange.queued,
            connect: exchange.attempt.connected,
            first_byte: exchange.attempt.first_byte,
            total,
        },
        request_id: &exchange.request_id,
        trace: &exchange.trace,
        generation: exchange.generation.number,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_the_service_has_not_failed_are_no_evidence() {
        for (failure, is) in [
            (None, true),
            (Some(Failure::Reset), true),
            (Some(Failure::Connect), true),
            (Some(Failure::ClientGone), false),
            (Some(Failure::Descriptors), false),
            (Some(Failure::Refused { status: 413, reason: "body" }), false),
            (Some(Failure::Unwritable("The target cannot be sent over HTTP/2.")), false),
        ] {
            assert_eq!(is_evidence(failure), is, "{failure:?}");
        }
    }
}
