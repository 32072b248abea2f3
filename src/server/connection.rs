//! A connection from its accept to its end: which protocol, one request after another, each under the connection's watch.
//!
//! Pingora's own loop is not used because it has no deadline for a whole request head, none for the first byte, and
//! because its look for HTTP/2 without TLS waits for 24 bytes without end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Ssl, Stream, UniqueID};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::time::Sleep;

use super::farewell::until_farewell;
use super::home::at_home;
use super::http2::Http2;
use super::tls::Tls;
use super::wire::Wire;
use crate::compile::Limits;
use crate::guard::headers::is_trusted;
use crate::guard::rate::client_unit;
use crate::live::InForce;
use crate::proxy::{Edge, Edition, Express, Lent, Pace, Thrown, Watch, Watched, alone, own_answer, takes, watched};
use crate::telemetry::{PanicRecord, Telemetry};
use prometheus::IntGauge;

/// The open connections of the whole process.
#[derive(Debug)]
pub struct Census {
    /// So many have descriptors, whatever the file says.
    room: u64,
    open: AtomicI64,
    /// A successor has the listeners.
    handed_over: AtomicBool,
    /// Those of each client, kept only where they are limited.
    clients: Mutex<HashMap<[u8; 16], u64>>,
    /// Tells who talks over a WebSocket that the server goes. Each of them listens.
    farewell: tokio::sync::watch::Sender<bool>,
}

impl Census {
    pub fn new(room: u64) -> Self {
        Self {
            room,
            open: AtomicI64::new(0),
            handed_over: AtomicBool::new(false),
            clients: Mutex::default(),
            farewell: tokio::sync::watch::Sender::new(false),
        }
    }

    pub fn open(&self) -> i64 {
        self.open.load(Relaxed)
    }

    pub fn successor_serves(&self) {
        self.handed_over.store(true, Relaxed);
    }

    pub fn has_successor(&self) -> bool {
        self.handed_over.load(Relaxed)
    }

    /// Tells every WebSocket that the server goes; gives how many there are.
    pub fn say_farewell(&self) -> usize {
        let listening = self.farewell.receiver_count();
        self.farewell.send_replace(true);
        listening
    }

    /// Another connection of this client, if it may have one.
    fn admit(&self, client: IpAddr, most: u64) -> Option<OfClient<'_>> {
        let unit = client_unit(client);
        let mut clients = self.clients.lock();
        let open = clients.entry(unit).or_default();
        (*open < most).then(|| {
            *open += 1;
            OfClient { census: self, unit }
        })
    }
}

/// One listener's application.
pub struct Door {
    proxy: Arc<HttpProxy<Edge>>,
    express: Arc<Express>,
    in_force: Arc<InForce<Edition>>,
    census: Arc<Census>,
    telemetry: Arc<Telemetry>,
    gauge: IntGauge,
    /// `None`: a plain listener.
    tls: Option<Arc<Tls>>,
    /// Whoever accepts is one of so many.
    threads: usize,
}

impl Door {
    pub fn new(
        (proxy, express): (Arc<HttpProxy<Edge>>, Arc<Express>),
        in_force: Arc<InForce<Edition>>,
        census: Arc<Census>,
        telemetry: Arc<Telemetry>,
        listener: &str,
        tls: Option<Arc<Tls>>,
        threads: usize,
    ) -> Self {
        let gauge = telemetry.metrics.edge().connections(listener);
        Self { proxy, express, in_force, census, telemetry, gauge, tls, threads }
    }

    async fn http1(
        &self,
        mut wire: Box<Wire>,
        shutdown: &ShutdownWatch,
        limits: &Limits,
        watch: &Arc<Watch>,
        mut timer: Pin<&mut Sleep>,
    ) {
        let mut settings = None;
        loop {
            let most = limits.requests_per_connection;
            match self.one_request(wire, settings, most, shutdown, watch, timer.as_mut()).await {
                Watched::Done(Some(reused)) => {
                    let (again, with) = reused.consume();
                    // What pingora gives back is what it was given.
                    let Ok(again) = again.into_any().downcast::<Wire>() else { return };
                    (wire, settings) = (again, with);
                }
                Watched::Done(None) => return self.tell_refusal(watch),
                Watched::TooLate { .. } => return,
            }
            // What was read beyond the last request lies with pingora; otherwise nothing is set up before the next one begins.
            let nothing_yet = watch.read_to_the_end();
            watch.expect_head(Instant::now(), limits.header_timeout, limits.idle_timeout);
            if nothing_yet {
                match watched(watch, timer.as_mut(), first_bytes(&mut wire, true, false, shutdown, &self.census)).await
                {
                    Watched::Done(Some(_)) => {}
                    Watched::Done(None) | Watched::TooLate { .. } => return,
                }
            }
        }
    }

    async fn one_request(
        &self,
        mut wire: Box<Wire>,
        settings: Option<HttpPersistentSettings>,
        most: Option<u32>,
        shutdown: &ShutdownWatch,
        watch: &Arc<Watch>,
        timer: Pin<&mut Sleep>,
    ) -> Watched<Option<ReusedHttpStream>> {
        if let Some(taken) = takes(wire.ahead()) {
            let begin = wire.take_ahead(taken.length());
            if taken.upgrades {
                let lent = Lent::new(wire);
                let stream = Box::new(lent.clone());
                let exchange = alone(Box::pin(self.express.serve(stream, Some(lent), begin, settings, most, shutdown)));
                let exchange = until_farewell(watch, &self.census.farewell, exchange);
                return self.without_panic(watched(watch, timer, Box::pin(exchange)).await);
            }
            // In a box, so that the connection holds no room for an exchange while it is idle.
            let exchange = alone(Box::pin(self.express.serve(wire, None, begin, settings, most, shutdown)));
            return self.without_panic(watched(watch, timer, exchange).await);
        }
        let (fd, encrypted) = (wire.id(), wire.get_ssl_digest().is_some());
        let mut session = ServerSession::new_http1(wire);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        } else {
            // Without end, because the watch ends what takes too long; a timeout of pingora's would cost a timer a request.
            session.set_keepalive(if *shutdown.borrow() { None } else { Some(0) });
            session.set_keepalive_reuses_remaining(most.map(|most| most - 1));
        }
        // Dropped at the end of this function, and with it the connection: what is still to be said is said before.
        let exchange = pin!(alone(self.proxy.process_new_http(session, shutdown)));
        let mut exchange = pin!(until_farewell(watch, &self.census.farewell, exchange));
        let ended = self.without_panic(watched(watch, timer, exchange.as_mut()).await);
        if let Watched::TooLate { begun: true } = ended {
            self.telemetry.metrics.edge().refused("header_timeout");
            if !encrypted {
                say_at_once(fd, 408);
            }
        }
        ended
    }

    /// A panic that no step has caught ends the connection.
    fn without_panic<T>(&self, ended: Watched<std::result::Result<Option<T>, Thrown>>) -> Watched<Option<T>> {
        match ended {
            Watched::Done(Ok(reused)) => Watched::Done(reused),
            Watched::Done(Err(thrown)) => {
                self.telemetry.emit_panic(&PanicRecord { place: "connection", route: "-", panic: &*thrown });
                Watched::Done(None)
            }
            Watched::TooLate { begun } => Watched::TooLate { begun },
        }
    }

    fn too_many(&self, stream: &Stream, reason: &'static str) {
        self.telemetry.metrics.edge().refused(reason);
        if self.tls.is_none() {
            say_at_once(stream.id(), 503);
        }
    }

    /// What pingora's parser has refused was answered, but nobody has counted it.
    fn tell_refusal(&self, watch: &Watch) {
        if let Some(status) = watch.take_refused_early() {
            self.telemetry.metrics.edge().refused(if status == 405 { "method" } else { "framing" });
            tracing::debug!(status, "a request that cannot be read was refused");
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
            self.telemetry.metrics.edge().refused("tls_handshake");
        }
        stream
    }
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        if self.threads > 1 {
            stream = at_home(stream);
        }
        let edition = self.in_force.load();
        let limits = edition.snapshot.limits.clone();
        let peer = peer(&stream).filter(|peer| !is_trusted(*peer, &edition.snapshot.server.trusted));
        drop(edition);
        let _counted = Counted::new(&self.census, &self.gauge);
        let most = limits.connections.map_or(self.census.room, |most| most.min(self.census.room));
        if u64::try_from(self.census.open()).unwrap_or(0) > most {
            self.too_many(&stream, "connections");
            return None;
        }
        // Behind a proxy that speaks for others, one address is many clients.
        let most = limits.connections_per_client.filter(|most| *most > 0);
        let _of_client = match most.zip(peer).map(|(most, peer)| self.census.admit(peer, most)) {
            Some(None) => {
                self.too_many(&stream, "connections_per_client");
                return None;
            }
            counted => counted.flatten(),
        };
        if let Some(tls) = &self.tls {
            // In a box, so that a connection holds no room for a handshake once it is over, or where there is none.
            stream = Box::pin(self.encrypted(tls, stream, &limits)).await?;
        }
        let watch = Watch::of_client(Instant::now(), stream.id(), pace(&limits));
        let mut timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
        watch.expect_head(Instant::now(), limits.header_timeout, None);
        let settled = stream.get_ssl_digest().is_some() && !matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        let mut wire = Box::new(Wire::new(stream, Arc::clone(&watch)));
        let http2 = match watched(&watch, timer.as_mut(), first_bytes(&mut wire, settled, true, shutdown, &self.census))
            .await
        {
            Watched::Done(http2) => http2?,
            Watched::TooLate { .. } => {
                // Browsers open connections that they may need: no answer is read there, and none is sent.
                self.telemetry.metrics.edge().refused("header_timeout");
                return None;
            }
        };
        if http2 {
            watch.head_read();
            let http2 = Http2::new(&self.express, &self.telemetry, &limits, &watch);
            // In a box, too: most connections are not of this kind.
            watched(&watch, timer, Box::pin(http2.serve(wire, shutdown))).await;
            if let Some(reason) = watch.cut() {
                self.telemetry.metrics.edge().refused(reason);
            }
        } else {
            self.http1(wire, shutdown, &limits, &watch, timer).await;
        }
        None
    }

    async fn cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// Counts a connection of one client as long as it lives.
struct OfClient<'a> {
    census: &'a Census,
    unit: [u8; 16],
}

impl Drop for OfClient<'_> {
    fn drop(&mut self) {
        let mut clients = self.census.clients.lock();
        if let Some(open) = clients.get_mut(&self.unit) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.unit);
            }
        }
    }
}

/// Waits until a request begins, and says whether it is one of HTTP/2; `None`: there will be none. `http1`: that much is known;
/// `fresh`: there was none on this connection yet.
async fn first_bytes(
    wire: &mut Wire,
    http1: bool,
    fresh: bool,
    shutdown: &ShutdownWatch,
    census: &Census,
) -> Option<bool> {
    let mut shutdown = shutdown.clone();
    let begun = async { if http1 { wire.fill().await.then_some(false) } else { wire.opens_http2().await } };
    tokio::select! {
        biased;
        begun = begun => begun,
        () = stopped(&mut shutdown, fresh, census) => None,
    }
}

/// The end of idle connections: at once when nobody serves here any more; a little later when a successor does, so that a
/// client which is about to use its connection gets its answer, and is told with it to open another. Whoever has just
/// connected has a request on its way.
async fn stopped(shutdown: &mut ShutdownWatch, fresh: bool, census: &Census) {
    const GRACE: Duration = Duration::from_secs(3);
    // An error says that the server is gone, which is the same.
    drop(shutdown.wait_for(|stopping| *stopping).await);
    if fresh || census.handed_over.load(Relaxed) {
        tokio::time::sleep(GRACE).await;
    }
}

fn peer(stream: &Stream) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().map(|address| address.ip().to_canonical())
}

fn pace(limits: &Limits) -> Pace {
    Pace { pause: limits.write_timeout, rate: limits.min_rate.filter(|rate| *rate > 0) }
}

/// Counts a connection as long as it lives.
struct Counted<'a> {
    census: &'a Census,
    gauge: &'a IntGauge,
}

impl<'a> Counted<'a> {
    fn new(census: &'a Census, gauge: &'a IntGauge) -> Self {
        census.open.fetch_add(1, Relaxed);
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

/// An answer to a client whose session is still busy reading, or was never set up. It goes past that, and only if the
/// socket takes it at once.
fn say_at_once(fd: RawFd, status: u16) {
    let answer = own_answer(status, fastrand::u128(..));
    #[expect(unsafe_code, reason = "std has no send without blocking by descriptor")]
    // SAFETY: the buffer is valid for its length; the descriptor belongs to the stream of this connection, which is
    // alive and on this task.
    unsafe {
        libc::send(fd, answer.as_ptr().cast(), answer.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    }
}
