//! The upstream's end of one exchange, whatever version of HTTP it speaks.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::uri::Scheme;
use pingora::upstreams::peer::HttpPeer;

use super::ask::AskError;
use super::{ConnectError, Fault, Socket, connect, http1, http2, idle_pool};
use crate::endpoint::HttpVersions;
use crate::message::{Framing, Piece, RequestHead, ResponseHead};

/// A connection of HTTP/1, or a stream of one of HTTP/2.
#[derive(Debug)]
pub enum End {
    Http1(http1::Conn),
    /// With the scheme that its requests name.
    Http2(http2::Stream, Scheme),
}

impl End {
    #[must_use]
    pub fn http1(socket: Socket) -> Self {
        Self::Http1(http1::Conn::new(socket))
    }

    /// A connection of this thread that can take a request: one that waited, or a place on one that is shared. `key`: those of one
    /// key may be taken for one another.
    #[must_use]
    pub fn kept(key: u64, versions: HttpVersions, tls: bool) -> Option<Self> {
        let http2 = || Some(Self::Http2(http2::Stream::new(http2::reserve(key)?), scheme(tls)));
        let http1 = || idle_pool::take(key, Instant::now(), Duration::MAX, |_| {}).map(Self::http1);
        match versions {
            HttpVersions::Http1 => http1(),
            HttpVersions::Http2 => http2(),
            HttpVersions::Auto => http2().or_else(http1),
        }
    }

    /// A new connection. One of HTTP/2 is shared from now on under `key`, and closed when there was no request for `idle`.
    ///
    /// # Errors
    /// There is no connection, or it does not speak what it should.
    pub async fn connect(
        peer: &HttpPeer,
        limit: Option<Duration>,
        (key, versions): (u64, HttpVersions),
        idle: Duration,
    ) -> Result<Self, AskError> {
        let socket = connect(peer, limit).await?;
        let speaks_http2 = match versions {
            HttpVersions::Http1 => false,
            HttpVersions::Http2 if peer.is_tls() && !socket.is_http2() => {
                return Err(ConnectError::Tls("the server does not speak HTTP/2".to_owned()).into());
            }
            HttpVersions::Http2 => true,
            HttpVersions::Auto => socket.is_http2(),
        };
        if !speaks_http2 {
            return Ok(Self::http1(socket));
        }
        let handle = http2::connect(socket, key, idle).await?;
        Ok(Self::Http2(http2::Stream::new(handle), scheme(peer.is_tls())))
    }

    /// Puts the head of a request.
    ///
    /// # Errors
    /// It cannot be sent over HTTP/2, or the connection takes no more requests. Nothing was sent then.
    pub fn put_head(&mut self, head: &RequestHead, framing: Framing) -> Result<(), Fault> {
        match self {
            Self::Http1(conn) => {
                conn.put_head(head, framing);
                Ok(())
            }
            Self::Http2(stream, scheme) => stream.put_head(head, framing, scheme),
        }
    }

    /// How many bytes of a body may be put; 0: it waits for the upstream.
    #[must_use]
    pub const fn room(&self) -> usize {
        match self {
            Self::Http1(conn) => conn.room(),
            Self::Http2(stream, _) => stream.room(),
        }
    }

    /// Puts a piece of the request's body.
    pub fn put(&mut self, piece: Piece) {
        match self {
            Self::Http1(conn) => conn.put(piece),
            Self::Http2(stream, _) => stream.put(piece),
        }
    }

    /// Sends what was put. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_send(cx, moved),
            Self::Http2(stream, _) => stream.poll_send(cx, moved),
        }
    }

    /// The next head, interim ones (1xx) among them.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_head(cx),
            Self::Http2(stream, _) => stream.poll_head(cx),
        }
    }

    /// How the body of the response is framed, once its head was read.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match self {
            Self::Http1(conn) => conn.framing(),
            Self::Http2(stream, _) => stream.framing(),
        }
    }

    /// The next piece of the response's body; its end exactly once.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Fault>> {
        match self {
            Self::Http1(conn) => conn.poll_piece(cx),
            Self::Http2(stream, _) => stream.poll_piece(cx),
        }
    }

    /// So many bytes of the response's body were passed on: the upstream may send as many again.
    pub fn passed(&mut self, bytes: usize) {
        match self {
            // TCP's window moves when the socket is read.
            Self::Http1(_) => {}
            Self::Http2(stream, _) => stream.passed(bytes),
        }
    }

    /// Keeps the connection for `wait` if it may have another request. At most `most` of HTTP/1 wait on one thread; one of HTTP/2 is
    /// shared already.
    pub fn keep(self, key: u64, wait: Duration, most: usize) {
        if let Self::Http1(conn) = self
            && let Some(socket) = conn.reuse()
        {
            idle_pool::keep(key, socket, Instant::now(), wait, most);
        }
    }
}

fn scheme(tls: bool) -> Scheme {
    if tls { Scheme::HTTPS } else { Scheme::HTTP }
}
