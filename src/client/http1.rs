//! The upstream's end of a connection of HTTP/1: a request is put, a response is read.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use http::{Method, StatusCode, Version};
use tokio::net::TcpStream;

use super::read::{poll_append, poll_body, poll_look};
use super::{Outbox, Socket, UpstreamFault};
use crate::message::{
    ChunkReader, Framing, Name, Piece, RequestHead, ResponseHead, digits, head_end, put_chunk, put_last_chunk,
    put_length, stays_open, take,
};

/// The bytes do not even begin like a response: on a connection that was kept, they belong to the request before.
pub const NO_RESPONSE: &str = "no response";
/// A longer head of a response is refused.
const LONGEST_HEAD: usize = 256 * 1024;
/// Read at once while a head is awaited.
const HEAD_READ: usize = 16 * 1024;
/// Read at once of a body.
const BODY_READ: usize = 64 * 1024;
/// The longest trailer section.
const LONGEST_TRAILERS: usize = 16 * 1024;

/// The part that is read next.
#[derive(Debug)]
enum Reading {
    /// Bytes of a head that were searched for its end.
    Head {
        searched: usize,
    },
    Length(u64),
    Chunked(ChunkReader),
    ToEnd,
    /// All of the response was read.
    Over,
    /// Behind a `101`: what comes is no HTTP.
    Switched,
}

/// The part that is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// No request was put.
    Idle,
    Length(u64),
    Chunked,
    Over,
}

/// One connection, for one exchange after another.
#[derive(Debug)]
pub struct Conn {
    socket: Socket,
    unread: BytesMut,
    outbox: Outbox,
    reading: Reading,
    writing: Writing,
    /// The response has no body whatever its head says.
    head_only: bool,
    /// The connection may have another request.
    stays: bool,
    framing: Framing,
}

impl Conn {
    #[must_use]
    pub fn new(socket: Socket) -> Self {
        Self {
            socket,
            unread: BytesMut::new(),
            outbox: Outbox::default(),
            reading: Reading::Over,
            writing: Writing::Idle,
            head_only: false,
            stays: true,
            framing: Framing::None,
        }
    }

    /// Puts the head of a request. This end adds the fields that frame the body, and drops `TE`: a server that waits for it would
    /// also have to be told that it is about this connection.
    pub fn put_head(&mut self, head: &RequestHead, framing: Framing) {
        self.head_only = head.method == Method::HEAD;
        self.reading = Reading::Head { searched: 0 };
        let said = head.fields.has(Name::ContentLength);
        self.outbox.put_with(|text| {
            text.extend_from_slice(head.method.as_str().as_bytes());
            text.push(b' ');
            text.extend_from_slice(head.target());
            text.extend_from_slice(b" HTTP/1.1\r\n");
            head.fields.write_without(Name::Te, text);
            match framing {
                Framing::Length(length) if !said => put_length(text, length),
                Framing::Open | Framing::Close => text.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
                Framing::Length(_) | Framing::None => {}
            }
            text.extend_from_slice(b"\r\n");
        });
        self.writing = match framing {
            Framing::Length(length) if length > 0 => Writing::Length(length),
            Framing::Open | Framing::Close => Writing::Chunked,
            Framing::Length(_) | Framing::None => Writing::Over,
        };
    }

    /// How many bytes of a body may be put; 0: it waits for the upstream.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.outbox.room()
    }

    /// Puts a piece of the request's body.
    pub fn put(&mut self, piece: Piece) {
        match (self.writing, piece) {
            (Writing::Length(left), Piece::Data(mut data)) => {
                let fits = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
                // More than was announced would be taken for the next request.
                let left = left - fits as u64;
                data.truncate(fits);
                self.outbox.put(data);
                self.writing = if left == 0 { Writing::Over } else { Writing::Length(left) };
            }
            (Writing::Length(_), _) => {
                // The body ended short: the upstream must not wait for the rest, nor take another request for it.
                self.stays = false;
            }
            (Writing::Chunked, Piece::Data(data)) => self.put_chunk(data),
            (Writing::Chunked, Piece::Trailers(fields)) => {
                self.outbox.put_with(|text| put_last_chunk(text, Some(&fields)));
                self.writing = Writing::Over;
            }
            (Writing::Chunked, Piece::End) => {
                self.outbox.put_with(|text| put_last_chunk(text, None));
                self.writing = Writing::Over;
            }
            (Writing::Over | Writing::Idle, _) => {}
        }
    }

    fn put_chunk(&mut self, data: bytes::Bytes) {
        /// A shorter chunk is copied with its lines.
        const COPIED: usize = 4096;
        if data.len() <= COPIED {
            self.outbox.put_with(|text| put_chunk(text, &data));
            return;
        }
        let length = data.len();
        self.outbox.put_with(|text| text.extend_from_slice(format!("{length:x}\r\n").as_bytes()));
        self.outbox.put(data);
        self.outbox.put_with(|text| text.extend_from_slice(b"\r\n"));
    }

    /// Sends what was put. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<Result<(), UpstreamFault>> {
        self.outbox.poll_send(cx, &mut self.socket, moved).map_err(UpstreamFault::Ended)
    }

    /// The next head, interim ones (1xx) among them.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, UpstreamFault>> {
        loop {
            let Reading::Head { searched } = self.reading else {
                return Poll::Ready(Err(UpstreamFault::Malformed("no head is awaited")));
            };
            if let Some(end) = head_end(&self.unread, searched) {
                let head =
                    ResponseHead::parse(&self.unread[..end]).map_err(|bad| UpstreamFault::Malformed(bad.reason))?;
                let _ = take(&mut self.unread, end);
                return Poll::Ready(self.begin(head));
            }
            if self.unread.len() > LONGEST_HEAD {
                return Poll::Ready(Err(UpstreamFault::Malformed("the head is too long")));
            }
            if !could_be_http(&self.unread) {
                return Poll::Ready(Err(UpstreamFault::Malformed(NO_RESPONSE)));
            }
            self.reading = Reading::Head { searched: self.unread.len() };
            if self.unread.is_empty() {
                // Most heads come at once, and are read from the thread's buffer.
                let Self { socket, unread, .. } = self;
                let (head, length) = ready!(poll_look(cx, socket, unread, |bytes| {
                    let whole = head_end(bytes, 0).map(|end| (ResponseHead::parse(&bytes[..end]), end));
                    match whole {
                        Some((Ok(head), end)) => (Some(head), end),
                        _ => (None, 0),
                    }
                }))?;
                if let Some(head) = head {
                    return Poll::Ready(self.begin(head));
                }
                if length == 0 {
                    return Poll::Ready(Err(UpstreamFault::closed()));
                }
            } else if ready!(poll_append(cx, &mut self.socket, &mut self.unread, HEAD_READ))? == 0 {
                return Poll::Ready(Err(UpstreamFault::closed()));
            }
        }
    }

    /// A head was read: how is its body framed?
    fn begin(&mut self, mut head: ResponseHead) -> Result<ResponseHead, UpstreamFault> {
        if head.is_interim() {
            self.reading = Reading::Head { searched: 0 };
            return Ok(head);
        }
        self.stays &= stays_open(head.version, &head.fields);
        let status = head.status;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            (self.reading, self.framing) = (Reading::Switched, Framing::None);
            self.stays = false;
            return Ok(head);
        }
        let length = content_length(&head)?;
        let coding = transfer_coding(&head)?;
        if coding.is_some() {
            // The length is one of another message (RFC 9112, 6.3), and so may be what follows.
            if length.is_some() {
                head.fields.remove(Name::ContentLength);
                self.stays = false;
            }
            self.stays &= head.version == Version::HTTP_11;
        }
        let bodiless = self.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        (self.reading, self.framing) = match (coding, length) {
            _ if bodiless => (Reading::Over, Framing::None),
            (Some(true), _) => (Reading::Chunked(ChunkReader::new(LONGEST_TRAILERS)), Framing::Open),
            (Some(false), _) | (None, None) => {
                self.stays = false;
                (Reading::ToEnd, Framing::Open)
            }
            (None, Some(0)) => (Reading::Over, Framing::Length(0)),
            (None, Some(length)) => (Reading::Length(length), Framing::Length(length)),
        };
        Ok(head)
    }

    /// How the body of the response is framed, once its head was read.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// The next piece of the response's body; its end exactly once.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, UpstreamFault>> {
        loop {
            match &mut self.reading {
                Reading::Over => return Poll::Ready(Ok(Piece::End)),
                Reading::Length(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let data = ready!(poll_body(cx, &mut self.socket, &mut self.unread, most))?;
                    if data.is_empty() {
                        return Poll::Ready(Err(UpstreamFault::closed()));
                    }
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.reading = Reading::Over;
                    }
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Reading::ToEnd => {
                    let data = ready!(poll_body(cx, &mut self.socket, &mut self.unread, usize::MAX))?;
                    if data.is_empty() {
                        self.reading = Reading::Over;
                        continue;
                    }
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Reading::Chunked(chunks) => {
                    match chunks.next(&mut self.unread).map_err(|_| UpstreamFault::Malformed("chunks"))? {
                        Some(piece) => {
                            if piece.is_last() {
                                self.reading = Reading::Over;
                            }
                            return Poll::Ready(Ok(piece));
                        }
                        None => {
                            if ready!(poll_append(cx, &mut self.socket, &mut self.unread, BODY_READ))? == 0 {
                                return Poll::Ready(Err(UpstreamFault::closed()));
                            }
                        }
                    }
                }
                Reading::Head { .. } | Reading::Switched => {
                    return Poll::Ready(Err(UpstreamFault::Malformed("no body is awaited")));
                }
            }
        }
    }

    /// The socket and how many bytes of the body are still to come, if the rest may pass without being read: a long one of a known
    /// length on plain TCP, of which nothing was read ahead.
    #[must_use]
    pub fn rest(&self) -> Option<(&TcpStream, u64)> {
        match (&self.socket, &self.reading) {
            (Socket::Tcp(socket), Reading::Length(left)) if self.unread.is_empty() => Some((socket, *left)),
            _ => None,
        }
    }

    /// Counts `bytes` of [`rest`](Self::rest) that have passed.
    pub fn passed(&mut self, bytes: u64) {
        if let Reading::Length(left) = &mut self.reading {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.reading = Reading::Over;
            }
        }
    }

    /// All of the response was read.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    /// The descriptor of the socket.
    #[must_use]
    pub fn descriptor(&self) -> std::os::fd::RawFd {
        self.socket.descriptor()
    }

    /// The socket, if it may have another request: both messages are whole, and nothing came behind the response.
    #[must_use]
    pub fn reuse(self) -> Option<Socket> {
        let whole = self.is_read() && self.writing == Writing::Over && self.outbox.is_empty();
        (whole && self.stays && self.unread.is_empty()).then_some(self.socket)
    }

    /// The socket behind a `101`, and what was read of it already.
    #[must_use]
    pub fn into_tunnel(self) -> (Socket, BytesMut) {
        (self.socket, self.unread)
    }
}

/// Whether these bytes may begin a response: what is not HTTP need not be waited for.
fn could_be_http(bytes: &[u8]) -> bool {
    const BEGIN: &[u8] = b"HTTP/1.";
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    bytes[start..].iter().zip(BEGIN).all(|(byte, wanted)| byte == wanted)
}

/// The one length that the head says, however often.
fn content_length(head: &ResponseHead) -> Result<Option<u64>, UpstreamFault> {
    let mut length = None;
    for part in head.fields.all(Name::ContentLength).flat_map(|value| value.split(|byte| *byte == b',')) {
        let part = part.trim_ascii();
        match (digits(part), length) {
            (Some(number), None) => length = Some(number),
            (Some(number), Some(before)) if number == before => {}
            _ => return Err(UpstreamFault::Malformed("content_length")),
        }
    }
    Ok(length)
}

/// `Some(true)`: the body comes in chunks; `Some(false)`: in another coding, up to the end of the connection.
fn transfer_coding(head: &ResponseHead) -> Result<Option<bool>, UpstreamFault> {
    let mut chunked = None;
    for coding in head.fields.all(Name::TransferEncoding).flat_map(|value| value.split(|byte| *byte == b',')) {
        let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        if chunked == Some(true) {
            // One reader unwraps this once and another twice.
            return Err(UpstreamFault::Malformed("transfer_encoding"));
        }
        chunked = Some(is_chunked);
    }
    Ok(chunked)
}

impl From<UpstreamFault> for io::Error {
    fn from(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::Ended(error) => error,
            other => Self::other(other.to_string()),
        }
    }
}

#[cfg(test)]
#[path = "http1_tests.rs"]
mod tests;
