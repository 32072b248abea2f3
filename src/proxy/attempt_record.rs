//! The span of an attempt, told to the trace once.

use super::Steps;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::telemetry::{AttemptRecord, CalleeRecord};

/// Tells the trace how an attempt ended, once. Costs a comparison where no spans are recorded.
pub fn tell_attempt(steps: &Steps, exchange: &mut Exchange, failure: Option<Failure>) {
    let Some(began) = exchange.attempt.began.filter(|_| exchange.trace.is_recorded() && !exchange.attempt.told) else {
        return;
    };
    exchange.attempt.told = true;
    let call = exchange.route().route.as_ref().and_then(|route| route.call.as_deref());
    steps.telemetry.emit_attempt(&AttemptRecord {
        trace: &exchange.attempt_trace(),
        method: exchange.head.method.as_str(),
        callee: CalleeRecord::of(&exchange.generation.pool(exchange.target).spec().target, call),
        route: exchange.route().name(),
        side: exchange.side_name(),
        upstream: exchange.upstream_name(),
        endpoint: exchange.attempt.lease.as_ref().map_or("", crate::upstream::Lease::address),
        number: exchange.attempts.saturating_sub(1),
        status: match failure {
            Some(Failure::Status(status)) => status,
            // A status of gRPC comes with success of HTTP.
            Some(Failure::Grpc(_)) => 200,
            Some(_) if !exchange.answered => 0,
            _ => exchange.status,
        },
        reused: exchange.attempt.reused,
        error: failure.map(Failure::kind),
        total: began.elapsed(),
    });
}
