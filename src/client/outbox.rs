//! The bytes that a connection has not sent yet.
//!
//! Short pieces are gathered, so that a head and a small body leave in one system call and one record of TLS; a long piece goes
//! behind them as it is. An empty outbox holds no memory: the buffer goes back to the thread.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// Pieces up to this length are copied together; longer ones are sent from where they are.
const GATHERED: usize = 16 * 1024;
/// The high-water mark: writers wait until the peer has taken some of it.
const FULL: usize = 72 * 1024;
/// Most pieces of one system call.
const SLICES: usize = 16;
/// A buffer that has grown beyond this is not kept for the next connection.
const LARGEST_SPARE: usize = 64 * 1024;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes on their way to one socket.
#[derive(Debug, Default)]
pub struct Outbox {
    gathered: Vec<u8>,
    /// Of `gathered`, sent already.
    sent: usize,
    /// Behind `gathered`.
    long: VecDeque<Bytes>,
    length: usize,
    /// Something was written to a stream that may hold it back until it is flushed.
    unflushed: bool,
}

impl Outbox {
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes it takes before it is full; 0: nothing should be put.
    #[must_use]
    pub const fn room(&self) -> usize {
        FULL.saturating_sub(self.length)
    }

    /// Appends what `write` appends to the buffer, and says how much that was.
    pub fn put_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.gathered.capacity() == 0 {
            self.gathered = SPARE.take();
        }
        if self.long.is_empty() {
            let before = self.gathered.len();
            write(&mut self.gathered);
            let added = self.gathered.len() - before;
            self.length += added;
            return added;
        }
        let mut text = Vec::new();
        write(&mut text);
        let added = text.len();
        self.length += added;
        if added > 0 {
            self.long.push_back(text.into());
        }
        added
    }

    /// Appends data.
    pub fn put(&mut self, data: Bytes) {
        if self.long.is_empty() && self.gathered.len() - self.sent + data.len() <= GATHERED {
            self.put_with(|text| text.extend_from_slice(&data));
        } else if !data.is_empty() {
            self.length += data.len();
            self.long.push_back(data);
        }
    }

    /// Sends what there is. Ready: nothing is left. `moved` is set when something left.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        while self.length > 0 {
            let written = if self.long.is_empty() {
                ready!(Pin::new(&mut *socket).poll_write(cx, &self.gathered[self.sent..]))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let pieces =
                    std::iter::once(&self.gathered[self.sent..]).chain(self.long.iter().map(|piece| &piece[..]));
                let mut count = 0;
                for (slice, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
                    *slice = IoSlice::new(piece);
                    count += 1;
                }
                ready!(Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..count]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *moved = true;
            self.unflushed = true;
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what there is and `last` behind it, in one system call where the socket takes it: how much of `last` it took, which
    /// is at least a byte. `last` is not copied.
    pub fn poll_send_before(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut (impl AsyncWrite + Unpin),
        last: &[u8],
        moved: &mut bool,
    ) -> Poll<io::Result<usize>> {
        if !self.long.is_empty() {
            ready!(self.poll_send(cx, socket, moved))?;
        }
        loop {
            let own = &self.gathered[self.sent..];
            let slices = [IoSlice::new(own), IoSlice::new(last)];
            let slices = if own.is_empty() { &slices[1..] } else { &slices[..] };
            let written = ready!(Pin::new(&mut *socket).poll_write_vectored(cx, slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *moved = true;
            self.unflushed = true;
            let of_own = written.min(own.len());
            if of_own > 0 {
                self.advance(of_own);
            }
            if written > of_own {
                return Poll::Ready(Ok(written - of_own));
            }
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        let gathered = (self.gathered.len() - self.sent).min(written);
        self.sent += gathered;
        written -= gathered;
        while let Some(first) = self.long.front_mut().filter(|_| written > 0) {
            let part = first.len().min(written);
            first.advance(part);
            written -= part;
            if first.is_empty() {
                self.long.pop_front();
            }
        }
        if self.sent == self.gathered.len() {
            self.sent = 0;
            self.gathered.clear();
            let spare = std::mem::take(&mut self.gathered);
            if spare.capacity() <= LARGEST_SPARE {
                SPARE.set(spare);
            }
            if self.long.is_empty() {
                self.long = VecDeque::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// Takes `each` bytes a call, and nothing every other call.
    struct Slow {
        each: usize,
        taken: Vec<u8>,
        busy: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.busy = !self.busy;
            if self.busy {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let length = bytes.len().min(self.each);
            self.taken.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_sent_behind_goes_with_what_was_gathered() {
        let mut slow = Slow { each: 7, taken: Vec::new(), busy: false };
        let mut outbox = Outbox::default();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut last, mut moved) = (&b"behind it, and more than once"[..], false);
        outbox.put_with(|text| text.extend_from_slice(b"gathered, "));
        while !last.is_empty() {
            if let Poll::Ready(sent) = outbox.poll_send_before(&mut cx, &mut slow, last, &mut moved) {
                last = &last[sent.expect("a socket that works")..];
            }
        }
        assert!(moved && outbox.is_empty());
        assert_eq!(slow.taken, b"gathered, behind it, and more than once");
    }

    proptest! {
        #[test]
        fn what_is_put_is_sent_in_its_order(
            pieces in proptest::collection::vec((any::<bool>(), 0_usize..40_000), 0..12),
            each in 1_usize..30_000,
        ) {
            let mut slow = Slow { each, taken: Vec::new(), busy: false };
            let (mut outbox, mut expected) = (Outbox::default(), Vec::new());
            let mut cx = Context::from_waker(Waker::noop());
            let mut moved = false;
            for (index, (text, length)) in pieces.iter().enumerate() {
                let piece = vec![u8::try_from(index).unwrap(); *length];
                expected.extend_from_slice(&piece);
                if *text {
                    outbox.put_with(|out| out.extend_from_slice(&piece));
                } else {
                    outbox.put(piece.into());
                }
                let _ = outbox.poll_send(&mut cx, &mut slow, &mut moved);
                prop_assert_eq!(outbox.len() + slow.taken.len(), expected.len());
            }
            while outbox.poll_send(&mut cx, &mut slow, &mut moved).is_pending() {}
            prop_assert!(outbox.is_empty() && slow.taken == expected);
        }
    }
}
