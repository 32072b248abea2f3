//! One exchange: a request is written while its response is awaited, so that a response that comes early is read.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};

use super::{ConnectError, End, UpstreamFault};
use crate::endpoint::IdleCloses;
use crate::message::{Framing, Piece, RequestHead, ResponseHead};

/// Interim responses (1xx) before the response; a server that sends more has none.
const MOST_INTERIM: usize = 100;

/// A request to send.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Without what frames the body; a Content-Length that it has must be the body's.
    pub head: &'a RequestHead,
    pub framing: Framing,
    /// The whole body, cut anywhere.
    pub body: &'a [Bytes],
}

impl Request<'_> {
    /// It may reach the server twice without harm.
    #[must_use]
    pub fn is_harmless_twice(&self) -> bool {
        self.head.method.is_safe() && self.head.method != Method::TRACE
    }
}

/// A response whose body was not read yet. Dropping it ends the exchange.
#[derive(Debug)]
pub struct Response {
    pub head: ResponseHead,
    end: End,
    upload: Upload,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no connection: {0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Broken(UpstreamFault),
}

impl From<UpstreamFault> for AskError {
    fn from(fault: UpstreamFault) -> Self {
        Self::Broken(fault)
    }
}

/// Asks over a connection. There is no time limit here: the caller bounds the whole exchange, and dropping the future
/// ends it.
///
/// # Errors
/// The connection ended before the head of the response came, or what came is not HTTP; more than 100 interim responses; a switch
/// of protocols.
pub async fn ask(mut end: End, request: &Request<'_>) -> Result<Response, UpstreamFault> {
    end.put_head(request.head, request.framing)?;
    let mut upload = Upload::of(request.body);
    let mut interim = 0;
    let head = poll_fn(|cx| {
        upload.poll(cx, &mut end);
        loop {
            let head = ready!(end.poll_head(cx))?;
            if !head.is_interim() {
                return Poll::Ready(Ok::<_, UpstreamFault>(head));
            }
            interim += 1;
            if interim > MOST_INTERIM {
                return Poll::Ready(Err(UpstreamFault::Malformed("more than 100 interim responses")));
            }
        }
    })
    .await?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // The bytes that follow are not HTTP and have no end.
        return Err(UpstreamFault::Malformed("a switch of protocols that was not asked for"));
    }
    Ok(Response { head, end, upload })
}

/// Asks over a connection that is kept, if there is one, else over a new one. A server may close a connection that is kept at any
/// time: a request is sent once more over a new one if the server says that it was not processed, or if the connection had ended and
/// the request is harmless twice. `connect` is polled only when a connection is needed.
///
/// # Errors
/// The errors of `connect` and of [`ask`].
pub async fn ask_over<E: From<UpstreamFault>>(
    kept: Option<End>,
    connect: impl Future<Output = Result<End, E>>,
    request: &Request<'_>,
) -> Result<Response, E> {
    if let Some(end) = kept {
        match ask(end, request).await {
            Err(UpstreamFault::Unprocessed) => {}
            Err(UpstreamFault::Ended(_)) if request.is_harmless_twice() => {}
            other => return Ok(other?),
        }
    }
    Ok(ask(connect.await?, request).await?)
}

impl Response {
    /// The next piece of the body; its end exactly once.
    ///
    /// # Errors
    /// The connection ended before the body did, or what came is not HTTP.
    pub async fn piece(&mut self) -> Result<Piece, UpstreamFault> {
        let piece = poll_fn(|cx| {
            // A server may read on although it has answered.
            self.upload.poll(cx, &mut self.end);
            self.end.poll_piece(cx)
        })
        .await?;
        self.end.passed(piece.len());
        Ok(piece)
    }

    /// The next data of the body; `None` at its end.
    ///
    /// # Errors
    /// As [`Response::piece`].
    pub async fn data(&mut self) -> Result<Option<Bytes>, UpstreamFault> {
        match self.piece().await? {
            Piece::Data(data) => Ok(Some(data)),
            Piece::Trailers(_) | Piece::End => Ok(None),
        }
    }

    /// All data of the body; `None` if there are more than `largest` bytes.
    ///
    /// # Errors
    /// As [`Response::piece`].
    pub async fn body(&mut self, largest: usize) -> Result<Option<Vec<u8>>, UpstreamFault> {
        let mut body = Vec::new();
        while let Some(data) = self.data().await? {
            if body.len() + data.len() > largest {
                return Ok(None);
            }
            body.extend_from_slice(&data);
        }
        Ok(Some(body))
    }

    /// Keeps the connection if the response was read to its end and it may have another request.
    pub fn keep_connection(self, key: u64, wait: Duration, most: usize, closes: Option<&Arc<IdleCloses>>) {
        self.end.keep(key, Instant::now(), wait, most, closes);
    }
}

/// The body of a request on its way.
#[derive(Debug)]
struct Upload {
    pieces: VecDeque<Bytes>,
    ended: bool,
    /// The server takes no more. It may have answered before that: the reading end tells.
    refused: bool,
}

impl Upload {
    fn of(body: &[Bytes]) -> Self {
        // An empty chunk would end a chunked body.
        let pieces = body.iter().filter(|piece| !piece.is_empty()).cloned().collect();
        Self { pieces, ended: false, refused: false }
    }

    /// Sends as much as the server takes.
    fn poll(&mut self, cx: &mut Context<'_>, end: &mut End) {
        let mut moved = false;
        while !self.refused {
            while !self.ended && end.room() > 0 {
                let piece = self.pieces.pop_front().map_or(Piece::End, Piece::Data);
                self.ended = piece.is_last();
                end.put(piece);
            }
            match end.poll_send(cx, &mut moved) {
                Poll::Ready(Ok(())) if !self.ended && end.room() > 0 => {}
                Poll::Ready(Ok(())) | Poll::Pending => return,
                Poll::Ready(Err(_)) => self.refused = true,
            }
        }
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
