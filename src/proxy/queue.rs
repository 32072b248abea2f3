//! Waits for a permit of an upstream with `max_in_flight`.

use std::time::{Duration, Instant};

use super::Steps;
use super::attempt::Next;
use super::client_end::ClientEnd;
use super::endpoint_connection::while_client_stays;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::telemetry::QueueMeters;
use crate::upstream::{Entered, Permit, PermitWait};

/// Takes a permit of the upstream that is asked next. Attempts at its other endpoints keep it; it is given back when the upstream is
/// done with the request.
pub async fn pass(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> Result<(), Next> {
    let pool = exchange.generation.pool(exchange.target);
    let Some((queue, limit)) = pool.queue().filter(|_| exchange.permit.is_none()) else { return Ok(()) };
    let timeout = limit.timeout;
    let permit = match queue.enter() {
        Entered::Permit(permit) => {
            tell(exchange, Duration::ZERO);
            Ok(permit)
        }
        Entered::Full => Err(Failure::Queue),
        Entered::Waits(wait) => {
            // In a box: most requests do not wait, and should not carry the room for it.
            Box::pin(wait_for(client, exchange, wait, timeout)).await
        }
    };
    match permit {
        Ok(permit) => {
            exchange.permit = Some(permit);
            Ok(())
        }
        Err(Failure::Queue) => Err(steps.not_admitted(exchange)),
        Err(failure) => Err(Next::Stop(failure)),
    }
}

async fn wait_for(
    client: &mut ClientEnd<'_>,
    exchange: &mut Exchange,
    wait: PermitWait,
    timeout: Duration,
) -> Result<Permit, Failure> {
    let began = Instant::now();
    let shown = exchange.generation.queue_meters(exchange.target).map(QueueMeters::waits);
    let timed = tokio::time::timeout(timeout, wait);
    let waited = while_client_stays(client, exchange.began, timed).await;
    drop(shown);
    exchange.moment = None;
    tell(exchange, began.elapsed());
    match waited {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) => Err(Failure::Queue),
        Err(_) => Err(Failure::ClientGone),
    }
}

fn tell(exchange: &mut Exchange, waited: Duration) {
    if let Some(meters) = exchange.generation.queue_meters(exchange.target) {
        meters.waited(waited.as_secs_f64());
    }
    *exchange.queued.get_or_insert(Duration::ZERO) += waited;
}
