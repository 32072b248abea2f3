//! The one loop that runs the steps of a request: attempts, one after another, until one has answered.
//!
//! Nothing in it is unsafe to drop: the ends own what they have not written. One task polls all of it with one waker.

use super::Steps;
use super::attempt::{Failed, Next, may_be_silent};
use super::client_end::ClientEnd;
use super::endpoint_connection::{connect, idle, while_client_stays};
use super::exchange::Exchange;
use super::failure::Failure;
use super::fault;
use super::identify;
use super::pump::{Ended, Pump, ResponseState, Upload, of_upstream};
use super::replay_buffer::ReplayBuffer;
use super::reply::{After, after, say};
use super::{buffer, outbound, queue};
use crate::client::{self, End};
use crate::endpoint::HttpVersions;
use crate::message::Framing;

/// Serves one request of a client, from its head to its log line.
pub async fn serve(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> After {
    #[cfg(any(test, feature = "provoked-panics"))]
    super::provoked::here(super::panic::Step::Begin);
    swap_signed_in(client, exchange);
    let after = attempts(steps, client, exchange).await;
    swap_signed_in(client, exchange);
    exchange.bytes_out += client.bytes_sent();
    steps.finish(exchange);
    after
}

/// Answers what could not be read as a request.
pub async fn refuse(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange, failure: Failure) -> After {
    let after = say(client, exchange, failure).await;
    exchange.bytes_out += client.bytes_sent();
    steps.finish(exchange);
    after
}

/// The connections on which the client has signed in go with each of its requests, and back.
const fn swap_signed_in(client: &mut ClientEnd<'_>, exchange: &mut Exchange) {
    if let ClientEnd::Http1(conn) = client {
        std::mem::swap(&mut conn.signed_in, &mut exchange.signed_in);
    }
}

async fn attempts(steps: &Steps, client: &mut ClientEnd<'_>, exchange: &mut Exchange) -> After {
    if let Err(failure) = steps.admit(exchange) {
        return say(client, exchange, failure).await;
    }
    if identify::is_due(exchange) {
        let identified = Box::pin(identify::identify(steps, client, exchange)).await;
        exchange.moment = None;
        if let Err(failure) = identified {
            return say(client, exchange, failure).await;
        }
    }
    let mut kept = ReplayBuffer::default();
    if let Some(gathering) = buffer::gathering(exchange) {
        // In a box, because few requests have a body that is waited for.
        let gathered = Box::pin(gathering.run(steps, client, exchange, &mut kept)).await;
        exchange.moment = None;
        if let Err(failure) = gathered {
            return say(client, exchange, failure).await;
        }
    }
    loop {
        if let Some(fault) = fault::drawn(exchange) {
            // In a box, because few requests fail on purpose.
            let next = Box::pin(fault::suffer(steps, client, exchange, fault, kept.is_whole())).await;
            exchange.moment = None;
            match next {
                None => {}
                Some(Next::Again) => continue,
                Some(Next::Stop(failure)) => return say(client, exchange, failure).await,
            }
        }
        let chosen = match queue::pass(steps, client, exchange).await {
            Ok(()) => steps.choose(exchange),
            Err(next) => Err(next),
        };
        match chosen {
            Ok(()) => {}
            Err(Next::Again) => continue,
            Err(Next::Stop(failure)) => return say(client, exchange, failure).await,
        }
        let (upstream, reused) = match idle(exchange) {
            Some(upstream) => (upstream, true),
            // In a box: most requests find a connection, and should not carry the room that making one takes.
            None => match Box::pin(while_client_stays(client, exchange.began, connect(exchange))).await {
                Ok(Ok(upstream)) => (upstream, false),
                Ok(Err(error)) => match steps.not_connected(exchange, &error) {
                    Next::Again => continue,
                    Next::Stop(failure) => return say(client, exchange, failure).await,
                },
                Err(_) => return say(client, exchange, Failure::ClientGone).await,
            },
        };
        let pump = match begin(steps, client, exchange, &mut kept, upstream, reused) {
            Ok(pump) => pump,
            Err(Next::Again) => {
                kept.rewind();
                continue;
            }
            Err(Next::Stop(failure)) => return say(client, exchange, failure).await,
        };
        match pump.run().await {
            Ended::Whole(after) => return after,
            Ended::Switched(tunnel) => {
                // It may last for hours, and is no request any more.
                exchange.permit = None;
                let (failure, passed) = Box::pin(tunnel.run(client, steps)).await;
                exchange.body.received += passed.0;
                exchange.bytes_out += passed.1;
                exchange.failure = failure;
                return After::Close;
            }
            Ended::Held(held, failure) => {
                let fed = Box::pin(held.feed(client, exchange)).await;
                return match failure.or(fed.err()) {
                    None => after(client),
                    Some(failure) => say(client, exchange, failure).await,
                };
            }
            Ended::Again => kept.rewind(),
            Ended::Stop(failure) => return say(client, exchange, failure).await,
        }
    }
}

/// The connection is there: the request's head is put.
fn begin<'a, 'c>(
    steps: &'a Steps,
    client: &'a mut ClientEnd<'c>,
    exchange: &'a mut Exchange,
    kept: &'a mut ReplayBuffer,
    mut upstream: End,
    reused: bool,
) -> Result<Pump<'a, 'c>, Next> {
    steps.connected(exchange, reused).map_err(Next::Stop)?;
    let head = steps.request_head(exchange).map_err(Next::Stop)?;
    let framing = exchange.framing;
    let target = exchange.generation.pool(exchange.target).target();
    if !target.is_http() {
        upstream = target.over(upstream, outbound::brief(exchange, &head));
    }
    if let Err(fault) = upstream.put_head(&head, framing) {
        // Nothing was sent.
        let (failure, _) = of_upstream(exchange, &fault);
        let speaks_http1 = exchange.generation.pool(exchange.target).spec().http == HttpVersions::Auto;
        if matches!(fault, client::UpstreamFault::Unwritable(_)) && speaks_http1 {
            exchange.http1_alone = true;
        }
        let unsent = match fault {
            client::UpstreamFault::Unwritable(_) => exchange.http1_alone,
            // It would say so again.
            client::UpstreamFault::NotRun(_) | client::UpstreamFault::Refused { .. } => false,
            _ => true,
        };
        let failed = Failed { failure, stale: false, kept: kept.is_whole(), unprocessed: false, unsent };
        return Err(steps.failed(exchange, failed));
    }
    let upload = if framing == Framing::None { Upload::Whole } else { Upload::Open };
    let silent = may_be_silent(&exchange.head);
    Ok(Pump {
        steps,
        client,
        exchange,
        kept,
        upstream,
        reused,
        upload,
        silent,
        response: ResponseState::Awaited,
        held: None,
        armed: false,
        progress: false,
    })
}
