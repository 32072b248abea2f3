//! The client's end of an exchange, whatever version of HTTP it speaks.

use std::task::{Context, Poll};
use std::time::Instant;

use crate::downstream::{ClientFault, Timer, http1, http2};
use crate::message::{Framing, Piece, ResponseHead};

/// The client's end of one exchange.
pub enum ClientEnd<'a> {
    Http1(&'a mut http1::Http1Connection),
    Http2(&'a mut http2::ServerStream),
}

impl ClientEnd<'_> {
    pub fn is_read(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.is_read(),
            Self::Http2(stream) => !stream.has_body(),
        }
    }

    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, ClientFault>> {
        match self {
            Self::Http1(conn) => conn.poll_piece(cx),
            Self::Http2(stream) => stream.poll_piece(cx),
        }
    }

    /// Bytes of the request's body that were passed on: the client may send more.
    pub fn passed(&mut self, bytes: usize) {
        match self {
            // TCP's window moves when the socket is read.
            Self::Http1(_) => {}
            Self::Http2(stream) => stream.passed(bytes),
        }
    }

    pub fn poll_gone(&mut self, cx: &mut Context<'_>, began: Instant) -> Poll<ClientFault> {
        match self {
            Self::Http1(conn) => conn.poll_gone(cx, began),
            Self::Http2(stream) => stream.poll_gone(cx),
        }
    }

    pub fn takes_interim(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.takes_interim(),
            Self::Http2(..) => true,
        }
    }

    /// A response with trailers reaches the client with them.
    pub fn takes_trailers(&self) -> bool {
        self.takes_interim()
    }

    pub fn close(&mut self) {
        match self {
            Self::Http1(conn) => conn.close(),
            // The other streams of the connection go on.
            Self::Http2(..) => {}
        }
    }

    pub fn has_answered(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.has_answered(),
            Self::Http2(stream) => stream.has_begun(),
        }
    }

    pub fn room(&mut self) -> usize {
        match self {
            Self::Http1(conn) => conn.room(),
            Self::Http2(stream) => stream.room(),
        }
    }

    pub fn put_interim(&mut self, head: &ResponseHead) {
        match self {
            Self::Http1(conn) => conn.put_interim(head),
            Self::Http2(stream) => stream.put_interim(head),
        }
    }

    pub fn put_head(&mut self, head: ResponseHead, framing: Framing) {
        match self {
            Self::Http1(conn) => conn.put_head(&head, framing),
            Self::Http2(stream) => stream.put_head(head, framing),
        }
    }

    pub fn put(&mut self, piece: Piece) {
        match self {
            Self::Http1(conn) => conn.put(piece),
            Self::Http2(stream) => stream.put(piece),
        }
    }

    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), ClientFault>> {
        match self {
            Self::Http1(conn) => conn.poll_send(cx, moved),
            Self::Http2(stream) => stream.poll_send(cx, moved),
        }
    }

    pub fn bytes_sent(&self) -> u64 {
        match self {
            Self::Http1(conn) => conn.bytes_sent(),
            Self::Http2(stream) => stream.bytes_sent(),
        }
    }

    /// When the connection is looked at, because the client takes nothing.
    pub fn stall_due(&self) -> Option<Instant> {
        match self {
            Self::Http1(conn) => conn.stall.due(),
            // Looked at for the whole connection.
            Self::Http2(..) => None,
        }
    }

    /// `Some`: the client was cut off, and this is the label of `refused_total`.
    pub fn look_at_stall(&mut self, now: Instant) -> Option<&'static str> {
        match self {
            Self::Http1(conn) => conn.stall.look(now),
            Self::Http2(..) => None,
        }
    }

    pub fn timer(&mut self) -> &mut Timer {
        match self {
            Self::Http1(conn) => &mut conn.timer,
            Self::Http2(stream) => &mut stream.timer,
        }
    }

    /// The response breaks off: nothing may pass for its end.
    pub fn abort(&mut self) {
        match self {
            Self::Http1(conn) => conn.close(),
            Self::Http2(stream) => stream.abort(),
        }
    }
}
