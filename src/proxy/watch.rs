//! One timer per connection that watches the whole exchange: the head being read, the answer being waited for, pauses inside a body.
//!
//! Pingora has one read timeout per upstream connection, for the head and the body alike, and none over a whole request head.
//! So the deadline lives here. It is an atomic store for the request path; a timer is armed again only when a deadline
//! comes nearer than the one it already waits for, which on a busy connection is about once a minute.

use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::time::Sleep;

use super::exchange::Exchange;
use super::held::Held;
use super::slot::Slot;
use super::socket::shut_down;
use super::tunnel::Tunnel;
use super::upload::Upload;
use super::writing::{Pace, Writing};
use crate::guard::chunks::NotChunks;

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Waiting for the first byte of a request.
    Idle = 0,
    /// Reading a request head.
    Head = 1,
    /// The proxy is at work.
    Exchange = 2,
}

/// The deadline of one connection, or of one stream of an HTTP/2 connection. Times are milliseconds after the epoch; 0: none.
#[derive(Debug)]
pub struct Watch {
    epoch: Instant,
    deadline: AtomicU64,
    /// No deadline of an exchange lies beyond this.
    limit: AtomicU64,
    phase: AtomicU8,
    /// The upstream connection that is waited for; -1: none.
    upstream: AtomicI32,
    expired: AtomicBool,
    /// Who is waited for is the client.
    for_client: AtomicBool,
    head_timeout: AtomicU64,
    /// Bytes that the parser was given since the last head was awaited, and how many the request has; 0: not known.
    handed: AtomicU64,
    length: AtomicU64,
    /// Some of the request was handed over with the one before.
    begun_before: AtomicBool,
    /// The status with which pingora's parser refused a request; 0: none.
    refused_early: AtomicU16,
    /// What is read of the request.
    pub upload: Upload,
    pub tunnel: Tunnel,
    /// Lines, each with its CRLF, that no map has held: the wire adds them to the head that pingora writes.
    pub lines: Slot<BytesMut>,
    /// A request that was admitted on the express way, on its way to pingora's proxy.
    admitted: Slot<Box<Exchange>>,
    writing: Writing,
    /// Of an answer over HTTP/2, what the client has not taken; and the same of all streams of its connection.
    held: Held,
    connection: Option<Arc<Held>>,
}

impl Watch {
    pub fn new(now: Instant) -> Arc<Self> {
        Self::of_client(now, -1, Pace::default())
    }

    /// A watch that also looks whether the client reads.
    pub fn of_client(now: Instant, client: RawFd, pace: Pace) -> Arc<Self> {
        Arc::new(Self::begin(now, client, pace, None))
    }

    /// The watch of one stream of an HTTP/2 connection. Whether the client reads is looked at for the connection.
    pub fn of_stream(now: Instant, connection: Arc<Held>) -> Arc<Self> {
        Arc::new(Self::begin(now, -1, Pace::default(), Some(connection)))
    }

    fn begin(now: Instant, client: RawFd, pace: Pace, connection: Option<Arc<Held>>) -> Self {
        Self {
            epoch: now,
            deadline: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Exchange as u8),
            upstream: AtomicI32::new(-1),
            expired: AtomicBool::new(false),
            for_client: AtomicBool::new(false),
            head_timeout: AtomicU64::new(0),
            handed: AtomicU64::new(0),
            length: AtomicU64::new(0),
            begun_before: AtomicBool::new(false),
            refused_early: AtomicU16::new(0),
            upload: Upload::default(),
            tunnel: Tunnel::default(),
            lines: Slot::default(),
            admitted: Slot::default(),
            writing: Writing::of(client, pace),
            held: Held::default(),
            connection,
        }
    }

    /// The watch of the connection whose task is running.
    pub fn current() -> Option<Arc<Self>> {
        WATCH.try_with(Arc::clone).ok()
    }

    /// A new request may begin: the whole head must be there `head` after its first byte, the first byte after `idle`.
    /// Without `idle` (a fresh connection) the time runs from now.
    pub fn expect_head(&self, now: Instant, head: Option<Duration>, idle: Option<Duration>) {
        self.head_timeout.store(head.map_or(0, milliseconds), Relaxed);
        self.phase.store(if idle.is_some() { Phase::Idle } else { Phase::Head } as u8, Relaxed);
        self.begun_before.store(self.is_asked() && !self.read_to_the_end(), Relaxed);
        self.handed.store(0, Relaxed);
        self.length.store(0, Relaxed);
        self.upload.begin();
        // Of an answer that was never written.
        drop(self.lines.take());
        self.set(now, idle.or(head));
    }

    /// The head is there.
    pub fn head_read(&self) {
        self.phase.store(Phase::Exchange as u8, Relaxed);
        self.deadline.store(0, Relaxed);
        self.limit.store(0, Relaxed);
        self.expired.store(false, Relaxed);
    }

    /// No request is there yet: whoever answers is pingora's parser.
    pub fn awaits_head(&self) -> bool {
        self.phase.load(Relaxed) != Phase::Exchange as u8
    }

    pub fn refused_early(&self, status: u16) {
        self.refused_early.store(status, Relaxed);
    }

    /// The status with which pingora's parser refused a request, told once.
    pub fn take_refused_early(&self) -> Option<u16> {
        Some(self.refused_early.swap(0, Relaxed)).filter(|status| *status > 0)
    }

    /// The parser is given bytes. An error: they cannot be part of the chunked body that is being read.
    pub fn handed(&self, bytes: &[u8]) -> Result<(), NotChunks> {
        self.handed.fetch_add(bytes.len() as u64, Relaxed);
        if self.awaits_head() {
            self.upload.early(bytes);
            return Ok(());
        }
        self.upload.take(bytes)
    }

    /// The parser is given so many bytes at once: the whole head of a request that is `length` long with its body, and
    /// perhaps some of that.
    pub fn request_handed(&self, bytes: usize, length: u64) {
        self.handed.fetch_add(bytes as u64, Relaxed);
        self.length.store(length, Relaxed);
    }

    /// The parser was given something of a request.
    pub fn is_asked(&self) -> bool {
        self.handed.load(Relaxed) > 0
    }

    /// The request has no body, and this head, as the parser gives it.
    pub fn bodiless(&self, head: &[u8]) {
        // Where the parser has written escapes, it is longer than what came.
        let came = !self.begun_before.load(Relaxed);
        if came && self.length.load(Relaxed) == 0 && self.upload.began_with(head) {
            self.length.store(head.len() as u64, Relaxed);
        }
    }

    /// Nothing was read beyond the last request: the next one comes with bytes that are not there yet.
    pub fn read_to_the_end(&self) -> bool {
        let length = self.length.load(Relaxed);
        length > 0 && length == self.handed.load(Relaxed)
    }

    /// Leaves a request for pingora's proxy, which begins with [`Watch::take_admitted`].
    pub fn put_admitted(&self, mut exchange: Box<Exchange>) {
        // Each would hold the other if nobody came.
        exchange.watch = None;
        self.admitted.put(exchange);
    }

    /// The request that was left on this connection.
    pub fn take_admitted() -> Option<Box<Exchange>> {
        let taken = WATCH.try_with(|watch| Some((watch.admitted.take()?, Arc::clone(watch)))).ok()?;
        taken.map(|(mut exchange, watch)| {
            exchange.watch = Some(watch);
            exchange
        })
    }

    /// The client's connection takes no more for now.
    pub fn writing_waits(&self, now: Instant) {
        self.writing.waits(|| self.since_epoch(now));
    }

    pub fn is_stream(&self) -> bool {
        self.connection.is_some()
    }

    /// So many bytes of the answer are on their way to the client.
    pub fn holds(&self, bytes: u64) {
        self.held.add(bytes);
        if let Some(connection) = &self.connection {
            connection.add(bytes);
        }
    }

    /// The client took them, or its stream ended.
    pub fn taken(&self, bytes: u64) {
        self.held.subtract(bytes);
        if let Some(connection) = &self.connection {
            connection.subtract(bytes);
        }
    }

    pub fn is_writing_blocked(&self) -> bool {
        self.writing.is_waiting()
    }

    pub fn writing_goes_on(&self) {
        self.writing.goes_on();
    }

    /// The client was cut off because it did not read: the label of `refused_total`.
    pub fn cut(&self) -> Option<&'static str> {
        self.writing.cut()
    }

    /// Whatever else is waited for, the upstream must have answered completely at `end`; `None` lifts the limit.
    /// Counts from the next `within`.
    pub fn limit(&self, end: Option<Instant>) {
        self.limit.store(end.map_or(0, |end| self.since_epoch(end).max(1)), Relaxed);
    }

    /// An upstream connection is in use; it is shut down when the deadline passes.
    pub fn attend(&self, upstream: RawFd) {
        self.upstream.store(upstream, Relaxed);
    }

    /// Something must happen within `pause` from now; `None` waits for ever.
    pub fn within(&self, now: Instant, pause: Option<Duration>) {
        self.for_client.store(false, Relaxed);
        self.set(now, pause);
    }

    /// The same of the client: more of its request's body.
    pub fn client_within(&self, now: Instant, pause: Option<Duration>) {
        self.for_client.store(true, Relaxed);
        self.set(now, pause);
    }

    /// Nothing more is expected of the upstream.
    pub fn rest(&self) {
        self.deadline.store(0, Relaxed);
    }

    /// The upstream connection is no longer this exchange's: it must not be touched again.
    pub fn leave(&self) {
        self.upstream.store(-1, Relaxed);
        self.deadline.store(0, Relaxed);
        self.limit.store(0, Relaxed);
    }

    /// The deadline passed during this exchange. Asked once by whoever reports the failure.
    pub fn take_expired(&self) -> bool {
        self.expired.swap(false, Relaxed)
    }

    /// If the deadline passed, it was the client's.
    pub fn waited_for_client(&self) -> bool {
        self.for_client.load(Relaxed)
    }

    pub fn has_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    fn set(&self, now: Instant, pause: Option<Duration>) {
        let deadline = pause.map(|pause| self.since_epoch(now).saturating_add(milliseconds(pause)).max(1));
        let limit = Some(self.limit.load(Relaxed)).filter(|limit| *limit > 0);
        self.deadline.store(deadline.into_iter().chain(limit).min().unwrap_or(0), Relaxed);
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        milliseconds(now.saturating_duration_since(self.epoch))
    }

    /// Bytes came: the first ones begin a head.
    pub fn bytes_came(&self, now: impl FnOnce() -> Instant) {
        if self.phase.load(Relaxed) == Phase::Idle as u8 {
            self.phase.store(Phase::Head as u8, Relaxed);
            let head = self.head_timeout.load(Relaxed);
            if head > 0 {
                self.deadline.store(self.since_epoch(now()).saturating_add(head).max(1), Relaxed);
            } else {
                self.deadline.store(0, Relaxed);
            }
        }
    }

    /// When the timer has to look next; 0: not at all.
    fn due(&self) -> u64 {
        earlier(self.deadline.load(Relaxed), self.writing.look_at())
    }

    /// Something was due. `true`: the connection itself must end.
    fn expire(&self, now: Instant) -> bool {
        let now = self.since_epoch(now);
        let look_at = self.writing.look_at();
        if look_at > 0 && look_at <= now {
            self.writing.look(now);
        }
        let deadline = self.deadline.load(Relaxed);
        if deadline == 0 || deadline > now {
            return false;
        }
        if self.phase.load(Relaxed) != Phase::Exchange as u8 {
            return true;
        }
        let latest = self.limit.load(Relaxed);
        let takes_nothing = self.writing.is_waiting() || self.held.any();
        if takes_nothing && (latest == 0 || latest > now) {
            // The client keeps the upstream waiting, not the other way round.
            self.deadline.store(earlier(now + PATIENCE_WITH_CLIENT, latest), Relaxed);
            return false;
        }
        self.deadline.store(0, Relaxed);
        self.expired.store(true, Relaxed);
        shut_down(self.upstream.swap(-1, Relaxed));
        false
    }
}

/// Between two looks at an upstream's deadline while the client does not read, in milliseconds.
const PATIENCE_WITH_CLIENT: u64 = 1000;

/// The earlier of two times, of which 0 is none.
fn earlier(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, only) | (only, 0) => only,
        (one, other) => one.min(other),
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Why a watched future ended.
#[derive(Debug)]
pub enum Watched<T> {
    Done(T),
    /// No complete request head came in time. `begun`: a part of it did.
    TooLate {
        begun: bool,
    },
}

/// Runs one exchange under its watch.
pub async fn watched<F: Future>(watch: &Arc<Watch>, timer: Pin<&mut Sleep>, exchange: F) -> Watched<F::Output> {
    let polled = Polled { watch, timer, exchange: std::pin::pin!(exchange) };
    WATCH.scope(Arc::clone(watch), polled).await
}

struct Polled<'a, F> {
    watch: &'a Arc<Watch>,
    timer: Pin<&'a mut Sleep>,
    exchange: Pin<&'a mut F>,
}

impl<F: Future> Future for Polled<'_, F> {
    type Output = Watched<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(output) = this.exchange.as_mut().poll(cx) {
                return Poll::Ready(Watched::Done(output));
            }
            let fired = this.timer.is_elapsed();
            let due = this.watch.due();
            if due == 0 {
                return Poll::Pending;
            }
            let due = tokio::time::Instant::from_std(this.watch.epoch + Duration::from_millis(due));
            // A timer that is armed for an earlier moment is left alone: it looks again when it fires.
            if fired || due < this.timer.deadline() {
                if fired && due <= tokio::time::Instant::now() {
                    if this.watch.expire(Instant::now()) {
                        let begun = this.watch.phase.load(Relaxed) == Phase::Head as u8;
                        return Poll::Ready(Watched::TooLate { begun });
                    }
                    // Shutting the upstream down woke the exchange, but only through the reactor: look at once.
                    continue;
                }
                this.timer.as_mut().reset(due);
            }
            if this.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
