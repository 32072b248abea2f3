//! Reads from a socket into a buffer of the thread: a connection that waits holds no buffer of its own.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use crate::message::take;

/// Read at once.
const AT_ONCE: usize = 64 * 1024;
/// A longer piece is handed on as a part of the thread's buffer; a shorter one is copied, so that it pins no more than it is.
const COPIED: usize = 8 * 1024;

thread_local! {
    static BUFFER: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

fn poll_fill(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    most: usize,
) -> Poll<io::Result<usize>> {
    let most = most.min(AT_ONCE);
    if buffer.capacity() < most {
        buffer.reserve(AT_ONCE);
    }
    if buffer.len() < most {
        // Zeroed once for each buffer: `truncate` below only moves the end.
        buffer.resize(most, 0);
    }
    let mut read = ReadBuf::new(&mut buffer[..most]);
    ready!(Pin::new(socket).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(read.filled().len()))
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

/// Reads once and lets `look` have what came, as long as it is there.
pub fn poll_look<T>(
    cx: &mut Context<'_>,
    socket: &mut (impl AsyncRead + Unpin),
    look: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = ready!(poll_fill(cx, socket, buffer, AT_ONCE))?;
        Poll::Ready(Ok(look(&buffer[..length])))
    })
}
