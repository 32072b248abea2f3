//! A connection from its accept to its end: which protocol, one request after another, each under the connection's watch.
//!
//! Pingora's own loop is not used because it has no deadline for a whole request head, none for the first byte, and
//! because its look for HTTP/2 without TLS waits for 24 bytes without end.

use std::os::fd::RawFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

use super::tls::Tls;
use crate::compile::Limits;
use crate::live::InForce;
use crate::proxy::{Edge, Edition, Watch, Watched, watched};
use crate::telemetry::Metrics;
use prometheus::IntGauge;

/// The open connections of the whole process.
#[derive(Debug, Default)]
pub struct Census {
    open: AtomicI64,
    /// Requests accepted, for those who wait for the last to end.
    accepted: AtomicU64,
}

impl Census {
    pub fn open(&self) -> i64 {
        self.open.load(Relaxed)
    }
}

/// One listener's application.
pub struct Door {
    proxy: Arc<HttpProxy<Edge>>,
    http2: Arc<Http2Door>,
    in_force: Arc<InForce<Edition>>,
    census: Arc<Census>,
    metrics: Arc<Metrics>,
    gauge: IntGauge,
    /// `None`: a plain listener.
    tls: Option<Arc<Tls>>,
}

/// Streams of an HTTP/2 connection, each under a watch of its own.
struct Http2Door {
    proxy: Arc<HttpProxy<Edge>>,
    options: HttpServerOptions,
}

impl Door {
    pub fn new(
        proxy: Arc<HttpProxy<Edge>>,
        in_force: Arc<InForce<Edition>>,
        census: Arc<Census>,
        metrics: Arc<Metrics>,
        listener: &str,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = in_force.load().snapshot.limits.idle_timeout;
        let gauge = metrics.edge().connections(listener);
        let http2 = Arc::new(Http2Door { proxy: Arc::clone(&proxy), options });
        Self { proxy, http2, in_force, census, metrics, gauge, tls }
    }

    async fn http1(&self, stream: Stream, shutdown: &ShutdownWatch, limits: &Limits) {
        let fd = stream.id();
        let encrypted = stream.get_ssl_digest().is_some();
        let watch = Watch::new(Instant::now());
        let mut timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
        let mut session = ServerSession::new_http1(stream);
        // Without end, because the watch ends what takes too long; a timeout of pingora's would cost a timer a request.
        session.set_keepalive(if *shutdown.borrow() { None } else { Some(0) });
        let mut idle = None;
        loop {
            watch.expect_head(Instant::now(), limits.header_timeout, idle);
            let mut exchange = pin!(self.proxy.process_new_http(session, shutdown));
            match watched(&watch, timer.as_mut(), exchange.as_mut()).await {
                Watched::Done(Some(reused)) => {
                    let (stream, settings) = reused.consume();
                    session = ServerSession::new_http1(stream);
                    if let Some(settings) = settings {
                        settings.apply_to_session(&mut session);
                    }
                    idle = limits.idle_timeout;
                }
                Watched::Done(None) => return,
                Watched::TooLate { begun } => {
                    if begun {
                        self.metrics.edge().refused("header_timeout");
                        if !encrypted {
                            say_too_late(fd);
                        }
                    }
                    return;
                }
            }
        }
    }

    /// The connection behind its TLS handshake, which has as long as a request head has.
    async fn encrypted(&self, tls: &Tls, stream: Stream, limits: &Limits) -> Option<Stream> {
        let handshake = tls.handshake(stream);
        let stream = match limits.header_timeout {
            Some(limit) => tokio::time::timeout(limit, handshake).await.ok().flatten(),
            None => handshake.await,
        };
        if stream.is_none() {
            self.metrics.edge().refused("tls_handshake");
        }
        stream
    }

    /// Whether a plain connection opens with HTTP/2's preface; `None` when it says nothing in time.
    async fn speaks_http2(&self, stream: &mut Stream, limits: &Limits) -> Option<bool> {
        if let Some(alpn) = stream.selected_alpn_proto() {
            return Some(matches!(alpn, ALPN::H2));
        }
        if stream.get_ssl_digest().is_some() {
            return Some(false);
        }
        let mut first = [0_u8; 4];
        let peek = stream.try_peek(&mut first);
        let peeked = match limits.header_timeout {
            Some(limit) => tokio::time::timeout(limit, peek).await.ok()?,
            None => peek.await,
        };
        peeked.ok().map(|_| &first == b"PRI ")
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let edition = self.in_force.load();
        let limits = edition.snapshot.limits.clone();
        drop(edition);
        let _counted = Counted::new(&self.census, &self.gauge);
        if limits.connections.is_some_and(|most| u64::try_from(self.census.open()).unwrap_or(0) > most) {
            self.metrics.edge().refused("connections");
            if self.tls.is_none() {
                refuse(&mut stream).await;
            }
            return None;
        }
        if let Some(tls) = &self.tls {
            stream = self.encrypted(tls, stream, &limits).await?;
        }
        match self.speaks_http2(&mut stream, &limits).await {
            None => {}
            Some(true) => {
                self.http2.process_new(stream, shutdown).await;
            }
            Some(false) => self.http1(stream, shutdown, &limits).await,
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

#[async_trait]
impl HttpServerApp for Http2Door {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let watch = Watch::new(Instant::now());
        let mut timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
        let exchange = pin!(self.proxy.process_new_http(session, shutdown));
        match watched(&watch, timer.as_mut(), exchange).await {
            Watched::Done(reused) => reused,
            Watched::TooLate { .. } => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        // Pingora's own bounds for streams and header lists hold only if they are the starting point.
        Some(default_h2_options())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// Counts a connection as long as it lives.
struct Counted<'a> {
    census: &'a Census,
    gauge: &'a IntGauge,
}

impl<'a> Counted<'a> {
    fn new(census: &'a Census, gauge: &'a IntGauge) -> Self {
        census.open.fetch_add(1, Relaxed);
        census.accepted.fetch_add(1, Relaxed);
        gauge.inc();
        Self { census, gauge }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.census.open.fetch_sub(1, Relaxed);
        self.gauge.dec();
    }
}

/// Too many connections: said at once, without reading.
async fn refuse(stream: &mut Stream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(BUSY)).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.flush()).await;
}

/// 408 to a client whose request head never ended. The session that owns the socket is still busy reading, so this
/// goes past it, and only if the socket takes it at once.
fn say_too_late(fd: RawFd) {
    const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    #[expect(unsafe_code, reason = "std has no send without blocking by descriptor")]
    // SAFETY: the buffer is valid for its length; the descriptor belongs to the session of this connection, which is
    // alive and on this task.
    unsafe {
        libc::send(fd, LATE.as_ptr().cast(), LATE.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    }
}
