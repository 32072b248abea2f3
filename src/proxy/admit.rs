//! From the request's head to the decision: refuse what is malformed, find the route, choose the side.

use std::sync::Arc;

use super::enforce;
use super::exchange::Exchange;
use super::failure::Failure;
use super::generation::{RouteInForce, meter_index};
use super::request::{NOWHERE, announced_method, facts, host};
use super::{Steps, identify, mirror};
use crate::guard;
use crate::guard::headers::PeerFacts;
use crate::message::{Framing, Name};
use crate::migration::{BreakerState, Decision, DecisionInput, Reason, Side, decide};
use crate::route::{Facts, PathRefused, normalise_bytes};
use crate::telemetry::RequestId;

/// Everything that is decided before an upstream is asked. An error is answered by the proxy itself.
pub fn admit(steps: &Steps, exchange: &mut Exchange) -> Result<(), Failure> {
    let generation = Arc::clone(&exchange.generation);
    let snapshot = &*generation.snapshot;
    let peer = exchange.arrival.peer;
    // Until the headers are validated, the client is the TCP peer.
    exchange.client = peer;
    if let Some(proof) = steps.live.challenges().proof(exchange.head.path()).filter(|_| exchange.head.method.is_safe())
    {
        // Before every rule: the authority that asks knows none of them.
        identify(steps, exchange, false);
        (exchange.proof, exchange.close) = (Some(proof), true);
        return Err(Failure::Proof);
    }
    if let Err(refusal) = guard::framing::check(&exchange.head, exchange.head_length, &snapshot.limits) {
        exchange.close |= refusal.close;
        identify(steps, exchange, false);
        return Err(Failure::Refused { status: refusal.status, reason: refusal.reason });
    }
    let arrival = exchange.arrival.clone();
    let arrival = PeerFacts {
        peer: peer.unwrap_or(NOWHERE),
        tls: arrival.tls,
        subject: arrival.subject.as_ref(),
        trusted: &snapshot.server.trusted,
        force: snapshot.server.force.as_ref(),
        forwarded: snapshot.server.forwarded,
    };
    let (received, forwarded) = guard::headers::clean(&mut exchange.head, &arrival);
    match forwarded {
        Some(forwarded) if generation.reads_forwarded => forwarded.write(&mut exchange.head.fields),
        later => exchange.forwarded = later,
    }
    exchange.client = Some(received.client);
    exchange.upgrade = received.upgrade;
    exchange.for_others = received.for_others;
    exchange.secure = received.secure;
    identify(steps, exchange, received.trusted);

    if snapshot.server.tls.redirect && !received.secure {
        // HTTP/1.0 may come without a host; then there is no address to name.
        let nowhere = host(&exchange.head).is_empty();
        return Err(if nowhere { Failure::Refused { status: 400, reason: "host" } } else { Failure::PlainHttp });
    }

    let tls = &snapshot.server.tls;
    if exchange.arrival.subject.is_none()
        && !tls.client_ca_hosts.is_empty()
        && tls.needs_client_certificate(host(&exchange.head))
    {
        return Err(Failure::Refused { status: 403, reason: "client_certificate" });
    }
    let head = &exchange.head;
    let normal = normalise_bytes(head.path(), &snapshot.matching).map_err(refused_path)?;
    let announced = announced_method(head);
    let seen = facts(head, normal.as_str(), announced.as_ref(), exchange.client, exchange.upgrade);
    exchange.found = snapshot.table.select(&seen, &normal).map_err(refused_path)?;
    if exchange.found.is_none() && snapshot.monolith_retired {
        return Err(Failure::Refused { status: 404, reason: "unrouted" });
    }
    let chosen = generation.route(exchange.found.map(|found| found.route));
    if let Some(route) = &chosen.route
        && !route.allow.is_empty()
        && !route.allow.iter().any(|network| network.contains(received.client))
    {
        return Err(Failure::Refused { status: 403, reason: "allow" });
    }
    let forced = received.forced.as_deref();
    let decision = if chosen.access.asks() {
        enforce::enforce(steps, exchange, &chosen.access, announced.is_some())?;
        // The headers of the token's claims are there only now, and the client's own in their place are gone.
        let head = &exchange.head;
        let normal = normalise_bytes(head.path(), &snapshot.matching).map_err(refused_path)?;
        let seen = facts(head, normal.as_str(), announced.as_ref(), exchange.client, exchange.upgrade);
        choose(steps, exchange, chosen, &seen, forced)
    } else {
        choose(steps, exchange, chosen, &seen, forced)
    };
    if let Some(call) = &mut exchange.call {
        call.safe = decision.safe_call;
    }
    exchange.body_limit = chosen.route.as_ref().and_then(|route| route.body_limit).or(snapshot.limits.body);
    exchange.decision = decision;
    exchange.target = decision.upstream;
    exchange.side = Some(decision.side);
    exchange.in_flight = Some(chosen.meters.in_flight(meter_index(&chosen.policy, decision.side)));
    if decision.side == Side::Service
        && let Some(redirect) = chosen.route.as_ref().and_then(|route| route.redirect.as_ref())
    {
        return Err(Failure::Redirect(redirect.status));
    }
    if let (Some(limit), Framing::Length(length)) = (exchange.body_limit, exchange.framing)
        && length > limit
    {
        exchange.close = true;
        return Err(Failure::Refused { status: 413, reason: "body" });
    }
    if !identify::is_due(exchange) {
        mirror::begin(steps, exchange);
    }
    if chosen.access.asks() || chosen.copies.is_some() {
        // Signatures and copies take time that is not the upstream's.
        exchange.moment = None;
    }
    Ok(())
}

/// Input that could not be read as a request has an id, too, and a line in the log.
pub fn identify_malformed(steps: &Steps, exchange: &mut Exchange) {
    exchange.client = exchange.arrival.peer;
    identify(steps, exchange, false);
}

/// Which side answers.
fn choose(
    steps: &Steps,
    exchange: &Exchange,
    chosen: &RouteInForce,
    facts: &Facts<'_>,
    forced: Option<&str>,
) -> Decision {
    let given = DecisionInput {
        facts,
        dial: chosen.dial,
        monolith_only: steps.live.monolith_only(exchange.generation.snapshot.server.monolith_only),
        breaker: BreakerState::Closed,
        forced,
        fresh: fastrand::u128(..),
        sample: exchange.request_id.hash(),
    };
    let decision = decided(chosen, given, steps.live.milliseconds(exchange.began));
    if decision.reason == Reason::BreakerOpen {
        // The service was not asked, but the monolith answers in its place all the same.
        chosen.meters.fallback(decision.reason.as_str());
    }
    decision
}

/// Decides under the breaker's state. The right to probe is taken only by a request that will ask the service: one that
/// goes to the monolith anyway would use it up for nothing.
fn decided(chosen: &RouteInForce, given: DecisionInput<'_>, now_ms: u64) -> Decision {
    let decision = decide(&chosen.policy, &given);
    let Some(fallback) = chosen.policy.fallback.as_ref().filter(|_| decision.side == Side::Service) else {
        return decision;
    };
    match chosen.state.breaker.state(now_ms, fallback.breaker_open) {
        BreakerState::Closed => decision,
        breaker => decide(&chosen.policy, &DecisionInput { breaker, ..given }),
    }
}

fn refused_path(_: PathRefused) -> Failure {
    Failure::Refused { status: 400, reason: "path" }
}

fn identify(steps: &Steps, exchange: &mut Exchange, trusted: bool) {
    let given = if trusted { exchange.head.fields.get(Name::XRequestId) } else { None };
    exchange.request_id = RequestId::continue_or_make(given, fastrand::u128(..));
    exchange.trace = steps.telemetry.trace(&exchange.head.fields, fastrand::u128(..), fastrand::u64(..));
}
