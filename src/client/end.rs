//! The upstream's end of one exchange, whatever version of HTTP it speaks.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::uri::Scheme;

use super::lambda::{self, Invocation};
use super::nameko::BusCall;
use super::{ConnectError, Peer, Socket, UpstreamFault, connect, http1, http2, idle_pool, opening};
use crate::endpoint::{HttpVersions, IdleCloses};
use crate::message::{Framing, Piece, RequestHead, ResponseHead};

/// A connection of HTTP/1, a stream of one of HTTP/2, or a request that is translated for what is no server of HTTP.
#[derive(Debug)]
pub enum End {
    Http1(http1::Conn),
    /// With the scheme that its requests name.
    Http2(http2::Stream, Scheme),
    /// A call of a function, over a connection to the service that runs it.
    Lambda(Box<Invocation>),
    /// A call on a bus.
    Nameko(Box<BusCall>),
}

impl End {
    #[must_use]
    pub fn http1(socket: Socket) -> Self {
        Self::Http1(http1::Conn::new(socket))
    }

    /// A connection of this thread that can take a request: one that has waited less than `youngest`, or a place on one that is
    /// shared. `key`: those of one key may be taken for one another.
    #[must_use]
    pub fn kept(key: u64, versions: HttpVersions, tls: bool, now: Instant, youngest: Duration) -> Option<Self> {
        let http2 = || Some(Self::Http2(http2::Stream::new(http2::reserve(key)?), scheme(tls)));
        let http1 = || idle_pool::take(key, now, youngest).map(Self::http1);
        match versions {
            HttpVersions::Http1 => http1(),
            HttpVersions::Http2 => http2(),
            HttpVersions::Auto => http2().or_else(http1),
        }
    }

    /// A new connection. One of HTTP/2 is shared from now on under `key`, and closed when there was no request for `idle`. While one
    /// is being made for this key, others wait for a place on it. `limit` bounds all of it.
    ///
    /// # Errors
    /// There is no connection, or it does not speak what it should.
    pub async fn connect(
        peer: &Peer,
        limit: Option<Duration>,
        (key, versions): (u64, HttpVersions),
        idle: Duration,
    ) -> Result<Self, ConnectError> {
        if versions == HttpVersions::Http1 || versions == HttpVersions::Auto && !peer.is_tls() {
            return Ok(Self::http1(connect(peer, limit).await?));
        }
        // In a box: most connections are of HTTP/1.
        let shared = Box::pin(async {
            loop {
                let turn = opening::turn(key).await;
                if turn.is_none() {
                    if let Some(handle) = http2::reserve(key) {
                        return Ok(Self::Http2(http2::Stream::new(handle), scheme(peer.is_tls())));
                    }
                    if versions == HttpVersions::Http2 {
                        continue;
                    }
                    // The server speaks HTTP/1: there is nothing to share.
                }
                return Self::negotiate(peer, limit, (key, versions), idle).await;
            }
        });
        match limit {
            Some(limit) => tokio::time::timeout(limit, shared).await.unwrap_or(Err(ConnectError::Timeout(limit))),
            None => shared.await,
        }
    }

    async fn negotiate(
        peer: &Peer,
        limit: Option<Duration>,
        (key, versions): (u64, HttpVersions),
        idle: Duration,
    ) -> Result<Self, ConnectError> {
        let socket = connect(peer, limit).await?;
        let tls = peer.is_tls();
        if tls && !socket.is_http2() {
            return match versions {
                HttpVersions::Http2 => Err(ConnectError::Tls("the server does not speak HTTP/2".to_owned())),
                _ => Ok(Self::http1(socket)),
            };
        }
        let handle = http2::connect(socket, key, idle).await.map_err(io::Error::from)?;
        Ok(Self::Http2(http2::Stream::new(handle), scheme(tls)))
    }

    /// Puts the head of a request.
    ///
    /// # Errors
    /// It cannot be sent over HTTP/2, or the connection takes no more requests. Nothing was sent then.
    pub fn put_head(&mut self, head: &RequestHead, framing: Framing) -> Result<(), UpstreamFault> {
        match self {
            Self::Http1(conn) => {
                conn.put_head(head, framing);
                Ok(())
            }
            Self::Http2(stream, scheme) => stream.put_head(head, framing, scheme),
            Self::Lambda(call) => call.put_head(head, framing),
            Self::Nameko(call) => call.put_head(head, framing),
        }
    }

    /// How many bytes of a body may be put; 0: it waits for the upstream.
    #[must_use]
    pub const fn room(&self) -> usize {
        match self {
            Self::Http1(conn) => conn.room(),
            Self::Http2(stream, _) => stream.room(),
            Self::Lambda(_) | Self::Nameko(_) => lambda::ROOM,
        }
    }

    /// Puts a piece of the request's body.
    pub fn put(&mut self, piece: Piece) {
        match self {
            Self::Http1(conn) => conn.put(piece),
            Self::Http2(stream, _) => stream.put(piece),
            Self::Lambda(call) => call.put(piece),
            Self::Nameko(call) => call.put(piece),
        }
    }

    /// Sends what was put. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), UpstreamFault>> {
        match self {
            Self::Http1(conn) => conn.poll_send(cx, moved),
            Self::Http2(stream, _) => stream.poll_send(cx, moved),
            Self::Lambda(call) => call.poll_send(cx, moved),
            Self::Nameko(call) => call.poll_send(),
        }
    }

    /// The next head, interim ones (1xx) among them.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, UpstreamFault>> {
        match self {
            Self::Http1(conn) => conn.poll_head(cx),
            Self::Http2(stream, _) => stream.poll_head(cx),
            Self::Lambda(call) => call.poll_head(cx),
            Self::Nameko(call) => call.poll_head(cx),
        }
    }

    /// How the body of the response is framed, once its head was read.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match self {
            Self::Http1(conn) => conn.framing(),
            Self::Http2(stream, _) => stream.framing(),
            Self::Lambda(call) => call.framing(),
            Self::Nameko(call) => call.framing(),
        }
    }

    /// The next piece of the response's body; its end exactly once.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, UpstreamFault>> {
        match self {
            Self::Http1(conn) => conn.poll_piece(cx),
            Self::Http2(stream, _) => stream.poll_piece(cx),
            Self::Lambda(call) => call.poll_piece(),
            Self::Nameko(call) => call.poll_piece(),
        }
    }

    /// Bytes of the response's body that were passed on: the upstream may send as many again.
    pub fn passed(&mut self, bytes: usize) {
        match self {
            // TCP's window moves when the socket is read, and translated responses are whole.
            Self::Http1(_) | Self::Lambda(_) | Self::Nameko(_) => {}
            Self::Http2(stream, _) => stream.passed(bytes),
        }
    }

    /// Keeps the connection from `now` on for `wait` if it may have another request. At most `most` of HTTP/1 wait on one thread,
    /// and `closes` hears when the peer closes them; one of HTTP/2 is shared already.
    pub fn keep(self, key: u64, now: Instant, wait: Duration, most: usize, closes: Option<&Arc<IdleCloses>>) {
        match self {
            Self::Http1(conn) => {
                if let Some(socket) = conn.reuse() {
                    idle_pool::keep(key, socket, now, wait, most, closes);
                }
            }
            Self::Http2(..) | Self::Nameko(_) => {}
            Self::Lambda(call) => Self::Http1(call.into_connection()).keep(key, now, wait, most, closes),
        }
    }
}

fn scheme(tls: bool) -> Scheme {
    if tls { Scheme::HTTPS } else { Scheme::HTTP }
}
