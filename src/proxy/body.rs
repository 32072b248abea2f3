//! The request's body as it passes: counted, limited, never too slow.

use std::time::{Duration, Instant};

use super::exchange::Exchange;
use super::failure::Failure;
use crate::message::{Framing, Piece};

/// A piece came from the client.
pub fn request_piece(piece: &Piece, exchange: &mut Exchange) -> Result<(), Failure> {
    exchange.body.received += piece.len() as u64;
    exchange.body.complete |= piece.is_last();
    if exchange.body_limit.is_some_and(|limit| exchange.body.received > limit) {
        return Err(Failure::Refused { status: 413, reason: "body" });
    }
    if too_slow(exchange) {
        return Err(Failure::Refused { status: 408, reason: "min_rate" });
    }
    Ok(())
}

/// The average rate since the head, after a grace of ten seconds.
fn too_slow(exchange: &Exchange) -> bool {
    const GRACE: Duration = Duration::from_secs(10);
    // The last piece of a body of HTTP/2 came earlier than it is seen here: it waits for the end of its stream.
    let complete =
        exchange.body.complete || exchange.is_http2() && exchange.framing == Framing::Length(exchange.body.received);
    let Some(rate) = exchange.generation.snapshot.limits.min_rate.filter(|_| !complete) else {
        return false;
    };
    let elapsed = Instant::now().saturating_duration_since(exchange.began);
    let Some(measured) = elapsed.checked_sub(GRACE) else { return false };
    let needed = rate.saturating_mul(u64::try_from(measured.as_millis()).unwrap_or(u64::MAX)) / 1000;
    exchange.body.received < needed
}
