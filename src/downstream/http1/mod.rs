//! The client's end of a connection of HTTP/1: a request is read, a response is put.

mod head;
mod write;

use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use http::{Method, Version};

use head::{may_begin, remains};

use super::{ClientFault, Pace, SignedIn, Timer, WriteStall};
use crate::client::pipe::Pipe;
use crate::client::read::{poll_append, poll_body, poll_look};
use crate::client::{Outbox, Socket};
use crate::message::{ChunkReader, Framing, Malformed, Name, Piece, RequestHead, digits, head_end, stays_open, take};

/// The preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No head is longer, whatever the file says.
const LONGEST_HEAD: usize = 1024 * 1024;
/// Read at once while a head is awaited, and ahead of a response.
const HEAD_READ: usize = 16 * 1024;
const BODY_READ: usize = 64 * 1024;
/// A client's FIN so soon behind its request says that it has no more to send, not that it has left.
const HALF_CLOSE: Duration = Duration::from_secs(1);

/// The limits on the heads of a connection.
#[derive(Debug, Clone, Copy)]
pub struct HeadRules {
    /// The longest head, in bytes.
    pub longest: Option<u64>,
    /// Lines that end in LF alone are read.
    pub bare_line_feeds: bool,
}

/// The input of a connection that waited for a request.
#[derive(Debug)]
pub enum Arrived {
    /// A request's head, and its length in bytes.
    Request(RequestHead, usize),
    /// The input is not a request. The head holds as much of it as a log line needs.
    Malformed(Malformed, RequestHead),
    /// The connection opens with the preface of HTTP/2; nothing of it was taken.
    Http2,
    /// There will be no request.
    Closed,
}

#[derive(Debug)]
enum Reading {
    Length(u64),
    Chunked(ChunkReader),
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// No final head was put.
    Head,
    /// The response has no body; what comes of one is thrown away.
    None,
    Length(u64),
    Chunked,
    Close,
    Over,
}

/// One connection of a client.
#[derive(Debug)]
pub struct Http1Connection {
    socket: Socket,
    unread: BytesMut,
    /// Bytes of `unread` that were searched for the end of a head.
    searched: usize,
    /// Before the next request.
    empty_lines: u8,
    outbox: Outbox,
    /// Behind the outbox: a long body passes through it.
    pipe: Option<Pipe>,
    reading: Reading,
    writing: Writing,
    version: Version,
    head_only: bool,
    /// Another request may follow on the connection.
    stays: bool,
    /// The client has sent its FIN.
    half_closed: bool,
    /// When the last byte of the request, or of those behind it, was read.
    request_end: Option<Instant>,
    bytes_sent: u64,
    /// The connections to upstreams on which the client has signed in: they end with this one.
    pub signed_in: Vec<SignedIn>,
    pub stall: WriteStall,
    pub timer: Timer,
}

impl Http1Connection {
    #[must_use]
    pub fn new(socket: Socket, pace: Pace) -> Self {
        let stall = WriteStall::of(socket.descriptor(), pace);
        Self {
            socket,
            unread: BytesMut::new(),
            searched: 0,
            empty_lines: 0,
            outbox: Outbox::default(),
            pipe: None,
            reading: Reading::Over,
            writing: Writing::Over,
            version: Version::HTTP_11,
            head_only: false,
            stays: true,
            half_closed: false,
            request_end: None,
            bytes_sent: 0,
            signed_in: Vec::new(),
            stall,
            timer: Timer::default(),
        }
    }

    /// A connection of which the bytes `unread` were read already.
    #[must_use]
    pub fn behind(socket: Socket, unread: BytesMut, pace: Pace) -> Self {
        Self { unread, ..Self::new(socket, pace) }
    }

    #[must_use]
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Some of a request was read.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The socket, and what was read of it.
    #[must_use]
    pub fn into_parts(self) -> (Socket, BytesMut) {
        (self.socket, self.unread)
    }

    /// Waits for the next request. `fresh`: there was none on this connection yet, and it may be one of HTTP/2.
    pub fn poll_request(&mut self, cx: &mut Context<'_>, rules: HeadRules, fresh: bool) -> Poll<Arrived> {
        let longest = rules.longest.map_or(LONGEST_HEAD, |most| usize::try_from(most).unwrap_or(LONGEST_HEAD));
        let longest = if longest == 0 { LONGEST_HEAD } else { longest.min(LONGEST_HEAD) };
        loop {
            self.skip_empty_lines(rules.bare_line_feeds);
            // The preface is the first that comes, or it is none.
            let opens = fresh && self.empty_lines == 0;
            if opens && self.unread.starts_with(PREFACE) {
                return Poll::Ready(Arrived::Http2);
            }
            let may_be_http2 = opens && PREFACE.starts_with(&self.unread);
            if !self.unread.is_empty() && !may_be_http2 {
                if let Some(end) = head_end(&self.unread, self.searched) {
                    (self.searched, self.empty_lines) = (0, 0);
                    let raw = take(&mut self.unread, end);
                    return Poll::Ready(if end > longest {
                        self.malformed(Malformed { status: 431, reason: "request_head" }, &raw)
                    } else {
                        match RequestHead::parse(&raw, rules.bare_line_feeds) {
                            Ok(head) => self.begin(head, end),
                            Err(bad) => self.malformed(bad, &raw),
                        }
                    });
                }
                self.searched = self.unread.len();
                if self.unread.len() > longest {
                    return Poll::Ready(self.malformed_unread(Malformed { status: 431, reason: "request_head" }));
                }
                if !may_begin(&self.unread) {
                    return Poll::Ready(self.malformed_unread(Malformed::because("framing")));
                }
            }
            if self.unread.is_empty() && !fresh {
                // Most heads come at once: they are read from the thread's buffer, and the connection needs none of its own.
                let Self { socket, unread, empty_lines, .. } = self;
                let parsed = poll_look(cx, socket, unread, |bytes| {
                    let whole = (*empty_lines == 0 && bytes.first().is_some_and(u8::is_ascii_alphanumeric))
                        .then(|| head_end(bytes, 0).filter(|end| *end <= longest))
                        .flatten();
                    let head = whole.and_then(|end| {
                        let head = RequestHead::parse(&bytes[..end], rules.bare_line_feeds).ok()?;
                        Some((head, end))
                    });
                    let end = head.as_ref().map_or(0, |(_, end)| *end);
                    (head, end)
                });
                match parsed {
                    Poll::Ready(Ok((Some((head, end)), _))) => return Poll::Ready(self.begin(head, end)),
                    Poll::Ready(Ok((None, 1..))) => {}
                    Poll::Ready(_) => return Poll::Ready(Arrived::Closed),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            }
            match poll_append(cx, &mut self.socket, &mut self.unread, HEAD_READ) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(Arrived::Closed),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Empty lines before a request are a habit of old clients (RFC 9112, 2.2), but not many of them.
    fn skip_empty_lines(&mut self, bare_line_feeds: bool) {
        const MOST: u8 = 4;
        loop {
            let length = match &self.unread[..] {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] if bare_line_feeds => 1,
                _ => break,
            };
            if self.empty_lines >= MOST {
                break;
            }
            self.unread.advance(length);
            self.empty_lines += 1;
            self.searched = 0;
        }
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
    }

    /// Takes the head of a request as the one that is served.
    fn begin(&mut self, head: RequestHead, length: usize) -> Arrived {
        self.version = head.version;
        self.head_only = head.method == Method::HEAD;
        self.stays = stays_open(head.version, &head.fields);
        self.writing = Writing::Head;
        self.bytes_sent = 0;
        let chunked = head.fields.has(Name::TransferEncoding);
        self.reading = match head.fields.get(Name::ContentLength).and_then(digits) {
            _ if chunked => Reading::Chunked(ChunkReader::new(HEAD_READ)),
            Some(length) if length > 0 => Reading::Length(length),
            _ => Reading::Over,
        };
        self.request_end = None;
        self.note_last();
        Arrived::Request(head, length)
    }

    /// The input is not a request: it is answered, and the connection ends.
    fn malformed(&mut self, bad: Malformed, raw: &[u8]) -> Arrived {
        self.version = Version::HTTP_11;
        self.head_only = false;
        self.stays = false;
        self.reading = Reading::Over;
        self.writing = Writing::Head;
        self.bytes_sent = 0;
        Arrived::Malformed(bad, remains(raw))
    }

    fn malformed_unread(&mut self, bad: Malformed) -> Arrived {
        let unread = std::mem::take(&mut self.unread);
        self.malformed(bad, &unread)
    }

    /// The rest of a head is not waited for any longer.
    pub fn give_up(&mut self, status: u16, reason: &'static str) -> (Malformed, RequestHead) {
        match self.malformed_unread(Malformed { status, reason }) {
            Arrived::Malformed(bad, head) => (bad, head),
            _ => unreachable!("a malformed request is one"),
        }
    }

    /// How the body of the request is framed.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match self.reading {
            Reading::Length(length) => Framing::Length(length),
            Reading::Chunked(_) => Framing::Open,
            Reading::Over => Framing::None,
        }
    }

    /// The whole of the request was read.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    /// The next piece of the request's body; its end exactly once.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, ClientFault>> {
        loop {
            match &mut self.reading {
                Reading::Over => return Poll::Ready(Ok(Piece::End)),
                Reading::Length(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let data = ready!(poll_body(cx, &mut self.socket, &mut self.unread, most))?;
                    if data.is_empty() {
                        return Poll::Ready(Err(ClientFault::Gone(io::ErrorKind::UnexpectedEof.into())));
                    }
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.read_all();
                    }
                    return Poll::Ready(Ok(Piece::Data(data)));
                }
                Reading::Chunked(chunks) => {
                    match chunks.next(&mut self.unread).map_err(|bad| ClientFault::Malformed(bad.into()))? {
                        Some(piece) => {
                            if piece.is_last() {
                                self.read_all();
                            }
                            return Poll::Ready(Ok(piece));
                        }
                        None => {
                            if ready!(poll_append(cx, &mut self.socket, &mut self.unread, BODY_READ))? == 0 {
                                return Poll::Ready(Err(ClientFault::Gone(io::ErrorKind::UnexpectedEof.into())));
                            }
                        }
                    }
                }
            }
        }
    }

    fn read_all(&mut self) {
        self.reading = Reading::Over;
        self.request_end = Some(Instant::now());
        self.note_last();
    }

    /// The connection ends behind the request that was read if the client sends no more and nothing but line ends is left of what it sent.
    fn note_last(&mut self) {
        let behind = |byte: &u8| !matches!(byte, b'\r' | b'\n');
        self.stays &= !(self.half_closed && self.is_read()) || self.unread.iter().any(behind);
    }

    /// Ready: the client has left. `began`: when the request's head was read. Reads ahead, within a bound: what it reads is the
    /// next request.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, began: Instant) -> Poll<ClientFault> {
        while !self.half_closed && self.is_read() && self.unread.len() < HEAD_READ {
            match ready!(poll_append(cx, &mut self.socket, &mut self.unread, HEAD_READ)) {
                Ok(1..) => self.request_end = Some(Instant::now()),
                Ok(0) if !self.socket.is_tls() && self.request_end.unwrap_or(began).elapsed() <= HALF_CLOSE => {
                    self.half_closed = true;
                    self.note_last();
                }
                Ok(0) => return Poll::Ready(ClientFault::Gone(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Poll::Ready(ClientFault::Gone(error)),
            }
        }
        Poll::Pending
    }

    /// The client reads heads that come before the final one (1xx).
    #[must_use]
    pub fn takes_interim(&self) -> bool {
        self.version == Version::HTTP_11
    }

    /// The connection ends behind the response.
    pub const fn close(&mut self) {
        self.stays = false;
    }

    /// A response was begun; an interim head is none.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.writing != Writing::Head
    }

    /// How many bytes of a body may be put; 0: it waits for the client.
    #[must_use]
    pub const fn room(&self) -> usize {
        if self.pipe.is_some() { 0 } else { self.outbox.room() }
    }

    /// Bytes of the response's body that were put.
    #[must_use]
    pub const fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// The connection may have another request: both messages are whole, and the client has not left.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        self.stays && self.is_read() && self.writing == Writing::Over && self.outbox.is_empty() && self.pipe.is_none()
    }

    /// The parts that a tunnel needs behind a `101`: the socket, the bytes read ahead, the timer.
    pub fn tunnel(&mut self) -> (&mut Socket, BytesMut, &mut Timer) {
        self.stays = false;
        (&mut self.socket, std::mem::take(&mut self.unread), &mut self.timer)
    }
}
