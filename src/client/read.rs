//! Reads from a socket into a buffer of the thread: a connection that waits holds no buffer of its own.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use crate::message::take;

/// Read at once: a head, and 64 KiB of a body behind it.
const AT_ONCE: usize = 72 * 1024;
/// A longer piece is handed on as a part of the thread's buffer; a shorter one is copied, so that it pins no more than it is.
const COPIED: usize = 8 * 1024;
/// The same for what comes behind a head, which may wait in its connection for long.
const COPIED_BEHIND: usize = AT_ONCE / 2;

thread_local! {
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// Reads into the buffer, which holds what came and nothing else. Its memory is not set to zero first.
fn poll_fill(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    let most = most.min(AT_ONCE);
    buffer.clear();
    if buffer.capacity() < most {
        // The same memory again where no piece of it is in use any more.
        buffer.reserve(AT_ONCE);
    }
    poll_read_buf(Pin::new(socket), cx, &mut buffer.limit(most))
}

/// Reads once and appends to `unread`. Ready: how many bytes came; 0 is the end.
pub fn poll_append(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    unread: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = ready!(poll_fill(cx, socket, buffer, most))?;
        unread.extend_from_slice(&buffer[..length]);
        Poll::Ready(Ok(length))
    })
}

/// At most `most` bytes of a body: of what was read ahead, or else read once. Ready: what came; nothing is the end.
pub fn poll_body(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    unread: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<Bytes>> {
    if unread.is_empty() {
        return poll_piece(cx, socket, most);
    }
    let length = most.min(unread.len());
    Poll::Ready(Ok(take(unread, length)))
}

/// Reads once, at most `most` bytes. Ready: what came; nothing is the end.
fn poll_piece(cx: &mut Context<'_>, socket: &mut (impl AsyncRead + Unpin), most: usize) -> Poll<io::Result<Bytes>> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = ready!(poll_fill(cx, socket, buffer, most))?;
        Poll::Ready(Ok(if length <= COPIED {
            Bytes::copy_from_slice(&buffer[..length])
        } else {
            buffer.split_to(length).freeze()
        }))
    })
}

/// Reads once and lets `look` have what came. It says how much of that is done with; the rest goes into `unread`, which must be
/// empty. Ready: what it found, and how many bytes came; 0 is the end.
pub fn poll_look<T>(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    unread: &mut BytesMut,
    look: impl FnOnce(&[u8]) -> (T, usize),
) -> Poll<io::Result<(T, usize)>> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = ready!(poll_fill(cx, socket, buffer, AT_ONCE))?;
        let (found, done) = look(buffer);
        match length - done {
            0 => {}
            rest if rest > COPIED_BEHIND => {
                *unread = buffer.split();
                unread.advance(done);
            }
            _ => *unread = BytesMut::from(&buffer[done..]),
        }
        Poll::Ready(Ok((found, length)))
    })
}
