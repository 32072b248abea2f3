//! One connection of HTTP/2 from its first frame to its GOAWAY.
//!
//! Pingora's own loop is not used: it ends an idle connection without a word, waits without end for a client that does not
//! confirm a shutdown, and has no bound for what is neither request nor data, for a header block that does not end, and for
//! answers whose windows stay closed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection;
use pingora::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake};
use pingora::protocols::{Digest, GetProxyDigest as _, GetSocketDigest as _, GetTimingDigest as _, Ssl as _, Stream};
use pingora::server::ShutdownWatch;
use tokio::time::Sleep;

use super::following::{Following, Traffic};
use super::wire::Wire;
use crate::compile::Limits;
use crate::proxy::{Express, Held, Watch, Watched, alone, watched};
use crate::telemetry::{PanicRecord, Telemetry};

/// Requests at once; one more is refused, and may be sent again. What nginx, haproxy and Envoy's guide for edges allow.
const STREAMS: u32 = 100;
/// What a client may send ahead of the upstream, for each request and in all.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What may wait for each client's window or socket, beside what pingora holds of an answer.
const SEND_BUFFER: usize = 64 * 1024;
/// Up to here a head is read, so that it can be refused with an answer; what is several times longer ends the connection.
const HEADER_LIST: u32 = 64 * 1024;
const LONGEST_HEADER_LIST: u32 = 1024 * 1024;
/// Requests of one connection that may be malformed.
const MOST_MALFORMED: u32 = 32;
/// How long a client may take to hear of an end that is in order, with nothing in flight any more.
const LEAVING: Duration = Duration::from_secs(3);
/// How long the last GOAWAY may take to be written.
const LAST_WORD: Duration = Duration::from_secs(1);
/// The time over which a rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// What a connection is served with.
pub struct Http2 {
    express: Arc<Express>,
    telemetry: Arc<Telemetry>,
    limits: Limits,
    watch: Arc<Watch>,
    sessions: Arc<Sessions>,
    held: Arc<Held>,
}

impl Http2 {
    pub fn new(express: &Arc<Express>, telemetry: &Arc<Telemetry>, limits: &Limits, watch: &Arc<Watch>) -> Self {
        Self {
            express: Arc::clone(express),
            telemetry: Arc::clone(telemetry),
            limits: limits.clone(),
            watch: Arc::clone(watch),
            sessions: Arc::new(Sessions::new()),
            held: Arc::default(),
        }
    }

    /// Serves a connection whose preface was seen.
    pub async fn serve(self, mut wire: Box<Wire>, shutdown: &ShutdownWatch) {
        let digest = Arc::new(Digest {
            ssl_digest: wire.get_ssl_digest(),
            timing_digest: wire.get_timing_digest(),
            proxy_digest: wire.get_proxy_digest(),
            socket_digest: wire.get_socket_digest(),
        });
        let following = Following::new(Arc::clone(&self.telemetry.metrics));
        let traffic = following.traffic();
        wire.follow(following);
        let stream: Stream = wire;
        let Ok(mut connection) = handshake(stream, Some(options(&self.limits))).await else { return };
        let mut clock = Clock::new(&self, &traffic);
        let mut timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
        let mut stopping = shutdown.clone();
        let mut malformed = 0;
        loop {
            match turn(&mut connection, &digest, &mut clock, timer.as_mut(), &mut stopping).await {
                Turn::Accepted(H2Accept::Session(session)) if clock.stage.is_refusing() => {
                    self.start(session, shutdown);
                }
                // It came with what ended the connection.
                Turn::Accepted(H2Accept::Session(_)) => {}
                Turn::Accepted(H2Accept::Rejected) => {
                    self.telemetry.metrics.edge().refused("framing");
                    malformed += 1;
                    if malformed == MOST_MALFORMED {
                        self.refuse(&mut connection, &mut clock, "http2_flood");
                    }
                    self.sessions.rest();
                }
                Turn::Refused(reason) => self.refuse(&mut connection, &mut clock, reason),
                Turn::Leave => {
                    connection.graceful_shutdown();
                    clock.stage = Stage::Leaving(Instant::now() + LEAVING);
                }
                Turn::Gone => {
                    connection.abrupt_shutdown(Reason::NO_ERROR);
                    clock.stage = Stage::Ending(Instant::now() + LAST_WORD);
                }
                Turn::Over => return,
            }
        }
    }

    fn start(&self, session: HttpSession, shutdown: &ShutdownWatch) {
        let busy = Busy::new(&self.sessions);
        let (express, held, shutdown) = (Arc::clone(&self.express), Arc::clone(&self.held), shutdown.clone());
        let telemetry = Arc::clone(&self.telemetry);
        pingora_runtime::current_handle().spawn(async move {
            let _busy = busy;
            let watch = Watch::of_stream(Instant::now(), held);
            let timer = pin!(tokio::time::sleep(Duration::from_secs(3600)));
            // In a box, because a task is moved more than once.
            let exchange = alone(Box::pin(express.serve_stream(session, &shutdown)));
            if let Watched::Done(Err(thrown)) = watched(&watch, timer, exchange).await {
                // The stream ends with a reset.
                telemetry.emit_panic(&PanicRecord { place: "stream", route: "-", panic: &*thrown });
            }
        });
    }

    /// The client has earned no more patience.
    fn refuse(&self, connection: &mut Connection<Stream, Bytes>, clock: &mut Clock<'_>, reason: &'static str) {
        self.telemetry.metrics.edge().refused(reason);
        clock.traffic.is_counted();
        tracing::debug!(reason, "a connection of HTTP/2 was ended");
        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        clock.stage = Stage::Ending(Instant::now() + LAST_WORD);
    }
}

/// The bounds of a connection.
fn options(limits: &Limits) -> H2Options {
    let head = limits.request_head.filter(|most| *most > 0).map_or(LONGEST_HEADER_LIST, |most| {
        u32::try_from(most).unwrap_or(u32::MAX).clamp(HEADER_LIST, LONGEST_HEADER_LIST)
    });
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(head)
        .max_send_buffer_size(SEND_BUFFER);
    options
}

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "a request is moved once from here, to its task")]
enum Turn {
    Accepted(H2Accept),
    /// The label of `refused_total`.
    Refused(&'static str),
    /// It is time to leave, in order.
    Leave,
    /// Nothing is in flight, and the client was told long enough ago.
    Gone,
    /// The connection has ended, or is not waited for any longer.
    Over,
}

async fn turn(
    connection: &mut Connection<Stream, Bytes>,
    digest: &Arc<Digest>,
    clock: &mut Clock<'_>,
    mut timer: Pin<&mut Sleep>,
    stopping: &mut ShutdownWatch,
) -> Turn {
    // This is also what drives the connection. It may be dropped at any time.
    let mut accepting = pin!(HttpSession::from_h2_conn(connection, Arc::clone(digest)));
    let mut stopping = pin!(stopping.wait_for(|stopping| *stopping));
    poll_fn(|cx| {
        if let Poll::Ready(accepted) = accepting.as_mut().poll(cx) {
            return Poll::Ready(match accepted {
                Ok(Some(accepted)) => Turn::Accepted(accepted),
                // An error of the library was told to the client and counted as it passed; one of the connection is the client's.
                Ok(None) | Err(_) => Turn::Over,
            });
        }
        if clock.stage.is_refusing() && clock.traffic.is_flooded() {
            return Poll::Ready(Turn::Refused("http2_flood"));
        }
        // An error says that the server is gone, which is the same.
        if matches!(clock.stage, Stage::Open) && stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Turn::Leave);
        }
        loop {
            let now = Instant::now();
            let Some(due) = clock.due(now) else { return Poll::Pending };
            if due <= now {
                match clock.look(now) {
                    Some(turn) => return Poll::Ready(turn),
                    None => continue,
                }
            }
            let due = tokio::time::Instant::from_std(due);
            // A timer that is armed for an earlier moment is left alone: it looks again when it fires.
            if timer.is_elapsed() || due < timer.deadline() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// How far a connection is on its way.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Open,
    /// A GOAWAY was sent; what is in flight is finished. When nothing is by this time, the end is not waited for any longer.
    Leaving(Instant),
    /// The last GOAWAY is being written; at this time it is not waited for any longer.
    Ending(Instant),
}

impl Stage {
    /// Whether the client can still be refused.
    const fn is_refusing(self) -> bool {
        matches!(self, Self::Open | Self::Leaving(_))
    }
}

/// What is waited for on a connection, and until when.
struct Clock<'a> {
    stage: Stage,
    limits: &'a Limits,
    traffic: &'a Traffic,
    watch: &'a Watch,
    sessions: &'a Sessions,
    held: &'a Held,
    /// Between two looks at answers that do not pass.
    window: Duration,
    look_at: Option<Instant>,
    /// When data last passed, or nothing waited to pass, and how much had passed then.
    progress: (Instant, u64),
    /// The same at the beginning of the window in which the rate is measured.
    sample: (Instant, u64),
}

impl<'a> Clock<'a> {
    fn new(http2: &'a Http2, traffic: &'a Traffic) -> Self {
        let limits = &http2.limits;
        let shortest = limits.write_timeout.into_iter().chain(limits.idle_timeout).min().unwrap_or(RATE_WINDOW);
        let begin = (Instant::now(), 0);
        Self {
            stage: Stage::Open,
            limits,
            traffic,
            watch: &http2.watch,
            sessions: &http2.sessions,
            held: &http2.held,
            window: (shortest / 4).clamp(Duration::from_millis(10), RATE_WINDOW),
            look_at: None,
            progress: begin,
            sample: begin,
        }
    }

    /// When to look next.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        let closed = self.closed_at();
        let leaving = match self.stage {
            Stage::Ending(at) => return Some(closed.map_or(at, |closed| closed.max(at))),
            _ if closed.is_some() => return closed,
            Stage::Leaving(at) => Some(at),
            Stage::Open => None,
        };
        let (active, looks) = (self.sessions.active(), self.window);
        self.look_at = active.then(|| self.look_at.unwrap_or(now + looks));
        [leaving, self.block_until(), self.look_at, self.idle_until()].into_iter().flatten().min()
    }

    /// When a client that was told of the end is not waited for any longer.
    fn closed_at(&self) -> Option<Instant> {
        Some(self.traffic.closing_since()? + LAST_WORD)
    }

    fn block_until(&self) -> Option<Instant> {
        Some(self.traffic.block_since()? + self.limits.header_timeout?)
    }

    fn idle_until(&self) -> Option<Instant> {
        let open = matches!(self.stage, Stage::Open) && !self.sessions.active();
        Some(self.sessions.idle_since() + self.limits.idle_timeout.filter(|_| open)?)
    }

    /// Something is due.
    fn look(&mut self, now: Instant) -> Option<Turn> {
        if matches!(self.stage, Stage::Ending(_)) || self.closed_at().is_some() {
            return Some(Turn::Over);
        }
        if self.block_until().is_some_and(|at| at <= now) {
            return Some(Turn::Refused("header_timeout"));
        }
        if self.look_at.take_if(|at| *at <= now).is_some()
            && let Some(reason) = self.stalls(now)
        {
            return Some(Turn::Refused(reason));
        }
        if let Stage::Leaving(at) = &mut self.stage
            && *at <= now
        {
            if !self.sessions.active() {
                return Some(Turn::Gone);
            }
            *at = now + LEAVING;
        }
        self.idle_until().is_some_and(|at| at <= now).then_some(Turn::Leave)
    }

    /// Whether answers wait that the client does not take, on none of its streams. While its socket is full, the watch of the
    /// connection looks how much arrives.
    fn stalls(&mut self, now: Instant) -> Option<&'static str> {
        let sent = self.traffic.data_sent();
        if !self.held.any() || self.watch.is_writing_blocked() {
            (self.progress, self.sample) = ((now, sent), (now, sent));
            return None;
        }
        if sent > self.progress.1 {
            self.progress = (now, sent);
        }
        let paused = now.saturating_duration_since(self.progress.0);
        if self.limits.write_timeout.is_some_and(|pause| paused >= pause) {
            return Some("write_timeout");
        }
        let elapsed = now.saturating_duration_since(self.sample.0);
        if elapsed >= RATE_WINDOW {
            let needed = self.limits.min_rate.unwrap_or(0).saturating_mul(elapsed.as_secs());
            let taken = sent - self.sample.1;
            self.sample = (now, sent);
            return (taken < needed).then_some("min_rate");
        }
        None
    }
}

/// The streams that are being served.
#[derive(Debug)]
struct Sessions {
    epoch: Instant,
    active: AtomicUsize,
    /// Milliseconds after the epoch.
    idle_since: AtomicU64,
}

impl Sessions {
    fn new() -> Self {
        Self { epoch: Instant::now(), active: AtomicUsize::new(0), idle_since: AtomicU64::new(0) }
    }

    fn active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    fn idle_since(&self) -> Instant {
        self.epoch + Duration::from_millis(self.idle_since.load(Relaxed))
    }

    /// From now, the connection may have become idle.
    fn rest(&self) {
        self.idle_since.store(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// Counts a stream as long as it is served.
struct Busy(Arc<Sessions>);

impl Busy {
    fn new(sessions: &Arc<Sessions>) -> Self {
        sessions.active.fetch_add(1, Relaxed);
        Self(Arc::clone(sessions))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
        self.0.active.fetch_sub(1, Relaxed);
    }
}
