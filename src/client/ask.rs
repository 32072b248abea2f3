//! One exchange: a request is written while its response is awaited, so that a response that comes early is read.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, StatusCode};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;

use super::http1::Conn;
use super::pingora_http2::{self, Http2Connector};
use super::{ConnectError, Fault, Socket};
use crate::message::{Framing, Piece, RequestHead, ResponseHead};

/// Interim responses (1xx) before the response; a server that sends more has none.
pub(super) const MOST_INTERIM: usize = 100;

/// What is sent.
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

/// A response whose body was not read yet. Dropping it closes the connection.
pub struct Response {
    pub head: ResponseHead,
    over: Over,
}

enum Over {
    Http1(Conn, Upload),
    Pingora(Box<HttpSession>),
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no connection: {0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Broken(Fault),
}

impl From<Fault> for AskError {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

/// Asks over a connection of HTTP/1. There is no time limit here: the caller bounds the whole exchange, and dropping the future
/// closes the connection.
///
/// # Errors
/// The connection ended before the head of the response came, or what came is not HTTP; more than 100 interim responses; a switch
/// of protocols.
pub async fn ask(socket: Socket, request: &Request<'_>) -> Result<Response, Fault> {
    let mut conn = Conn::new(socket);
    conn.put_head(request.head, request.framing);
    let mut upload = Upload::of(request.body);
    let mut interim = 0;
    let head = poll_fn(|cx| {
        upload.poll(cx, &mut conn);
        loop {
            let head = ready!(conn.poll_head(cx))?;
            if !head.is_interim() {
                return Poll::Ready(Ok::<_, Fault>(head));
            }
            interim += 1;
            if interim > MOST_INTERIM {
                return Poll::Ready(Err(Fault::Malformed("more than 100 interim responses")));
            }
        }
    })
    .await?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // What follows is not HTTP and has no end.
        return Err(Fault::Malformed("a switch of protocols that was not asked for"));
    }
    Ok(Response { head, over: Over::Http1(conn, upload) })
}

/// Asks over a connection that waited, if there is one, else over a new one. A server may close a connection that waits at any
/// time: if this one had ended, a request that is harmless twice is sent once more over a new one. `connect` is polled only when a
/// connection is needed.
///
/// # Errors
/// Those of `connect` and of [`ask`].
pub async fn ask_over<E: From<Fault>>(
    kept: Option<Socket>,
    connect: impl Future<Output = Result<Socket, E>>,
    request: &Request<'_>,
) -> Result<Response, E> {
    if let Some(socket) = kept {
        match ask(socket, request).await {
            Err(Fault::Ended(_)) if request.is_harmless_twice() => {}
            other => return Ok(other?),
        }
    }
    Ok(ask(connect.await?, request).await?)
}

impl Response {
    pub(super) fn of_pingora(head: ResponseHead, session: HttpSession) -> Self {
        Self { head, over: Over::Pingora(Box::new(session)) }
    }

    /// The next piece of the body; the end exactly once before it repeats.
    ///
    /// # Errors
    /// The connection ended before the body did, or what came is not HTTP.
    pub async fn piece(&mut self) -> Result<Piece, Fault> {
        match &mut self.over {
            Over::Http1(conn, upload) => {
                poll_fn(|cx| {
                    // A server may read on although it has answered.
                    upload.poll(cx, conn);
                    conn.poll_piece(cx)
                })
                .await
            }
            Over::Pingora(session) => pingora_http2::piece(session).await,
        }
    }

    /// The next data of the body; `None` at its end.
    ///
    /// # Errors
    /// As [`Response::piece`].
    pub async fn data(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.piece().await? {
            Piece::Data(data) => Ok(Some(data)),
            Piece::Trailers(_) | Piece::End => Ok(None),
        }
    }

    /// All data of the body; `None` if there are more than `largest` bytes.
    ///
    /// # Errors
    /// As [`Response::piece`].
    pub async fn body(&mut self, largest: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut body = Vec::new();
        while let Some(data) = self.data().await? {
            if body.len() + data.len() > largest {
                return Ok(None);
            }
            body.extend_from_slice(&data);
        }
        Ok(Some(body))
    }

    /// The connection of HTTP/1, if it may have another request.
    #[must_use]
    pub fn reuse(self) -> Option<Socket> {
        match self.over {
            Over::Http1(conn, _) => conn.reuse(),
            Over::Pingora(_) => None,
        }
    }

    /// Gives the connection back to where it came from.
    pub async fn give_back(self, connector: &Http2Connector, peer: &HttpPeer) {
        if let Over::Pingora(session) = self.over {
            connector.keep(*session, peer).await;
        }
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
    fn poll(&mut self, cx: &mut Context<'_>, conn: &mut Conn) {
        let mut moved = false;
        while !self.refused {
            while !self.ended && conn.room() > 0 {
                let piece = self.pieces.pop_front().map_or(Piece::End, Piece::Data);
                self.ended = piece.is_last();
                conn.put(piece);
            }
            match conn.poll_send(cx, &mut moved) {
                Poll::Ready(Ok(())) if !self.ended && conn.room() > 0 => {}
                Poll::Ready(Ok(())) | Poll::Pending => return,
                Poll::Ready(Err(_)) => self.refused = true,
            }
        }
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
