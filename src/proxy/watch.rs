//! One timer per connection that watches the whole exchange: the head being read, the answer being waited for, pauses inside a body.
//!
//! Pingora has one read timeout per upstream connection, for the head and the body alike, and none over a whole request head.
//! So the deadline lives here. It is an atomic store for the request path; a timer is armed again only when a deadline
//! comes nearer than the one it already waits for, which on a busy connection is about once a minute.

use std::future::Future;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

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

/// The deadline of one connection, or of one stream of an HTTP/2 connection.
#[derive(Debug)]
pub struct Watch {
    epoch: Instant,
    /// Milliseconds after the epoch; 0: none.
    deadline: AtomicU64,
    /// No deadline of an exchange lies beyond this; 0: none.
    limit: AtomicU64,
    phase: AtomicU8,
    /// The upstream connection that is waited for; -1: none.
    upstream: AtomicI32,
    expired: AtomicBool,
    head_timeout: AtomicU64,
}

impl Watch {
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            epoch: now,
            deadline: AtomicU64::new(0),
            limit: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Exchange as u8),
            upstream: AtomicI32::new(-1),
            expired: AtomicBool::new(false),
            head_timeout: AtomicU64::new(0),
        })
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
        self.set(now, idle.or(head));
    }

    /// The head is there.
    pub fn head_read(&self) {
        self.phase.store(Phase::Exchange as u8, Relaxed);
        self.deadline.store(0, Relaxed);
        self.limit.store(0, Relaxed);
        self.expired.store(false, Relaxed);
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

    /// The connection's task woke up while nothing of a request was there yet: its first byte has arrived.
    fn woken(&self, now: Instant) {
        if self.phase.load(Relaxed) == Phase::Idle as u8 {
            self.phase.store(Phase::Head as u8, Relaxed);
            let head = self.head_timeout.load(Relaxed);
            if head > 0 {
                self.deadline.store(self.since_epoch(now).saturating_add(head).max(1), Relaxed);
            }
        }
    }

    /// The deadline passed. `true`: the connection itself must end.
    fn expire(&self) -> bool {
        if self.phase.load(Relaxed) != Phase::Exchange as u8 {
            return true;
        }
        self.deadline.store(0, Relaxed);
        self.expired.store(true, Relaxed);
        shut_down(self.upstream.swap(-1, Relaxed));
        false
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a pending read of an upstream connection end.
fn shut_down(fd: RawFd) {
    if fd < 0 {
        return;
    }
    #[expect(unsafe_code, reason = "std has no shutdown by descriptor")]
    // SAFETY: the descriptor belongs to the upstream session that the watched future owns. It was attended by that
    // future and is left before the session is released; this runs on the same task, while that future is not.
    // A stale number could at worst shut down a socket, never touch memory.
    unsafe {
        libc::shutdown(fd, libc::SHUT_RDWR);
    }
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
    let polled = Polled { watch, timer, exchange: std::pin::pin!(exchange), polls: 0 };
    WATCH.scope(Arc::clone(watch), polled).await
}

struct Polled<'a, F> {
    watch: &'a Arc<Watch>,
    timer: Pin<&'a mut Sleep>,
    exchange: Pin<&'a mut F>,
    polls: u32,
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
            if this.polls > 0 && !fired && this.watch.phase.load(Relaxed) == Phase::Idle as u8 {
                this.watch.woken(Instant::now());
            }
            this.polls = this.polls.saturating_add(1);
            let deadline = this.watch.deadline.load(Relaxed);
            if deadline == 0 {
                return Poll::Pending;
            }
            let due = tokio::time::Instant::from_std(this.watch.epoch + Duration::from_millis(deadline));
            // A timer that is armed for an earlier moment is left alone: it looks again when it fires.
            if fired || due < this.timer.deadline() {
                if fired && due <= tokio::time::Instant::now() {
                    if this.watch.expire() {
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
