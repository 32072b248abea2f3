//! The client's end of a connection: what pingora reads and writes passes through here, and the watch hears of it.
//!
//! Six things need it. Nothing of a request is set up before its first bytes are there. What pingora's parser refuses by
//! itself is answered in our form. A client that does not read its answer can be told from an upstream that is slow. The
//! frames of HTTP/2 are counted before anybody acts on them. A WebSocket gets a last word between two frames. And a panic,
//! which takes the session with it, does not take the answer.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::{Shutdown, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::following::Following;
use crate::guard::frames::{Frames, GOING_AWAY};
use crate::proxy::{Watch, own_answer, passes_on};

/// A head of usual length fits; what is longer is read by pingora.
const FIRST_READ: usize = 4096;

/// The head of an answer and as much of its body leave in one system call, and one record of TLS.
const GATHERED: usize = 16 * 1024;

/// What a client may have on its way when it is told to go.
const MOST_DRAINED: usize = 1024 * 1024;

/// What HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection of a client.
pub struct Wire {
    stream: Stream,
    watch: Arc<Watch>,
    /// Read already, not yet handed on.
    ahead: BytesMut,
    /// Written already, not yet sent. Nothing is allocated while nothing waits: an idle connection holds no buffer.
    gathered: BytesMut,
    /// What we say in place of pingora, on its way: nothing else is said behind it.
    own: Option<Bytes>,
    /// Something of the answer to the current request was said.
    begun: bool,
    /// Of a WebSocket.
    frames: Option<Box<Frames>>,
    /// `None`: it is no connection of HTTP/2.
    following: Option<Box<Following>>,
    /// Bytes that were read for nothing after the end.
    drained: usize,
}

impl Wire {
    pub fn new(stream: Stream, watch: Arc<Watch>) -> Self {
        Self {
            stream,
            watch,
            ahead: BytesMut::new(),
            gathered: BytesMut::new(),
            own: None,
            begun: false,
            frames: None,
            following: None,
            drained: 0,
        }
    }

    /// The preface was seen, and nothing was handed on yet: from here, frames pass.
    pub fn follow(&mut self, following: Following) {
        self.following = Some(Box::new(following));
    }

    /// What was read and not handed on: the beginning of a request, perhaps all of its head.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// All that was read, which begins with the whole head of a request of this length. Counts as handed to the parser.
    pub fn take_ahead(&mut self, length: u64) -> BytesMut {
        self.watch.request_handed(self.ahead.len(), length);
        self.begun = false;
        std::mem::take(&mut self.ahead)
    }

    /// Waits for the first bytes. `false`: there will be none.
    pub async fn fill(&mut self) -> bool {
        !self.ahead.is_empty() || self.fill_more().await
    }

    /// Waits until it is clear whether the connection opens with HTTP/2's preface. `None`: it ended before.
    pub async fn opens_http2(&mut self) -> Option<bool> {
        loop {
            if self.ahead.len() >= PREFACE.len() || !PREFACE.starts_with(&self.ahead) {
                return Some(self.ahead.starts_with(PREFACE));
            }
            if !self.fill_more().await {
                return None;
            }
        }
    }

    async fn fill_more(&mut self) -> bool {
        std::future::poll_fn(|cx| {
            // On the stack of this call only: an idle connection holds no buffer.
            let mut bytes = [std::mem::MaybeUninit::uninit(); FIRST_READ];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            self.ahead.extend_from_slice(buffer.filled());
            self.watch.bytes_came(Instant::now);
            Poll::Ready(read.is_ok() && !buffer.filled().is_empty())
        })
        .await
    }

    /// Puts our answer in the place of whatever pingora has begun to write.
    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        while let Some(own) = self.own.as_mut().filter(|own| !own.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, own))?;
            own.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Sends what was gathered.
    fn poll_gathered(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.gathered);
            match ready!(self.noted(written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.gathered.advance(written),
            }
            if self.gathered.is_empty() {
                self.gathered = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gathers what is short, and sends what is long behind what was gathered.
    fn poll_slices(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.gathered.len() + length > GATHERED {
            ready!(self.poll_gathered(cx))?;
        }
        if length < GATHERED {
            for slice in slices {
                self.gathered.extend_from_slice(slice);
                if let Some(following) = &mut self.following {
                    following.sent(slice);
                }
            }
            return Poll::Ready(Ok(length));
        }
        let stream = Pin::new(&mut self.stream);
        let written = match slices {
            [only] => stream.poll_write(cx, only),
            _ => stream.poll_write_vectored(cx, slices),
        };
        if let (Some(following), Poll::Ready(Ok(length))) = (&mut self.following, &written) {
            let mut left = *length;
            for slice in slices {
                let passed = slice.len().min(left);
                following.sent(&slice[..passed]);
                left -= passed;
            }
        }
        self.noted(written)
    }

    /// Waits for the end of a client that was told of ours. A socket that is closed while bytes lie in it unread is reset, and
    /// with it goes what it has not sent yet: the GOAWAY that says why.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(following) = &self.following {
            following.closing();
        }
        let mut bytes = [std::mem::MaybeUninit::uninit(); FIRST_READ];
        while self.drained < MOST_DRAINED {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.drained += buffer.filled().len(),
                // Reset or not: it is gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Between two frames of a WebSocket, and where it is time, our word is the next one.
    fn take_leave(&mut self) {
        let between = self.frames.as_ref().is_some_and(|frames| frames.between());
        if between && self.own.is_none() && self.watch.tunnel.takes_leave() {
            self.own = Some(Bytes::from_static(&GOING_AWAY));
        }
    }

    /// The server's side of a WebSocket is followed, and stops at the end of a frame where it is time.
    fn poll_frames(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_gathered(cx))?;
        let frames = self.frames.get_or_insert_default();
        let leaves = self.watch.tunnel.takes_leave();
        let length = if leaves { frames.until_between(bytes) } else { bytes.len() };
        let written = Pin::new(&mut self.stream).poll_write(cx, &bytes[..length]);
        if let Poll::Ready(Ok(length)) = written {
            frames.take(&bytes[..length]);
        }
        self.noted(written)
    }

    fn noted<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self.watch.writing_waits(Instant::now()),
            Poll::Ready(_) => self.watch.writing_goes_on(),
        }
        written
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({:?})", self.stream)
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.following.as_ref().is_some_and(|following| following.is_flooded()) {
            // The loop of the connection looks at this next; nothing is to wake it.
            return Poll::Pending;
        }
        if self.watch.tunnel.takes_leave() {
            self.take_leave();
            if self.own.is_some() {
                // Whoever waits for the client is woken again when it can be said; an error is the next read's, too.
                let _ = self.poll_own(cx);
            }
        }
        let before = buffer.filled().len();
        if !self.gathered.is_empty()
            && let Poll::Ready(Err(error)) = self.poll_gathered(cx)
        {
            // Whoever waits for the client has nothing more to write for now: a piece of an answer is not held back.
            return Poll::Ready(Err(error));
        }
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            self.watch.bytes_came(Instant::now);
        } else {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            if self.ahead.is_empty() {
                // An idle connection holds no buffer.
                self.ahead = BytesMut::new();
            }
        }
        if self.watch.awaits_head() {
            self.begun = false;
        }
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if let Some(following) = &mut self.following {
            if !following.received(bytes) {
                buffer.set_filled(before);
                return Poll::Pending;
            }
            return Poll::Ready(Ok(()));
        }
        let handed = self.watch.handed(bytes);
        Poll::Ready(handed.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the body is not one of chunks")))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.own.is_none() && self.watch.awaits_head() {
            // Nobody but pingora's parser answers before there is a request.
            let status = status_of(bytes).unwrap_or(400);
            self.watch.refused_early(status);
            self.own = Some(own_answer(status, fastrand::u128(..)));
        }
        self.begun = true;
        let websocket = self.watch.tunnel.is_websocket();
        if websocket {
            self.take_leave();
        }
        if self.own.is_some() {
            ready!(self.poll_own(cx))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        if websocket {
            return self.poll_frames(cx, bytes);
        }
        if let Some(lines) = self.watch.lines.take()
            && let Some(head) = bytes.strip_suffix(b"\r\n")
        {
            for part in [head, &lines, b"\r\n"] {
                self.gathered.extend_from_slice(part);
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_slices(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if self.following.is_some() { self.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.own.is_some() || self.watch.awaits_head() || self.watch.tunnel.is_websocket() {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            return self.poll_write(cx, first);
        }
        self.begun = true;
        self.poll_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Drop for Wire {
    /// What was written of an answer that broke off is the client's, as far as the socket takes it at once. A panic takes
    /// pingora's session with it, and this connection: its last moment is the only one for an answer.
    fn drop(&mut self) {
        if std::thread::panicking() && self.watch.is_asked() && !self.begun {
            self.gathered.extend_from_slice(&own_answer(500, fastrand::u128(..)));
        } else if self.gathered.is_empty() {
            return;
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.poll_gathered(&mut cx).is_ready() {
            let _ = Pin::new(&mut self.stream).poll_flush(&mut cx);
        }
    }
}

/// The status in a head that is about to be written.
fn status_of(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

#[async_trait]
impl Shutdown for Wire {
    async fn shutdown(&mut self) {
        self.take_leave();
        let leaves = self.own.is_some() && self.watch.tunnel.takes_leave();
        if leaves {
            drop(std::future::poll_fn(|cx| self.poll_own(cx)).await);
        }
        self.stream.shutdown().await;
        if leaves {
            // What it still sends would have the system answer with a reset, and that may overtake our word.
            let mut unread = [0; 512];
            while matches!(self.stream.read(&mut unread).await, Ok(1..)) {}
        }
    }
}

passes_on!(Wire);

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
