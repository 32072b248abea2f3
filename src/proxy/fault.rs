//! Failures on purpose: before a service is asked, a share of its requests waits, or is answered with a status instead.

use super::Steps;
use super::attempt::{Next, failed_on_purpose};
use super::client_end::ClientEnd;
use super::endpoint_connection::while_client_stays;
use super::exchange::Exchange;
use super::failure::Failure;
use crate::compile::Fault;

/// The fault that this request is to suffer. It is drawn once, for the side that was decided: a fallback is spared.
pub fn drawn(exchange: &mut Exchange) -> Option<Fault> {
    let fault = exchange.route().route.as_ref()?.fault?;
    if exchange.fault_drawn || exchange.side != Some(fault.side) || !exchange.asks_service() {
        return None;
    }
    exchange.fault_drawn = true;
    (fastrand::u16(0..10_000) < fault.share.buckets()).then_some(fault)
}

/// Suffers it. `None`: the service is asked all the same. `kept`: all that was read of the body can be sent elsewhere.
pub async fn suffer(
    steps: &Steps,
    client: &mut ClientEnd<'_>,
    exchange: &mut Exchange,
    fault: Fault,
    kept: bool,
) -> Option<Next> {
    if let Some(delay) = fault.delay {
        exchange.route().meters.fault("delay");
        if while_client_stays(client, exchange.began, tokio::time::sleep(delay)).await.is_err() {
            return Some(Next::Stop(Failure::ClientGone));
        }
    }
    let status = fault.status?;
    exchange.route().meters.fault("status");
    Some(failed_on_purpose(steps, exchange, status, kept))
}
