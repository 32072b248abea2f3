//! Asks the servers that identify the client, where a service is to answer. The monolith knows its clients itself.

use std::sync::Arc;

use super::client_end::ClientEnd;
use super::endpoint_connection::while_client_stays;
use super::exchange::Exchange;
use super::failure::Failure;
use super::page::Page;
use super::{Steps, attempt, mirror, response};
use crate::guard;
use crate::guard::headers::ResponseContext;
use crate::guard::identity::{ClientIdentity, Denial, Unidentified};
use crate::message::{Name, ResponseHead};

/// Whether a server of identity is asked before the chosen side.
pub fn is_due(exchange: &Exchange) -> bool {
    exchange.asks_service() && exchange.route().access.identification.is_some()
}

/// Asks, and goes on with the side that may answer then. An error is answered by the proxy itself.
pub async fn identify(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> Result<(), Failure> {
    let Some(asks) = exchange.route().access.identification.clone() else { return Ok(()) };
    let asked = asks.identify(&exchange.head, exchange.forwarded.as_ref());
    match while_client_stays(client, exchange.began, asked).await {
        Ok(identified) => steps.identified(exchange, identified),
        Err(_) => Err(Failure::ClientGone),
    }
}

/// Acts on the servers' answers.
pub fn identified(
    steps: &Steps,
    exchange: &mut Exchange,
    identified: Result<ClientIdentity, Unidentified>,
) -> Result<(), Failure> {
    match identified {
        Ok(identity) => exchange.identity = Some(Box::new(identity)),
        Err(Unidentified::Denied(denial)) => {
            let status = denial.head.status.as_u16();
            exchange.denial = Some(denial);
            // No side has answered.
            exchange.side = None;
            exchange.in_flight = None;
            return Err(Failure::Denied(status));
        }
        // A client that shows something bad says nothing about the service side.
        Err(Unidentified::Refused) => attempt::unidentified(steps, exchange, false)?,
        Err(Unidentified::NoAnswer) => attempt::unidentified(steps, exchange, true)?,
    }
    mirror::begin(steps, exchange);
    Ok(())
}

/// The answer of the server that did not let the request pass.
pub fn page(denial: &Arc<Denial>, exchange: &Exchange) -> Page {
    let mut head = ResponseHead::new(denial.head.status);
    for (name, value) in denial.head.fields.iter() {
        head.fields.push_raw(name, value);
    }
    let asked = ResponseContext { version: exchange.head.version, upgrade: false };
    if guard::headers::clean_response(&mut head, asked).is_err() {
        head = ResponseHead::new(denial.head.status);
    }
    head.fields.set(Name::ContentLength, denial.body.len().to_string().as_bytes());
    if let Some(limit) = exchange.rate_limit {
        limit.write(&mut head);
    }
    response::sign(&mut head, exchange);
    Page { head, body: denial.body.clone() }
}
