//! Bodies as they pass: counted, limited, never held.

use std::time::Instant;

use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::exchange::Exchange;

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
        let answer = exchange.edition.pool(exchange.target).spec().timeouts.answer;
        watch.within(now, if end || chunk.is_none() { answer } else { None });
    }
    Ok(())
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
