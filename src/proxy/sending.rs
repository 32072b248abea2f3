//! A connection to an upstream that is read while the rest of a request is still on its way.
//!
//! Most requests leave at once. Where the socket takes only a part, the upstream may answer before it has read all, or have
//! the rest depend on its answer: whoever reads here sends what it can first.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use pingora::protocols::{Shutdown, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::passes_on;

/// Pieces that leave in one system call.
const AT_ONCE: usize = 8;

/// The connection, and what it has still to send.
pub struct Sending {
    stream: Stream,
    rest: VecDeque<Bytes>,
}

impl Sending {
    pub fn new(stream: Stream, request: impl Iterator<Item = Bytes>) -> Self {
        Self { stream, rest: request.collect() }
    }

    /// Nothing is left: the connection.
    pub fn into_inner(self) -> Stream {
        self.stream
    }

    /// Sends what the socket takes. Ready: there is no more to send, or (an error) nobody takes any more.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let pieces = self.rest.iter().zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
            let mut written = match ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..pieces])) {
                Ok(written @ 1..) => written,
                refused => {
                    self.rest.clear();
                    return Poll::Ready(refused.and(Err(io::ErrorKind::WriteZero.into())));
                }
            };
            while let Some(piece) = self.rest.front_mut().filter(|_| written > 0) {
                let passed = piece.len().min(written);
                piece.advance(passed);
                written -= passed;
                if piece.is_empty() {
                    self.rest.pop_front();
                }
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sending({:?})", self.stream)
    }
}

impl AsyncRead for Sending {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever takes no more may have answered: that is read, and its end is the error.
        let _ = self.poll_rest(cx);
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Sending {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Sending {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

passes_on!(Sending);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn what_is_left_is_sent_while_the_answer_is_read() {
        let body: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let (near, mut far) = tokio::io::duplex(64);
        let pieces: Vec<_> = body.chunks(7_000).map(Bytes::copy_from_slice).collect();
        let mut sending = Sending::new(Box::new(near), pieces.into_iter());
        let expected = body.len();
        let read = runtime().block_on(async move {
            let asked = poll_fn(|cx| Poll::Ready(sending.poll_rest(cx).is_pending())).await;
            assert!(asked, "there is no room for all of it");
            let upstream = async {
                // It speaks before it reads.
                far.write_all(b"continue").await.unwrap();
                let mut got = vec![0; expected];
                far.read_exact(&mut got).await.unwrap();
                far.write_all(b"done").await.unwrap();
                got
            };
            let client = async {
                let mut said = [0; 12];
                sending.read_exact(&mut said).await.unwrap();
                assert_eq!(&said, b"continuedone");
            };
            tokio::join!(upstream, client).0
        });
        assert!(read == body);
    }

    #[test]
    fn an_upstream_that_takes_no_more_may_have_answered() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut sending = Sending::new(Box::new(near), std::iter::once(Bytes::from(vec![b'x'; 1000])));
        runtime().block_on(async move {
            assert!(poll_fn(|cx| Poll::Ready(sending.poll_rest(cx).is_pending())).await);
            far.write_all(b"no").await.unwrap();
            drop(far);
            let mut said = Vec::new();
            sending.read_to_end(&mut said).await.unwrap();
            assert_eq!(said, b"no");
        });
    }
}
