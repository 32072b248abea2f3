//! Bodies as they pass: counted, limited, never held.

use std::time::Instant;

use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::attempt;
use super::exchange::Exchange;
use super::held::hold;

/// A chunk of the request body on its way to the upstream. Called once with `None` for a request without a body.
pub fn request_chunk(session: &Session, chunk: Option<&Bytes>, end: bool, exchange: &mut Exchange) -> Result<()> {
    if session.was_upgraded() {
        touch(exchange);
        return Ok(());
    }
    if chunk.is_none() && end && exchange.body.received == 0 && session.body_bytes_read() == 0 {
        // No body: the answer's time began when the connection was there.
        exchange.body.complete = true;
        return Ok(());
    }
    let now = Instant::now();
    exchange.body.received = u64::try_from(session.body_bytes_read()).unwrap_or(u64::MAX);
    exchange.body.complete = end;
    if exchange.body_limit.is_some_and(|limit| exchange.body.received > limit) {
        return Err(client_error(413, "the body is longer than its limit"));
    }
    if too_slow(exchange, now) {
        return Err(client_error(408, "the body arrives too slowly"));
    }
    if !exchange.answered
        && let Some(watch) = &exchange.watch
    {
        // While the client uploads, the client's own timeout holds; the upstream's time starts with the last byte.
        if end || chunk.is_none() {
            watch.within(now, exchange.edition.pool(exchange.target).spec().timeouts.answer);
        } else {
            await_more(session, now, exchange);
        }
    }
    Ok(())
}

/// The client has to send more of its body. Over HTTP/1 pingora's reads have a timeout, on a stream of HTTP/2 they have none.
pub fn await_more(session: &Session, now: Instant, exchange: &Exchange) {
    let Some(watch) = &exchange.watch else { return };
    if session.as_http2().is_none() {
        return watch.within(now, None);
    }
    let limits = &exchange.edition.snapshot.limits;
    let silent = attempt::may_be_silent(session.req_header());
    watch.client_within(now, if silent { limits.upgraded_idle } else { limits.body_timeout });
}

/// The average rate since the head, after a grace of ten seconds.
fn too_slow(exchange: &Exchange, now: Instant) -> bool {
    const GRACE: f64 = 10.0;
    let Some(rate) = exchange.edition.snapshot.limits.min_rate else { return false };
    let elapsed = now.saturating_duration_since(exchange.began).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let needed = (elapsed - GRACE) * rate as f64;
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
    let received = exchange.body.received as f64;
    elapsed > GRACE && !exchange.body.complete && received < needed
}

fn client_error(status: u16, why: &'static str) -> Box<Error> {
    let mut error = Error::explain(ErrorType::HTTPStatus(status), why);
    error.as_down();
    error
}

/// A chunk of the answer, perhaps the end of it. An answer whose time is over is broken off here where nothing else does it:
/// on a stream of HTTP/2 that goes on, and where the end of the connection would pass for the end of the body. After the
/// last chunk only the client is waited for, whose own timeout holds.
pub fn answer_chunk(end: bool, exchange: &Exchange) -> Result<()> {
    let Some(watch) = &exchange.watch else { return Ok(()) };
    if watch.has_expired() {
        let mut error = Error::explain(ErrorType::ReadTimedout, "the answer took too long");
        error.as_up();
        return Err(error);
    }
    if end && !exchange.upgrade {
        watch.rest();
    } else {
        touch(exchange);
    }
    Ok(())
}

fn touch(exchange: &Exchange) {
    if let Some(watch) = &exchange.watch
        && exchange.pause.is_some()
    {
        watch.within(Instant::now(), exchange.pause);
    }
}

/// Behind everybody who looks at a chunk: from here it is the client's.
pub fn to_client(chunk: Option<&mut Bytes>, exchange: &Exchange) {
    if let (Some(chunk), Some(watch)) = (chunk, &exchange.watch) {
        hold(chunk, watch);
    }
}
