//! A client's connection that is held at two places: pingora's session speaks HTTP on it, and whoever made the session passes
//! the bytes that follow a `101`.
//!
//! Only requests for another protocol have it. The two never wait for each other: a lock is held for one poll, by one task.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The connection; nothing, once it was shut down.
#[derive(Clone)]
pub struct Lent(Arc<Mutex<Option<Stream>>>);

impl Lent {
    pub fn new(stream: Stream) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    fn of<T>(&self, gives: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        self.0.lock().as_mut().map(gives)
    }

    fn poll<T>(&self, gives: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.of(|stream| gives(Pin::new(stream)))
            .unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into())))
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({:?})", self.0.lock())
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(cx))
    }
}

#[async_trait]
impl Shutdown for Lent {
    async fn shutdown(&mut self) {
        let stream = self.0.lock().take();
        if let Some(mut stream) = stream {
            stream.shutdown().await;
        }
    }
}

impl UniqueID for Lent {
    fn id(&self) -> i32 {
        self.of(|stream| stream.id()).unwrap_or(-1)
    }
}

/// The session itself is behind the lock; what it was agreed on is shared.
impl Ssl for Lent {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.of(|stream| stream.get_ssl_digest()).flatten()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.of(|stream| stream.selected_alpn_proto()).flatten()
    }
}

impl GetTimingDigest for Lent {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.of(|stream| stream.get_timing_digest()).unwrap_or_default()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.of(|stream| stream.get_read_pending_time()).unwrap_or_default()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.of(|stream| stream.get_write_pending_time()).unwrap_or_default()
    }
}

impl GetProxyDigest for Lent {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.of(|stream| stream.get_proxy_digest()).flatten()
    }
}

impl GetSocketDigest for Lent {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.of(|stream| stream.get_socket_digest()).flatten()
    }
}

impl Peek for Lent {}
