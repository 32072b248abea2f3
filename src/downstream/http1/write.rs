//! The response that a connection of HTTP/1 puts, and the end of the connection behind it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, Version};
use tokio::io::AsyncWrite as _;

use super::{ClientFault, Http1Connection, Writing};
use crate::client::Socket;
use crate::client::pipe::Pipe;
use crate::client::read::poll_look;
use crate::message::{Framing, Name, Piece, ResponseHead, put_chunk, put_last_chunk, put_length};

impl Http1Connection {
    /// Puts a head that comes before the final one.
    pub fn put_interim(&mut self, head: &ResponseHead) {
        self.outbox.put_with(|text| {
            head.write(text);
            text.extend_from_slice(b"\r\n");
        });
    }

    /// Puts the final head. This end adds the fields that frame the body and those of the connection.
    pub fn put_head(&mut self, head: &ResponseHead, framing: Framing) {
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let bodiless =
            self.head_only || switches || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match framing {
            _ if bodiless => Framing::None,
            Framing::Open if self.version == Version::HTTP_10 => Framing::Close,
            other => other,
        };
        self.writing = match framing {
            Framing::None if bodiless => Writing::None,
            Framing::None | Framing::Length(0) => Writing::Over,
            Framing::Length(length) => Writing::Length(length),
            Framing::Open => Writing::Chunked,
            Framing::Close => Writing::Close,
        };
        self.stays &= framing != Framing::Close;
        let (stays, version) = (self.stays, self.version);
        self.outbox.put_with(|text| {
            head.write(text);
            match framing {
                Framing::Length(length) if !head.fields.has(Name::ContentLength) => put_length(text, length),
                Framing::None if !bodiless && !head.fields.has(Name::ContentLength) => put_length(text, 0),
                Framing::Open => text.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
                _ => {}
            }
            if !switches {
                if !stays {
                    text.extend_from_slice(b"Connection: close\r\n");
                } else if version == Version::HTTP_10 {
                    text.extend_from_slice(b"Connection: keep-alive\r\n");
                }
            }
            text.extend_from_slice(b"\r\n");
        });
    }

    /// Puts a piece of the response's body.
    pub fn put(&mut self, piece: Piece) {
        match (self.writing, piece) {
            (Writing::Length(left), Piece::Data(mut data)) => {
                let fits = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
                let left = left - fits as u64;
                self.writing = if left == 0 { Writing::Over } else { Writing::Length(left) };
                data.truncate(fits);
                self.put_data(data);
            }
            // The body ended short: the end of the connection says so.
            (Writing::Length(_), _) => self.stays = false,
            (Writing::Chunked, Piece::Data(data)) => self.put_chunk(data),
            (Writing::Chunked, last) => {
                let trailers = if let Piece::Trailers(fields) = &last { Some(fields) } else { None };
                self.outbox.put_with(|text| put_last_chunk(text, trailers));
                self.writing = Writing::Over;
            }
            (Writing::Close, Piece::Data(data)) => self.put_data(data),
            (Writing::Close | Writing::None, piece) => {
                if piece.is_last() {
                    self.writing = Writing::Over;
                }
            }
            (Writing::Over | Writing::Head, _) => {}
        }
    }

    fn put_data(&mut self, data: Bytes) {
        self.bytes_sent += data.len() as u64;
        self.outbox.put(data);
    }

    fn put_chunk(&mut self, data: Bytes) {
        /// A shorter chunk is copied with its lines.
        const COPIED: usize = 4096;
        if data.len() <= COPIED {
            self.bytes_sent += data.len() as u64;
            self.outbox.put_with(|text| put_chunk(text, &data));
            return;
        }
        let length = data.len();
        self.outbox.put_with(|text| text.extend_from_slice(format!("{length:x}\r\n").as_bytes()));
        self.put_data(data);
        self.outbox.put_with(|text| text.extend_from_slice(b"\r\n"));
    }

    /// Puts bytes as they are: a response that was made outside any exchange.
    pub fn put_raw(&mut self, bytes: &[u8]) {
        self.outbox.put_with(|text| text.extend_from_slice(bytes));
        self.writing = Writing::Over;
        self.stays = false;
    }

    /// The response has a body of a known length of which this much is still to be put, and a pipe may bring it: all that was put
    /// before has left, and the connection is plain TCP.
    #[must_use]
    pub fn takes_pipe(&self) -> Option<u64> {
        match (&self.socket, self.writing) {
            (Socket::Tcp(_), Writing::Length(left)) if self.outbox.is_empty() && self.pipe.is_none() => Some(left),
            _ => None,
        }
    }

    /// Puts what is in the pipe, at most as much as [`takes_pipe`](Self::takes_pipe) says.
    pub fn put_pipe(&mut self, pipe: Pipe) {
        if let Writing::Length(left) = self.writing {
            let left = left.saturating_sub(pipe.len() as u64);
            self.writing = if left == 0 { Writing::Over } else { Writing::Length(left) };
        }
        self.bytes_sent += pipe.len() as u64;
        self.pipe = Some(pipe);
    }

    fn poll_pipe(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<io::Result<()>> {
        if let (Some(pipe), Socket::Tcp(socket)) = (&mut self.pipe, &self.socket) {
            ready!(pipe.poll_drain(cx, socket, moved))?;
        }
        self.pipe = None;
        Poll::Ready(Ok(()))
    }

    /// Sends what was put. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), ClientFault>> {
        if self.outbox.is_empty() && self.pipe.is_none() && !self.stall.is_blocked() {
            return self.outbox.poll_send(cx, &mut self.socket, moved).map_err(ClientFault::Gone);
        }
        let mut sent = self.outbox.poll_send(cx, &mut self.socket, moved);
        if self.pipe.is_some() && matches!(sent, Poll::Ready(Ok(()))) {
            sent = self.poll_pipe(cx, moved);
        }
        if sent.is_pending() {
            self.stall.blocked();
        } else {
            self.stall.moved();
        }
        sent.map_err(ClientFault::Gone)
    }

    /// Sends what is left within `limit`; then the response has an end that cannot be lost: our FIN first, then whatever the
    /// client still sends is read and thrown away until it closes, too (RFC 9112, 9.6).
    pub async fn linger(mut self, limit: Duration) {
        /// As much of an upload is read for nothing.
        const MOST: usize = 64 * 1024 * 1024;
        const SILENCE: Duration = Duration::from_secs(2);
        let _ = tokio::time::timeout(limit, poll_fn(|cx| self.poll_send(cx, &mut false))).await;
        let mut read = 0;
        let mut silent_since = Instant::now();
        let end = silent_since + limit;
        let mut shut = false;
        poll_fn(|cx| {
            if !shut {
                shut = Pin::new(&mut self.socket).poll_shutdown(cx).is_ready();
            }
            loop {
                match poll_look(cx, &mut self.socket, &mut self.unread, |bytes| ((), bytes.len())) {
                    Poll::Ready(Ok(((), length @ 1..))) if read < MOST => {
                        read += length;
                        silent_since = Instant::now();
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.poll(cx, Some(end.min(silent_since + SILENCE))),
                }
            }
        })
        .await;
    }
}
