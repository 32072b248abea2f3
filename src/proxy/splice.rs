//! The rest of a long response passes within the kernel, from the upstream's socket to the client's, where no step looks at it.

use std::task::{Context, Poll};

use super::client_end::ClientEnd;
use super::exchange::Exchange;
use crate::client::pipe::{Pipe, SHORTEST};
use crate::client::{End, UpstreamFault};

/// Moves what came of the body into a pipe, and puts that to the client. `None`: the body has to be read and written. Ready: whether
/// that was all of it.
pub fn poll(
    upstream: &mut End,
    client: &mut ClientEnd<'_>,
    exchange: &Exchange,
    cx: &mut Context<'_>,
) -> Option<Poll<Result<bool, UpstreamFault>>> {
    let (End::Http1(upstream), ClientEnd::Http1(client)) = (upstream, client) else { return None };
    if is_looked_at(exchange) {
        return None;
    }
    let (socket, left) = upstream.rest().filter(|(_, left)| *left >= SHORTEST)?;
    client.takes_pipe().filter(|takes| *takes == left)?;
    let mut pipe = Pipe::empty()?;
    Some(match pipe.poll_fill(cx, socket, left) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
        Poll::Ready(Ok(0)) => Poll::Ready(Err(UpstreamFault::closed())),
        Poll::Ready(Ok(length)) => {
            upstream.passed(length as u64);
            client.put_pipe(pipe);
            Poll::Ready(Ok(upstream.is_read()))
        }
    })
}

/// A step reads the body: it is compared, or says how a call ended.
fn is_looked_at(exchange: &Exchange) -> bool {
    exchange.mirror.capture.is_some() || exchange.call.is_some()
}
