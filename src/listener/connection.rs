//! A connection from its accept to its end: which protocol, and one request after another.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::ServerApp;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use prometheus::IntGauge;

use super::connections::{ConnectionSlot, Connections};
use super::proxied::{self, NoFront};
use super::rebind;
use super::threads::Threads;
use super::tls::{Greeted, ListenerTls};
use crate::client::Socket;
use crate::compile::{Limits, ProxyProtocol};
use crate::downstream::http1::{Arrived, HeadRules, Http1Connection};
use crate::downstream::{ClientFault, Descriptor, Pace, http2};
use crate::guard::headers::{ClientSubject, is_trusted};
use crate::message::{Framing, Malformed, RequestHead};
use crate::proxy::{self, After, Arrival, ClientEnd, Exchange, Failure, Steps, alone, own_response};
use crate::telemetry::{PanicRecord, RequestId};

/// One listener's application.
pub struct HttpListener {
    steps: Arc<Steps>,
    connections: Arc<Connections>,
    gauge: IntGauge,
    /// `None`: a plain listener.
    tls: Option<Arc<ListenerTls>>,
    /// The threads that serve; one of them accepts.
    threads: Arc<Threads>,
}

/// The end of the wait for a request.
enum Waited {
    Arrived(Arrived),
    /// No complete head came in time. `begun`: a part of it did.
    TooLate {
        begun: bool,
    },
    Stopping,
}

impl HttpListener {
    pub fn new(
        steps: Arc<Steps>,
        connections: Arc<Connections>,
        listener: &str,
        tls: Option<Arc<ListenerTls>>,
        threads: Arc<Threads>,
    ) -> Self {
        let gauge = steps.telemetry.metrics.edge().connections(listener);
        Self { steps, connections, gauge, tls, threads }
    }

    async fn http1(&self, mut conn: Http1Connection, arrival: Arrival, limits: Limits, shutdown: &ShutdownWatch) {
        let mut fresh = true;
        let mut served = 0;
        let bare_line_feeds = self.steps.in_force.load().snapshot.server.allow_bare_lf;
        let rules = HeadRules { longest: limits.request_head, bare_line_feeds };
        let mut told = shutdown.clone();
        // One for all requests: to be told anew costs a lock.
        // A task that has done much already would be put off, and have no waker.
        let told = pin!(tokio::task::unconstrained(told_to_stop(&mut told)));
        let mut stopping = Stopping::new(shutdown, told);
        let mut idle_since = Instant::now();
        loop {
            let waited = self.wait(&mut conn, rules, &limits, fresh, idle_since, &mut stopping).await;
            let (head, length) = match waited {
                Waited::Arrived(Arrived::Request(head, length)) => (head, length),
                Waited::Arrived(Arrived::Malformed(bad, head)) => {
                    let failure = Failure::Refused { status: bad.status, reason: bad.reason };
                    return Box::pin(self.refuse(conn, head, arrival, failure, &limits)).await;
                }
                Waited::Arrived(Arrived::Http2) => {
                    let (socket, ahead) = conn.into_parts();
                    // In a box: most connections are not of this kind.
                    return Box::pin(self.http2(socket, ahead, arrival, limits, shutdown)).await;
                }
                Waited::Arrived(Arrived::Closed) | Waited::Stopping => return,
                Waited::TooLate { begun: true } => {
                    let (bad, head) = conn.give_up(408, "header_timeout");
                    let failure = Failure::Refused { status: bad.status, reason: bad.reason };
                    return Box::pin(self.refuse(conn, head, arrival, failure, &limits)).await;
                }
                Waited::TooLate { begun: false } => {
                    if fresh {
                        // Browsers open connections that they may need: no response is read there, and none is sent.
                        self.steps.telemetry.metrics.edge().refused("header_timeout");
                    }
                    return;
                }
            };
            (fresh, served) = (false, served + 1);
            if stopping.is_known() || limits.requests_per_connection.is_some_and(|most| served >= most) {
                conn.close();
            }
            // In a box, so that the connection holds no room for an exchange while it is idle; made in the box, since what is made
            // outside is copied there, with all the room that it will need.
            let serving = Box::write(Box::new_uninit(), self.serve(&mut conn, head, length, arrival.clone()));
            match alone(Box::into_pin(serving)).await {
                Ok((After::Next, end)) => idle_since = end,
                Ok((After::Close, _)) => return Box::pin(close(conn)).await,
                Ok((After::Linger, _)) => {
                    return Box::pin(conn.linger(limits.body_timeout.unwrap_or(LINGER))).await;
                }
                Err(thrown) => {
                    // No step has caught it: the connection ends.
                    self.steps.telemetry.emit_panic(&PanicRecord { place: "connection", route: "-", panic: &*thrown });
                    if !conn.has_answered() {
                        Box::pin(self.say_at_once(conn, 500)).await;
                    }
                    return;
                }
            }
        }
    }

    /// Serves one request, and says when that was done.
    async fn serve(
        &self,
        conn: &mut Http1Connection,
        head: RequestHead,
        length: usize,
        arrival: Arrival,
    ) -> (After, Instant) {
        let framing = conn.framing();
        let mut exchange = Exchange::new(self.steps.in_force.load(), head, arrival, framing, Instant::now());
        exchange.head_length = Some(length);
        let after = proxy::serve(&self.steps, &mut ClientEnd::Http1(conn), &mut exchange).await;
        (after, exchange.ended.unwrap_or_else(Instant::now))
    }

    async fn http2(&self, socket: Socket, ahead: BytesMut, arrival: Arrival, limits: Limits, shutdown: &ShutdownWatch) {
        let state = Descriptor(socket.descriptor());
        let streams = limits.http2_streams;
        let settings = http2::Settings { limits, streams, metrics: Arc::clone(&self.steps.telemetry.metrics) };
        let pause = settings.limits.body_timeout;
        http2::serve(socket, ahead, &state, &settings, shutdown.clone(), |stream| {
            let (steps, arrival) = (Arc::clone(&self.steps), arrival.clone());
            // On this thread: the library's lock and the connections to upstreams are its own.
            tokio::spawn(async move {
                let telemetry = Arc::clone(&steps.telemetry);
                // In a box, because a task is moved more than once.
                if let Err(thrown) = alone(Box::pin(serve_stream(steps, stream, arrival, pause))).await {
                    // The stream ends with a reset.
                    telemetry.emit_panic(&PanicRecord { place: "stream", route: "-", panic: &*thrown });
                }
            });
        })
        .await;
    }

    /// Answers what is not a request.
    async fn refuse(
        &self,
        mut conn: Http1Connection,
        head: RequestHead,
        arrival: Arrival,
        failure: Failure,
        limits: &Limits,
    ) {
        self.answer_malformed(&mut conn, head, arrival, failure).await;
        Box::pin(conn.linger(limits.body_timeout.unwrap_or(LINGER).min(LINGER))).await;
    }

    async fn answer_malformed(
        &self,
        conn: &mut Http1Connection,
        head: RequestHead,
        arrival: Arrival,
        failure: Failure,
    ) {
        let generation = self.steps.in_force.load();
        let mut exchange = Box::new(Exchange::new(generation, head, arrival, Framing::None, Instant::now()));
        self.steps.admit_malformed(&mut exchange);
        proxy::refuse(&self.steps, &mut ClientEnd::Http1(conn), &mut exchange, failure).await;
    }

    /// Waits for the next request, at most as long as the limits say.
    async fn wait(
        &self,
        conn: &mut Http1Connection,
        rules: HeadRules,
        limits: &Limits,
        fresh: bool,
        idle_since: Instant,
        stopping: &mut Stopping<'_, impl Future<Output = ()>>,
    ) -> Waited {
        let mut begun = conn.has_begun();
        let pause = if fresh || begun { limits.header_timeout } else { limits.idle_timeout };
        let mut due = pause.map(|pause| idle_since + pause);
        // When the connection is left, if no request has begun by then.
        let mut leave = None;
        poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(arrived) = conn.poll_request(cx, rules, fresh && self.tls.is_none()) {
                return Poll::Ready(Waited::Arrived(arrived));
            }
            if !begun && conn.has_begun() {
                begun = true;
                if !fresh {
                    due = limits.header_timeout.map(|pause| Instant::now() + pause);
                }
            }
            if begun {
                return conn.timer.poll(cx, due).map(|()| Waited::TooLate { begun });
            }
            if leave.is_none() && stopping.is_said(cx) {
                if !fresh && !self.connections.has_successor() {
                    return Poll::Ready(Waited::Stopping);
                }
                leave = Some(Instant::now() + GRACE);
            }
            let next = due.into_iter().chain(leave).min();
            conn.timer.poll(cx, next).map(|()| match leave {
                Some(at) if due.is_none_or(|due| at <= due) => Waited::Stopping,
                _ => Waited::TooLate { begun },
            })
        })
        .await
    }

    /// There is no room for the connection: it is told so, if it takes that at once.
    async fn too_many(&self, socket: Socket, arrival: Arrival, reason: &'static str) {
        const MOMENT: Duration = Duration::from_secs(1);
        if self.tls.is_some() {
            return self.steps.telemetry.metrics.edge().refused(reason);
        }
        let mut conn = Http1Connection::new(socket, Pace::default());
        let (bad, head) = conn.give_up(503, reason);
        let failure = Failure::Refused { status: bad.status, reason: bad.reason };
        drop(tokio::time::timeout(MOMENT, self.answer_malformed(&mut conn, head, arrival, failure)).await);
    }

    /// A response outside any exchange, if the client takes it at once.
    async fn say_at_once(&self, mut conn: Http1Connection, status: u16) {
        let response = own_response(status, &RequestId::made(fastrand::u128(..)));
        proxy::send_raw(&mut ClientEnd::Http1(&mut conn), &response).await;
    }

    /// The connection behind its TLS handshake, which has as long as a request head has, and the subject of a client certificate.
    async fn encrypted(
        &self,
        tls: &ListenerTls,
        stream: Stream,
        limits: &Limits,
    ) -> Option<(Stream, Option<ClientSubject>)> {
        let handshake = tls.handshake(stream);
        let greeted = match limits.header_timeout {
            Some(limit) => tokio::time::timeout(limit, handshake).await.unwrap_or(Greeted::Failed),
            None => handshake.await,
        };
        match greeted {
            Greeted::Client(stream, subject) => Some((stream, subject)),
            Greeted::Proof => None,
            Greeted::Failed => {
                self.steps.telemetry.metrics.edge().refused("tls_handshake");
                None
            }
        }
    }
}

/// Serves one request of HTTP/2. `pause`: the longest wait for the frame that says whether there is a body.
async fn serve_stream(
    steps: Arc<Steps>,
    mut stream: Box<http2::ServerStream>,
    arrival: Arrival,
    pause: Option<Duration>,
) {
    let began = Instant::now();
    let due = pause.map(|pause| began + pause);
    let mut waited = false;
    let settled = poll_fn(|cx| match stream.poll_settled(cx) {
        Poll::Pending => {
            waited = true;
            stream.timer.poll(cx, due).map(|()| None)
        }
        settled @ Poll::Ready(_) => settled.map(Some),
    })
    .await;
    let malformed = match settled {
        Some(Err(ClientFault::Malformed(malformed))) => Some(malformed),
        Some(Err(_)) => return,
        // The request would be whole for an upstream, and its end may still be malformed.
        None if stream.content_length() == Some(0) => Some(Malformed { status: 408, reason: "body_timeout" }),
        Some(Ok(())) | None => None,
    };
    let (head, malformed) = match stream.take_head() {
        Ok(head) => (head, malformed),
        Err(malformed) => (stream.known_head(), Some(malformed)),
    };
    let framing = match stream.content_length() {
        _ if !stream.has_body() => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Open,
    };
    let mut exchange = Exchange::new(steps.in_force.load(), head, arrival, framing, began);
    if waited {
        exchange.moment = None;
    }
    let mut client = ClientEnd::Http2(&mut stream);
    match malformed {
        Some(bad) => {
            steps.admit_malformed(&mut exchange);
            let failure = Failure::Refused { status: bad.status, reason: bad.reason };
            proxy::refuse(&steps, &mut client, &mut exchange, failure).await;
        }
        None => {
            proxy::serve(&steps, &mut client, &mut exchange).await;
        }
    }
}

/// How long a client that is still sending is read where the file sets no limit.
const LINGER: Duration = Duration::from_secs(30);

/// Ends a connection in order: with TLS, the client is told that nothing was cut off.
async fn close(conn: Http1Connection) {
    const MOMENT: Duration = Duration::from_secs(1);
    let (mut socket, _) = conn.into_parts();
    if socket.is_tls() {
        let told = poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut socket), cx));
        drop(tokio::time::timeout(MOMENT, told).await);
    }
}

#[async_trait]
impl ServerApp for HttpListener {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        // On a task of its own: pingora's has room for a handshake of its TLS, 8 KiB that an idle connection would hold.
        let (listener, shutdown) = (Arc::clone(self), shutdown.clone());
        self.threads.serve(|assignment| async move {
            let _assignment = assignment;
            listener.connection(stream, &shutdown).await;
        });
        None
    }
}

impl HttpListener {
    async fn connection(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let generation = self.steps.in_force.load();
        let limits = generation.snapshot.limits.clone();
        let mut peer = proxied::peer(&stream);
        let mut addresses = if generation.tells_clients { proxied::own(&stream) } else { None };
        let rule = generation.snapshot.server.proxy_protocol;
        drop(generation);
        let _counted = ConnectionSlot::new(&self.connections, &self.gauge);
        if self.connections.are_too_many(limits.connections) {
            let arrival = Arrival { peer, ..Arrival::default() };
            Box::pin(self.too_many(Socket::Stream(stream), arrival, "connections")).await;
            return;
        }
        let mut socket = match self.tls {
            Some(_) if self.threads.count() > 1 => Socket::Stream(rebind::rebind(stream)),
            Some(_) => Socket::Stream(stream),
            None => rebind::plain(stream),
        };
        let mut unread = BytesMut::new();
        if rule != ProxyProtocol::Off {
            let front = proxied::receive(&mut socket, rule, self.trusts(peer), limits.header_timeout);
            // In a box: where no header is read, a connection carries no room for it.
            let front = match Box::pin(before_stop(front, shutdown)).await {
                Some(Ok(front)) => front,
                Some(Err(why)) => return Box::pin(self.without_front(socket, peer, &why, &limits)).await,
                None => return,
            };
            unread = front.unread;
            if let Some(told) = front.addresses {
                peer = Some(told.source.ip());
                addresses = Some(told);
            }
        }
        // Behind a proxy that speaks for others, one address is many clients.
        let most = limits.connections_per_client.filter(|most| *most > 0);
        let limited = peer.filter(|_| most.is_some() && !self.trusts(peer));
        let _of_client = match most.zip(limited).map(|(most, peer)| self.connections.admit(peer, most)) {
            Some(None) => {
                let arrival = Arrival { peer, ..Arrival::default() };
                Box::pin(self.too_many(socket, arrival, "connections_per_client")).await;
                return;
            }
            counted => counted.flatten(),
        };
        let addresses = addresses.map(Box::new);
        let (socket, arrival, alpn) = match (&self.tls, socket) {
            (Some(tls), Socket::Stream(stream)) => {
                let Some(stream) = proxied::give_back(stream, &unread) else { return };
                unread.clear();
                // In a box, so that a connection holds no room for a handshake once it is over, or where there is none.
                let greeted = Box::pin(self.encrypted(tls, stream, &limits)).await;
                let Some((stream, subject)) = greeted else { return };
                let http2 = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
                (Socket::Stream(stream), Arrival { peer, tls: true, addresses, subject }, Some(http2))
            }
            (_, socket) => (socket, Arrival { peer, tls: false, addresses, subject: None }, None),
        };
        match alpn {
            Some(true) => Box::pin(self.http2(socket, BytesMut::new(), arrival, limits, shutdown)).await,
            _ => self.http1(Http1Connection::behind(socket, unread, pace(&limits)), arrival, limits, shutdown).await,
        }
    }

    /// A peer that may speak for others.
    fn trusts(&self, peer: Option<IpAddr>) -> bool {
        let generation = self.steps.in_force.load();
        peer.is_some_and(|peer| is_trusted(peer, &generation.snapshot.server.trusted))
    }

    /// The connection does not begin as it must.
    async fn without_front(&self, socket: Socket, peer: Option<IpAddr>, why: &NoFront, limits: &Limits) {
        let (status, reason) = match why {
            NoFront::Closed => return,
            NoFront::Refused => (400, "proxy_protocol"),
            NoFront::TooLate { .. } => (408, "header_timeout"),
        };
        if self.tls.is_some() || matches!(why, NoFront::TooLate { begun: false }) {
            // Behind TLS nothing that is written in plain is read.
            return self.steps.telemetry.metrics.edge().refused(reason);
        }
        let mut conn = Http1Connection::new(socket, pace(limits));
        let (bad, head) = conn.give_up(status, reason);
        let failure = Failure::Refused { status: bad.status, reason: bad.reason };
        self.refuse(conn, head, Arrival { peer, ..Arrival::default() }, failure, limits).await;
    }
}

/// Idle connections end at once when no process serves here any more, and after this time when a successor does: a client which is about to
/// use its connection gets its response, and is told with it to open another. A client that has just connected has a request on its way.
const GRACE: Duration = Duration::from_secs(3);

/// Whether the server stops, as one connection has heard.
/// One task only may ask it.
struct Stopping<'a, Told> {
    said: bool,
    /// `told` wakes the task.
    wakes: bool,
    watch: &'a ShutdownWatch,
    told: Pin<&'a mut Told>,
}

impl<'a, Told: Future<Output = ()>> Stopping<'a, Told> {
    fn new(watch: &'a ShutdownWatch, told: Pin<&'a mut Told>) -> Self {
        Self { said: *watch.borrow(), wakes: false, watch, told }
    }

    /// The server stops. Takes no lock, and leaves no waker behind.
    fn is_known(&self) -> bool {
        self.said || self.watch.has_changed().unwrap_or(true)
    }

    /// The server stops; if not, the task is woken when it does.
    fn is_said(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.said && (!self.wakes || self.is_known()) {
            self.wakes = true;
            self.said = self.told.as_mut().poll(cx).is_ready();
        }
        self.said
    }
}

async fn told_to_stop(shutdown: &mut ShutdownWatch) {
    // An error says that the server is gone, which is the same.
    drop(shutdown.wait_for(|stopping| *stopping).await);
}

/// `None`: the server stops first.
async fn before_stop<T>(work: impl Future<Output = T>, shutdown: &ShutdownWatch) -> Option<T> {
    let mut shutdown = shutdown.clone();
    let stopped = async {
        told_to_stop(&mut shutdown).await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = stopped => None,
    }
}

fn pace(limits: &Limits) -> Pace {
    Pace { pause: limits.write_timeout, rate: limits.min_rate.filter(|rate| *rate > 0) }
}
