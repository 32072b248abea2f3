//! Connections of HTTP/2 to upstreams. Each thread keeps those that it made itself, and shares them among its requests.
//!
//! The library queues a request beyond what the upstream takes at once, without bound. So a place is reserved before a stream is
//! opened, and where none is free there is another connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::hash::BuildHasherDefault;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::super::UpstreamFault;
use super::super::idle_pool::Identity;
use super::fault;

/// Requests at once on one connection, where the upstream allows as many.
const STREAMS: usize = 100;
/// Bytes that an upstream may send ahead of its clients, for each request and in all.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes that may wait for the upstream's window or socket in the library, for each request.
const SEND_BUFFER: usize = 64 * 1024;
/// A longer head of a response is refused.
const HEADER_LIST: u32 = 64 * 1024;
/// Between two looks whether a connection is idle, at least.
const LOOK: Duration = Duration::from_millis(10);
/// A connection on which nothing has come for this long behind a request gets no more requests: the peer may be gone without a
/// word, and the system finds that out after minutes. A request that waits there goes on waiting.
const SILENT: Duration = Duration::from_secs(5);

thread_local! {
    /// By what may be mixed up: the address and all that a connection to it was made with.
    static CONNECTIONS: RefCell<HashMap<u64, Vec<Arc<Shared>>, BuildHasherDefault<Identity>>> = RefCell::default();
}

/// A connection, as the pool and its requests hold it.
#[derive(Debug)]
struct Shared {
    send: SendRequest<Bytes>,
    usage: Arc<Usage>,
}

/// How busy a connection is. The connection's own task holds only this, so the task ends with the last other holder.
#[derive(Debug)]
struct Usage {
    epoch: Instant,
    active: AtomicUsize,
    /// When the last request ended, in milliseconds after the epoch.
    idle_since: AtomicU64,
    /// Since when a request waits and nothing has come of the upstream, in milliseconds after the epoch; 0: that is not so.
    asked_since: AtomicU64,
}

impl Usage {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            active: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            asked_since: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A request was sent.
    fn asked(&self) {
        if self.asked_since.load(Relaxed) == 0 {
            self.asked_since.store(self.now().max(1), Relaxed);
        }
    }

    /// Something has come of the upstream.
    fn heard(&self) {
        self.asked_since.store(0, Relaxed);
    }

    fn is_silent(&self) -> bool {
        let since = self.asked_since.load(Relaxed);
        since > 0 && Duration::from_millis(self.now().saturating_sub(since)) >= SILENT
    }

    /// For how long there was no request; `None`: there is one.
    fn idle_for(&self) -> Option<Duration> {
        let since = self.epoch + Duration::from_millis(self.idle_since.load(Relaxed));
        (self.active.load(Relaxed) == 0).then(|| since.elapsed())
    }
}

impl Shared {
    /// The upstream takes no more requests here.
    fn is_over(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.usage.is_silent() || matches!(self.send.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    fn reserve(shared: &Arc<Self>) -> Option<Handle> {
        let most = STREAMS.min(shared.send.current_max_send_streams());
        let free = shared.usage.active.load(Relaxed) < most;
        free.then(|| {
            shared.usage.active.fetch_add(1, Relaxed);
            Handle { shared: Arc::clone(shared) }
        })
    }
}

/// A place for one request on a connection.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// For one request, which is sent now.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.shared.usage.asked();
        self.shared.send.clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let usage = &self.shared.usage;
        usage.idle_since.store(usage.now(), Relaxed);
        usage.active.fetch_sub(1, Relaxed);
    }
}

/// A place on a connection for `key` that this thread has, if one is free.
#[must_use]
pub fn reserve(key: u64) -> Option<Handle> {
    CONNECTIONS.with_borrow_mut(|connections| {
        let list = connections.get_mut(&key)?;
        list.retain(|shared| !shared.is_over());
        let handle = list.iter().find_map(Shared::reserve);
        if list.is_empty() {
            connections.remove(&key);
        }
        handle
    })
}

/// Begins HTTP/2 on a new socket, and reserves a place on the connection. A task of this thread drives it until the upstream
/// ends it, or until there was no request for `idle`. Where another request of this thread was faster and its connection has
/// room, the socket is closed: a hundred requests that come at once share one connection.
///
/// # Errors
/// The socket has failed already.
pub async fn connect<S>(socket: S, key: u64, idle: Duration) -> Result<Handle, UpstreamFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some(handle) = reserve(key) {
        return Ok(handle);
    }
    let mut options = Builder::new();
    options
        .enable_push(false)
        // Late frames of a response that was given up are passed over, not an error.
        .max_concurrent_reset_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST)
        // Until the upstream says how many it takes.
        .initial_max_send_streams(STREAMS);
    let usage = Arc::new(Usage::new());
    let socket = Heard { socket, usage: Arc::clone(&usage) };
    let (send, connection) = options.handshake(socket).await.map_err(|error| fault(error, false))?;
    let shared = Arc::new(Shared { send, usage: Arc::clone(&usage) });
    usage.active.fetch_add(1, Relaxed);
    let handle = Handle { shared: Arc::clone(&shared) };
    CONNECTIONS.with_borrow_mut(|connections| connections.entry(key).or_default().push(shared));
    tokio::spawn(drive(connection, usage, key, idle));
    Ok(handle)
}

/// A socket that tells when something comes.
struct Heard<S> {
    socket: S,
    usage: Arc<Usage>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if read.is_ready() {
            self.usage.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

async fn drive<S>(connection: h2::client::Connection<S>, usage: Arc<Usage>, key: u64, idle: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = pin!(connection);
    let mut timer = pin!(tokio::time::sleep(idle.max(LOOK)));
    let mut leaving = false;
    let ended = poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            if leaving || Pin::new(&mut timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let waited = usage.idle_for().unwrap_or(Duration::ZERO);
            if usage.idle_for().is_some() && waited >= idle {
                // Its handles are what keeps the connection: without them it says goodbye by itself.
                leaving = true;
                forget(key, &usage);
            } else {
                timer.as_mut().reset(Instant::now() + idle.saturating_sub(waited).max(LOOK));
            }
        }
    })
    .await;
    forget(key, &usage);
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of HTTP/2 to an upstream has ended");
    }
}

/// No request gets a place there any more.
fn forget(key: u64, usage: &Arc<Usage>) {
    // The thread may be ending.
    let forgotten = CONNECTIONS.try_with(|connections| {
        let mut connections = connections.borrow_mut();
        let list = connections.get_mut(&key)?;
        let place = list.iter().position(|shared| Arc::ptr_eq(&shared.usage, usage))?;
        let forgotten = list.swap_remove(place);
        if list.is_empty() {
            connections.remove(&key);
        }
        Some(forgotten)
    });
    // Not while the list is borrowed.
    drop(forgotten);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_silent_where_nothing_comes_behind_a_request() {
        let Some(epoch) = Instant::now().checked_sub(Duration::from_secs(60)) else { return };
        let usage = Usage { epoch, ..Usage::new() };
        assert!(!usage.is_silent(), "nothing was asked");
        usage.asked();
        assert!(!usage.is_silent(), "a moment ago");
        usage.asked_since.store(1000, Relaxed);
        usage.asked();
        assert!(usage.is_silent(), "a second request does not make it young");
        usage.heard();
        assert!(!usage.is_silent());
    }
}
