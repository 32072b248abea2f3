//! The responses of our own, and what becomes of the client's connection behind a response.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Method;

use super::client_end::ClientEnd;
use super::exchange::Exchange;
use super::failure::{Blame, Failure};
use super::finish;
use crate::message::{Framing, GrpcStatus, Name, Piece};

/// The fate of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It may have another request.
    Next,
    /// It ends at once.
    Close,
    /// It ends, but the client may still be sending: its bytes are read, so that the response is not lost.
    Linger,
}

/// A request's body that is read for nothing behind a refusal, so that the connection can stay.
const DRAINED: u64 = 64 * 1024;

/// Tells the client what has failed, unless its response has begun or it is gone.
pub async fn say(client: &mut ClientEnd<'_>, exchange: &mut Exchange, failure: Failure) -> After {
    // A redirect is what the route was asked to answer.
    exchange.failure = Some(failure).filter(|failure| !matches!(failure, Failure::Redirect(_)));
    // No upstream is asked any more.
    exchange.permit = None;
    let limit = exchange.generation.snapshot.limits.body_timeout;
    let end = limit.map(|limit| Instant::now() + limit);
    let page = finish::page(exchange, failure).filter(|_| !client.has_answered());
    let Some(page) = page else {
        if failure != Failure::ClientGone {
            // The bytes of a broken-off response that were written are the client's.
            flush(client, end).await;
        }
        client.abort();
        return After::Close;
    };
    let short = matches!(exchange.framing, Framing::Length(length) if length <= DRAINED);
    let expects = exchange.head.fields.has(Name::Expect);
    let drained = client.is_read() || short && !expects && failure.fault() == Blame::Client;
    if !drained || exchange.close || matches!(failure, Failure::Refused { status: 400, .. }) {
        // Nothing more is taken from a client that sends what no honest one sends, or whose body is not wanted.
        client.close();
    }
    exchange.status = page.head.status.as_u16();
    if let Some(call) = &mut exchange.call {
        call.status = Some(GrpcStatus::from_http(failure.status().unwrap_or(500)));
    }
    if exchange.head.method == Method::HEAD || page.body.is_empty() {
        client.put_head(page.head, Framing::None);
    } else {
        client.put_head(page.head, Framing::Length(page.body.len() as u64));
        client.put(Piece::Data(page.body));
    }
    client.put(Piece::End);
    if !flush(client, end).await {
        return After::Close;
    }
    if !client.is_read() {
        if !drained {
            return After::Linger;
        }
        let drained = poll_fn(|cx| {
            loop {
                match client.poll_piece(cx) {
                    Poll::Ready(Ok(piece)) if !piece.is_last() => client.passed(piece.len()),
                    Poll::Ready(Ok(_)) => return Poll::Ready(true),
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return client.timer().poll(cx, end).map(|()| false),
                }
            }
        });
        if !drained.await {
            return After::Close;
        }
    }
    after(client)
}

/// Sends what was put, until `end` at most. `false`: the client did not take it.
async fn flush(client: &mut ClientEnd<'_>, end: Option<Instant>) -> bool {
    poll_fn(|cx| {
        loop {
            let sent = client.poll_send(cx, &mut false);
            if let Poll::Ready(sent) = sent {
                return Poll::Ready(sent.is_ok());
            }
            let due = client.stall_due().into_iter().chain(end).min();
            if client.timer().poll(cx, due).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if client.look_at_stall(now).is_some() || end.is_some_and(|end| end <= now) {
                return Poll::Ready(false);
            }
        }
    })
    .await
}

/// The fate of the client's connection behind a response that was sent.
pub fn after(client: &ClientEnd<'_>) -> After {
    match client {
        ClientEnd::Http1(conn) if conn.may_go_on() => After::Next,
        ClientEnd::Http1(conn) if !conn.is_read() => After::Linger,
        ClientEnd::Http1(_) => After::Close,
        // A stream is over with its response.
        ClientEnd::Http2(..) => After::Next,
    }
}

/// Sends bytes that are no part of an exchange, within a moment.
pub async fn send_raw(client: &mut ClientEnd<'_>, bytes: &[u8]) {
    const MOMENT: Duration = Duration::from_secs(1);
    let ClientEnd::Http1(conn) = client else { return };
    conn.put_raw(bytes);
    let end = Instant::now() + MOMENT;
    poll_fn(|cx| match conn.poll_send(cx, &mut false) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => conn.timer.poll(cx, Some(end)),
    })
    .await;
}
