//! The gate between a client's socket and the library's HTTP/2: counts frames, and reads every header block itself.
//!
//! The library keeps a request's target as a `http::Uri`. It resets a stream whose target such a type cannot hold, and ends the
//! connection for one that is no UTF-8. So it gets `GET /` for every request, and an empty list for trailers: literals that
//! touch no table. The real head waits in [`Heads`](super::heads::Heads) for the stream. Faulty frames reach the library as they came, or
//! with a fault of the same kind: the library answers them as the standard says.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::meter::FrameMeter;
use super::outgoing::OutgoingFrames;
use crate::client::Outbox;
use crate::guard::http2::{Bounds, Frame, FrameKind, HeadReader, TrailerReader, hpack};
use crate::telemetry::Meters;

/// The longest payload that the library has allowed the client.
const LONGEST_FRAME: u32 = 16_384;
/// The length of the preface of HTTP/2 (RFC 9113, 3.4).
const PREFACE: u32 = 24;

const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// `GET /` over plain HTTP, of no authority: three indices of the static table.
pub(super) const STAND_IN: &[u8] = &[0x82, 0x86, 0x84];
/// Index 0 means nothing: the library ends the connection.
const NOT_HPACK: &[u8] = &[0x80];

/// A read that is not into the library's buffer.
const READ: usize = 4096;
/// The head of a response and as much of its body leave in one system call, and one record of TLS.
const GATHERED: usize = 16 * 1024;
/// A payload of this length is not copied.
const LONG: usize = 4 * 1024;
/// The bytes that a client may have on its way when it is told to go.
const MOST_DRAINED: usize = 1024 * 1024;
/// A header list longer than the limit by this factor ends the connection instead of being refused with a response.
const FAR_TOO_LONG: usize = 4;

/// The system's view of a client's socket.
pub trait SocketState: Send + Sync {
    /// Bytes that the client has acknowledged; `None` where the system does not say.
    fn acknowledged(&self) -> Option<u64> {
        None
    }

    /// Throws away what was not sent yet: a client that does not read would keep it in memory.
    fn cut_off(&self) {}
}

impl SocketState for () {}

/// The client's socket, as the library sees it.
#[derive(Debug)]
pub struct FrameGate<S: AsyncWrite + Unpin> {
    socket: S,
    meter: FrameMeter,
    shared: Arc<Shared>,
    decoder: hpack::Decoder,
    head: Bounds,
    /// The longest list that is refused with a response, and the longest header block as it comes.
    longest: usize,
    /// Read, and not handed on yet. It begins with the head of a frame, or a part of one, as soon as nothing of it may pass.
    input: BytesMut,
    /// Bytes of the input that may pass as they are.
    passing: usize,
    /// Bytes of a passing frame's payload, or of the preface, that are still to come.
    left: usize,
    block: Option<Block>,
    /// The stand-in for a header block, on its way to the library.
    stand_in: StandIn,
    /// The library ends the connection for what passes now.
    broken: bool,
    outgoing: OutgoingFrames,
    outbox: Outbox,
    /// Bytes that were read for nothing after the end.
    drained: usize,
}

/// A header block that is not complete.
#[derive(Debug)]
struct Block {
    stream: u32,
    flags: u8,
    priority: Option<[u8; 5]>,
    fragments: Vec<u8>,
}

/// A frame of HEADERS with at most a priority and [`STAND_IN`].
#[derive(Debug, Default)]
struct StandIn {
    bytes: [u8; Frame::HEAD + 5 + STAND_IN.len()],
    /// Bytes that were handed on, and how many there are.
    at: usize,
    length: usize,
}

impl<S: AsyncWrite + Unpin> FrameGate<S> {
    /// `ahead`: what was read of the connection. It begins with the preface. `longest`: the longest list of fields that is
    /// refused with a response.
    pub(super) fn new(
        socket: S,
        ahead: BytesMut,
        shared: Arc<Shared>,
        metrics: Arc<Meters>,
        head: Bounds,
        longest: usize,
    ) -> Self {
        Self {
            socket,
            meter: FrameMeter::new(Arc::clone(&shared), metrics),
            shared,
            decoder: hpack::Decoder::new(),
            head,
            longest,
            input: ahead,
            passing: 0,
            left: PREFACE as usize,
            block: None,
            stand_in: StandIn::default(),
            broken: false,
            outgoing: OutgoingFrames::default(),
            outbox: Outbox::default(),
            drained: 0,
        }
    }

    /// How much of these bytes may pass: up to the next header block, and no part of a frame's head.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let through = self.left.min(bytes.len() - at);
            at += through;
            self.left -= through;
            let Some(head) = bytes[at..].first_chunk() else { return at };
            let frame = Frame::of(*head);
            if !self.broken && (frame.kind == FrameKind::Headers || self.block.is_some()) {
                return at;
            }
            if !self.meter.received(frame) {
                return at;
            }
            at += Frame::HEAD;
            self.left = frame.length as usize;
        }
    }

    /// Takes the frame of a header block that these bytes begin with: how many of them are done with. `None`: more has to be
    /// read. Where the frame is not what has to come, it is left to pass.
    fn take_frame(&mut self, bytes: &[u8]) -> Option<usize> {
        let frame = Frame::of(*bytes.first_chunk()?);
        let fits = frame.length <= LONGEST_FRAME;
        if let Some(block) = &self.block {
            if !fits || frame.kind != FrameKind::Continuation || frame.stream != block.stream {
                // The library hears that a block has begun, so that it sees the same fault.
                let stream = block.stream;
                self.give(stream, 0, None, &[]);
                return Some(self.breaks());
            }
        } else if !fits {
            return Some(self.breaks());
        }
        let end = Frame::HEAD + frame.length as usize;
        let Some(payload) = bytes.get(Frame::HEAD..end) else {
            self.shared.traffic.block_begins();
            return None;
        };
        if !self.meter.received(frame) {
            return Some(0);
        }
        let mut block = if let Some(mut block) = self.block.take() {
            block.fragments.extend_from_slice(payload);
            block
        } else {
            let Some((priority, fragment)) = fragment(payload, frame.flags) else { return Some(self.breaks()) };
            if frame.ends_headers() {
                // Most blocks are one frame.
                self.take_block(frame.stream, frame.flags, priority, fragment);
                return Some(end);
            }
            Block { stream: frame.stream, flags: frame.flags, priority, fragments: fragment.to_vec() }
        };
        if frame.ends_headers() {
            self.shared.traffic.block_ends();
            let fragments = std::mem::take(&mut block.fragments);
            self.take_block(block.stream, block.flags, block.priority, &fragments);
            return Some(end);
        }
        self.shared.traffic.block_begins();
        if block.fragments.len() > 2 * self.longest {
            self.shared.traffic.flood();
        }
        self.block = Some(block);
        Some(end)
    }

    /// The bytes that come now end the connection: none of them was taken.
    fn breaks(&mut self) -> usize {
        self.block = None;
        self.broken = true;
        0
    }

    /// Reads a header block, and hands the library its stand-in.
    fn take_block(&mut self, stream: u32, flags: u8, priority: Option<[u8; 5]>, fragments: &[u8]) {
        let mut heads = self.shared.heads.lock();
        let mut size = 0;
        let read = if heads.begins(stream) {
            let (mut reader, bodiless) = (HeadReader::new(self.head), flags & Frame::END_STREAM != 0);
            self.decoder.decode(fragments, |name, value| reader.field(name, value)).map(|()| {
                size = reader.size();
                if !heads.head(stream, reader.finish(bodiless), bodiless) {
                    self.shared.traffic.flood();
                }
                STAND_IN
            })
        } else {
            let mut reader = TrailerReader::new(self.head);
            self.decoder.decode(fragments, |name, value| reader.field(name, value)).map(|()| {
                size = reader.size();
                heads.trailers(stream, reader.finish());
                &[][..]
            })
        };
        drop(heads);
        if size > FAR_TOO_LONG * self.longest {
            self.shared.traffic.flood();
        }
        self.shared.traffic.block_ends();
        self.broken |= read.is_err();
        self.give(stream, Frame::END_HEADERS | flags & Frame::END_STREAM, priority, read.unwrap_or(NOT_HPACK));
    }

    /// Puts a frame of HEADERS in the library's way.
    fn give(&mut self, stream: u32, flags: u8, priority: Option<[u8; 5]>, block: &[u8]) {
        let priority = priority.as_ref().map_or(&[][..], |priority| &priority[..]);
        let flags = flags | if priority.is_empty() { 0 } else { PRIORITY };
        self.stand_in = StandIn::default();
        let head = Frame::head(FrameKind::Headers, flags, stream, block.len() + priority.len());
        for part in [&head[..], priority, block] {
            let end = self.stand_in.length + part.len();
            self.stand_in.bytes[self.stand_in.length..end].copy_from_slice(part);
            self.stand_in.length = end;
        }
    }

    /// Gives what may be given. `false`: there is nothing.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let stand_in = &mut self.stand_in;
        if stand_in.at < stand_in.length {
            let end = stand_in.length.min(stand_in.at + buffer.remaining());
            buffer.put_slice(&stand_in.bytes[stand_in.at..end]);
            stand_in.at = end;
            return true;
        }
        if self.passing == 0 {
            return false;
        }
        let length = self.passing.min(buffer.remaining());
        buffer.put_slice(&self.input[..length]);
        self.passing -= length;
        self.advance(length);
        true
    }

    fn advance(&mut self, length: usize) {
        self.input.advance(length);
        if self.input.is_empty() {
            // An idle connection holds no buffer.
            self.input = BytesMut::new();
        }
    }

    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outbox.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let (before, mut moved) = (self.outbox.len(), false);
        let sent = self.outbox.poll_send(cx, &mut self.socket, &mut moved);
        if moved {
            self.shared.traffic.took(before - self.outbox.len());
        }
        if sent.is_pending() {
            self.shared.traffic.blocks();
        }
        sent
    }

    /// Gathers what is short, and sends the payload of a long frame behind what was gathered.
    fn poll_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.outbox.len() + length > GATHERED {
            ready!(self.poll_outbox(cx))?;
        }
        let mut put = 0;
        for slice in slices {
            if length >= GATHERED && slice.len() >= LONG && self.outgoing.are_payload(slice.len()) {
                return match self.poll_payload(cx, slice) {
                    Poll::Pending if put > 0 => Poll::Ready(Ok(put)),
                    sent => sent.map_ok(|sent| put + sent),
                };
            }
            let Self { outgoing, outbox, shared, .. } = self;
            outbox.put_with(|text| outgoing.put(slice, &shared.heads, text));
            self.meter.sent(slice);
            put += slice.len();
        }
        Poll::Ready(Ok(put))
    }

    fn poll_payload(&mut self, cx: &mut Context<'_>, payload: &[u8]) -> Poll<io::Result<usize>> {
        let (before, mut moved) = (self.outbox.len(), false);
        let sent = self.outbox.poll_send_before(cx, &mut self.socket, payload, &mut moved);
        let passed = if let Poll::Ready(Ok(sent)) = sent { sent } else { 0 };
        if moved {
            self.shared.traffic.took(before - self.outbox.len() + passed);
        }
        if sent.is_pending() {
            self.shared.traffic.blocks();
        }
        self.outgoing.passed(passed);
        self.meter.sent(&payload[..passed]);
        sent
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameGate<S> {
    /// Reads more of the header block that the input begins with.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Waits for the end of a client that was told of ours. A socket that is closed while bytes lie in it unread is reset, and
    /// with it goes what it has not sent yet: the GOAWAY that says why.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.traffic.closing();
        let mut bytes = [MaybeUninit::uninit(); READ];
        while self.drained < MOST_DRAINED {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.drained += buffer.filled().len(),
                // Reset or not: it is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for FrameGate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(Err(error)) = this.poll_outbox(cx) {
            // The library has nothing more to write for now: a piece of a response is not held back.
            return Poll::Ready(Err(error));
        }
        loop {
            // One header block at a time, so that the library is behind by no more than one head.
            if this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.shared.traffic.is_flooded() {
                // The loop of the connection looks at this next; nothing is to wake it.
                return Poll::Pending;
            }
            if this.input.is_empty() {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
                let come = buffer.filled().len() - before;
                if come == 0 {
                    return Poll::Ready(Ok(()));
                }
                let bytes = &buffer.filled()[before..];
                let passed = this.pass(bytes);
                let rest = &bytes[passed..];
                let taken = if this.shared.traffic.is_flooded() { None } else { this.take_frame(rest) };
                this.input.extend_from_slice(&rest[taken.unwrap_or(0)..]);
                buffer.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let input = std::mem::take(&mut this.input);
            this.passing = this.pass(&input);
            let stays = this.passing > 0 || this.shared.traffic.is_flooded();
            let taken = if stays { Some(0) } else { this.take_frame(&input) };
            this.input = input;
            match taken {
                Some(taken) => this.advance(taken),
                None if ready!(this.poll_input(cx))? == 0 => {
                    // The connection ends inside of a frame: the library hears of its end.
                    return Poll::Ready(Ok(()));
                }
                None => {}
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for FrameGate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_slices(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_outbox(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_outbox(cx))?;
        ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        this.poll_drain(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl<S: AsyncWrite + Unpin> Drop for FrameGate<S> {
    /// Bytes that were written of a broken-off response are the client's, as far as the socket takes them at once.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_outbox(&mut cx);
    }
}

/// The priority and the fragment in the payload of HEADERS; `None`: they are not in it.
fn fragment(payload: &[u8], flags: u8) -> Option<(Option<[u8; 5]>, &[u8])> {
    let (padding, rest) = match flags & PADDED {
        0 => (0, payload),
        _ => payload.split_first().map(|(padding, rest)| (usize::from(*padding), rest))?,
    };
    let (priority, rest) = match flags & PRIORITY {
        0 => (None, rest),
        _ => rest.split_first_chunk().map(|(priority, rest)| (Some(*priority), rest))?,
    };
    Some((priority, &rest[..rest.len().checked_sub(padding)?]))
}
